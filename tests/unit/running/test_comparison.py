"""Runs, comparisons and their result folders."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.budget import Budget
from nasbench_lab.errors import (
    AlgorithmError,
    AlgorithmFileError,
    BudgetError,
    DataFolderError,
    ExperimentError,
    HyperparameterError,
    TableFileError,
    UnknownNameError,
)
from nasbench_lab.registry import algorithm_class, load_benchmark, make_algorithm, parse_algorithm
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare
from nasbench_lab.running.search import random_streams, run
from nasbench_lab.simulator import simulate
from nasbench_lab.stats import bootstrap_interval
from nasbench_lab.tables.columns import Query

ALGORITHMS = ["random_search", "regularized_evolution", "reinforce", "gp_bo"]
PROTEINS = "nas-bench-graph/proteins"
BUDGET = 18

OWN = """
from nasbench_lab import SearchAlgorithm

class Upwards(SearchAlgorithm):
    def __init__(self, space, *, step=1, **kwargs):
        super().__init__(space, **kwargs)
        self.step, self.at = step, int(self.rng.integers(space.size))

    def ask(self):
        self.at = (self.at + self.step) % self.space.size
        return self.trial(self.space.at(self.at))

class Unused(SearchAlgorithm):
    def ask(self):
        return None

class NoSearch:
    pass
"""


class SkipsOften(SearchAlgorithm):
    """Asks for four skips, which the table lacks, every third time."""

    def ask(self):
        wiring, *operations = self.space.sample(self.rng)
        if self._n_trials % 3 == 2:
            operations = [4] * 4
        return self.trial((wiring, *operations))


class OftenFails(SearchAlgorithm):
    """In some of its runs it asks nothing, in some only what the table lacks."""

    def ask(self):
        if self._n_trials == 0:
            self.kind = int(self.rng.integers(3))
        if self.kind == 0:
            return None
        return self.trial((0, 4, 4, 4, 4) if self.kind == 1 else self.space.sample(self.rng))


def fails_in_run(number):
    class Unlucky(SearchAlgorithm):
        runs = 0

        def ask(self):
            Unlucky.runs += self._n_trials == 0
            if Unlucky.runs == number:
                raise KeyError("luck")
            return self.trial(self.space.sample(self.rng))

    return Unlucky


class AsksNothing(SearchAlgorithm):
    def ask(self):
        return None


@pytest.fixture
def own_file(tmp_path):
    path = tmp_path / "my search.py"
    path.write_text(OWN)
    return path


@pytest.fixture(scope="module")
def result():
    return compare(ALGORITHMS, PROTEINS, budget=BUDGET, seeds=16, n_jobs=1)


def runs_of(result):
    """Every trace by benchmark, algorithm and seed."""
    return {(r.benchmark, r.algorithm, r.seed): r.trace for r in result.runs}


def assert_same_runs(some, others, n):
    """The cells that both results have are n, and equal to the bit."""
    some, others = runs_of(some), runs_of(others)
    both = some.keys() & others.keys()
    assert len(both) == n
    for key in both:
        assert some[key].equals(others[key]), key
        assert some[key].settings == others[key].settings


# The same traces, whatever else is run


def test_two_processes_give_the_same_traces_as_one(result):
    other = compare(ALGORITHMS, PROTEINS, budget=BUDGET, seeds=16, n_jobs=2)
    assert_same_runs(result, other, 64)
    assert list(runs_of(other)) == list(runs_of(result))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_other_seeds_algorithms_and_tables_beside_it_change_no_run(result, n_jobs):
    other = compare(
        ["gp_bo", "regularized_evolution", "random_search(replacement=False)"],
        ["nas-bench-graph/cora", PROTEINS],
        budget=BUDGET,
        seeds=[20, 7, 3, 11],
        n_jobs=n_jobs,
    )
    assert_same_runs(result, other, 6)


def test_seeds_in_another_order_are_the_same_runs(result):
    other = compare(
        ALGORITHMS[:3][::-1], PROTEINS, budget=BUDGET, seeds=range(15, -1, -1), n_jobs=1
    )
    assert_same_runs(result, other, 48)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_single_run_is_the_comparisons_cell(result, algorithm):
    trace = run(algorithm, PROTEINS, BUDGET, seed=13)
    assert trace.equals(result.traces(PROTEINS, algorithm)[13])
    assert trace.settings == result.traces(PROTEINS, algorithm)[13].settings


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_seeds_give_different_runs(result, algorithm):
    asked = {trace.row.tobytes() for trace in result.traces(PROTEINS, algorithm)}
    assert len(asked) == 16


def test_algorithms_and_tables_have_streams_of_their_own(timed, make_table):
    twin = TableBenchmark(make_table(name="toy/twin"))
    one = run("random_search", TableBenchmark(timed), 30, seed=1)
    assert not np.array_equal(one.row, run("random_search", twin, 30, seed=1).row)
    initial = run("regularized_evolution(population_size=30)", TableBenchmark(timed), 30, seed=1)
    assert not np.array_equal(one.row, initial.row)


def test_every_cell_has_three_streams_of_its_own():
    cells = [("table", "search", 1), ("table", "search", 2), ("table2", "search", 1)]
    cells += [("table", "search2", 1), ("search", "table", 1), ("tables", "earch", 1)]
    streams = [stream for cell in cells for stream in random_streams(*cell)]
    assert len({tuple(stream.generate_state(4)) for stream in streams}) == 18
    again = [stream for cell in cells for stream in random_streams(*cell)]
    assert [s.generate_state(4).tolist() for s in streams] == [
        s.generate_state(4).tolist() for s in again
    ]


def test_hyperparameters_come_as_text_or_by_name():
    text = run("regularized_evolution(population_size=3, sample_size=1)", PROTEINS, 30, seed=2)
    named = run("regularized_evolution", PROTEINS, 30, seed=2, population_size=3, sample_size=1)
    default = run("regularized_evolution", PROTEINS, 30, seed=2)
    assert text.equals(named)
    assert not text.equals(default)


def test_a_name_a_class_and_an_instance_can_be_run():
    cls = algorithm_class("random_search")
    assert run(cls, PROTEINS, 10, seed=2).equals(run(cls, load_benchmark(PROTEINS), 10, seed=2))
    space = load_benchmark(PROTEINS).space
    instance = run(cls(space, seed=5), PROTEINS, 10, seed=2)
    assert instance.equals(simulate(cls(space, seed=5), load_benchmark(PROTEINS), 10))


def test_a_minimised_objective_is_minimised():
    benchmark = load_benchmark(PROTEINS, objective="latency")
    rows = [run("regularized_evolution", benchmark, 80, seed=seed).row[-20:] for seed in range(5)]
    latency = benchmark.table.values("latency")
    assert latency[np.concatenate(rows)].mean() < 0.5 * latency.mean()


def test_workers_and_free_repeats_reach_the_runs(timed):
    benchmark = TableBenchmark(timed)
    result = compare(
        ["random_search"], benchmark, budget=10, seeds=1, workers=3, charge_repeats=False, n_jobs=1
    )
    (trace,) = result.traces("toy/timed", "random_search")
    assert set(trace.worker.tolist()) == {0, 1, 2}
    assert (trace.cost == 0).any()
    assert trace.equals(run("random_search", benchmark, 10, workers=3, charge_repeats=False))


def test_progress_counts_every_run():
    seen = []
    compare(
        ["random_search", "reinforce"],
        PROTEINS,
        budget=5,
        seeds=17,
        n_jobs=1,
        progress=lambda *done: seen.append(done),
    )
    assert [done for done, _, _ in seen] == [*range(2, 17, 2), 17, *range(19, 34, 2), 34]
    assert {total for _, total, _ in seen} == {34}
    assert seen[0][2] == f"random_search on {PROTEINS}"


# Result folders


def assert_same_result(one, other):
    assert_same_runs(one, other, len(one.runs))
    assert len(one.runs) == len(other.runs)
    assert one.experiment == other.experiment
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame())
    pd.testing.assert_frame_equal(one.summary(), other.summary())
    assert one.notes() == other.notes()


def test_a_saved_result_is_read_as_it_was(result, tmp_path):
    result.save(tmp_path / "new" / "result")
    assert_same_result(result, Result.open(tmp_path / "new" / "result"))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_comparison_leaves_its_folder_as_it_goes(tmp_path, n_jobs):
    kept = []
    result = compare(
        ["random_search", "regularized_evolution"],
        [PROTEINS, "nas-bench-graph/cora"],
        budget=12,
        seeds=[4, 2, 9],
        n_jobs=n_jobs,
        folder=tmp_path,
        progress=lambda done, *_: kept.append((done, len(Result.open(tmp_path).runs))),
    )
    assert kept == [(n, n) for n in range(1, 13)]
    assert_same_result(result, Result.open(tmp_path))


def test_one_seed_of_several_algorithms_is_kept(tmp_path):
    result = compare(ALGORITHMS, PROTEINS, budget=5, seeds=[7], n_jobs=1)
    result.save(tmp_path)
    assert_same_result(result, Result.open(tmp_path))


def test_failures_several_objectives_and_numpy_numbers_are_kept(tmp_path):
    benchmark = load_benchmark(PROTEINS, objective=["valid_roc_auc", "latency"])
    result = compare(
        {"skips": SkipsOften},
        benchmark,
        budget=np.int64(10),
        seeds=np.arange(3),
        n_jobs=1,
        folder=tmp_path,
    )
    opened = Result.open(tmp_path)
    assert opened.benchmark(PROTEINS).queries == benchmark.queries
    for one, other in zip(result.runs, opened.runs, strict=True):
        assert one.trace.equals(other.trace)
        assert one.trace.objectives == other.trace.objectives
        assert np.isnan(other.trace.values[2::3]).all()


def test_a_random_trial_policy_is_kept(timed, tmp_path):
    benchmark = TableBenchmark(
        timed, objective=Query("valid_accuracy", trial="random"), clock="train_only"
    )
    result = compare(["random_search"], benchmark, budget=9, seeds=2, n_jobs=1, folder=tmp_path)
    entry = Result.open(tmp_path).experiment.benchmarks[0]
    assert entry.queries == benchmark.queries
    assert entry.clock == "train_only"
    assert_same_runs(result, Result.open(tmp_path), 2)


@pytest.fixture
def folder(tmp_path):
    """A result folder of 12 runs in 12 parts."""
    compare(
        ["random_search", "reinforce"],
        PROTEINS,
        budget=10,
        seeds=6,
        n_jobs=1,
        folder=tmp_path / "r",
    )
    return tmp_path / "r"


def test_what_is_finished_of_a_result_can_be_read(folder, result):
    for shard in sorted((folder / "runs").iterdir())[4:]:
        shard.unlink()
    (folder / "runs" / ".000004-half.parquet").write_bytes(b"PAR1")
    partial = Result.open(folder)
    assert (len(partial.runs), partial.n_expected) == (4, 12)
    assert partial.summary()[["algorithm", "runs"]].values.tolist() == [["random_search", 4]]
    for done, whole in zip(partial.runs, result.runs, strict=False):
        assert np.array_equal(done.trace.row, whole.trace.row[:10])
    assert partial.notes()
    assert partial.plot().axes


def test_a_result_without_runs_can_be_read(folder):
    shutil.rmtree(folder / "runs")
    empty = Result.open(folder)
    assert (len(empty.runs), empty.n_expected) == (0, 12)
    assert len(empty.to_frame()) == len(empty.summary()) == 0


def edit_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def first_shard(folder):
    return min((folder / "runs").iterdir())


DAMAGES = {
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "no folder": shutil.rmtree,
    "half a manifest": lambda f: (f / "manifest.json").write_bytes(
        (f / "manifest.json").read_bytes()[:200]
    ),
    "another format": lambda folder: edit_manifest(folder, format=99),
    "a list as manifest": lambda folder: (folder / "manifest.json").write_text("[]"),
    "no experiment": lambda folder: edit_manifest(folder, experiment=None),
    "an experiment without algorithms": lambda folder: edit_manifest(
        folder, experiment={"benchmarks": []}
    ),
    "half a part": lambda f: first_shard(f).write_bytes(first_shard(f).read_bytes()[:-300]),
    "an empty part": lambda folder: first_shard(folder).write_bytes(b""),
    "a part of something else": lambda folder: pd.DataFrame({"x": [1]}).to_parquet(
        first_shard(folder)
    ),
    "a part with plain text columns": lambda folder: (
        pd.read_parquet(first_shard(folder))
        .astype({"algorithm": str, "architecture": str})
        .to_parquet(first_shard(folder))
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_refused(folder, damage):
    DAMAGES[damage](folder)
    with pytest.raises(TableFileError, match="cannot be read as a") as caught:
        Result.open(folder)
    if "part" in damage:
        assert f"{first_shard(folder)} cannot be read as a part of" in str(caught.value)
        assert "Delete it; what was in it is run again" in str(caught.value)
    else:
        assert f"{folder} cannot be read as a result" in str(caught.value)
        assert "`nasbench-lab compare`" in str(caught.value)


def test_a_folder_with_a_result_is_not_written_to(folder):
    before = Result.open(folder)
    with pytest.raises(ExperimentError, match=r"holds another experiment.* name another folder"):
        compare(["random_search"], PROTEINS, budget=3, seeds=1, n_jobs=1, folder=folder)
    with pytest.raises(DataFolderError, match=r"holds a result already\. Name another folder"):
        before.save(folder)
    assert_same_result(before, Result.open(folder))


def test_a_folder_that_cannot_be_made_is_refused_before_any_run(tmp_path):
    (tmp_path / "file").write_text("")
    done = []
    with pytest.raises(
        DataFolderError, match=r"Cannot write to .*for results, name another folder"
    ):
        compare(
            ["random_search"],
            PROTEINS,
            budget=3,
            seeds=1,
            n_jobs=1,
            folder=tmp_path / "file" / "result",
            progress=lambda *_: done.append(1),
        )
    assert not done


def test_a_comparison_that_fails_at_once_leaves_no_folder_behind(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "new" / "result"):
        with pytest.raises(AlgorithmError, match="Unlucky on"):
            compare([fails_in_run(1)], PROTEINS, budget=5, seeds=2, n_jobs=1, folder=folder)
        # After a mistake is mended, the same folder will do.
        assert not (folder / "manifest.json").exists()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["notes.txt"]
    assert not (tmp_path / "new" / "result").exists()


def test_what_was_finished_before_a_failure_is_kept(tmp_path):
    with pytest.raises(
        AlgorithmError, match=r"with seed 2 failed: KeyError: 'luck' .*test_compari"
    ):
        compare(
            [fails_in_run(3)], PROTEINS, budget=5, seeds=[0, 4, 2, 6], n_jobs=1, folder=tmp_path
        )
    assert [run.seed for run in Result.open(tmp_path).runs] == [0, 4]


def test_someone_elses_manifest_is_not_overwritten(tmp_path):
    (tmp_path / "manifest.json").write_text("mine")
    with pytest.raises(TableFileError, match="cannot be read as a result"):
        compare(["random_search"], PROTEINS, budget=3, seeds=1, n_jobs=1, folder=tmp_path)
    assert (tmp_path / "manifest.json").read_text() == "mine"


def test_a_result_is_not_judged_by_another_table(folder, tmp_path):
    made = Result.open(folder)
    other = "0" * 64
    first, *rest = made.experiment.benchmarks
    benchmarks = (dataclasses.replace(first, table=other), *rest)
    experiment = dataclasses.replace(made.experiment, benchmarks=benchmarks)
    runs = [dataclasses.replace(run, table=other) for run in made.runs]
    Result(experiment, runs).save(tmp_path / "other")
    opened = Result.open(tmp_path / "other")
    assert len(opened.to_frame()) == 120
    with pytest.raises(TableFileError, match="not the one that this result was made with"):
        opened.summary()


# What is refused


@pytest.mark.parametrize(
    ("algorithms", "benchmarks", "words"),
    [
        (["randm_search"], PROTEINS, "Unknown algorithm 'randm_search'. Did you mean 'random_sear"),
        ([], "nas-bench-graph/coraa", "Unknown table .* Did you mean 'nas-bench-graph/cora'"),
        (
            ["gp_bo(kernal=path)"],
            PROTEINS,
            "hyperparameter of GPBO 'kernal'. Did you mean 'kernel'",
        ),
        (["random_search(seed_=1)"], PROTEINS, "Unknown hyperparameter of RandomSearch 'seed_'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(algorithms, benchmarks, words):
    with pytest.raises(UnknownNameError, match=words):
        compare(algorithms, benchmarks, budget=5, seeds=2)


def test_an_unknown_algorithm_says_how_to_name_ones_own():
    with pytest.raises(UnknownNameError, match=r"path/to/file\.py:ClassName"):
        run("my_search", PROTEINS, 5)


def test_a_hyperparameter_by_name_is_checked_too():
    with pytest.raises(UnknownNameError, match="Did you mean 'sample_size'"):
        run("regularized_evolution", PROTEINS, 5, sample_sise=3)
    with pytest.raises(HyperparameterError, match="sample_size"):
        run("regularized_evolution", PROTEINS, 5, sample_size=0)


@pytest.mark.parametrize(
    "twice",
    [
        ["random_search", "random_search"],
        ["gp_bo(n_initial=3)", "gp_bo(n_initial=3)"],
        ["one/search.py:Mine", "two/search.py:Mine"],
        [SkipsOften, SkipsOften],
    ],
)
def test_algorithms_of_one_label_are_refused(twice):
    with pytest.raises(ValueError, match=r"different names .* Give a mapping of labels"):
        compare(twice, PROTEINS, budget=5, seeds=2)


def test_benchmarks_of_one_name_are_refused():
    with pytest.raises(ValueError, match="benchmarks of different names"):
        compare(["random_search"], [PROTEINS, PROTEINS], budget=5, seeds=2)


@pytest.mark.parametrize("seeds", [0, -1, [], [1, 2, 1], [-1], np.array([3, 3])])
def test_seeds_that_give_no_comparison_are_refused(seeds):
    with pytest.raises(ExperimentError, match=r"whole numbers from 0 on, none of them twice"):
        compare(["random_search"], PROTEINS, budget=5, seeds=seeds)


@pytest.mark.parametrize(("algorithms", "benchmarks"), [([], PROTEINS), (["random_search"], [])])
def test_a_comparison_of_nothing_is_refused(algorithms, benchmarks):
    with pytest.raises(ValueError, match="at least one algorithm and one benchmark"):
        compare(algorithms, benchmarks, budget=5, seeds=2)


@pytest.mark.parametrize("budget", ["100s", "10epochs", 0, None, "soon"])
def test_a_budget_is_refused_before_any_run(budget, tmp_path):
    with pytest.raises(BudgetError):
        compare(["random_search"], PROTEINS, budget=budget, seeds=2, folder=tmp_path / "r")
    assert not (tmp_path / "r").exists()


# Algorithms of one's own


def test_a_file_of_ones_own_is_compared_by_two_processes(own_file, result):
    spec = f"{own_file}:Upwards"
    one, two = (
        compare([spec, "random_search"], PROTEINS, budget=BUDGET, seeds=8, n_jobs=n) for n in (1, 2)
    )
    assert one.algorithms == ["Upwards", "random_search"]
    assert_same_runs(one, two, 16)
    assert_same_runs(one, result, 8)
    for trace in two.traces(PROTEINS, "Upwards"):
        space = load_benchmark(PROTEINS).space
        assert set(np.diff(space.index(trace.architecture)) % space.size) == {1}


def test_a_file_of_ones_own_takes_hyperparameters(own_file, tmp_path):
    result = compare(
        [f"{own_file}:Upwards(step=7)"],
        PROTEINS,
        budget=9,
        seeds=2,
        n_jobs=1,
        folder=tmp_path / "r",
    )
    assert result.algorithms == ["Upwards(step=7)"]
    (trace, _) = result.traces(PROTEINS, "Upwards(step=7)")
    space = load_benchmark(PROTEINS).space
    assert set(np.diff(space.index(trace.architecture)) % space.size) == {7}
    assert Result.open(tmp_path / "r").algorithms == result.algorithms
    with pytest.raises(UnknownNameError, match="Did you mean 'step'"):
        compare([f"{own_file}:Upwards(stepp=7)"], PROTEINS, budget=9, seeds=2)


def test_a_class_from_a_file_is_compared_by_two_processes(own_file, result):
    cls = algorithm_class(f"{own_file}:Upwards")
    # First the class, while no worker has read the file yet.
    loaded, text = (
        compare([a], PROTEINS, budget=6, seeds=4, n_jobs=2) for a in (cls, f"{own_file}:Upwards")
    )
    assert_same_runs(loaded, text, 4)


def test_an_error_in_ones_own_file_is_placed_by_any_process(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN.replace("return self.trial(self.space.at(self.at))", "self.nothing"))
    for n_jobs in (1, 2):
        with pytest.raises(AlgorithmError, match=r"AttributeError.*own\.py, line 11, in ask\)"):
            compare([f"{path}:Upwards"], PROTEINS, budget=5, seeds=4, n_jobs=n_jobs)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OWN.replace(", **kwargs", ", seed=0").replace("space, seed=0)\n", "space)\n"), "maximize"),
        (OWN.replace("super().__init__", "pass;int"), "Upwards cannot be built"),
        (OWN.replace("def ask", "def answer"), "abstract"),
    ],
)
def test_a_class_that_cannot_be_built_is_refused_before_any_run(tmp_path, text, words):
    path = tmp_path / "own.py"
    path.write_text(text)
    with pytest.raises(HyperparameterError, match=words) as caught:
        compare([f"{path}:Upwards"], PROTEINS, budget=5, seeds=4, folder=tmp_path / "r")
    assert "must take space, seed and maximize" in str(caught.value)
    assert not (tmp_path / "r").exists()


def test_a_file_without_a_class_lists_its_classes(own_file):
    with pytest.raises(AlgorithmFileError, match=r"Name the class too.*:Upwards, .*:Unused"):
        run(str(own_file), PROTEINS, 5)


def test_hyperparameters_of_an_algorithm_that_is_built_are_refused():
    instance = make_algorithm("random_search", load_benchmark(PROTEINS).space)
    with pytest.raises(HyperparameterError, match="is built already, so replacement cannot be set"):
        run(instance, PROTEINS, 5, replacement=False)


def test_a_changed_file_is_read_anew(own_file):
    before = algorithm_class(f"{own_file}:Upwards")
    assert algorithm_class(f"{own_file}:Upwards") is before
    own_file.write_text(OWN.replace("step=1", "step=2"))
    assert make_algorithm(f"{own_file}:Upwards", load_benchmark(PROTEINS).space).step == 2


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (None, "Any", "Cannot read .*: No such file"),
        ("class Broken(:\n", "Broken", "cannot be imported: SyntaxError"),
        ("import not_installed_anywhere\n", "Any", "ModuleNotFoundError.*not_installed_anywhere"),
        ("1 / 0\n", "Any", "cannot be imported: ZeroDivisionError"),
        (OWN, "Upward", "define a class 'Upward' .* such classes there are: Upwards, Unused"),
        (OWN, "NoSearch", "define a class 'NoSearch' that inherits from SearchAlgorithm"),
        (OWN, "SearchAlgorithm", "define a class 'SearchAlgorithm'"),
        ("x = 1\n", "Any", "such classes there are: none"),
    ],
)
def test_a_file_that_holds_no_such_algorithm_is_refused(tmp_path, text, name, words):
    path = tmp_path / "own.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(AlgorithmFileError, match=words) as caught:
        compare([f"{path}:{name}"], PROTEINS, budget=5, seeds=2)
    assert "own.py" in str(caught.value)


def test_an_algorithm_that_leaves_the_space_is_refused_by_any_process(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN.replace("self.space.at(self.at)", "(0, 0)"))
    for n_jobs in (1, 2):
        with pytest.raises(
            AlgorithmError, match="Upwards asked for an architecture that is not of"
        ):
            compare([f"{path}:Upwards"], PROTEINS, budget=5, seeds=4, n_jobs=n_jobs)


@pytest.mark.parametrize(
    ("text", "name", "hyperparameters"),
    [
        ("gp_bo", "gp_bo", {}),
        (" gp_bo() ", "gp_bo", {}),
        ("gp_bo(kernel=matern, n_initial=5)", "gp_bo", {"kernel": "matern", "n_initial": 5}),
        ("a(x=1.5,y=True,z=None,w='a b')", "a", {"x": 1.5, "y": True, "z": None, "w": "a b"}),
        ("a ( x = -1e-3 )", "a", {"x": -1e-3}),
        ("dir/my file.py:Mine(k=2)", "dir/my file.py:Mine", {"k": 2}),
        ("C:\\own.py:Mine", "C:\\own.py:Mine", {}),
        ("new (2)/own.py:Mine(k=2)", "new (2)/own.py:Mine", {"k": 2}),
        ("a(b=(1, 2), c=[3, 'd, e'])", "a", {"b": (1, 2), "c": [3, "d, e"]}),
    ],
)
def test_an_algorithm_with_hyperparameters_as_text(text, name, hyperparameters):
    assert parse_algorithm(text) == (name, hyperparameters)


@pytest.mark.parametrize(
    "text", ["", "gp_bo(", "gp_bo)", "(n=1)", "a(5)", "a(=5)", "a(b=)", "a(b c=1)"]
)
def test_malformed_hyperparameters_are_refused(text):
    with pytest.raises(HyperparameterError, match="Expected name"):
        parse_algorithm(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a(b=1, c=2, b=3)", "b is given twice"), ("a(seed=1)", "seed is set by the experiment")],
)
def test_hyperparameters_that_cannot_be_meant_are_refused(text, words):
    with pytest.raises(HyperparameterError, match=words):
        parse_algorithm(text)


# Summary and notes


def final_by_hand(trace, values, best):
    """The distance from the best of what the incumbent has in ``values``."""
    incumbent = None
    for row, (value, *_) in zip(trace.row.tolist(), trace.values.tolist(), strict=True):
        if not math.isnan(value) and (incumbent is None or value > incumbent[0]):
            incumbent = (value, row)
    return best - values[incumbent[1]]


def test_the_summary_by_brute_force():
    result = compare(
        {"skips": SkipsOften, "evolution": "regularized_evolution"},
        [PROTEINS, "nas-bench-graph/cora"],
        budget=60,
        seeds=7,
        n_jobs=1,
    )
    summary = result.summary()
    assert summary[["benchmark", "algorithm", "runs"]].values.tolist() == [
        [benchmark, algorithm, 7]
        for benchmark in (PROTEINS, "nas-bench-graph/cora")
        for algorithm in ("skips", "evolution")
    ]
    for line in summary.to_dict(orient="records"):
        table = load_benchmark(line["benchmark"]).table
        runs = [
            r
            for r in result.runs
            if (r.benchmark, r.algorithm) == (line["benchmark"], line["algorithm"])
        ]
        for split in ("test", "valid"):
            column = table.info.report if split == "test" else table.info.objective
            values = table.values(column)
            regrets = np.array([final_by_hand(r.trace, values, values.max()) for r in runs])
            low, high = bootstrap_interval(regrets)
            np.testing.assert_allclose(line[f"{split}_regret"], regrets.mean(), rtol=1e-12)
            np.testing.assert_allclose(line[f"{split}_regret_low"], low, rtol=1e-12)
            np.testing.assert_allclose(line[f"{split}_regret_high"], high, rtol=1e-12)
        values = table.values(table.info.objective).tolist()
        for target, k in (("top_1pct", math.ceil(len(table) / 100)), ("top_10", 10)):
            threshold = sorted(values)[-k]
            firsts = []
            for r in runs:
                rows = enumerate(r.trace.row.tolist(), start=1)
                hits = [n for n, row in rows if row >= 0 and values[row] >= threshold]
                firsts.append(min(hits, default=math.inf))
            assert line[f"evals_to_{target}"] == sorted(firsts)[3]
            assert line[f"reached_{target}"] == sum(map(math.isfinite, firsts)) / 7
        assert line["failed"] == (
            20 if line["algorithm"] == "skips" and "proteins" in line["benchmark"] else 0
        )
        np.testing.assert_allclose(line["wall_s"], sum(r.wall_s for r in runs) / 7)


def test_runs_that_asked_nothing_are_kept_and_told_of(tmp_path):
    result = compare([AsksNothing, "random_search"], PROTEINS, budget=5, seeds=2, n_jobs=1)
    summary = result.summary()
    assert summary["algorithm"].tolist() == ["AsksNothing", "random_search"]
    assert summary["runs"].tolist() == [2, 2]
    assert summary["without"].tolist() == [2, 0]
    assert np.isnan(summary["test_regret"]).tolist() == [True, False]
    assert len(result.to_frame()) == 10
    notes = result.notes()
    assert notes[0] == f"{PROTEINS}: AsksNothing never asked for an evaluation in 2 of 2 runs."
    assert not any("found nothing" in note for note in notes)
    result.save(tmp_path)
    assert_same_result(result, Result.open(tmp_path))


def test_where_runs_found_nothing_there_is_no_mean(tmp_path):
    result = compare([OftenFails], PROTEINS, budget=5, seeds=20, n_jobs=1)
    (line,) = result.summary().to_dict(orient="records")
    lengths = [len(trace) for trace in result.traces(PROTEINS, "OftenFails")]
    traces = [t for t in result.traces(PROTEINS, "OftenFails") if np.isfinite(t.values).any()]
    assert 0 < lengths.count(0) < 20 - len(traces) < 20
    assert (line["runs"], line["without"]) == (20, 20 - len(traces))
    assert np.isnan(line["valid_regret"])
    values = load_benchmark(PROTEINS).table.values("valid_roc_auc")
    regrets = [final_by_hand(trace, values, values.max()) for trace in traces]
    regrets += [np.inf] * line["without"]
    assert line["valid_regret_median"] == pytest.approx(np.mean(sorted(regrets)[9:11]), rel=1e-12)
    result.save(tmp_path)
    assert_same_result(result, Result.open(tmp_path))


def test_notes_tell_what_the_best_validated_architecture_loses_on_test_data():
    result = compare(["random_search"], "nas-bench-graph/cora", budget=5, seeds=2, n_jobs=1)
    table = load_benchmark("nas-bench-graph/cora").table
    valid, test = table.values("valid_accuracy"), table.values("test_accuracy")
    # Two means of the same numbers, which differ by rounding.
    best = np.flatnonzero(np.isclose(valid, valid.max(), rtol=1e-9))
    floors = sorted(test.max() - test[best])
    assert len(floors) == 2
    assert floors[0] > 0.3
    (note,) = result.notes()
    assert note.endswith(f"have test_accuracy regrets from {floors[0]:.3g} to {floors[1]:.3g}.")


def test_notes_tell_where_the_table_has_one_accuracy():
    result = compare(["random_search"], "analognas-bench/cifar10", budget=5, seeds=2, n_jobs=1)
    (note,) = result.notes()
    assert (
        "one baseline_accuracy of an architecture, which is both searched on and reported" in note
    )


def test_notes_tell_of_entries_that_tie_for_the_best(make_table):
    valid, test = np.ones((2, 11, 2, 3))
    valid[[2, 7, 8]] = 5.0
    test[[2, 7, 8, 9]] = [[[10.0]], [[40.0]], [[20.0]], [[60.0]]]
    benchmark = TableBenchmark(make_table(name="toy/tied", valid=valid, test=test))
    *_, note = compare(["random_search"], benchmark, budget=5, seeds=2, n_jobs=1).notes()
    assert "the 3 entries that tie for the best valid_accuracy have test_accuracy regrets" in note
    assert note.endswith("from 20 to 50.")


def split_result(make_table, test_order, n_seeds=5, rows=(9, 2)):
    """Two algorithms, of which the first ends better on validation data."""
    ranks = np.ones((11, 2, 3)) * np.arange(11.0)[:, None, None]
    table = make_table(name="toy/split", valid=ranks, test=test_order * ranks)
    benchmark = TableBenchmark(table)

    def constant(row):
        class Constant(SearchAlgorithm):
            def ask(self):
                return self.trial(self.space.at(row))

        return Constant

    algorithms = {"high": constant(rows[0]), "low": constant(rows[1])}
    return compare(algorithms, benchmark, budget=Budget(evaluations=3), seeds=n_seeds, n_jobs=1)


def test_notes_tell_when_better_validation_gives_worse_test_results(make_table):
    worse = split_result(make_table, test_order=-1, n_seeds=6)
    said = "high wins on valid_accuracy, yet low is significantly better than it on test_accuracy"
    assert said in worse.notes()[1]
    assert "high wins" in worse.verdict()[0]
    assert "low wins" in worse.verdict()[0]
    # Of the entry with the best validation value, which is the best on test data too, nothing is said.
    assert split_result(make_table, test_order=1, n_seeds=6).notes() == []
    # Of five seeds, nothing is significant.
    few = split_result(make_table, test_order=-1, n_seeds=5)
    assert len(few.notes()) == 1
    assert "There are 5 seeds, and fewer than 6 cannot tell any of 2 algorithms" in few.verdict()[0]
    draw = split_result(make_table, test_order=1, n_seeds=6, rows=(9, 9))
    assert draw.notes() == []
    assert "high and low end alike in every seed" in draw.verdict()[0]
    assert split_result(make_table, test_order=0, n_seeds=6).notes() == []


def test_a_file_is_found_by_workers_that_started_elsewhere(tmp_path, monkeypatch):
    source = (
        "from nasbench_lab import SearchAlgorithm\n\n\nclass Own(SearchAlgorithm):\n"
        "    def ask(self):\n        return self.trial(self.space.sample(self.rng))\n"
    )
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "own.py").write_text(source)
        # joblib keeps its workers, and these stay in the folder in which they were started.
        monkeypatch.chdir(folder)
        result = compare(["own.py:Own"], "nas-bench-graph/proteins", budget=5, seeds=4, n_jobs=2)
        assert len(result.runs) == 4
        (folder / "own.py").unlink()

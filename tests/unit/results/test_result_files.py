"""Result folders: going on in them, refusing others, joining them."""

import importlib
import json
import os
import platform
import sys
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import joblib.externals.loky as loky
import numpy as np
import pyarrow.parquet as pq
import pytest

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import (
    AlgorithmError,
    DataFolderError,
    ExperimentError,
    TableFileError,
    WorkerError,
)
from nasbench_lab.experiment.differences import differences
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.experiment.toml import read_experiment
from nasbench_lab.registry import load_benchmark
from nasbench_lab.results import folder as result_files
from nasbench_lab.results.folder import find_unfinished, read_manifest, working_on
from nasbench_lab.results.result import Result, merged
from nasbench_lab.running import tasks
from nasbench_lab.running.comparison import compare
from nasbench_lab.workers import Workers

pytestmark = pytest.mark.long

CORA, DIGITS = "nas-bench-graph/cora", "nb201-digits"
SHORT = {"budget": 5, "n_jobs": 1}

COUNTED = """
from pathlib import Path

from nasbench_lab import SearchAlgorithm

class Counted(SearchAlgorithm):
    def ask(self):
        if self._n_trials == 0:
            with open(Path(__file__).with_name("runs.txt"), "a") as file:
                file.write(".")
        return self.trial(self.space.sample(self.rng))

class Other(Counted):
    pass
"""


class Counter:
    """An algorithm in a file that counts its runs, in whatever process."""

    def __init__(self, folder, text=COUNTED):
        self.file, self.log = folder / "own.py", folder / "runs.txt"
        self.file.write_text(text)
        self.spec = f"{self.file}:Counted"

    def taken(self):
        """How many runs there were since it was last asked."""
        count = len(self.log.read_text()) if self.log.exists() else 0
        self.log.unlink(missing_ok=True)
        return count


@pytest.fixture
def counter(tmp_path):
    return Counter(tmp_path)


class StopError(Exception):
    """Stands for whatever ends a process."""


def stop_at(number):
    def progress(done, *_):
        if done >= number:
            raise StopError

    return progress


def files(folder):
    """Each file of runs with all that would tell of its being written again."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in (folder / "runs").iterdir()
    }


def assert_same(one, other):
    assert one.experiment == other.experiment
    assert [run.cell for run in one.runs] == [run.cell for run in other.runs]
    for some, others in zip(one.runs, other.runs, strict=True):
        assert some.trace.equals(others.trace), some.cell
        assert some.trace.settings == others.trace.settings


# Going on


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_what_is_finished_is_not_run_again(counter, tmp_path, n_jobs):
    settings = {"budget": 5, "seeds": 20, "n_jobs": n_jobs, "folder": tmp_path / "r"}
    whole = compare([counter.spec, "random_search"], [CORA, DIGITS], **settings)
    assert counter.taken() == 40
    assert_same(compare([counter.spec, "random_search"], [CORA, DIGITS], **settings), whole)
    assert counter.taken() == 0
    lost = 0
    for number, path in enumerate(sorted((tmp_path / "r" / "runs").iterdir())):
        if number % 3 == 0:
            runs = {(run.algorithm, run.seed) for run in _runs_in(path)}
            lost += sum(algorithm == "Counted" for algorithm, _ in runs)
            path.unlink()
    before = files(tmp_path / "r")
    assert 0 < lost < 40
    seen = []
    again = compare(
        [counter.spec, "random_search"],
        [CORA, DIGITS],
        **settings,
        progress=lambda *done: seen.append(done),
    )
    assert counter.taken() == lost
    assert_same(again, whole)
    assert_same(Result.open(tmp_path / "r"), whole)
    assert before.items() <= files(tmp_path / "r").items()
    assert seen[0][0] > 40, "what was finished before counts"
    assert seen[-1][:2] == (80, 80)


def _runs_in(path):
    table = pq.read_table(path, columns=["algorithm", "seed"])
    lines = zip(table["algorithm"].to_pylist(), table["seed"].to_pylist(), strict=True)
    return [result_files.Run("", name, seed, None, 0) for name, seed in lines]


def test_parts_that_take_long_are_kept_as_they_go(counter, tmp_path, monkeypatch):
    settings = {"budget": 5, "seeds": 40, "n_jobs": 1, "folder": tmp_path / "r"}
    monkeypatch.setattr(tasks, "_SHARD_S", 0)
    with pytest.raises(StopError):
        compare([counter.spec], CORA, **settings, progress=stop_at(13))
    before = files(tmp_path / "r")
    assert counter.taken() == len(before) == len(Result.open(tmp_path / "r").runs) == 13
    monkeypatch.undo()
    result = compare([counter.spec], CORA, **settings)
    assert counter.taken() == 40 - 13
    assert before.items() <= files(tmp_path / "r").items()
    # Eight parts of five seeds, of which what was left was done at once.
    assert len(files(tmp_path / "r")) == 13 + 8
    assert_same(result, compare([counter.spec], CORA, budget=5, seeds=40, n_jobs=1))


def test_parts_that_take_long_are_kept_by_other_processes(tmp_path):
    # Workers import the modules anew, and with them how long a part may take.
    text = COUNTED + "\nfrom nasbench_lab.running import tasks\n\ntasks._SHARD_S = 0\n"
    counter = Counter(tmp_path, text)
    try:
        settings = {"budget": 5, "seeds": 24, "n_jobs": 2, "folder": tmp_path / "r"}
        with pytest.raises(StopError):
            compare([counter.spec, "random_search"], CORA, **settings, progress=stop_at(9))
        before = files(tmp_path / "r")
        finished = Result.open(tmp_path / "r")
        assert 9 <= len(finished.runs) < 48
        counter.taken()
        result = compare([counter.spec, "random_search"], CORA, **settings)
        assert counter.taken() == 24 - len(finished.traces(CORA, "Counted"))
        assert before.items() <= files(tmp_path / "r").items()
        # Of a part that is new to a worker, it does one run at a time.
        assert len(files(tmp_path / "r")) > 24
    finally:
        loky.get_reusable_executor().shutdown(wait=True)
        tasks._SHARD_S = 5.0
    assert_same(
        result, compare([counter.spec, "random_search"], CORA, budget=5, seeds=24, n_jobs=1)
    )


def test_parts_that_another_process_began_and_left_are_finished(tmp_path, monkeypatch):
    settings = {"budget": 5, "seeds": 24, "n_jobs": 1, "folder": tmp_path / "r"}
    others = []

    def another(*_):
        """Begins what is left, and is killed before it ends any part of it."""
        if not others:
            others.append(1)
            monkeypatch.setattr(tasks, "_SHARD_S", 0)
            with pytest.raises(StopError):
                compare(["random_search"], CORA, **settings, progress=stop_at(9))
            monkeypatch.undo()

    result = compare(["random_search"], CORA, **settings, progress=another)
    assert len(result.runs) == result.n_expected == 24
    assert_same(result, compare(["random_search"], CORA, budget=5, seeds=24, n_jobs=1))
    assert_same(Result.open(tmp_path / "r"), result)


def test_a_part_that_was_deleted_is_done_again_whatever_the_others_hold(tmp_path, monkeypatch):
    settings = {"budget": 5, "seeds": 80, "n_jobs": 1, "folder": tmp_path / "r"}
    whole = compare(["random_search"], CORA, budget=5, seeds=80, n_jobs=1)
    monkeypatch.setattr(tasks, "_SHARD_S", 0)
    compare(["random_search"], CORA, **settings)
    monkeypatch.undo()
    rng = np.random.default_rng(0)
    for _ in range(3):
        # Sets of all sizes are missing from the parts of ten seeds, again and again.
        for path in sorted((tmp_path / "r" / "runs").iterdir()):
            if rng.random() < 0.4:
                path.unlink()
        assert_same(compare(["random_search"], CORA, **settings), whole)


def test_going_on_needs_no_other_process_to_be_where_it_was(tmp_path, monkeypatch):
    # joblib keeps its workers, and these stay in the folder in which they were started.
    settings = {"budget": 5, "seeds": 16, "n_jobs": 2, "folder": "r"}
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        result = compare(["random_search"], CORA, **settings)
        assert len(result.runs) == 16
        assert len(files(Path("r"))) == 8


def test_a_process_that_is_killed_at_work_is_an_error_that_loses_nothing(tmp_path):
    text = COUNTED + (
        "\nimport os, signal\n\nclass Dies(SearchAlgorithm):\n    def ask(self):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    counter = Counter(tmp_path, text)
    algorithms = [counter.spec, f"{counter.file}:Dies"]
    with pytest.raises(WorkerError, match="One of 2 processes was killed while it worked"):
        compare(algorithms, CORA, budget=5, seeds=16, n_jobs=2, folder=tmp_path / "r")
    kept = Result.open(tmp_path / "r")
    assert kept.runs
    assert {run.algorithm for run in kept.runs} == {"Counted"}


# Another experiment


BASE = {"algorithms": ["random_search", "gp_bo"], "benchmarks": DIGITS, "budget": 5, "seeds": 3}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"budget": 6}, "budget evaluations 5 there, 6 here"),
        (
            {"budget": "5, 9s"},
            "budget seconds not given there, 9.0 here",
        ),
        ({"workers": 2}, "workers count 1 there, 2 here"),
        (
            {"workers": Workers(1, straggle=0.5)},
            "workers straggle not given there, 0.5 here",
        ),
        ({"charge_repeats": False}, "charge_repeats true there, false here"),
        (
            {"algorithms": {"random_search": "random_search", "gp_bo": "gp_bo(n_initial=3)"}},
            'algorithms gp_bo algorithm "gp_bo" there, "gp_bo(n_initial=3)" here',
        ),
        (
            {"benchmarks": load_benchmark(DIGITS, clock="resume")},
            f'benchmarks {DIGITS} clock "official" there, "resume" here',
        ),
        (
            {"benchmarks": load_benchmark(DIGITS, objective="flops")},
            "objectives only there: valid_accuracy",
        ),
        (
            {"benchmarks": load_benchmark(DIGITS, report="parameters")},
            f'benchmarks {DIGITS} report metric "test_accuracy" there, "parameters" here',
        ),
        (
            {"benchmarks": load_benchmark(DIGITS, constraints="parameters<=0.02")},
            f"benchmarks {DIGITS} constraints [] there, ",
        ),
    ],
)
def test_another_experiment_is_refused_with_the_difference(tmp_path, change, words):
    compare(**BASE, n_jobs=1, folder=tmp_path / "r")
    before = files(tmp_path / "r")
    with pytest.raises(ExperimentError) as caught:
        compare(**(BASE | change), n_jobs=1, folder=tmp_path / "r")
    assert f"{tmp_path / 'r'} holds another experiment, so it cannot go on there: " in str(
        caught.value
    )
    assert words in str(caught.value)
    assert "name another folder" in str(caught.value)
    assert files(tmp_path / "r") == before


def test_all_differences_are_shown(tmp_path):
    compare(**BASE, n_jobs=1, folder=tmp_path / "r")
    with pytest.raises(ExperimentError) as caught:
        compare(**(BASE | {"budget": 9, "workers": 2}), n_jobs=1, folder=tmp_path / "r")
    for words in ("budget evaluations 5 there, 9 here; ", "workers count 1 there, 2 here. Give"):
        assert words in str(caught.value)


def test_long_lists_of_equal_ends_are_told_apart():
    one = {"seeds": [*range(50), 60, 99]}
    assert differences(one, {"seeds": [*range(50), 70, 99]}) == [
        "seeds only there: 60",
        "seeds only here: 70",
    ]
    assert differences(one, {"seeds": [0, *range(49, 0, -1), 60, 99]}) == ["seeds in another order"]
    assert differences(one, {"seeds": tuple(one["seeds"])}) == []
    some = [[{"limit": n, "query": "x" * 30} for n in three] for three in ((1, 2, 3), (1, 4, 3))]
    assert differences({"bounds": some[0]}, {"bounds": some[1]}) == [
        f"bounds only there: {some[0][1]}",
        f"bounds only here: {some[1][1]}",
    ]


def test_an_algorithm_that_was_changed_is_refused(counter, tmp_path):
    settings = {"budget": 5, "seeds": 2, "n_jobs": 1, "folder": tmp_path / "r"}
    compare([counter.spec], CORA, **settings)
    # The same code elsewhere is the same.
    (tmp_path / "elsewhere").mkdir()
    moved = Counter(tmp_path / "elsewhere")
    compare([moved.spec], CORA, **settings)
    assert moved.taken() == 0
    counter.file.write_text(COUNTED + "\n# changed\n")
    with pytest.raises(ExperimentError, match=r"algorithms Counted: own\.py has changed\. Give"):
        compare([counter.spec], CORA, **settings)


def test_a_class_that_was_changed_is_refused(counter, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    settings = {"budget": 5, "seeds": 2, "n_jobs": 1, "folder": tmp_path / "r"}
    module = importlib.import_module("own")
    compare([module.Counted], CORA, **settings)
    assert counter.taken() == 2
    # What stands beside the class may be what its methods call.
    counter.file.write_text(COUNTED + "\n# beside the class")
    with pytest.raises(ExperimentError, match=r"algorithms Counted: own\.py has changed"):
        compare([importlib.reload(module).Counted], CORA, **settings)
    assert counter.taken() == 0
    del sys.modules["own"]


def test_other_versions_are_refused(tmp_path, monkeypatch):
    compare(["random_search"], CORA, **SHORT, seeds=2, folder=tmp_path / "r")
    changed = {**result_files.made_with(), "versions": {"nasbench-lab": "0.0", "numpy": "9.9"}}
    monkeypatch.setattr(result_files, "made_with", lambda: changed)
    with pytest.raises(ExperimentError) as caught:
        compare(["random_search"], CORA, **SHORT, seeds=2, folder=tmp_path / "r")
    assert f'numpy "{np.__version__}" there, "9.9" here' in str(caught.value)
    assert f'scipy "{version("scipy")}" there, not given here' in str(caught.value)


def test_another_table_of_the_name_is_refused(tmp_path, make_table):
    one, other = (make_table(name="toy/same", valid=np.full((11, 2, 3), v)) for v in (1.0, 2.0))
    compare(["random_search"], TableBenchmark(one), **SHORT, seeds=2, folder=tmp_path / "r")
    with pytest.raises(ExperimentError, match=r"benchmarks toy/same has changed\. Give"):
        compare(["random_search"], TableBenchmark(other), **SHORT, seeds=2, folder=tmp_path / "r")


def test_parts_without_their_manifest_are_not_taken_for_another_experiments(tmp_path):
    folder = tmp_path / "r"
    result = compare(["random_search"], CORA, **SHORT, seeds=2, folder=folder)
    before = files(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(ExperimentError, match=r"parts of a result whose manifest\.json is gone"):
        compare(["random_search"], CORA, budget=9, seeds=2, n_jobs=1, folder=folder)
    assert files(folder) == before
    assert not (folder / "manifest.json").exists()
    # Parts say themselves of what they are, so the same experiment goes on.
    assert_same(compare(["random_search"], CORA, **SHORT, seeds=2, folder=folder), result)
    assert files(folder) == before
    assert_same(Result.open(folder), result)


def test_a_damaged_part_is_named_and_done_again_once_it_is_deleted(counter, tmp_path):
    settings = {"budget": 5, "seeds": 6, "n_jobs": 1, "folder": tmp_path / "r"}
    whole = compare([counter.spec], CORA, **settings)
    assert counter.taken() == 6
    damaged = sorted((tmp_path / "r" / "runs").iterdir())[2]
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(TableFileError) as caught:
        compare([counter.spec], CORA, **settings)
    assert f"{damaged} cannot be read as a part of a result" in str(caught.value)
    assert counter.taken() == 0
    damaged.unlink()
    assert_same(compare([counter.spec], CORA, **settings), whole)
    assert counter.taken() == 1


# Several processes


def test_who_came_second_still_works_on_the_folder_when_the_first_leaves(tmp_path):
    described = Experiment.of(["random_search"], CORA, budget=5, seeds=2)
    folder = tmp_path / "r"
    with ExitStack() as second:
        with working_on(folder, described):
            second.enter_context(working_on(folder, described))
        writing = folder / "runs" / ".half-written.parquet"
        writing.write_bytes(b"PAR1")
        with working_on(folder, described) as existed:
            assert existed
        assert writing.exists(), "what another process is writing was taken for left behind"
        assert read_manifest(folder).experiment.seeds == (0, 1)
    writing.unlink(missing_ok=True)
    with working_on(folder, described):
        pass
    assert not folder.exists()


def test_what_killed_processes_were_writing_is_tidied_up(tmp_path):
    compare(["random_search"], CORA, **SHORT, seeds=2, folder=tmp_path)
    left = [".nasbench-lab-x", "runs/.nasbench-lab-y"]
    others = [".a-b-c-d", ".mine"]
    for name in (*left, *others):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("half")
    compare(["random_search"], CORA, **SHORT, seeds=2, folder=tmp_path)
    assert {path.name for path in tmp_path.rglob(".*")} == set(others)


def test_an_experiment_file_of_ones_own_stays(tmp_path):
    file = tmp_path / "experiment.toml"
    file.write_text("# mine")
    described = Experiment.of(["random_search"], CORA, budget=5, seeds=2)
    with working_on(tmp_path, described):
        assert (tmp_path / "manifest.json").exists()
    assert file.read_text() == "# mine"
    assert not (tmp_path / "manifest.json").exists()


def test_a_folder_that_takes_no_manifest_is_refused(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataFolderError, match=r"Cannot write to .*r: No space left"):
        compare(["random_search"], CORA, **SHORT, seeds=2, folder=tmp_path / "r")
    assert not (tmp_path / "r").exists()


# What a folder says


def test_the_manifest_says_what_was_run_and_with_what(tmp_path):
    benchmark = load_benchmark(DIGITS, clock="resume", constraints="parameters<=0.02")
    compare(
        {"mine": "random_search"},
        benchmark,
        budget="9s",
        seeds=[4, 7],
        workers=Workers(2, fail=0.1),
        charge_repeats=False,
        n_jobs=1,
        folder=tmp_path,
    )
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["format"] == 4
    said = manifest["experiment"]
    assert said["algorithms"] == [{"name": "mine", "algorithm": "random_search"}]
    assert said["budget"] == {"seconds": 9.0}
    assert said["seeds"] == [4, 7]
    assert said["workers"] == {"count": 2, "fail": 0.1}
    assert said["charge_repeats"] is False
    (entry,) = said["benchmarks"]
    assert (entry["name"], entry["clock"]) == (DIGITS, "resume")
    assert entry["table"] == benchmark.fingerprint
    assert entry["source"] == dict(benchmark.table.info.source)
    assert [(c["query"]["metric"], c["limit"]) for c in entry["constraints"]] == [
        ("parameters", 0.02)
    ]
    made = manifest["made_with"]
    assert made["platform"] == platform.platform()
    assert made["python"] == platform.python_version()
    for package in ("nasbench-lab", "numpy", "scipy", "scikit-learn", "nas-bench-graph"):
        assert made["versions"][package] == version(package)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("experiment.toml", "manifest.json", "runs"),
    ]
    for path in (tmp_path / "runs").iterdir():
        assert path.suffix == ".parquet"
        # Others may read what is as public as files usually are.
        assert path.stat().st_mode == (tmp_path / "manifest.json").stat().st_mode


@pytest.mark.parametrize(
    "damage",
    [
        {"made_with": {}},
        {"made_with": None},
        {"experiment": []},
        {"experiment": {"algorithms": [], "benchmarks": 1, "seeds": []}},
        {"experiment": {"algorithms": ["x"], "benchmarks": [], "seeds": []}},
        {"experiment": {"algorithms": [], "benchmarks": []}},
        {"format": "3"},
    ],
)
def test_a_manifest_that_is_not_ours_is_refused_and_passed_over(tmp_path, damage):
    compare(["random_search"], CORA, **SHORT, seeds=2, folder=tmp_path / "r")
    path = tmp_path / "r" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    for attempt in (
        lambda: Result.open(tmp_path / "r"),
        lambda: compare(["random_search"], CORA, **SHORT, seeds=2, folder=tmp_path / "r"),
    ):
        with pytest.raises(TableFileError, match="cannot be read as a result"):
            attempt()
    described = Experiment.of(["random_search"], CORA, budget=5, seeds=2)
    assert find_unfinished(tmp_path, described) is None


def other_machine(monkeypatch, **versions):
    """Makes this process one of another machine, with other versions."""
    here = result_files.made_with()
    made = {**here, "platform": "elsewhere", "versions": here["versions"] | versions}
    for module in (result_files, tasks):
        monkeypatch.setattr(module, "made_with", lambda: made)
    return made


def test_every_run_says_what_it_was_made_with(tmp_path, monkeypatch):
    here = result_files.made_with()
    compare(["random_search"], CORA, **SHORT, seeds=4, folder=tmp_path / "r")
    for path in sorted((tmp_path / "r" / "runs").iterdir())[2:]:
        path.unlink()
    there = other_machine(monkeypatch)
    result = compare(["random_search"], CORA, **SHORT, seeds=4, folder=tmp_path / "r")
    result.save(tmp_path / "saved")
    joined = merged({"a": Result.open(tmp_path / "saved")})
    joined.save(tmp_path / "merged")
    for one in (result, *(Result.open(tmp_path / name) for name in ("r", "saved", "merged"))):
        assert [dict(run.made_with) for run in one.runs] == [here, here, there, there]
        assert one.made_with == [here, there]
        assert one.notes_on_origin() == []


# Joining


def run_some(folder, algorithms=("random_search",), benchmarks=(CORA,), seeds=2, **more):
    return compare(algorithms, benchmarks, **(SHORT | more), seeds=seeds, folder=folder)


def test_seeds_algorithms_and_tables_are_joined(tmp_path):
    whole = compare(["random_search", "gp_bo"], [CORA, DIGITS], **SHORT, seeds=4)
    parts = {
        "seeds": run_some(tmp_path / "a", seeds=[3, 1]),
        "overlap": run_some(tmp_path / "b", seeds=[0, 1, 2]),
        "table": run_some(tmp_path / "c", benchmarks=[DIGITS], seeds=4),
        "algorithm": run_some(tmp_path / "d", ["gp_bo"], [DIGITS, CORA], seeds=4),
    }
    result = merged(parts)
    assert_same(result, whole)
    assert result.notes_on_origin() == []
    assert_same(merged({"result": result}), whole)
    pd_summary = result.summary().drop(columns="wall_s")
    assert pd_summary.equals(whole.summary().drop(columns="wall_s"))


def test_what_is_missing_in_a_joined_result_is_told(tmp_path):
    result = merged(
        {
            "a": run_some(tmp_path / "a", seeds=[0, 1]),
            "b": run_some(tmp_path / "b", ["gp_bo"], seeds=[1, 2]),
        }
    )
    assert (len(result.runs), result.n_expected) == (4, 6)
    assert result.notes_on_origin() == ["2 of the 6 runs are missing."]


def test_runs_of_different_versions_are_joined_with_a_note(tmp_path, monkeypatch):
    one = run_some(tmp_path / "a", seeds=[0])
    other_machine(monkeypatch, numpy="9.9")
    result = merged({"a": one, "b": run_some(tmp_path / "b", seeds=[1])})
    (note,) = result.notes_on_origin()
    assert "made with different versions: numpy" in note
    assert '"9.9"' in note


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"budget": 6}, "budget evaluations 5 there, 6 here"),
        ({"workers": 2}, "workers count 1 there, 2 here"),
        ({"charge_repeats": False}, "charge_repeats true there, false here"),
        (
            {"benchmarks": [load_benchmark(CORA, objective="latency")]},
            "benchmarks nas-bench-graph/cora objectives only there: valid_accuracy",
        ),
        (
            {"algorithms": {"random_search": "gp_bo"}},
            'algorithms random_search algorithm "random_search" there, "gp_bo" here',
        ),
    ],
)
def test_results_of_different_experiments_are_not_joined(tmp_path, change, words):
    results = {"mine": run_some(None), "yours": run_some(None, **({"seeds": [7]} | change))}
    with pytest.raises(
        ExperimentError, match="mine and yours cannot be joined, as they are of"
    ) as c:
        merged(results)
    assert words in str(c.value)


def test_a_run_that_came_out_differently_is_not_joined(monkeypatch):
    one = run_some(None, seeds=2)
    other = run_some(None, ["gp_bo"], seeds=2)
    other_machine(monkeypatch, numpy="9.9")
    changed = [
        result_files.Run(CORA, "random_search", run.seed, run.trace, 0.0, result_files.made_with())
        for run in run_some(None, ["reinforce"], seeds=2).runs[1:]
    ]
    with pytest.raises(ExperimentError) as caught:
        merged({"a": other, "b": one, "c": Result(one.experiment, changed)})
    for words in ("b and c cannot be joined: random_search on nas-bench-graph/cora with seed 1 came "
                  "out differently", "numpy 9.9"):  # fmt: skip
        assert words in str(caught.value)


def test_nothing_cannot_be_joined():
    with pytest.raises(ExperimentError, match="at least one result"):
        merged({})


# The commands


SMALL = ("--benchmark", CORA, "-a", "random_search", "--budget", 5, "--jobs", 1)


def begun(folder, seeds=3):
    """Leaves a part of what ``SMALL`` is."""
    compare(["random_search"], CORA, **SHORT, seeds=seeds, folder=folder)
    path = sorted((folder / "runs").iterdir())[0]
    path.unlink()


def test_compare_goes_on_in_the_last_folder_that_is_not_finished(lab, tmp_path, undrawn):
    begun(tmp_path / "results" / "2020-01-01")
    begun(tmp_path / "results" / "2021-01-01")
    begun(tmp_path / "results" / "2022-01-01", seeds=4)  # another experiment
    compare(["random_search"], CORA, **SHORT, seeds=3, folder=tmp_path / "results" / "2023-01-01")
    (tmp_path / "results" / "notes.txt").write_text("mine")
    (tmp_path / "results" / "empty").mkdir()
    for name in ("2021-01-01", "2020-01-01"):
        done = lab("compare", *SMALL, "--seeds", 3)
        assert done.code == 0, done.err
        folder = Path("results") / name
        assert f"2 of 3 runs are finished in {folder} and not run again." in done.err
        assert len(Result.open(folder).runs) == 3
    before = set(Path("results").iterdir())
    done = lab("compare", *SMALL, "--seeds", 3, "--json")
    assert "not run again" not in done.err
    (new,) = set(Path("results").iterdir()) - before
    assert len(Result.open(new).runs) == 3


def test_a_damaged_part_of_another_result_does_not_disturb(lab, tmp_path, undrawn):
    begun(tmp_path / "results" / "x")
    for path in (tmp_path / "results" / "x" / "runs").iterdir():
        path.write_bytes(b"")
    assert lab("compare", *SMALL, "--seeds", 3).code == 0
    outcome = lab("compare", *SMALL, "--seeds", 3, "-o", "results/x")
    assert outcome.code == 1
    assert "Delete it; what was in it is run again" in outcome.err


def test_compare_writes_the_file_that_it_stands_for(lab, tmp_path, undrawn):
    assert lab("compare", *SMALL, "--seeds", 3, "-o", "r").code == 0
    file = Path("r/experiment.toml")
    done = lab("run", file, "-o", "again", "--jobs", 1, "--json")
    assert [line["runs"] for line in done.data["summary"]] == [3]
    assert_same(Result.open("again"), Result.open("r"))
    assert (Path("again/experiment.toml")).read_text() == file.read_text()


def test_run_leaves_its_result_in_a_folder_of_the_files_name(lab, tmp_path, undrawn):
    (tmp_path / "studies").mkdir()
    file = tmp_path / "studies" / "first study.toml"
    counter = Counter(tmp_path / "studies")
    file.write_text(
        f'budget = 5\nseeds = 3\nbenchmarks = ["{CORA}"]\nalgorithms = ["own.py:Counted"]'
    )
    done = lab("run", "studies/first study.toml", "--jobs", 1)
    assert done.code == 0, done.err
    assert counter.taken() == 3
    assert Result.open("results/first study").algorithms == ["Counted"]
    assert "3 of 3 runs are finished" in lab("run", file, "--jobs", 1).err
    assert counter.taken() == 0
    file.write_text(file.read_text().replace("seeds = 3", "seeds = 4"))
    assert "3 of 4 runs are finished" in lab("run", file, "--jobs", 1).err
    assert counter.taken() == 1


def test_run_goes_on_in_the_folder_of_a_results_own_file(lab, tmp_path, undrawn):
    begun(tmp_path / "r")
    done = lab("run", "r/experiment.toml", "--jobs", 1)
    assert "2 of 3 runs are finished in r and not run again." in done.err
    assert len(Result.open("r").runs) == 3
    assert not Path("results").exists()


def test_merge_joins_folders_and_the_rest_can_be_run(lab, tmp_path, undrawn):
    for name, algorithm, seeds in (("a", "random_search", [0, 1]), ("b", "gp_bo", [1, 2])):
        run_some(tmp_path / name, [algorithm], seeds=seeds)
    before = {name: files(tmp_path / name) for name in "ab"}
    done = lab("merge", "a", "b", "-o", "all")
    assert done.code == 0, done.err
    assert done.words == "Note: 2 of the 6 runs are missing. 4 of 6 runs: all"
    assert {name: files(tmp_path / name) for name in "ab"} == before
    merged_files = files(tmp_path / "all")
    done = lab("run", "all/experiment.toml", "--jobs", 1)
    assert "4 of 6 runs are finished in all and not run again." in done.err
    assert merged_files.items() <= files(tmp_path / "all").items()
    assert_same(Result.open("all"), compare(["random_search", "gp_bo"], [CORA], **SHORT, seeds=3))
    assert lab("merge", "all", "a").words.endswith(
        f"6 of 6 runs: {next(Path('results').iterdir())}"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a", "c", "-o", "all"), "a and c cannot be joined, as they are of different experiments"),
        (("a", "b", "-o", "a"), "a holds a result already. Name another folder."),
        (("a", "missing"), "missing cannot be read as a result"),
    ],
)
def test_merge_refuses_what_does_not_fit(lab, tmp_path, arguments, words):
    for name, more in (("a", {}), ("b", {"seeds": [7]}), ("c", {"budget": 6})):
        run_some(tmp_path / name, **more)
    outcome = lab("merge", *arguments)
    assert outcome.code == 1
    assert words in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_what_an_algorithm_finished_before_it_failed_is_kept(tmp_path):
    (tmp_path / "own.py").write_text(
        "from nasbench_lab import SearchAlgorithm\n"
        "class Fails(SearchAlgorithm):\n"
        "    def ask(self):\n"
        "        if self.rng.random() < 0.02:\n"
        "            raise KeyError('luck')\n"
        "        return self.trial(self.space.sample(self.rng))\n"
    )
    with pytest.raises(AlgorithmError, match="KeyError: 'luck'"):
        compare(
            [f"{tmp_path / 'own.py'}:Fails"],
            CORA,
            **{**SHORT, "n_jobs": 1},
            seeds=80,
            folder=tmp_path / "r",
        )
    # Seeds are given out in tens, and the first one to fail is not the first of its ten.
    runs = Result.open(tmp_path / "r").runs
    assert runs
    assert len(runs) % 10


@pytest.mark.parametrize("label", ["", "  "])
def test_an_empty_label_is_refused(label, tmp_path):
    with pytest.raises(ExperimentError, match="at least one letter"):
        compare({label: "random_search"}, CORA, **SHORT, seeds=1)
    file = tmp_path / "e.toml"
    file.write_text(
        f'budget = 2\nalgorithms = [{{ name = "{label}", algorithm = "gp_bo" }}]\n'
        f'benchmarks = ["{CORA}"]'
    )
    with pytest.raises(ExperimentError, match=r"line 2, algorithms\[0\].*at least one letter"):
        read_experiment(file)


def test_queries_that_differ_are_told_by_what_they_say():
    one = {"metric": "accuracy", "split": "valid", "epoch": None, "trial": "mean"}
    (text,) = differences({"queries": [one]}, {"queries": [{**one, "epoch": 3}]})
    assert text.startswith(
        'queries [{"metric": "accuracy", "split": "valid", "trial": "mean"}] there'
    )
    assert '"epoch": 3' in text

"""Searches that begin with what others have shown: results, a prior, candidates."""

import pickle
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from related_tables import OTHER_OPTIONS, SPACE, related_table

import nasbench_lab as lab
from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.errors import (
    ExperimentError,
    HyperparameterError,
    TableFileError,
    UnknownNameError,
    UnsuitedError,
)
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.experiment.toml import read_experiment, to_toml
from nasbench_lab.experiment.warm_start import N_CANDIDATES, WarmStart
from nasbench_lab.report.methods import methods
from nasbench_lab.results.manifest import read_manifest
from nasbench_lab.running.comparison import compare
from nasbench_lab.running.search import run
from nasbench_lab.running.warm_start import taken_history, taken_source
from nasbench_lab.testing import SyntheticBenchmark

CORA, CS = "nas-bench-graph/cora", "nas-bench-graph/cs"
PROTEINS = "nas-bench-graph/proteins"


class Learns(SearchAlgorithm):
    """Notes the history that it was given, and asks the best of each task in it, then at random."""

    seen: ClassVar = []

    def __init__(self, space, *, history=None, **kwargs):
        super().__init__(space, **kwargs)
        self.seen.append(history)
        tasks = () if history is None else history.tasks
        self.left = [tuple(t.architectures[t.scores.argmax()].tolist()) for t in tasks]

    def ask(self):
        return self.trial(self.left.pop(0) if self.left else self.space.sample(self.rng))


class Observes(SearchAlgorithm):
    """Notes what it observes and is told; asks what it is told to."""

    def __init__(self, space, asks=(), **kwargs):
        super().__init__(space, **kwargs)
        self.asks, self.observed, self.told = list(asks), [], []

    def ask(self):
        return self.trial(self.asks.pop(0)) if self.asks else None

    def observe(self, architecture, evaluation):
        self.observed.append((architecture, evaluation))

    def tell(self, trial, evaluation):
        self.told.append((trial.architecture, evaluation))


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("related")
    return [related_table(folder, task) for task in range(3)]


@pytest.fixture(scope="module")
def benchmarks(tables):
    return [lab.TableBenchmark(table) for table in tables]


def test_results_of_the_same_data_count_and_cost_nothing(benchmarks):
    task = benchmarks[0]
    first = run("random_search", task, 30, seed=1)
    one, other = map(tuple, task.space.at(np.array([5, 7])).tolist())
    known = tuple(first.architecture[3].tolist())
    algorithm = Observes(task.space, [one, known, other])
    trace = run(algorithm, task, 30, history=first, use="results")
    assert [a for a, _ in algorithm.observed] == list(
        dict.fromkeys(map(tuple, first.architecture.tolist()))
    )
    assert [e.cost for _, e in algorithm.observed] == [0.0] * len(algorithm.observed)
    n = int(trace.known.sum())
    assert n == len(algorithm.observed)
    assert trace.known[:n].all()
    assert (trace.cost[:n].sum(), trace.end[:n].max(), trace.charged[:n].any()) == (0, 0, False)
    # Asked again, what is known is not charged.
    assert trace.charged[n:].tolist() == [True, False, True]
    assert trace.cost[n + 1] == 0
    assert trace.values[n + 1] == first.values[3]
    assert trace.scores().max() >= first.scores().max()
    assert trace.scores()[trace.incumbents()[n - 1]] == first.scores().max()


def test_a_search_that_knows_the_rest_ends(benchmarks):
    task = benchmarks[0]
    every = map(tuple, task.space.at(np.arange(task.space.size)).tolist())
    first = run(Observes(task.space, every), task, 1000)
    trace = run("random_search", task, 10, history=first, use="results")
    assert (int(trace.known.sum()), int(trace.charged.sum())) == (task.space.size, 0)


def test_failures_and_own_work_are_no_results(benchmarks):
    first = run("random_search", benchmarks[0], 30, workers=lab.Workers(2, fail=0.5))
    failed = np.isnan(first.values[:, 0])
    assert 0 < failed.sum() < 30
    trace = run("random_search", benchmarks[0], 5, history=first, use="results")
    sound = {tuple(a) for a in first.architecture[~failed].tolist()}
    assert {tuple(a) for a in trace.architecture[trace.known].tolist()} == sound


def test_results_after_few_epochs_stay_those_of_few_epochs(make_table):
    task = lab.TableBenchmark(make_table(), objective=lab.Query("valid_accuracy"))
    first = run("successive_halving(n_configurations=9, eta=2)", task, 14)
    assert len(set(first.epoch.tolist())) > 1
    trace = run("random_search", task, 2, history=first, use="results")
    assert evaluated(trace, trace.known) == evaluated(first, ~np.isnan(first.values[:, 0]))


def evaluated(trace, which):
    """What was evaluated, and after which epoch, each once."""
    pairs = np.column_stack([trace.architecture, trace.epoch])[which]
    return list(dict.fromkeys(map(tuple, pairs.tolist())))


def test_other_tasks_best_come_first_by_turns(benchmarks):
    task, *others = benchmarks
    algorithm = Observes(task.space)
    trace = run(algorithm, task, 30, history=others, use="candidates", workers=3)
    assert len(trace) == N_CANDIDATES
    assert trace.charged.all()
    assert trace.trial.tolist() == list(range(-2, -2 - N_CANDIDATES, -1))
    best = [
        [tuple(a) for a in o.table.architectures[o.ranking("valid")[:10]].tolist()] for o in others
    ]
    turns = dict.fromkeys(a for pair in zip(*best, strict=True) for a in pair)
    assert [a for a, _ in algorithm.observed] == list(turns)[:N_CANDIDATES]
    assert not algorithm.told


def test_a_prior_holds_other_tasks_as_a_search_sees_them(benchmarks, tmp_path):
    less = lab.TableBenchmark(related_table(tmp_path, 4, maximize=False))
    Learns.seen.clear()
    run(Learns, benchmarks[0], 3, history=[*benchmarks, less])
    (history,) = Learns.seen
    assert [task.name for task in history.tasks] == ["related/1", "related/2", "related/4"]
    for task, of in zip(history.tasks, [*benchmarks[1:], less], strict=True):
        values = of.evaluate_many(task.architectures)[0][:, 0]
        np.testing.assert_array_equal(task.scores, values if of is not less else -values)
        assert len(task.scores) == SPACE.size
    copy = pickle.loads(pickle.dumps(history))
    assert copy == history
    assert hash(copy) == hash(history)


def test_the_tasks_of_a_multi_task_benchmark_are_no_other_tasks():
    both = lab.MultiTask([lab.load_benchmark(CORA), lab.load_benchmark(CS)])
    Learns.seen.clear()
    run(Learns, both, 3, history=[CORA, CS, PROTEINS])
    (history,) = Learns.seen
    assert [task.name for task in history.tasks] == [PROTEINS]
    with pytest.raises(ExperimentError, match="no evaluation of other tasks"):
        run(Learns, both, 3, history=[CORA, CS])


def test_options_that_a_space_lacks_are_left_out(benchmarks, tmp_path):
    other = lab.TableBenchmark(related_table(tmp_path, 1, space=OTHER_OPTIONS))
    Learns.seen.clear()
    run(Learns, other, 2, history=benchmarks[0])
    ((task,),) = [history.tasks for history in Learns.seen]
    texts = other.space.to_string(task.architectures)
    assert {text.split(":")[0] for text in texts} == {"8", "64"}
    of = benchmarks[0].table
    expected = of.values("valid")[of.row(of.space.from_string(texts))]
    np.testing.assert_array_equal(task.scores, expected)


def test_real_tasks_of_different_spaces_and_pools_teach_each_other():
    Learns.seen.clear()
    for task, other in ((PROTEINS, CORA), (CORA, PROTEINS)):
        benchmark = lab.TableBenchmark(lab.open_table(task), missing="pool")
        run(Learns, benchmark, 2, history=other)
        (known,) = Learns.seen.pop().tasks
        assert known.name == other
        assert 500 < len(known.scores) <= benchmark.space.size
        assert (benchmark.space.index(known.architectures) >= 0).all()


def test_nothing_of_the_test_data_is_read(tables, monkeypatch):
    read = []
    values = lab.Table.values
    monkeypatch.setattr(
        lab.Table,
        "values",
        lambda self, query: read.append(self.column(query)) or values(self, query),
    )
    start = taken_history(tables, "prior")
    start.on(lab.TableBenchmark(tables[0]))
    assert {column.name for column in read} == {"valid"}
    with pytest.raises(lab.NasbenchLabError, match="test data"):
        lab.TableBenchmark(tables[1], objective="test")


def test_the_same_start_gives_the_same_run_and_another_seed_another(benchmarks):
    first = run("random_search", benchmarks[0], 20)
    for use, history in (("results", first), ("candidates", benchmarks[1])):
        runs = [
            run("regularized_evolution", benchmarks[0], 40, seed, history=history, use=use)
            for seed in (1, 1, 2)
        ]
        assert runs[0].equals(runs[1])
        assert not runs[0].equals(runs[2])
        assert runs[0].settings["warm_start"]["use"] == use


def test_each_task_of_a_comparison_begins_with_the_others(tmp_path):
    tasks = [CORA, CS]
    result = compare([Learns, "random_search"], tasks, budget=3, seeds=2, n_jobs=1, history=tasks,
                     folder=tmp_path / "result")  # fmt: skip
    for name, other in (CORA, CS), (CS, CORA):
        benchmark = lab.load_benchmark(other)
        best = benchmark.table.architectures[benchmark.ranking("valid_accuracy")[0]]
        for trace in result.traces(name, "Learns"):
            assert trace.architecture[0].tolist() == best.tolist()
    # Which learns nothing searches as ever.
    alone = compare("random_search", tasks, budget=3, seeds=2, n_jobs=1)
    for name in tasks:
        for with_it, without in zip(
            result.traces(name, "random_search"), alone.traces(name, "random_search"), strict=True
        ):
            assert with_it.equals(without)
    started = read_manifest(tmp_path / "result").experiment.warm_start
    assert started.to_json() == result.experiment.warm_start.to_json()
    assert [source.name for source in started.history] == tasks
    again = lab.Result.open(tmp_path / "result")
    assert again.traces(CORA, "Learns")[0].settings["warm_start"] == started.to_json()
    assert "prior from" in again.setting(CORA)
    sentence = f"were given what is known of these, not of the task itself (from {CORA} and {CS})."
    assert sentence in " ".join(methods(again, []))


def test_a_comparison_goes_on_with_the_same_start_only(tmp_path):
    base = compare("random_search", CORA, budget=5, seeds=2, n_jobs=1, folder=tmp_path / "base")
    folder, settings = tmp_path / "result", {"budget": 4, "n_jobs": 1, "use": "results"}
    first = compare(
        "random_search", CORA, seeds=1, history=tmp_path / "base", folder=folder, **settings
    )
    (tmp_path / "base").rename(tmp_path / "moved")
    more = compare(
        "random_search", CORA, seeds=2, history=tmp_path / "moved", folder=folder, **settings
    )
    assert more.traces(CORA, "random_search")[0].equals(first.traces(CORA, "random_search")[0])
    assert more.traces(CORA, "random_search")[1].known.sum() == 10
    less = [run.trace for run in base.runs[:1]]
    for changed in (
        {"history": less},
        {"history": CS, "use": "candidates"},
        {"history": None, "use": "prior"},
    ):
        with pytest.raises(ExperimentError, match="warm_start"):
            compare("random_search", CORA, seeds=2, folder=folder, **{**settings, **changed})


def test_an_experiment_file_has_the_start(tmp_path):
    compare("random_search", CORA, budget=5, seeds=2, n_jobs=1, folder=tmp_path / "base")
    file = tmp_path / "experiment.toml"
    text = 'budget = 5\nseeds = 2\nalgorithms = ["random_search"]\nbenchmarks = ["' + CORA + '"]\n'
    file.write_text(text + 'warm_start = { history = ["base"], use = "results" }\n')
    experiment = read_experiment(file, source=taken_source)
    assert experiment.warm_start.use == "results"
    (tmp_path / "again").mkdir()
    again = tmp_path / "again" / "experiment.toml"
    again.write_text(to_toml(experiment))
    assert experiment.differences(read_experiment(again, source=taken_source)) == []
    of_python = Experiment.of("random_search", CORA, budget=5, seeds=2,
                              warm_start=taken_history(tmp_path / "base", "results"))  # fmt: skip
    assert experiment.differences(of_python) == []
    for start, words in {
        'history = ["nowhere"]': "history.0.*folder of results",
        f'history = ["{CS}"], use = "result"': "Did you mean 'results'",
        f'history = ["{CS}"], use = "results"': "no evaluation of 'nas-bench-graph/cora' itself",
        "history = []": "at least one entry",
        f'history = ["{CS}"]': "learns from other tasks",
        f'tables = ["{CS}"]': "Unknown key 'tables'",
    }.items():
        file.write_text(f"{text}warm_start = {{ {start} }}\n")
        with pytest.raises(ExperimentError, match=f"warm_start(.|\n)*{words}"):
            read_experiment(file, source=taken_source)


def test_a_start_that_makes_no_sense_is_refused(benchmarks, make_table):
    task, other, _ = benchmarks
    for history, use, error, words in (
        ([], "prior", ExperimentError, "at least one table, result or trace"),
        (3, "prior", ExperimentError, "but got 3"),
        (other, "priors", UnknownNameError, "Did you mean 'prior'"),
        (task, "prior", ExperimentError, "no evaluation of other tasks.*'results'"),
        (task, "candidates", ExperimentError, "no evaluation of other tasks"),
        (other, "results", ExperimentError, "no evaluation of 'related/0' itself"),
        (task, "results", ExperimentError, "nothing to search for"),
        (lab.TableBenchmark(make_table()), "prior", ExperimentError, "other decisions"),
        (make_table(), "candidates", ExperimentError, "other decisions"),
        ("nas-bench-grap/cora", "prior", UnknownNameError, "folder of results"),
    ):
        with pytest.raises(error, match=words):
            run(Learns, task, 5, history=history, use=use)
    with pytest.raises(ExperimentError, match="'results', but no history"):
        run("random_search", task, 5, use="results")
    with pytest.raises(UnsuitedError, match="None of these algorithms learns"):
        run("random_search", task, 5, history=other)
    with pytest.raises(HyperparameterError, match="built already"):
        run(Learns(task.space), task, 5, history=other)


def test_results_of_another_table_or_objective_are_refused(benchmarks, tmp_path):
    task = benchmarks[0]
    first = run("random_search", task, 5)
    wrong = replace(first, values=first.values + 1)
    with pytest.raises(TableFileError, match="another version of the table"):
        run("random_search", task, 5, history=wrong, use="results")
    less = lab.TableBenchmark(related_table(tmp_path, 0, maximize=False))
    with pytest.raises(ExperimentError, match=r"less is better.*cannot count"):
        run("random_search", less, 5, history=first, use="results")


def test_spaces_of_any_size_can_begin_with_others():
    space = lab.SearchSpace("huge", [lab.Decision(f"layer {i}", "abcd") for i in range(40)])
    one, other = SyntheticBenchmark(space), SyntheticBenchmark(space)
    other.name = "another"
    history = [run("random_search", other, 10, seed) for seed in (1, 2)]
    Learns.seen.clear()
    run(Learns, one, 3, history=history)
    (given,) = Learns.seen
    scores = np.concatenate([trace.scores() for trace in history])
    assert sorted(given.tasks[0].scores) == sorted(scores)
    # Of one task, two sources are joined.
    start = WarmStart("prior", (*taken_history(history[0], "prior").history,
                                *taken_history(history, "prior").history))  # fmt: skip
    assert start.on(one).history == given


def test_a_benchmark_that_is_no_table_can_begin_with_results(benchmarks):
    task = SyntheticBenchmark(SPACE)
    first = run("random_search", task, 10)
    trace = run("regularized_evolution", task, 5, history=[first], use="results")
    assert trace.known.sum() == len({tuple(a) for a in first.architecture.tolist()})


def test_a_start_from_objects_can_be_sent_to_processes_but_not_be_made_of_its_manifest(
    benchmarks, tmp_path
):
    other = lab.TableBenchmark(related_table(tmp_path, 7))  # which no table that is kept equals
    start = taken_history(other, "candidates")
    expected = start.on(benchmarks[0]).candidates
    assert pickle.loads(pickle.dumps(start)).on(benchmarks[0]).candidates == expected
    by_name = pickle.loads(pickle.dumps(taken_history(CS, "candidates")))
    assert len(by_name.on(lab.load_benchmark(CORA)).candidates) == N_CANDIDATES
    read = WarmStart(start.use, tuple(replace(source) for source in start.history))
    with pytest.raises(ExperimentError, match=r"related/7, is not at hand"):
        read.on(benchmarks[2])

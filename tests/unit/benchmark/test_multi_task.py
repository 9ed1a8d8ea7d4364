"""Several tasks as one benchmark, against ranks that are counted one by one."""

import pickle

import numpy as np
import pandas as pd
import pytest
from one_shot import EVALUATING, small

import nasbench_lab as lab
from nasbench_lab import stats
from nasbench_lab.algorithm import Work
from nasbench_lab.benchmark import Benchmark, Objective
from nasbench_lab.errors import BenchmarkError, UnknownNameError
from nasbench_lab.results.result import Result
from nasbench_lab.spaces import Decision, SearchSpace
from nasbench_lab.tables.columns import Column, Query
from nasbench_lab.tables.table import Table

SPACE = SearchSpace("small", [Decision(name, (1, 2, 3), ordered=True) for name in "abc"])
EVERY = [tuple(map(int, one)) for one in SPACE.at(np.arange(SPACE.size))]
VALID = Column("valid", "accuracy", "%", True, "valid", trials=(0, 1), epochs=(1, 4))
LOSS = Column("error", "error", "1", False, "valid", trials=(0, 1), epochs=(1, 4))
TEST = Column("test", "accuracy", "%", True, "test", trials=(0, 1))
TIME = Column("train_time_per_epoch", "train_time_per_epoch", "s", False)


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))


def task(name, seed, measured=EVERY, objective=VALID, **settings):
    """A task of small whole numbers, so that many values are equal."""
    rng = np.random.default_rng(seed)
    numbers = {f"{q}_{t}_{e}": rng.integers(9, size=27) for q in "vt" for t in "01" for e in "14"}
    frame = pd.DataFrame({**numbers, "time": rng.integers(1, 5, size=27)}).astype(float)
    frame[list("abc")] = [[value + 1 for value in one] for one in EVERY]
    frame = frame[[one in measured for one in EVERY]]
    each = [[f"v_{t}_{e}" for e in (1, 4)] for t in (0, 1)]
    columns = {objective: each, TEST: [["t_0_4"], ["t_1_4"]], TIME: "time"}
    table = Table.from_frame(frame, name, columns, space=SPACE, report="test")
    return lab.TableBenchmark(table, **settings)


@pytest.fixture
def tasks():
    return [task("one", 1), task("two", 2, objective=LOSS), task("three", 3)]


def rank_of(one, architecture, query):
    """One more than the number of better entries."""
    values, sign = one.table.values(query), 1 if one.table.column(query).maximize else -1
    own = values[one.table.row(architecture)]
    return 1 + sum(1 for other in values.tolist() if sign * other > sign * own)


@pytest.mark.parametrize(("aggregate", "of"), [("mean rank", np.mean), ("worst", np.max)])
@pytest.mark.parametrize("epoch", [None, 1])
def test_ranks_are_those_counted_one_by_one(tasks, aggregate, of, epoch):
    both = lab.MultiTask(tasks, aggregate)
    assert (both.fidelities, both.epochs) == ((1, 4), 4)
    expected = []
    for architecture in EVERY:
        of_each = [
            rank_of(one, architecture, Query(one.queries[0].metric, epoch=epoch)) for one in tasks
        ]
        expected.append(of(of_each))
        evaluation = both.evaluate(architecture, epoch)
        assert evaluation.values == (expected[-1],)
        assert evaluation.epoch == (epoch or 4)
        assert evaluation.cost == sum(one.evaluate(architecture, epoch).cost for one in tasks)
        reported = [rank_of(one, architecture, "test") for one in tasks]
        assert both.report_value(architecture) == of(reported)
    assert epoch or both.best_value == min(expected)


def test_what_a_search_saw_is_ranked_among_means():
    tasks = [task(n, i, objective=VALID) for i, n in enumerate(("one", "two"))]
    drawn = [
        lab.TableBenchmark(one.table, objective=Query("valid", trial="random")) for one in tasks
    ]
    both = lab.MultiTask(drawn)
    assert both.noisy
    for seed, architecture in enumerate(EVERY):
        rng = np.random.default_rng(seed)
        ranks = []
        for one in drawn:
            seen = one.evaluate(architecture, rng=rng).values[0]
            ranks.append(1 + int((one.table.values("valid") > seen).sum()))
        seen = both.evaluate(architecture, rng=np.random.default_rng(seed)).values
        assert seen == (np.mean(ranks),)


def test_an_evaluation_that_fails_on_one_task_fails():
    some = EVERY[:20]
    both = lab.MultiTask([task("one", 1), task("two", 2, some, missing="fail")])
    assert np.isnan(both.evaluate(EVERY[25]).values).all()
    assert np.isnan(both.report_value(EVERY[25]))
    assert both.evaluate(EVERY[25]).cost == task("one", 1).evaluate(EVERY[25]).cost
    ranks = [both.evaluate(one).values[0] for one in some]
    assert both.best_value == min(ranks)


def test_a_search_moves_among_what_all_tasks_have():
    first, second = EVERY[:12], EVERY[6:20]
    parts = [task("one", 1, first, missing="pool"), task("two", 2, second, missing="pool")]
    both = lab.MultiTask([*parts, task("three", 3)])
    members = [tuple(map(int, one)) for one in both.space.at(np.arange(both.space.size))]
    assert members == EVERY[6:12]
    trace = lab.run("random_search", both, budget=20, seed=0)
    assert set(map(tuple, trace.architecture.tolist())) <= set(members)
    with pytest.raises(BenchmarkError, match="no architecture in common"):
        lab.MultiTask([parts[0], task("four", 2, EVERY[20:], missing="pool")])


def test_constraints_of_all_tasks_hold():
    bounded = [task("one", 1, constraints="train_time_per_epoch<=2"), task("two", 2)]
    both = lab.MultiTask(bounded)
    kept = bounded[0].feasible
    for row, architecture in enumerate(EVERY):
        assert (both.evaluate(architecture).violation == 0) == kept[row]
    ranks = [both.evaluate(one).values[0] for one, ok in zip(EVERY, kept, strict=True) if ok]
    assert both.best_value == min(ranks)
    assert len(both.constraints) == 1


def test_tasks_as_several_objectives(tasks):
    several = lab.MultiTask(tasks, "pareto")
    names = [(objective.name, objective.maximize) for objective in several.objectives]
    assert names == [("valid one", True), ("error two", False), ("valid three", True)]
    for architecture in EVERY[::5]:
        seen = [one.evaluate(architecture).values[0] for one in tasks]
        assert several.evaluate(architecture).values == tuple(seen)
    assert several.best_value == tasks[0].optimum("valid")
    result = lab.compare(["nsga2", "random_search"], several, budget=15, seeds=2, n_jobs=1)
    assert (stats.table_frame(result, "hypervolume")["mean"] > 0).all()


@pytest.mark.parametrize("name", EVALUATING)
def test_every_algorithm_searches_on_it(tasks, name):
    trace = lab.run(name, lab.MultiTask(tasks), budget=10, seed=0, **small(name))
    assert len(trace) == 10


class Live(Benchmark):
    """Evaluates as a task with a table does, and can answer nothing else."""

    space = SPACE
    objectives, reported = (Objective("valid", "%"),), Objective("test", "%")
    epochs, fidelities = 4, (1, 4)

    def __init__(self, name, seed):
        self.name, self._task = name, task(name, seed, clock="evaluations")

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        return self._task.evaluate(architecture, epoch)._replace(row=-1)

    def report_value(self, architecture):
        return self._task.table.query(architecture, "test")


def values_of(*seeds):
    """What the tasks of ``Live`` say of an architecture after an epoch, and in the end."""
    tables = [task(str(seed), seed).table for seed in seeds]

    def seen(architecture, epoch=None):
        query = Query("valid", epoch=epoch)
        return [float(one.query(architecture, query)) for one in tables]

    return seen, lambda architecture: [float(one.query(architecture, "test")) for one in tables]


@pytest.mark.parametrize(
    ("aggregate", "of", "name"),
    [(None, np.mean, "mean"), ("mean", np.mean, "mean"), ("worst", min, "worst")],
)
def test_tasks_that_are_no_tables_are_compared_by_their_values(aggregate, of, name):
    both = lab.MultiTask([Live("live/one", 1), Live("live/two", 2)], aggregate)
    assert both.name == f"live/{name}"
    assert both.objectives == (Objective(f"{name}_valid", "%", True),)
    assert both.reported == Objective(f"{name}_test", "%", True)
    assert (both.fidelities, both.epochs, both.best_value) == ((1, 4), 4, None)
    seen, told = values_of(1, 2)
    for architecture in EVERY[::4]:
        for epoch in (None, 1):
            evaluation = both.evaluate(architecture, epoch)
            assert evaluation.values == (of(seen(architecture, epoch)),)
            assert evaluation.epoch == (epoch or 4)
            assert evaluation.cost == 2.0
        assert both.report_value(architecture) == of(told(architecture))


def test_values_of_tables_have_a_mean_too():
    both = lab.MultiTask([task("one", 1), task("two", 2)], "mean")
    seen, told = values_of(1, 2)
    means = [both.evaluate(one).values[0] for one in EVERY]
    assert means == [np.mean(seen(one)) for one in EVERY]
    assert both.best_value == max(means)
    assert both.report_value(EVERY[3]) == np.mean(told(EVERY[3]))
    mixed = lab.MultiTask([task("one", 1, clock="evaluations"), Live("two", 2)])
    assert mixed.evaluate(EVERY[3]).values == (means[3],)
    assert mixed.report_value(EVERY[3]) == np.mean(told(EVERY[3]))


def test_values_of_different_units_have_no_mean(tasks):
    with pytest.raises(BenchmarkError, match=r"valid in '%', error in '1'.*'pareto'"):
        lab.MultiTask(tasks[:2], "mean")
    with pytest.raises(BenchmarkError, match=r"'two' is no table, so .* 'mean', 'worst' or 'par"):
        lab.MultiTask([tasks[0], Live("two", 2)], "mean rank")


def test_several_tasks_that_are_no_tables_as_objectives():
    several = lab.MultiTask([Live("one", 1), Live("two", 2)], "pareto")
    assert [one.name for one in several.objectives] == ["valid one", "valid two"]
    seen, _ = values_of(1, 2)
    assert list(several.evaluate(EVERY[5]).values) == seen(EVERY[5])
    assert len(lab.run("nsga2(population_size=4)", several, 8)) == 8


def test_results_are_read_without_the_tasks(tasks, tmp_path):
    both = lab.MultiTask(tasks, name="mine")
    names, folder = ["random_search", "local_search"], tmp_path / "result"
    result = lab.compare(names, both, budget=20, seeds=3, n_jobs=1, folder=folder)
    again = Result.open(folder)
    pd.testing.assert_frame_equal(result.summary(), again.summary())
    regrets = result.summary()[["valid_regret", "test_regret"]]
    assert (regrets >= 0).all().all()
    assert pickle.loads(pickle.dumps(both)).evaluate(EVERY[3]) == both.evaluate(EVERY[3])


def test_the_price_of_own_work_is_that_of_all_tasks():
    timed = [task(name, seed, clock="train_only") for seed, name in enumerate(("one", "two"))]
    both = lab.MultiTask(timed)
    passes = Work(passes=np.ones((3, 3)))
    assert both.charge(passes) == sum(one.charge(passes) for one in timed) > 0
    assert both.charge(Work(seconds=3.0)) == 3.0


def test_the_name_is_what_the_names_of_the_tasks_begin_with(tasks):
    def named(*names):
        parts = [task("x", 1), task("y", 2)]
        for part, name in zip(parts, names, strict=True):
            part.name = name
        return lab.MultiTask(parts).name

    assert named("family/one", "family/two") == "family/mean-rank"
    assert named("one/same", "two/same") == "one/same+two/same/mean-rank"
    assert lab.MultiTask(tasks, "worst").name == "one+two+three/worst"


def test_what_does_not_go_together_is_refused(tasks):
    other = lab.load_benchmark("nb201-digits")
    for given, said in (
        (tasks[:1], "two or more different tasks but got one"),
        ([tasks[0], tasks[0]], "two or more different"),
        (["one", "two"], "Expected benchmarks but got 'one'"),
        ([tasks[0], other], "one space"),
        ([tasks[0], task("two", 2, clock="evaluations")], "one clock"),
        (
            [
                tasks[0],
                lab.TableBenchmark(tasks[0].table, objective=["valid", "train_time_per_epoch"]),
            ],
            "one objective",
        ),
    ):
        with pytest.raises(BenchmarkError, match=said):
            lab.MultiTask(given)
    with pytest.raises(UnknownNameError, match="mean rank"):
        lab.MultiTask(tasks, "average")
    assert lab.MultiTask(tasks).fingerprint != lab.MultiTask(tasks, "worst").fingerprint

"""Work that an algorithm does itself: what it costs, what it leads to, and that it is checked."""

import math
import pickle

import numpy as np
import pandas as pd
import pytest

from nasbench_lab import stats
from nasbench_lab.algorithm import SearchAlgorithm, Work
from nasbench_lab.benchmark import Benchmark, Objective, TableBenchmark
from nasbench_lab.benchmark.own_time import PassTimes
from nasbench_lab.errors import AlgorithmError, BenchmarkError
from nasbench_lab.export import to_csv, to_ioh
from nasbench_lab.figures.schedule import schedule_data, schedule_figure
from nasbench_lab.registry import load_benchmark, make_algorithm
from nasbench_lab.report import write_report
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare
from nasbench_lab.running.search import run
from nasbench_lab.simulator import PATIENCE, simulate
from nasbench_lab.spaces import Decision, SearchSpace
from nasbench_lab.testing import ContractError, check_algorithm
from nasbench_lab.trace import STATUSES
from nasbench_lab.workers import Workers

NAN = math.nan
DIGITS = "nb201-digits"


def path(space, architecture, times=1.0):
    """The passes of training one architecture."""
    passes = np.zeros((len(space.n_options), max(space.n_options)))
    passes[range(len(architecture)), architecture] = times
    return passes


class Planned(SearchAlgorithm):
    """Does the work and asks the trials of a plan, one after the other; a row number is a trial."""

    def __init__(self, space, plan, **kwargs):
        super().__init__(space, **kwargs)
        self.plan = list(plan)

    def ask(self):
        if not self.plan:
            return None
        step = self.plan.pop(0)
        return step if isinstance(step, Work) else self.trial(self.space.at(step))


def planned(table, plan, budget, clock="train_only", **kwargs):
    benchmark = TableBenchmark(table, clock=clock)
    plan = [step(benchmark.space) if callable(step) else step for step in plan]
    algorithm = Planned(benchmark.space, plan)
    return simulate(algorithm, benchmark, budget, **kwargs), benchmark, algorithm


class OneShot(SearchAlgorithm):
    """Trains a supernet of single paths, epoch by epoch, and evaluates what it derives at last."""

    def __init__(self, space, *, epochs=4, evaluations=0, **kwargs):
        super().__init__(space, **kwargs)
        self.epochs, self.left = epochs, evaluations
        self.derived = self.space.sample(self.rng)

    def ask(self):
        if self.epochs:
            self.epochs -= 1
            self.derived = self.space.mutate(self.derived, self.rng)
            return Work(path(self.space, self.derived), architecture=self.derived)
        if self.left:
            self.left -= 1
            return self.trial(self.space.mutate(self.derived, self.rng))
        return None


# Prices


def test_a_pass_along_a_path_costs_what_an_epoch_of_it_costs(timed):
    # The training times of this table are sums over options.
    benchmark = TableBenchmark(timed, clock="train_only")
    for row in range(11):
        architecture = benchmark.space.at(row)
        work = Work(path(benchmark.space, architecture, times=2.5))
        assert benchmark.charge(work) == pytest.approx(2.5 * (10 + row), rel=1e-5)
        assert work.epochs == 2.5


def test_a_mixture_pays_for_all_options_and_once_for_what_they_share(timed):
    benchmark = TableBenchmark(timed, clock="official")
    passes = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 0]])
    options = (0 + 4 + 8) + (0 + 2) + (0 + 1)
    assert benchmark.charge(Work(passes, shared=1.0)) == pytest.approx(10 + options, rel=1e-5)
    # Without a word on what is shared, it is a series of single paths.
    assert benchmark.charge(Work(passes)) == pytest.approx(10 * 7 / 3 + options, rel=1e-5)
    assert Work(passes).epochs == pytest.approx(7 / 3)


def test_passes_are_charged_rather_than_seconds_and_seconds_where_there_are_no_passes(timed):
    benchmark = TableBenchmark(timed, clock="train_only")
    passes = path(benchmark.space, (0, 0, 0))
    assert benchmark.charge(Work(passes, seconds=1e6)) == pytest.approx(10, rel=1e-5)
    assert benchmark.charge(Work(seconds=1.25)) == 1.25


def test_a_clock_of_evaluations_counts_passes_as_trainings_and_no_seconds(timed):
    benchmark = TableBenchmark(timed, clock="evaluations")
    assert benchmark.charge(Work(path(benchmark.space, (1, 1, 1), times=6.0), 9.0)) == 6.0 / 4
    assert benchmark.charge(Work(seconds=9.0)) == 0.0
    benchmark.epochs = None
    assert benchmark.charge(Work(path(benchmark.space, (1, 1, 1)))) == 0.0


def test_the_times_of_the_digits_are_fitted_well():
    benchmark = load_benchmark(DIGITS)
    rng = np.random.default_rng(0)
    many = benchmark.space.canonical(benchmark.space.sample(rng, 200))
    architectures = [tuple(a) for a in many.tolist()]
    fitted = [benchmark.charge(Work(path(benchmark.space, a))) for a in architectures]
    true = benchmark.table.values("train_time_per_epoch")[
        benchmark.table.row(np.array(architectures))
    ]
    # The times are of single trainings, and jump with the load of the machine.
    assert np.corrcoef(fitted, true)[0, 1] > 0.7
    assert np.median(np.abs(fitted / true - 1)) < 0.25
    assert np.mean(fitted) == pytest.approx(np.mean(true), rel=0.1)


def test_times_of_some_architectures_suffice():
    space = SearchSpace("two", [Decision("a", "xyz"), Decision("b", "uv")])
    rows = space.at(np.array([0, 1, 2, 3]))  # never z
    model = PassTimes.fitted(space, rows, np.array([1.0, 3.0, 2.0, NAN]))
    assert model.shared_s == pytest.approx(1.0)
    np.testing.assert_allclose(model.option_s, [[0, 1, 0.5], [0, 2, 0]], atol=1e-6)
    with pytest.raises(BenchmarkError, match="no price"):
        PassTimes.fitted(space, rows, np.full(4, NAN))


def test_a_table_that_does_not_say_how_many_epochs_it_trained_cannot_price_a_pass(timed):
    benchmark = TableBenchmark(timed, clock="train_only")
    benchmark.epochs = None  # as of a table of ends alone
    with pytest.raises(BenchmarkError, match="number of epochs"):
        benchmark.charge(Work(np.zeros((3, 3))))
    # NAS-Bench-201 says that its schedule is of 200 epochs.
    final = load_benchmark("nas-bench-201-final/cifar10")
    times = final.table.values("cifar10_train_time")
    priced = final.charge(Work(path(final.space, final.space.at(0))))
    assert np.nanmin(times) / 400 < priced < np.nanmax(times) / 200


class Slow(Benchmark):
    name, clock, measured = "slow", "train_only", True
    space = SearchSpace("letters", [Decision("a", "xyz")])
    objectives = (Objective("height", "m"),)


def test_other_benchmarks_charge_measured_seconds_or_say_what_to_do():
    measured = type("Measured", (Slow,), {"evaluate": None})()
    assert measured.charge(Work(np.ones((1, 3)), seconds=2.0)) == 2.0
    counted = type("Counted", (Slow,), {"evaluate": None, "measured": False})()
    assert counted.charge(Work(seconds=3.0)) == 3.0
    with pytest.raises(BenchmarkError, match="Override charge"):
        counted.charge(Work(np.ones((1, 3)), seconds=2.0))


# The simulation


def test_work_takes_a_worker_and_what_it_recommends_is_in_the_trace(timed):
    trace, benchmark, _ = planned(
        timed,
        [lambda s: Work(path(s, (1, 0, 0)), architecture=(1, 1, 0)), Work(seconds=6.0), 3],
        "500s",
    )
    assert trace.status.tolist() == [STATUSES.index(s) for s in ("derived", "derived", "done")]
    np.testing.assert_allclose(trace.start, [0, 14, 20], rtol=1e-5)
    np.testing.assert_allclose(trace.end, [14, 20, 20 + 4 * 13], rtol=1e-5)
    assert trace.trial.tolist() == [-1, -1, 0]
    assert trace.row.tolist() == [6, -1, 3]
    assert trace.epoch.tolist() == [-1, -1, 4]
    assert trace.passes.tolist() == [1, 0, 0]
    assert trace.charged.tolist() == [False, False, True]
    assert np.isnan(trace.values[:2]).all()
    assert not np.isnan(trace.values[2]).any()
    assert trace.architecture[1].tolist() == [-1, -1, -1]
    assert trace.incumbents().tolist() == [0, 0, 2]
    assert trace.derived.tolist() == [True, True, False]
    frame = trace.to_frame()
    assert frame["architecture"].tolist()[1] == ""
    assert frame["status"].tolist() == ["derived", "derived", "done"]
    assert stats.anytime(trace, benchmark, "test")[0] == timed.values("test_accuracy")[6]


def test_work_that_would_end_after_the_budget_does_not_count(timed):
    trace, *_ = planned(timed, [Work(seconds=6.0), Work(seconds=6.0)], "10s")
    assert trace.end.tolist() == [6]
    assert trace.cut_off.end.tolist() == [12]
    assert trace.cut_off.status.tolist() == [STATUSES.index("cut off")]
    assert stats.spent_in_all(trace, "seconds") == 10


def test_a_budget_in_epochs_counts_what_work_is_worth(timed):
    plan = [lambda s: Work(path(s, (0, 0, 0), times=1.5)), 3, lambda s: Work(path(s, (0, 0, 0)))]
    trace, *_ = planned(timed, plan, "6epochs")
    assert trace.epochs().tolist() == [2, 6]
    assert trace.cut_off.passes.tolist() == [1]
    trace, *_ = planned(timed, plan, "7epochs")
    assert trace.epochs().tolist() == [2, 6, 7]
    tenths = [lambda s: Work(path(s, (0, 0, 0), times=0.1))] * 30
    trace, *_ = planned(timed, tenths, "2epochs")
    assert len(trace) == 20
    assert trace.epochs()[-1] == 2


def test_a_budget_of_evaluations_does_not_count_work(timed):
    plan = [Work(seconds=1.0), 3, Work(seconds=1.0), 4, Work(seconds=1.0), 6]
    trace, *_ = planned(timed, plan, 2)
    assert trace.evaluations().tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("synchronous", [False, True])
def test_nothing_is_asked_before_work_has_ended(timed, synchronous):
    workers = Workers(2, synchronous=synchronous)
    # Evaluations of 52 and 56 seconds.
    trace, *_ = planned(timed, [Work(seconds=50.0), 3, 4], "200s", workers=workers)
    assert trace.worker.tolist() == [0, 0, 1]
    assert trace.start.tolist() == [0, 50, 50]
    assert trace.end.tolist() == [50, 102, 106]
    # What was asked before goes on beside it.
    trace, *_ = planned(timed, [3, Work(seconds=55.0), 4], "200s", workers=workers)
    assert trace.worker.tolist() == [0, 1, 0]
    assert trace.start.tolist() == [0, 0, 55]
    assert trace.end.tolist() == [52, 55, 111]


def test_work_neither_fails_nor_straggles(timed):
    plan = [Work(seconds=3.0), 3, Work(seconds=3.0), 4]
    workers = Workers(1, fail=1.0, straggle=1.0)
    trace, *_ = planned(timed, plan, "900s", workers=workers, faults=np.random.default_rng(0))
    names = [STATUSES[i] for i in trace.status]
    assert names == ["derived", "failed", "derived", "failed"]
    assert trace.cost[[0, 2]].tolist() == [3, 3]
    # Nor does it change what becomes of evaluations.
    alone, *_ = planned(timed, [3, 4], "900s", workers=workers, faults=np.random.default_rng(0))
    np.testing.assert_allclose(trace.cost[[1, 3]], alone.cost)


def test_work_is_charged_each_time_where_repeats_are_free(timed):
    plan = [Work(seconds=3.0), 3, Work(seconds=3.0), 3]
    trace, *_ = planned(timed, plan, "900s", charge_repeats=False)
    assert trace.cost.tolist() == [3, 52, 3, 0]


class Endless(SearchAlgorithm):
    asked = 0

    def ask(self):
        self.asked += 1
        return Work()


@pytest.mark.parametrize("budget", [5, "10s", "5epochs"])
@pytest.mark.parametrize("free", [True, False])
def test_endless_work_that_costs_nothing_ends(timed, budget, free):
    benchmark = TableBenchmark(timed, clock="train_only", missing="free" if free else "fail")
    algorithm = Endless(benchmark.space)
    with pytest.raises(AlgorithmError, match="work of its own that take nothing of the budget"):
        simulate(algorithm, benchmark, budget)
    assert algorithm.asked == PATIENCE + 1


IMPOSSIBLE = {
    "shape": (Work(np.ones((3, 2))), r"shape \(3, 3\).*but got the shape \(3, 2\)"),
    "dimensions": (Work(np.ones(3)), "but got the shape"),
    "ragged": (Work([[1, 1, 1], [1, 1], [1, 1]]), r"but got \[\[1, 1, 1\]"),
    "text": (Work("many"), "but got 'many'"),
    "negative": (Work(-np.eye(3)), "-1.0 for option 0 of decision 0"),
    "nan": (Work(np.full((3, 3), NAN)), "nan for option 0"),
    "infinite": (Work(np.full((3, 3), math.inf)), "inf for option 0"),
    "no option": (Work(np.ones((3, 3))), "1.0 for option 2 of decision 1, which is no option"),
    "negative seconds": (Work(seconds=-1.0), "at least 0 for seconds .* but got -1.0"),
    "nan seconds": (Work(seconds=NAN), "for seconds"),
    "infinite seconds": (Work(seconds=math.inf), "for seconds"),
    "no seconds": (Work(seconds=None), "for seconds"),
    "text for seconds": (Work(seconds="3"), "for seconds"),
    "truth for seconds": (Work(seconds=True), "for seconds"),
    "shared alone": (Work(shared=1.0), "without passes"),
    "negative shared": (Work(np.zeros((3, 3)), shared=-1.0), "for shared"),
    "architecture": (
        Work(architecture=(3, 0, 0)),
        "recommends an architecture .* not of the space",
    ),
    "text for an architecture": (Work(architecture="x:u:p"), "not of the space"),
    "number for an architecture": (Work(architecture=7), "not of the space"),
}


@pytest.mark.parametrize("work", IMPOSSIBLE)
def test_impossible_work_is_refused(timed, work):
    wrong, words = IMPOSSIBLE[work]
    with pytest.raises(AlgorithmError, match=words) as error:
        planned(timed, [wrong], 5)
    assert "Planned" in str(error.value)


def test_an_impossible_price_is_refused(timed):
    class Odd(TableBenchmark):
        def charge(self, work):
            return -1.0

    benchmark = Odd(timed)
    with pytest.raises(BenchmarkError, match=r"charged -1\.0"):
        simulate(Planned(benchmark.space, [Work()]), benchmark, 5)


# What a run led to


def test_the_incumbent_is_what_was_recommended_last_until_something_was_evaluated(timed):
    recommended = [Work(seconds=1.0, architecture=a) for a in ((0, 0, 0), (2, 0, 1), (1, 0, 0))]
    # Row 5 fails, so it is no incumbent.
    plan = [Work(seconds=1.0), *recommended[:2], 5, recommended[2], 3, recommended[0]]
    trace, benchmark, _ = planned(timed, plan, "900s")
    assert trace.incumbents().tolist() == [-1, 1, 2, 2, 4, 5, 5]
    test = timed.values("test_accuracy")
    shown = [NAN, *test[[0, 9, 9, 4, 3, 3]]]
    np.testing.assert_array_equal(stats.anytime(trace, benchmark, "test"), shown)
    best = test[~np.isnan(test)].max()
    np.testing.assert_allclose(stats.anytime(trace, benchmark), best - np.array(shown))
    seen = stats.anytime(trace, benchmark, "seen")
    assert np.isnan(seen[:5]).all()
    assert seen[5] == seen[6] == trace.values[5, 0]
    valid = stats.anytime(trace, benchmark, "valid")
    assert valid[1] == timed.values("valid_accuracy")[0]
    time = stats.spent_to_target(trace, benchmark, benchmark.table.values("test_accuracy")[0],
                                 metric="test", axis="seconds")  # fmt: skip
    assert time == trace.end[np.flatnonzero(np.array(shown) >= test[0])[0]]


def test_a_run_of_nothing_but_work_has_a_regret_but_saw_nothing(timed):
    trace, benchmark, _ = planned(timed, [Work(seconds=1.0, architecture=(1, 0, 0))], "900s")
    assert not stats.found_nothing(trace)
    assert trace.best() == benchmark.space.to_string((1, 0, 0))
    assert stats.final_value(trace, benchmark, "test") == timed.values("test_accuracy")[4]
    assert math.isnan(stats.final_value(trace, benchmark, "seen_regret"))
    assert stats.spent_to_target(trace, benchmark, 1e9, "seen_regret") == math.inf
    nothing, *_ = planned(timed, [Work(seconds=1.0)], "900s")
    assert stats.found_nothing(nothing)
    assert np.isnan(stats.anytime(nothing, benchmark)).all()


def test_what_the_table_lacks_or_a_constraint_forbids_is_no_incumbent(timed):
    trace, *_ = planned(timed, [Work(architecture=(2, 1, 1))], "900s")  # row 11, which is not there
    assert trace.incumbents().tolist() == [-1]
    digits = load_benchmark(DIGITS)
    sizes = digits.table.values("parameters")
    limit = float(np.median(sizes))
    small = load_benchmark(DIGITS, constraints=f"parameters<={limit}")
    accurate = load_benchmark(DIGITS, constraints="valid_accuracy>=1")
    for row in (np.argmin(sizes), np.argmax(sizes)):
        architecture = tuple(digits.table.architectures[row].tolist())
        plan = [Work(architecture=architecture)]
        trace = simulate(Planned(digits.space, plan), small, "10s")
        assert (trace.incumbents()[0] == 0) == (sizes[row] <= limit)
        # Whether this holds only a training would tell.
        trace = simulate(Planned(digits.space, plan), accurate, "10s")
        assert np.isnan(trace.violation).all()
        assert trace.incumbents()[0] == -1


# Comparisons


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A comparison of random search, one that only derives, and one that evaluates afterwards."""
    folder = tmp_path_factory.mktemp("results") / "own"
    algorithms = {"random": "random_search", "derives": OneShot, "both": Both}
    return compare(algorithms, DIGITS, budget="12s", seeds=6, n_jobs=1, folder=folder), folder


class Both(OneShot):
    def __init__(self, space, *, evaluations=3, **kwargs):
        super().__init__(space, evaluations=evaluations, **kwargs)


def test_curves_show_what_was_derived_over_simulated_seconds(compared):
    result, _ = compared
    benchmark = result.benchmark(DIGITS)
    test = benchmark.table.values(benchmark.report)
    frame = stats.curve_frame(result, "test_regret", "seconds", n=50)
    for algorithm in ("derives", "both"):
        traces = result.traces(DIGITS, algorithm)
        assert all(trace.derived[:4].all() for trace in traces)
        assert all(len(trace) == 4 + 3 * (algorithm == "both") for trace in traces)
        curve = frame[frame["algorithm"] == algorithm]
        for point, centre in zip(curve["point"], curve["centre"], strict=True):
            regrets = []
            for trace in traces:
                ended = [i for i in range(len(trace)) if trace.end[i] <= point]
                evaluated = [i for i in ended if not trace.derived[i]]
                chosen = max(evaluated, key=lambda i: trace.values[i, 0]) if evaluated else None
                chosen = chosen if chosen is not None or not ended else ended[-1]
                regrets.append(math.inf if chosen is None else test.max() - test[trace.row[chosen]])
            assert centre == pytest.approx(np.mean(regrets))
    summary = result.summary().set_index("algorithm")
    assert summary.loc["derives", "evaluations"] == summary.loc["derives", "failed"] == 0
    assert summary.loc["both", "evaluations"] == 3
    assert summary.loc["both", "failed"] == summary.loc["both", "missing"] == 0
    assert math.isfinite(summary.loc["derives", "test_regret"])
    assert "derives" in " ".join(result.verdict())
    assert not any("failed" in note for note in result.notes())


def test_a_comparison_is_read_resumed_and_exported(compared, tmp_path):
    result, folder = compared
    opened = Result.open(folder)
    before = [run.trace for run in result.runs]
    assert all(a.equals(b.trace) for a, b in zip(before, opened.runs, strict=True))
    # What is lost is run again, and comes out the same.
    shards = sorted((folder / "runs").glob("*.parquet"))
    for shard in shards[1:]:
        shard.unlink()
    algorithms = {"random": "random_search", "derives": OneShot, "both": Both}
    again = compare(algorithms, DIGITS, budget="12s", seeds=6, n_jobs=1, folder=folder)
    assert all(a.equals(b.trace) for a, b in zip(before, again.runs, strict=True))

    to_csv(again, tmp_path / "csv")
    lines = pd.read_csv(tmp_path / "csv" / "evaluations.csv")
    assert (lines["status"] == "derived").sum() == 2 * 6 * 4
    runs = pd.read_csv(tmp_path / "csv" / "runs.csv").groupby("algorithm")
    assert runs["evaluations"].max()["derives"] == 0
    assert runs["failed"].max().eq(0).all()
    assert runs["test_regret"].max().map(math.isfinite).all()
    assert runs["epochs"].max()["derives"] == 4
    files = to_ioh(again, tmp_path / "ioh")
    derived = next(f for f in files if "derives" in str(f) and f.suffix == ".dat")
    line = derived.read_text().splitlines()[1].split()
    trace = again.traces(DIGITS, "derives")[0]
    regret = stats.final_value(trace, again.benchmark(DIGITS), "test_regret")
    assert (line[0], float(line[2])) == ("1", pytest.approx(regret))
    page = write_report(again, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "derives" in page
    assert "Algorithms may work themselves" in page


def test_the_schedule_shows_own_work(compared):
    result, _ = compared
    data = schedule_data(result)
    assert (data["status"] == "derived").sum() == 2 * 4
    figure = schedule_figure(result, data=data)
    (legend,) = figure.legends
    assert "own work" in [text.get_text() for text in legend.get_texts()]
    derives = figure.axes[1]
    assert not [text for text in derives.texts if text.get_text() == "-1"]


class Hill(Benchmark):
    """No table: what is derived and never evaluated is known by what is reported."""

    name, epochs, fidelities = "hill", 2, (1, 2)
    space = SearchSpace("hill", [Decision("a", tuple(range(8))), Decision("b", tuple(range(8)))])
    objectives = (Objective("height", "m"),)
    reported = Objective("test_height", "m")

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        from nasbench_lab.algorithm import Evaluation

        return Evaluation((float(sum(architecture)),), 1.0)

    def report_value(self, architecture):
        return 10.0 * sum(architecture)


def test_what_was_derived_on_a_benchmark_without_a_table_is_judged_by_what_is_reported():
    algorithms = {"random": "random_search", "derives": OneShot, "idle": Idle}
    result = compare(algorithms, Hill(), budget=5, seeds=4, n_jobs=1)
    benchmark = result.benchmark("hill")
    ends = [
        stats.final_value(trace, benchmark, "test") for trace in result.traces("hill", "derives")
    ]
    expected = [10.0 * t.architecture[-1].sum() for t in result.traces("hill", "derives")]
    assert ends == expected
    best = benchmark.optimum(benchmark.report)
    assert best >= max(ends)
    assert result.summary().set_index("algorithm").loc["idle", "without"] == 4
    only = compare({"idle": Idle}, Hill(), budget=5, seeds=2, n_jobs=1)
    assert only.summary()["without"].tolist() == [2]


class Idle(SearchAlgorithm):
    asked = False

    def ask(self):
        if self.asked:
            return None
        self.asked = True
        return Work(seconds=1.0)


# The contract


@pytest.mark.parametrize("cls", [OneShot, Both])
def test_algorithms_that_work_themselves_keep_the_contract(monkeypatch, cls):
    monkeypatch.setattr("nasbench_lab.testing.contract.differs_elsewhere", lambda *_: False)
    check_algorithm(cls)


class GivesUp(Both):
    failed = False

    def ask(self):
        return None if self.failed else super().ask()

    def tell(self, trial, evaluation):
        self.failed |= math.isnan(evaluation.values[0])


class Measures(OneShot):
    """What it recommends depends on more than the seed."""

    def ask(self):
        asked = super().ask()
        other = self.space.sample(np.random.default_rng())
        return asked._replace(architecture=other) if isinstance(asked, Work) else asked


@pytest.mark.parametrize(("cls", "words"), [(GivesUp, "gave up"), (Measures, "with one seed")])
def test_the_contract_notices_what_they_break(monkeypatch, cls, words):
    monkeypatch.setattr("nasbench_lab.testing.contract.differs_elsewhere", lambda *_: False)
    with pytest.raises(ContractError, match=words):
        check_algorithm(cls)


@pytest.mark.parametrize("name", ["learning_curve_stopping", "random_scalarization"])
def test_they_can_be_the_base_of_another_algorithm(name):
    benchmark = load_benchmark(DIGITS)
    algorithm = make_algorithm(name, benchmark.space, base=Both, fidelities=benchmark.fidelities)
    algorithm = pickle.loads(pickle.dumps(algorithm))
    trace = simulate(algorithm, benchmark, "200s", workers=3)
    assert trace.derived.any()
    assert trace.charged.any()


def test_a_single_run_has_it_too():
    trace = run(OneShot, DIGITS, "12s", seed=3)
    assert trace.derived.all()
    assert trace.equals(run(OneShot, DIGITS, "12s", seed=3))

"""Fixed targets: expected running times and run-time distributions, by brute force."""

import math

import numpy as np
import pytest
import scipy.stats

from nasbench_lab import stats
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import QueryError
from nasbench_lab.registry import load_benchmark
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare
from nasbench_lab.running.search import run

NAN, INF = math.nan, math.inf


# Expected running times

TIMES = np.array([10.0, INF, 30.0, INF, 20.0])
SPENT = np.array([100.0, 100.0, 100.0, 50.0, 100.0])


def test_the_expected_running_time_is_all_that_was_spent_over_the_successes():
    assert stats.expected_running_time(TIMES, SPENT) == (10 + 100 + 30 + 50 + 20) / 3
    assert stats.expected_running_time(TIMES, 100.0) == (10 + 100 + 30 + 100 + 20) / 3
    assert stats.expected_running_time([7.0, 9.0], 100) == 8
    assert stats.expected_running_time([INF, INF], 100) == INF
    assert math.isnan(stats.expected_running_time([], 100))


def restarted(times, spent, rng):
    """One run time of the restarted algorithm, run by run."""
    total = 0.0
    while True:
        i = int(rng.integers(len(times)))
        if math.isfinite(times[i]):
            return total + times[i]
        total += spent[i]


def test_simulated_restarts_by_brute_force():
    rng = np.random.default_rng(4)
    found = stats.simulated_restarts(TIMES, SPENT, 20_000, rng)
    by_hand = [restarted(TIMES.tolist(), SPENT.tolist(), rng) for _ in range(20_000)]
    # Both have steps, which make the test conservative; 1e-4 is one failure in 10,000 at most.
    assert scipy.stats.ks_2samp(found, by_hand).pvalue > 1e-4
    # Their mean is the ERT: five standard errors.
    ert = stats.expected_running_time(TIMES, SPENT)
    assert abs(found.mean() - ert) < 5 * found.std() / math.sqrt(20_000)


def test_simulated_restarts_at_their_ends():
    rng = np.random.default_rng(4)
    assert set(stats.simulated_restarts([3.0, 5.0], 100, 200, rng)) == {3, 5}
    assert stats.simulated_restarts([INF, INF], 100, 4, rng).tolist() == [INF] * 4
    assert stats.simulated_restarts(TIMES, SPENT, 0, rng).shape == (0,)
    again = [stats.simulated_restarts(TIMES, 100, 9, np.random.default_rng(1)) for _ in range(2)]
    assert np.array_equal(*again)


@pytest.mark.parametrize("n", [8, 60])
def test_the_erts_interval_agrees_with_scipys(n):
    rng = np.random.default_rng(4)
    times = rng.exponential(size=n)
    spent = rng.uniform(1.0, 2.0, size=n)
    times[: n // 8] = INF

    def ert(i, axis):
        some, reached = np.asarray(i, int), np.isfinite(times)
        return np.where(reached, times, spent)[some].sum(axis) / reached[some].sum(axis)

    low, high = stats.ert_interval(times, spent, n_resamples=20_000)
    theirs = scipy.stats.bootstrap(
        (np.arange(n),),
        ert,
        confidence_level=1 - 2 * stats.intervals.expanded_tail(0.95, n),
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(5),
    )
    # An end of 20,000 resamples has a standard deviation of 0.033 standard errors; six of both.
    tolerance = 6 * 0.033 * math.sqrt(2) * theirs.standard_error
    assert abs(low - theirs.confidence_interval.low) < tolerance
    assert abs(high - theirs.confidence_interval.high) < tolerance
    assert stats.ert_interval(times, spent) == stats.ert_interval(times, spent)


def test_the_erts_interval_at_its_ends():
    assert stats.ert_interval([5.0], 100) == (5, 5)
    assert stats.ert_interval([INF, INF, INF], 100) == (INF, INF)
    assert np.isnan(stats.ert_interval([], 100)).all()
    # Of three runs with one success, 8 in 27 resamples have none.
    low, high = stats.ert_interval([5.0, INF, INF], 100)
    assert low == 5
    assert high == INF


def test_the_ecdf_agrees_with_scipys():
    times = np.random.default_rng(3).integers(1, 20, size=50).astype(float)
    times[times > 15] = INF
    points = np.array([0.0, 1.0, 1.5, 15.0, 1e9])
    theirs = scipy.stats.ecdf(np.minimum(times, 1e12)).cdf.evaluate(points)
    np.testing.assert_allclose(stats.ecdf(times, points), theirs)
    assert np.isnan(stats.ecdf([], points)).all()
    assert stats.ecdf(times.reshape(5, 10), points).tolist() == stats.ecdf(times, points).tolist()


# Targets of a table


@pytest.fixture(scope="module", params=["nb201-digits", "nas-bench-graph/proteins"])
def searched(request):
    return load_benchmark(request.param)


def by_hand(trace, reaches):
    """Charged evaluations until the best seen so far is one that reaches the target."""
    best = -INF
    seen = -1
    for i, row in enumerate(trace.row.tolist()):
        value = float(trace.values[i, 0])
        if value > best:
            best, seen = value, row
        if seen >= 0 and reaches(seen):
            return float(i + 1)
    return INF


def test_spent_to_a_target_by_brute_force(searched):
    query = searched.first_objective
    values, optimum = searched.table.values(query), searched.optimum(query)
    for seed in range(3):
        trace = run("regularized_evolution", searched, 60, seed)
        for target in (0.0, 0.1, 0.5, 1.0, 3.0, 100.0):
            found = stats.spent_to_target(trace, searched, target)
            assert found == by_hand(trace, lambda row, t=target: optimum - values[row] <= t + 1e-9)
        several = stats.spent_to_targets(trace, searched, [0.5, 100.0, 3.0])
        assert several.tolist() == [
            stats.spent_to_target(trace, searched, target) for target in (0.5, 100.0, 3.0)
        ]
        for k in (1, 10, 100, 1000):
            label, target = stats.target_value(searched, f"top {k}")
            found = stats.spent_to_target(trace, searched, target)
            assert label == f"top {k}"
            # Where evaluations are in full and without noise, the incumbent is the best of them.
            assert found == stats.evaluations_to_top(trace, searched, k)
            same = stats.spent_to_target(
                trace, searched, stats.target_value(searched, f"top {k}", "valid")[1], "valid"
            )
            assert same == found


def test_spent_to_a_target_in_seconds():
    benchmark = load_benchmark("nb201-digits")
    trace = run("random_search", benchmark, 50, 1)
    for target in (5.0, 2.0, 1.0, 0.5):
        count = stats.spent_to_target(trace, benchmark, target, "test_regret")
        seconds = stats.spent_to_target(trace, benchmark, target, "test_regret", "seconds")
        expected = trace.end[int(count) - 1] if math.isfinite(count) else INF
        assert seconds == expected


def test_a_target_is_not_missed_by_rounding(make_table):
    valid = np.full((11, 2, 3), 90.0)
    valid[0], valid[1] = 90.3, 90.0 + 0.1  # the regret of row 1 is 0.2 and some rounding
    benchmark = TableBenchmark(make_table(valid=valid))
    above = 0
    for seed in range(5):
        trace = run("random_search", benchmark, 30, seed)
        regrets = stats.anytime(trace, benchmark, "valid_regret")
        above += np.sum((regrets > 0.2) & (regrets < 0.21))
        first = int(np.flatnonzero(regrets < 0.21)[0]) + 1
        assert stats.spent_to_target(trace, benchmark, 0.2) == first
    assert above > 0


def test_what_ties_with_the_kth_best_is_a_target(make_table):
    means = np.array([50, 60, 80, 61, 80, NAN, 80, 70, 70, 90, 40])
    for maximize in (True, False):
        turned = means if maximize else 100 - means
        values = turned[:, None, None] * np.ones((1, 2, 3))
        benchmark = TableBenchmark(make_table(valid=values, maximize=maximize))
        regrets = [stats.target_value(benchmark, f"top {k}")[1] for k in (1, 2, 4, 5, 6, 10)]
        assert regrets == [0, 10, 10, 20, 20, 50]
        values = [stats.target_value(benchmark, f"top {k}", "valid")[1] for k in (1, 4)]
        assert values == ([90, 80] if maximize else [10, 20])
        # 10 entries have a value: 1 % is one of them, 15 % two.
        shares = [stats.target_value(benchmark, f"best {p} %")[1] for p in (1, 15, 50, 51)]
        assert shares == [0, 10, 20, 20]


def test_targets_are_named():
    benchmark = load_benchmark("nb201-digits")
    for target, metric, label in (
        (0.5, "valid_regret", "regret <= 0.5"),
        (90, "valid", "valid accuracy >= 90"),
        (0.9, "hypervolume", "hypervolume >= 0.9"),
        ("best 1 %", "test_regret", "best 1 %"),
    ):
        assert stats.target_value(benchmark, target, metric)[0] == label


@pytest.mark.parametrize("target", ["top", "top ten", "best 1", "regret 0.5", ""])
def test_targets_that_make_no_sense_are_refused(target):
    benchmark = load_benchmark("nb201-digits")
    with pytest.raises(QueryError, match="Expected a target such as"):
        stats.target_value(benchmark, target)
    with pytest.raises(QueryError, match="single entries do not have"):
        stats.target_value(benchmark, "top 10", "hypervolume")


def test_what_a_run_spent_in_all():
    benchmark = load_benchmark("nb201-digits")
    trace = run("random_search", benchmark, "9,50000s", 0)
    assert stats.spent_in_all(trace) == 9
    assert stats.spent_in_all(trace, "seconds") == trace.end[-1]
    seconds = trace.end[3:5].mean()
    cut = run("random_search", benchmark, f"{seconds}s", 0)
    assert stats.spent_in_all(cut) == 4
    assert cut.end[-1] < stats.spent_in_all(cut, "seconds") == seconds
    # Where the epochs end the search, an evaluation is cut off as well, but nothing waits for it.
    epochs = int(trace.epochs()[3]) + 1
    fewer = run("random_search", benchmark, f"{epochs}epochs,50000s", 0)
    assert len(fewer.cut_off)
    assert stats.spent_in_all(fewer, "seconds") == fewer.end[-1] == trace.end[3]
    assert stats.spent_in_all(fewer, "epochs") == epochs - 1
    nothing = run("random_search", benchmark, "0.001s", 0)
    assert stats.spent_in_all(nothing) == 0
    assert stats.spent_to_target(nothing, benchmark, 1000.0) == INF


def test_a_run_waits_for_what_runs_but_not_for_what_would_exceed_the_epochs():
    # All are trained for 12 epochs; the sixth ends at 3.94 s.
    benchmark = load_benchmark("nb201-digits")
    ends = run("random_search", benchmark, 6, 0).end
    between = float(ends[4:].mean())
    last = run("random_search", benchmark, f"6,{between}s", 0)
    assert stats.spent_in_all(last, "seconds") == between
    exceeding = run("random_search", benchmark, f"{6 * 12 - 1}epochs,{between}s", 0)
    assert len(exceeding) == len(last) == 5
    assert exceeding.cut_off.end.tolist() == [ends[5]]
    assert stats.spent_in_all(exceeding, "seconds") == ends[4]
    # With workers, the others run on, be it to the end of the seconds or until they are done.
    for seed in range(5):
        unlimited = run("random_search", benchmark, f"{6 * 12 - 1}epochs", seed, workers=3)
        last = unlimited.end[-1]
        # What exceeded the epochs and what would have been done at the end both end too late.
        for limit, expected in ((last + 1e-6, last), (last - 1e-6, last - 1e-6)):
            some = run("random_search", benchmark, f"{6 * 12 - 1}epochs,{limit}s", seed, workers=3)
            assert stats.spent_in_all(some, "seconds") == expected


# Targets of a result


@pytest.fixture(scope="module")
def result():
    return compare(["random_search", "local_search"], "nb201-digits", budget=30, seeds=4, n_jobs=1)


def test_default_targets_go_from_what_chance_finds_to_the_best_found(result):
    benchmark = result.benchmark("nb201-digits")
    for metric in ("valid_regret", "test_regret"):
        targets = stats.default_targets(result, "nb201-digits", metric, n=11)
        query = stats.metric_query(benchmark, metric)
        regrets = benchmark.optimum(query) - benchmark.table.values(query)
        best = min(np.nanmin(stats.anytime(one.trace, benchmark, metric)) for one in result.runs)
        assert len(targets) == 11
        assert targets[0] == pytest.approx(np.nanmedian(regrets))
        assert targets[-1] == pytest.approx(best)
        steps = np.diff(np.log(targets))
        np.testing.assert_allclose(steps, steps[0], rtol=1e-6)
        turned = stats.default_targets(result, "nb201-digits", metric.split("_")[0], n=11)
        np.testing.assert_allclose(benchmark.optimum(query) - np.array(turned), targets, atol=1e-9)


def test_default_targets_where_the_optimum_was_found(make_table):
    valid = np.arange(11.0)[:, None, None] * np.ones((1, 2, 3))
    benchmark = TableBenchmark(make_table(valid=valid))
    result = compare(["random_search"], benchmark, budget=60, seeds=2, n_jobs=1)
    targets = stats.default_targets(result, benchmark.name, n=5)
    np.testing.assert_allclose(targets, [5, 5 ** (2 / 3), 5 ** (1 / 3), 1, 0], atol=1e-9)


def test_default_targets_where_nothing_lies_between(make_table):
    benchmark = TableBenchmark(make_table(valid=np.ones((11, 2, 3)), test=np.ones((11, 2, 3))))
    result = compare(["random_search"], benchmark, budget=3, seeds=1, n_jobs=1)
    assert stats.default_targets(result, benchmark.name) == [0]
    empty = Result(result.experiment, [])
    assert stats.default_targets(empty, benchmark.name) == [0]

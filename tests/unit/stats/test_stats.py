"""Traces and statistics, each against its definition written out by brute force."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_lab.benchmark import Objective, TableBenchmark
from nasbench_lab.errors import BudgetError, QueryError, UnknownNameError
from nasbench_lab.registry import load_benchmark
from nasbench_lab.spaces import Decision, SearchSpace
from nasbench_lab.stats import (
    METRICS,
    anytime,
    area,
    average_ranks,
    bootstrap_interval,
    check_axis,
    curves,
    evaluations_to_top,
    grid,
    higher_is_better,
    metric_label,
    ranks,
    spent_to_target,
)
from nasbench_lab.stats.intervals import expanded_tail
from nasbench_lab.trace import COLUMNS, Trace

NAN = math.nan

TOY = SearchSpace("toy", [Decision("a", "xyz"), Decision("b", "uv"), Decision("c", "pq")])


def make_trace(
    values, maximize=True, rows=None, ends=None, architectures=None, charged=None, **settings
):
    n = len(values)
    ends = np.arange(1.0, n + 1) if ends is None else np.array(ends, dtype=float)
    rows = np.zeros(n, dtype=np.int64) if rows is None else np.array(rows, dtype=np.int64)
    if architectures is None:
        architectures = [
            (row // 4, row // 2 % 2, row % 2) if row >= 0 else (2, 1, 1) for row in rows
        ]
    return Trace(
        trial=np.arange(n),
        architecture=np.array(architectures, dtype=np.int64).reshape(n, 3),
        row=rows,
        since=np.zeros(n, dtype=np.int64),
        epoch=np.full(n, 4),
        values=np.array(values, dtype=float).reshape(n, -1) if n else np.zeros((0, 1)),
        violation=np.zeros(n),
        cost=np.ones(n),
        start=np.zeros(n),
        end=ends,
        worker=np.zeros(n, dtype=np.int64),
        charged=np.ones(n, dtype=bool) if charged is None else np.array(charged, dtype=bool),
        status=np.zeros(n, dtype=np.int8),
        space=TOY,
        objectives=(Objective("valid_accuracy", "%", maximize), Objective("other", "", True)),
        settings=settings,
    )


ONE_COLUMN = [metric for metric in METRICS if metric != "hypervolume"]

# Few different values, so that there are ties; many failures.
VALUES = st.lists(st.sampled_from([NAN, NAN, 1.0, 2.0, 2.0, 3.0, -1.0, 0.0]), max_size=15)


def incumbent_by_hand(values, maximize):
    """Position of the best of some values, the first of equals, or -1."""
    best = -1
    for i, value in enumerate(values):
        if math.isnan(value):
            continue
        better = best < 0 or (value > values[best] if maximize else value < values[best])
        best = i if better else best
    return best


# Traces


@pytest.mark.parametrize("column", COLUMNS)
def test_a_trace_has_columns_of_one_length(column):
    trace = make_trace([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="entries"):
        replace(trace, **{column: getattr(trace, column)[:2]})


@pytest.mark.parametrize(
    ("start", "end"), [([0, 0, 0], [1, 3, 2]), ([0, 2, 0], [1, 1, 1]), ([0, 0, 4], [1, 2, 3])]
)
def test_a_trace_is_in_the_order_of_its_ends(start, end):
    with pytest.raises(ValueError, match="end after they start, in order of ends"):
        replace(make_trace([1.0, 2.0, 3.0]), start=np.array(start), end=np.array(end))


def test_a_trace_may_hold_ends_of_one_moment_and_nothing_at_all():
    assert len(make_trace([1.0, 2.0], ends=[3, 3])) == 2
    assert len(make_trace([])) == 0


@pytest.mark.parametrize("column", COLUMNS)
def test_traces_that_differ_in_one_entry_are_not_equal(column):
    trace, same = make_trace([1.0, NAN, 3.0]), make_trace([1.0, NAN, 3.0], seed=5)
    assert trace.equals(same)
    changed = getattr(trace, column).copy()
    changed[2] = not changed[2] if column == "charged" else changed[2] + 1
    assert not trace.equals(replace(trace, **{column: changed}))
    assert not trace.equals(make_trace([1.0, NAN]))


def test_traces_that_differ_by_one_rounding_error_are_not_equal():
    assert not make_trace([0.3]).equals(make_trace([0.1 + 0.2]))
    assert not make_trace([NAN]).equals(make_trace([0.0]))


@given(values=VALUES, maximize=st.booleans())
def test_incumbents_by_brute_force(values, maximize):
    expected = [incumbent_by_hand(values[: i + 1], maximize) for i in range(len(values))]
    assert make_trace(values, maximize).incumbents().tolist() == expected


def test_the_first_objective_decides_on_the_incumbent():
    trace = make_trace([(1.0, 9.0), (3.0, 1.0), (2.0, 5.0)])
    assert trace.incumbents().tolist() == [0, 1, 1]
    assert trace.scores(1).tolist() == [9.0, 1.0, 5.0]


def test_scores_of_a_minimised_objective_are_turned():
    assert make_trace([1.0, NAN, 3.0], maximize=False).scores().tolist() == [-1, -math.inf, -3]


@pytest.mark.usefixtures("timed")
@pytest.mark.parametrize(("maximize", "best"), [(True, "y:u:p"), (False, "x:u:q")])
def test_the_best_architecture_of_a_trace(maximize, best):
    trace = make_trace([NAN, 1.0, 3.0, 3.0, 1.0], maximize, rows=[0, 1, 4, 5, 6])
    assert trace.best() == best


@pytest.mark.parametrize("values", [[], [NAN], [NAN, NAN]])
def test_a_trace_without_success_has_no_best(values):
    with pytest.raises(ValueError, match="No evaluation of this run succeeded"):
        make_trace(values).best()


@pytest.mark.usefixtures("timed")
def test_a_trace_as_a_frame():
    frame = make_trace([(1.0, 7.0), (NAN, NAN)], rows=[4, -1]).to_frame()
    assert frame["architecture"].tolist() == ["y:u:p", "z:v:q"]
    assert frame["valid_accuracy"].fillna(-5.0).tolist() == [1.0, -5.0]
    assert frame["other"].fillna(-5.0).tolist() == [7.0, -5.0]
    assert frame["row"].tolist() == [4, -1]
    assert frame["end"].tolist() == [1.0, 2.0]


# Anytime curves


@pytest.fixture(scope="module", params=[True, False], ids=["maximised", "minimised"])
def toy(request, make_table):
    return TableBenchmark(make_table(maximize=request.param))


def seen_by_hand(trace, benchmark, metric, n):
    """The metric of the best of the first ``n`` evaluations, from the trials in the table."""
    maximize = benchmark.objectives[0].maximize
    best = incumbent_by_hand(trace.values[:n, 0].tolist(), maximize)
    if best < 0:
        return NAN
    seen = trace.values[best, 0] if metric.startswith("seen") else None
    column = "test_accuracy" if metric.startswith("test") else "valid_accuracy"
    means = []
    for trials in benchmark.table.trials(column).tolist():
        held = [value for value in trials if not math.isnan(value)]
        means.append(sum(held) / len(held) if held else NAN)
    value = means[trace.row[best]] if seen is None else seen
    finite = [mean for mean in means if not math.isnan(mean)]
    optimum = max(finite) if maximize else min(finite)
    return abs(optimum - value) if metric.endswith("regret") else value


ROWS = st.lists(st.sampled_from([*range(11), -1]), min_size=1, max_size=12)


@st.composite
def traces(draw, benchmark):
    """Runs on the toy table, whose values are noisy, and of which several may end at once."""
    rows = draw(ROWS)
    means = benchmark.table.values("valid_accuracy")
    values = [NAN if row < 0 else means[row] + draw(st.sampled_from([-9, 0, 9])) for row in rows]
    steps = draw(st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=len(rows), max_size=len(rows)))
    ends = np.cumsum(steps)
    charged = draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    return make_trace(values, benchmark.objectives[0].maximize, rows, ends, charged=charged)


def counts_of(trace):
    """How many evaluations have counted up to and including each."""
    return [sum(trace.charged.tolist()[: n + 1]) for n in range(len(trace))]


@settings(max_examples=50, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("metric", ONE_COLUMN)
def test_anytime_by_brute_force(toy, metric, data):
    trace = data.draw(traces(toy))
    expected = [seen_by_hand(trace, toy, metric, n) for n in range(1, len(trace) + 1)]
    np.testing.assert_allclose(anytime(trace, toy, metric), expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("axis", ["evaluations", "seconds"])
def test_curves_show_what_was_known_then_by_brute_force(toy, axis, data):
    some = [data.draw(traces(toy)) for _ in range(3)]
    points = np.array([0.0, 0.5, 1.0, 1.0, 2.0, 2.5, 2.4999999, 3.5, 7.0, 1000.0])
    expected = np.full((3, len(points)), NAN)
    for i, trace in enumerate(some):
        ends = counts_of(trace) if axis == "evaluations" else trace.end.tolist()
        for j, point in enumerate(points.tolist()):
            n = sum(end <= point for end in ends)
            expected[i, j] = seen_by_hand(trace, toy, "test_regret", n)
    found = curves(some, toy, points, "test_regret", axis)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(data=st.data(), n=st.integers(0, 12))
@pytest.mark.parametrize("axis", ["evaluations", "seconds"])
def test_curves_know_nothing_of_the_future(toy, axis, data, n):
    trace = data.draw(traces(toy))
    n = min(n, len(trace))
    ends = counts_of(trace) if axis == "evaluations" else trace.end.tolist()
    while 0 < n < len(trace) and ends[n] == ends[n - 1]:
        n += 1
    before = replace(trace, **{name: getattr(trace, name)[:n] for name in COLUMNS})
    points = np.linspace(-1.0, ends[n - 1] if n else -1.0, 7)
    whole = curves([trace], toy, points, "valid", axis)
    known = curves([before], toy, points, "valid", axis)
    assert np.array_equal(whole, known, equal_nan=True)


def test_regret_is_never_negative_and_falls_where_the_values_are_exact(toy):
    rows = [3, 7, 0, 10, 4, 1, 9, 2, 6, 8]
    values = toy.table.values("valid_accuracy")[rows]
    regret = anytime(make_trace(values, toy.objectives[0].maximize, rows), toy, "valid_regret")
    assert np.all(regret >= 0)
    assert np.all(np.diff(regret) <= 0)
    assert regret[-1] == 0


def test_an_unknown_metric_is_refused_with_the_nearest(timed):
    with pytest.raises(UnknownNameError, match="Did you mean 'test_regret'"):
        anytime(make_trace([1.0]), TableBenchmark(timed), "tets_regret")


@pytest.mark.parametrize(
    ("table", "metric", "label"),
    [
        ("nas-bench-graph/cora", "test_regret", "test accuracy regret (percentage points)"),
        ("nas-bench-graph/cora", "valid", "valid accuracy (%)"),
        ("nas-bench-graph/proteins", "valid_regret", "valid ROC AUC regret (percentage points)"),
    ],
)
def test_labels_have_units(table, metric, label):
    assert metric_label(load_benchmark(table), metric) == label


def test_a_grid_of_evaluations_ends_with_the_longest_run():
    runs = [make_trace([1.0] * n) for n in (3, 7, 5)]
    assert grid(runs).tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert grid(runs, n=3).tolist() == [1, 4, 7]
    thousand = grid([make_trace([1.0] * 1000)])
    assert len(thousand) == 200
    assert (thousand[0], thousand[-1]) == (1, 1000)
    assert np.array_equal(thousand, thousand.round())
    assert np.all(np.diff(thousand) > 0)


def test_a_grid_of_seconds_ends_with_the_budget_or_the_last_evaluation():
    limited = {"clock": "official", "budget": {"evaluations": 9, "seconds": 50.0}}
    assert grid([make_trace([1.0], ends=[7], **limited)], "seconds", 5).tolist() == [
        10,
        20,
        30,
        40,
        50,
    ]
    unlimited = {"clock": "official", "budget": {"evaluations": 9}}
    runs = [make_trace([1.0], ends=[end], **unlimited) for end in (4, 8, 6)]
    assert grid(runs, "seconds", 4).tolist() == [2, 4, 6, 8]


@pytest.mark.parametrize("n_evaluations", [0, 1, 5])
def test_the_grid_of_runs_that_spent_no_second_is_one_point(n_evaluations):
    made = make_trace(
        [1.0] * n_evaluations,
        ends=[0.0] * n_evaluations,
        clock="official",
        budget={"evaluations": 9},
    )
    assert grid([made, made], "seconds").tolist() == [1.0]
    assert area([[3.0], [2.0]], grid([made], "seconds")).tolist() == [3.0, 2.0]


def test_seconds_are_refused_where_the_clock_counts_evaluations():
    with pytest.raises(BudgetError, match="Use the axis 'evaluations'"):
        check_axis(load_benchmark("nas-bench-graph/proteins"), "seconds")


def test_free_repeats_are_no_evaluations(timed):
    benchmark = TableBenchmark(timed)
    rows = [0, 0, 1, 1, 2]
    values = benchmark.table.values(benchmark.first_objective)
    trace = make_trace(values[rows], rows=rows, charged=[True, False, True, False, True])
    assert trace.evaluations().tolist() == [1, 1, 2, 2, 3]
    assert grid([trace]).tolist() == [1, 2, 3]
    shown = curves([trace], benchmark, np.array([1.0, 2.0, 3.0]), "valid")[0]
    assert shown.tolist() == [values[:1].max(), values[:2].max(), values[:3].max()]
    best = int(np.nanargmax(values[:3]))
    k = int((values >= values[best]).sum())
    assert evaluations_to_top(trace, benchmark, k) == best + 1


def test_what_is_in_no_table_is_looked_up_in_none(timed):
    trace = make_trace([50.0], rows=[-1])
    assert np.isnan(anytime(trace, TableBenchmark(timed), "test_regret")).all()


# Areas and ranks


CURVES = st.lists(st.sampled_from([NAN, 0.0, 0.5, 2.0, 7.0]), min_size=1, max_size=6)


@given(values=CURVES, start=st.sampled_from([0.0, 0.5]), data=st.data())
def test_the_area_by_brute_force(values, start, data):
    n = len(values)
    leading = next((i for i, value in enumerate(values) if not math.isnan(value)), n)
    values = [NAN] * leading + [0.5 if math.isnan(v) else v for v in values[leading:]]
    steps = data.draw(st.lists(st.sampled_from([0.0, 1.0, 1.5]), min_size=n - 1, max_size=n - 1))
    points = np.cumsum([1.0, *steps])
    # In the middle of every part of 1/4 stands what was known then, or, before, the first value.
    total, moments = 0.0, np.arange(start + 0.125, points[-1], 0.25)
    for moment in moments.tolist():
        known = [v for v, point in zip(values, points, strict=True) if point <= moment]
        nothing = not known or math.isnan(known[-1])
        total += [*values, NAN][leading] if nothing else known[-1]
    expected = total / len(moments)
    found = area(np.array([values, values]), points, start)
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-12, atol=1e-12)


def test_the_area_of_a_known_curve():
    # 9 from 0 to 2, as it is the first value, 4 from 2 to 5, 1 from 5 to 10; the 0 at 10 is too late.
    found = area(np.array([[9.0, 4.0, 1.0, 0.0]]), np.array([1.0, 2.0, 5.0, 10.0]))
    assert found.tolist() == [(9 * 2 + 4 * 3 + 1 * 5) / 10]


@pytest.mark.parametrize("points", [[], [0.0], [2.0, 1.0], [-3.0, -1.0]])
def test_an_area_needs_points_after_the_start(points):
    with pytest.raises(QueryError, match="in ascending order that end after 0"):
        area(np.ones((1, len(points))), np.array(points))


def test_ranks_among_algorithms():
    # (algorithms, blocks): the third has no incumbent in the first block, two have none in the last.
    samples = np.array([[1.0, 2.0, NAN], [1.0, 3.0, NAN], [NAN, 1.0, 5.0]])
    assert ranks(samples).tolist() == [[1.5, 2, 2.5], [1.5, 3, 2.5], [3, 1, 1]]
    assert ranks(samples, maximize=True).tolist() == [[1.5, 2, 2.5], [1.5, 1, 2.5], [3, 3, 1]]
    assert average_ranks(samples).tolist() == [2.0, 7 / 3, 5 / 3]
    over_time = average_ranks(np.stack([samples, samples[::-1]], axis=2))
    assert over_time.shape == (3, 2)
    assert over_time[:, 1].tolist() == [5 / 3, 7 / 3, 2.0]


def test_which_metrics_are_better_when_higher(toy):
    maximize = toy.objectives[0].maximize
    expected = {**dict.fromkeys(("test", "valid", "seen"), maximize), "hypervolume": True}
    assert all(higher_is_better(toy, m) == expected.get(m, False) for m in METRICS)


# Targets


@settings(max_examples=50, deadline=None)
@given(data=st.data(), axis=st.sampled_from(["evaluations", "seconds"]))
@pytest.mark.parametrize("metric", ONE_COLUMN)
def test_spent_to_a_target_by_brute_force(toy, metric, axis, data):
    trace = data.draw(traces(toy))
    seen = [seen_by_hand(trace, toy, metric, n) for n in range(1, len(trace) + 1)]
    spent = counts_of(trace) if axis == "evaluations" else trace.end.tolist()
    known = [value for value in seen if not math.isnan(value)]
    upwards = not metric.endswith("regret") and toy.objectives[0].maximize
    for target in [*known, 0.0, 5.0, 60.0]:
        sign = 1 if upwards else -1
        reached = (s for s, v in zip(spent, seen, strict=True) if sign * (v - target) >= -1e-9)
        assert spent_to_target(trace, toy, target, metric, axis) == next(reached, math.inf)


# Intervals


def test_the_bootstrap_agrees_with_scipys():
    samples = np.random.default_rng(5).gamma(2.0, size=(40, 3))
    low, high = bootstrap_interval(samples)
    theirs = scipy.stats.bootstrap(
        (samples,),
        np.mean,
        confidence_level=1 - 2 * expanded_tail(0.95, 40),
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(6),
    ).confidence_interval
    # An end of an interval of 2,000 resamples has a standard deviation of 0.07 standard errors of
    # the mean, one of 20,000 of 0.022; six times both together.
    tolerance = 6 * math.hypot(0.07, 0.022) * samples.std(axis=0) / math.sqrt(40)
    assert np.all(np.abs(low - theirs.low) < tolerance)
    assert np.all(np.abs(high - theirs.high) < tolerance)


def test_the_bootstraps_level_is_what_is_asked():
    samples = np.random.default_rng(5).normal(size=50)
    standard_error = samples.std(ddof=1) / math.sqrt(50)
    for level in (0.5, 0.8, 0.95):
        low, high = bootstrap_interval(samples, level, n_resamples=20_000)
        half = scipy.stats.t.ppf(0.5 + level / 2, 49) * standard_error
        # Six standard deviations of an end of 20,000 resamples, and what 50 normal samples lack.
        assert abs(low - (samples.mean() - half)) < 0.15 * standard_error
        assert abs(high - (samples.mean() + half)) < 0.15 * standard_error


def test_the_bootstrap_is_deterministic_and_keeps_shapes():
    samples = np.random.default_rng(5).normal(size=(9, 4, 2))
    low, high = bootstrap_interval(samples)
    assert low.shape == high.shape == (4, 2)
    again = bootstrap_interval(samples.copy())
    assert np.array_equal(low, again[0])
    assert np.array_equal(high, again[1])
    assert not np.array_equal(low, bootstrap_interval(samples, seed=1)[0])
    column = bootstrap_interval(samples[:, 2, 1])
    np.testing.assert_allclose(column, (low[2, 1], high[2, 1]), rtol=1e-12)


def test_the_bootstrap_of_one_run_or_of_equal_runs_is_a_point():
    assert bootstrap_interval(np.array([3.0])) == (3.0, 3.0)
    low, high = bootstrap_interval(np.full(10, 0.1))
    np.testing.assert_allclose([low, high], 0.1, rtol=1e-12)


def test_the_bootstraps_interval_holds_the_mean_as_often_as_it_says():
    n_sets, n_runs = 4_000, 100
    samples = np.random.default_rng(8).exponential(size=(n_runs, n_sets))
    low, high = bootstrap_interval(samples)
    coverage = np.mean((low <= 1.0) & (high >= 1.0))
    # Percentile intervals of 100 skewed values hold their mean about 1 % too rarely; beyond that,
    # five binomial standard errors, each 0.0034.
    assert 0.95 - 0.01 - 5 * 0.0034 < coverage < 0.95 + 5 * 0.0034


# Evaluations to the top


def top_by_hand(trace, means, k, maximize):
    """The count when the best row so far was first among the k best, and what ties with them."""
    finite = sorted((m for m in means if not math.isnan(m)), reverse=maximize)
    for i, row in enumerate(trace.row.tolist()):
        if row < 0 or math.isnan(means[row]):
            continue
        if means[row] >= finite[k - 1] if maximize else means[row] <= finite[k - 1]:
            return counts_of(trace)[i]
    return math.inf


def values_of(rows, means):
    return [NAN if row < 0 else means[row] for row in rows]


@pytest.fixture(scope="module", params=[True, False], ids=["maximised", "minimised"])
def tied(request, make_table):
    """Rows 2, 4 and 6 share the second place, rows 7 and 8 the fifth; row 5 has no value."""
    means = [50, 60, 80, 61, 80, NAN, 80, 70, 70, 90, 40]
    turned = [m if request.param else 100 - m for m in means]
    values = np.array(turned)[:, None, None] * np.ones((1, 2, 3))
    return TableBenchmark(make_table(valid=values, maximize=request.param)), turned


@settings(max_examples=50, deadline=None)
@given(rows=ROWS, k=st.integers(1, 10), data=st.data())
def test_evaluations_to_the_top_by_brute_force(tied, rows, k, data):
    benchmark, means = tied
    maximize = benchmark.objectives[0].maximize
    charged = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    trace = make_trace(values_of(rows, means), maximize, rows, charged=charged)
    assert evaluations_to_top(trace, benchmark, k) == top_by_hand(trace, means, k, maximize)


def test_what_ties_with_the_kth_best_is_at_the_top(tied):
    benchmark, means = tied
    rows = [0, 6, 2, 9]
    trace = make_trace(values_of(rows, means), benchmark.objectives[0].maximize, rows)
    assert [evaluations_to_top(trace, benchmark, k) for k in (1, 2, 4, 9)] == [4, 2, 2, 1]


def test_the_top_may_never_be_reached(tied):
    benchmark, means = tied
    maximize = benchmark.objectives[0].maximize
    for rows in ([], [5, -1, 5], [0, 10, 1]):
        trace = make_trace(values_of(rows, means), maximize, rows)
        assert evaluations_to_top(trace, benchmark, 3) == math.inf


def test_the_top_of_more_entries_than_there_are_is_refused(tied):
    benchmark, means = tied
    trace = make_trace([means[0]], benchmark.objectives[0].maximize, [0])
    assert evaluations_to_top(trace, benchmark, 10) == 1
    with pytest.raises(QueryError, match=r"no 'top 11' .* 10 entries"):
        evaluations_to_top(trace, benchmark, 11)

"""Frames of a result, against SciPy and by brute force from its traces."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests

from nasbench_lab import stats
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import BudgetError, QueryError, UnknownNameError
from nasbench_lab.registry import load_benchmark
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare

NAN, INF = math.nan, math.inf
BENCHMARKS = ["nb201-digits", "nas-bench-graph/proteins", "nas-bench-graph/cora"]
ALGORITHMS = {
    "random <search>": "random_search",
    "local_search": "local_search",
    "ev('ü')": "regularized_evolution(population_size=5, sample_size=2)",
}
FRAMES = {
    "curve": stats.curve_frame,
    "rank": stats.rank_frame,
    "final": stats.final_frame,
    "target": stats.target_frame,
    "ecdf": stats.ecdf_frame,
    "table": stats.table_frame,
    "pairwise": stats.pairwise_frame,
}
COLUMNS = {
    "curve": "benchmark algorithm statistic point centre low high runs without",
    "rank": "benchmark algorithm point rank low high seeds",
    "final": "benchmark algorithm seed value area",
    "target": "benchmark algorithm target value runs successes success success_low success_high "
    "median ert ert_low ert_high",
    "ecdf": "benchmark algorithm point share",
    "table": "benchmark algorithm runs without mean low high median q25 q75 rank best p effect outcome "
    "significant a12",
    "pairwise": "benchmark a b seeds difference low high effect p p_holm a12 cliffs_delta",
}


@pytest.fixture(scope="module")
def result():
    return compare(ALGORITHMS, BENCHMARKS, budget=25, seeds=9, n_jobs=1)


@pytest.fixture(scope="module")
def timed_result():
    return compare(ALGORITHMS, "nb201-digits", budget="20s", seeds=6, n_jobs=1)


def part(result, keep):
    """The result with some of its runs."""
    runs = [run for run in result.runs if keep(run)]
    return Result(result.experiment, runs)


def known_at(trace, benchmark, metric, axis, point):
    """The metric of the incumbent at a moment, by the definition."""
    value = NAN
    for spent, seen in zip(
        stats.spent(trace, axis), stats.anytime(trace, benchmark, metric), strict=True
    ):
        value = seen if spent <= point else value
    return value


def lines_of(frame, **where):
    for column, value in where.items():
        frame = frame[frame[column] == value]
    return frame.reset_index(drop=True)


# Over time


@pytest.mark.parametrize("statistic", stats.STATISTICS)
def test_curves_by_brute_force(result, timed_result, statistic):
    for one, axis in ((result, "evaluations"), (timed_result, "seconds")):
        frame = stats.curve_frame(one, "valid_regret", statistic=statistic, n=7)
        for name, algorithm in itertools.product(one.benchmarks, one.algorithms):
            lines = lines_of(frame, benchmark=name, algorithm=algorithm)
            traces = one.traces(name, algorithm)
            assert lines["point"].iloc[-1] == (25 if axis == "evaluations" else 20)
            assert (lines["runs"] == len(traces)).all()
            samples = np.array(
                [
                    [known_at(t, one.benchmark(name), "valid_regret", axis, p) for t in traces]
                    for p in lines["point"]
                ]
            )
            expected = stats.summarise(samples.T, statistic)
            np.testing.assert_allclose(lines[["centre", "low", "high"]].T, expected, rtol=1e-12)


@pytest.mark.parametrize("metric", ["test_regret", "test"])
def test_ranks_by_brute_force(result, metric):
    frame = stats.rank_frame(result, metric, n=6)
    sign = -1 if metric == "test" else 1
    every = {}
    for name in BENCHMARKS:
        benchmark = result.benchmark(name)
        for share, whole in ((False, np.unique(np.linspace(1, 25, 6).round())), (True, None)):
            points = np.linspace(1 / 6, 1, 6) * 25 if share else whole
            values = np.array(
                [
                    [
                        [known_at(t, benchmark, metric, "evaluations", p) for p in points]
                        for t in result.traces(name, algorithm)
                    ]
                    for algorithm in result.algorithms
                ]
            )
            placed = np.empty_like(values)
            for seed, i in itertools.product(range(9), range(len(points))):
                placed[:, seed, i] = scipy.stats.rankdata(sign * values[:, seed, i])
            every[name] = placed
            if share:
                continue
            for algorithm, ranks in zip(result.algorithms, placed, strict=True):
                lines = lines_of(frame, benchmark=name, algorithm=algorithm)
                np.testing.assert_allclose(lines["point"], points)
                np.testing.assert_allclose(lines["rank"], ranks.mean(axis=0))
                np.testing.assert_allclose(
                    lines[["low", "high"]].T, stats.bootstrap_interval(ranks)
                )
    together = np.mean(list(every.values()), axis=0)
    for algorithm, ranks in zip(result.algorithms, together, strict=True):
        lines = lines_of(frame, benchmark=stats.ALL, algorithm=algorithm)
        np.testing.assert_allclose(lines["point"], np.linspace(1 / 6, 1, 6))
        np.testing.assert_allclose(lines["rank"], ranks.mean(axis=0))
        np.testing.assert_allclose(lines[["low", "high"]].T, stats.bootstrap_interval(ranks))
    sums = frame.groupby(["benchmark", "point"])["rank"].sum()
    np.testing.assert_allclose(sums, 6.0)


def test_run_time_distributions_by_brute_force(result):
    frame = stats.ecdf_frame(result, n=5)
    shares = {algorithm: [] for algorithm in result.algorithms}
    for name, algorithm in itertools.product(BENCHMARKS, result.algorithms):
        benchmark = result.benchmark(name)
        times = [
            stats.spent_to_target(trace, benchmark, target)
            for trace in result.traces(name, algorithm)
            for target in stats.default_targets(result, name)
        ]
        lines = lines_of(frame, benchmark=name, algorithm=algorithm)
        assert lines["point"].tolist() == [1, 7, 13, 19, 25]
        expected = [np.mean([time <= point for time in times]) for point in lines["point"]]
        np.testing.assert_allclose(lines["share"], expected)
        shares[algorithm].append(
            [np.mean([time <= 25 * point for time in times]) for point in (0.2, 0.4, 0.6, 0.8, 1)]
        )
    for algorithm, parts in shares.items():
        lines = lines_of(frame, benchmark=stats.ALL, algorithm=algorithm)
        np.testing.assert_allclose(lines["point"], [0.2, 0.4, 0.6, 0.8, 1])
        np.testing.assert_allclose(lines["share"], np.mean(parts, axis=0))


def test_one_benchmark_has_no_average_over_benchmarks(timed_result):
    assert set(stats.rank_frame(timed_result)["benchmark"]) == {"nb201-digits"}
    assert set(stats.ecdf_frame(timed_result)["benchmark"]) == {"nb201-digits"}


# At the end


def test_final_values_and_areas_by_brute_force(result, timed_result):
    for one, end in ((result, 25.0), (timed_result, 20.0)):
        frame = stats.final_frame(one)
        assert len(frame) == len(one.runs)
        for line, run in zip(frame.itertuples(), one.runs, strict=True):
            assert (line.benchmark, line.algorithm) == (run.benchmark, run.algorithm)
            assert line.seed == run.seed
            values = stats.anytime(run.trace, one.benchmark(run.benchmark))
            assert line.value == values[-1]
            times = [*stats.spent(run.trace, one.axis).tolist(), end]
            total = values[0] * times[0]
            for value, (start, stop) in zip(values, itertools.pairwise(times), strict=True):
                total += value * (stop - start)
            assert line.area == pytest.approx(total / end, rel=1e-9)


def test_targets_by_brute_force(result, timed_result):
    targets = [1.0, "top 100", "best 1 %"]
    for one in (result, timed_result):
        frame = stats.target_frame(one, targets=targets)
        assert len(frame) == 3 * len(one.algorithms) * len(one.benchmarks)
        assert 0 < frame["success"].mean() < 1
        for line in frame.itertuples():
            benchmark = one.benchmark(line.benchmark)
            traces = one.traces(line.benchmark, line.algorithm)
            times = [
                stats.spent_to_target(t, benchmark, line.value, "valid_regret", one.axis)
                for t in traces
            ]
            reached = [time for time in times if time < INF]
            spent = 25.0 if one is result else 20.0
            assert (line.runs, line.successes) == (len(traces), len(reached))
            assert line.success == len(reached) / len(traces)
            wilson = stats.wilson_interval(len(reached), len(traces))
            assert (line.success_low, line.success_high) == wilson
            assert line.median == sorted(times)[(len(times) - 1) // 2]
            missed = len(times) - len(reached)
            ert = (sum(reached) + missed * spent) / len(reached) if reached else INF
            assert line.ert == pytest.approx(ert)
            assert (line.ert_low, line.ert_high) == stats.ert_interval(times, spent)
        assert lines_of(frame, target="regret <= 1")["value"].tolist() == [1.0] * (len(frame) // 3)


def test_the_usual_targets_are_of_the_table(result):
    frame = stats.target_frame(result)
    assert frame["target"].unique().tolist() == list(stats.TOP_TARGETS)
    counts = result.summary().set_index(["benchmark", "algorithm"])["reached_top_10"]
    for line in lines_of(frame, target="top 10").itertuples():
        assert line.success == counts[line.benchmark, line.algorithm]
    assert (lines_of(frame, target="top 1")["value"] == 0).all()


@pytest.mark.parametrize("metric", ["test_regret", "test"])
def test_the_table_of_results_agrees_with_scipy(result, metric):
    frame = stats.table_frame(result, metric)
    assert len(frame) == 9
    for name in BENCHMARKS:
        lines = lines_of(frame, benchmark=name)
        values = {
            algorithm: np.array(
                [
                    stats.anytime(trace, result.benchmark(name), metric)[-1]
                    for trace in result.traces(name, algorithm)
                ]
            )
            for algorithm in result.algorithms
        }
        sign = -1 if metric == "test" else 1
        best = min(values, key=lambda a: sign * values[a].mean())
        assert lines["algorithm"].tolist() == result.algorithms
        assert lines[lines["best"]]["algorithm"].tolist() == [best]
        pairs = list(itertools.combinations(result.algorithms, 2))
        p = [
            scipy.stats.wilcoxon(
                (values[a] - values[b]).round(9), zero_method="pratt", method="auto"
            ).pvalue
            for a, b in pairs
        ]
        # Over all pairs, as the best was chosen by the same runs.
        corrected = {
            next(iter({a, b} - {best})): q
            for (a, b), q in zip(pairs, multipletests(p, method="holm")[1], strict=True)
            if best in (a, b)
        }
        ranks = scipy.stats.rankdata([sign * values[a].mean() for a in result.algorithms])
        for line, rank in zip(lines.itertuples(), ranks, strict=True):
            mine = values[line.algorithm]
            assert (line.runs, line.rank) == (9, rank)
            assert line.mean == pytest.approx(mine.mean())
            np.testing.assert_allclose((line.low, line.high), stats.bootstrap_interval(mine))
            quartiles = np.quantile(mine, [0.25, 0.5, 0.75])
            np.testing.assert_allclose((line.q25, line.median, line.q75), quartiles)
            won = [
                (sign * (x - y) < 0) + 0.5 * (x == y)
                for x, y in itertools.product(mine, values[best])
            ]
            assert line.a12 == pytest.approx(np.mean(won))
            if line.algorithm == best:
                assert math.isnan(line.p)
                assert not line.significant
            else:
                assert line.p == pytest.approx(corrected[line.algorithm], rel=1e-9)
                agreed = (line.effect > 0) == (sign * mine.mean() < sign * values[best].mean())
                assert line.significant == (line.p < 0.05 and agreed)


def test_tests_against_a_reference_are_corrected_for_their_own_number(result):
    frame = stats.table_frame(result, "valid_regret", reference="local_search")
    every = stats.table_frame(result, "valid_regret")
    for name in BENCHMARKS:
        lines = lines_of(frame, benchmark=name).set_index("algorithm")
        assert math.isnan(lines["p"]["local_search"])
        assert lines["outcome"]["local_search"] == ""
        ends = {
            a: [stats.anytime(t, result.benchmark(name), "valid_regret")[-1] for t in traces]
            for a in result.algorithms
            for traces in [result.traces(name, a)]
        }
        others = [a for a in result.algorithms if a != "local_search"]
        p = [stats.wilcoxon_p(ends[a], ends["local_search"]) for a in others]
        np.testing.assert_allclose(lines["p"][others], multipletests(p, method="holm")[1])
        for a in others:
            assert lines["a12"][a] == stats.vargha_delaney(
                -np.array(ends[a]), -np.array(ends["local_search"])
            )
    pd.testing.assert_frame_equal(frame[["mean", "rank", "best"]], every[["mean", "rank", "best"]])
    with pytest.raises(UnknownNameError, match="Did you mean 'local_search'"):
        stats.table_frame(result, reference="localsearch")


def test_pairs_agree_with_the_functions_they_come_from(result):
    finals = stats.final_frame(result, "test")
    frame = stats.pairwise_frame(result, "test")
    for name in BENCHMARKS:
        wide = lines_of(finals, benchmark=name).pivot(
            index="seed", columns="algorithm", values="value"
        )[result.algorithms]
        lines = lines_of(frame, benchmark=name)
        expected = stats.wilcoxon_holm(wide).rename(columns={"n": "seeds"})
        pd.testing.assert_frame_equal(lines[list(expected.columns)], expected, check_names=False)
        for line in lines.itertuples():
            a, b = wide[line.a], wide[line.b]
            assert line.difference == pytest.approx(a.mean() - b.mean())
            interval = stats.bootstrap_difference(a, b, paired=True)[1:]
            assert (line.low, line.high) == interval
            assert line.a12 == stats.vargha_delaney(a, b)  # a higher accuracy is better
            assert line.cliffs_delta == stats.cliffs_delta(a, b)
    regrets = stats.pairwise_frame(result, "test_regret")
    np.testing.assert_allclose(regrets["a12"], frame["a12"])
    np.testing.assert_allclose(regrets["difference"], -frame["difference"])


def test_friedman_over_the_tables(result):
    finals = stats.final_frame(result)
    means = finals.pivot_table(index="benchmark", columns="algorithm", values="value")
    expected = stats.friedman(means[result.algorithms])
    for found in (stats.friedman_of(result), stats.friedman_of(result, "test")):
        assert found.ranks.to_dict() == expected.ranks.to_dict()
        assert found.p == pytest.approx(expected.p)
        assert found.n == 3
    assert stats.friedman_of(result, alpha=0.1).critical_difference < found.critical_difference


# What is missing, ties, or fails


@pytest.mark.parametrize("kind", FRAMES)
def test_the_columns_of_frames(result, kind):
    columns = COLUMNS[kind].split()
    assert list(FRAMES[kind](result).columns) == columns
    nothing = FRAMES[kind](part(result, lambda run: False))
    assert list(nothing.columns) == columns
    assert not len(nothing)


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_of_an_unknown_metric(result, kind):
    with pytest.raises(UnknownNameError, match="Did you mean 'test_regret'"):
        FRAMES[kind](result, "tets_regret")


@pytest.mark.parametrize("kind", ["curve", "rank", "target", "ecdf"])
def test_frames_against_seconds(result, timed_result, kind):
    with pytest.raises(BudgetError, match="Use the axis 'evaluations'"):
        FRAMES[kind](result, axis="seconds")
    assert len(FRAMES[kind](timed_result, axis="seconds"))
    assert len(FRAMES[kind](timed_result, axis="evaluations"))


@pytest.mark.parametrize("kind", FRAMES)
def test_an_unfinished_result_has_lines_for_what_there_is(result, kind):
    first, second, third = result.algorithms

    def finished(run):
        if run.benchmark == BENCHMARKS[2]:
            return run.algorithm == first and run.seed < 1
        return run.seed < {first: 9, second: 4, third: 0}[run.algorithm]

    frame = FRAMES[kind](part(result, finished))
    found = set(frame["benchmark"])
    assert found - {stats.ALL} == set(BENCHMARKS if kind != "pairwise" else BENCHMARKS[:2])
    assert (stats.ALL in found) == (kind in ("rank", "ecdf"))
    if kind == "pairwise":
        assert frame["seeds"].tolist() == [4, 4]
        return
    assert set(frame["algorithm"]) == {first, second}
    one = lines_of(frame, benchmark=BENCHMARKS[2])
    assert set(one["algorithm"]) == {first}
    if kind in ("rank", "ecdf"):
        # The average is over the benchmarks on which both have runs.
        both = FRAMES[kind](
            part(result, lambda run: finished(run) and run.benchmark != BENCHMARKS[2])
        )
        average = lines_of(frame, benchmark=stats.ALL)
        pd.testing.assert_frame_equal(average, lines_of(both, benchmark=stats.ALL))
    if kind == "rank":
        assert (one["rank"] == 1).all()
        assert set(lines_of(frame, benchmark=stats.ALL)["algorithm"]) == {first, second}
    if kind == "curve":
        np.testing.assert_array_equal(one["low"], one["centre"])


def test_ranks_are_of_seeds_that_all_have_finished(result):
    some = part(result, lambda run: run.algorithm != result.algorithms[1] or run.seed in (2, 5))
    frame = stats.rank_frame(some, n=4)
    both = stats.rank_frame(part(result, lambda run: run.seed in (2, 5)), n=4)
    pd.testing.assert_frame_equal(frame, both)
    assert (frame["seeds"] == 2).all()
    apart = part(result, lambda run: (run.seed < 4) == (run.algorithm == result.algorithms[1]))
    assert not len(stats.rank_frame(apart))


def test_friedman_says_what_it_lacks(result):
    first, _, _ = result.algorithms
    for keep, lack in (
        (lambda run: run.benchmark == BENCHMARKS[0], "at least 3 benchmarks .* there are 1"),
        (lambda run: run.algorithm != first, "at least 3 algorithms .* there are 2"),
        (
            lambda run: run.algorithm != first or run.benchmark != BENCHMARKS[0],
            "at least 3 benchmarks .* there are 2",
        ),
        (lambda run: False, "at least 3 algorithms .* there are 0"),
    ):
        with pytest.raises(QueryError, match=lack):
            stats.friedman_of(part(result, keep))


def test_one_seed_and_one_algorithm(result):
    for keep in (lambda run: run.seed == 3, lambda run: run.algorithm == result.algorithms[0]):
        some = part(result, keep)
        for make in FRAMES.values():
            make(some)
    single = stats.table_frame(part(result, lambda run: run.seed == 3))
    assert (single["runs"] == 1).all()
    assert (single["low"] == single["mean"]).all()
    assert single["p"].dropna().eq(1).all()
    alone = stats.table_frame(part(result, lambda run: run.algorithm == result.algorithms[0]))
    assert alone["best"].all()
    assert alone["p"].isna().all()


def test_where_everything_ties(make_table):
    same = np.ones((11, 2, 3))
    benchmark = TableBenchmark(make_table(valid=same, test=same))
    result = compare(ALGORITHMS, benchmark, budget=8, seeds=7, n_jobs=1)
    table = stats.table_frame(result)
    assert (table["mean"] == 0).all()
    assert (table["rank"] == 2).all()
    assert table["best"].all()
    assert table["p"].isna().tolist() == [True, False, False]
    assert (table["p"].dropna() == 1).all()
    assert (table["a12"] == 0.5).all()
    # The first evaluation of a run may be of the architecture that is not in the table.
    assert (lines_of(stats.rank_frame(result), point=8)["rank"] == 2).all()
    pairs = stats.pairwise_frame(result)
    assert (pairs["p_holm"] == 1).all()
    assert (pairs[["difference", "low", "high", "cliffs_delta"]] == 0).all(axis=None)
    assert (lines_of(stats.ecdf_frame(result), point=8)["share"] == 1).all()
    assert (stats.target_frame(result)["success"] == 1).all()


@pytest.fixture(scope="module")
def scarce(make_table):
    """Of 11 architectures two have values, so that short searches often find none."""
    valid = np.full((11, 2, 3), NAN)
    valid[[2, 7]] = np.array([3.0, 5.0])[:, None, None]
    benchmark = TableBenchmark(make_table(valid=valid, maximize=False))
    names = {"a": "random_search", "b": "local_search"}
    return compare(names, benchmark, budget=5, seeds=12, n_jobs=1)


def test_runs_that_found_nothing_count_as_worse_than_all_others(scarce):
    final = stats.final_frame(scarce, "valid_regret")
    missing = [run.trace.incumbents()[-1] < 0 for run in scarce.runs]
    assert 0 < sum(missing) < len(final)
    assert (np.isinf(final["value"]) == missing).all()
    assert (np.isinf(final["area"]) == missing).all()
    by_name = final.groupby("algorithm")["value"]
    table = stats.table_frame(scarce, "valid_regret").set_index("algorithm")
    assert (table["runs"] == 12).all()
    assert table["without"].to_dict() == by_name.apply(lambda v: int(np.isinf(v).sum())).to_dict()
    assert table[["mean", "low", "high"]].isna().all(axis=None)
    # Put in order by the ranks of the runs among all.
    placed = final["value"].rank().groupby(final["algorithm"]).mean()
    assert table["rank"].to_dict() == placed.rank().to_dict()
    wide = final.pivot(index="seed", columns="algorithm", values="value")
    large = wide.replace(INF, 1e15)
    pairs = stats.pairwise_frame(scarce, "valid_regret")
    assert pairs["seeds"].tolist() == [12]
    assert pairs["p"][0] == stats.wilcoxon_p(large["a"], large["b"])
    assert pairs["a12"][0] == stats.vargha_delaney(-large["a"], -large["b"])
    assert pairs[["difference", "low", "high"]].isna().all(axis=None)
    ranks = stats.rank_frame(scarce, "valid_regret")
    found = ranks[ranks["point"] == 5].set_index("algorithm")["rank"]
    np.testing.assert_allclose(found, wide.rank(axis=1).mean())
    targets = stats.target_frame(scarce)
    assert (lines_of(targets, target="top 1")["runs"] == 12).all()
    assert set(targets["target"]) == {"top 1", "best 1 %"}  # there are no ten entries


def test_curves_of_runs_that_found_nothing_are_medians_of_all(scarce):
    curves = stats.curve_frame(scarce, "valid_regret")
    assert set(curves["statistic"]) == {"median"}
    assert (curves["runs"] == 12).all()
    benchmark = scarce.benchmark(scarce.benchmarks[0])
    for algorithm in "ab":
        lines = lines_of(curves, algorithm=algorithm)
        for point, centre in zip(lines["point"], lines["centre"], strict=True):
            values = sorted(
                known_at(t, benchmark, "valid_regret", "evaluations", point) if point else INF
                for t in scarce.traces(benchmark.name, algorithm)
            )
            values = sorted(INF if math.isnan(v) else v for v in values)
            middle = values[5:7]
            assert centre == (INF if INF in middle else np.mean(middle))
    means = stats.curve_frame(part(scarce, lambda run: run.trace.incumbents()[-1] >= 0))
    assert set(means["statistic"]) == {"mean"}


def test_where_no_run_found_anything(make_table):
    valid = np.full((11, 2, 3), NAN)
    valid[3] = 50.0
    benchmark = TableBenchmark(make_table(valid=valid))
    every = compare(["random_search", "local_search"], benchmark, budget=2, seeds=20, n_jobs=1)
    none = part(every, lambda run: np.isnan(run.trace.values).all())
    assert len(none.runs) > 10
    assert np.isinf(stats.curve_frame(none)["centre"]).all()
    table = stats.table_frame(none)
    assert (table["runs"] == table["without"]).all()
    assert not table["best"].any()
    assert not table["significant"].any()
    assert table[["mean", "low"]].isna().all(axis=None)
    assert np.isinf(table["median"]).all()
    assert np.isinf(stats.final_frame(none)["value"]).all()
    assert (stats.rank_frame(none)["rank"] == 1.5).all()
    assert (stats.ecdf_frame(none)["share"] == 0).all()
    assert np.isinf(stats.target_frame(none)["ert"]).all()
    pairs = stats.pairwise_frame(none)
    assert pairs[["p", "p_holm"]].eq(1).all(axis=None)
    assert pairs["a12"].tolist() == [0.5]


def test_runs_that_end_before_anything_was_evaluated():
    result = compare(["random_search"], "nb201-digits", budget="0.001s", seeds=2, n_jobs=1)
    for make in FRAMES.values():
        make(result)
    assert np.isinf(stats.final_frame(result)["value"]).all()


def test_frames_of_several_objectives():
    benchmark = load_benchmark("nb201-digits", objective=["valid_accuracy", "parameters"])
    result = compare(["random_search", "nsga2"], benchmark, budget=30, seeds=4, n_jobs=1)
    final = stats.final_frame(result, "hypervolume")
    for line, run in zip(final.itertuples(), result.runs, strict=True):
        assert line.value == stats.hypervolume(run.trace, benchmark)[-1]
    assert final["area"].lt(final["value"]).all()
    targets = stats.target_frame(result, "hypervolume")
    assert targets["value"].tolist() == [0.5, 0.9, 0.99] * 2
    best = stats.table_frame(result, "hypervolume").set_index("algorithm")
    assert best["mean"].idxmax() == best[best["best"]].index[0]
    chosen = stats.default_targets(result, benchmark.name, "hypervolume")
    assert chosen == sorted(chosen)
    assert chosen[-1] == pytest.approx(final["value"].max())
    shares = stats.ecdf_frame(result, "hypervolume")
    assert shares["share"].max() > 0
    assert len(stats.rank_frame(result, "hypervolume"))
    assert len(stats.curve_frame(result, "hypervolume"))
    assert len(stats.pairwise_frame(result, "hypervolume")) == 1

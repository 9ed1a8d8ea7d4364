"""What can be said of a result, as DataFrames: a line for what exists, none for what does not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import QueryError, UnknownNameError
from nasbench_lab.stats.curves import (
    Axis,
    anytime,
    area,
    check_axis,
    curves,
    final_value,
    found_nothing,
    grid,
    higher_is_better,
    nothing_found,
    ranks,
    spent,
)
from nasbench_lab.stats.intervals import (
    bootstrap_difference,
    bootstrap_interval,
    summarise,
    wilson_interval,
)
from nasbench_lab.stats.significance import (
    Friedman,
    friedman,
    holm,
    mean_of,
    rounded,
    signed_rank,
    tables_needed,
    vargha_delaney,
    wilcoxon_holm,
)
from nasbench_lab.stats.targets import (
    default_targets,
    ecdf,
    ert_interval,
    expected_running_time,
    spent_in_all,
    spent_to_targets,
    target_value,
    top_targets,
)
from nasbench_lab.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.results.result import Result

Floats = NDArray[np.float64]

ALL = "all"
"""What frames call the average over all benchmarks."""


def curve_frame(
    result: Result,
    metric: str = "test_regret",
    axis: Axis | None = None,
    statistic: str = "mean",
    n: int = 200,
) -> pd.DataFrame:
    """Anytime curves with their bands.

    A run without an incumbent counts as worse than all others (``nothing_found``). Medians and
    quartiles are those of all runs; a mean there is only where every run has an incumbent.

    Args:
        result: The runs.
        metric: One of ``METRICS``.
        axis: What was spent; by default what the budget counts.
        statistic: One of ``STATISTICS``. On a benchmark on which a run never had an incumbent, means
            are replaced by medians.
        n: At most how many points.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``statistic`` that is shown, ``point`` (in the unit of
        the axis), ``centre``, ``low``, ``high``, ``runs``, and ``without``: how many of these never
        had an incumbent. The three values are NaN where there is no mean, and infinite where so many
        runs have no incumbent yet.
    """
    axis = axis or result.axis
    lines = []
    for name, runs in _with_runs(result, axis).items():
        points, benchmark = grid(_every(runs), axis, n), result.benchmark(name)
        shown = statistic_shown(_every(runs), metric, statistic)
        for algorithm, some in runs.items():
            samples = run_curves(list(some.values()), benchmark, points, metric, axis)
            if not len(samples):
                continue
            centre, low, high = summarise(samples, shown)
            lines.append(
                {
                    "benchmark": name,
                    "algorithm": algorithm,
                    "statistic": shown,
                    "point": points,
                    "centre": centre,
                    "low": low,
                    "high": high,
                    "runs": len(samples),
                    "without": sum(map(found_nothing, some.values())),
                }
            )
    columns = ["benchmark", "algorithm", "statistic", "point", "centre", "low", "high"]
    return _stacked(lines, [*columns, "runs", "without"])


def statistic_shown(traces: Sequence[Trace], metric: str, statistic: str) -> str:
    """What curves of runs on one benchmark can show: medians, not means, if a run found nothing.

    Of the hypervolume, which is then 0, there is a mean all the same.
    """
    if statistic != "mean" or metric == "hypervolume":
        return statistic
    return "median" if any(map(found_nothing, traces)) else statistic


def run_curves(
    traces: Sequence[Trace],
    benchmark: TableBenchmark,
    points: Floats,
    metric: str,
    axis: Axis,
) -> Floats:
    """``(runs, points)`` curves as ``curves`` has them, for statistics over runs.

    While a run has no incumbent it counts as worse than all others (``nothing_found``). A run is left
    out if the table has no value of its last incumbent.
    """
    samples = curves(traces, benchmark, points, metric, axis)
    without = np.array([found_nothing(trace) for trace in traces], dtype=np.bool_)
    samples = samples[without | ~np.isnan(samples[:, -1])]
    return np.where(np.isnan(samples), nothing_found(benchmark, metric), samples)


def rank_frame(
    result: Result, metric: str = "test_regret", axis: Axis | None = None, n: int = 200
) -> pd.DataFrame:
    """Average ranks of the algorithms over the course of the search.

    Algorithms are ranked within each seed that all of them have finished on a benchmark, see
    ``ranks``; low and high are a 95 % bootstrap interval over seeds.

    Args:
        result: The runs.
        metric: One of ``METRICS``.
        axis: What was spent; by default what the budget counts.
        n: At most how many points.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``point``, ``rank``, ``low``, ``high``, and how many
        ``seeds`` these rest on. If several benchmarks have runs of all algorithms, the benchmark
        ``all`` has their average over these, for seeds that were finished on all of them, at points
        that are shares of each budget.
    """
    axis = axis or result.axis
    with_runs = _with_runs(result, axis)
    lines: list[dict[str, Any]] = []
    for name, runs in with_runs.items():
        points, seeds = grid(_every(runs), axis, n), _common(runs)
        if seeds:
            placed = _ranked(result, name, runs, seeds, points, metric, axis)
            lines += _rank_lines(name, list(runs), points, placed)
    complete = _complete(with_runs)
    seeds = _common({name: dict.fromkeys(_common(runs)) for name, runs in complete.items()})
    if len(complete) > 1 and seeds:
        shares = np.linspace(1.0 / n, 1.0, n)
        parts = [
            _ranked(result, name, runs, seeds, shares * grid(_every(runs), axis)[-1], metric, axis)
            for name, runs in complete.items()
        ]
        algorithms = list(next(iter(complete.values())))
        lines += _rank_lines(ALL, algorithms, shares, np.mean(parts, axis=0))
    return _stacked(lines, ["benchmark", "algorithm", "point", "rank", "low", "high", "seeds"])


def _ranked(
    result: Result,
    name: str,
    runs: _Runs,
    seeds: Sequence[int],
    points: Floats,
    metric: str,
    axis: Axis,
) -> Floats:
    """``(algorithms, seeds, points)`` ranks."""
    benchmark = result.benchmark(name)
    samples = np.stack(
        [
            curves([some[s] for s in seeds], benchmark, points, metric, axis)
            for some in runs.values()
        ]
    )
    return ranks(samples, higher_is_better(benchmark, metric))


def _rank_lines(
    name: str, algorithms: Sequence[str], points: Floats, placed: Floats
) -> list[dict[str, Any]]:
    lines = []
    for algorithm, samples in zip(algorithms, placed, strict=True):
        low, high = bootstrap_interval(samples)
        line = {"benchmark": name, "algorithm": algorithm, "point": points, "seeds": len(samples)}
        lines.append({**line, "rank": samples.mean(axis=0), "low": low, "high": high})
    return lines


def final_frame(result: Result, metric: str = "test_regret") -> pd.DataFrame:
    """What each run came to.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``seed``, ``value`` of the incumbent at the end, and
        ``area``, the normalised area under the run's curve along what the budget counts, up to the
        end of the longest run (see ``area``). Both are ``nothing_found``, infinite for a regret, for
        runs that never had an incumbent.
    """
    import pandas as pd

    lines, axis = [], result.axis
    for name, runs in _with_runs(result, axis).items():
        benchmark, end = result.benchmark(name), grid(_every(runs), axis)[-1]
        for algorithm, some in runs.items():
            for seed, trace in some.items():
                values, value = (of(trace, benchmark, metric) for of in (anytime, final_value))
                steps, curve = np.append(spent(trace, axis), end), np.append(values, value)
                under = value if math.isinf(value) else float(area(curve[None], steps)[0])
                line = {"benchmark": name, "algorithm": algorithm, "seed": seed}
                lines.append({**line, "value": value, "area": under})
    return pd.DataFrame(lines, columns=["benchmark", "algorithm", "seed", "value", "area"])


def target_frame(
    result: Result,
    metric: str = "valid_regret",
    axis: Axis | None = None,
    targets: Sequence[float | str] | None = None,
) -> pd.DataFrame:
    """How often, and how soon, targets were reached.

    Args:
        result: The runs.
        metric: One of ``METRICS``.
        axis: What was spent; by default what the budget counts.
        targets: Values of the metric, ``"top 10"`` or ``"best 1 %"``; see ``target_value``. By
            default those of ``TOP_TARGETS`` that the benchmark has entries for, or of the hypervolume
            0.5, 0.9 and 0.99.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``target`` in words, its ``value``, ``runs``,
        ``successes``, ``success`` (their share) with its 95 % Wilson interval ``success_low`` and
        ``success_high``, ``median`` of what was spent until the target (the lower of two, infinite
        if half the runs never got there), ``ert`` with its 95 % bootstrap interval ``ert_low`` and
        ``ert_high``.
    """
    import pandas as pd

    axis = axis or result.axis
    if targets is None and metric == "hypervolume":
        targets = (0.5, 0.9, 0.99)
    lines = []
    for name, runs in _with_runs(result, axis).items():
        benchmark = result.benchmark(name)
        chosen = top_targets(benchmark, metric) if targets is None else targets
        wanted = [target_value(benchmark, target, metric) for target in chosen]
        for algorithm, some in runs.items():
            traces = list(some.values())
            values = [value for _, value in wanted]
            reached = np.stack(
                [spent_to_targets(t, benchmark, values, metric, axis) for t in traces]
            )
            ends = np.array([spent_in_all(trace, axis) for trace in traces])
            for (text, value), times in zip(wanted, reached.T, strict=True):
                line = {"benchmark": name, "algorithm": algorithm, "target": text, "value": value}
                lines.append({**line, **_target_line(times, ends)})
    columns = ["benchmark", "algorithm", "target", "value", "runs", "successes", "success"]
    columns += ["success_low", "success_high", "median", "ert", "ert_low", "ert_high"]
    return pd.DataFrame(lines, columns=columns)


def _target_line(times: Floats, ends: Floats) -> dict[str, Any]:
    successes = int(np.isfinite(times).sum())
    low, high = wilson_interval(successes, len(times))
    ert_low, ert_high = ert_interval(times, ends)
    return {
        "runs": len(times),
        "successes": successes,
        "success": successes / len(times),
        "success_low": low,
        "success_high": high,
        "median": float(np.sort(times)[(len(times) - 1) // 2]),
        "ert": expected_running_time(times, ends),
        "ert_low": ert_low,
        "ert_high": ert_high,
    }


def ecdf_frame(
    result: Result, metric: str = "valid_regret", axis: Axis | None = None, n: int = 100
) -> pd.DataFrame:
    """Run-time distributions (COCO): the share of targets and runs that were reached by each point.

    Targets are those of ``default_targets``; nothing is restarted, so the share at the end is that
    of what was reached within the budget.

    Args:
        result: The runs.
        metric: One of ``METRICS``.
        axis: What was spent; by default what the budget counts.
        n: At most how many points.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``point``, ``share``. If several benchmarks have
        runs of all algorithms, the benchmark ``all`` has the average over these, at points that are
        shares of each budget.
    """
    axis = axis or result.axis
    lines, shares = [], np.linspace(1.0 / n, 1.0, n)
    with_runs = _with_runs(result, axis)
    complete = _complete(with_runs)
    parts: dict[str, list[Floats]] = {}
    for name, runs in with_runs.items():
        benchmark, points = result.benchmark(name), grid(_every(runs), axis, n)
        targets = default_targets(result, name, metric)
        for algorithm, some in runs.items():
            times = np.stack(
                [spent_to_targets(t, benchmark, targets, metric, axis) for t in some.values()]
            )
            line = {"benchmark": name, "algorithm": algorithm, "point": points}
            lines.append({**line, "share": ecdf(times, points)})
            if name in complete:
                parts.setdefault(algorithm, []).append(ecdf(times, shares * points[-1]))
    for algorithm, some_parts in parts.items():
        if len(complete) > 1:
            line = {"benchmark": ALL, "algorithm": algorithm, "point": shares}
            lines.append({**line, "share": np.mean(some_parts, axis=0)})
    return _stacked(lines, ["benchmark", "algorithm", "point", "share"])


def table_frame(
    result: Result, metric: str = "test_regret", reference: str | None = None
) -> pd.DataFrame:
    """The table of a paper: each algorithm on each benchmark, tested against one of them there.

    A run that found nothing counts as worse than all that did (``nothing_found``): in ranks, tests and
    quartiles. Where there is such a run, no algorithm of the benchmark is judged by a mean, but all by
    the average rank of their runs among the runs of all.

    Args:
        result: The runs.
        metric: One of ``METRICS``.
        reference: The algorithm that the others are tested against; by default the best of each
            benchmark.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``runs``, ``without`` (those of them that found
        nothing), ``mean`` with its 95 % bootstrap interval ``low`` and ``high`` (NaN if a run found
        nothing), ``median``, ``q25``, ``q75``, ``rank`` of the mean, or of the average rank of runs,
        ``best`` (whether it found something and none ranks before it), ``p`` of Wilcoxon's test
        against the reference, over the seeds that both have, ``effect`` (``signed_rank``; above 0
        where it is better than the reference), ``outcome`` and ``significant``, and ``a12``, the
        chance to be better than the reference. The first of the best is chosen by the same runs, so
        its tests are corrected after Holm over all pairs of the benchmark; those against a reference
        that is named, over these. The outcome is ``better`` or ``worse`` if p < 0.05 and mean and
        ranks point the same way, ``mixed`` if p < 0.05 and they do not, else ``level``; empty for the
        reference itself, and where nothing was tested. ``significant`` is whether it is better or
        worse.

    Raises:
        UnknownNameError: There is no such reference.
    """
    import pandas as pd

    if reference is not None and reference not in result.algorithms:
        raise UnknownNameError("algorithm of this result", reference, result.algorithms)
    lines = []
    for name, wide in _wide(result, metric).items():
        sign = -1.0 if higher_is_better(result.benchmark(name), metric) else 1.0
        costs = sign * wide  # less is better
        order = rounded(_order(costs))
        placed = ranks(order)
        against = str(wide.columns[placed.argmin()]) if reference is None else reference
        tests = _tests(costs, against, every_pair=reference is None)
        for i, algorithm in enumerate(wide.columns):
            values = wide[algorithm].dropna().to_numpy()
            mean, low, high = map(float, summarise(values))
            median, q25, q75 = map(float, summarise(values, "median"))
            without = sum(map(found_nothing, result.traces(name, algorithm)))
            p, effect = tests.get(algorithm, (math.nan, math.nan))
            outcome, a12 = "", math.nan
            if against in costs:
                outcome = _outcome(p, effect, order[wide.columns.get_loc(against)] - order[i])
                a12 = vargha_delaney(-costs[algorithm], -costs[against])
            lines.append(
                {
                    "benchmark": name,
                    "algorithm": algorithm,
                    "runs": len(values),
                    "without": without,
                    "mean": mean,
                    "low": low,
                    "high": high,
                    "median": median,
                    "q25": q25,
                    "q75": q75,
                    "rank": float(placed[i]),
                    "best": bool(placed[i] == placed.min() and without < len(values)),
                    "p": p,
                    "effect": effect,
                    "outcome": outcome,
                    "significant": outcome in ("better", "worse"),
                    "a12": a12,
                }
            )
    columns = ["benchmark", "algorithm", "runs", "without", "mean", "low", "high", "median"]
    columns += ["q25", "q75", "rank", "best", "p", "effect", "outcome", "significant", "a12"]
    return pd.DataFrame(lines, columns=columns)


OUTCOMES = {
    "better": "significantly better",
    "worse": "significantly worse",
    "mixed": "significantly different by ranks, while the mean says the opposite",
    "level": "not told apart",
}
"""What a test of ``table_frame`` can say of an algorithm."""

LEVEL = 0.05
"""The level of all tests: the chance of an error that they allow."""


def _order(costs: pd.DataFrame) -> Floats:
    """``(algorithms,)`` what algorithms are put in order by: the less, the better.

    The mean, or, if a run of any found nothing, the average rank of an algorithm's runs among those of
    all.
    """
    values = costs.to_numpy(dtype=np.float64)
    known = ~np.isnan(values)
    if np.isinf(values).any():
        placed = np.full(values.shape, np.nan)
        placed[known] = ranks(rounded(values[known]))
        values = placed
    return np.array(
        [
            mean_of(column[there]) if there.any() else np.nan
            for column, there in zip(values.T, known.T, strict=True)
        ]
    )


def _tests(costs: pd.DataFrame, against: str, every_pair: bool) -> dict[str, tuple[float, float]]:
    """P-value after Holm, and effect, of each other algorithm's test against one of them.

    Args:
        costs: A line per seed and a column per algorithm; less is better.
        against: The one.
        every_pair: Whether Holm's correction is over all pairs, as the one was chosen by the values.
    """
    if against not in costs:
        return {}
    pairs = [
        (a, b)
        for a, b in itertools.combinations(costs.columns, 2)
        if every_pair or against in (a, b)
    ]
    found = [signed_rank(costs[a], costs[b]) for a, b in pairs]
    tests = {}
    for (a, b), p, one in zip(pairs, holm([test.p for test in found]), found, strict=True):
        if against == b:
            tests[a] = float(p), -one.effect
        elif against == a:
            tests[b] = float(p), one.effect
    return tests


def _outcome(p: float, effect: float, ahead: float) -> str:
    """What a test says of an algorithm against another.

    Args:
        p: Of the test.
        effect: Above 0 where the algorithm is better by ranks.
        ahead: Above 0 where it is better by what algorithms are put in order by.
    """
    if math.isnan(p):
        return ""
    if p >= LEVEL:
        return "level"
    if np.sign(effect) != np.sign(ahead):
        return "mixed"
    return "better" if effect > 0 else "worse"


def pairwise_frame(result: Result, metric: str = "test_regret") -> pd.DataFrame:
    """Each pair of algorithms on each benchmark, over the seeds that both have.

    A run that found nothing counts as worse than all that did (``nothing_found``).

    Returns:
        Columns ``benchmark``, ``a``, ``b``, ``seeds``, ``difference`` of the means, a - b, with its
        95 % bootstrap interval ``low`` and ``high`` (seeds resampled; the three are NaN if a run
        found nothing), ``effect`` and ``p`` (``signed_rank``), ``p_holm`` over the pairs of the
        benchmark, ``a12``, the chance that a is better than b, and ``cliffs_delta``, from -1 (b
        always better) to 1.
    """
    import pandas as pd

    frames = []
    for name, wide in _wide(result, metric).items():
        sign = 1.0 if higher_is_better(result.benchmark(name), metric) else -1.0
        if wide.shape[1] < 2:
            continue
        frame = wilcoxon_holm(wide).rename(columns={"n": "seeds"})
        extra: list[dict[str, Any]] = []
        for a, b in zip(frame["a"], frame["b"], strict=True):
            both = wide[[a, b]].dropna()
            low = high = math.nan
            if np.isfinite(both.to_numpy()).all():
                _, low, high = bootstrap_difference(both[a], both[b], paired=True)
            a12 = vargha_delaney(sign * both[a], sign * both[b])
            extra.append({"low": low, "high": high, "a12": a12, "cliffs_delta": 2 * a12 - 1})
        columns = pd.DataFrame(extra, columns=["low", "high", "a12", "cliffs_delta"])
        frames.append(pd.concat([frame, columns], axis=1).assign(benchmark=name))
    order = ["benchmark", "a", "b", "seeds", "difference", "low", "high", "effect", "p", "p_holm"]
    order += ["a12", "cliffs_delta"]
    return pd.concat(frames, ignore_index=True)[order] if frames else pd.DataFrame(columns=order)


def friedman_of(result: Result, metric: str = "test_regret", alpha: float = LEVEL) -> Friedman:
    """Friedman's test over the benchmarks, by what ``table_frame`` puts the algorithms in order by.

    Only benchmarks count on which every algorithm that has runs has a value.

    Raises:
        QueryError: That leaves fewer than 3 algorithms, or so few benchmarks that no difference
            could be significant (``tables_needed``).
    """
    import pandas as pd

    rows = {}
    for name, wide in _wide(result, metric).items():
        sign = -1.0 if higher_is_better(result.benchmark(name), metric) else 1.0
        rows[name] = pd.Series(_order(sign * wide), index=wide.columns)
    scores = pd.DataFrame(rows).T
    scores = scores[[a for a in result.algorithms if a in scores.columns]].dropna()
    n, k = scores.shape
    if k < 3:
        raise QueryError(
            f"Friedman's test needs at least 3 algorithms that have finished runs, but there are {k}."
        )
    if n < tables_needed(k, alpha):
        raise QueryError(
            f"A critical difference of {k} algorithms needs at least {tables_needed(k, alpha)} "
            f"benchmarks on which all have finished runs, but there are {n}: on fewer, not even "
            f"opposite ranks would differ at the level of {alpha:g}."
        )
    return friedman(scores, alpha=alpha)


_Runs = Mapping[str, Mapping[int, Trace]]
"""The runs on a benchmark by algorithm and seed."""


def _with_runs(result: Result, axis: Axis) -> dict[str, _Runs]:
    """The runs by benchmark, algorithm and seed, in the result's order; what has none is left out.

    Raises:
        BudgetError: One of the benchmarks cannot be shown against the axis.
    """
    runs: dict[str, dict[str, dict[int, Trace]]] = {}
    for run in result.runs:
        runs.setdefault(run.benchmark, {}).setdefault(run.algorithm, {})[run.seed] = run.trace
    for name in runs:
        check_axis(result.benchmark(name), axis)
    return dict(runs)


def _complete(with_runs: Mapping[str, _Runs]) -> dict[str, _Runs]:
    """The benchmarks on which every algorithm has runs that has any."""
    everyone = {algorithm for runs in with_runs.values() for algorithm in runs}
    return {name: runs for name, runs in with_runs.items() if set(runs) == everyone}


def _every(runs: _Runs) -> list[Trace]:
    return [trace for some in runs.values() for trace in some.values()]


def _common(runs: Mapping[str, Mapping[int, Any]]) -> list[int]:
    """The seeds that all have finished."""
    sets = [set(some) for some in runs.values()]
    return sorted(set.intersection(*sets)) if sets else []


def _wide(result: Result, metric: str) -> dict[str, pd.DataFrame]:
    """Of each benchmark with runs the values at the end, a line per seed, a column per algorithm."""
    import pandas as pd

    wide = {}
    for name, runs in _with_runs(result, "evaluations").items():
        benchmark = result.benchmark(name)
        ends = {
            algorithm: pd.Series(
                {seed: final_value(t, benchmark, metric) for seed, t in some.items()}
            )
            for algorithm, some in runs.items()
        }
        wide[name] = pd.DataFrame(ends).sort_index()
    return wide


def _stacked(lines: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Lines of arrays as a frame with one line per entry."""
    import pandas as pd

    if not lines:
        return pd.DataFrame(columns=columns)
    return pd.concat([pd.DataFrame(line) for line in lines], ignore_index=True)[list(columns)]

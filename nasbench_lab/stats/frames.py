"""Statistics of a result as DataFrames. What has no runs has no line."""

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
    quartiles are those of all runs; a mean exists only where every run has an incumbent.

    Args:
        result: The runs.
        metric: One of ``METRICS``.
        axis: What was spent; by default what the budget counts.
        statistic: One of ``STATISTICS``. Medians replace means on a benchmark where a run never had
            an incumbent.
        n: At most how many points.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``statistic`` (the one shown), ``point`` (in the unit
        of the axis), ``centre``, ``low``, ``high``, ``runs``, and ``without``, the number of runs
        that never had an incumbent. ``centre``, ``low`` and ``high`` are NaN where there is no mean,
        and infinite where too many runs have no incumbent yet.
    """
    axis = axis or result.axis
    lines = []
    for name, runs in _with_runs(result, axis).items():
        points, benchmark = grid(_every(runs), axis, n), result.benchmark(name)
        shown = statistic_shown(_every(runs), metric, statistic)
        for algorithm, traces_by_seed in runs.items():
            samples = run_curves(list(traces_by_seed.values()), benchmark, points, metric, axis)
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
                    "without": sum(map(found_nothing, traces_by_seed.values())),
                }
            )
    columns = ["benchmark", "algorithm", "statistic", "point", "centre", "low", "high"]
    return _stacked(lines, [*columns, "runs", "without"])


def statistic_shown(traces: Sequence[Trace], metric: str, statistic: str) -> str:
    """The statistic that curves on one benchmark show: medians, not means, if a run found nothing.

    The hypervolume has a mean in any case, as it is 0 then.
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
    """``(runs, points)`` curves as ``curves`` gives them, for statistics over runs.

    A run counts as worse than all others (``nothing_found``) while it has no incumbent. It is left
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
        Columns ``benchmark``, ``algorithm``, ``point``, ``rank``, ``low``, ``high``, and ``seeds``,
        the number of seeds. If several benchmarks have runs of all algorithms, the benchmark ``all``
        has the average over these benchmarks. It counts the seeds that were finished on all of them,
        and its points are shares of each budget.
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
    """What each run reached.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``seed``, ``value`` of the incumbent at the end, and
        ``area``, the normalised area under the run's curve up to the end of the longest run, along
        the axis of the budget (see ``area``). Both are ``nothing_found`` (infinite for a regret) if
        a run never had an incumbent.
    """
    import pandas as pd

    lines, axis = [], result.axis
    for name, runs in _with_runs(result, axis).items():
        benchmark, end = result.benchmark(name), grid(_every(runs), axis)[-1]
        for algorithm, traces_by_seed in runs.items():
            for seed, trace in traces_by_seed.items():
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
            default those of ``TOP_TARGETS`` that the benchmark has entries for; for the hypervolume
            0.5, 0.9 and 0.99.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``target`` in words, its ``value``, ``runs``,
        ``successes``, ``success`` (their share) with its 95 % Wilson interval ``success_low`` and
        ``success_high``, ``median`` of the cost to reach the target (the lower of two, infinite if
        half of the runs never reached it), ``ert`` with its 95 % bootstrap interval ``ert_low`` and
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
        for algorithm, traces_by_seed in runs.items():
            traces = list(traces_by_seed.values())
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

    Targets are those of ``default_targets``. Runs are not restarted, so the last point has the share
    that was reached within the budget.

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
        for algorithm, traces_by_seed in runs.items():
            times = np.stack(
                [
                    spent_to_targets(t, benchmark, targets, metric, axis)
                    for t in traces_by_seed.values()
                ]
            )
            line = {"benchmark": name, "algorithm": algorithm, "point": points}
            lines.append({**line, "share": ecdf(times, points)})
            if name in complete:
                parts.setdefault(algorithm, []).append(ecdf(times, shares * points[-1]))
    for algorithm, ecdfs in parts.items():
        if len(complete) > 1:
            line = {"benchmark": ALL, "algorithm": algorithm, "point": shares}
            lines.append({**line, "share": np.mean(ecdfs, axis=0)})
    return _stacked(lines, ["benchmark", "algorithm", "point", "share"])


def table_frame(
    result: Result, metric: str = "test_regret", reference: str | None = None
) -> pd.DataFrame:
    """The table of a paper: each algorithm on each benchmark, tested against a reference.

    A run that found nothing counts as worse than all others (``nothing_found``) in ranks, tests and
    quartiles. On a benchmark with such a run, all algorithms are ordered by the average rank of their
    runs among all runs, not by their means.

    Args:
        result: The runs.
        metric: One of ``METRICS``.
        reference: The algorithm that the others are tested against; by default the best of each
            benchmark.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``runs``, ``without`` (how many of them found nothing),
        ``mean`` with its 95 % bootstrap interval ``low`` and ``high`` (NaN if a run found nothing),
        ``median``, ``q25``, ``q75``, ``rank`` (by the mean, or by the average rank of runs), ``best``
        (whether the algorithm found something and none ranks before it), ``p`` of Wilcoxon's test
        against the reference over the seeds that both have, ``effect`` (``signed_rank``; above 0 if
        better than the reference), ``outcome``, ``significant``, and ``a12``, the chance to be better
        than the reference.

        Holm's correction is over all pairs of the benchmark if the reference is the best algorithm,
        as the same runs chose it, and over the tests against the reference if that was named.
        ``outcome`` is ``better`` or ``worse`` if p < 0.05 and mean and ranks agree, ``mixed`` if
        p < 0.05 and they do not, else ``level``; it is empty for the reference itself, and where
        nothing was tested. ``significant`` says whether the outcome is better or worse.

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
"""The outcomes of a test of ``table_frame``."""

LEVEL = 0.05
"""The level of all tests: the chance of an error that they allow."""


def _order(costs: pd.DataFrame) -> Floats:
    """``(algorithms,)`` the score that orders algorithms; less is better.

    It is the mean, or the average rank of an algorithm's runs among all runs if any run found nothing.
    """
    values = costs.to_numpy(dtype=np.float64)
    valid = ~np.isnan(values)
    if np.isinf(values).any():
        placed = np.full(values.shape, np.nan)
        placed[valid] = ranks(rounded(values[valid]))
        values = placed
    return np.array(
        [
            mean_of(column[there]) if there.any() else np.nan
            for column, there in zip(values.T, valid.T, strict=True)
        ]
    )


def _tests(costs: pd.DataFrame, against: str, every_pair: bool) -> dict[str, tuple[float, float]]:
    """Holm's p-value and the effect of each algorithm's test against the reference.

    Args:
        costs: A line per seed and a column per algorithm; less is better.
        against: The reference.
        every_pair: Whether Holm's correction is over all pairs, as the values chose the reference.
    """
    if against not in costs:
        return {}
    pairs = [
        (a, b)
        for a, b in itertools.combinations(costs.columns, 2)
        if every_pair or against in (a, b)
    ]
    results = [signed_rank(costs[a], costs[b]) for a, b in pairs]
    tests = {}
    for (a, b), p, result in zip(pairs, holm([test.p for test in results]), results, strict=True):
        if against == b:
            tests[a] = float(p), -result.effect
        elif against == a:
            tests[b] = float(p), result.effect
    return tests


def _outcome(p: float, effect: float, ahead: float) -> str:
    """The outcome of a test of an algorithm against another.

    Args:
        p: Of the test.
        effect: Above 0 where the algorithm is better by ranks.
        ahead: Above 0 where the algorithm is better by its score, see ``_order``.
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

    A run that found nothing counts as worse than all others (``nothing_found``).

    Returns:
        Columns ``benchmark``, ``a``, ``b``, ``seeds``, ``difference`` of the means, a - b, with its
        95 % bootstrap interval ``low`` and ``high`` (seeds resampled; all three NaN if a run found
        nothing), ``effect`` and ``p`` (``signed_rank``), ``p_holm`` over the pairs of the
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
    """Friedman's test over the benchmarks, with the algorithms ordered as in ``table_frame``.

    A benchmark counts if all algorithms with runs have a value on it.

    Raises:
        QueryError: There are fewer than 3 algorithms, or so few benchmarks that no difference could
            be significant (``tables_needed``).
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
            f"Friedman's test needs at least 3 algorithms with finished runs, but there are {k}."
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
    """The runs by benchmark, algorithm and seed, in the result's order, without empty entries.

    Raises:
        BudgetError: A benchmark cannot be shown against the axis.
    """
    runs: dict[str, dict[str, dict[int, Trace]]] = {}
    for run in result.runs:
        runs.setdefault(run.benchmark, {}).setdefault(run.algorithm, {})[run.seed] = run.trace
    for name in runs:
        check_axis(result.benchmark(name), axis)
    return dict(runs)


def _complete(with_runs: Mapping[str, _Runs]) -> dict[str, _Runs]:
    """The benchmarks with runs of every algorithm of ``with_runs``."""
    everyone = {algorithm for runs in with_runs.values() for algorithm in runs}
    return {name: runs for name, runs in with_runs.items() if set(runs) == everyone}


def _every(runs: _Runs) -> list[Trace]:
    return [trace for some in runs.values() for trace in some.values()]


def _common(runs: Mapping[str, Mapping[int, Any]]) -> list[int]:
    """The seeds that all have finished."""
    sets = [set(some) for some in runs.values()]
    return sorted(set.intersection(*sets)) if sets else []


def _wide(result: Result, metric: str) -> dict[str, pd.DataFrame]:
    """Final values on each benchmark with runs: a line per seed, a column per algorithm."""
    import pandas as pd

    wide = {}
    for name, runs in _with_runs(result, "evaluations").items():
        benchmark = result.benchmark(name)
        ends = {
            algorithm: pd.Series(
                {seed: final_value(t, benchmark, metric) for seed, t in traces_by_seed.items()}
            )
            for algorithm, traces_by_seed in runs.items()
        }
        wide[name] = pd.DataFrame(ends).sort_index()
    return wide


def _stacked(lines: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Lines of arrays as a frame with one line per entry."""
    import pandas as pd

    if not lines:
        return pd.DataFrame(columns=columns)
    return pd.concat([pd.DataFrame(line) for line in lines], ignore_index=True)[list(columns)]

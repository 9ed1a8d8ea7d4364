"""What can be said of a result, as DataFrames: a line for what exists, none for what does not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import QueryError
from nasbench_lab.stats.curves import (
    Axis,
    anytime,
    area,
    check_axis,
    curves,
    grid,
    higher_is_better,
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
    rounded,
    vargha_delaney,
    wilcoxon_holm,
    wilcoxon_p,
)
from nasbench_lab.stats.targets import (
    TOP_TARGETS,
    default_targets,
    ecdf,
    ert_interval,
    expected_running_time,
    spent_in_all,
    spent_to_targets,
    target_value,
)
from nasbench_lab.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.results import Result

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

    Args:
        result: The runs.
        metric: One of ``METRICS``.
        axis: What was spent; by default what the budget counts.
        statistic: One of ``STATISTICS``.
        n: At most how many points.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``point`` (in the unit of the axis), ``centre``,
        ``low``, ``high``, and ``runs`` that are shown: those that had an incumbent in the end. The
        three values are NaN while one of these has none yet.
    """
    axis = axis or result.axis
    lines = []
    for name, runs in _with_runs(result, axis).items():
        points = grid(_every(runs), axis, n)
        for algorithm, some in runs.items():
            samples = curves(list(some.values()), result.benchmark(name), points, metric, axis)
            samples = samples[~np.isnan(samples[:, -1])]
            if not len(samples):
                continue
            centre, low, high = summarise(samples, statistic)
            lines.append(
                {
                    "benchmark": name,
                    "algorithm": algorithm,
                    "point": points,
                    "centre": centre,
                    "low": low,
                    "high": high,
                    "runs": len(samples),
                }
            )
    columns = ["benchmark", "algorithm", "point", "centre", "low", "high", "runs"]
    return _stacked(lines, columns)


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
        end of the longest run (see ``area``). NaN for runs that never had an incumbent.
    """
    import pandas as pd

    lines, axis = [], result.axis
    for name, runs in _with_runs(result, axis).items():
        benchmark, end = result.benchmark(name), grid(_every(runs), axis)[-1]
        for algorithm, some in runs.items():
            for seed, trace in some.items():
                values = anytime(trace, benchmark, metric)
                steps = np.append(spent(trace, axis), end)
                curve = np.append(values, values[-1:] if len(values) else np.nan)
                lines.append(
                    {
                        "benchmark": name,
                        "algorithm": algorithm,
                        "seed": seed,
                        "value": float(curve[-1]),
                        "area": float(area(curve[None], steps)[0]),
                    }
                )
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
            default ``TOP_TARGETS``, or of the hypervolume 0.5, 0.9 and 0.99.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``target`` in words, its ``value``, ``runs``,
        ``successes``, ``success`` (their share) with its 95 % Wilson interval ``success_low`` and
        ``success_high``, ``median`` of what was spent until the target (the lower of two, infinite
        if half the runs never got there), ``ert`` with its 95 % bootstrap interval ``ert_low`` and
        ``ert_high``.
    """
    import pandas as pd

    axis = axis or result.axis
    if targets is None:
        targets = (0.5, 0.9, 0.99) if metric == "hypervolume" else TOP_TARGETS
    lines = []
    for name, runs in _with_runs(result, axis).items():
        benchmark = result.benchmark(name)
        wanted = [target_value(benchmark, target, metric) for target in targets]
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


def table_frame(result: Result, metric: str = "test_regret") -> pd.DataFrame:
    """The table of a paper: each algorithm on each benchmark, tested against the best one there.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``runs`` (those with an incumbent), ``mean`` with its
        95 % bootstrap interval ``low`` and ``high``, ``median``, ``q25``, ``q75``, ``rank`` of the
        mean, ``best`` (whether no mean is better), ``p`` against the first of the best (Wilcoxon
        over the seeds that both have, Holm over the algorithms of the benchmark; NaN for that one),
        ``significant`` (p < 0.05) and ``a12``, the chance to be better than the best. The best is
        chosen on the same runs. Below 6 seeds, nothing can be significant.
    """
    import pandas as pd

    lines = []
    for name, wide in _wide(result, metric).items():
        benchmark = result.benchmark(name)
        sign = -1.0 if higher_is_better(benchmark, metric) else 1.0
        means = wide.mean()
        placed = ranks(rounded(sign * means.to_numpy()))
        best = int(placed.argmin())
        tested = [
            math.nan if i == best else wilcoxon_p(wide.iloc[:, i], wide.iloc[:, best])
            for i in range(wide.shape[1])
        ]
        p = holm(tested)
        for i, algorithm in enumerate(wide.columns):
            values = wide.iloc[:, i].dropna().to_numpy()
            _, low, high = summarise(values)
            median, q25, q75 = summarise(values, "median")
            lines.append(
                {
                    "benchmark": name,
                    "algorithm": algorithm,
                    "runs": len(values),
                    "mean": float(means.iloc[i]),
                    "low": float(low),
                    "high": float(high),
                    "median": float(median),
                    "q25": float(q25),
                    "q75": float(q75),
                    "rank": float(placed[i]),
                    "best": bool(placed[i] == placed[best] and len(values)),
                    "p": float(p[i]),
                    "significant": bool(p[i] < 0.05),
                    "a12": vargha_delaney(-sign * values, -sign * wide.iloc[:, best].to_numpy()),
                }
            )
    columns = ["benchmark", "algorithm", "runs", "mean", "low", "high", "median", "q25", "q75"]
    return pd.DataFrame(lines, columns=[*columns, "rank", "best", "p", "significant", "a12"])


def pairwise_frame(result: Result, metric: str = "test_regret") -> pd.DataFrame:
    """Each pair of algorithms on each benchmark, over the seeds that both have.

    Returns:
        Columns ``benchmark``, ``a``, ``b``, ``seeds``, ``difference`` of the means, a - b, with its
        95 % bootstrap interval ``low`` and ``high`` (seeds resampled), ``p`` (Wilcoxon), ``p_holm``
        over the pairs of the benchmark, ``a12``, the chance that a is better than b, and
        ``cliffs_delta``, from -1 (b always better) to 1.
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
            _, low, high = bootstrap_difference(both[a], both[b], paired=True)
            a12 = vargha_delaney(sign * both[a], sign * both[b])
            extra.append({"low": low, "high": high, "a12": a12, "cliffs_delta": 2 * a12 - 1})
        columns = pd.DataFrame(extra, columns=["low", "high", "a12", "cliffs_delta"])
        frames.append(pd.concat([frame, columns], axis=1).assign(benchmark=name))
    order = ["benchmark", "a", "b", "seeds", "difference", "low", "high", "p", "p_holm"]
    order += ["a12", "cliffs_delta"]
    return pd.concat(frames, ignore_index=True)[order] if frames else pd.DataFrame(columns=order)


def friedman_of(result: Result, metric: str = "test_regret", alpha: float = 0.05) -> Friedman:
    """Friedman's test over the benchmarks, by each algorithm's mean at the end.

    Only benchmarks count on which every algorithm that has runs has a value.

    Raises:
        QueryError: That leaves fewer than 2 benchmarks or 3 algorithms.
    """
    import pandas as pd

    rows = {}
    for name, wide in _wide(result, metric).items():
        sign = -1.0 if higher_is_better(result.benchmark(name), metric) else 1.0
        rows[name] = sign * wide.mean()
    scores = pd.DataFrame(rows).T
    scores = scores[[a for a in result.algorithms if a in scores.columns]].dropna()
    if len(scores) < 2 or scores.shape[1] < 3:
        raise QueryError(
            f"Friedman's test needs at least 2 benchmarks on which all algorithms have finished "
            f"runs, and 3 algorithms, but this result has {len(scores)} and {scores.shape[1]}."
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
            algorithm: pd.Series({seed: _end(t, benchmark, metric) for seed, t in some.items()})
            for algorithm, some in runs.items()
        }
        wide[name] = pd.DataFrame(ends).sort_index()
    return wide


def _end(trace: Trace, benchmark: TableBenchmark, metric: str) -> float:
    """The metric at the end of a run; NaN if it never had an incumbent."""
    return float(anytime(trace, benchmark, metric)[-1]) if len(trace) else math.nan


def _stacked(lines: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Lines of arrays as a frame with one line per entry."""
    import pandas as pd

    if not lines:
        return pd.DataFrame(columns=columns)
    return pd.concat([pd.DataFrame(line) for line in lines], ignore_index=True)[list(columns)]

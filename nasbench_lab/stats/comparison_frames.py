"""Who is better than whom, as DataFrames of a result: ends, effects and tests."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import QueryError, UnknownNameError
from nasbench_lab.stats.curves import (
    final_value,
    found_nothing,
    higher_is_better,
    ranks,
)
from nasbench_lab.stats.frames import runs_by_table
from nasbench_lab.stats.intervals import (
    bootstrap_difference,
    summarise,
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

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.results.result import Result

Floats = NDArray[np.float64]


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


def _wide(result: Result, metric: str) -> dict[str, pd.DataFrame]:
    """Final values on each benchmark with runs: a line per seed, a column per algorithm."""
    import pandas as pd

    wide = {}
    for name, runs in runs_by_table(result, "evaluations").items():
        benchmark = result.benchmark(name)
        ends = {
            algorithm: pd.Series(
                {seed: final_value(t, benchmark, metric) for seed, t in traces_by_seed.items()}
            )
            for algorithm, traces_by_seed in runs.items()
        }
        wide[name] = pd.DataFrame(ends).sort_index()
    return wide

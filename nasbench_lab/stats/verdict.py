"""The result of a comparison in sentences: who wins, or that nothing can be told.

An algorithm wins if it is first and all others are significantly worse, by mean and by ranks; see
``table_frame`` for the tests.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nasbench_lab.stats.comparison_frames import LEVEL, friedman_of, table_frame
from nasbench_lab.stats.curves import metric_query, sees_trials
from nasbench_lab.stats.frames import ALL, final_frame
from nasbench_lab.stats.significance import seeds_needed, tables_needed
from nasbench_lab.words import counted, listed

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.results.result import Result

MAX_SEEDS = 1000
"""The largest number of seeds that is tried to find how many a comparison needs."""


class Verdict(NamedTuple):
    """The verdict on a benchmark, or over all benchmarks, by a metric."""

    benchmark: str
    """The benchmark, or ``ALL``."""
    metric: str
    """One of ``METRICS``."""
    winner: str | None
    """The algorithm that is significantly better than all others, if there is one."""
    text: str
    """The verdict in one sentence or several."""


def judged_by(result: Result) -> list[str]:
    """The metrics that a result is judged by.

    They are the hypervolume, if all benchmarks have several objectives; the regret of the objective;
    and the regret of the reported column, unless it is the objective's.
    """
    opened = [result.benchmark(name) for name in _with_evaluations(result)]
    several = all(len(benchmark.objectives) > 1 for benchmark in opened)
    same = all(map(_reports_objective, opened))
    return [
        *(["hypervolume"] if several else []),
        "valid_regret",
        *([] if same else ["test_regret"]),
    ]


def _reports_objective(benchmark: TableBenchmark) -> bool:
    column = benchmark.table.column
    return column(benchmark.first_objective) == column(benchmark.report)


def verdicts(result: Result, reference: str | None = None) -> list[Verdict]:
    """Verdicts on each benchmark, and over all of them, by each metric of ``judged_by``.

    Args:
        result: The runs.
        reference: The algorithm that all others are tested against; by default the best of each
            benchmark. With a reference no algorithm wins, as the others are not compared with each
            other.

    Returns:
        The verdicts; a benchmark with runs of one algorithm has none, and one that reports its
        objective has one by that.

    Raises:
        UnknownNameError: There is no such reference.
    """
    results = []
    names = _with_evaluations(result)
    for metric in judged_by(result) if names else ():
        frame = table_frame(result, metric, reference)
        for name in names:
            lines = frame[frame["benchmark"] == name].to_dict(orient="records")
            told = metric == "test_regret" and _reports_objective(result.benchmark(name))
            if len(lines) > 1 and not told:
                results.append(_on_one(result, name, metric, lines, reference))
        if len(names) > 1 and len(result.algorithms) > 1:
            results.append(_over_all(result, metric, frame, reference))
    order = [*names, ALL]
    return sorted(results, key=lambda verdict: order.index(verdict.benchmark))


def verdict_lines(result: Result, reference: str | None = None) -> list[str]:
    """``verdicts`` with a line for each benchmark, and a line over all."""
    lines: dict[str, list[str]] = {}
    for verdict in verdicts(result, reference):
        lines.setdefault(verdict.benchmark, []).append(verdict.text)
    return [
        f"{'over all tables' if name == ALL else name}: {' '.join(texts)}"
        for name, texts in lines.items()
    ]


def _with_evaluations(result: Result) -> list[str]:
    return [
        name
        for name in result.benchmarks
        if any(len(t) for a in result.algorithms for t in result.traces(name, a))
    ]


_Line = Mapping[Any, Any]
"""A line of ``table_frame``."""


def _on_one(
    result: Result, name: str, metric: str, lines: Sequence[_Line], reference: str | None
) -> Verdict:
    """The verdict on one benchmark."""
    where = f"In {metric_words(result, name, metric)}"
    if all(line["without"] == line["runs"] for line in lines):
        return Verdict(name, metric, None, f"{where}, no run found anything.")
    if reference is not None:
        return Verdict(name, metric, None, f"{where}, {_against(lines, reference)}")
    first, *others = sorted(lines, key=lambda line: float(line["rank"]))
    if all(line["outcome"] == "worse" for line in others):
        runner_up, p = _name(others[0]), _p(max(line["p"] for line in others))
        by = f"{'mean ' if math.isfinite(first['mean']) else ''}{_value(first)} against "
        by += f"{_value(others[0]).removesuffix(_FOUND)} of {runner_up}{_next(others)}"
        text = f"{where}, {_name(first)} wins: {by} ({p})."
        return Verdict(name, metric, _name(first), text)
    mixed, level, worse = (
        [line for line in others if line["outcome"] in outcomes]
        for outcomes in (("mixed",), ("level", ""), ("worse",))
    )
    mean = "mean" if math.isfinite(first["mean"]) else "average rank of runs"
    best = f"{_name(first)} has the best {mean} ({_value(first)})"
    said = [f"{where}, {'no algorithm wins' if mixed or worse else 'nothing can be told'}: {best}"]
    if mixed:
        said.append(
            f"but {_told(mixed)} {_are(mixed)} better by ranks, so a few runs decide the {mean}"
        )
    if level:
        said.append(f"and is not told apart from {_told(level)}")
    if worse:
        said.append(f"and {_told(worse)} {_are(worse)} worse")
    needed = [_seeds(result, name, metric, first, level[0], len(lines))] if level else []
    return Verdict(name, metric, None, " ".join([f"{', '.join(said)}.", *needed]))


def _against(lines: Sequence[_Line], reference: str) -> str:
    """The outcomes of the tests against a reference, in words."""
    others = [line for line in lines if line["algorithm"] != reference]
    if len(others) == len(lines):
        return f"{reference} has no runs that others could be tested against."
    words = {
        "better": "better",
        "worse": "worse",
        "level": "not told apart",
        "mixed": "better by the mean or by ranks, but not by both,",
        "": "not tested, for want of a common seed,",
    }
    parts = []
    for outcome, word in words.items():
        rivals = [line for line in others if line["outcome"] == outcome]
        parts += [f"{word} {_are(rivals)} {_told(rivals, most=len(rivals))}"] if rivals else []
    return f"against {reference} ({_value(_of(lines, reference))}): {'; '.join(parts)}."


def _seeds(result: Result, name: str, metric: str, first: _Line, second: _Line, k: int) -> str:
    """How many seeds would tell two of ``k`` algorithms apart."""
    pairs = k * (k - 1) // 2
    least = math.ceil(1 + math.log2(pairs / LEVEL))
    ends = final_frame(result, metric)
    wide = ends[ends["benchmark"] == name].pivot(index="seed", columns="algorithm", values="value")
    both = wide[[_name(first), _name(second)]].dropna().to_numpy(dtype=float)
    if len(both) < least:
        return (
            f"There are {len(both)} seeds, and fewer than {least} cannot tell any of {k} algorithms "
            f"apart."
        )
    if (both[:, 0] == both[:, 1]).all():
        return f"{_name(first)} and {_name(second)} end alike in every seed."
    needed = _seeds_needed(*map(tuple, both.T.tolist()), LEVEL / pairs)
    told = f"about {float(f'{needed:.2g}'):,.0f}" if needed else f"more than {MAX_SEEDS:,}"
    return f"To tell {_name(first)} from {_name(second)} would take {told} seeds."


@functools.lru_cache(maxsize=256)  # the verdict, the notes and the report ask for the same
def _seeds_needed(a: tuple[float, ...], b: tuple[float, ...], alpha: float) -> int | None:
    return seeds_needed(a, b, alpha=alpha, max_seeds=MAX_SEEDS, n_simulations=200).n


def _over_all(result: Result, metric: str, frame: pd.DataFrame, reference: str | None) -> Verdict:
    """The verdict over all benchmarks on which every algorithm has runs."""
    where = f"In {metric_words(result, None, metric)}"
    placed = frame.pivot(index="benchmark", columns="algorithm", values="rank").dropna()
    n, k = placed.shape
    if k == 2:
        winner, said = _sign_test(placed)
        return Verdict(ALL, metric, winner, f"{where}, {said}.")
    if k < 2 or n < tables_needed(k):
        need = (
            f"{k} algorithms need at least {tables_needed(k)}"
            if k > 1
            else "one algorithm has runs"
        )
        text = f"{where}, nothing can be told over {counted(n, 'table')}: {need}."
        return Verdict(ALL, metric, None, text)
    test = friedman_of(result, metric)
    ranks = test.ranks.sort_values(kind="stable")
    first = str(ranks.index[0]) if reference is None else reference
    apart = ranks[np.abs(ranks - ranks.get(first, math.nan)) >= test.critical_difference]
    level = ranks.drop([first, *apart.index], errors="ignore")
    how = f"Friedman {_p(test.p)}, critical difference {test.critical_difference:.2f}"
    own = f"{first} ({ranks.get(first, math.nan):.2f})"
    winner = None
    if test.p >= LEVEL:
        said = f"nothing can be told: {own} has the best average rank"
        if reference is not None:
            said = f"nothing can be told of a difference from {own}"
    elif reference is not None:
        differ = "differs" if len(apart) == 1 else "differ"
        said = (
            f"{_ranked(apart) or 'no algorithm'} {differ if len(apart) else 'differs'} from {own}"
        )
    elif not len(level):
        winner, said = first, f"{first} wins: average rank {own}, {_ranked(apart)}"
    else:
        said = f"no algorithm wins: {own} has the best average rank, and is not told apart from "
        said += _ranked(level)
        said += f", and {_ranked(apart)} {_are(apart)} worse" if len(apart) else ""
    return Verdict(ALL, metric, winner, f"{where} over {counted(n, 'table')}, {said} ({how}).")


def _sign_test(placed: pd.DataFrame) -> tuple[str | None, str]:
    """Which of two algorithms wins, by the number of tables on which each is better."""
    from scipy.stats import binomtest

    a, b = (str(name) for name in placed.columns)
    wins = {a: int((placed[a] < placed[b]).sum()), b: int((placed[b] < placed[a]).sum())}
    first, second = sorted(wins, key=lambda name: -wins[name])
    n = sum(wins.values())
    p = float(binomtest(wins[first], n).pvalue) if n else 1.0
    won = f"{first} is better on {wins[first]} of {counted(len(placed), 'table')}, {second} on "
    won += f"{wins[second]} (sign test, {_p(p)})"
    if p < LEVEL:
        return first, f"{first} wins: {won}"
    few = "; fewer than 6 tables cannot tell two algorithms apart" if n < 6 else ""
    return None, f"nothing can be told: {won}{few}"


# Words


def metric_words(result: Result, name: str | None, metric: str) -> str:
    """The name of a metric on a benchmark, or on all: ``validation regret``, ``test regret``."""
    if metric == "hypervolume":
        return metric
    called = set()
    for benchmark_name in result.benchmarks if name is None else [name]:
        benchmark = result.benchmark(benchmark_name)
        column = benchmark.table.column(metric_query(benchmark, metric))
        splits = {"valid": "validation", "test": "test"}
        word = splits.get(column.split or "", column.name.replace("_", " "))
        if sees_trials(benchmark):
            word = "seen" if metric.startswith("seen") else "mean"
        called.add(word)
    usual = "reported" if metric.startswith("test") else "objective"
    return f"{called.pop() if len(called) == 1 else usual} regret"


def _told(lines: Sequence[_Line], most: int = 3) -> str:
    """The first algorithms with value and p-value, and the number of the others."""
    named = [f"{_name(one)} ({_value(one)}, {_p(one['p'])})" for one in lines[:most]]
    return listed(named + ([f"{len(lines) - most} more"] if len(lines) > most else []))


def _ranked(ranks: pd.Series) -> str:
    return listed([f"{name} ({rank:.2f})" for name, rank in ranks.items()])


_FOUND = " of runs found something"


def _value(line: _Line) -> str:
    """The mean that an algorithm reached, or the share of its runs that found something."""
    if math.isnan(line["mean"]):
        return f"{(line['runs'] - line['without']) / line['runs']:.0%}{_FOUND}"
    mean = float(line["mean"])
    return f"{mean:.2f}" if mean == 0 or 0.1 <= abs(mean) < 1e4 else f"{mean:.2g}"


def _of(lines: Sequence[_Line], algorithm: str) -> _Line:
    return next(line for line in lines if line["algorithm"] == algorithm)


def _name(line: _Line) -> str:
    return str(line["algorithm"])


def _next(others: Sequence[_Line]) -> str:
    return ", the next best" if len(others) > 1 else ""


def _are(entries: Sequence[Any] | pd.Series) -> str:
    return "is" if len(entries) == 1 else "are"


def _p(p: float) -> str:
    if math.isnan(p):
        return "not tested"
    return "p < 0.001" if p < 0.001 else f"p = {p:.1g}" if p < 0.0095 else f"p = {p:.2f}"

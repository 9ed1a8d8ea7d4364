"""The summary of a result as tables for people: in a terminal, and in a notebook."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_lab.results.result import Result

EXPLAINED = {
    "mean": "Regret at the end: mean [95 % bootstrap interval].",
    "median": "Where runs found nothing: the share that found something, and the median regret of all, "
    "∞ if half found nothing.",
    "seen": "Seen: the value of one training, which a search sees; its regret is against the best "
    "single training. Mean: over all trainings of what the search chose by that.",
    "hypervolume": "Hypervolume at the end: share of that of the table's exact Pareto front. Regret: "
    "of the first objective.",
    "top": "Top: median evaluations, of whatever length, until the incumbent was among the table's "
    "best by the objective (with the share of runs that got there).",
    "top evaluated": "Top: median evaluations, of whatever length, until the incumbent was among the "
    "best that any run evaluated (with the share of runs that got there).",
    "hypervolume evaluated": "Hypervolume at the end: share of that of the Pareto front of all runs. "
    "Regret: of the first objective.",
    "failed": "Failed: share of the evaluations.",
    "ms": "ms: what a run took to compute.",
}
"""What the columns of the summary are."""


def summary_rows(
    result: Result, name: str, lines: list[dict[Any, Any]], explained: set[str]
) -> list[dict[str, Any]]:
    """The rows of a benchmark's table; adds to ``explained`` what its columns need."""
    from nasbench_lab import stats

    benchmark = result.benchmark(name)
    several = len(benchmark.objectives) > 1
    objective = benchmark.table.column(benchmark.first_objective)
    seen = "valid" if objective.split == "valid" else objective.name.replace("_", " ")
    report = benchmark.table.column(benchmark.report)
    told = "test" if report.split == "test" else report.name.replace("_", " ")
    regrets = {f"{told} regret": "test_regret", f"{seen} regret": "valid_regret"}
    if stats.sees_trials(benchmark):
        regrets = {"mean regret": "test_regret", "seen regret": "seen_regret"}
        explained.add("seen")
    elif objective == report:
        regrets = {f"{seen} regret": "valid_regret"}
    without = any(line["without"] for line in lines)
    explained |= {"median" if without else "mean", "ms"}
    evaluated = "" if result.experiment.benchmark(name).program is None else " evaluated"
    explained.add(("hypervolume" if several else "top") + evaluated)
    rows: list[dict[str, Any]] = []
    for line in lines:
        row: dict[str, Any] = {"algorithm": line["algorithm"]}
        if len({other["runs"] for other in lines}) > 1:
            row["runs"] = line["runs"]
        if several:
            row["hypervolume"] = _interval(line, "hypervolume", 3)
        if without:
            row["found"] = f"{1 - line['without'] / line['runs']:.0%}"
        for title, metric in regrets.items():
            if without:
                row[f"median {title}"] = _median(line, metric)
            else:
                row[title] = _interval(line, metric)
        for title, target in {"top 1 %": "top_1pct", "top 10": "top_10"}.items():
            if not several and not math.isnan(line[f"reached_{target}"]):
                row[title] = _reached(line, target)
        if any(other["failed_share"] >= 0.01 for other in lines):
            row["failed"] = f"{line['failed_share']:.0%}"
            explained.add("failed")
        milliseconds = 1e3 * line["wall_s"]
        row["ms"] = f"{milliseconds:.{1 if milliseconds < 100 else 0}f}"
        rows.append(row)
    return rows


def _median(line: dict[Any, Any], metric: str) -> str:
    value = line[f"{metric}_median"]
    return "∞" if math.isinf(value) else f"{value:.2f}"


def _interval(line: dict[Any, Any], metric: str, digits: int = 2) -> str:
    if math.isnan(line[metric]):
        return "none"
    if line["runs"] == 1:
        return f"{line[metric]:.{digits}f}"
    low, high = line[f"{metric}_low"], line[f"{metric}_high"]
    return f"{line[metric]:.{digits}f} [{low:.{digits}f},{high:.{digits}f}]"


def _reached(line: dict[Any, Any], target: str) -> str:
    count = line[f"evals_to_{target}"]
    share = line[f"reached_{target}"]
    text = "∞" if math.isinf(count) else f"{count:.0f}"
    return text if share in (0.0, 1.0) else f"{text} ({share:.0%})"


def as_html(result: Result) -> str:
    """A table per benchmark, what its columns mean, and the verdict; all text is escaped."""
    from html import escape

    import pandas as pd

    summary, explained, parts = result.summary(), set[str](), list[str]()
    for name in result.benchmarks if len(summary) else ():
        if lines := summary[summary["benchmark"] == name].to_dict(orient="records"):
            rows = pd.DataFrame(summary_rows(result, name, lines, explained))
            parts.append(f"<p><b>{escape(name)}</b>, {escape(result.setting(name))}</p>")
            parts.append(rows.to_html(index=False, border=0))
    parts += [f"<p>{escape(line)}</p>" for line in result.verdict()] if parts else []
    told = " ".join(text for key, text in EXPLAINED.items() if key in explained)
    of = f"{len(result.runs)} of {result.n_expected} runs, {result.experiment.budget} each. {told}"
    return "\n".join(["<div>", *parts, f"<p><small>{escape(of)}</small></p>", "</div>"])

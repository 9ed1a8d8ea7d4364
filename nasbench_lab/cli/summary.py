"""The summary of a result, as the commands print it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from nasbench_lab.cli.console import console, print_rows
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.results.result import Result


def summary_of(result: Result, reference: str | None = None) -> dict[str, Any]:
    """The summary, the verdict and the notes, for programs."""
    summary = result.summary()
    return {
        "summary": summary.to_dict(orient="records"),
        "verdict": result.verdict(reference),
        "notes": _notes(result, summary),
    }


def _notes(result: Result, summary: pd.DataFrame) -> list[str]:
    return [*result.notes_on_origin(), *result.notes(summary)]


def print_summary(result: Result, reference: str | None = None) -> None:
    """Prints a table per benchmark, the verdict, and the notes."""
    from nasbench_lab.benchmark import gaps

    summary, explained = result.summary(), set[str]()
    notes = _notes(result, summary)
    for name in result.benchmarks:
        lines = summary[summary["benchmark"] == name].to_dict(orient="records")
        if not lines:
            continue
        counts = sorted({line["runs"] for line in lines})
        least = f"{counts[0]} to " if len(counts) > 1 else ""
        runs = f"{least}{counted(counts[-1], 'run')}"
        console.print(
            f"\n[bold]{escape(name)}[/bold], {runs} of {result.experiment.budget}, "
            f"{escape(result.setting(name))}",
            highlight=False,
        )
        for gap in gaps(result.benchmark(name)):
            if f"{name}: {gap}" not in notes:
                console.print(f"{gap[0].upper()}{gap[1:]}", markup=False, highlight=False)
        print_rows(_rows(result, name, lines, explained), False)
    console.print(
        " ".join(text for key, text in _EXPLAINED.items() if key in explained),
        style="dim",
        highlight=False,
    )
    for line in result.verdict(reference):
        console.print(f"[bold]Verdict[/bold] {escape(line)}", highlight=False)
    for note in notes:
        console.print(f"Note: {escape(note)}", highlight=False)


_EXPLAINED = {
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


def _rows(
    result: Result, name: str, lines: list[dict[Any, Any]], explained: set[str]
) -> list[dict[str, Any]]:
    """The rows of a benchmark's table; adds to ``explained`` what its columns need."""
    from nasbench_lab import stats

    benchmark = result.benchmark(name)
    several = len(benchmark.objectives) > 1
    objective = benchmark.table.column(benchmark.first_objective)
    seen = "valid" if objective.split == "valid" else objective.name.replace("_", " ")
    regrets = {"test regret": "test_regret", f"{seen} regret": "valid_regret"}
    if stats.sees_trials(benchmark):
        regrets = {"mean regret": "test_regret", "seen regret": "seen_regret"}
        explained.add("seen")
    elif objective == benchmark.table.column(benchmark.report):
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

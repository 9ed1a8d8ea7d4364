"""The summary of a result, as the commands print it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from nasbench_lab.cli.console import console, print_rows
from nasbench_lab.results.shown import EXPLAINED, summary_rows
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
        print_rows(summary_rows(result, name, lines, explained), False)
    console.print(
        " ".join(text for key, text in EXPLAINED.items() if key in explained),
        style="dim",
        highlight=False,
    )
    for line in result.verdict(reference):
        console.print(f"[bold]Verdict[/bold] {escape(line)}", highlight=False)
    for note in notes:
        console.print(f"Note: {escape(note)}", highlight=False)

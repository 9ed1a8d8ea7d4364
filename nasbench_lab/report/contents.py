"""The HTML contents of the page, tables, drawings and figures, as values for the template."""

from __future__ import annotations

import base64
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from nasbench_lab import stats
from nasbench_lab.drawing.drawing import draw
from nasbench_lab.errors import QueryError
from nasbench_lab.files import content_checksum
from nasbench_lab.report.data import goals_of
from nasbench_lab.results.result import Result
from nasbench_lab.words import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.spaces import Architecture
    from nasbench_lab.stats import Friedman
    from nasbench_lab.tables.columns import Column

N_BEST = 3
"""The number of architectures that are shown for each table."""


class TableCell(NamedTuple):
    """A cell of a table.

    Args:
        text: The text.
        order: The key by which the column is sorted.
        more: A second line.
    """

    text: str
    order: float | str
    more: str = ""


def number(value: float, digits: int = 3) -> str:
    """A number as text; a dash for NaN."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e6 else text.replace("-", "−")


def fixed(value: float, digits: int = 2) -> str:
    """A number with so many decimals; a dash for NaN."""
    if not math.isfinite(value):
        return number(value)
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def interval(low: float, high: float, form: Any = fixed) -> str:
    return "" if math.isnan(low) or math.isnan(high) else f"[{form(low)}, {form(high)}]"


# Results at the end


def result_tables(result: Result, reference: str | None) -> list[dict[str, Any]]:
    """Tables of the algorithms' final values for each goal, by benchmark.

    Each table has a ``title`` and ``lines``: label, ``best``, ``mark`` and its ``words`` (the outcome
    of the test against the best, or the reference) and cells.
    """
    goals = {goal: _metric(goal) for goal in goals_of(result)}
    frames = {goal: stats.table_frame(result, metric, reference) for goal, metric in goals.items()}
    tables = []
    for name in result.tables_with_runs:
        benchmark = result.benchmark(name)
        of_benchmark = []
        for goal, frame in frames.items():
            lines = frame[frame["benchmark"] == name].to_dict(orient="records")
            if lines:
                title = stats.metric_label(benchmark, goals[goal])
                partial = any(line["without"] for line in lines)
                of_benchmark.append(
                    {
                        "title": title,
                        "partial": partial,
                        "lines": [_result_line(line, partial) for line in lines],
                    }
                )
        tables.append({"benchmark": name, "tables": of_benchmark})
    return tables


def _metric(goal: str) -> str:
    return goal if goal == "hypervolume" else f"{goal}_regret"


_MARKS = {"worse": "▼", "better": "▲", "mixed": "◆"}
"""The marks of algorithms whose test is significant."""


def _result_line(line: Mapping[Any, Any], partial: bool) -> dict[str, Any]:
    """A line of a table, with the share of runs that found something if it is ``partial``."""
    p = float(line["p"])
    shown = "< 0.001" if p < 0.001 else fixed(p, 3)
    spread = interval(line["q25"], line["q75"])
    runs = TableCell(str(line["runs"]), line["runs"])
    share = (line["runs"] - line["without"]) / line["runs"] if line["runs"] else math.nan
    return {
        "algorithm": line["algorithm"],
        "best": bool(line["best"]),
        "mark": _MARKS.get(line["outcome"], ""),
        "words": stats.OUTCOMES.get(line["outcome"], ""),
        "cells": [
            runs._replace(more=f"{share:.0%} found something") if partial else runs,
            TableCell(
                fixed(line["mean"]), _order(line["mean"]), interval(line["low"], line["high"])
            ),
            TableCell(fixed(line["median"]), _order(line["median"]), spread),
            TableCell(number(line["rank"]), _order(line["rank"])),
            TableCell(shown, _order(p)),
            TableCell(fixed(line["a12"]), _order(line["a12"])),
        ],
    }


def _order(value: float) -> float:
    """The key to sort by; NaN goes last."""
    return 1e300 if math.isnan(value) or value == math.inf else float(value)


# Fixed targets


def target_tables(result: Result) -> list[dict[str, Any]]:
    """The costs to reach targets, by benchmark: ``targets`` and ``lines`` of cells.

    A cell has the expected running time with its interval, and the share of successful runs.
    """
    metric = "hypervolume" if "hypervolume" in goals_of(result) else "valid_regret"
    frame = stats.target_frame(result, metric)
    tables = []
    for name in result.tables_with_runs:
        part = frame[frame["benchmark"] == name]
        if not len(part):
            continue
        targets = list(dict.fromkeys(part["target"]))
        by_place = {
            (line["algorithm"], line["target"]): line for line in part.to_dict(orient="records")
        }
        tables.append(
            {
                "benchmark": name,
                "targets": targets,
                "lines": [
                    {
                        "algorithm": algorithm,
                        "cells": [_target_cell(by_place[algorithm, t]) for t in targets],
                    }
                    for algorithm in dict.fromkeys(part["algorithm"])
                ],
            }
        )
    return tables


def _target_cell(line: Mapping[Any, Any]) -> TableCell:
    ert = float(line["ert"])
    spread = interval(line["ert_low"], line["ert_high"], number) if math.isfinite(ert) else ""
    success = (
        f"{line['success']:.0%} [{100 * line['success_low']:.0f}, {100 * line['success_high']:.0f}]"
    )
    return TableCell(" ".join(filter(None, [number(ert), spread])), _order(ert), success)


# Over tables


def friedman_diagrams(result: Result) -> list[dict[str, Any]]:
    """The shapes of a critical-difference diagram for each goal, in pixels.

    Better ranks are on the left. Names stand below the axis in two halves, as in Demšar (2006).
    There is no diagram with fewer than three algorithms, or fewer tables than the test needs.
    """
    diagrams = []
    for goal in goals_of(result):
        try:
            friedman = stats.friedman_of(result, _metric(goal))
        except QueryError:
            continue
        diagrams.append({"goal": goal, **_diagram(friedman)})
    return diagrams


_WIDTH, _LEFT, _RIGHT, _TOP, _LINE = 800.0, 220.0, 580.0, 52.0, 22.0
"""Sizes of the diagram, its axis and its lines, in pixels. Names stand on both sides of the axis."""


def _diagram(friedman: Friedman) -> dict[str, Any]:
    ranks = friedman.ranks.sort_values(kind="stable")
    k = len(ranks)

    def x(rank: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * (rank - 1) / (k - 1), 1)

    groups = stats.cliques(friedman.ranks, friedman.critical_difference)
    bars = [
        {
            "from": x(min(ranks[a] for a in group)) - 4,
            "to": x(max(ranks[a] for a in group)) + 4,
            "y": _TOP + 12 + 9 * i,
        }
        for i, group in enumerate(groups)
    ]
    first = _TOP + 30 + 9 * len(bars)
    half = (k + 1) // 2
    names = []
    for i, (label, rank) in enumerate(ranks.items()):
        left = i < half
        line = i if left else k - 1 - i
        names.append(
            {"label": label, "rank": rank, "x": x(rank), "y": first + _LINE * line, "left": left}
        )
    length = (_RIGHT - _LEFT) * friedman.critical_difference / (k - 1)
    order = [f"{label} {rank:.2f}" for label, rank in ranks.items()]
    return {
        "friedman": friedman,
        "ticks": [{"x": x(rank), "rank": rank} for rank in range(1, k + 1)],
        "names": names,
        "bars": bars,
        "length": round(length, 1),
        "left": _LEFT,
        "right": _RIGHT,
        "top": _TOP,
        "width": _WIDTH,
        "height": first + _LINE * half,
        "words": f"Average ranks, best first: {', '.join(order)}. Critical difference "
        f"{friedman.critical_difference:.2f}. "
        + (
            " ".join(f"Not told apart: {listed(group)}." for group in groups)
            or "All are told apart."
        ),
    }


# Architectures


def best_architectures(result: Result) -> list[dict[str, Any]]:
    """The best final incumbents of all runs by the objective, by benchmark."""
    benchmarks = []
    for name in result.tables_with_runs:
        benchmark = result.benchmark(name)
        counts = _chosen(result, name)
        ranking = benchmark.ranking(benchmark.first_objective)
        place = {int(row): i for i, row in enumerate(ranking)}
        rows = sorted((row for row in counts if row in place), key=lambda row: place[row])
        total = sum(sum(by.values()) for by in counts.values())
        benchmarks.append(
            {
                "benchmark": name,
                "architectures": [
                    _architecture(benchmark, row, place[row], counts[row], total)
                    for row in rows[:N_BEST]
                ],
            }
        )
    return benchmarks


def _chosen(result: Result, name: str) -> dict[int, Counter[str]]:
    """The number of runs of each algorithm that ended with each entry."""
    benchmark = result.benchmark(name)
    counts: dict[int, Counter[str]] = {}
    for algorithm in result.algorithms:
        for trace in result.traces(name, algorithm):
            position = trace.incumbents()[-1] if len(trace) else -1
            row = int(benchmark.rows(trace)[position]) if position >= 0 else -1
            if row >= 0:
                counts.setdefault(row, Counter())[algorithm] += 1
    return counts


def _architecture(
    benchmark: TableBenchmark, row: int, place: int, counts: Counter[str], total: int
) -> dict[str, Any]:
    table = benchmark.table
    architecture = tuple(table.architectures[row].tolist())
    asked = [*benchmark.queries, benchmark.report, *(c.query for c in benchmark.constraints)]
    main = list(dict.fromkeys(table.column(query).name for query in asked))
    others = [column for column in table.columns if column not in main]
    return {
        "svg": _drawing(benchmark, architecture),
        "text": benchmark.space.to_string(architecture),
        "place": place + 1,
        "entries": len(table),
        "runs": sum(counts.values()),
        "total": total,
        "by": listed([f"{label} ({n})" for label, n in counts.most_common()]),
        "main": [_metric_line(benchmark, column, row) for column in main],
        "others": [_metric_line(benchmark, column, row) for column in others],
    }


def _drawing(benchmark: TableBenchmark, architecture: Architecture) -> Markup:
    """The architecture as SVG, with escaped texts.

    It has no style attributes, as the page's policy allows none.
    """
    return Markup(re.sub(r' style="[^"]*"', "", draw(architecture, benchmark.space).svg()))


def _metric_line(benchmark: TableBenchmark, name: str, row: int) -> dict[str, str]:
    column = benchmark.table.column(name)
    value = float(benchmark.table.values(name)[row])
    return {
        "name": name,
        "value": number(value, 5),
        "unit": column.unit,
        "split": column.split or "",
        "note": _seen(benchmark, column),
    }


def _seen(benchmark: TableBenchmark, column: Column) -> str:
    """A remark if searches never see a column."""
    if column in [benchmark.table.column(query) for query in benchmark.queries]:
        return "searched on"
    return "never seen by searches" if column.on_test_data else ""


# Figures that matplotlib draws


def static_figures(result: Result) -> list[dict[str, str]]:
    """Pareto fronts of several objectives, and the schedule of several workers."""
    from nasbench_lab.figures.pareto import pareto_figure
    from nasbench_lab.figures.schedule import schedule_figure

    names = result.tables_with_runs
    figures = []
    if all(len(result.benchmark(name).objectives) > 1 for name in names):
        figures.append(
            {
                "id": "pareto",
                "title": "Pareto fronts",
                "explained": "The front that the run of median hypervolume found, and the hypervolume "
                "that was still missing over the course of the search.",
                **as_image(pareto_figure, result),
            }
        )
    if result.experiment.workers.count > 1:
        figures.append(
            {
                "id": "schedule",
                "title": "Schedule of the workers",
                "explained": "What each worker did when, in one run of every algorithm. A bar is an "
                "evaluation.",
                **as_image(schedule_figure, result),
            }
        )
    return figures


def as_image(figure: Callable[..., Figure], *shown: Any) -> dict[str, str]:
    """A figure as a separate SVG image, so its names and styles cannot clash with the page's.

    Args:
        figure: What draws it.
        *shown: What is drawn.
    """
    from matplotlib import rc_context

    from nasbench_lab.figures.layout import STYLE

    file = io.BytesIO()
    # A label may hold dollar signs.
    with rc_context({**STYLE, "text.parse_math": False}):
        drawn = figure(*shown)
        drawn.savefig(file, format="svg", metadata={"Date": None})
        width, height = drawn.get_size_inches()
    return {
        "image": f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}",
        "width": str(round(96 * width)),
        "height": str(round(96 * height)),
    }


# The experiment


def described_tables(result: Result) -> list[dict[str, Any]]:
    """Version, checksum, space, objective, report and more of each table."""
    described = []
    for setting in result.experiment.benchmarks:
        benchmark, program = result.benchmark(setting.name), setting.program
        version = str(setting.source.get("version", ""))
        checksum = setting.table
        if program is not None:
            file = f" of {Path(program.file).name}" if program.file else ""
            version = f"{version}, else {program.name}" if version else f"{program.name}{file}"
            checksum = checksum or content_checksum(program.code)
        described.append(
            {
                "name": setting.name,
                "version": version,
                "checksum": checksum,
                "space": setting.space,
                "entries": f"{len(benchmark.table):,}",
                "searched": listed([o.name for o in benchmark.objectives]),
                "reported": benchmark.table.column(benchmark.report).name,
                "setting": result.setting(setting.name),
                "licence": benchmark.table.info.licence,
            }
        )
    return described


def platforms(result: Result) -> list[dict[str, str]]:
    """The platforms of the runs, an entry for each kind of machine and installation."""
    return [
        {
            "python": str(origin["python"]),
            "platform": str(origin["platform"]),
            "versions": ", ".join(f"{name} {v}" for name, v in origin["versions"].items()),
        }
        for origin in result.made_with
    ]


def goal_words(result: Result) -> dict[str, str]:
    """The short name of each goal; it is the split if all tables have the same."""
    opened = [result.benchmark(name) for name in result.tables_with_runs]
    valid = all(b.table.column(b.first_objective).split == "valid" for b in opened)
    test = all(b.table.column(b.report).split == "test" for b in opened)
    mean = all(map(stats.sees_trials, opened))
    words = {
        "hypervolume": "hypervolume",
        "test": "test" if test else "reported",
        "valid": "mean" if mean else "validation" if valid else "objective",
    }
    return {goal: words[goal] for goal in goals_of(result)}

"""What stands in the page as HTML: tables, drawings and figures, as plain values for the template."""

from __future__ import annotations

import base64
import io
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from nasbench_lab import stats
from nasbench_lab.drawing.drawing import draw
from nasbench_lab.errors import QueryError
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
"""How many architectures are shown of a table."""


class Cell(NamedTuple):
    """A cell of a table.

    Args:
        text: What stands in it.
        order: What the column is sorted by.
        more: A second line.
    """

    text: str
    order: float | str
    more: str = ""


def number(value: float, digits: int = 3) -> str:
    """A number for people; a dash for what is not known."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e6 else text.replace("-", "−")


def fixed(value: float, digits: int = 2) -> str:
    """A number with so many decimals; a dash for what is not known."""
    if not math.isfinite(value):
        return number(value)
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def interval(low: float, high: float, form: Any = fixed) -> str:
    return "" if math.isnan(low) or math.isnan(high) else f"[{form(low)}, {form(high)}]"


# Results at the end


def result_tables(result: Result, reference: str | None) -> list[dict[str, Any]]:
    """By benchmark, a table of what the algorithms reached in the end for each goal.

    Each table has a ``title`` and ``lines``: label, ``best``, ``mark`` and its ``words`` (what the
    test against the best, or the reference, says) and cells.
    """
    goals = {goal: _metric(goal) for goal in goals_of(result)}
    frames = {goal: stats.table_frame(result, metric, reference) for goal, metric in goals.items()}
    tables = []
    for name in result.tables_with_runs:
        benchmark = result.benchmark(name)
        here = []
        for goal, frame in frames.items():
            lines = frame[frame["benchmark"] == name].to_dict(orient="records")
            if lines:
                title = stats.metric_label(benchmark, goals[goal])
                found = any(line["without"] for line in lines)
                here.append(
                    {
                        "title": title,
                        "found": found,
                        "lines": [_result_line(line, found) for line in lines],
                    }
                )
        tables.append({"benchmark": name, "tables": here})
    return tables


def _metric(goal: str) -> str:
    return goal if goal == "hypervolume" else f"{goal}_regret"


_MARKS = {"worse": "▼", "better": "▲", "mixed": "◆"}
"""What is drawn beside an algorithm whose test is significant."""


def _result_line(line: Mapping[Any, Any], found: bool) -> dict[str, Any]:
    """A line of a table; with the share of runs that found something, if some did not."""
    p = float(line["p"])
    shown = "< 0.001" if p < 0.001 else fixed(p, 3)
    spread = interval(line["q25"], line["q75"])
    runs = Cell(str(line["runs"]), line["runs"])
    share = (line["runs"] - line["without"]) / line["runs"] if line["runs"] else math.nan
    return {
        "algorithm": line["algorithm"],
        "best": bool(line["best"]),
        "mark": _MARKS.get(line["outcome"], ""),
        "words": stats.OUTCOMES.get(line["outcome"], ""),
        "cells": [
            runs._replace(more=f"{share:.0%} found something") if found else runs,
            Cell(fixed(line["mean"]), _order(line["mean"]), interval(line["low"], line["high"])),
            Cell(fixed(line["median"]), _order(line["median"]), spread),
            Cell(number(line["rank"]), _order(line["rank"])),
            Cell(shown, _order(p)),
            Cell(fixed(line["a12"]), _order(line["a12"])),
        ],
    }


def _order(value: float) -> float:
    """What to sort by: what is not known goes last."""
    return 1e300 if math.isnan(value) or value == math.inf else float(value)


# Fixed targets


def target_tables(result: Result) -> list[dict[str, Any]]:
    """By benchmark, what it took to reach some targets: ``targets`` and ``lines`` of cells.

    A cell has the expected running time with its interval, and the share of runs that got there.
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


def _target_cell(line: Mapping[Any, Any]) -> Cell:
    ert = float(line["ert"])
    spread = interval(line["ert_low"], line["ert_high"], number) if math.isfinite(ert) else ""
    success = (
        f"{line['success']:.0%} [{100 * line['success_low']:.0f}, {100 * line['success_high']:.0f}]"
    )
    return Cell(" ".join(filter(None, [number(ert), spread])), _order(ert), success)


# Over tables


def friedman_diagrams(result: Result) -> list[dict[str, Any]]:
    """For each goal, what a critical-difference diagram draws, in the coordinates of its picture.

    Better ranks are on the left. Names stand below the axis in two halves, as in Demšar (2006).
    There is none for fewer tables than a critical difference needs, or fewer than three algorithms.
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
"""Of the diagram, its axis and its lines, in pixels. Names stand on both sides of the axis."""


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
    """By benchmark, the best by the objective of all incumbents that runs ended with."""
    found = []
    for name in result.tables_with_runs:
        benchmark = result.benchmark(name)
        chosen = _chosen(result, name)
        ranking = benchmark.ranking(benchmark.first_objective)
        place = {int(row): i for i, row in enumerate(ranking)}
        rows = sorted((row for row in chosen if row in place), key=lambda row: place[row])
        total = sum(sum(by.values()) for by in chosen.values())
        found.append(
            {
                "benchmark": name,
                "architectures": [
                    _architecture(benchmark, row, place[row], chosen[row], total)
                    for row in rows[:N_BEST]
                ],
            }
        )
    return found


def _chosen(result: Result, name: str) -> dict[int, Counter[str]]:
    """Of each entry that runs ended with, how many of each algorithm did."""
    chosen: dict[int, Counter[str]] = {}
    for algorithm in result.algorithms:
        for trace in result.traces(name, algorithm):
            position = trace.incumbents()[-1] if len(trace) else -1
            row = int(trace.row[position]) if position >= 0 else -1
            if row >= 0:
                chosen.setdefault(row, Counter())[algorithm] += 1
    return chosen


def _architecture(
    benchmark: TableBenchmark, row: int, place: int, chosen: Counter[str], total: int
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
        "runs": sum(chosen.values()),
        "total": total,
        "by": listed([f"{label} ({n})" for label, n in chosen.most_common()]),
        "main": [_metric_line(benchmark, column, row) for column in main],
        "others": [_metric_line(benchmark, column, row) for column in others],
    }


def _drawing(benchmark: TableBenchmark, architecture: Architecture) -> Markup:
    """The architecture as SVG, whose texts are escaped already.

    Style attributes are left out: the page's policy allows none.
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
    """Whether searches saw a column, where that matters."""
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
                **_as_image(pareto_figure, result),
            }
        )
    if result.experiment.workers.count > 1:
        figures.append(
            {
                "id": "schedule",
                "title": "Schedule of the workers",
                "explained": "What each worker did when, in one run of every algorithm. A bar is an "
                "evaluation.",
                **_as_image(schedule_figure, result),
            }
        )
    return figures


def _as_image(figure: Any, result: Result) -> dict[str, str]:
    """A figure as an SVG image of its own: its names and styles cannot clash with the page's."""
    from matplotlib import rc_context

    from nasbench_lab.figures.layout import STYLE

    file = io.BytesIO()
    # A label may hold dollar signs.
    with rc_context({**STYLE, "text.parse_math": False}):
        drawn: Figure = figure(result)
        drawn.savefig(file, format="svg", metadata={"Date": None})
        width, height = drawn.get_size_inches()
    return {
        "image": f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}",
        "width": str(round(96 * width)),
        "height": str(round(96 * height)),
    }


# The experiment


def described_tables(result: Result) -> list[dict[str, Any]]:
    """What is known of each table: version, checksum, space, what is searched on and reported."""
    described = []
    for setting in result.experiment.benchmarks:
        benchmark = setting.benchmark
        described.append(
            {
                "name": setting.name,
                "version": str(setting.source.get("version", "")),
                "checksum": setting.table,
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
    """With what the runs were made, one entry for each kind of machine and installation."""
    return [
        {
            "python": str(one["python"]),
            "platform": str(one["platform"]),
            "versions": ", ".join(f"{name} {v}" for name, v in one["versions"].items()),
        }
        for one in result.made_with
    ]


def goal_words(result: Result) -> dict[str, str]:
    """What each goal is called in short: by the split, if all tables have the same."""
    opened = [result.benchmark(name) for name in result.tables_with_runs]
    valid = all(b.table.column(b.first_objective).split == "valid" for b in opened)
    test = all(b.table.column(b.report).split == "test" for b in opened)
    words = {
        "hypervolume": "hypervolume",
        "test": "test" if test else "reported",
        "valid": "validation" if valid else "objective",
    }
    return {goal: words[goal] for goal in goals_of(result)}

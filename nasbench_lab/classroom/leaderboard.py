"""The page of a class: one HTML file that loads nothing from elsewhere, in the report's style."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_lab.report import page_environment, policy, style
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from nasbench_lab.classroom.grades import Grades, Line

_WIDTH = 240
"""Pixels of the picture of an interval."""


def render(grades: Grades) -> str:
    """The leaderboard as HTML; the same grades give the same text."""
    sheet = style()
    return (
        page_environment(Path(__file__).parent)
        .get_template("leaderboard.html")
        .render(
            style=sheet,
            policy=policy(sheet),
            title=f"Leaderboard of {counted(len(grades.students), 'student')}",
            kind="grade",
            grades=grades,
            metric=grades.metric.replace("_", " "),
            tables=[{"name": name, "rows": _rows(grades, name)} for name in grades.tables],
        )
    )


def _rows(grades: Grades, table: str) -> list[dict[str, Any]]:
    means = [grades.mean(line, table) for line in grades.lines]
    ends = [high for _, _, high in means if math.isfinite(high)]
    scale = (_WIDTH - 20) / (max(ends, default=0.0) or 1.0)
    rows = []
    for line, (centre, low, high) in zip(grades.lines, means, strict=True):
        known = math.isfinite(centre)
        rows.append(
            {
                "line": line,
                "place": grades.place(line) if line.is_student else "",
                "rank": f"{line.rank:.1f}",
                "runs": f"{len(line.found)} of {line.n_runs}",
                "mean": f"{centre:.3g}" if known else "–",
                "interval": f"[{low:.3g}, {high:.3g}]" if known else "",
                "picture": [round(10 + scale * v, 1) for v in (low, centre, high)] if known else [],
                "against": _outcomes(grades, line),
            }
        )
    return rows


def _outcomes(grades: Grades, line: Line) -> list[str]:
    return [tested[line.name][0] if line.is_student else "" for tested in grades.p.values()]

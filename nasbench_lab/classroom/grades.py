"""The marks of a class: a sorted table, a note for each student, a page for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab import stats
from nasbench_lab.budget import Budget
from nasbench_lab.csv_files import write_csv
from nasbench_lab.files import atomic_file, folder_errors
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd

_MOST_WRONGS = 5
"""How many different errors a note has."""

LEVEL = 0.05
"""A difference is one if its p-value, corrected over the students, is below this."""


@dataclass
class Line:
    """What came of the runs of one entry.

    Args:
        name: The student, or the algorithm that students are tested against.
        is_student: Which of the two.
        algorithm: The class of the search.
        values: By table and number of the seed, the regret at the end; infinite if nothing was found.
        wrongs: What went wrong, with how many runs it ended and the lines that it names.
        hints: What is wrong besides, and ended no run.
        cpu_s: Seconds of processor time.
        rank: The mean over all runs of the place among all lines, once there are all.
    """

    name: str
    is_student: bool
    algorithm: str = ""
    values: dict[str, dict[int, float]] = field(default_factory=dict)
    wrongs: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    rank: float = math.nan

    def put(self, table: str, seed: int, value: float) -> None:
        """Takes what a run ended with; NaN, which the table does not know, is nothing found."""
        self.values.setdefault(table, {})[seed] = math.inf if math.isnan(value) else value

    def wrong(self, text: str, lines: Sequence[str], n_runs: int = 1) -> None:
        count, _ = self.wrongs.get(text, (0, []))
        self.wrongs[text] = count + n_runs, list(lines)

    def hint(self, text: str) -> None:
        if text not in self.hints:
            self.hints.append(text)

    def of(self, table: str) -> list[float]:
        """The values on a table, in the order of the seeds."""
        return [value for _, value in sorted(self.values[table].items())]

    @property
    def found(self) -> list[float]:
        """The values of the runs that found something."""
        return [v for table in self.values for v in self.of(table) if math.isfinite(v)]

    @property
    def n_runs(self) -> int:
        return sum(map(len, self.values.values()))

    def to_json(self) -> dict[str, Any]:
        """The line as it is kept."""
        return vars(self)

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Line:
        """The line that was kept."""
        line = cls(**{key: value for key, value in data.items() if key != "files"})
        line.values = {
            table: {int(seed): float(value) for seed, value in values.items()}
            for table, values in line.values.items()
        }
        line.wrongs = {text: (count, lines) for text, (count, lines) in line.wrongs.items()}
        return line


class Grades:
    """The marks of a class.

    Args:
        lines: Of each entry, and of each algorithm that they are tested against.
        metric: What runs are graded by, a regret.
        budget: Of each run.
        tables: The tables, as students are told them.
        against: The algorithms that students are tested against.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        metric: str,
        budget: Budget,
        tables: Sequence[str],
        against: Sequence[str],
    ) -> None:
        self.metric, self.budget, self.tables = metric, budget, list(tables)
        by_name = sorted(lines, key=lambda line: (line.is_student, line.name))
        cells = np.array([[v for table in self.tables for v in line.of(table)] for line in by_name])
        for line, rank in zip(by_name, stats.average_ranks(cells), strict=True):
            line.rank = float(rank)
        self.lines = sorted(by_name, key=lambda line: line.rank)
        self.against = [line for line in self.lines if not line.is_student]
        self.students = [line for line in self.lines if line.is_student]
        self.p = {reference.name: self._tested(reference) for reference in self.against}

    def _tested(self, reference: Line) -> dict[str, tuple[str, float]]:
        """Of each student, whether they are better than an algorithm, and the p-value after Holm."""
        theirs = self._scaled(reference)
        tests = [stats.signed_rank(self._scaled(line), theirs) for line in self.students]
        corrected = stats.holm([test.p for test in tests])
        return {
            line.name: (
                "not told apart" if not p < LEVEL else "better" if test.effect < 0 else "worse",
                float(p),
            )
            for line, test, p in zip(self.students, tests, corrected, strict=True)
        }

    def _scaled(self, line: Line) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The values of a line over all tables; regrets of a table count as shares of its mean."""
        parts = []
        for table in self.tables:
            found = [v for one in self.lines for v in one.of(table) if math.isfinite(v)]
            scale = float(np.mean(found)) if found else 1.0
            parts.append(np.array(line.of(table)) / (scale or 1.0))
        return np.concatenate(parts)

    def place(self, line: Line) -> int:
        """The place among the students; equal ranks share the better one."""
        return 1 + sum(one.rank < line.rank for one in self.students)

    def mean(self, line: Line, table: str) -> tuple[float, float, float]:
        """The mean regret with its 95 % interval; infinite if a run found nothing."""
        values = line.of(table)
        if not np.isfinite(values).all():
            return math.inf, math.nan, math.nan
        low, high = stats.bootstrap_interval(values)
        return float(np.mean(values)), float(low), float(high)

    def to_frame(self) -> pd.DataFrame:
        """The table, best first.

        A line per student and per algorithm that they are tested against: ``place`` (among students),
        ``name``, ``algorithm``, ``rank`` (mean over runs of the rank among all lines), ``runs`` that
        found something and ``of`` how many; for each table the ``mean`` regret with its interval; for
        each algorithm tested against the outcome and p after Holm; ``cpu_s``; ``wrong`` in short.
        """
        import pandas as pd

        rows = []
        for line in self.lines:
            row: dict[str, Any] = {
                "place": self.place(line) if line.is_student else None,
                "name": line.name,
                "kind": "student" if line.is_student else "baseline",
                "algorithm": line.algorithm,
                "rank": line.rank,
                "runs": len(line.found),
                "of": line.n_runs,
            }
            for table in self.tables:
                centre, low, high = self.mean(line, table)
                row |= {f"mean {table}": centre, f"low {table}": low, f"high {table}": high}
            for name, tested in self.p.items():
                outcome, p = tested[line.name] if line.is_student else ("", math.nan)
                row |= {f"against {name}": outcome, f"p {name}": p}
            rows.append({**row, "cpu_s": line.cpu_s, "wrong": in_short(line)})
        return pd.DataFrame(rows).astype({"place": "Int64"})

    def rows(self) -> list[dict[str, str]]:
        """The table in short, as a terminal shows it."""
        rows = []
        for line in self.lines:
            row = {
                "place": str(self.place(line)) if line.is_student else "",
                "name": line.name,
                "rank": f"{line.rank:.1f}",
                "runs": f"{len(line.found)}/{line.n_runs}",
            }
            for table in self.tables:
                centre, _, _ = self.mean(line, table)
                row[table] = f"{centre:.3g}" if math.isfinite(centre) else "–"
            for name, tested in self.p.items():
                row[f"against {name}"] = tested[line.name][0] if line.is_student else ""
            rows.append({**row, "wrong": in_short(line)})
        return rows

    def note(self, line: Line) -> str:
        """What a student is told, as Markdown: their result, and what went wrong in which line."""
        text = [f"# {line.name}\n"]
        if not line.found:
            text.append(f"None of your {counted(line.n_runs, 'run')} found anything.")
        else:
            text.append(
                f"Place {self.place(line)} of {len(self.students)} with {line.algorithm}: "
                f"{len(line.found)} of {counted(line.n_runs, 'run')} found something. Each had "
                f"{self.budget}."
            )
            for table in self.tables:
                centre, low, high = self.mean(line, table)
                said = f"{centre:.3g} [{low:.3g}, {high:.3g}]" if math.isfinite(centre) else "none"
                text.append(f"- {table}: mean regret {said}")
            for name, tested in self.p.items():
                outcome, p = tested[line.name]
                text.append(f"- Against {name}: {outcome} (p = {p:.2g})")
        if line.wrongs:
            text.append("\n## What went wrong\n")
            for wrong, (count, lines) in list(line.wrongs.items())[:_MOST_WRONGS]:
                text.append(f"- {counted(count, 'run')}: {wrong}")
                text += [f"\n      {one}" for one in lines]
            if more := len(line.wrongs) - _MOST_WRONGS:
                text += [f"- and {counted(more, 'other error')}"] if more > 0 else []
        if line.hints:
            text.append("\n## What else to mend\n")
            text += [f"- {hint}" for hint in line.hints]
        return "\n".join(text) + "\n"

    def write(self, output: Path) -> None:
        """Writes ``grades.csv``, ``leaderboard.html`` and the notes of all students.

        Raises:
            DataFolderError: They cannot be written.
        """
        from nasbench_lab.classroom.leaderboard import render

        with atomic_file(output / "grades.csv") as path:
            write_csv(self.to_frame(), path)
        with atomic_file(output / "leaderboard.html") as path:
            path.write_text(render(self), encoding="utf-8", newline="\n")
        names = {f"{line.name}.md" for line in self.students}
        for line in self.students:
            with atomic_file(output / "notes" / f"{line.name}.md") as path:
                path.write_text(self.note(line), encoding="utf-8", newline="\n")
        with folder_errors(output):
            for file in (output / "notes").glob("*.md"):
                if file.name not in names:
                    file.unlink()


def in_short(line: Line) -> str:
    """What went wrong with a student's search, in one line."""
    texts = [*line.wrongs, *line.hints]
    return f"{texts[0]}{f' (and {len(texts) - 1} more)' if len(texts) > 1 else ''}" if texts else ""

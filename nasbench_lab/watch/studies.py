"""What a live view says of a study of several trainings: of supernets, or a validation."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from nasbench_lab.errors import NasbenchLabError
from nasbench_lab.files import content_checksum
from nasbench_lab.report import fragment
from nasbench_lab.report.contents import as_image
from nasbench_lab.trainer.progress import (
    FOLDER,
    PLAN,
    Begun,
    Plan,
    Standing,
    read_plan,
    read_standing,
)
from nasbench_lab.watch.at_work import Process, at_work
from nasbench_lab.watch.view import Grid, Kept, Share, State, View, in_words, signature
from nasbench_lab.words import counted

Standings = Mapping[int, Standing]
"""How far the tasks are that have begun, by their numbers."""


class WatchedStudy:
    """The folder of a study, or a result of which architectures are validated.

    Args:
        folder: The folder; it need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self._begun: Kept[Begun | None] = Kept(read_plan)
        self._standings: Kept[Standing | None] = Kept(self._read_standing)
        self._session = ""

    def view(self) -> View | None:
        """How the study stands now; None if there is none."""
        try:
            begun = self._look()
            return None if begun is None else self._view(begun)
        except NasbenchLabError as error:
            return View("unreadable", str(error))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            return View(
                "unreadable",
                f"{self.folder} is of another version of nasbench-lab "
                f"({type(error).__name__}: {error}).",
            )

    def _view(self, begun: Begun) -> View:
        problems: list[str] = []
        plan, standings = begun.plan, self._read(begun, problems)
        processes = at_work(self.folder)
        state, headline = _headline(begun, standings, processes)
        files = [signature(self._file(number)) for number in range(len(plan.tasks))]
        newest = max((held[2] / 1e9 for held in files if held is not None), default=math.nan)
        silent_s = max(time.time() - newest, 0.0)
        facts = list(plan.facts)
        if processes is not None:
            facts.append(("At work here", "; ".join(map(str, processes)) or "nobody"))
        if standings:
            facts.append(("Last written", f"{in_words(silent_s)} ago"))
        rows = [
            (task.name, [Share(standings[n].done if n in standings else 0, task.epochs)])
            for n, task in enumerate(plan.tasks)
        ]
        left_s = _left_s(plan, standings)
        ends = sum(standing.ended for standing in standings.values())
        return View(
            state,
            headline,
            # What comes after the last epoch of a task counts as one more.
            sum(share.done for _, (share,) in rows) + ends,
            sum(share.total for _, (share,) in rows) + len(rows),
            max(left_s - silent_s, 0.0) if processes else left_s,
            tuple(facts),
            Grid(plan.noun.capitalize(), ["epochs"], rows),
            tuple(_workers(plan, standings)) if state == "running" else (),
            failures=(begun.error,) if begun.error else (),
            problems=tuple(problems),
            version=content_checksum([begun.session, files]),
        )

    def plots(self) -> str:
        """The curves so far as HTML; empty if nothing has been trained."""
        begun = self._look()
        if begun is None:
            return ""
        standings = self._read(begun, [])
        courses = [
            (begun.plan.tasks[n].group or begun.plan.tasks[n].name, standing.curves)
            for n, standing in standings.items()
            if standing.done
        ]
        if not courses:
            return ""
        from nasbench_lab.figures.training import courses_figure

        return fragment(
            "courses.html",
            image=as_image(courses_figure, courses, begun.plan.curves),
            count=counted(len(courses), begun.plan.noun),
            shown=", ".join(begun.plan.curves.values()),
        )

    def _look(self) -> Begun | None:
        """What the study says of itself; None if there is none.

        Raises:
            Exception: That cannot be read; of another version it may be anything.
        """
        begun = self._begun(self.folder / PLAN)
        if begun is not None and begun.session != self._session:
            self._standings.forget()
            self._session = begun.session
        return begun

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:04d}.json"

    def _read(self, begun: Begun, problems: list[str]) -> dict[int, Standing]:
        """How far the tasks are that have begun."""
        standings = {}
        for number in range(len(begun.plan.tasks)):
            try:
                standing = self._standings(self._file(number))
            except NasbenchLabError as error:
                problems.append(str(error))
                continue
            if standing is not None:
                standings[number] = standing
        return standings

    def _read_standing(self, file: Path) -> Standing | None:
        return read_standing(file, self._session)


def _headline(
    begun: Begun, standings: Standings, processes: list[Process] | None
) -> tuple[State, str]:
    plan = begun.plan
    ended = sum(standing.ended for standing in standings.values())
    of = f"{plan.what}: {ended:,} of {counted(len(plan.tasks), plan.noun)} finished."
    if begun.ended:
        return "finished", of
    if begun.error:
        return "stopped", f"{of} It failed."
    if processes is None:
        return "running", f"{of} This system does not say whether anybody works on more."
    if processes:
        return "running", of
    return (
        "stopped",
        f"{of} Nothing on this machine works on more. The same command goes on with it.",
    )


def _workers(plan: Plan, standings: Standings) -> Iterable[str]:
    for number, standing in standings.items():
        if not standing.ended:
            task = plan.tasks[number]
            epoch = min(standing.done + 1, task.epochs)
            yield f"{task.name}: {standing.doing or f'epoch {epoch:,} of {task.epochs:,}'}"


def _left_s(plan: Plan, standings: Standings) -> float:
    """What is left takes what the same or similar tasks took; NaN if nobody knows."""
    left = [
        0.0
        if n in standings and standings[n].ended
        else (task.epochs - (standings[n].done if n in standings else 0))
        * _mean(plan, standings, n, "epoch_s")
        + _mean(plan, standings, n, "rest_s")
        for n, task in enumerate(plan.tasks)
    ]
    return math.nan if math.isnan(sum(left)) else max(sum(left) / plan.at_once, *left)


def _mean(plan: Plan, standings: Standings, number: int, what: str) -> float:
    """What a task takes of something, or else what those of its group or all took on average."""
    held = {n: took for n, one in standings.items() if (took := getattr(one, what)) is not None}
    if number in held:
        return float(held[number])
    group = plan.tasks[number].group
    similar = [took for n, took in held.items() if plan.tasks[n].group == group]
    if took := similar or list(held.values()):
        return math.fsum(took) / len(took)
    return 0.0 if what == "rest_s" else math.nan

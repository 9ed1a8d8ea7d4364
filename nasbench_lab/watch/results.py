"""What a live view says of a result folder: of a comparison, or of searches in real time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nasbench_lab.errors import NasbenchLabError
from nasbench_lab.experiment.experiment import Cell, Experiment
from nasbench_lab.files import content_checksum, identity, read_text
from nasbench_lab.results.manifest import Manifest, read_manifest
from nasbench_lab.results.parts import Run, read_head, read_shard, shards_in
from nasbench_lab.results.result import Result
from nasbench_lab.running.live import AT_WORK, UNFINISHED, spent
from nasbench_lab.spaces import Architecture, SearchSpace
from nasbench_lab.watch.at_work import Process, at_work
from nasbench_lab.watch.view import Grid, Kept, Share, View, in_words, signature
from nasbench_lab.words import counted

SHOWN = 50
"""The most failures that are shown; the last ones."""


class _Part(NamedTuple):
    """A file of runs: what it says of each, and when it was written."""

    file: Path
    runs: list[dict[str, Any]]
    written: float


class WatchedResult:
    """A result folder, as it changes.

    Args:
        folder: The folder; it need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.experiment: Experiment | None = None
        """What the folder held when it was last looked at, while it was sound."""
        self.unread: dict[Path, str] = {}
        """Parts that do not hold what they say, and why, when all runs were last read."""
        self._place: tuple[int, int] | None = None
        self._another = False
        self._manifest: Kept[Manifest] = Kept(lambda path: read_manifest(path.parent))
        self._heads: Kept[dict[str, Any]] = Kept(read_head)
        self._runs: Kept[list[Run]] = Kept(self._read_runs)
        self._parsed: dict[tuple[SearchSpace, str], Architecture] = {}

    # What it says

    def view(self) -> View:
        """How the folder stands now."""
        if self.folder.exists() and not self.folder.is_dir():
            return View("unreadable", f"{self.folder} is a file. Expected a result folder.")
        try:
            experiment = self._look()
        except NasbenchLabError as error:
            return View("unreadable", str(error))
        if experiment is None:
            return self._nothing()
        problems: list[str] = []
        parts = self._parts(problems)
        runs = _runs(experiment, parts)
        processes = at_work(self.folder / "runs")
        finished = [cell for cell, run in runs.items() if UNFINISHED not in run.get("warnings", ())]
        begun = self._begun(experiment, runs, problems)
        newest = max((part.written for part in parts), default=math.nan)
        silent_s = max(time.time() - newest, 0.0)
        left_s = _left_s(experiment, parts, runs, begun)
        if processes:
            left_s = max(left_s - silent_s, 0.0)
        done = len(finished) + sum(begun.values())
        state, headline = _standing(len(finished), experiment.n_runs, processes)
        problems += [text for text in self.unread.values() if text not in problems]
        if self._another:
            problems.insert(
                0, "Another result has taken the place of the one that was here before."
            )
        return View(
            state,
            headline,
            done,
            experiment.n_runs,
            0.0 if state == "finished" else left_s,
            tuple(_facts(experiment, parts, silent_s, processes)),
            _grid(experiment, finished, runs),
            tuple(self._workers()) if processes != [] and state != "finished" else (),
            failures=tuple(_failures(runs)),
            problems=tuple(problems),
            version=content_checksum([[str(p.file), *(signature(p.file) or ())] for p in parts]),
        )

    def _workers(self) -> Iterable[str]:
        """What each worker of the searches in real time is at."""
        for file in sorted((self.folder / "live").glob(f"[!.]*{AT_WORK}")):
            try:
                said = json.loads(read_text(file))
                for one in said["at_work"]:
                    epoch, last = one["epoch"] or 0, one["last_epoch"]
                    far = "" if last is None else f", epoch {epoch} of {last}"
                    since = in_words(max(said["seconds"] - one["start"], 0.0))
                    yield f"worker {one['worker']}: {one['architecture']}{far}, for {since}"
            except (OSError, ValueError, KeyError, TypeError):
                continue  # it has just gone, or is of another version

    def _nothing(self) -> View:
        if self.experiment is not None:
            return View(
                "waiting",
                f"{self.folder} is gone: it was deleted or moved. This page goes on when a result is "
                f"there again.",
            )
        there = self.folder.is_dir()
        return View(
            "waiting",
            f"There is no result in {self.folder} yet. This page goes on when there is."
            if there
            else f"{self.folder} is not there yet. This page goes on when it is.",
        )

    def result(self) -> Result | None:
        """All runs that can be read, searches that have not ended included; None if there are none."""
        try:
            experiment = self._look()
        except NasbenchLabError:
            return None
        if experiment is None:
            return None
        runs: dict[Cell, Run] = {}
        self.unread = {}
        for part in self._parts([]):
            try:
                for run in self._runs(part.file) or ():
                    if run.cell in experiment.cells:
                        runs.setdefault(run.cell, run)
            except NasbenchLabError as error:
                self.unread[part.file] = str(error)
        result = Result(experiment, runs.values())
        return result if result.tables_with_runs else None

    # What is read

    def _look(self) -> Experiment | None:
        """The experiment of the folder; None if there is none.

        Raises:
            NasbenchLabError: What is there cannot be read.
        """
        manifest = self._manifest(self.folder / "manifest.json")
        if manifest is None:
            return None
        experiment, place = manifest.experiment, identity(self.folder / "runs")
        if self.experiment is not None and self.experiment is not experiment:
            # Not if it has only grown; the same experiment may have been begun anew.
            self._another |= bool(experiment.joined(self.experiment)[1])
        if place != self._place:
            self._heads.forget()
            self._runs.forget()
        self.experiment, self._place = experiment, place
        return experiment

    def _read_runs(self, file: Path) -> list[Run]:
        return read_shard(file, self.experiment, self._parsed)

    def _parts(self, problems: list[str]) -> list[_Part]:
        """The files of runs that can be read, in the order in which they were written."""
        parts = []
        for file in shards_in(self.folder):
            try:
                head, written = self._heads(file), signature(file)
            except NasbenchLabError as error:
                problems.append(str(error))
                continue
            if head is not None and written is not None:
                parts.append(_Part(file, head["runs"], written[2] / 1e9))
        return sorted(parts, key=lambda part: part.written)

    def _begun(
        self, experiment: Experiment, runs: Mapping[Cell, dict[str, Any]], problems: list[str]
    ) -> dict[Cell, float]:
        """Of searches in real time that have not ended, the share of the budget that is spent."""
        shares = {}
        for cell, run in runs.items():
            if UNFINISHED in run.get("warnings", ()):
                try:
                    read = self._runs(run["file"]) or ()
                except NasbenchLabError as error:
                    problems.append(str(error))
                    continue
                for one in read:
                    if one.cell == cell:
                        done, total = spent(one.trace, experiment.budget, one.wall_s)
                        shares[cell] = min(done / total, 1.0)
        return shares


def _runs(experiment: Experiment, parts: Iterable[_Part]) -> dict[Cell, dict[str, Any]]:
    """What the parts say of each run of the experiment, and in which file it is."""
    runs: dict[Cell, dict[str, Any]] = {}
    for part in parts:
        for run in part.runs:
            cell = run["benchmark"], run["algorithm"], run["seed"]
            if cell in experiment.cells:
                runs.setdefault(cell, {**run, "file": part.file})
    return runs


def _standing(done: int, total: int, processes: Sequence[Process] | None) -> tuple[Any, str]:
    of = f"{done:,} of {counted(total, 'run')}"
    if done == total:
        return "finished", f"Finished: all of {counted(total, 'run')}."
    if processes is None:
        return (
            "running",
            f"{of} finished. This system does not say whether anybody works on more.",
        )
    if processes:
        return "running", f"{of} finished."
    return (
        "stopped",
        f"Nothing on this machine works here: {of} finished. The command that made the result goes "
        f"on with it.",
    )


def _left_s(
    experiment: Experiment,
    parts: Sequence[_Part],
    runs: Mapping[Cell, dict[str, Any]],
    begun: Mapping[Cell, float],
) -> float:
    """What is left takes what similar runs took, shared by as many processes as were at work so far."""
    took: dict[tuple[str, ...], list[float]] = {}
    for cell, run in runs.items():
        # What a search in real time has taken so far stands for its share of the whole.
        seconds = run["wall_s"] / begun.get(cell, 1.0) if begun.get(cell, 1.0) else math.nan
        for part in (cell[:2], cell[1:2], ()):
            took.setdefault(part, []).append(seconds)
    work = 0.0
    for cell in experiment.cells:
        if cell not in runs or cell in begun:
            similar = [took[s] for s in (cell[:2], cell[1:2], ()) if s in took]
            if not similar:
                return math.nan
            work += (1.0 - begun.get(cell, 0.0)) * sum(similar[0]) / len(similar[0])
    at_once = _at_once(parts)
    return work / at_once if work else 0.0


def _at_once(parts: Sequence[_Part]) -> float:
    """How many runs went on at once, on average of the time in which there were any; NaN of none."""
    spans = sorted((p.written - sum(r["wall_s"] for r in p.runs), p.written) for p in parts)
    if not spans:
        return math.nan
    busy, until = 0.0, -math.inf
    for begin, end in spans:
        busy += max(end - max(begin, until), 0.0)
        until = max(until, end)
    return sum(end - begin for begin, end in spans) / busy if busy else math.nan


def _facts(
    experiment: Experiment,
    parts: Sequence[_Part],
    silent_s: float,
    processes: Sequence[Process] | None,
) -> Iterable[tuple[str, str]]:
    yield "Budget of each run", str(experiment.budget)
    if processes is not None:
        yield "At work here", "; ".join(map(str, processes)) or "nobody"
    if parts:
        yield "Last written", f"{in_words(silent_s)} ago"
        if not math.isnan(at_once := _at_once(parts)):
            yield "Runs at once, on average", f"{at_once:.1f}"


def _grid(
    experiment: Experiment, finished: Iterable[Cell], runs: Mapping[Cell, dict[str, Any]]
) -> Grid:
    done: dict[tuple[str, str], list[int]] = {}
    for cell in finished:
        counts = done.setdefault((cell[0], cell[1]), [0, 0])
        counts[0] += 1
        counts[1] += runs[cell].get("error") is not None
    rows = []
    for label in experiment.labels:
        numbers = [done.get((table, label), (0, 0)) for table in experiment.tables]
        rows.append((label, [Share(n, len(experiment.seeds), failed) for n, failed in numbers]))
    return Grid("Algorithm", experiment.tables, rows)


def _failures(runs: Mapping[Cell, dict[str, Any]]) -> Iterable[str]:
    """Which runs and evaluations failed, and why; the last ones."""
    texts = []
    for (benchmark, algorithm, seed), run in runs.items():
        where = f"{algorithm} on {benchmark} with seed {seed}"
        if (error := run.get("error")) is not None:
            texts.append(f"{where}: {str(error).partition(chr(10))[0]}")
        texts += [
            f"{where}, evaluation {int(position) + 1}: {reason}"
            for position, reason in run.get("reasons", {}).items()
        ]
    if len(texts) > SHOWN:
        yield f"{counted(len(texts), 'failure')}, of which these are the last {SHOWN}:"
    yield from texts[-SHOWN:]

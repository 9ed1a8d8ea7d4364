"""What a live view says of a table that is built."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_lab.errors import NasbenchLabError, TableFileError
from nasbench_lab.files import content_checksum
from nasbench_lab.report import fragment
from nasbench_lab.report.contents import as_image
from nasbench_lab.tables.table import Table
from nasbench_lab.trainer.entries import read_entry
from nasbench_lab.trainer.table_recipe import TableRecipe, networks_of
from nasbench_lab.watch.view import Grid, Kept, Share, View, in_words, signature
from nasbench_lab.words import counted

_PARTS = {"trained": "training", "timed": "measuring", "scored": "scoring"}
"""The parts of a build in their order, and what the work on each is called in its times."""

_SUFFIX = ".build"


class WatchedBuild:
    """The folder of an unfinished build, or the table that it becomes.

    Args:
        folder: The folder of the table, or that of the build beside it.
    """

    def __init__(self, folder: Path) -> None:
        folder = folder.absolute()
        if folder.name.endswith(_SUFFIX):
            folder = folder.with_name(folder.name.removesuffix(_SUFFIX))
        self.table, self.folder = folder, folder.with_name(folder.name + _SUFFIX)
        self._opened: Kept[Table] = Kept(lambda path: Table.open(path.parent))
        self._begun: Kept[dict[str, Any] | None] = Kept(lambda path: read_entry(path, "build"))
        self._networks: Kept[list[int]] = Kept(
            lambda path: networks_of(TableRecipe(name="table", **(self._origin() or {})["recipe"]))
        )
        self._trained: Kept[dict[str, Any] | None] = Kept(self._read_trained)

    def view(self) -> View | None:
        """How the build stands now; None if there is neither a build nor a table."""
        try:
            origin = self._origin()
            networks = self._networks(self.folder / "build.json")
        except NasbenchLabError as error:
            return View("unreadable", str(error))
        except Exception as error:  # a recipe of another version may be anything
            return View(
                "unreadable",
                f"{self.folder / 'build.json'} is of another version of nasbench-lab "
                f"({type(error).__name__}: {error}).",
            )
        if origin is None or networks is None:
            return self._finished()
        files = {part: self._files(part) for part in _PARTS}
        begun = [part for part in _PARTS if files[part]]
        part = begun[-1] if begun else "trained"
        if part == "trained" and len(files[part]) == len(networks):
            part = "timed"
        done, total = len(files[part]), len(networks)
        newest = max((file[2] for some in files.values() for file in some.values()), default=0)
        facts = [("Space", str(origin["recipe"]["space"]))]
        if newest:
            silent_s = max(time.time() - newest / 1e9, 0.0)
            facts.append(("Last written", f"{in_words(silent_s)} ago"))
            left_s = max(self._took_s(origin, part) * (total - done) / max(done, 1) - silent_s, 0.0)
        return View(
            "running",
            f"{done:,} of {counted(total, 'network')} {part}. A build does not say whether somebody "
            f"works on it; its command goes on with it.",
            done,
            total,
            left_s if newest else math.nan,
            tuple(facts),
            Grid("Part", ["networks"], [(p, [Share(len(files[p]), total)]) for p in begun]),
            version=content_checksum(sorted(map(str, files["trained"].items()))),
        )

    def plots(self) -> str:
        """The accuracies so far as HTML; empty if nothing has been trained."""
        origin, curves, split = self._origin(), [], ""
        for name in self._files("trained") if origin is not None else ():
            try:
                entry = self._trained(self.folder / "trained" / name) or {}
            except TableFileError:
                continue  # the build trains it again
            held: Mapping[str, Any] = entry.get("curves", {})
            split = "valid" if "valid_accuracy" in held else "test"
            if (curve := held.get(f"{split}_accuracy")) is not None:
                curves.append(np.atleast_2d(np.asarray(curve, dtype=np.float64)).mean(axis=0))
        if not curves:
            return ""
        from nasbench_lab.figures.training import trainings_figure

        return fragment(
            "trainings.html",
            image=as_image(trainings_figure, np.array(curves), split),
            count=counted(len(curves), "network"),
        )

    def _finished(self) -> View | None:
        try:
            table = self._opened(self.table / "manifest.json")
        except NasbenchLabError:
            return None  # it is no table
        if table is None:
            return None
        return View(
            "finished",
            f"Finished: the table {table.info.name} is in {self.table}, with "
            f"{counted(len(table), 'entry')}.",
        )

    def _origin(self) -> dict[str, Any] | None:
        """What the build is of; None if there is none."""
        return self._begun(self.folder / "build.json")

    def _files(self, part: str) -> dict[str, tuple[int, int, int]]:
        """The files of finished networks, by their names."""
        found = {}
        for file in sorted((self.folder / part).glob("[!.]*.json")):
            if (held := signature(file)) is not None:
                found[file.name] = held
        return found

    def _read_trained(self, file: Path) -> dict[str, Any] | None:
        origin = self._origin()
        return read_entry(file, f"{content_checksum(origin)} trained {int(file.stem)}")

    def _took_s(self, origin: dict[str, Any], part: str) -> float:
        """What a part has taken so far, over all sessions; NaN if nobody knows."""
        try:
            times = read_entry(self.folder / "times.json", f"{content_checksum(origin)} times")
        except NasbenchLabError:
            return math.nan
        return float((times or {}).get(_PARTS[part], math.nan))

"""Unfinished builds of tables: a folder with a small file for each finished network."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from nasbench_lab.errors import DataFolderError, TableFileError, TrainingError
from nasbench_lab.files import content_checksum
from nasbench_lab.processes import in_processes
from nasbench_lab.trainer.datasets import ImageData, load_data
from nasbench_lab.trainer.entries import check_possible, read_entry, tell, write_entry
from nasbench_lab.trainer.measurements import MEASURED, metric_names
from nasbench_lab.trainer.table_recipe import SETTINGS, TableRecipe
from nasbench_lab.trainer.training import FORMAT

SCORES = 1
"""Version of the scores; it is raised when a proxy gives other values."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Unfinished:
    """The folder of an unfinished build: ``part/index.json`` for each finished network.

    The parts are ``trained``, ``timed``, ``measured`` and ``scored``.

    Attributes:
        of: A checksum of everything that the values depend on; each entry names it.
    """

    folder: Path
    recipe: TableRecipe
    data: ImageData
    of: str = field(init=False)

    @classmethod
    def begin(cls, recipe: TableRecipe, output: Path, data_folder: Path | None) -> Unfinished:
        """Makes the folder beside a table, or goes on with it."""
        training = recipe.training
        data = load_data(training.data, data_folder, trained_on=training.trained_on)
        return cls(output.with_name(f"{output.name}.build"), recipe, data)

    def __post_init__(self) -> None:
        file = self.folder / "build.json"
        origin: dict[str, Any] = {
            "recipe": self.recipe.model_dump(mode="json", include=SETTINGS),
            "data": self.data.checksum,
        }
        # Values of different versions or processors do not belong in one table.
        origin["versions"] = {name: version(name) for name in ("torch", "numpy")}
        origin |= {"processor": processor(), "format": FORMAT}
        object.__setattr__(self, "of", content_checksum(origin))
        try:
            saved = read_entry(file, "build")
        except TableFileError as error:
            raise DataFolderError(
                f"{self.folder} holds an unfinished build whose build.json is damaged. Delete that "
                f"file and start again: finished networks of the same build are not trained again."
            ) from error
        if saved is None:
            write_entry(file, "build", origin)
        elif differing := ", ".join(sorted(k for k in origin if saved.get(k) != origin[k])):
            raise DataFolderError(
                f"{self.folder} holds an unfinished build that differs in its {differing}. Name "
                f"another output, or delete that folder if nobody needs that build."
            )

    def finish(
        self,
        part: str,
        what: str,
        networks: Sequence[int],
        make: Callable[[int], dict[str, Any]],
        n_jobs: int,
        progress: Progress,
    ) -> None:
        """Makes the entries of a part that are missing, in processes.

        Args:
            part: The part.
            what: The name of the work.
            networks: The indices of all networks.
            make: Returns the entry of an index.
            n_jobs: How many processes; -1 for one per core.
            progress: Called with (done, total, name of the work).

        Raises:
            TrainingError: There are to be no processes.
        """
        if n_jobs == 0:
            raise TrainingError("Expected at least one process, or -1 for one per core, but got 0.")
        done = len(networks) - len(missing := self.missing(part, networks))
        progress(done, len(networks), what)
        began = time.monotonic()
        for number, entry in in_processes([partial(make, index) for index in missing], n_jobs):
            self.write(part, missing[number], entry)
            done += 1
            self.count_time(what, time.monotonic() - began)
            began = time.monotonic()
            progress(done, len(networks), what)

    def missing(self, part: str, networks: Iterable[int]) -> list[int]:
        return [index for index in networks if self.read(part, index) is None]

    def write(self, part: str, index: int, entry: dict[str, Any]) -> None:
        write_entry(self._file(part, index), self._name(part, index), entry)

    def read(self, part: str, index: int) -> dict[str, Any] | None:
        """An entry; None if there is none, or, with a warning, if it is damaged or of another build."""
        file = self._file(part, index)
        try:
            entry = read_entry(file, self._name(part, index))
            if entry is not None and part == "scored":
                if not set(self.recipe.proxies) <= set(entry["scores"]):
                    return None
                check_possible(file, {}, entry["seconds"], {})
            elif entry is not None and part == "measured":
                if not set(self.recipe.metrics) & set(MEASURED) <= set(entry):
                    return None
                check_possible(file, {}, {}, entry)
            elif entry is not None and part == "trained":
                wanted = metric_names(self.data.images, self.recipe.metrics)
                if not wanted <= set(entry["curves"]):
                    return None
                sizes = {name: entry[name] for name in ("parameters", "flops", "wall_s")}
                check_possible(file, entry["curves"], {}, sizes)
            elif entry is not None:
                check_possible(file, {}, entry, {})
        except TableFileError as error:
            tell(error, f"This network is {part} again.")
            return None
        return entry

    def _name(self, part: str, index: int) -> str:
        """What an entry holds."""
        return f"{self.of} {part}{f' {SCORES}' * (part == 'scored')} {index}"

    def _file(self, part: str, index: int) -> Path:
        return self.folder / part / f"{index:08d}.json"

    def count_time(self, part: str, seconds: float) -> None:
        """Adds to the wall-clock time that a part has taken, over all sessions."""
        times = self.times()
        times[part] = times.get(part, 0.0) + seconds
        write_entry(self.folder / "times.json", f"{self.of} times", times)

    def times(self) -> dict[str, float]:
        try:
            return read_entry(self.folder / "times.json", f"{self.of} times") or {}
        except TableFileError as error:
            tell(error, "The time that the build took so far is not known.")
            return {}

    def vanished(self) -> DataFolderError:
        """The error if entries that were written are not there."""
        return DataFolderError(
            f"Finished networks have vanished from {self.folder}. If another build runs there, start "
            f"this one again after its end."
        )


def processor() -> str:
    """The processor and the instructions in use, on which the bits of a result depend."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"

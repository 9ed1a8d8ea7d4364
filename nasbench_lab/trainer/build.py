"""Building a table: every network of a space, trained for real.

A build has two parts. First it trains all networks, in any number of processes; the result does not
depend on the number. Then it measures the time of an epoch for one network after the other; the
machine should do nothing else then. A folder beside the future table keeps a small file for each
finished network, so a build that was killed goes on where it was.
"""

from __future__ import annotations

import platform
import shutil
import time
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nasbench_lab.errors import (
    DataFolderError,
    RecipeError,
    TableFileError,
    TrainingError,
    text_of,
)
from nasbench_lab.files import content_checksum, nearest_file, read_text, sha256
from nasbench_lab.processes import in_processes
from nasbench_lab.spaces import SearchSpace, get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.table import Table
from nasbench_lab.trainer.datasets import ImageData, load_data
from nasbench_lab.trainer.entries import check_possible, read_entry, tell, write_entry
from nasbench_lab.trainer.recipe import Recipe, explain
from nasbench_lab.trainer.training import FORMAT, train

TIMED_EPOCHS = 3
"""Epochs whose time is measured; the first warms up, and the quickest of the others counts."""

Progress = Callable[[int, int, str], None]


class TableRecipe(BaseModel):
    """The recipe of a table, from a TOML file.

    Attributes:
        name: The table's name.
        version: The table's version; raise it when its values change.
        space: ``nb201`` or ``nats-sss``.
        seeds: The seeds of the trials.
        architectures: How many random architectures are trained; all if unset.
        description: A description in words.
        citation: BibTeX.
        licence: SPDX identifier.
        training: The recipe of each network's training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^\w[\w.+-]*(/\w[\w.+-]*)?$")
    version: str = "1"
    space: Literal["nb201", "nats-sss"]
    seeds: tuple[int, ...] = Field(min_length=1)
    architectures: int | None = Field(None, ge=1)
    description: str = ""
    citation: str = ""
    licence: str = ""
    training: Recipe


def read_recipe(path: Path) -> TableRecipe:
    """Reads a recipe.

    Raises:
        RecipeError: The file is missing or is not TOML, or a setting is unknown, missing or
            impossible.
    """
    try:
        return TableRecipe(**tomllib.loads(read_text(path, 1 << 20)))
    except ValidationError as error:
        raise RecipeError(f"{path}: {explain(error)}") from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or text_of(error)
        raise RecipeError(
            f"{path} cannot be read as a recipe: {reason}.{nearest_file(path)}"
        ) from error


def build_table(
    recipe_file: Path,
    output: Path,
    *,
    data_folder: Path | None = None,
    n_jobs: int = -1,
    progress: Progress = lambda done, total, what: None,
) -> Table:
    """Builds a table, or continues a stopped build.

    Args:
        recipe_file: A TOML file; see ``TableRecipe``.
        output: The table's folder. The folder of the unfinished build is beside it, and its name ends
            in ``.build``.
        data_folder: The folder of the data set's files.
        n_jobs: How many processes train; -1 for one per core.
        progress: Called with (done, total, name of the work).

    Returns:
        The table. Its values, except times, do not depend on the course of the build. Its ``details``
        hold the recipe, and how long the build took.

    Raises:
        RecipeError: The file is not a valid recipe.
        DataFolderError: The folder cannot be written, or holds something else, or the build of
            another recipe.
        TrainingError: A training failed; finished ones are kept.
    """
    recipe = read_recipe(recipe_file)
    if n_jobs == 0:
        raise TrainingError("Expected at least one process, or -1 for one per core, but got 0.")
    source: dict[str, str | int] = {
        "version": f"{recipe.name} {recipe.version}",
        "file": recipe_file.name,
        "sha256": sha256(recipe_file),
        "bytes": recipe_file.stat().st_size,
    }
    output = output.absolute()
    _check_output(output, recipe)
    data = load_data(recipe.training.data, data_folder, trained_on=recipe.training.trained_on)
    work = _Work(output.with_name(f"{output.name}.build"), recipe, data)
    networks = _networks(recipe)
    folder = None if data_folder is None else str(data_folder)

    done = len(networks) - len(missing := work.missing("trained", networks))
    progress(done, len(networks), "training")
    began = time.monotonic()
    tasks = [partial(_train_one, recipe, folder, index) for index in missing]
    for number, entry in in_processes(tasks, n_jobs):
        work.write("trained", missing[number], entry)
        done += 1
        work.count_time("training", time.monotonic() - began)
        began = time.monotonic()
        progress(done, len(networks), "training")

    done = len(networks) - len(missing := work.missing("timed", networks))
    began = time.monotonic()
    # The order is random, so a machine that slows down does not bias a part of the space.
    for index in np.random.default_rng(0).permutation(missing).tolist():
        progress(done, len(networks), "measuring time")
        work.write("timed", index, _time_one(recipe, data, index))
        done += 1
        work.count_time("measuring", time.monotonic() - began)
        began = time.monotonic()
    progress(done, len(networks), "writing the table")
    table = _assemble(recipe, source, output, work, networks)
    shutil.rmtree(work.folder, ignore_errors=True)
    return table


def _check_output(output: Path, recipe: TableRecipe) -> None:
    """Refuses a folder that holds something else than this table."""
    if not output.exists():
        return
    try:
        info = Table.open(output).info
    except TableFileError:
        info = None
    if info is None or info.name != recipe.name or "recipe" not in info.details:
        raise DataFolderError(
            f"{output} exists and is no table {recipe.name!r} that was built by a recipe. Name another "
            f"output, or another table in the recipe."
        )


def _networks(recipe: TableRecipe) -> list[int]:
    """The indices in the space of the architectures that are trained, in ascending order."""
    space = get_space(recipe.space)
    every = _trained_as(space, recipe)
    distinct = np.unique(every)
    if recipe.architectures is None or recipe.architectures >= len(distinct):
        chosen: list[int] = distinct.tolist()
        return chosen
    drawn = np.random.default_rng(0).choice(distinct, recipe.architectures, replace=False)
    return sorted(drawn.tolist())


def _trained_as(space: SearchSpace, recipe: TableRecipe) -> NDArray[np.int64]:
    """``(size,)``: the index of the architecture that is trained in place of each architecture."""
    indices = np.arange(space.size)
    if recipe.training.skeleton != "tiny":
        return indices
    return space.index(space.canonical(space.at(indices)))


@cache
def _data(name: str, trained_on: str, folder: str | None) -> ImageData:
    return load_data(name, None if folder is None else Path(folder), trained_on=trained_on)


def _train_one(recipe: TableRecipe, folder: str | None, index: int) -> dict[str, Any]:
    """Trains a network on one thread of the CPU, so that results are equal to the bit."""
    space = get_space(recipe.space)
    data = _data(recipe.training.data, recipe.training.trained_on, folder)
    began = time.perf_counter()
    training = train(
        space, space.at(index), recipe.training, data, seeds=recipe.seeds, device="cpu"
    )
    return {
        "architecture": space.to_string(space.at(index)),
        "parameters": training.parameters,
        "flops": training.flops,
        "curves": {name: values.tolist() for name, values in training.curves.items()},
        "wall_s": time.perf_counter() - began,
    }


def _time_one(recipe: TableRecipe, data: ImageData, index: int) -> dict[str, Any]:
    """Measures the time of an epoch of one network, of one seed, on one thread of the CPU."""
    space = get_space(recipe.space)
    training = train(
        space,
        space.at(index),
        recipe.training,
        data,
        seeds=recipe.seeds[:1],
        device="cpu",
        epochs=min(TIMED_EPOCHS, recipe.training.epochs),
    )
    counted = slice(1 if training.epochs > 1 else 0, None)
    return {split: float(s[counted].min()) for split, s in training.seconds.items()}


@dataclass(frozen=True)
class _Work:
    """The folder of an unfinished build: ``part/index.json`` for each finished network.

    Attributes:
        of: A checksum of everything that the values depend on; each entry names it.
    """

    folder: Path
    recipe: TableRecipe
    data: ImageData
    of: str = field(init=False)

    def __post_init__(self) -> None:
        file = self.folder / "build.json"
        settings = {"space", "seeds", "architectures", "training"}
        origin: dict[str, Any] = {
            "recipe": self.recipe.model_dump(mode="json", include=settings),
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

    def missing(self, part: str, networks: Iterable[int]) -> list[int]:
        return [index for index in networks if self.read(part, index) is None]

    def write(self, part: str, index: int, entry: dict[str, Any]) -> None:
        write_entry(self._file(part, index), f"{self.of} {part} {index}", entry)

    def read(self, part: str, index: int) -> dict[str, Any] | None:
        """An entry; None if there is none, or, with a warning, if it is damaged or of another build."""
        file = self._file(part, index)
        try:
            entry = read_entry(file, f"{self.of} {part} {index}")
            if entry is not None and part == "trained":
                sizes = {name: entry[name] for name in ("parameters", "flops", "wall_s")}
                check_possible(file, entry["curves"], {}, sizes)
            elif entry is not None:
                check_possible(file, {}, entry, {})
        except TableFileError as error:
            tell(error, f"This network is {part} again.")
            return None
        return entry

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


def processor() -> str:
    """The processor and the instructions in use, on which the bits of a result depend."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def _assemble(
    recipe: TableRecipe,
    source: dict[str, str | int],
    output: Path,
    work: _Work,
    networks: Sequence[int],
) -> Table:
    space, training = get_space(recipe.space), recipe.training
    trained = [entry for index in networks if (entry := work.read("trained", index))]
    timed = [entry for index in networks if (entry := work.read("timed", index))]
    if not len(trained) == len(timed) == len(networks):
        raise DataFolderError(
            f"Finished networks have vanished from {work.folder}. If another build runs there, start "
            f"this one again after its end."
        )
    shared: dict[str, Any] = {"dataset": training.data}
    columns: dict[Column, NDArray[Any]] = {}
    each = {**shared, "trials": recipe.seeds, "epochs": tuple(range(1, training.epochs + 1))}
    for split in timed[0]:
        what = {
            "train": "of the augmented images of the epoch, as they were trained on",
            "valid": "of the validation images, after the epoch",
            "test": "of the test images, after the epoch",
        }[split]
        for quantity, unit, dtype in (("accuracy", "%", np.float64), ("loss", "1", np.float32)):
            name = f"{split}_{quantity}"
            values = np.array([entry["curves"][name] for entry in trained], dtype)
            column = Column(
                name, quantity, unit, quantity == "accuracy", split, **each, description=what
            )
            columns[column] = values
    for quantity in ("parameters", "flops"):
        about = "millions of multiply-adds for one image" if quantity == "flops" else "millions"
        once = {**shared, "trials": ("exact",), "description": about}
        values = np.array([entry[quantity] for entry in trained])
        columns[Column(quantity, quantity, "M", False, **once)] = values
    for split, name, about in (
        ("train", "train_time_per_epoch", "training one network for one epoch on one core"),
        ("valid", "valid_time", "one pass over the validation images on one core"),
    ):
        if split in timed[0]:
            once = {**shared, "trials": ("measured",), "description": about}
            times = np.array([entry[split] for entry in timed])
            columns[Column(name, name, "s", False, **once)] = times
    row_of_index = None
    if len(networks) < space.size:
        stands_for = _trained_as(space, recipe)
        position = np.minimum(np.searchsorted(networks, stands_for), len(networks) - 1)
        held = np.asarray(networks)[position] == stands_for
        row_of_index = np.where(held, position, -1).astype(np.int32)
    objective = "valid_accuracy" if "valid" in timed[0] else ""
    info = TableInfo(
        name=recipe.name,
        space=recipe.space,
        description=recipe.description,
        citation=recipe.citation,
        licence=recipe.licence,
        objective=objective,
        report="test_accuracy" if objective else "",
        source=source,
        details={
            "recipe": recipe.model_dump(mode="json"),
            "data": work.data.checksum,
            "versions": {name: version(name) for name in ("torch", "numpy")},
            "processor": processor(),
            "build": {
                "networks": len(networks),
                "training_wall_s": round(work.times().get("training", 0.0), 1),
                "measuring_wall_s": round(work.times().get("measuring", 0.0), 1),
                "network_s": round(sum(entry["wall_s"] for entry in trained), 1),
            },
        },
    )
    return Table.create(output, info, columns, row_of_index)

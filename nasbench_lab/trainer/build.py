"""Building a table: every network of a space, trained for real.

A build has three parts. First it trains all networks, in any number of processes; the result does not
depend on the number. Then it measures the time of an epoch for one network after the other; the
machine should do nothing else then. Last it scores the networks by the zero-cost proxies that the
recipe names, again in any number of processes. A folder beside the future table keeps a small file for
each finished network, so a build that was killed goes on where it was.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import (
    DataFolderError,
    RecipeError,
    TableFileError,
)
from nasbench_lab.files import sha256
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.proxies import proxy_columns
from nasbench_lab.tables.rows import LARGEST_DENSE
from nasbench_lab.tables.table import Table
from nasbench_lab.trainer.datasets import ImageData, load_data
from nasbench_lab.trainer.recipe import trained_by
from nasbench_lab.trainer.scoring import IMAGES, score_architecture
from nasbench_lab.trainer.table_recipe import (
    SETTINGS,
    TableRecipe,
    networks_of,
    read_recipe,
    trained_as,
)
from nasbench_lab.trainer.training import train
from nasbench_lab.trainer.unfinished import SCORES, Progress, Unfinished, processor

TIMED_EPOCHS = 4
"""Epochs whose time is measured; the first warms up, and the quickest of the others counts."""

TIMED_BATCHES = 8
"""Batches of a timed epoch, at most; all batches take the same time."""

SCORED_SEED = 0
"""The seed of the initial weights and the images of the scores."""


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
    output = output.absolute()
    _check_output(output, recipe)
    work = Unfinished.begin(recipe, output, data_folder)
    networks = networks_of(recipe)
    folder = None if data_folder is None else str(data_folder)
    work.finish(
        "trained", "training", networks, partial(_train_one, recipe, folder), n_jobs, progress
    )

    done = len(networks) - len(missing := work.missing("timed", networks))
    began = time.monotonic()
    # The order is random, so a machine that slows down does not bias a part of the space.
    for index in np.random.default_rng(0).permutation(missing).tolist():
        progress(done, len(networks), "measuring time")
        work.write("timed", index, _time_one(recipe, work.data, index))
        done += 1
        work.count_time("measuring", time.monotonic() - began)
        began = time.monotonic()
    if recipe.proxies:
        work.finish(
            "scored", "scoring", networks, partial(_score_one, recipe, folder), n_jobs, progress
        )
    progress(len(networks), len(networks), "writing the table")
    table = _assemble(recipe, _source(recipe, recipe_file), output, work, networks)
    shutil.rmtree(work.folder, ignore_errors=True)
    return table


def add_proxies(
    recipe_file: Path,
    output: Path,
    *,
    data_folder: Path | None = None,
    n_jobs: int = -1,
    progress: Progress = lambda done, total, what: None,
) -> Table:
    """Adds the columns of the recipe's proxies to a table that the recipe has made.

    Nothing is trained, and the files of other columns stay as they are. A stopped run is continued.

    Args:
        recipe_file: The recipe, whose other settings are those that the table was made by.
        output: The table's folder.
        data_folder: The folder of the data set's files.
        n_jobs: How many processes score; -1 for one per core.
        progress: Called with (done, total, name of the work).

    Raises:
        RecipeError: The file is not a valid recipe, or names no proxies.
        TableFileError: There is no table in the folder, or it is damaged.
        DataFolderError: The table is not what the recipe makes, or the folder cannot be written.
    """
    recipe = read_recipe(recipe_file)
    if not recipe.proxies:
        raise RecipeError(
            f"{recipe_file} names no proxies. Expected such as proxies = ['synflow']."
        )
    table = Table.open(output.absolute())
    work = Unfinished.begin(recipe, table.folder, data_folder)
    networks = networks_of(recipe)
    held = table.info.details.get("recipe")
    made_by = {key: held.get(key) for key in SETTINGS} if isinstance(held, dict) else {}
    if (
        made_by != recipe.model_dump(mode="json", include=SETTINGS)
        or table.info.details.get("data") != work.data.checksum
        or len(table) != len(networks)
    ):
        raise DataFolderError(
            f"The table in {output} was not made by {recipe_file}: {', '.join(sorted(SETTINGS))} or "
            f"data differ. Name the recipe that made it, with proxies = [...] added."
        )
    folder = None if data_folder is None else str(data_folder)
    work.finish(
        "scored", "scoring", networks, partial(_score_one, recipe, folder), n_jobs, progress
    )
    progress(len(networks), len(networks), "writing the table")
    details = {**table.info.details, "recipe": recipe.model_dump(mode="json")}
    info = replace(
        table.info,
        source=_source(recipe, recipe_file),
        details=details | _about_scores(work),
    )
    table = table.with_columns(_scores(recipe, work, networks), info)
    shutil.rmtree(work.folder, ignore_errors=True)
    return table


def _source(recipe: TableRecipe, file: Path) -> dict[str, str | int]:
    return {
        "version": f"{recipe.name} {recipe.version}",
        "file": file.name,
        "sha256": sha256(file),
        "bytes": file.stat().st_size,
    }


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
    """Measures the time of an epoch of one network, of one seed, on one thread of the CPU.

    A few batches are timed, and their time is scaled to the whole split.
    """
    space = get_space(recipe.space)
    batch_size = trained_by(space, space.at(index), recipe.training).batch_size
    part = data.first(TIMED_BATCHES * batch_size)
    training = train(
        space,
        space.at(index),
        recipe.training,
        part,
        seeds=recipe.seeds[:1],
        device="cpu",
        epochs=min(TIMED_EPOCHS, recipe.training.epochs),
    )
    counted = slice(1 if training.epochs > 1 else 0, None)
    share = {split: len(part.labels[split]) / len(data.labels[split]) for split in training.seconds}
    return {split: float(s[counted].min()) / share[split] for split, s in training.seconds.items()}


def _score_one(recipe: TableRecipe, folder: str | None, index: int) -> dict[str, Any]:
    """Scores a network on one thread of the CPU, so that scores are equal to the bit."""
    space = get_space(recipe.space)
    data = _data(recipe.training.data, recipe.training.trained_on, folder)
    scores = score_architecture(
        space, space.at(index), recipe.training, data, recipe.proxies, seed=SCORED_SEED
    )
    return {"scores": scores.values, "seconds": scores.seconds}


def _assemble(
    recipe: TableRecipe,
    source: dict[str, str | int],
    output: Path,
    work: Unfinished,
    networks: Sequence[int],
) -> Table:
    space, training = get_space(recipe.space), recipe.training
    trained = [entry for index in networks if (entry := work.read("trained", index))]
    timed = [entry for index in networks if (entry := work.read("timed", index))]
    if not len(trained) == len(timed) == len(networks):
        raise work.vanished()
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
    columns |= _scores(recipe, work, networks)
    row_of_index = keys = None
    if space.size > LARGEST_DENSE:
        keys = np.array(networks, dtype=np.int64)
    elif len(networks) < space.size:
        stands_for = trained_as(space, recipe)
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
            **(_about_scores(work) if recipe.proxies else {}),
        },
    )
    return Table.create(output, info, columns, row_of_index, keys=keys)


def _scores(
    recipe: TableRecipe, work: Unfinished, networks: Sequence[int]
) -> dict[Column, NDArray[np.float32]]:
    """The columns of the recipe's proxies, and of the seconds that they took."""
    entries = [work.read("scored", index) for index in networks] if recipe.proxies else []
    if None in entries:
        raise work.vanished()
    columns: dict[Column, NDArray[np.float32]] = {}
    for name in recipe.proxies:
        pair = proxy_columns(
            name, recipe.training.data, SCORED_SEED, f"a batch of {IMAGES} training images"
        )
        for column, part in zip(pair, ("scores", "seconds"), strict=True):
            columns[column] = np.array([e[part][name] for e in entries if e], dtype=np.float32)
    return columns


def _about_scores(work: Unfinished) -> dict[str, Any]:
    """How the scores were made, for the details of a table."""
    return {
        "proxies": {
            "seed": SCORED_SEED,
            "images": IMAGES,
            "version": SCORES,
            "versions": {name: version(name) for name in ("torch", "numpy")},
            "processor": processor(),
            "wall_s": round(work.times().get("scoring", 0.0), 1),
        }
    }

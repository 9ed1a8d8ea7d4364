"""Building a table: every network of a space, trained for real.

A build has three parts. First it trains all networks, in any number of processes; the result does not
depend on the number. Then it measures the time of an epoch for one network after the other, and
latency, memory and energy if the recipe asks for them; the machine should do nothing else then. Last
it scores the networks by the zero-cost proxies that the recipe names, again in any number of
processes. A folder beside the future table keeps a small file for each finished network, so a build
that was killed goes on where it was.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nasbench_lab.errors import (
    DataFolderError,
    RecipeError,
    TableFileError,
    TrainingError,
)
from nasbench_lab.files import sha256
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.proxies import proxy_columns
from nasbench_lab.tables.rows import LARGEST_DENSE
from nasbench_lab.tables.table import Table
from nasbench_lab.trainer.datasets import ImageData, load_data
from nasbench_lab.trainer.hardware import EnergyMeter, hardware, measure_network
from nasbench_lab.trainer.measurements import (
    ENERGY,
    MEASURED,
    NETWORK,
    curve_columns,
    metric_names,
    network_columns,
    size_columns,
)
from nasbench_lab.trainer.recipe import trained_by
from nasbench_lab.trainer.scoring import IMAGES, score_architecture
from nasbench_lab.trainer.table_recipe import (
    SETTINGS,
    TableRecipe,
    networks_of,
    read_recipe,
    trained_as,
)
from nasbench_lab.trainer.training import Joules, Training, train
from nasbench_lab.trainer.unfinished import SCORES, Progress, Unfinished, processor

TIMED_EPOCHS = 4
"""Epochs whose time is measured; the first warms up, and the quickest of the others counts."""

TIMED_BATCHES = 8
"""Batches of a timed epoch, at most; all batches take the same time."""

_CPU = torch.device("cpu")

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
    if ENERGY in recipe.metrics:
        EnergyMeter(_CPU)  # to be refused before anything is trained
    work = Unfinished.begin(recipe, output, data_folder)
    networks = networks_of(recipe)
    folder = None if data_folder is None else str(data_folder)
    work.finish(
        "trained", "training", networks, partial(_train_one, recipe, folder), n_jobs, progress
    )

    _in_turn(work, "timed", networks, partial(_time_one, recipe, work.data), progress)
    if _measured(recipe):
        _in_turn(work, "measured", networks, partial(_measure_one, recipe, work.data), progress)
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
        or (isinstance(held, dict) and held.get("metrics", []) != list(recipe.metrics))
        or table.info.details.get("data") != work.data.checksum
        or len(table) != len(networks)
    ):
        raise DataFolderError(
            f"The table in {output} was not made by {recipe_file}: {', '.join(sorted(SETTINGS))}, "
            f"metrics or data differ. Name the recipe that made it, with proxies = [...] added."
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


def _measured(recipe: TableRecipe) -> list[str]:
    """What the recipe asks for that is measured of one network after the other."""
    return [name for name in MEASURED if name in recipe.metrics]


def _in_turn(
    work: Unfinished,
    part: str,
    networks: Sequence[int],
    make: Callable[[int], dict[str, Any]],
    progress: Progress,
) -> None:
    """Makes the entries of a part that are missing, one after the other, in this process."""
    done = len(networks) - len(missing := work.missing(part, networks))
    what = "measuring time" if part == "timed" else "measuring networks"
    began = time.monotonic()
    # The order is random, so a machine that slows down does not bias a part of the space.
    for index in np.random.default_rng(0).permutation(missing).tolist():
        progress(done, len(networks), what)
        work.write(part, index, make(index))
        done += 1
        work.count_time("measuring", time.monotonic() - began)
        began = time.monotonic()


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
    wanted = metric_names(data.images, recipe.metrics)
    metrics = {name: v for name, v in (training.metrics or {}).items() if name in wanted}
    return {
        "architecture": space.to_string(space.at(index)),
        "parameters": training.parameters,
        "flops": training.flops,
        "curves": {n: values.tolist() for n, values in {**training.curves, **metrics}.items()},
        "wall_s": time.perf_counter() - began,
    }


def _time_one(recipe: TableRecipe, data: ImageData, index: int) -> dict[str, Any]:
    """Measures the time of an epoch of one network, of one seed, on one thread of the CPU.

    A few batches are timed, and their time is scaled to the whole split.
    """
    training, shares = _short_training(recipe, data, index)
    counted = slice(1 if training.epochs > 1 else 0, None)
    return {split: float(s[counted].min()) / shares[split] for split, s in training.seconds.items()}


def _short_training(
    recipe: TableRecipe, data: ImageData, index: int, joules: Joules | None = None
) -> tuple[Training, dict[str, float]]:
    """Trains a network of one seed on a few batches, and tells their share of each split."""
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
        joules=joules,
    )
    shares = {s: len(part.labels[s]) / len(data.labels[s]) for s in training.seconds}
    return training, shares


def _measure_one(recipe: TableRecipe, data: ImageData, index: int) -> dict[str, float]:
    """Latency and memory of one network, and the energy of an epoch, on one thread of the CPU.

    Raises:
        TrainingError: The counter of energy is too coarse for so short a training.
    """
    space, known = get_space(recipe.space), dict[str, float]()
    architecture = space.at(index)
    if set(NETWORK) & set(recipe.metrics):
        known = measure_network(space, architecture, recipe.training, data, None, _CPU)
    if ENERGY in recipe.metrics:
        training, shares = _short_training(recipe, data, index, EnergyMeter(_CPU).joules)
        assert training.energy is not None
        joules = float(training.energy.mean())
        if not joules > 0:
            raise TrainingError(
                f"The energy of {space.to_string(architecture)} was not measured: a few batches took "
                f"less time than the machine's counter needs for a step. Leave {ENERGY} out of metrics."
            )
        known[ENERGY] = joules / shares["train"]
    return {name: known[name] for name in _measured(recipe)}


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
    columns: dict[Column, NDArray[Any]] = {}
    asked = training.data, recipe.seeds, training.epochs, recipe.metrics
    for column in curve_columns(timed[0], *asked):
        dtype = np.float32 if column.quantity == "loss" else np.float64
        columns[column] = np.array([entry["curves"][column.name] for entry in trained], dtype)
    for column in size_columns(training.data):
        columns[column] = np.array([entry[column.name] for entry in trained])
    for split, name, about in (
        ("train", "train_time_per_epoch", "training one network for one epoch on one core"),
        ("valid", "valid_time", "one pass over the validation images on one core"),
    ):
        if split in timed[0]:
            times = np.array([entry[split] for entry in timed])
            once: dict[str, Any] = {"dataset": training.data, "trials": ("measured",)}
            columns[Column(name, name, "s", False, **once, description=about)] = times
    measured = network_columns(training.data, hardware(_CPU), training.epochs, recipe.metrics)
    entries = [work.read("measured", index) for index in networks] if measured else []
    if None in entries:
        raise work.vanished()
    for column in measured:
        values = np.array([entry[column.name] for entry in entries if entry])
        if column.epochs:
            values = np.multiply.outer(values, column.epochs)[:, None, :]
        columns[column] = values
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

"""What is said of a trained model: the file ``model.json`` of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

from nasbench_lab.bounded_files import check_regular, errors_of
from nasbench_lab.errors import MissingSourceError, TableFileError
from nasbench_lab.files import nearest_file
from nasbench_lab.trainer.entries import read_entry
from nasbench_lab.trainer.recipe import Recipe

FORMAT = 1
"""Version of the folders."""

ABOUT = "model.json"
"""The name of the file."""

_MOST = 1 << 24
"""The most bytes that it may have."""


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Shown(_Content):
    """The images that a model was trained on.

    Attributes:
        name: The name of the data set.
        checksum: Its ``ImageData.checksum``.
        shape: Height, width and channels.
        classes: The number of classes.
        mean: Of each channel, for normalisation.
        std: Of each channel, likewise.
    """

    name: str
    checksum: str
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    classes: Annotated[int, Field(ge=2)]
    mean: tuple[float, ...]
    std: tuple[PositiveFloat, ...]


class Builder(_Content):
    """A user's function that builds networks.

    Attributes:
        function: Its name.
        module: The module in the folder ``code`` that defines it; None if it was given as an object,
            whose code is not kept.
        checksums: The SHA-256 of each module in that folder.
    """

    function: str
    module: Annotated[str, Field(pattern=r"^\w+(\.\w+)*$")] | None
    checksums: dict[Annotated[str, Field(pattern=r"^\w+(\.\w+)*$")], str]


class Widths(_Content):
    """The options of a space of chains, see ``ChainSpace``."""

    filters: tuple[PositiveInt, ...]
    units: tuple[PositiveInt, ...]


class Seed(_Content):
    """What came of a seed.

    Attributes:
        seed: The seed.
        accuracies: After the last epoch, in per cent, by split.
        weights: The SHA-256 of the file of weights.
    """

    seed: NonNegativeInt
    accuracies: dict[str, float]
    weights: str


class About(_Content):
    """What ``model.json`` says.

    Attributes:
        format: The version of the folder.
        key: A checksum of all that the trainings depend on.
        made_with: The versions of nasbench-lab and PyTorch.
        space: The name of the space.
        chain: The options of a space of chains.
        build: The user's function that builds the networks; None for spaces of ours.
        architecture: Its option numbers.
        text: The architecture in the syntax of its space.
        recipe: Of the trainings.
        images: The images.
        seeds: What came of each seed.
        chosen: The seed with the best validation accuracy, whose weights are loaded.
        parameters: In millions.
        flops: Multiply-adds per image, in millions.
        device: Where it was trained.
    """

    format: Literal[1]
    key: str
    made_with: dict[str, str]
    space: str
    chain: Widths | None
    build: Builder | None
    architecture: tuple[int, ...]
    text: str
    recipe: Recipe
    images: Shown
    seeds: tuple[Seed, ...]
    chosen: int
    parameters: float
    flops: float
    device: str


def read_about(folder: Path) -> About:
    """What a folder says of its model.

    Raises:
        MissingSourceError: There is no model.
        TableFileError: The file is damaged, or of another version.
    """
    file = folder / ABOUT
    if not file.exists():
        raise MissingSourceError(
            f"There is no model in {folder}: it has no {ABOUT}.{nearest_file(folder)}"
        )
    with errors_of(file):
        if check_regular(file) > _MOST or file.stat().st_size > _MOST:
            raise TableFileError(f"it has more than {_MOST:,} bytes")
        entry = read_entry(file, "model")
        if entry is None or entry.get("format") != FORMAT:
            raise TableFileError("it is of another version of nasbench-lab. Install that")
        about = About.model_validate(entry)
        channels = about.images.shape[2]
        if not len(about.images.mean) == len(about.images.std) == channels:
            raise TableFileError(f"expected a mean and a deviation for each of {channels} channels")
        return about

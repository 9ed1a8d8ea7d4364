"""Recipes: the settings of a training, and the statistics of batch normalisation in supernets."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from nasbench_lab.errors import RecipeError, quoted
from nasbench_lab.spaces import Architecture, SearchSpace


class Recipe(BaseModel):
    """The settings of a training. The defaults are those of NAS-Bench-201 on CIFAR-10.

    Weight decay acts on all parameters, also those of batch normalisation, as in the official code
    (Dong and Yang 2020, section 2.3). Unlike there, the learning rate falls with every step, not with
    every epoch.

    A space may decide some of the settings: see ``trained_by``.

    Attributes:
        data: A data set of ``nasbench_lab.trainer.datasets``, or the name of the user's own.
        trained_on: ``train``, or for CIFAR-10 also ``train+valid``.
        skeleton: ``paper``, the network around the cells as published, or ``tiny``, a small one for
            images of few pixels.
        epochs: Passes over the training data; the learning rate falls over all of them.
        batch_size: Images per step.
        lr: The learning rate at the start.
        optimizer: ``sgd``, stochastic gradient descent with momentum, or ``adam``.
        lr_schedule: ``cosine``, to zero after the last step, or ``constant``.
        momentum: The momentum of the gradient; Adam has its own.
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: The L2 penalty.
        label_smoothing: The share of the target that is spread over all classes.
        shift: The most pixels by which images move at random each way; the border is black.
        flip: The chance that an image is mirrored left to right.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str = "cifar10"
    trained_on: Literal["train", "train+valid"] = "train"
    skeleton: Literal["paper", "tiny"] = "paper"
    epochs: int = Field(200, ge=1)
    batch_size: int = Field(256, ge=2)
    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: float = Field(0.1, gt=0)
    lr_schedule: Literal["cosine", "constant"] = "cosine"
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(5e-4, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    shift: int = Field(4, ge=0)
    flip: float = Field(0.5, ge=0, le=1)

    @model_serializer(mode="wrap")
    def _plain(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out the usual optimizer, which recipes of earlier versions do not name."""
        settings: dict[str, Any] = write(self)
        if self.optimizer == "sgd":
            del settings["optimizer"]
        return settings

    @property
    def key(self) -> str:
        """A checksum of all settings."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def replace(self, **settings: Any) -> Recipe:
        """The recipe with other settings.

        Raises:
            RecipeError: A setting is unknown or impossible.
        """
        try:
            return Recipe(**{**self.model_dump(), **settings})
        except ValidationError as error:
            raise RecipeError(explain(error)) from error


def explain(error: ValidationError) -> str:
    """The errors of the settings, in one line."""
    return "; ".join(
        f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {quoted(e['input'])})"
        for e in error.errors()[:20]
    )


SETTINGS = {
    "optimiser": "optimizer",
    "optimizer": "optimizer",
    "learning rate": "lr",
    "lr": "lr",
    "batch size": "batch_size",
    "weight decay": "weight_decay",
    "momentum": "momentum",
    "label smoothing": "label_smoothing",
}
"""The settings that decisions of these names make; ``_`` and ``-`` count as spaces."""

_SPACES = str.maketrans("_-", "  ")


def trained_by(space: SearchSpace, architecture: Architecture, recipe: Recipe) -> Recipe:
    """The recipe of an architecture: with the settings that it decides in place of the recipe's.

    Raises:
        RecipeError: A decision named in ``SETTINGS`` has an option that its setting cannot have.
    """
    settings = {
        SETTINGS[key]: option
        for name, option in space.options(architecture).items()
        if (key := name.lower().translate(_SPACES)) in SETTINGS
    }
    try:
        return recipe.replace(**settings) if settings else recipe
    except RecipeError as error:
        raise RecipeError(
            f"{space.to_string(architecture)} of {space.name!r} cannot be trained: {error}. Decisions "
            f"named {', '.join(SETTINGS)} are settings of the training; change the options, or the "
            f"name of the decision."
        ) from error


NORMALISATIONS = ("batch", "running", "recalibrated")
"""Which statistics batch normalisation uses when a supernet is evaluated.

``batch``: those of the batch at hand. ``running``: averages over the batches of the training, which
were of other paths too. ``recalibrated``: those of the training images on the path at hand. In
training, all use those of the batch.
"""

RECIPES = {
    "digits": Recipe(data="digits", skeleton="tiny", epochs=12, batch_size=64, shift=1, flip=0.0),
    "mnist1d": Recipe(data="mnist1d", skeleton="tiny", epochs=8, batch_size=128, shift=0, flip=0.0),
    "cifar10": Recipe(),
    "cifar100": Recipe(data="cifar100"),
    "ImageNet16-120": Recipe(data="ImageNet16-120", shift=2),
}
"""The recipe of each data set: that of NAS-Bench-201, and ours for the digits and MNIST-1D."""


def usual_recipe(data: str) -> Recipe:
    """The recipe of a data set; of a user's own that of the digits, without moved images."""
    return RECIPES.get(data) or RECIPES["digits"].replace(data=data, shift=0)

"""Recipes of tables: which networks are trained, by which recipe, and what else is measured."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from nasbench_lab.errors import RecipeError, UnknownNameError, text_of
from nasbench_lab.files import nearest_file, read_text
from nasbench_lab.spaces import ChainSpace, DARTSSpace, SearchSpace, get_space
from nasbench_lab.tables.proxies import PROXIES
from nasbench_lab.tables.rows import LARGEST_DENSE
from nasbench_lab.trainer.measurements import METRICS
from nasbench_lab.trainer.recipe import Recipe, explain

SETTINGS = {"space", "seeds", "architectures", "training"}
"""The fields of a recipe that trained values depend on."""


class TableRecipe(BaseModel):
    """The recipe of a table, from a TOML file.

    Attributes:
        name: The table's name.
        version: The table's version; raise it when its values change.
        space: ``nb201``, ``nats-sss``, ``chain``, ``chain-signals`` or ``darts``.
        seeds: The seeds of the trials.
        architectures: How many random architectures are trained; all if unset. Chains and
            genotypes are too many for that.
        description: A description in words.
        citation: BibTeX.
        licence: SPDX identifier.
        metrics: What is measured besides accuracies, losses, sizes and times, of ``METRICS``. Those of
            classifiers are measured of validation and test data after each epoch; latency, memory
            and energy of one network after the other, when nothing else should run.
        proxies: The zero-cost proxies that the networks are scored by, of ``PROXIES``; none of chains
            and of ``darts``.
        training: The recipe of each network's training; chains decide some of its settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^\w[\w.+-]*(/\w[\w.+-]*)?$")
    version: str = "1"
    space: Literal["nb201", "nats-sss", "chain", "chain-signals", "darts"]
    seeds: tuple[int, ...] = Field(min_length=1)
    architectures: int | None = Field(None, ge=1)
    description: str = ""
    citation: str = ""
    licence: str = ""
    metrics: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    training: Recipe

    @model_serializer(mode="wrap")
    def _plain(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out metrics if there are none, as recipes of earlier versions do."""
        settings: dict[str, Any] = write(self)
        if not self.metrics:
            settings.pop("metrics", None)
        return settings

    @field_validator("metrics")
    @classmethod
    def _are_measured(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in METRICS:
                raise ValueError(str(UnknownNameError("metric", name, METRICS)))
        return tuple(name for name in METRICS if name in names)

    @field_validator("proxies")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in PROXIES:
                raise ValueError(str(UnknownNameError("zero-cost proxy", name, PROXIES)))
        return tuple(name for name in PROXIES if name in names)

    @model_validator(mode="after")
    def _fits_the_space(self) -> TableRecipe:
        if isinstance(space := get_space(self.space), ChainSpace | DARTSSpace):
            if self.architectures is None:
                raise ValueError(
                    f"{self.space} has {space.size:,} architectures; say how many of them are trained: "
                    f"architectures = 1000"
                )
            if self.proxies:
                raise ValueError(f"there are no zero-cost proxies of {self.space}; leave them out")
        return self


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


def networks_of(recipe: TableRecipe) -> list[int]:
    """The indices in the space of the architectures that are trained, in ascending order."""
    space = get_space(recipe.space)
    if space.size > LARGEST_DENSE:
        return _drawn(space, recipe.architectures or 0)
    every = trained_as(space, recipe)
    distinct = np.unique(every)
    if recipe.architectures is None or recipe.architectures >= len(distinct):
        chosen: list[int] = distinct.tolist()
        return chosen
    drawn = np.random.default_rng(0).choice(distinct, recipe.architectures, replace=False)
    return sorted(drawn.tolist())


def _drawn(space: SearchSpace, n: int) -> list[int]:
    """The indices of ``n`` different networks of a large space; of more, the first are the same."""
    rng, drawn = np.random.default_rng(0), np.empty(0, dtype=np.int64)
    while len(drawn) < n:
        more = space.index(space.canonical(space.sample(rng, 1000)))
        first = np.unique(joined := np.concatenate([drawn, more]), return_index=True)[1]
        drawn = joined[np.sort(first)]
    return sorted(drawn[:n].tolist())


def trained_as(space: SearchSpace, recipe: TableRecipe) -> NDArray[np.int64]:
    """``(size,)``: the index of the architecture that is trained in place of each architecture."""
    indices = np.arange(space.size)
    if recipe.training.skeleton != "tiny":
        return indices
    return space.index(space.canonical(space.at(indices)))

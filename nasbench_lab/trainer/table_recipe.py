"""Recipes of tables: what is trained, by which recipe, and what else is measured."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from nasbench_lab.errors import RecipeError, UnknownNameError, text_of
from nasbench_lab.files import nearest_file, read_text
from nasbench_lab.spaces import ChainSpace, get_space
from nasbench_lab.tables.proxies import PROXIES
from nasbench_lab.trainer.recipe import Recipe, explain

SETTINGS = {"space", "seeds", "architectures", "training"}
"""The fields of a recipe that trained values depend on."""


class TableRecipe(BaseModel):
    """The recipe of a table, from a TOML file.

    Attributes:
        name: The table's name.
        version: The table's version; raise it when its values change.
        space: ``nb201``, ``nats-sss``, ``chain`` or ``chain-signals``.
        seeds: The seeds of the trials.
        architectures: How many random architectures are trained; all if unset. Chains are too many
            for that.
        description: A description in words.
        citation: BibTeX.
        licence: SPDX identifier.
        proxies: The zero-cost proxies that the networks are scored by, of ``PROXIES``; none of chains.
        training: The recipe of each network's training; chains decide some of its settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^\w[\w.+-]*(/\w[\w.+-]*)?$")
    version: str = "1"
    space: Literal["nb201", "nats-sss", "chain", "chain-signals"]
    seeds: tuple[int, ...] = Field(min_length=1)
    architectures: int | None = Field(None, ge=1)
    description: str = ""
    citation: str = ""
    licence: str = ""
    proxies: tuple[str, ...] = ()
    training: Recipe

    @field_validator("proxies")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in PROXIES:
                raise ValueError(str(UnknownNameError("zero-cost proxy", name, PROXIES)))
        return tuple(name for name in PROXIES if name in names)

    @model_validator(mode="after")
    def _fits_the_space(self) -> TableRecipe:
        if isinstance(space := get_space(self.space), ChainSpace):
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

"""Checks of the values of hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np

from nasbench_lab.errors import HyperparameterError


def check_number(
    name: str,
    value: object,
    *,
    whole: bool = False,
    low: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> None:
    """Refuses a hyperparameter that is no finite number within bounds.

    Args:
        name: The hyperparameter.
        value: Its value.
        whole: Whether it must be an int.
        low: The smallest value allowed.
        above: A lower bound that is not allowed itself.
        below: An upper bound that is not allowed itself.

    Raises:
        HyperparameterError: The value is no such number; the message says what was expected.
    """
    kinds = int | np.integer if whole else int | float | np.integer | np.floating
    fits = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    number = cast("float", value)  # if it fits
    if not (fits and number >= low and above < number < below):
        bounds = {"of at least": low, "above": above, "below": below}
        limits = [f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound)]
        wanted = " ".join(
            filter(None, ["whole number" if whole else "number", " and ".join(limits)])
        )
        raise HyperparameterError(f"Expected a {wanted} for {name} but got {value!r}.")


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuses a hyperparameter that is none of the choices.

    Raises:
        HyperparameterError: The value is none of them; the message lists the choices.
    """
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        raise HyperparameterError(
            f"Expected one of {', '.join(map(str, choices))} for {name} but got {value!r}."
        )

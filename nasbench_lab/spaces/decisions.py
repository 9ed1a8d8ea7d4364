"""Decisions, of which search spaces are made, and their options."""

from __future__ import annotations

import csv
import functools
import math
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import SpaceError, quoted

Option = str | bool | int | float
"""One option of a decision."""

Conditions = tuple[tuple[str, tuple[Option, ...]], ...]
"""Names of earlier decisions, and for each the options with which a decision exists."""


@dataclass(frozen=True)
class Decision:
    """One choice that a search makes.

    Args:
        name: The decision in words.
        options: The options; an architecture holds a position in this tuple.
        ordered: Whether neighbouring options are alike (channel counts, learning rates).
        active_if: For a decision that exists only under conditions: a mapping from names of earlier
            decisions to the options with which this one exists, such as ``{"layers": (3, 4)}``. All
            of them must hold; one on a decision that does not exist itself does not hold.

    Raises:
        SpaceError: Options or conditions are not of these types.
    """

    name: str
    options: tuple[Option, ...]
    ordered: bool = False
    active_if: Mapping[str, Option | Sequence[Option]] | Conditions = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _plain(self.name, "options", self.options))
        given: Any = self.active_if
        try:
            pairs = list(given.items() if isinstance(given, Mapping) else given)
            named = [(name, options) for name, options in pairs if isinstance(name, str)]
        except (TypeError, ValueError):
            pairs, named = [()], []
        if len(named) < len(pairs):
            raise SpaceError(
                f"Expected a mapping from names of decisions to options as active_if of "
                f"{quoted(self.name)}, such as {{'layers': [3, 4]}}, but got {quoted(given)}."
            )
        conditions = []
        for name, options in named:
            single = isinstance(options, str) or not isinstance(options, Iterable)
            allowed = (options,) if single else options
            conditions.append(
                (name, _plain(self.name, f"options of {name!r} in active_if", allowed))
            )
        object.__setattr__(self, "active_if", tuple(conditions))

    @property
    def conditions(self) -> Conditions:
        """``active_if`` as pairs, the form in which it is kept."""
        return cast("Conditions", self.active_if)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The options as ``SearchSpace.to_string`` writes them, in quotation marks where needed."""
        return tuple(map(_marked, map(str, self.options)))

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {str(option): i for i, option in enumerate(self.options)}

    def position(self, option: object) -> int | None:
        """The number of an option, or None if it is none of the decision's.

        Args:
            option: An option, or its text. Numbers match by value: ``"1e-4"`` is ``0.0001``, and
                ``"3.0"`` is ``3``.
        """
        text = str(option)  # of NumPy's numbers with few bits, as short as it can be
        found = self._positions.get(text, self._positions.get(text.strip()))
        if found is not None:
            return found
        value = _value(text.strip())
        fitting = [i for i, one in enumerate(self.options) if value is not None and value == one]
        kinds = [i for i in fitting if isinstance(self.options[i], bool) == isinstance(value, bool)]
        return kinds[0] if len(kinds) == 1 else None


def is_blank(option: object) -> bool:
    """Whether this stands for no option: None, NaN or a blank text."""
    if isinstance(option, float | np.floating):
        return math.isnan(option)
    return option is None or not str(option).strip()


def _marked(text: str) -> str:
    """A text that can stand between colons."""
    if text == text.strip() and not any(sign in text for sign in ':"\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


def parted(text: str) -> list[str]:
    """The options in a text of options with colons between them."""
    if '"' not in text:
        return text.split(":")
    try:
        return next(csv.reader([text], delimiter=":", strict=True), [])
    except csv.Error:
        return text.split(":")


# Another option of a decision


def check_near(near: float) -> None:
    """Refuses a ``near`` that is no number from 0 to 1.

    Raises:
        SpaceError: It is none.
    """
    if not 0 <= near <= 1:
        raise SpaceError(f"Expected a number from 0 to 1 for near but got {near!r}.")


def other_option(decision: Decision, option: int, u: float, near: float = 1.0) -> int:
    """Another option of a decision that has several.

    Args:
        decision: The decision.
        option: The number of its present option.
        u: A number drawn uniformly from 0 to 1.
        near: How many times as likely an option of an ordered decision is as one that is a step
            nearer.
    """
    if near < 1 and decision.ordered:
        return bisect(_cumulative(len(decision.options), near)[option].tolist(), u)
    n = len(decision.options)
    return (option + 1 + int(u * (n - 1))) % n


def other_options(
    decisions: Sequence[Decision],
    which: NDArray[np.int64],
    options: NDArray[np.int64],
    u: NDArray[np.float64],
    near: float = 1.0,
) -> NDArray[np.int64]:
    """``other_option`` of ``n`` decisions, whose numbers ``which`` says."""
    n = np.array([len(decision.options) for decision in decisions])[which]
    result: NDArray[np.int64] = (options + 1 + (u * (n - 1)).astype(np.int64)) % n
    for i in np.unique(which).tolist() if near < 1 else []:
        if decisions[i].ordered:
            rows = np.flatnonzero(which == i)
            cumulative = _cumulative(len(decisions[i].options), near)[options[rows]]
            result[rows] = (cumulative <= u[rows, None]).sum(axis=1)
    return result


@functools.lru_cache(maxsize=64)
def _cumulative(n: int, near: float) -> NDArray[np.float64]:
    """``(n, n)``: sums of the chances of the options up to each, by the present option."""
    steps = np.abs(np.arange(n)[:, None] - np.arange(n))
    chances = np.where(steps > 0, float(near) ** np.maximum(steps - 1, 0), 0.0)
    cumulative = chances.cumsum(axis=1)
    result: NDArray[np.float64] = cumulative / cumulative[:, -1:]
    return result


def _value(text: str) -> float | bool | None:
    """The number or truth value that a text stands for, or None."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for read in (int, float):
        try:
            return None if "_" in text else read(text)
        except (ValueError, OverflowError):
            pass
    return None


def _plain(name: str, what: str, options: Any) -> tuple[Option, ...]:
    """Options as a tuple of Python's own texts and numbers."""
    try:
        plain = [one.item() if isinstance(one, np.generic) else one for one in options]
    except TypeError:
        plain = [None]
    if not all(
        isinstance(one, str | int | float) and not (isinstance(one, float) and math.isnan(one))
        for one in plain
    ):
        raise SpaceError(
            f"Expected texts or numbers as {what} of {quoted(name)} but got {quoted(options)}."
        )
    return tuple(plain)

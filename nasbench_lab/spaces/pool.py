"""The part of a space that was measured, as a space of its own.

A table may hold few of the architectures of its space. A search on it moves among these only: what
it draws, mutates and climbs to is measured.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.spaces.base import Architecture, Architectures, Graph, SearchSpace

FEW = 20_000
"""Up to so many members, comparing with all of them is faster than finding out with which to."""


class PoolSpace(SearchSpace):
    """Some architectures of a space, the members, in ascending order of their indices there.

    Decisions, texts, graphs and encodings are those of the space. A move is a move of the space that
    ends at the member nearest to where it leads. If that was measured, or something isomorphic to it,
    it is the move of the space. Else it is one of the other members that differ from it in the
    fewest decisions; of these one that differs from the start in the fewest, and then one with the
    fewest steps between the options of ordered decisions. Decisions that are active in one of two
    architectures only do not count as different.

    A move to measured architectures one change away would be another choice. Where a twentieth of a
    space was measured, most members have one or two of these, and a search would go to and fro
    between a few.

    Args:
        base: The space.
        architectures: ``(n, d)`` members, in any order; equal ones count once.

    Raises:
        InvalidArchitectureError: One is not of the space.
        ValueError: There is none.
    """

    def __init__(self, base: SearchSpace, architectures: Architectures) -> None:
        super().__init__(base.name, base.decisions)
        if not len(architectures):
            raise ValueError(f"Expected at least one architecture of {base.name!r} but got none.")
        self.base = base
        self.encodings = base.encodings
        self._indices = np.unique(base.index(base._validate_many(architectures)))
        self.size = len(self._indices)
        self._digest = hashlib.sha256(self._indices.tobytes()).hexdigest()

    _cached = (
        *SearchSpace._cached,
        *("_members", "_columns", "_active_columns", "_class_keys", "_near", "_nearby", "_ordered"),
    )

    def __repr__(self) -> str:
        return f"<PoolSpace {self.name!r}: {self.size:,} of {self.base.size:,} architectures>"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, PoolSpace)
            and self._digest == other._digest
            and self.base == other.base
        )

    def __hash__(self) -> int:
        return hash((self.base, self._digest))

    @cached_property
    def _members(self) -> Architectures:
        return self.base.at(self._indices)

    # Membership

    def validate(self, architecture: Sequence[int]) -> Architecture:
        """Returns the architecture as a tuple of Python ints.

        Raises:
            InvalidArchitectureError: It is not of the space, or no member.
        """
        result = self.base.validate(architecture)
        if _place(self._indices, self.base.index(result)) < 0:
            raise InvalidArchitectureError(
                f"Expected one of the {self.size:,} measured architectures of {self.name!r} but got "
                f"{self.base.to_string(result)}. The nearest of them is "
                f"{self.base.to_string(self.nearest(result))}."
            )
        return result

    def _validate_many(self, architectures: Architectures) -> Architectures:
        result = self.base._validate_many(architectures)
        if (bad := np.flatnonzero(_places(self._indices, self.base.index(result)) < 0)).size:
            self.validate(result[bad[0]].tolist())
        return result

    # Numbering

    @overload
    def index(self, architecture: tuple[int, ...]) -> int: ...
    @overload
    def index(self, architecture: Architectures) -> NDArray[np.int64]: ...
    def index(self, architecture: Any) -> Any:
        """The positions of members, from 0 to ``size - 1``."""
        if isinstance(architecture, np.ndarray):
            places = _places(self._indices, self.base.index(architecture))
            if (places < 0).any():
                self._validate_many(architecture)  # which says what is wrong
            return places
        place = _place(self._indices, self.base.index(architecture))
        if place < 0:
            self.validate(architecture)
        return place

    @overload
    def at(self, index: int) -> Architecture: ...
    @overload
    def at(self, index: NDArray[np.int64]) -> Architectures: ...
    def at(self, index: Any) -> Any:
        """The member at this position: the inverse of ``index``.

        Raises:
            InvalidArchitectureError: The position is not from 0 to ``size - 1``.
        """
        self._check_numbers(index, "the measured architectures of ")
        if isinstance(index, np.ndarray):
            return self._members[index.astype(np.int64)]
        return self._member(int(index))

    @property
    def classes(self) -> Architectures:
        """``(m, d)``: one member per class, in ascending order of their indices."""
        return self.at(np.sort(self._class_keys[1]))

    # Moves

    @overload
    def sample(self, rng: np.random.Generator, n: None = None) -> Architecture: ...
    @overload
    def sample(self, rng: np.random.Generator, n: int) -> Architectures: ...
    def sample(self, rng: np.random.Generator, n: int | None = None) -> Any:
        """Draws one member, or ``(n, d)`` of them, uniformly and independently."""
        if n is None:
            return self._member(int(rng.random() * self.size))
        return self._members[rng.integers(self.size, size=n)]

    @overload
    def mutate(
        self, architecture: tuple[int, ...], rng: np.random.Generator, near: float = 1.0
    ) -> Architecture: ...
    @overload
    def mutate(
        self, architecture: Architectures, rng: np.random.Generator, near: float = 1.0
    ) -> Architectures: ...
    def mutate(self, architecture: Any, rng: np.random.Generator, near: float = 1.0) -> Any:
        """Mutates as the space does, and ends at the nearest other member.

        A space of one member returns it.

        Args:
            architecture: A tuple, or an ``(n, d)`` array.
            rng: Where the change is drawn from.
            near: As of the space.
        """
        options = {} if near == 1.0 else {"near": near}  # which not every space knows
        if isinstance(architecture, np.ndarray):
            places = self.index(architecture).tolist()
            if self.size > 1 and places:
                mutated = self.base.mutate(self._members[places], rng, **options)
                moves = list(zip(map(tuple, mutated.tolist()), places, strict=True))
                ends = {move: self._closest(*move) for move in set(moves)}
                places = [ends[move] for move in moves]
            return self._members[np.array(places, dtype=np.int64)]
        place = self.index(architecture)
        if self.size == 1:
            return architecture
        return self._member(self._closest(self.base.mutate(architecture, rng, **options), place))

    @overload
    def neighbours(self, architecture: tuple[int, ...]) -> list[Architecture]: ...
    @overload
    def neighbours(self, architecture: Architectures) -> NDArray[np.int64]: ...
    def neighbours(self, architecture: Any) -> Any:
        """The members where the changes to the space's neighbours end, each once.

        A member has none only if it is the only one.

        Returns:
            A list of tuples, or for ``(n, d)`` members that all have ``m`` neighbours an
            ``(n, m, d)`` array.

        Raises:
            InvalidArchitectureError: The members have unequal numbers of neighbours, which no array
                can hold; ask for one at a time. Or one has more in the space than can be listed.
        """
        if not isinstance(architecture, np.ndarray):
            return [self._member(place) for place in self._neighbours_of(self.index(architecture))]
        return self._rectangular([self.neighbours(tuple(a)) for a in architecture.tolist()])

    def nearest(self, options: Sequence[int]) -> Architecture:
        """The member that a combination of options stands for.

        It is the architecture that they stand for in the space, or the first isomorphic to it. If
        none was measured, it is one of the members that differ in the fewest decisions; of these one
        with the fewest steps between the options of ordered decisions. The options themselves
        decide which, so that no member is favoured for its index.

        Args:
            options: ``d`` option numbers.

        Raises:
            InvalidArchitectureError: They are no options of the decisions.
        """
        try:
            return self._member(self._closest(self.base.nearest(options)))
        except InvalidArchitectureError:
            # They are in range, and of no architecture.
            return self._member(self._nearest(super().validate(options)))

    def _member(self, place: int) -> Architecture:
        return tuple(self._members[place].tolist())

    def _neighbours_of(self, place: int) -> list[int]:
        """The places of a member's neighbours, in ascending order."""
        if place not in self._near:
            member = self._member(place)
            changed = self.base.neighbours(member) if self.size > 1 else []
            self._near[place] = sorted({self._closest(one, place) for one in changed})
        return self._near[place]

    @cached_property
    def _near(self) -> dict[int, list[int]]:
        return {}

    def _closest(self, architecture: Architecture, start: int | None = None) -> int:
        """The place of the member nearest to an architecture of the space; not the start of a move."""
        place = _place(self._indices, self.base.index(architecture))
        if place < 0:
            place = self._isomorphic_to(architecture)
        return self._nearest(architecture, start) if place in (-1, start) else place

    def _nearest(self, options: Architecture, start: int | None = None) -> int:
        """The place of the member that differs from options in the fewest decisions."""
        others = None if start is None or self.size <= FEW else self._others(start, options)
        if others is not None:
            near = others[_least(self._differences(options, others))]
        else:
            counts = self._differences(options)
            if start is not None:
                counts[start] = len(options) + 1
            near = _least(counts)
        if start is not None and len(near) > 1:
            near = near[_least(self._differences(self._member(start), near))]
        if self._ordered.size and len(near) > 1:
            near = near[_least(np.abs(self._members[near] - options)[:, self._ordered].sum(axis=1))]
        # Of equals, a checksum of the options chooses.
        return near.item(zlib.crc32(repr(options).encode()) % len(near))

    def _others(self, start: int, options: Architecture) -> NDArray[np.int64] | None:
        """A few places, among them all that are nearest to the end of a move; None if unknown."""
        member = self._member(start)
        if self.conditional or sum(a != b for a, b in zip(member, options, strict=True)) > 1:
            return None
        # What is nearest to an end one decision away differs from the start in two decisions more, at
        # most, than what is nearest to the start.
        if start not in self._nearby:
            counts = self._differences(member)
            counts[start] = 2 * len(options) + 2
            self._nearby[start] = np.flatnonzero(counts <= counts.min() + 2)
        return self._nearby[start]

    @cached_property
    def _nearby(self) -> dict[int, NDArray[np.int64]]:
        return {}

    def _differences(
        self, options: Architecture, places: NDArray[np.int64] | slice = slice(None)
    ) -> NDArray[np.int32]:
        """In how many decisions each member differs from options."""
        chosen = np.array([options])
        different = self._columns[:, places] != chosen.T.astype(self._columns.dtype)
        if self._active_columns is not None:
            different &= self._active_columns[:, places] & self.base.active(chosen).T
        result: NDArray[np.int32] = different.sum(axis=0, dtype=np.int32)
        return result

    @cached_property
    def _ordered(self) -> NDArray[np.int64]:
        return np.flatnonzero([decision.ordered for decision in self.decisions])

    @cached_property
    def _columns(self) -> NDArray[Any]:
        """``(d, n)`` options of the members, in few bytes: comparisons of many are then fast."""
        return np.ascontiguousarray(self._members.T.astype(np.min_scalar_type(max(self.n_options))))

    @cached_property
    def _active_columns(self) -> NDArray[np.bool_] | None:
        """``(d, n)`` whether each decision of the members is active; None if all are."""
        active = self.base.active(self._members)
        return None if active.all() else np.ascontiguousarray(active.T)

    # Isomorphism

    @overload
    def canonical(self, architecture: tuple[int, ...]) -> Architecture: ...
    @overload
    def canonical(self, architecture: Architectures) -> Architectures: ...
    def canonical(self, architecture: Any) -> Any:
        """The first of the members that are isomorphic to an architecture.

        Raises:
            InvalidArchitectureError: No member is.
        """
        if isinstance(architecture, np.ndarray):
            places = self._isomorphic(self.base._validate_many(architecture))
            if (bad := np.flatnonzero(places < 0)).size:
                self.validate(architecture[bad[0]].tolist())
            return self._members[places]
        place = self._isomorphic_to(architecture)
        return self.validate(architecture) if place < 0 else self._member(place)

    def _isomorphic_to(self, architecture: Architecture) -> int:
        """The place of the first member isomorphic to an architecture; -1 if none is."""
        keys, first = self._class_keys
        found = _place(keys, self.base.index(self.base.canonical(architecture)))
        return first.item(found) if found >= 0 else -1

    def _isomorphic(self, architectures: Architectures) -> NDArray[np.int64]:
        """``(n,)``: the same of many."""
        keys, first = self._class_keys
        found = _places(keys, self.base.index(self.base.canonical(architectures)))
        return np.where(found >= 0, first[found], -1)

    @cached_property
    def _class_keys(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """``(m,)`` ascending indices of the canonical forms of members, and the first of each."""
        return np.unique(self.base.index(self.base.canonical(self._members)), return_index=True)

    # As the space has it

    @overload
    def to_string(self, architecture: tuple[int, ...]) -> str: ...
    @overload
    def to_string(self, architecture: Architectures) -> list[str]: ...
    def to_string(self, architecture: Any) -> Any:
        """Writes architectures of the space in the benchmark's official syntax."""
        return self.base.to_string(architecture)

    @overload
    def from_string(self, text: str) -> Architecture: ...
    @overload
    def from_string(self, text: list[str]) -> Architectures: ...
    def from_string(self, text: Any) -> Any:
        """Reads architectures of the space, members or not, in the benchmark's official syntax."""
        return self.base.from_string(text)

    def graph(self, architecture: Architecture) -> Graph | None:
        """The architecture as the space draws it."""
        return self.base.graph(architecture)

    def active(self, architectures: Architectures) -> NDArray[np.bool_]:
        """``(n, d)``: whether each decision of ``(n, d)`` architectures exists."""
        return self.base.active(architectures)

    def encode(
        self, architecture: tuple[int, ...] | Architectures, encoding: str = "one_hot"
    ) -> NDArray[np.float64]:
        """Encodes architectures of the space for a model, as the space does."""
        return self.base.encode(architecture, encoding)


def _least(counts: NDArray[Any]) -> NDArray[np.int64]:
    """Where the smallest of some numbers are."""
    return np.flatnonzero(counts == counts.min())


def _place(ascending: NDArray[np.int64], wanted: int) -> int:
    """Where a number is in an ascending array; -1 if it is not in it."""
    place = int(ascending.searchsorted(wanted))
    return place if place < len(ascending) and ascending.item(place) == wanted else -1


def _places(ascending: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """``(n,)``: the same of many."""
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[places] == wanted, places, -1)

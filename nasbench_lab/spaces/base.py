"""Search spaces: lists of decisions, and moves between the architectures that they span."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import (
    InvalidArchitectureError,
    SpaceError,
    UnknownNameError,
    quoted,
    short,
)
from nasbench_lab.spaces.conditions import Conditions, in_words
from nasbench_lab.spaces.decisions import (
    Decision,
    Option,
    check_near,
    is_blank,
    other_option,
    other_options,
    parted,
)
from nasbench_lab.words import counted

Architecture = tuple[int, ...]
"""One option number per decision. Hashable, and meaningless without its space."""

Architectures = NDArray[np.int64]
"""Many architectures of one space: ``(n, d)`` option numbers."""


class Edge(NamedTuple):
    """An edge of a ``Graph``.

    Args:
        source: The node that it leads from.
        target: The later node that it leads to.
        operation: The operation on the way; ``""`` if values pass unchanged; None if every
            architecture of the space has the edge but it carries nothing in this one.
    """

    source: int
    target: int
    operation: str | None = ""


class Graph(NamedTuple):
    """An architecture as a directed acyclic graph, for drawings.

    Args:
        nodes: The name or operation of each node. The first is the input and the last the output.
        edges: The edges.
        operations: All operations of edges or nodes of the space; nodes may have other names too.
        besides: The names of decisions of the space that the graph does not show.
    """

    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]
    operations: tuple[str, ...]
    besides: tuple[str, ...] = ()


class SearchSpace:
    """A product of decisions, the space of all their combinations.

    Every method takes one architecture (a tuple) and gives one answer, or takes many (an
    ``(n, d)`` array) and gives an array of answers. A space whose architectures are neither a plain
    product nor one with conditions overrides ``validate``, ``sample``, ``mutate`` and ``neighbours``.

    Some decisions may exist only under conditions (``Decision.active_if``). In an architecture, a
    decision that does not exist holds 0, and no other form is an architecture: each network is
    counted, drawn and listed once. ``nearest`` gives any combination of options this form.

    Args:
        name: The space's name, such as ``"nb201"``.
        decisions: The ``d`` decisions, in the order in which an architecture lists them.

    Raises:
        SpaceError: There are no decisions or options, two options have the same text, or a condition
            names no earlier decision, no option of it, or never holds.
    """

    encodings: tuple[str, ...] = ("one_hot",)
    """The encodings that ``encode`` knows for this space."""

    def __init__(self, name: str, decisions: Sequence[Decision]) -> None:
        if not decisions or any(not decision.options for decision in decisions):
            raise SpaceError(
                f"Space {name!r} needs at least one decision and one option for each; "
                f"got {[len(decision.options) for decision in decisions]} options."
            )
        for decision in decisions:
            texts = [str(option) for option in decision.options]
            if len(set(texts)) < len(texts):
                raise SpaceError(
                    f"Options of {decision.name!r} in space {name!r} need different texts; got "
                    f"{', '.join(texts)}."
                )
        self.name = name
        self.decisions = tuple(decisions)
        self.n_options = tuple(len(decision.options) for decision in decisions)
        conditional = any(decision.conditions for decision in self.decisions)
        self._conditions = Conditions(name, self.decisions) if conditional else None
        self.size = self._conditions.size if self._conditions else math.prod(self.n_options)
        """Number of architectures (a Python int); isomorphic ones count separately."""
        self._free = tuple(i for i, n in enumerate(self.n_options) if n > 1)
        # Mixed-radix place values, the first decision most significant.
        self._places = tuple(math.prod(self.n_options[i + 1 :]) for i in range(len(decisions)))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.size:,} architectures>"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SearchSpace)
            and type(self) is type(other)
            and (self.name, self.decisions) == (other.name, other.decisions)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.n_options))

    def __getstate__(self) -> dict[str, Any]:
        # Cached properties are large to send to a worker and cheap to compute again.
        state = self.__dict__.copy()
        for name in self._cached:
            state.pop(name, None)
        return state

    _cached: tuple[str, ...] = ("_radices", "_offsets", "_place_values")

    @cached_property
    def _radices(self) -> NDArray[np.int64]:
        return np.array(self.n_options, dtype=np.int64)

    @cached_property
    def _place_values(self) -> NDArray[np.int64]:
        self._check_size()
        return np.array(self._places, dtype=np.int64)

    def _check_size(self) -> None:
        if self.size > np.iinfo(np.int64).max:
            raise OverflowError(f"Space {self.name!r} is too large to number with 64 bits.")

    # Membership

    @property
    def conditional(self) -> bool:
        """Whether some decisions exist only under conditions."""
        return self._conditions is not None

    def validate(self, architecture: Sequence[int]) -> Architecture:
        """Returns the architecture as a tuple of Python ints.

        Raises:
            InvalidArchitectureError: The length is wrong, an option does not exist, or a decision
                that does not exist holds another option than 0.
        """
        try:
            result = tuple(int(option) for option in architecture)
            exact = all(a == b for a, b in zip(result, architecture, strict=True))
        except (OverflowError, TypeError, ValueError):
            exact = False
        if not exact:
            raise InvalidArchitectureError(
                f"Expected {len(self.decisions)} whole option numbers for an architecture of "
                f"{self.name!r} but got {architecture!r}."
            )
        if len(result) != len(self.decisions):
            raise InvalidArchitectureError(
                f"Expected an architecture of {counted(len(self.decisions), 'decision')} for "
                f"{self.name!r} "
                f"but got {len(result)}: {architecture!r}; decisions are "
                f"{', '.join(decision.name for decision in self.decisions)}."
            )
        for decision, option in zip(self.decisions, result, strict=True):
            if not 0 <= option < len(decision.options):
                raise InvalidArchitectureError(
                    f"Expected an option from 0 to {len(decision.options) - 1} for "
                    f"{decision.name!r} of {self.name!r} but got {option}; options are "
                    f"{', '.join(map(str, decision.options))}."
                )
        if self._conditions:
            self._conditions.check(result)
        return result

    def _validate_many(self, architectures: Architectures) -> Architectures:
        result = np.asarray(architectures)
        d = len(self.decisions)
        if result.ndim != 2 or result.shape[1] != d or not np.issubdtype(result.dtype, np.integer):
            raise InvalidArchitectureError(
                f"Expected a tuple of {d} ints or an integer array of shape (n, {d}) for "
                f"{self.name!r} but got shape {result.shape} of {result.dtype}."
            )
        bad = (result < 0) | (result >= self._radices)
        if self._conditions and not bad.any():
            bad = ~self._conditions.active(result) & (result != 0)
        if bad.any():
            self.validate(result[int(np.argwhere(bad)[0, 0])].tolist())
        return result.astype(np.int64, copy=False)

    # Numbering

    @overload
    def index(self, architecture: tuple[int, ...]) -> int: ...
    @overload
    def index(self, architecture: Architectures) -> NDArray[np.int64]: ...
    def index(self, architecture: Any) -> Any:
        """Numbers architectures from 0 to ``size - 1``, the first decision most significant.

        For these numbers, a decision with conditions comes right behind the last decision that it
        depends on. This is the space's own order. A table knows the official order of its benchmark.

        Args:
            architecture: A tuple, or an ``(n, d)`` array.

        Returns:
            An int, or ``(n,)`` ints.
        """
        if self._conditions:
            if not isinstance(architecture, np.ndarray):
                return self._conditions.index(self.validate(architecture))
            self._check_size()
            return self._conditions.index_many(self._validate_many(architecture))
        if isinstance(architecture, np.ndarray):
            result: NDArray[np.int64] = self._validate_many(architecture) @ self._place_values
            return result
        index = 0
        try:
            for option, n in zip(architecture, self.n_options, strict=False):
                index = index * n + option
                if not 0 <= option < n:
                    break
            else:
                if type(index) is int and len(architecture) == len(self.n_options):
                    return index
        except TypeError:
            pass
        # Something is wrong, or the numbers are NumPy's; validate finds out.
        return self.index(self.validate(architecture))

    @overload
    def at(self, index: int) -> Architecture: ...
    @overload
    def at(self, index: NDArray[np.int64]) -> Architectures: ...
    def at(self, index: Any) -> Any:
        """The architecture with this number: the inverse of ``index``.

        Raises:
            InvalidArchitectureError: The number is not from 0 to ``size - 1``.
        """
        many = isinstance(index, np.ndarray)
        self._check_numbers(index)
        if self._conditions:
            if not many:
                return self._conditions.at(int(index))
            self._check_size()
            return self._conditions.at_many(index.astype(np.int64))
        if many:
            return index.astype(np.int64)[:, None] // self._place_values % self._radices
        architecture = []
        for place in self._places:
            option, index = divmod(int(index), place)
            architecture.append(option)
        return tuple(architecture)

    def _check_numbers(self, index: Any, of: str = "") -> None:
        """Refuses what are no numbers of architectures, an array or one; ``of`` stands in messages."""
        many = isinstance(index, np.ndarray)
        if not (index.dtype.kind in "iuO" if many else hasattr(index, "__index__")):
            raise InvalidArchitectureError(
                f"Expected whole numbers as indices of {self.name!r} but got {index!r}."
            )
        outside = index[(index < 0) | (index >= self.size)] if many else index
        if outside.size if many else not 0 <= index < self.size:
            raise InvalidArchitectureError(
                f"Expected an index from 0 to {self.size - 1} for {of}{self.name!r} but got "
                f"{outside[0] if many else index}."
            )

    @property
    def classes(self) -> Architectures:
        """``(m, d)``: one canonical architecture per class, in ascending order of their indices.

        It is computed anew each time, from all architectures: keep it.
        """
        every = self.canonical(self.at(np.arange(self.size)))
        return self.at(np.unique(self.index(every)))

    def nearest(self, options: Sequence[int]) -> Architecture:
        """The architecture that a combination of options stands for.

        Algorithms that choose each decision for itself, such as crossover and policies, turn their
        choice into an architecture by it. It is the combination itself, with 0 for each decision that
        does not exist.

        Args:
            options: ``d`` option numbers.

        Raises:
            InvalidArchitectureError: It stands for none.
        """
        if self._conditions and len(options) == len(self.decisions):
            in_range = all(0 <= o < n for o, n in zip(options, self.n_options, strict=True))
            return self.validate(self._conditions.blanked(options) if in_range else options)
        return self.validate(options)

    def active(self, architectures: Architectures) -> NDArray[np.bool_]:
        """``(n, d)``: whether each decision of ``(n, d)`` architectures exists; all do in a product.

        Of other combinations of options, it tells which decisions their ``nearest`` has.
        """
        if self._conditions:
            return self._conditions.active(architectures)
        return np.ones(architectures.shape, dtype=np.bool_)

    def options(self, architecture: Sequence[int]) -> dict[str, Option]:
        """The options of the decisions that exist in an architecture, by the decisions' names."""
        architecture = self.validate(architecture)
        exists = self._conditions.active_one(architecture) if self._conditions else None
        return {
            decision.name: decision.options[option]
            for i, (decision, option) in enumerate(zip(self.decisions, architecture, strict=True))
            if exists is None or exists[i]
        }

    # Moves

    @overload
    def sample(self, rng: np.random.Generator, n: None = None) -> Architecture: ...
    @overload
    def sample(self, rng: np.random.Generator, n: int) -> Architectures: ...
    def sample(self, rng: np.random.Generator, n: int | None = None) -> Any:
        """Draws one architecture, or ``(n, d)`` of them, uniformly and independently."""
        if self._conditions:
            if n is None:
                return self._conditions.sample(rng)
            return self._conditions.sample_many(rng, n)
        if n is None:
            draws = rng.random(len(self.n_options)).tolist()
            return tuple([int(u * k) for u, k in zip(draws, self.n_options, strict=True)])
        return rng.integers(self._radices, size=(n, len(self.n_options)))

    @overload
    def mutate(
        self, architecture: tuple[int, ...], rng: np.random.Generator, near: float = 1.0
    ) -> Architecture: ...
    @overload
    def mutate(
        self, architecture: Architectures, rng: np.random.Generator, near: float = 1.0
    ) -> Architectures: ...
    def mutate(self, architecture: Any, rng: np.random.Generator, near: float = 1.0) -> Any:
        """Changes one decision; all decisions, and all its other options, are equally likely.

        Decisions with a single option never change, nor do those that do not exist. The option of a
        decision that the change brings into being is drawn uniformly. A space of one architecture
        returns it.

        Args:
            architecture: A tuple, or an ``(n, d)`` array.
            rng: Where the change is drawn from.
            near: Prefers options of ordered decisions that are near the present one: an option is
                ``near`` times as likely as one that is a step nearer. With 1 all are equally likely,
                with 0 only the next ones are drawn.

        Raises:
            SpaceError: ``near`` is not from 0 to 1.
        """
        check_near(near)
        if self._conditions:
            if isinstance(architecture, np.ndarray):
                return self._conditions.mutate_many(self._validate_many(architecture), rng, near)
            return self._conditions.mutate(architecture, rng, near)
        if isinstance(architecture, np.ndarray):
            result = self._validate_many(architecture).copy()
            if self._free and len(result):
                rows = np.arange(len(result))
                which = np.array(self._free)[rng.integers(len(self._free), size=len(result))]
                options = result[rows, which]
                if near < 1:
                    u = rng.random(len(result))
                    result[rows, which] = other_options(self.decisions, which, options, u, near)
                else:
                    step = 1 + rng.integers(self._radices[which] - 1)
                    result[rows, which] = (options + step) % self._radices[which]
            return result
        if not self._free:
            return architecture
        u, v = rng.random(2).tolist()
        i = self._free[int(u * len(self._free))]
        option = other_option(self.decisions[i], architecture[i], v, near)
        return (*architecture[:i], option, *architecture[i + 1 :])

    @overload
    def neighbours(self, architecture: tuple[int, ...]) -> list[Architecture]: ...
    @overload
    def neighbours(self, architecture: Architectures) -> NDArray[np.int64]: ...
    def neighbours(self, architecture: Any) -> Any:
        """All architectures that differ in exactly one decision, those that ``mutate`` may make.

        A change that brings decisions into being leads to one architecture for each combination of
        their options.

        Returns:
            A list of ``m`` tuples, or for ``(n, d)`` architectures an ``(n, m, d)`` array. In a plain
            product, ``m`` is the sum of (number of options - 1) over the decisions.

        Raises:
            InvalidArchitectureError: Several architectures have unequal numbers of neighbours, which
                no array can hold; ask for one at a time. Or one has more than can be listed.
        """
        if self._conditions:
            if not isinstance(architecture, np.ndarray):
                return self._conditions.neighbours(self.validate(architecture))
            return self._rectangular([self.neighbours(tuple(a)) for a in architecture.tolist()])
        if isinstance(architecture, np.ndarray):
            many = self._validate_many(architecture)
            moves = [(i, step) for i, n in enumerate(self.n_options) for step in range(1, n)]
            result = np.repeat(many[:, None, :], len(moves), axis=1)
            for j, (i, step) in enumerate(moves):
                result[:, j, i] = (result[:, j, i] + step) % self.n_options[i]
            return result
        base = self.validate(architecture)
        return [
            (*base[:i], (base[i] + step) % n, *base[i + 1 :])
            for i, n in enumerate(self.n_options)
            for step in range(1, n)
        ]

    def _rectangular(self, neighbours: list[list[Architecture]]) -> Architectures:
        """Lists of neighbours as an array."""
        counts = {len(near) for near in neighbours}
        if len(counts) > 1:
            raise InvalidArchitectureError(
                f"Expected architectures of {self.name!r} with equal numbers of neighbours but got "
                f"{min(counts)} to {max(counts)}. Ask for the neighbours of one at a time."
            )
        shape = len(neighbours), max(counts, default=0), len(self.decisions)
        return np.array(neighbours, dtype=np.int64).reshape(shape)

    # Isomorphism

    @overload
    def canonical(self, architecture: tuple[int, ...]) -> Architecture: ...
    @overload
    def canonical(self, architecture: Architectures) -> Architectures: ...
    def canonical(self, architecture: Any) -> Any:
        """The representative of an architecture's class, the same for isomorphic architectures.

        Neither in a plain product nor with conditions are two architectures isomorphic.
        """
        if isinstance(architecture, np.ndarray):
            return self._validate_many(architecture).copy()
        return self.validate(architecture)

    # Text

    @overload
    def to_string(self, architecture: tuple[int, ...]) -> str: ...
    @overload
    def to_string(self, architecture: Architectures) -> list[str]: ...
    def to_string(self, architecture: Any) -> Any:
        """Writes architectures in the benchmark's official syntax."""
        if isinstance(architecture, np.ndarray):
            return [self._format(tuple(a)) for a in self._validate_many(architecture).tolist()]
        return self._format(self.validate(architecture))

    @overload
    def from_string(self, text: str) -> Architecture: ...
    @overload
    def from_string(self, text: list[str]) -> Architectures: ...
    def from_string(self, text: Any) -> Any:
        """Reads architectures in the benchmark's official syntax.

        Raises:
            InvalidArchitectureError: The text is malformed or names an unknown option.
        """
        if isinstance(text, str):
            return self._parse(text)
        return np.array([self._parse(t) for t in text], dtype=np.int64).reshape(
            len(text), len(self.decisions)
        )

    def _format(self, architecture: Architecture) -> str:
        texts = [
            decision.texts[option]
            for decision, option in zip(self.decisions, architecture, strict=True)
        ]
        if self._conditions:
            exists = self._conditions.active_one(architecture)
            texts = [text if here else "" for text, here in zip(texts, exists, strict=True)]
        return ":".join(texts)

    def _parse(self, text: str) -> Architecture:
        return self._options_from_names(parted(text.strip()), text, "option:option:…")

    def _options_from_names(self, names: Sequence[object], text: str, syntax: str) -> Architecture:
        """Turns option names into an architecture; errors quote ``text``."""
        if len(names) != len(self.decisions):
            raise InvalidArchitectureError(
                f"Expected {counted(len(self.decisions), 'option')} for {self.name!r} but got "
                f"{len(names)}: {short(text)!r}; the syntax is {syntax}."
            )
        return self.from_options(names, f" in {short(text)!r}")

    def from_options(
        self, options: Sequence[object], where: str = "", columns: Sequence[str] = ()
    ) -> Architecture:
        """The architecture with these options, or texts of them; numbers match by value.

        Args:
            options: ``d`` options; a blank text, None or NaN for a decision that does not exist.
            where: What errors add to an option.
            columns: What the ``d`` options stand in, for errors.

        Raises:
            InvalidArchitectureError: An option does not exist, is blank although its decision exists,
                or is not although it does not.
        """
        architecture: list[int] = []
        active: list[bool] = []
        for i, (decision, option) in enumerate(zip(self.decisions, options, strict=True)):
            active.append(not self._conditions or self._conditions.exists(i, architecture, active))
            position = decision.position(option)
            architecture.append(0 if position is None else position)
            if active[i] == (position is not None) and (active[i] or is_blank(option)):
                continue
            of = f"for {decision.name!r} of {self.name!r}"
            of += f" in {columns[i]!r}" if columns else ""
            if active[i]:
                raise InvalidArchitectureError(
                    f"Expected an option {of} but got "
                    f"{'a blank' if is_blank(option) else quoted(option)}{where}; options are "
                    f"{short(', '.join(map(str, decision.options)), 1000)}."
                )
            raise InvalidArchitectureError(
                f"Expected a blank {of}, which exists only if {in_words(decision)}, but got "
                f"{quoted(option)}{where}."
            )
        return tuple(architecture)

    def graph(self, architecture: Architecture) -> Graph | None:
        """The architecture as a graph, or None for a space whose architectures are no graphs."""
        return None

    # Numbers for models

    def encode(
        self, architecture: tuple[int, ...] | Architectures, encoding: str = "one_hot"
    ) -> NDArray[np.float64]:
        """Encodes architectures for a model.

        Args:
            architecture: A tuple, or an ``(n, d)`` array.
            encoding: One of the space's ``encodings``. ``one_hot`` has a 0/1 entry for each option of
                each decision, in order; all are 0 for a decision that does not exist. ``adjacency``
                and ``path``, if the space has them, are those of White et al. 2020 (arXiv 2007.04965,
                section 3).

        Returns:
            ``(k,)`` floats, or ``(n, k)``.

        Raises:
            UnknownNameError: The space has no such encoding.
        """
        if encoding not in self.encodings:
            raise UnknownNameError(f"encoding of {self.name!r}", encoding, self.encodings)
        if isinstance(architecture, np.ndarray):
            return self._encode(self._validate_many(architecture), encoding)
        encoded: NDArray[np.float64] = self._encode(
            np.array([self.validate(architecture)]), encoding
        )[0]
        return encoded

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self._radices)[:-1]])

    def _encode(self, architectures: Architectures, encoding: str) -> NDArray[np.float64]:
        columns = architectures + self._offsets
        if self._conditions:
            columns = np.where(self._conditions.active(architectures), columns, -1)
        return indicators(columns, sum(self.n_options))


def indicators(columns: NDArray[np.int64], n_columns: int) -> NDArray[np.float64]:
    """0/1 rows with ones in the given columns: ``(n, m)`` ints -> ``(n, n_columns)`` floats.

    Negative column numbers are ignored.
    """
    result = np.zeros((len(columns), n_columns))
    rows = np.repeat(np.arange(len(columns)), columns.shape[1]).reshape(columns.shape)
    present = columns >= 0
    result[rows[present], columns[present]] = 1.0
    return result

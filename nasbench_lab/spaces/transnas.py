"""The two spaces of TransNAS-Bench-101: cells in a fixed network, and networks of a fixed block.

Duan, Chen, Xu, Chen, Liang, Zhang and Li, "TransNAS-Bench-101: Improving transferability and
generalizability of cross-task neural architecture search", CVPR 2021 (arXiv 2105.11871).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import InvalidArchitectureError, short
from nasbench_lab.spaces.base import Architecture, Architectures, Edge, Graph, SearchSpace
from nasbench_lab.spaces.decisions import Decision
from nasbench_lab.spaces.nb201 import OPERATIONS, CellSpace, graph_form, representatives

_CELL_SYNTAX = "64-41414-1_02_333"
_CELL = re.compile(r"64-41414-([0-3])_([0-3]{2})_([0-3]{3})")

_reducing_form = partial(graph_form, reducing=True)


class TransNASMicroSpace(CellSpace):
    """All 4,096 cells: those of NAS-Bench-201 without pooling.

    Strings are those of the benchmark, such as ``64-41414-1_02_333``: 64 channels at first, five
    modules of fixed types, and the operations of the edges to each node (0 none, 1 skip connection, 2
    convolution of 1x1, 3 of 3x3). The digits are the option numbers.

    Encodings: ``one_hot`` (24 entries); ``adjacency`` (18); ``path`` (48: 3 + 9 + 9 + 27).
    """

    def __init__(self) -> None:
        super().__init__("transnas-micro", OPERATIONS[:4])

    def _format(self, architecture: Architecture) -> str:
        digits = "".join(map(str, architecture))
        return f"64-41414-{digits[0]}_{digits[1:3]}_{digits[3:]}"

    def _parse(self, text: str) -> Architecture:
        match = _CELL.fullmatch(text.strip())
        if not match:
            raise InvalidArchitectureError(
                f"Expected a cell such as {_CELL_SYNTAX}, with digits from 0 to 3 for its operations, "
                f"but got {short(text)!r}."
            )
        return tuple(map(int, "".join(match.groups())))

    @overload
    def canonical(self, architecture: tuple[int, ...]) -> Architecture: ...
    @overload
    def canonical(self, architecture: Architectures) -> Architectures: ...
    def canonical(self, architecture: Any) -> Any:
        """The lowest-numbered cell of the same class; there are 1,376 classes.

        A class has the cells that are the same network without edges that carry nothing or lead
        nowhere. Three of the five modules begin with a cell that halves the resolution. In it, a skip
        connection from the input has weights, so it is told apart from others as convolutions are.

        The benchmark trained most cells of a class on their own.
        """
        numbers = representatives(_reducing_form, len(self.operations))
        return self.at(numbers[self.index(architecture)])


MODULES = ("normal", "channels x2", "resolution /2", "channels x2, resolution /2")
"""The types of modules, which the benchmark numbers from 1."""

LENGTHS = (4, 5, 6)
"""How many modules a network may have."""

DOUBLINGS, HALVINGS = (1, 3), (1, 4)
"""How many modules of a network double its channels, and halve its resolution: at least, at most."""

_NETWORK_SYNTAX = "64-112314-basic"
_NETWORK = re.compile(r"64-([1-4]{4,6})-basic")


class TransNASMacroSpace(SearchSpace):
    """All 3,256 networks of 4 to 6 modules of residual blocks.

    One to three modules double the channels, and one to four halve the resolution. ``validate``
    refuses other combinations, and moves are repeated until they lead to none of these.

    Strings are those of the benchmark, such as ``64-112314-basic``: 64 channels at first, the type of
    each module (1 normal, 2 twice the channels, 3 half the resolution, 4 both), and the basic block.
    """

    def __init__(self) -> None:
        types = [
            Decision(
                f"module {i}",
                MODULES,
                active_if={} if i <= LENGTHS[0] else {"modules": range(i, LENGTHS[-1] + 1)},
            )
            for i in range(1, LENGTHS[-1] + 1)
        ]
        super().__init__("transnas-macro", [Decision("modules", LENGTHS, ordered=True), *types])
        # Networks are numbered in the order of the space that has all combinations.
        self._whole = SearchSpace(self.name, self.decisions)
        every = self._whole.at(np.arange(self._whole.size))
        self._numbers = np.flatnonzero(_allowed(every.T[1:]))
        self.size = len(self._numbers)

    # Membership

    def validate(self, architecture: Sequence[int]) -> Architecture:
        """Returns the architecture as a tuple of Python ints.

        Raises:
            InvalidArchitectureError: The length is wrong, an option does not exist, a module that does
                not exist has a type, or too few or too many modules double the channels or halve the
                resolution.
        """
        network = super().validate(architecture)
        if not _allowed(network[1:]):
            doublings, halvings = _changes(network[1:])
            raise InvalidArchitectureError(
                f"Expected a network of {self.name!r} with {DOUBLINGS[0]} to {DOUBLINGS[1]} modules "
                f"that double the channels and {HALVINGS[0]} to {HALVINGS[1]} that halve the "
                f"resolution but got {doublings} and {halvings}: {self._format(network)}."
            )
        return network

    def _validate_many(self, architectures: Architectures) -> Architectures:
        networks = super()._validate_many(architectures)
        if (bad := np.flatnonzero(~_allowed(networks.T[1:]))).size:
            self.validate(networks[bad[0]].tolist())
        return networks

    @overload
    def index(self, architecture: tuple[int, ...]) -> int: ...
    @overload
    def index(self, architecture: Architectures) -> NDArray[np.int64]: ...
    def index(self, architecture: Any) -> Any:
        """Numbers networks from 0 to ``size - 1``, in the order of ``SearchSpace.index``.

        Args:
            architecture: A tuple, or an ``(n, 7)`` array.

        Returns:
            An int, or ``(n,)`` ints.
        """
        places = np.searchsorted(self._numbers, super().index(architecture))
        return places if isinstance(architecture, np.ndarray) else int(places)

    @overload
    def at(self, index: int) -> Architecture: ...
    @overload
    def at(self, index: NDArray[np.int64]) -> Architectures: ...
    def at(self, index: Any) -> Any:
        """The network with this number: the inverse of ``index``.

        Raises:
            InvalidArchitectureError: The number is not from 0 to ``size - 1``.
        """
        self._check_numbers(index)
        if isinstance(index, np.ndarray):
            return self._whole.at(self._numbers[index.astype(np.int64)])
        return self._whole.at(int(self._numbers[int(index)]))

    # Moves

    @overload
    def sample(self, rng: np.random.Generator, n: None = None) -> Architecture: ...
    @overload
    def sample(self, rng: np.random.Generator, n: int) -> Architectures: ...
    def sample(self, rng: np.random.Generator, n: int | None = None) -> Any:
        """Draws one network, or ``(n, 7)`` of them, uniformly and independently."""
        return self.at(
            int(rng.integers(self.size)) if n is None else rng.integers(self.size, size=n)
        )

    @overload
    def mutate(
        self, architecture: tuple[int, ...], rng: np.random.Generator, near: float = 1.0
    ) -> Architecture: ...
    @overload
    def mutate(
        self, architecture: Architectures, rng: np.random.Generator, near: float = 1.0
    ) -> Architectures: ...
    def mutate(self, architecture: Any, rng: np.random.Generator, near: float = 1.0) -> Any:
        """Changes the number of modules or the type of one, until the result is a network."""
        if not isinstance(architecture, np.ndarray):
            self.validate(architecture)
            while not _allowed((mutant := self._whole.mutate(architecture, rng, near))[1:]):
                pass
            return mutant
        result = self._validate_many(architecture).copy()
        todo = np.arange(len(result))
        while todo.size:
            mutants = self._whole.mutate(architecture[todo], rng, near)
            done = _allowed(mutants.T[1:])
            result[todo[done]] = mutants[done]
            todo = todo[~done]
        return result

    @overload
    def neighbours(self, architecture: tuple[int, ...]) -> list[Architecture]: ...
    @overload
    def neighbours(self, architecture: Architectures) -> NDArray[np.int64]: ...
    def neighbours(self, architecture: Any) -> Any:
        """All networks that differ in one decision, those that ``mutate`` may make.

        Returns:
            A list of tuples, or for ``(n, 7)`` networks that all have ``m`` neighbours an
            ``(n, m, 7)`` array.

        Raises:
            InvalidArchitectureError: The networks have unequal numbers of neighbours, which no array
                can hold; ask for one at a time.
        """
        if isinstance(architecture, np.ndarray):
            return self._rectangular([self.neighbours(tuple(a)) for a in architecture.tolist()])
        near = self._whole.neighbours(self.validate(architecture))
        return [network for network in near if _allowed(network[1:])]

    # Text and pictures

    def _format(self, architecture: Architecture) -> str:
        modules = architecture[1 : 1 + LENGTHS[architecture[0]]]
        return f"64-{''.join(str(option + 1) for option in modules)}-basic"

    def _parse(self, text: str) -> Architecture:
        match = _NETWORK.fullmatch(text.strip())
        if not match:
            raise InvalidArchitectureError(
                f"Expected a network such as {_NETWORK_SYNTAX}, with digits from 1 to 4 for its 4 to 6 "
                f"modules, but got {short(text)!r}."
            )
        options = [int(digit) - 1 for digit in match[1]]
        absent = [0] * (LENGTHS[-1] - len(options))
        return self.validate((LENGTHS.index(len(options)), *options, *absent))

    def graph(self, architecture: Architecture) -> Graph:
        """A chain of the modules."""
        network = self.validate(architecture)
        modules = [MODULES[option] for option in network[1 : 1 + LENGTHS[network[0]]]]
        nodes = ("input", *modules, "output")
        edges = tuple(Edge(i, i + 1) for i in range(len(nodes) - 1))
        return Graph(nodes, edges, MODULES)


def _changes(modules: Iterable[Any]) -> tuple[Any, Any]:
    """How many modules double the channels, and how many halve the resolution.

    Args:
        modules: The types of the modules of a network, or of many: an array for each module. One that
            does not exist holds 0, as a normal one does.
    """
    types = list(modules)
    return sum(one % 2 for one in types), sum(one // 2 for one in types)


def _allowed(modules: Iterable[Any]) -> Any:
    """Whether a network has as many changes as the paper allows; modules as for ``_changes``."""
    doublings, halvings = _changes(modules)
    few = (doublings <= DOUBLINGS[1]) & (halvings <= HALVINGS[1])
    return few & (doublings >= DOUBLINGS[0]) & (halvings >= HALVINGS[0])

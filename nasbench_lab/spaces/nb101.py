"""The cell space of NAS-Bench-101.

Ying et al., "NAS-Bench-101: Towards reproducible neural architecture search", ICML 2019
(arXiv 1902.09635): a cell is a directed acyclic graph of at most 7 nodes (input, up to 5 operations,
output) and at most 9 edges. Nodes that lie on no way from input to output do not count.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import InvalidArchitectureError, short
from nasbench_lab.spaces.base import (
    Architecture,
    Architectures,
    Edge,
    Graph,
    SearchSpace,
    indicators,
)
from nasbench_lab.spaces.decisions import Decision
from nasbench_lab.spaces.module_hash import graph_hash

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""Operations in the order of the official configuration; the module hash uses their numbers."""

NODES = 7
MAX_EDGES = 9

EDGES = tuple(itertools.combinations(range(NODES), 2))
"""(source, target) of the 21 possible edges: the upper triangle of the matrix, row by row. Node 0 is
the input and node 6 the output."""

_NUMBERS = {name: number for number, name in enumerate(OPERATIONS)}
_OUTPUT = NODES - 1
_INNER = NODES - 2
_SOURCES, _TARGETS = (list(ends) for ends in zip(*EDGES, strict=True))
_DIRECT = EDGES.index((0, _OUTPUT))

_SYNTAX = "0100010000010…:input,conv3x3-bn-relu,maxpool3x3,…,output"
_TEXT = re.compile(r"([01]+):([^:\n]+)")

# Cells are compared as numbers to find the canonical one: 2 bits for the operation of each inner
# node (3 if the node is absent), then a bit for each edge except that from input to output.
_ABSENT = len(OPERATIONS)
_BITS = {edge: len(EDGES) - 2 - i for i, edge in enumerate(e for e in EDGES if e != EDGES[_DIRECT])}
_BLOCK = 8192


class NB101Space(SearchSpace):
    """Cells as 21 edge decisions (0 or 1, along ``EDGES``) and the operations of nodes 1 to 5.

    Not every combination is a cell: the output must be reachable from the input, and at most 9 edges
    may lie on ways between them, as in the official ``ModelSpec`` and ``_check_spec``. ``validate``
    refuses other combinations, and so does every method but ``index`` and ``at``. ``size`` counts
    all 509,607,936 combinations, and ``index`` and ``at`` number them, so not every number is a cell.
    There are 423,624 classes of isomorphic cells.

    Strings are a matrix of up to 7x7 digits and the operations, as in the official files. They are
    written with all 7x7 digits, dead ends included.

    Encodings: ``one_hot`` (57 entries); ``adjacency`` (36: the edges, then one-hot operations);
    ``path`` (364: one entry per sequence of 0 to 5 operations on a way from input to output).
    """

    encodings = ("one_hot", "adjacency", "path")

    def __init__(self) -> None:
        edges = [Decision(f"{s}->{t}", (0, 1)) for s, t in EDGES]
        nodes = [Decision(f"operation of node {i + 1}", OPERATIONS) for i in range(_INNER)]
        super().__init__("nb101", [*edges, *nodes])

    _cached = (*SearchSpace._cached, "_relabellings")

    # Membership

    def validate(self, architecture: Sequence[int]) -> Architecture:
        """Returns the architecture as a tuple of Python ints.

        Raises:
            InvalidArchitectureError: The length is wrong, an option does not exist, no way leads
                from input to output, or more than 9 edges lie on such ways.
        """
        cell = super().validate(architecture)
        n_edges = sum(_live_edges(cell))
        if not 1 <= n_edges <= MAX_EDGES:
            problem = (
                f"{n_edges} edges on ways from input to output"
                if n_edges
                else "no way from input to output"
            )
            raise InvalidArchitectureError(
                f"Expected a cell of {self.name!r} with its output reachable from its input and at "
                f"most {MAX_EDGES} edges on ways between them but got {problem}: {cell}."
            )
        return cell

    def _validate_many(self, architectures: Architectures) -> Architectures:
        cells = super()._validate_many(architectures)
        self._live_edges_of_valid(cells)
        return cells

    def _live_edges_of_valid(self, cells: Architectures) -> NDArray[np.bool_]:
        """``(n, 21)``: the edges on ways from input to output; refuses other combinations."""
        live = _many_live_edges(cells)
        if (bad := np.flatnonzero(~_are_valid(live))).size:
            self.validate(cells[bad[0]].tolist())
        return live

    @overload
    def index(self, architecture: tuple[int, ...]) -> int: ...
    @overload
    def index(self, architecture: Architectures) -> NDArray[np.int64]: ...
    def index(self, architecture: Any) -> Any:
        """Numbers all combinations of options, cells or not, from 0 to ``size - 1``.

        Args:
            architecture: A tuple, or an ``(n, 26)`` array.

        Returns:
            An int, or ``(n,)`` ints.
        """
        if isinstance(architecture, np.ndarray):
            result: NDArray[np.int64] = super()._validate_many(architecture) @ self._place_values
            return result
        return super().index(super().validate(architecture))

    # Moves

    @overload
    def sample(self, rng: np.random.Generator, n: None = None) -> Architecture: ...
    @overload
    def sample(self, rng: np.random.Generator, n: int) -> Architectures: ...
    def sample(self, rng: np.random.Generator, n: int | None = None) -> Any:
        """Draws edges and operations uniformly until they are a cell, as the paper's random search.

        All valid combinations are equally likely, so a class of many isomorphic cells is more likely
        than a small one.
        """
        if n is None:
            while True:
                cell = super().sample(rng)
                if 1 <= sum(_live_edges(cell)) <= MAX_EDGES:
                    return cell
        cells = np.empty((0, len(self.decisions)), dtype=np.int64)
        while len(cells) < n:
            # Some 73% of the draws are cells.
            drawn = super().sample(rng, (n - len(cells)) * 3 // 2 + 10)
            cells = np.concatenate([cells, drawn[_are_valid(_many_live_edges(drawn))]])
        return cells[:n]

    @overload
    def mutate(
        self, architecture: tuple[int, ...], rng: np.random.Generator, near: float = 1.0
    ) -> Architecture: ...
    @overload
    def mutate(
        self, architecture: Architectures, rng: np.random.Generator, near: float = 1.0
    ) -> Architectures: ...
    def mutate(self, architecture: Any, rng: np.random.Generator, near: float = 1.0) -> Any:
        """Flips each edge with chance 1/7 and changes each operation with chance 1/5.

        This is the mutation of the paper's regularized evolution at its mutation rate of 1, as in
        the published notebook (``mutate_spec`` of NASBench.ipynb): the chances are 1 divided by the
        number of nodes, or of operations. The mutation is repeated until the result is a cell, and
        here also until it differs from its parent, if only in a dead end.

        ``near`` says nothing here: no decision is ordered.
        """
        if isinstance(architecture, np.ndarray):
            parents = self._validate_many(architecture)
            result = parents.copy()
            todo = np.arange(len(parents))
            while todo.size:
                u = rng.random((len(todo), len(self.decisions)))
                mutants = (parents[todo] + _steps(u)) % self._radices
                changed = (mutants != parents[todo]).any(axis=1)
                done = changed & _are_valid(_many_live_edges(mutants))
                result[todo[done]] = mutants[done]
                todo = todo[~done]
            return result
        parent = np.array(architecture)
        while True:
            mutant: Architecture = tuple(
                ((parent + _steps(rng.random(len(parent)))) % self._radices).tolist()
            )
            if mutant != architecture and 1 <= sum(_live_edges(mutant)) <= MAX_EDGES:
                return mutant

    @overload
    def neighbours(self, architecture: tuple[int, ...]) -> list[Architecture]: ...
    @overload
    def neighbours(self, architecture: Architectures) -> NDArray[np.int64]: ...
    def neighbours(self, architecture: Any) -> Any:
        """All cells that differ in exactly one decision.

        Returns:
            A list of tuples, or for ``(n, 26)`` cells that all have ``m`` neighbours an
            ``(n, m, 26)`` array.

        Raises:
            InvalidArchitectureError: The cells have unequal numbers of neighbours, which no array can
                hold. Ask for one cell at a time.
        """
        if not isinstance(architecture, np.ndarray):
            near = super().neighbours(architecture)
            return [cell for cell in near if 1 <= sum(_live_edges(cell)) <= MAX_EDGES]
        near_many = super().neighbours(architecture)
        flat = near_many.reshape(-1, len(self.decisions))
        valid = _are_valid(_many_live_edges(flat)).reshape(near_many.shape[:2])
        counts = valid.sum(axis=1)
        if np.ptp(counts) if counts.size else 0:
            raise InvalidArchitectureError(
                f"Expected cells of {self.name!r} with equal numbers of neighbours but got "
                f"{counts.min()} to {counts.max()}. Ask for the neighbours of one at a time."
            )
        m = int(counts[0]) if counts.size else 0
        return near_many[valid].reshape(len(near_many), m, len(self.decisions))

    # Isomorphism

    def canonical(self, architecture: Any) -> Any:
        """The representative of all isomorphic cells: those with the same official module hash.

        Nodes on no way from input to output are removed with their edges. The others are listed
        from node 1 on, and the output stays node 6. Their order is the one with the lowest
        operations, then the lowest edges, among all orders in which edges lead forward. The
        remaining nodes have no edges, and operation 0.
        """
        if isinstance(architecture, np.ndarray):
            cells = super()._validate_many(architecture)
            edges = self._live_edges_of_valid(cells)
            return np.concatenate(
                [np.empty((0, len(self.decisions)), dtype=np.int64)]
                + [
                    self._canonical_block(cells[i : i + _BLOCK], edges[i : i + _BLOCK])
                    for i in range(0, len(cells), _BLOCK)
                ]
            )
        cell = self.validate(architecture)
        live = _live_edges(cell)
        operations = [cell[len(EDGES) + i] if any_ else _ABSENT for i, any_ in enumerate(_in(live))]
        code = int((np.array(live + operations, dtype=np.float64) @ self._relabellings).min())
        edge_bits = len(_BITS)
        result = [code >> bit & 1 for bit in range(edge_bits - 1, -1, -1)]
        result.insert(_DIRECT, live[_DIRECT])
        operations = [code >> edge_bits + 2 * i & 3 for i in range(_INNER - 1, -1, -1)]
        return (*result, *(0 if o == _ABSENT else o for o in operations))

    def _canonical_block(self, cells: Architectures, live: NDArray[np.bool_]) -> Architectures:
        result = np.zeros_like(cells)
        inner = [[e for e in range(len(EDGES)) if _TARGETS[e] == i + 1] for i in range(_INNER)]
        present = np.stack([live[:, edges].any(axis=1) for edges in inner], axis=1)
        operations = np.where(present, cells[:, len(EDGES) :], _ABSENT)
        codes = np.hstack([live, operations]).astype(np.float64) @ self._relabellings
        lowest = codes.min(axis=1).astype(np.int64)[:, None]
        edge_bits = len(_BITS)
        others = [e for e in range(len(EDGES)) if e != _DIRECT]
        result[:, others] = lowest >> np.arange(edge_bits)[::-1] & 1
        result[:, _DIRECT] = live[:, _DIRECT]
        operations = lowest >> (edge_bits + 2 * np.arange(_INNER)[::-1]) & 3
        result[:, len(EDGES) :] = np.where(operations == _ABSENT, 0, operations)
        return result

    @cached_property
    def _relabellings(self) -> NDArray[np.float64]:
        """``(26, 120)``: summands of live edges and operations in the code of each order of nodes.

        All sums are whole numbers below 2^53 and therefore exact. An order with a backward edge gets
        a code that is never the lowest. Absent nodes have the highest operation and come last.
        """
        columns = []
        for order in itertools.permutations(range(1, _OUTPUT)):
            place = (0, *order, _OUTPUT)
            edges = [
                0.0 if (s, t) == (0, _OUTPUT) else 2.0 ** _BITS.get((place[s], place[t]), 40)
                for s, t in EDGES
            ]
            nodes = [2.0 ** (len(_BITS) + 2 * (_INNER - place[i + 1])) for i in range(_INNER)]
            columns.append(edges + nodes)
        return np.ascontiguousarray(np.array(columns).T)

    @overload
    def module_hash(self, architecture: tuple[int, ...]) -> str: ...
    @overload
    def module_hash(self, architecture: Architectures) -> list[str]: ...
    def module_hash(self, architecture: Any) -> Any:
        """The official hash of cells, equal for isomorphic ones: 32 hexadecimal digits.

        It is that of ``ModelSpec.hash_spec`` with ``graph_util.hash_module``: the first hash of a
        node is of its numbers of edges and its label (-1 for the input, -2 for the output, else the
        operation). Then each node hashes the sorted hashes of its neighbours, as many times as there
        are nodes.

        Args:
            architecture: A tuple, or an ``(n, 26)`` array.
        """
        if isinstance(architecture, np.ndarray):
            return [_module_hash(cell) for cell in self._validate_many(architecture).tolist()]
        return _module_hash(self.validate(architecture))

    # Matrices and text

    def from_matrix(self, matrix: Any, operations: Sequence[str]) -> Architecture:
        """Reads a cell in the official form.

        Args:
            matrix: ``(k, k)`` 0/1 adjacency matrix of 2 to 7 nodes, zero on and below the diagonal.
            operations: The ``k`` operations; the first is ``input`` and the last ``output``.

        Returns:
            The cell. With fewer than 7 nodes, the operations are the first nodes after the input.

        Raises:
            InvalidArchitectureError: This is not a cell of the space.
        """
        try:
            adjacency = np.asarray(matrix)
            names = [str(name) for name in operations]
        except (TypeError, ValueError):
            adjacency, names = np.empty(0), []
        k = len(names)
        if not 2 <= k <= NODES or adjacency.shape != (k, k) or adjacency.dtype.kind not in "biuf":
            raise InvalidArchitectureError(
                f"Expected a square matrix of 2 to {NODES} nodes and as many operations for "
                f"{self.name!r} but got {matrix!r} and {operations!r}."
            )
        if not np.isin(adjacency, (0, 1)).all():
            raise InvalidArchitectureError(
                f"Expected a matrix of 0 and 1 for {self.name!r} but got {matrix!r}."
            )
        return self._from_digits("".join(map(str, adjacency.astype(int).flat)), names)

    def _from_digits(self, digits: str, names: list[str]) -> Architecture:
        k = len(names)
        places, not_above = _layout(k)
        if int(digits, 2) & not_above:
            raise InvalidArchitectureError(
                f"Expected a matrix that is zero on and below its diagonal for {self.name!r} but "
                f"got {digits} for {k} nodes."
            )
        options = [_NUMBERS.get(name, -1) for name in names[1:-1]]
        if (names[0], names[-1]) != ("input", "output") or -1 in options:
            raise InvalidArchitectureError(
                f"Expected operations from input to output for {self.name!r} but got "
                f"{short(', '.join(names))}; options between them are {', '.join(OPERATIONS)}."
            )
        padded = digits + "0"
        edges = [int(padded[place]) for place in places]
        return self.validate((*edges, *options, *[0] * (NODES - k)))

    def to_matrix(self, architecture: Sequence[int]) -> tuple[NDArray[np.int64], list[str]]:
        """The official form of a cell without dead ends.

        Returns:
            ``(k, k)`` adjacency matrix and ``k`` operations from ``input`` to ``output``.
        """
        cell = self.validate(architecture)
        live = _live_edges(cell)
        nodes = [0, *(i + 1 for i, fed in enumerate(_in(live)) if fed), _OUTPUT]
        matrix = np.zeros((NODES, NODES), dtype=np.int64)
        matrix[_SOURCES, _TARGETS] = live
        names = ["input", *(OPERATIONS[option] for option in cell[len(EDGES) :]), "output"]
        return matrix[np.ix_(nodes, nodes)], [names[node] for node in nodes]

    def graph(self, architecture: Architecture) -> Graph:
        """All 7 nodes, also those without edges."""
        cell = self.validate(architecture)
        edges = [Edge(*ends) for ends, there in zip(EDGES, cell, strict=False) if there]
        names = [OPERATIONS[option] for option in cell[len(EDGES) :]]
        return Graph(("input", *names, "output"), tuple(edges), OPERATIONS)

    def _format(self, architecture: Architecture) -> str:
        edges = {edge for edge, there in zip(EDGES, architecture, strict=False) if there}
        digits = "".join(str(int((s, t) in edges)) for s in range(NODES) for t in range(NODES))
        names = [OPERATIONS[option] for option in architecture[len(EDGES) :]]
        return f"{digits}:{','.join(['input', *names, 'output'])}"

    def _parse(self, text: str) -> Architecture:
        match = _TEXT.fullmatch(text.strip())
        names = match[2].split(",") if match else []
        if not match or not 2 <= len(names) <= NODES or len(match[1]) != len(names) ** 2:
            raise InvalidArchitectureError(
                f"Expected {_SYNTAX} with the digits of a square matrix of 2 to {NODES} nodes and "
                f"as many operations but got {short(text)!r}."
            )
        try:
            return self._from_digits(match[1], names)
        except InvalidArchitectureError as error:
            raise InvalidArchitectureError(
                f"Expected {_SYNTAX} but got {short(text)!r}. {error}"
            ) from None

    # Numbers for models

    def _encode(self, architectures: Architectures, encoding: str) -> NDArray[np.float64]:
        edges, operations = architectures[:, : len(EDGES)], architectures[:, len(EDGES) :]
        n = len(OPERATIONS)
        if encoding == "adjacency":
            return np.hstack([edges, indicators(operations + n * np.arange(_INNER), n * _INNER)])
        if encoding == "path":
            columns, offset = [], 0
            for length in range(_INNER + 1):
                for nodes in itertools.combinations(range(1, _OUTPUT), length):
                    way = itertools.pairwise((0, *nodes, _OUTPUT))
                    there = edges[:, [EDGES.index(edge) for edge in way]].all(axis=1)
                    places = n ** np.arange(length)[::-1]
                    numbers = operations[:, [node - 1 for node in nodes]] @ places
                    columns.append(np.where(there, offset + numbers, -1))
                offset += n**length
            return indicators(np.stack(columns, axis=1), offset)
        return super()._encode(architectures, encoding)


@cache
def _layout(k: int) -> tuple[list[int], int]:
    """The place of each of ``EDGES`` among the digits of a matrix of ``k`` nodes, and a mask.

    The place of an edge of absent nodes is after the last digit. The mask has the bits on and below
    the diagonal; the first digit is the highest bit.
    """
    row = {**{node: node for node in range(k - 1)}, _OUTPUT: k - 1}
    places = [row[s] * k + row[t] if s in row and t in row else k * k for s, t in EDGES]
    below = [s * k + t for s in range(k) for t in range(s + 1)]
    return places, sum(1 << (k * k - 1 - place) for place in below)


def _live_edges(cell: Sequence[int]) -> list[int]:
    """Whether each possible edge exists and lies on a way from input to output.

    Rows of the matrix are in order, so the edges from a node come after the edges to it.
    """
    there = [edge for edge, present in zip(EDGES, cell, strict=False) if present]
    fed, useful = 1, 1 << _OUTPUT
    for source, target in there:
        if fed >> source & 1:
            fed |= 1 << target
    for source, target in reversed(there):
        if useful >> target & 1:
            useful |= 1 << source
    live = fed & useful
    return [
        int(present and live >> source & live >> target & 1)
        for (source, target), present in zip(EDGES, cell, strict=False)
    ]


def _many_live_edges(cells: Architectures) -> NDArray[np.bool_]:
    """``(n, 21)``: as ``_live_edges``."""
    there = np.ascontiguousarray(cells[:, : len(EDGES)].T) != 0
    fed, useful = np.zeros((2, NODES, len(cells)), dtype=np.bool_)
    fed[0] = useful[_OUTPUT] = True
    for edge, (source, target) in enumerate(EDGES):
        fed[target] |= fed[source] & there[edge]
    for edge, (source, target) in reversed(list(enumerate(EDGES))):
        useful[source] |= useful[target] & there[edge]
    live = fed & useful
    result: NDArray[np.bool_] = (there & live[_SOURCES] & live[_TARGETS]).T
    return result


def _are_valid(live: NDArray[np.bool_]) -> NDArray[np.bool_]:
    counts = np.count_nonzero(live, axis=1)
    result: NDArray[np.bool_] = (counts >= 1) & (counts <= MAX_EDGES)
    return result


def _in(live: Sequence[int]) -> list[bool]:
    """Whether live edges lead to each inner node."""
    fed = {target for target, there in zip(_TARGETS, live, strict=True) if there}
    return [node in fed for node in range(1, _OUTPUT)]


def _steps(u: NDArray[np.float64]) -> NDArray[np.int64]:
    """The changes of options, 0, 1 or 2, from numbers drawn from [0, 1)."""
    steps = np.zeros(u.shape, dtype=np.int64)
    edges, operations = u[..., : len(EDGES)], u[..., len(EDGES) :]
    steps[..., : len(EDGES)] = edges < 1 / NODES
    steps[..., len(EDGES) :] = (operations < 1 / _INNER) * (1 + (operations < 0.5 / _INNER))
    return steps


def _module_hash(cell: Sequence[int]) -> str:
    live = [edge for edge, there in zip(EDGES, _live_edges(cell), strict=True) if there]
    nodes = sorted({node for edge in live for node in edge})
    place = {node: i for i, node in enumerate(nodes)}
    sources: list[list[int]] = [[] for _ in nodes]
    targets: list[list[int]] = [[] for _ in nodes]
    for source, target in live:
        sources[place[target]].append(place[source])
        targets[place[source]].append(place[target])
    operations = (-1, *cell[len(EDGES) :], -2)
    labels = [(len(targets[i]), len(sources[i]), operations[node]) for i, node in enumerate(nodes)]
    return graph_hash(sources, targets, labels)

"""The layout of a graph.

It is that of Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
structures", IEEE Transactions on Systems, Man, and Cybernetics 11(2), 1981: nodes get layers so that
all edges lead down, then an order with few crossings within each layer, then places.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from nasbench_lab.drawing.shapes import HEIGHT, MARGIN, PADDING, SIDE_GAP, text_width
from nasbench_lab.spaces import Graph

_SWEEPS = 12


@dataclass(eq=False)
class Vertex:
    """A node, an operation on an edge, or a bend of a long edge, with its place in the layout.

    Args:
        layer: The number of the layer, from the top.
        width: The width in pixels; 0 for a bend.
        text: The text of the box; empty for a bend.
        node: The number of the node, or None.
        above: The vertices that lead here.
        below: The vertices that this vertex leads to.
        x: The place along the layer.
    """

    layer: int
    width: float = 0.0
    text: str = ""
    node: int | None = None
    above: list[Vertex] = field(default_factory=list)
    below: list[Vertex] = field(default_factory=list)
    x: float = 0.0

    @property
    def bend(self) -> bool:
        return self.node is None and not self.text


def lay_out(graph: Graph) -> tuple[list[Vertex], list[list[Vertex]]]:
    """Places the nodes of a graph and the operations on its edges.

    Returns:
        All vertices, and the vertices along each edge from its source to its target.
    """
    layers, chains = _layered(graph)
    _order(layers)
    _place(layers)
    return [vertex for layer in layers for vertex in layer], chains


def _layered(graph: Graph) -> tuple[list[list[Vertex]], list[list[Vertex]]]:
    """The vertices of each layer, and the vertices along each edge from its source to its target.

    A node is one layer below the lowest node that leads to it, so all edges lead down. Operations on
    edges take the layers between.
    """
    output = len(graph.nodes) - 1
    step = 1 if all(edge.operation == "" for edge in graph.edges) else 2
    layer = {0: 0}
    for node in joined_nodes(graph)[1:-1]:
        sources = [layer[edge.source] for edge in graph.edges if edge.target == node]
        layer[node] = step + max(sources, default=0)
    layer[output] = step + max(layer.values())
    nodes = {
        n: Vertex(at, _box_width(graph.nodes[n]), graph.nodes[n], n) for n, at in layer.items()
    }
    layers: list[list[Vertex]] = [[] for _ in range(layer[output] + 1)]
    for vertex in nodes.values():
        layers[vertex.layer].append(vertex)
    chains = []
    for edge in graph.edges:
        between = [Vertex(i) for i in range(layer[edge.source] + 1, layer[edge.target])]
        if edge.operation != "":
            between[0].text = edge.operation or "none"
            between[0].width = _box_width(between[0].text)
        for vertex in between:
            layers[vertex.layer].append(vertex)
        chains.append([nodes[edge.source], *between, nodes[edge.target]])
        for upper, lower in pairwise(chains[-1]):
            upper.below.append(lower)
            lower.above.append(upper)
    return layers, chains


def _box_width(text: str) -> float:
    return max(HEIGHT, text_width(text) + 2 * PADDING)


def _order(layers: list[list[Vertex]]) -> None:
    """Sorts the layers so that few edges cross: by the mean place of neighbours, down and up."""
    best = [list(layer) for layer in layers]
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            place = {id(v): i for each in layers for i, v in enumerate(each)}
            means = {}
            for vertex in layer:
                near = vertex.above if down else vertex.below
                places = [place[id(other)] for other in near] or [place[id(vertex)]]
                means[id(vertex)] = sum(places) / len(places)
            layer.sort(key=lambda vertex: means[id(vertex)])
        if _crossings(layers) < _crossings(best):
            best = [list(layer) for layer in layers]
    layers[:] = best


def _crossings(layers: list[list[Vertex]]) -> int:
    place = {id(v): i for layer in layers for i, v in enumerate(layer)}
    count = 0
    for layer in layers:
        lines = [(place[id(v)], place[id(lower)]) for v in layer for lower in v.below]
        count += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(lines, 2))
    return count


def _place(layers: list[list[Vertex]]) -> None:
    """Gives vertices places along their layers, near to the vertices that they are joined to.

    It minimises the squared distances along the layers. Each layer keeps its order, and boxes keep
    their distance: a least-squares problem in the gaps, which have lower bounds.
    """
    from scipy.optimize import lsq_linear

    vertices = [vertex for layer in layers for vertex in layer]
    number = {id(vertex): i for i, vertex in enumerate(vertices)}
    # A place is the sum of the gaps up to it; the first gap of a layer is free.
    places = np.zeros((len(vertices), len(vertices)))
    least = np.full(len(vertices), -np.inf)
    for layer in filter(None, layers):
        first = number[id(layer[0])]
        for i, vertex in enumerate(layer):
            places[first + i, first : first + i + 1] = 1.0
            if i:
                least[first + i] = (vertex.width + layer[i - 1].width) / 2 + SIDE_GAP
    rows = [places[0]]
    for vertex in vertices:
        for lower in vertex.below:
            # The weight straightens edges that pass several layers.
            weight = 16.0 if vertex.node is None is lower.node else 1.0
            rows.append(weight * (places[number[id(vertex)]] - places[number[id(lower)]]))
    gaps = lsq_linear(np.array(rows), np.zeros(len(rows)), (least, np.inf), method="bvls").x
    along = (places @ gaps).tolist()
    left = min(x - v.width / 2 for x, v in zip(along, vertices, strict=True))
    for vertex, x in zip(vertices, along, strict=True):
        vertex.x = x - left + MARGIN


class Used(NamedTuple):
    """Whether each node and edge lies on a way from input to output that carries something."""

    nodes: list[bool]
    edges: list[bool]


def used(graph: Graph) -> Used:
    """Which nodes and edges have an effect."""
    fed, useful = {0}, {len(graph.nodes) - 1}
    carrying = sorted(edge[:2] for edge in graph.edges if edge.operation is not None)
    for source, target in carrying:
        fed |= {target} if source in fed else set()
    for source, target in reversed(carrying):
        useful |= {source} if target in useful else set()
    return Used(
        [node in fed & useful for node in range(len(graph.nodes))],
        [e.operation is not None and e.source in fed and e.target in useful for e in graph.edges],
    )


def joined_nodes(graph: Graph) -> list[int]:
    """The nodes that are drawn: those with an edge."""
    ends = {end for edge in graph.edges for end in edge[:2]}
    return sorted({0, len(graph.nodes) - 1} | ends)

"""Architectures as pictures: graphs from top to bottom, others as lists of decisions.

A space gives the nodes and edges of an architecture (``SearchSpace.graph``); all graphs are drawn
alike.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from nasbench_lab.drawing.layout import Vertex, joined_nodes, lay_out, used
from nasbench_lab.drawing.shapes import (
    FONT,
    HEIGHT,
    MARGIN,
    PADDING,
    SIDE_GAP,
    Box,
    Line,
    Shape,
    Words,
    text_width,
    xml,
)
from nasbench_lab.errors import InvalidArchitectureError, UnknownNameError
from nasbench_lab.files import atomic_file
from nasbench_lab.registry import find_space
from nasbench_lab.spaces import (
    Architecture,
    Decision,
    Edge,
    Graph,
    SearchSpace,
    get_space,
    space_names,
)
from nasbench_lab.words import counted

FORMATS = ("svg", "png", "pdf")
"""The formats of saved drawings."""

COLOURS = (
    *("#77AADD", "#EE8866", "#EEDD88", "#FFAABB", "#99DDFF", "#44BB99", "#BBCC33", "#AAAA00"),
    "#DDDDDD",
)
"""Colours of operations in the order of the space: Paul Tol's "light" scheme
(personal.sron.nl/~pault), made for black text and for colour-blind readers."""

_LAYER_GAP, _LINE_GAP, _LONGEST_BAR = 20.0, 6.0, 160.0


def draw(architecture: str | Sequence[int], space: str | SearchSpace | None = None) -> Drawing:
    """Draws an architecture. Notebooks show the drawing.

    >>> from nasbench_lab import draw
    >>> draw("8:16:24:32:64")
    <Drawing of 8:16:24:32:64 of nats-sss: 5 decisions>

    Args:
        architecture: A text in a benchmark's official syntax, such as ``trace.best()``, or option
            numbers.
        space: The space, its name, or ``path/to/file.py:NAME``. The default for a text is the known
            space that it fits; if it is the same cell in several, the first of them.

    Raises:
        InvalidArchitectureError: The architecture does not fit the space, or fits none or several of
            the known ones; or it has option numbers and no space.
        UnknownNameError: There is no such space.
    """
    if space is not None:
        chosen = find_space(space) if isinstance(space, str) else space
    elif isinstance(architecture, str):
        chosen = _space_of(architecture)
    else:
        raise InvalidArchitectureError(
            f"Expected the space of the option numbers {tuple(architecture)!r}. Name it: space= one "
            f"of {', '.join(space_names())}, or a SearchSpace."
        )
    if isinstance(architecture, str):
        return Drawing(chosen, chosen.from_string(architecture))
    return Drawing(chosen, chosen.validate(architecture))


def _space_of(text: str) -> SearchSpace:
    """The known space of a text."""
    fitting: list[tuple[SearchSpace, object]] = []
    spaces = [get_space(name) for name in space_names()]
    for space in spaces:
        try:
            architecture = space.from_string(text)
        except InvalidArchitectureError:
            continue
        graph = space.graph(architecture)
        whole = graph is not None and not graph.besides
        fitting.append((space, graph[:2] if graph and whole else space.options(architecture)))
    if fitting and all(picture == fitting[0][1] for _, picture in fitting):
        return fitting[0][0]
    if fitting:
        raise InvalidArchitectureError(
            f"{text!r} is an architecture of several spaces. Say which with space: "
            f"{', '.join(space.name for space, _ in fitting)}."
        )
    examples = (
        f"  {space.name}: {space.to_string(space.sample(np.random.default_rng(0)))}"
        for space in spaces
    )
    raise InvalidArchitectureError(
        f"Expected an architecture in the syntax of a known space but got {text!r}. One of each:\n"
        + "\n".join(examples)
    )


@dataclass(frozen=True)
class Drawing:
    """A picture of an architecture; made by ``draw``.

    Args:
        space: The architecture's space.
        architecture: Its option numbers.
    """

    space: SearchSpace
    architecture: Architecture

    def __repr__(self) -> str:
        text = self.space.to_string(self.architecture)
        if not self._graph:
            decisions = counted(len(self.architecture), "decision")
            return f"<Drawing of {text} of {self.space.name}: {decisions}>"
        count = (
            f"{counted(len(joined_nodes(self._graph)), 'node')}, "
            f"{counted(len(self._graph.edges), 'edge')}"
        )
        return f"<Drawing of {text} of {self.space.name}: {count}>"

    def _repr_svg_(self) -> str:
        return self.svg()

    @cached_property
    def _graph(self) -> Graph | None:
        return self.space.graph(self.architecture)

    @cached_property
    def _shapes(self) -> list[Shape]:
        if not self._graph:
            return _list_shapes(self._listed, MARGIN)
        shapes = _graph_shapes(self._graph)
        if self._listed:
            shapes += _list_shapes(self._listed, max(s.bottom for s in shapes) + _LAYER_GAP)
        return shapes

    @property
    def _listed(self) -> list[tuple[Decision, int]]:
        """The decisions that exist and that no graph shows, with their options."""
        if self._graph:
            of_each = zip(self.space.decisions, self.architecture, strict=True)
            return [(d, option) for d, option in of_each if d.name in self._graph.besides]
        exists = self.space.active(np.array([self.architecture]))[0]
        pairs = zip(self.space.decisions, self.architecture, strict=True)
        return list(itertools.compress(pairs, exists.tolist()))

    @cached_property
    def size(self) -> tuple[float, float]:
        """Width and height in CSS pixels."""
        right = max(shape.right for shape in self._shapes)
        bottom = max(shape.bottom for shape in self._shapes)
        return right + MARGIN, bottom + MARGIN

    def describe(self) -> str:
        """The picture in words, for those who cannot see it."""
        words = [_graph_words(self._graph)] if self._graph else []
        if listed := ", ".join(f"{d.name}: {d.options[option]}" for d, option in self._listed):
            words.append(f"{listed}.")
        return " ".join(words)

    def svg(self) -> str:
        """The picture as an SVG element, without background, in the colour of the text around it.

        It has no ids, so a page can hold any number of drawings. Nodes and edges have the attributes
        ``data-node`` and ``data-edge``; those without effect have ``data-unused`` too.
        """
        width, height = self.size
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:.0f}" '
            f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'style="max-width:100%;height:auto" font-family="ui-monospace, \'DejaVu Sans Mono\', '
            f'Menlo, Consolas, monospace" font-size="{FONT:g}" fill="currentColor">'
            f"<title>{xml(f'Architecture of {self.space.name}')}</title>"
            f"<desc>{xml(self.describe())}</desc>"
            + "".join(shape.svg() for shape in self._shapes)
            + "</svg>"
        )

    def save(self, path: Path | str) -> Path:
        """Writes the picture: ``.svg``, or on white ``.png`` or ``.pdf``.

        Raises:
            UnknownNameError: The path ends otherwise.
            DataFolderError: The file cannot be written.
        """
        path = Path(path)
        ending = path.suffix.removeprefix(".").lower()
        if ending not in FORMATS:
            raise UnknownNameError("format of a drawing", path.suffix or path.name, FORMATS)
        with atomic_file(path) as file:
            if ending == "svg":
                file.write_text(self.svg() + "\n", encoding="utf-8")
            else:
                self._save_on_white(file, ending)
        return path

    def _save_on_white(self, file: Path, ending: str) -> None:
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        width, height = self.size
        with rc_context({"font.family": "DejaVu Sans Mono", "pdf.fonttype": 42}):
            # A CSS pixel is 1/96 inch.
            figure = Figure(figsize=(width / 96, height / 96), facecolor="white")
            axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
            axes.set(xlim=(0, width), ylim=(height, 0))
            axes.set_axis_off()
            for shape in self._shapes:
                shape.draw_on(axes)
            # Without a date, equal architectures give equal files.
            metadata = {"CreationDate": None} if ending == "pdf" else None
            with warnings.catch_warnings():
                # Letters that the font lacks become boxes.
                warnings.filterwarnings("ignore", "Glyph .* missing from")
                figure.savefig(file, format=ending, dpi=192, metadata=metadata)


# Lists


def _list_shapes(chosen: Sequence[tuple[Decision, int]], top: float) -> list[Shape]:
    """A line per decision: a bar if options are amounts, else the option and their number."""
    shapes: list[Shape] = []
    left = MARGIN + max(text_width(decision.name) for decision, _ in chosen)
    start = left + SIDE_GAP
    for i, (decision, option) in enumerate(chosen):
        y = top + HEIGHT / 2 + i * (HEIGHT + _LINE_GAP)
        value, most = decision.options[option], _most(decision)
        shapes.append(Words(left, y, decision.name, "end"))
        if most:
            width = _LONGEST_BAR * float(value) / most
            shapes.append(Box(start + width / 2, y, width, fill=COLOURS[0]))
            shapes.append(Words(start + width + PADDING, y, str(value)))
            continue
        width = text_width(str(value)) + 2 * PADDING
        shapes.append(Box(start + width / 2, y, width, str(value), COLOURS[0]))
        words = f"{option + 1} of {len(decision.options)}"
        shapes.append(Words(start + width + PADDING, y, words, faint=True))
    return shapes


def _most(decision: Decision) -> float:
    """The largest option of an ordered decision on amounts; 0 for other decisions."""
    amounts = [
        float(option)
        for option in decision.options
        if isinstance(option, int | float) and 0 <= option < math.inf
    ]
    return max(amounts) if decision.ordered and len(amounts) == len(decision.options) else 0.0


# Graphs


def _graph_shapes(graph: Graph) -> list[Shape]:
    vertices, chains = lay_out(graph)
    nodes_used, edges_used = used(graph)
    nodes_used[0] = nodes_used[-1] = True  # input and output always have their place
    lines: list[Shape] = []
    boxes: list[Shape] = []
    for edge, chain, edge_used in zip(graph.edges, chains, edges_used, strict=True):
        lines.extend(_edge_lines(edge, chain, edge_used))
        nothing = edge.operation is None
        boxes.extend(_box(graph, v, edge_used, nothing) for v in chain[1:-1] if not v.bend)
    for vertex in vertices:
        if vertex.node is not None:
            boxes.append(_box(graph, vertex, nodes_used[vertex.node]))
    return [*lines, *boxes]


def _box(graph: Graph, vertex: Vertex, in_use: bool, nothing: bool = False) -> Box:
    fill = None
    if vertex.text in graph.operations and in_use:
        fill = COLOURS[graph.operations.index(vertex.text) % len(COLOURS)]
    return Box(
        vertex.x,
        _y(vertex),
        vertex.width,
        vertex.text,
        fill,
        outline=fill is None and not nothing,
        unused=not in_use,
        node=vertex.node,
    )


def _y(vertex: Vertex) -> float:
    return MARGIN + HEIGHT / 2 + vertex.layer * (HEIGHT + _LAYER_GAP)


def _edge_lines(edge: Edge, chain: list[Vertex], in_use: bool) -> Iterator[Line]:
    """The lines of an edge: one, or two with its operation between."""
    points = [(_port(chain[0], chain[1], up=False), _y(chain[0]) + HEIGHT / 2)]
    name, nothing = f"{edge.source}-{edge.target}", edge.operation is None
    for before, vertex in pairwise(chain):
        top = (_port(vertex, before, up=True), _y(vertex) - HEIGHT / 2)
        bottom = (vertex.x, _y(vertex) + HEIGHT / 2)
        points.append(top)
        if not vertex.bend:
            at_node = vertex.node is not None
            yield Line(tuple(points), name, at_node, nothing, not in_use)
            points = []
        points.append(bottom)


def _port(vertex: Vertex, other: Vertex, *, up: bool) -> float:
    """Where on a box the line to another vertex begins or ends; lines keep the order of vertices."""
    neighbours = sorted(vertex.above if up else vertex.below, key=lambda neighbour: neighbour.x)
    gap = min(10.0, 0.7 * vertex.width / len(neighbours))
    return vertex.x + gap * (neighbours.index(other) - (len(neighbours) - 1) / 2)


def _graph_words(graph: Graph) -> str:
    operations = set(graph.operations)
    last = len(graph.nodes) - 1
    names = [
        text if i in (0, last) else f"node {i} ({text})" if text in operations else f"node {text}"
        for i, text in enumerate(graph.nodes)
    ]
    sentences = []
    for edge, on_way in zip(graph.edges, used(graph).edges, strict=True):
        sentence = f"{names[edge.source]} to {names[edge.target]}"
        if edge.operation is None:
            sentence += " carries nothing"
        else:
            sentence += f" by {edge.operation}" if edge.operation else ""
            sentence += "" if on_way else " (on no way from input to output)"
        sentences.append(sentence)
    return f"A graph of {counted(len(joined_nodes(graph)), 'node')}. " + "; ".join(sentences) + "."

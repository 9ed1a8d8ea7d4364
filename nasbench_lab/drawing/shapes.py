"""The shapes of drawings: boxes, words and lines, as SVG and in matplotlib."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Lengths are CSS pixels. All letters have the same width, so boxes fit their texts in any font.
FONT, HEIGHT = 12.0, 22.0
"""Size of letters, and height of a line with its box."""

MARGIN, PADDING, SIDE_GAP = 6.0, 8.0, 12.0
"""Space around a drawing, beside a text in its box, and between neighbouring boxes."""

_LETTER = 7.3
_LONGEST = 28
_FAINT_LINE, _FAINT_TEXT = 0.35, 0.65
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Box:
    """A rounded box around its text, which is black if the box is filled.

    Args:
        x: Horizontal place of its centre.
        y: Vertical place of its centre.
        width: Its width in pixels.
        text: Its text.
        fill: Its colour, or None.
        outline: Whether it has an outline.
        unused: Whether it has no effect.
        node: The number of its node, or None.
    """

    x: float
    y: float
    width: float
    text: str = ""
    fill: str | None = None
    outline: bool = False
    unused: bool = False
    node: int | None = None

    @property
    def right(self) -> float:
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        return self.y + HEIGHT / 2

    @property
    def _radius(self) -> float:
        return min(5.0, self.width / 2)

    def svg(self) -> str:
        rect = (
            f'<rect x="{self.x - self.width / 2:.1f}" y="{self.y - HEIGHT / 2:.1f}" '
            f'width="{self.width:.1f}" height="{HEIGHT:g}" '
            f'rx="{self._radius:g}" fill="{self.fill or "none"}"'
        )
        if self.outline:
            rect += ' stroke="currentColor"'
        if self.unused:
            rect += f' stroke-opacity="{_FAINT_LINE}"'
        # Browsers show the whole name as a tip.
        tip = f"<title>{xml(self.text)}</title>" if _shown(self.text) != self.text else ""
        words = Words(self.x, self.y, self.text, "middle", self.unused, bool(self.fill))
        names = _data(node=self.node, unused=self.unused)
        return f"<g{names}>{tip}{rect}/>{words.svg() if self.text else ''}</g>"

    def draw_on(self, axes: Axes) -> None:
        from matplotlib.patches import FancyBboxPatch

        axes.add_patch(
            FancyBboxPatch(
                (self.x - self.width / 2, self.y - HEIGHT / 2),
                self.width,
                HEIGHT,
                boxstyle=f"round,pad=0,rounding_size={self._radius}",
                facecolor=self.fill or "none",
                edgecolor=("black", _FAINT_LINE if self.unused else 1.0)
                if self.outline
                else "none",
                linewidth=0.75,
            )
        )
        Words(self.x, self.y, self.text, "middle", self.unused, bool(self.fill)).draw_on(axes)


@dataclass(frozen=True)
class Words:
    """A line of text.

    Args:
        x: Horizontal place of its anchor.
        y: Vertical place of its middle.
        text: The text.
        anchor: ``start``, ``middle`` or ``end``.
        faint: Whether it is drawn faintly, as it has no effect.
        on_colour: Whether it is on a filled box.
    """

    x: float
    y: float
    text: str
    anchor: str = "start"
    faint: bool = False
    on_colour: bool = False

    @property
    def right(self) -> float:
        return self.x + {"start": 1.0, "middle": 0.5, "end": 0.0}[self.anchor] * text_width(
            self.text
        )

    @property
    def bottom(self) -> float:
        return self.y + HEIGHT / 2

    def svg(self) -> str:
        colour = ' fill="#000"' if self.on_colour else ""
        opacity = f' fill-opacity="{_FAINT_TEXT}"' if self.faint else ""
        # 0.35 em below the middle is where lower-case letters look centred.
        return (
            f'<text x="{self.x:.1f}" y="{self.y + 0.35 * FONT:.1f}" text-anchor="{self.anchor}"'
            f"{colour}{opacity}>{xml(_shown(self.text))}</text>"
        )

    def draw_on(self, axes: Axes) -> None:
        axes.text(
            self.x,
            self.y + 0.35 * FONT,
            _shown(self.text),
            ha={"start": "left", "middle": "center", "end": "right"}[self.anchor],
            va="baseline",
            fontsize=FONT * 0.75,
            color=("black", _FAINT_TEXT if self.faint else 1.0),
            parse_math=False,
        )


@dataclass(frozen=True)
class Line:
    """A curve downwards, vertical at each of its points.

    Args:
        points: The points that it passes.
        edge: The nodes that its edge joins, such as ``"0-1"``.
        arrow: Whether it ends in an arrow.
        nothing: Whether it carries nothing.
        unused: Whether it has no effect.
    """

    points: tuple[tuple[float, float], ...]
    edge: str
    arrow: bool = True
    nothing: bool = False
    unused: bool = False

    @property
    def right(self) -> float:
        return max(x for x, _ in self.points)

    @property
    def bottom(self) -> float:
        return max(y for _, y in self.points)

    def _curves(self) -> Iterator[tuple[tuple[float, float], ...]]:
        """Two control points and the end of each Bézier curve."""
        for (x, y), (to_x, to_y) in pairwise(self.points):
            middle = (y + to_y) / 2
            yield (x, middle), (to_x, middle), (to_x, to_y)

    @property
    def _head(self) -> list[tuple[float, float]]:
        x, y = self.points[-1]
        return [(x, y), (x - 3.5, y - 7), (x + 3.5, y - 7)] if self.arrow else []

    def svg(self) -> str:
        (x, y), dash = self.points[0], ' stroke-dasharray="3 3"' if self.nothing else ""
        curves = "".join(
            "C" + " ".join(f"{a:.1f} {b:.1f}" for a, b in curve) for curve in self._curves()
        )
        head = " ".join(f"{a:.1f},{b:.1f}" for a, b in self._head)
        opacity = f' opacity="{_FAINT_LINE}"' if self.unused else ""
        return (
            f"<g{_data(edge=self.edge, unused=self.unused)}{opacity}>"
            f'<path d="M{x:.1f} {y:.1f}{curves}" fill="none" stroke="currentColor" '
            f'stroke-width="1.3"{dash}/>' + (f'<polygon points="{head}"/>' if head else "") + "</g>"
        )

    def draw_on(self, axes: Axes) -> None:
        from matplotlib.patches import PathPatch, Polygon
        from matplotlib.path import Path as Curve

        corners = [self.points[0], *(point for curve in self._curves() for point in curve)]
        codes = [Curve.MOVETO] + [Curve.CURVE4] * (len(corners) - 1)
        opacity = _FAINT_LINE if self.unused else 1.0
        style = (0, (3, 3)) if self.nothing else "solid"
        axes.add_patch(
            PathPatch(Curve(corners, codes), fill=False, lw=1.0, linestyle=style, alpha=opacity)
        )
        if self._head:
            axes.add_patch(Polygon(self._head, color="black", lw=0, alpha=opacity))


Shape = Box | Words | Line


def _shown(text: str) -> str:
    """At most ``_LONGEST`` letters of a text, in one line."""
    line = " ".join(_printable(text).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def text_width(text: str) -> float:
    """The width of a text; some letters, such as Chinese ones, are as wide as two others."""
    letters = (2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in _shown(text))
    return _LETTER * sum(letters)


def xml(text: str) -> str:
    """A text as part of an XML document, between tags or quotes."""
    return escape(_printable(text))


def _printable(text: str) -> str:
    """Replaces control characters and lone surrogates, which neither XML nor fonts know."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _data(*, node: int | None = None, edge: str = "", unused: bool = False) -> str:
    """The node or edge of a shape, as attributes."""
    number = "" if node is None else f' data-node="{node}"'
    return number + (f' data-edge="{edge}"' if edge else "") + (' data-unused=""' if unused else "")

"""Words for people: counts and lists, lines that break where they may, signs that can be shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence


def counted(n: int, noun: str) -> str:
    """``1 run``, ``2 runs``, ``15,625 entries``, ``3 searches``."""
    return f"{n:,} {noun if n == 1 else _plural(noun)}"


def _plural(noun: str) -> str:
    """The plural of a regular noun."""
    if re.search(r"(s|x|sh|[^o]ch)$", noun):  # and epochs
        return f"{noun}es"
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


BREAKS = (
    r"(?<=\s)(?=[^\s%])|(?<=\w)(?=\()",
    r"(?<=[_/(,=])(?=\w)",
    r"(?<=[\w|][:|+-])(?=[\w|])",
    r"(?<=.)",
)
"""Where a text may be broken: at spaces and brackets, in long words after signs, anywhere."""


def parts(text: str, room: float, width: Callable[[str], float], breaks: int = 0) -> Iterator[str]:
    """The parts of a text that are not broken, with the best breaks by which each fits into a line.

    Args:
        text: The text.
        room: The width of a line.
        width: Tells the width of a text.
        breaks: The first of ``BREAKS`` that is tried.
    """
    for part in re.split(BREAKS[breaks], text):
        if breaks + 1 < len(BREAKS) and width(part.rstrip()) > room:
            yield from parts(part, room, width, breaks + 1)
        else:
            yield part


def wrapped(text: str, room: float, width: Callable[[str], float] = len) -> str:
    """A text in lines that are at most so wide, with the best breaks that this takes.

    Args:
        text: The text.
        room: The width of a line.
        width: Tells the width of a text; by default its letters are counted.
    """
    lines = [""]
    for part in parts(" ".join(text.split()), room, width):
        if lines[-1] and width(lines[-1] + part.rstrip()) > room:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)

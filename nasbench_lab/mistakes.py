"""How a mistake in other people's code is told: with its place in their files, and its causes."""

from __future__ import annotations

import os
import re
import traceback
from functools import cache
from pathlib import Path

_LONGEST = 500
"""Signs of an error's text that a message repeats; ``whole_traceback`` has all of them."""
_LINKS = 5
"""How many causes of an error are told."""
_OURS = ("nasbench_lab", "algorithms", "tabular_data")
_TYPED_IN = ("<stdin", "<ipython", "<python-input", "<doctest")


@cache
def is_users(file: str) -> bool:
    """Whether a file is the user's: not of Python, of an installed package, or of this project."""
    if file.startswith("<"):
        return file.startswith(_TYPED_IN)
    path, home = Path(os.path.abspath(file)), Path(__file__).parents[1]
    foreign = [Path(os.__file__).parent, *(home / name for name in _OURS)]
    installed = {"site-packages", "dist-packages"}.intersection(path.parts)
    return not installed and not any(path.is_relative_to(folder) for folder in foreign)


def users_place(error: BaseException) -> str | None:
    """The deepest line of the user's own that an error passed, or None.

    It reads ``path/to/file.py, line 12, in tell``.
    """
    if isinstance(error, SyntaxError) and error.filename and is_users(error.filename):
        return f"{error.filename}, line {error.lineno}"
    own = [place for place in _places(error) if is_users(place.filename)]
    return _line(own[-1]) if own else None


def place_in(dump: str) -> str | None:
    """The same of what ``faulthandler`` writes when a process dies."""
    for file, line, name in re.findall(r'File "(.+)", line (\d+) in (\S+)', dump):
        if is_users(file):
            return f"{file}, line {line}, in {name}"
    return None


def told(error: BaseException) -> str:
    """An error in one line: its type, its text, its place, and the errors that led to it."""
    lines, seen = [_told_alone(error)], [error]
    while len(seen) <= _LINKS and not is_ours(error):
        cause, context = error.__cause__, error.__context__
        previous = cause or (None if error.__suppress_context__ else context)
        if previous is None or any(previous is one for one in seen):
            break
        lines.append(f"{'from' if cause else 'while handling'} {_told_alone(previous)}")
        seen.append(previous)
        error = previous
    return ", ".join(lines)


def is_ours(error: BaseException) -> bool:
    """Whether an error is of a class of this project, whose text says what to do."""
    return type(error).__module__.partition(".")[0] in _OURS


def whole_traceback(error: BaseException) -> str:
    """All that Python says of an error, and of those that led to it."""
    return "".join(traceback.format_exception(error))


def _told_alone(error: BaseException) -> str:
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException as second:
        text = f"(its text cannot be read, as that raises {type(second).__name__})"
    text = " ".join(text.split())
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 1]}…"
    place, places = users_place(error), _places(error)
    if is_ours(error) and place is None:
        return text
    place = place or (_line(places[-1]) if places else None)
    name = type(error).__name__
    return (f"{name}: {text}" if text else name) + (f" ({place})" if place else "")


def _places(error: BaseException) -> list[traceback.FrameSummary]:
    walked = traceback.walk_tb(error.__traceback__)
    return list(traceback.StackSummary.extract(walked, lookup_lines=False))


def _line(place: traceback.FrameSummary) -> str:
    return f"{place.filename}, line {place.lineno}, in {place.name}"

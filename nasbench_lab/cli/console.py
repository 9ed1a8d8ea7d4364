"""What the commands print: tables, JSON, progress, on whatever output there is."""

from __future__ import annotations

import codecs
import io
import json
import math
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from nasbench_lab.errors import UnknownNameError
from nasbench_lab.words import BREAKS, wrapped

console = Console()
errors = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


_PLAIN = {
    "∞": "inf",
    "…": "...",
    "–": "-",
    "—": "-",
    "−": "-",
    "·": ".",
    "×": "x",
    "±": "+/-",
    "≤": "<=",
    "≥": ">=",
    "→": "->",
    "←": "<-",
    "µ": "u",
    "μ": "u",
    "ρ": "rho",
    "σ": "sigma",
    "τ": "tau",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
}
"""What stands for signs that an output cannot show."""


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    """Handles a sign that an encoding lacks: a plain one, a letter without its accent, or ``?``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign, after = error.object[error.start], error.start + 1
    if "\udc80" <= sign <= "\udcff":  # a byte of a file's name that is no text
        return bytes([ord(sign) - 0xDC00]), after
    bare = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return _PLAIN.get(sign) or bare or "?", after


codecs.register_error("nasbench_lab.replaced", _replaced)


def never_fail() -> None:
    """Lets the standard streams replace the signs that they cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="nasbench_lab.replaced")


def _shown(text: str) -> str:
    """A text as the output will show it, so that columns stand below each other."""
    encoding = console.encoding
    return text.encode(encoding, "nasbench_lab.replaced").decode(encoding, "surrogateescape")


def one_of(kind: str, names: Callable[[], Iterable[str]]) -> Callable[[str], str]:
    """Reads an option that is one of some names; of another, the nearest is named too.

    Args:
        kind: What the option names.
        names: Gives the names, when they are needed.
    """

    def read(text: str) -> str:
        known = list(names())
        if text not in known:
            raise typer.BadParameter(str(UnknownNameError(kind, text, known)))
        return text

    return read


_GAP = 1
"""Between columns."""


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Prints a table of rows with the same keys.

    Cells are broken at spaces, and if need be after signs such as ``_`` and ``(``. Columns that still
    do not fit follow in further tables, each of which begins with the first column.
    """
    if as_json:
        print_json(rows)
        return
    if not rows:
        return
    columns = [
        [_shown(cell) for cell in (name, *(str(row[name]) for row in rows))] for name in rows[0]
    ]
    least = _least_widths(columns, console.width)
    blocks = [[0]]
    for i in range(1, len(columns)):
        needed = sum(least[j] + _GAP for j in (*blocks[-1], i)) - _GAP
        if needed > console.width and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1].append(i)
    for n, block in enumerate(blocks):
        if n:
            console.print()
        _print_block([columns[i] for i in block], console.width)


def _print_block(columns: Sequence[list[str]], room: int) -> None:
    """Prints columns side by side, each with its name first."""
    widths = [max(map(cell_len, column)) for column in columns]
    # First the widest give way, without breaks within words as long as that is enough.
    for level in (0, 1):
        least = _least_widths(columns, room, level)
        while sum(widths) + _GAP * (len(widths) - 1) > room:
            spare = [i for i, width in enumerate(widths) if width > least[i]]
            if not spare:
                break
            widths[max(spare, key=lambda i: widths[i])] -= 1
    table = RichTable(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    cells = [
        [wrapped(cell, width, cell_len) for cell in column]
        for column, width in zip(columns, widths, strict=True)
    ]
    for name, *_ in cells:
        table.add_column(escape(name), no_wrap=True, overflow="fold")
    for row in list(zip(*cells, strict=True))[1:]:
        table.add_row(*map(escape, row))
    console.print(table)


def _least_widths(columns: Sequence[list[str]], room: int, level: int = 1) -> list[int]:
    """The widths that columns need to be broken at no worse places than those of a level.

    The first takes at most half of the room, and no other more than the first leaves: what is wider
    is broken anyhow.
    """
    widths: list[int] = []
    for column in columns:
        words = [word for cell in column for word in re.split(BREAKS[0], cell)]
        if level:
            words = [piece for word in words for piece in re.split(BREAKS[1], word)]
        most = room - widths[0] - _GAP if widths else room if len(columns) == 1 else room // 2
        longest = max(cell_len(word.rstrip()) for word in words)
        widths.append(max(1, min(most, longest)))
    return widths


def print_json(data: Any) -> None:
    print(json.dumps(_finite(data), indent=1, allow_nan=False))


def _finite(data: Any) -> Any:
    """Writes null for what JSON has no number for."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


@contextmanager
def progress(unit: str = "runs") -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar with the time left, on standard error."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn() if unit == "bytes" else MofNCompleteColumn(),
        TextColumn("," if unit == "bytes" else f"{unit},"),
        TimeElapsedColumn(),
        TextColumn("spent,"),
        TimeLeft(),
        TextColumn("left"),
    )
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def advance(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total or None, description=what)

        yield advance


@contextmanager
def continued_when_repeated() -> Iterator[None]:
    """Ends work that is interrupted, and says that the same command goes on with it.

    Raises:
        Exit: With the status 130, if it was interrupted.
    """
    try:
        yield
    except KeyboardInterrupt:
        errors.print("Interrupted. The same command goes on from here.")
        raise typer.Exit(130) from None

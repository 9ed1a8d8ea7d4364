"""Tables as CSV files that a spreadsheet opens without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How texts begin that a spreadsheet takes for formulas."""


def write_csv(frame: pd.DataFrame, file: Path | TextIO, *, header: bool = True) -> None:
    """Writes a table as CSV in UTF-8, without its index.

    A text that a spreadsheet would take for a formula, such as the label ``=1+1``, gets an apostrophe
    before it; so does a column's name. Numbers stay as they are.

    Args:
        frame: The table.
        file: Where to write.
        header: Whether the first line names the columns.
    """
    from pandas.api.types import is_numeric_dtype

    texts = [name for name in frame.columns if not is_numeric_dtype(frame[name])]
    plain = frame.assign(**{name: frame[name].map(_plain) for name in texts})
    plain = plain.rename(columns=_plain)
    plain.to_csv(file, index=False, header=header, encoding="utf-8", lineterminator="\n")


def _plain(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value

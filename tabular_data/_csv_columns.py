"""Reads columns of CSV and Parquet files, within bounds."""

from __future__ import annotations

import csv
import math
import reprlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.bounded_files import check_regular
from nasbench_lab.errors import (
    InvalidArchitectureError,
    NasbenchLabError,
    TableFileError,
    UnknownNameError,
    short,
    text_of,
)
from nasbench_lab.files import refuse_utf16
from nasbench_lab.spaces import Architectures, SearchSpace
from nasbench_lab.tables.rows import Rows
from nasbench_lab.words import counted

_ABSENT = ("", "nan", "na", "none", "null")
PARQUET = b"PAR1"
"""What a Parquet file begins and ends with."""
_LONGEST_LINE = 1 << 20
_MOST_LINES = 1000
"""The most lines of a row; a text in quotation marks may have several."""
_LONGEST_TEXT = 10_000
"""The most characters of an architecture in a Parquet file."""
_FOOTER = 1 << 24
"""The most bytes of a Parquet file's description of itself."""
_UNPACKED = 1 << 28
"""The most bytes of a Parquet file's unpacked columns, besides 64 times the file's size."""


@dataclass(frozen=True)
class Data:
    """Columns of a file, texts and numbers by name, and the names of its rows."""

    texts: dict[str, list[str]]
    numbers: dict[str, NDArray[np.float64]]
    place: Callable[[int], str]


def read_columns(
    path: Path, texts: list[str], numbers: list[str], mapping: Path, most: int
) -> Data:
    """Reads columns of a CSV or Parquet file.

    Args:
        path: The file.
        texts: The names of columns of texts.
        numbers: The names of columns of numbers.
        mapping: What names these columns, for errors.
        most: How many rows there may be.

    Raises:
        TableFileError: The file is damaged, or lacks a column; the message says where.
    """
    read = _read_parquet if is_parquet(path) else _read_text
    return read(path, texts, numbers, mapping, most)


def _places(path: Path, header: Sequence[str], names: Sequence[str], mapping: Path) -> list[int]:
    for name in names:
        if name not in header:
            unknown = UnknownNameError("column", name, header)
            raise TableFileError(f"{mapping} names a column that {path} lacks: {unknown}")
        if header.count(name) > 1:
            raise TableFileError(f"{path} has two columns {short(name)!r}.")
    return [header.index(name) for name in names]


def _lines(file: TextIO, lines_of_row: list[None]) -> Iterator[str]:
    """The lines of a file, with bounds on a line and on the lines of a row."""
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise ValueError(f"it has {_LONGEST_LINE:,} characters or more")
        lines_of_row.append(None)
        if len(lines_of_row) > _MOST_LINES:
            raise ValueError(
                f"its row has more than {_MOST_LINES:,} lines; a quotation mark is odd"
            )
        yield line


def _read_text(path: Path, texts: list[str], numbers: list[str], mapping: Path, most: int) -> Data:
    text_columns: list[list[str]] = [[] for _ in texts]
    values = [array("d") for _ in numbers]
    lines = array("q")
    line = 1
    try:
        with open(path, "rb") as start:
            refuse_utf16(start.read(4))
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline(1 << 20)
            delimiter = max(",\t;", key=first.count)
            file.seek(0)
            lines_of_row: list[None] = []
            rows = csv.reader(
                _lines(file, lines_of_row), delimiter=delimiter, skipinitialspace=True, strict=True
            )
            header = [name.strip() for name in next(rows, [])]
            places = _places(path, header, [*texts, *numbers], mapping)
            while True:
                line = rows.line_num + 1
                lines_of_row.clear()
                row = next(rows, None)
                if row is None:
                    break
                if not row:
                    continue
                if len(row) != len(header):
                    raise ValueError(f"it has {counted(len(row), 'cell')} instead of {len(header)}")
                if len(lines) == most:
                    raise ValueError(f"expected at most {most:,} rows, one for each architecture")
                lines.append(line)
                for place, texts_of_column in zip(places, text_columns, strict=False):
                    texts_of_column.append(row[place].strip())
                for place, numbers_of_column in zip(places[len(texts) :], values, strict=True):
                    numbers_of_column.append(_number(row[place], header[place]))
    except OSError as error:
        raise TableFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise TableFileError(f"{path} is not in UTF-8 ({error}). Save it as UTF-8.") from error
    except UnicodeError as error:
        raise TableFileError(f"{path} cannot be read: {error}.") from error
    except NasbenchLabError:
        raise
    except (ValueError, csv.Error) as error:
        raise TableFileError(f"{path}, line {line}: {error}.") from error
    return Data(
        dict(zip(texts, text_columns, strict=True)),
        {name: np.array(v, dtype=np.float64) for name, v in zip(numbers, values, strict=True)},
        lambda row: f"line {lines[row]}",
    )


def _number(cell: str, name: str) -> float:
    text = cell.strip()
    if text.lower() in _ABSENT:
        return math.nan
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number in {name!r} but got {reprlib.repr(cell)}")
    return value


def _read_parquet(
    path: Path, texts: list[str], numbers: list[str], mapping: Path, most: int
) -> Data:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = pa.types
    numeric = types.is_integer, types.is_floating, types.is_decimal, types.is_null
    textual = types.is_string, types.is_large_string, types.is_boolean, *numeric
    wanted = list(dict.fromkeys([*texts, *numbers]))
    try:
        check_footer(path)
        with pq.ParquetFile(path) as file:
            _places(path, file.schema_arrow.names, wanted, mapping)
            _check_size(path, file.metadata, wanted, most)
            for names, tests, what in ((numbers, numeric, "numbers"), (texts, textual, "texts")):
                for name in names:
                    kind = file.schema_arrow.field(name).type
                    held = kind.value_type if types.is_dictionary(kind) and names is texts else kind
                    if not any(test(held) for test in tests):
                        raise TableFileError(f"{path}: expected {what} in {name!r} but got {kind}.")
        # Equal texts of many rows are kept once.
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            data = file.read(columns=wanted)
            lists = {name: _texts(path, name, data.column(name)) for name in texts}
            arrays = {
                name: np.asarray(data.column(name).to_numpy(), dtype=np.float64) for name in numbers
            }
    except NasbenchLabError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise TableFileError(
            f"{path} is truncated, damaged or no Parquet file ({type(error).__name__}: "
            f"{text_of(error, 300)})."
        ) from error
    for name in numbers:
        if (infinite := np.flatnonzero(np.isinf(arrays[name]))).size:
            raise TableFileError(
                f"{path}, row {infinite[0] + 1}: expected a finite number in {name!r} but got "
                f"{arrays[name][infinite[0]]}."
            )
    return Data(
        lists,
        arrays,
        lambda row: f"row {row + 1}",
    )


def check_footer(path: Path) -> None:
    """Refuses a file whose description of itself is too large."""
    check_regular(path)
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 8))
        end = file.read()
    length = int.from_bytes(end[:4], "little")
    if end[4:] == PARQUET and length > _FOOTER:
        raise TableFileError(
            f"{path}: its description has {length:,} bytes, more than {_FOOTER:,}."
        )


def _check_size(path: Path, metadata: Any, wanted: Sequence[str], most: int) -> None:
    """Refuses a small file that unpacks to very many rows, or to long ones."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    rows = max(metadata.num_rows, sum(group.num_rows for group in groups))
    if rows > most:
        raise TableFileError(
            f"{path}: expected at most {most:,} rows, one for each architecture of the space, but "
            f"got {rows:,}."
        )
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    size = sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if chunk.path_in_schema.partition(".")[0] in wanted
    )
    allowed = _UNPACKED + 64 * check_regular(path)
    if max(size, 16 * rows * len(wanted)) > allowed:
        raise TableFileError(
            f"{path}: the columns {short(', '.join(wanted))} unpack to more than {allowed:,} bytes, "
            f"out of all proportion to its size."
        )


def _texts(path: Path, name: str, column: Any) -> list[str]:
    """The texts of a column; equal texts are in memory once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    result: list[str] = []
    for chunk in column.chunks:
        encoded = isinstance(chunk, pa.DictionaryArray)
        values = chunk.dictionary if encoded else chunk
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            longest = pc.max(pc.binary_length(values)).as_py() or 0
            if longest > _LONGEST_TEXT:
                raise TableFileError(
                    f"{path}: expected texts of at most {_LONGEST_TEXT:,} bytes in {name!r} but got "
                    f"one of {longest:,}."
                )
        kind = values.type
        if pa.types.is_float32(kind) or pa.types.is_float16(kind):
            # As short as their few bits allow: 0.1, not 0.10000000149011612.
            listed = values.to_numpy(zero_copy_only=False)
        else:
            listed = values.to_pylist()
        texts = ["" if value is None else str(value).strip() for value in listed]
        if encoded:
            texts = ["" if i is None else texts[i] for i in chunk.indices.to_pylist()]
        result += texts
    return result


def is_parquet(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) == PARQUET or path.suffix.lower() == ".parquet"
    except OSError as error:
        raise TableFileError(f"{path} cannot be read: {error.strerror or error}.") from error


def header_of(path: Path) -> list[str]:
    """The names of a file's columns."""
    if is_parquet(path):
        import pyarrow.parquet as pq

        check_footer(path)
        return list(pq.read_schema(path).names)
    with open(path, encoding="utf-8-sig", newline="") as file:
        first = file.readline(1 << 20)
    delimiter = max(",\t;", key=first.count)
    cells = next(csv.reader([first], delimiter=delimiter, skipinitialspace=True), [])
    return [name.strip() for name in cells]


def parsed_architectures(space: SearchSpace, texts: Sequence[str], place: Rows) -> Architectures:
    """``(rows, d)`` architectures, of their texts.

    Raises:
        TableFileError: A text is no architecture of the space; the message says where it is.
    """
    result = []
    for row, text in enumerate(texts):
        try:
            result.append(space.from_string(text))
        except InvalidArchitectureError as error:
            raise TableFileError(f"{place(row)}: {str(error)[:500]}") from error
    return np.array(result, dtype=np.int64).reshape(len(result), len(space.decisions))

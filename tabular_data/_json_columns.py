"""Reads records in JSON and JSON Lines as columns, within bounds.

Three forms are known: a record on each line; a list of records; an object with a record for each
architecture, whose names are then the column ``key``. A record is an object. What is nested in it is a
column of its own, named by the way there: ``{"cost": {"ms": [3, 4]}}`` has ``cost.ms.0`` and
``cost.ms.1``.
"""

from __future__ import annotations

import codecs
import json
import math
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from nasbench_lab.bounded_files import check_regular
from nasbench_lab.errors import (
    NasbenchLabError,
    TableFileError,
    UnknownNameError,
    quoted,
    short,
    text_of,
)
from nasbench_lab.files import refuse_utf16
from tabular_data._csv_columns import Data

LINES = (".jsonl", ".ndjson")
"""Suffixes of files with a record on each line."""
SUFFIXES = (".json", *LINES)

KEY = "key"
"""The column with the names of records."""

_LONGEST_RECORD = 1 << 20
_LONGEST_TEXT = 10_000
_LONGEST_NUMBER = 400
"""The most digits; the largest number in double precision has 309."""
_LONGEST_NAME = 1_000
_MOST_COLUMNS = 10_000
_CHUNK = 1 << 18
_BLANK = " \t\r\n"


def is_json(path: Path) -> bool:
    """Whether a file is JSON by its suffix, or begins as JSON does and is none by its suffix."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".parquet"):
        return False
    try:
        return suffix in SUFFIXES or _start(path)[:1] in ("[", "{")
    except (OSError, UnicodeError):
        return False


def read_json(path: Path, texts: list[str], numbers: list[str], mapping: Path, most: int) -> Data:
    """Reads columns of a file; arguments as for ``read_columns``.

    Raises:
        TableFileError: The file is damaged, or lacks a column; the message says where.
    """
    text_columns: list[list[str]] = [[] for _ in texts]
    values = [array("d") for _ in numbers]
    lines = array("q")
    place = "line" if _has_lines(path) else "record"
    unseen = dict.fromkeys([*texts, *numbers])
    names: dict[str, None] = {}
    for number, record in _records(path):
        try:
            if len(lines) == most:
                raise ValueError(f"expected at most {most:,} records, one for each architecture")
            lines.append(number)
            _note(names, record)
            for name in [name for name in unseen if name in record]:
                del unseen[name]
            for name, column in zip(texts, text_columns, strict=True):
                column.append(_text(record, name))
            for name, numeric in zip(numbers, values, strict=True):
                numeric.append(_number(record, name))
        except ValueError as error:
            raise TableFileError(f"{path}, {place} {number}: {error}.") from error
    if lines and unseen:
        unknown = UnknownNameError("column", next(iter(unseen)), names)
        raise TableFileError(f"{mapping} names a column that {path} lacks: {unknown}")
    return Data(
        dict(zip(texts, text_columns, strict=True)),
        {name: np.array(v, dtype=np.float64) for name, v in zip(numbers, values, strict=True)},
        lambda row: f"{place} {lines[row]}",
    )


def json_header(path: Path) -> list[str]:
    """The names of a file's columns, in the order in which they first appear.

    Raises:
        TableFileError: The file is damaged.
    """
    names: dict[str, None] = {}
    for _, record in _records(path):
        try:
            _note(names, record)
        except ValueError as error:
            raise TableFileError(f"{path}: {error}.") from error
    return list(names)


def named_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The names and the records of an object with a record for each architecture, as they stand.

    Raises:
        TableFileError: The file is damaged, or has another form.
    """
    with _refusals(path) as place, open(path, "rb") as file:
        stream = _Stream(file)
        if stream.next() != "{":
            raise ValueError("expected an object with a record for each architecture")
        yield from _members(stream, place)


# Records


Record = dict[str, Any]


def _records(path: Path) -> Iterator[tuple[int, Record]]:
    """The records of a file by their number or line; what is nested has names of its own."""
    with _refusals(path) as place, open(path, "rb") as file:
        if _has_lines(path):
            yield from _of_lines(file, place)
            return
        stream = _Stream(file)
        if stream.next() == "[":
            records: Iterator[tuple[str | None, Any]] = ((None, one) for one in _items(stream))
        else:
            records = iter(_members(stream, place))
        number = 0
        place.at = "record 1"
        for number, (key, record) in enumerate(records, 1):
            flat = _flat(record)
            if key is not None:
                if KEY in flat:
                    raise ValueError(f"it has a value {KEY!r}, which is the name of its own name")
                flat = {KEY: key, **flat}
            yield number, flat
            place.at = f"record {number + 1}"


def _of_lines(file: BinaryIO, place: _Place) -> Iterator[tuple[int, Record]]:
    number = 0
    refuse_utf16(file.read(4))
    file.seek(0)
    while line := file.readline(_LONGEST_RECORD):
        number += 1
        place.at = f"line {number}"
        if len(line) == _LONGEST_RECORD:
            raise ValueError(f"it has {_LONGEST_RECORD:,} bytes or more")
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip(_BLANK)
        if text:
            yield number, _flat(_DECODER.decode(text))


def _items(stream: _Stream) -> Iterator[Any]:
    """The values of a list, one at a time."""
    stream.take("[")
    more = stream.next() != "]"
    while more:
        yield stream.value()
        if more := stream.next() != "]":
            stream.take(",")
    stream.take("]")
    stream.end()


def _members(stream: _Stream, place: _Place) -> Iterator[tuple[str, Any]]:
    """The names and values of an object, one at a time."""
    names: set[str] = set()
    stream.take("{")
    more = stream.next() != "}"
    while more:
        if stream.next() != '"':
            stream.refuse("a name in quotation marks")
        name = stream.value()
        place.at = f"record {len(names) + 1}, {quoted(name, 100)}"
        if name in names:
            raise ValueError("an earlier record has the same name")
        names.add(name)
        stream.take(":")
        yield name, stream.value()
        if more := stream.next() != "}":
            stream.take(",")
    stream.take("}")
    stream.end()


def _flat(record: Any) -> Record:
    """The values of a record by the way to each; None for what has parts."""
    if not isinstance(record, dict):
        raise ValueError(f"expected an object with values by name but got {quoted(record, 100)}")
    flat: Record = {}
    _add(flat, "", record)
    return flat


def _add(flat: Record, prefix: str, value: dict[str, Any] | list[Any]) -> None:
    """Adds the parts of a value, and theirs, to a flat record."""
    for part, inner in value.items() if isinstance(value, dict) else enumerate(value):
        name = f"{prefix}{part}"
        if name in flat:
            raise ValueError(f"it has two values of the name {short(name)!r}")
        if len(flat) == _MOST_COLUMNS or len(name) > _LONGEST_NAME:
            raise ValueError(
                f"expected at most {_MOST_COLUMNS:,} values, with names of at most {_LONGEST_NAME:,} "
                f"characters"
            )
        flat[name] = inner
        if isinstance(inner, dict | list):
            _add(flat, f"{name}.", inner)


def _note(names: dict[str, None], record: Record) -> None:
    """Adds the names of a record's values to those of the file."""
    for name, value in record.items():
        if name not in names and not isinstance(value, dict | list):
            if len(names) == _MOST_COLUMNS:
                raise ValueError(
                    f"the records have more than {_MOST_COLUMNS:,} different names of values. Expected "
                    f"one record for each architecture"
                )
            name.encode()  # half of a character is no name
            names[name] = None


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    if value is None:
        return ""
    _refuse_parts(value, name, "a text or a number")
    text = str(value).strip()
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"expected at most {_LONGEST_TEXT:,} characters in {name!r}")
    return text


def _number(record: Record, name: str) -> float:
    value = record.get(name)
    if value is None:
        return math.nan
    _refuse_parts(value, name, "a number")
    if type(value) not in (int, float):
        raise ValueError(f"expected a number in {name!r} but got {quoted(value, 100)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"expected a number in double precision in {name!r} but got a larger one")
    return number


def _refuse_parts(value: Any, name: str, expected: str) -> None:
    if isinstance(value, dict | list):
        kind = "a list" if isinstance(value, list) else "an object"
        first = short(str(next(iter(value), "…"))) if isinstance(value, dict) else "0"
        raise ValueError(
            f"expected {expected} in {name!r} but got {kind}, whose parts are columns of their own, "
            f"such as {name}.{first}"
        )


# JSON


class _RefusedError(ValueError):
    """What no more of the text would mend."""


def _constant(token: str) -> NoReturn:
    raise _RefusedError(f"{token} is no JSON; write null where there is no measurement")


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise _RefusedError(f"it has a number of {len(digits):,} digits")
    return int(digits)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RefusedError(f"an object has two values of the name {short(twice)!r}")
    return made


_DECODER = json.JSONDecoder(parse_constant=_constant, parse_int=_whole, object_pairs_hook=_object)


class _Stream:
    """The text of a file, of which little is in memory at once.

    Args:
        file: The file, opened for bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._ended = file, False
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at = "", 0
        start = file.read(4)
        refuse_utf16(start)
        self._text = self._decode.decode(start)

    def _more(self) -> None:
        data = self._file.read(_CHUNK)
        self._ended = not data
        self._text = self._text[self._at :] + self._decode.decode(data, final=self._ended)
        self._at = 0

    def next(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._more()

    def take(self, character: str) -> None:
        """Goes on behind a character."""
        if self.next() != character:
            self.refuse(repr(character))
        self._at += 1

    def end(self) -> None:
        """Refuses anything more."""
        if self.next():
            self.refuse("the end of the file")

    def refuse(self, expected: str) -> NoReturn:
        found = repr(self.next()) if self.next() else "the end of the file; is it cut off?"
        raise ValueError(f"expected {expected} but got {found}")

    def value(self) -> Any:
        """The next value, as soon as it is complete."""
        self.next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if self._ended:
                    raise
            else:
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            if len(self._text) - self._at > _LONGEST_RECORD:
                raise ValueError(f"it has more than {_LONGEST_RECORD:,} characters, or is no JSON")
            self._more()


class _Place:
    """Where in a file something is read."""

    at = ""


class _refusals:  # noqa: N801 (used as a function)
    """Turns whatever reading a file raises into an error that names the file and the place."""

    def __init__(self, path: Path) -> None:
        self._path, self._place = path, _Place()

    def __enter__(self) -> _Place:
        check_regular(self._path)
        return self._place

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        where = f"{self._path}, {self._place.at}" if self._place.at else str(self._path)
        if isinstance(error, NasbenchLabError) or not isinstance(error, Exception):
            return
        if isinstance(error, OSError):
            problem = f"cannot be read: {error.strerror or error}"
            raise TableFileError(f"{self._path} {problem}.") from error
        if isinstance(error, UnicodeDecodeError):
            raise TableFileError(f"{where} is not in UTF-8 ({error}). Save it as UTF-8.") from error
        if isinstance(error, RecursionError):
            raise TableFileError(f"{where}: it is nested too deeply.") from error
        what = "it is cut off or no JSON: " if isinstance(error, json.JSONDecodeError) else ""
        raise TableFileError(f"{where}: {what}{text_of(error, 500).rstrip('.')}.") from error


def _start(path: Path) -> str:
    """The beginning of a text."""
    check_regular(path)
    with open(path, "rb") as file:
        start = file.read(_LONGEST_RECORD)
    return codecs.getincrementaldecoder("utf-8-sig")().decode(start).lstrip(_BLANK)


def _has_lines(path: Path) -> bool:
    """Whether a file has a record on each line, by its suffix or by its first line."""
    if path.suffix.lower() in LINES:
        return True
    try:
        first, _, rest = _start(path).partition("\n")
    except (OSError, UnicodeError):  # it is told where the file is read
        return False
    return first[:1] == "{" and first.rstrip(_BLANK)[-1:] == "}" and rest.lstrip(_BLANK)[:1] == "{"

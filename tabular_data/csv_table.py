"""Any CSV or Parquet file of architectures, with a mapping file that describes its columns.

The mapping is a TOML file, by default beside the data file: ``results.toml`` for ``results.csv``::

    [table]
    name = "my-lab/cells"           # the name of the table
    space = "nb201"                 # a space that nasbench-lab knows; or see [[decisions]]
    architecture = "arch"           # the column with architectures in the space's syntax, or a
                                    # list of columns, one per decision, with options
    objective = "valid_accuracy"    # the column that a search sees by default
    report = "test_accuracy"        # the column of reported results; by default the objective
    description = "Trained on our cluster in May."   # this and the next three are optional
    citation = "@misc{us}"
    licence = "CC-BY-4.0"
    clock = "evaluations"

    repeats = "trials"              # several rows of one architecture are trials of it; by default
                                    # they are refused

    [[columns]]
    name = "valid_accuracy"
    from = ["acc_seed1", "acc_seed2"]   # a column of the file, or several: one per trial …
    trials = [1, 2]                     # … with their seeds
    quantity = "accuracy"               # by default the name
    unit = "%"
    maximize = true
    split = "valid"                     # train, valid, test or valid+test
    dataset = "cifar10"
    scale = 100                         # the file has fractions
    # also: schedule, trained_on, also (other words for data set and split), description

    [[columns]]
    name = "test_accuracy"
    from = { 1 = "test_1", 12 = "test_12" }   # one column per epoch; with trials, a list for each.
    unit = "%"                                # The same: from = ["test_1", "test_12"] with
    maximize = true                           # epochs = [1, 12]
    split = "test"

An empty cell, ``NaN``, ``NA``, ``None`` or ``null`` means that there is no measurement.

Times are columns of seconds with the quantity ``train_time`` (all training up to the epoch; without
epochs, the whole training), ``train_time_per_epoch`` or ``valid_time`` (one validation pass), of the
same data set and schedule as the objective. Searches may ask only for epochs with a known time.

A space of one's own takes the place of ``space`` and ``architecture``. Each decision has a column, and
the table keeps them, so that it opens on any machine:

    [[decisions]]
    name = "layers"
    options = [1, 2, 3, 4]
    ordered = true                      # neighbouring options are alike

    [[decisions]]
    name = "width of layer 3"
    column = "width_3"                  # by default the name
    options = [16, 32, 64]
    ordered = true
    active_if = { layers = [3, 4] }     # it exists only then, and its cells are blank otherwise

    [[decisions]]
    name = "learning_rate"              # drawn at random from a range: the options are the centres
    bins = 8                            # of bins of equal width; bins = [0.1, 0.2, 0.4] are edges
    log = true                          # equally wide, and with centres, in the logarithm

All conditions of a decision must hold, and they name earlier decisions. Numbers match by value: a cell
``1e-4`` is the option 0.0001. With bins, several rows may become one architecture; they are then trials
of it unless the table says ``repeats = "refuse"``. ``nasbench-lab import my.csv --draft`` writes a
mapping file from the columns, to be corrected.
"""

from __future__ import annotations

import csv
import json
import math
import re
import reprlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.bounded_files import check_regular
from nasbench_lab.errors import (
    InvalidArchitectureError,
    NasbenchLabError,
    SpaceError,
    TableFileError,
    UnknownNameError,
    short,
    text_of,
)
from nasbench_lab.files import refuse_utf16, sha256
from nasbench_lab.spaces import Architectures, Decision, SearchSpace, get_space, kept_decisions
from nasbench_lab.tables.columns import TableInfo
from nasbench_lab.tables.rows import LARGEST_DENSE, Rows, made_space, read_architectures, write_rows
from nasbench_lab.tables.sources import FileFormat, ImportOptions
from nasbench_lab.words import counted
from tabular_data._csv_draft import drafted
from tabular_data._csv_mapping import MappingFile, Source, read_mapping

MOST_ROWS = LARGEST_DENSE
"""The most rows of a file whose space is not known before, or has several rows per architecture."""

_ABSENT = ("", "nan", "na", "none", "null")
_MAGIC = b"PAR1"
_LONGEST_LINE = 1 << 20
_MOST_LINES = 1000
"""The most lines of a row; a text in quotation marks may have several."""
_LONGEST_TEXT = 10_000
"""The most characters of an architecture in a Parquet file."""
_FOOTER = 1 << 24
"""The most bytes of a Parquet file's description of itself."""
_UNPACKED = 1 << 28
"""The most bytes of a Parquet file's unpacked columns, besides 64 times the file's size."""


# The data file


@dataclass(frozen=True)
class _Data:
    """The columns of the mapping, texts and numbers by name, and the names of rows."""

    texts: dict[str, list[str]]
    numbers: dict[str, NDArray[np.float64]]
    place: Callable[[int], str]


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


def _read_text(path: Path, texts: list[str], numbers: list[str], mapping: Path, most: int) -> _Data:
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
    return _Data(
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
) -> _Data:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = pa.types
    numeric = types.is_integer, types.is_floating, types.is_decimal, types.is_null
    textual = types.is_string, types.is_large_string, types.is_boolean, *numeric
    wanted = list(dict.fromkeys([*texts, *numbers]))
    try:
        _check_footer(path)
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
    return _Data(
        lists,
        arrays,
        lambda row: f"row {row + 1}",
    )


def _check_footer(path: Path) -> None:
    """Refuses a file whose description of itself is too large."""
    check_regular(path)
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 8))
        end = file.read()
    length = int.from_bytes(end[:4], "little")
    if end[4:] == _MAGIC and length > _FOOTER:
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


# The table


def _architectures(
    place: Rows, data: _Data, mapping: MappingFile, space: SearchSpace
) -> Architectures:
    """``(rows, d)`` architectures of a space that is known."""
    names = mapping.architecture
    cells = [data.texts[name] for name in names]
    if not isinstance(mapping.table["architecture"], str):
        if len(names) != len(space.decisions):
            raise TableFileError(
                f"{mapping.path}, [table]: expected one column for each of the "
                f"{len(space.decisions)} decisions of {space.name!r} as 'architecture' but got "
                f"{len(names)}; decisions are "
                f"{', '.join(decision.name for decision in space.decisions)}."
            )
        return read_architectures(space, cells, names, place)
    result = []
    for row, text in enumerate(cells[0]):
        try:
            result.append(space.from_string(text))
        except InvalidArchitectureError as error:
            raise TableFileError(f"{place(row)}: {str(error)[:500]}") from error
    return np.array(result, dtype=np.int64).reshape(len(result), len(space.decisions))


def convert(path: Path, folder: Path, options: ImportOptions) -> None:
    """Writes the table of a CSV or Parquet file into an empty folder.

    Raises:
        TableFileError: The file or its mapping is missing, damaged or invalid.
    """
    is_parquet = _is_parquet(path)
    mapping_path = options.mapping or path.with_suffix(".toml")
    if not mapping_path.is_file():
        raise TableFileError(_needs_mapping(path, mapping_path))
    mapping = read_mapping(mapping_path, needs_space=options.space is None)
    table = mapping.table
    name = options.name or table["name"]
    space = _given_space(mapping, options.space)
    texts = mapping.architecture
    grids = [names for source in mapping.sources for names in source.names]
    numbers = list(dict.fromkeys(name for names in grids for name in names))
    most = MOST_ROWS if space is None or mapping.repeats else space.size
    if is_parquet:
        data = _read_parquet(path, texts, numbers, mapping_path, most)
    else:
        data = _read_text(path, texts, numbers, mapping_path, most)

    place = Rows(str(path), data.place)
    decisions: tuple[Decision, ...] = ()
    try:
        if space is None:
            cells = [data.texts[name] for name in texts]
            space, architectures = made_space(name, mapping.decisions, cells, place)
        else:
            architectures = _architectures(place, data, mapping, space)
        if mapping.decisions or options.space is not None:
            decisions = kept_decisions(space)
    except SpaceError as error:
        raise TableFileError(f"{mapping_path}: {error}") from error
    if not len(architectures):
        raise TableFileError(f"{path} has no rows.")

    def values(source: Source) -> NDArray[np.float64]:
        grid = [[data.numbers[name] for name in names] for names in source.names]
        with np.errstate(over="ignore"):
            result = source.scale * np.moveaxis(np.array(grid), 2, 0)
        if np.isinf(result).any():
            raise TableFileError(
                f"{mapping_path}: scale {source.scale} makes values of {source.column.name!r} "
                f"infinite."
            )
        return result

    digest = sha256(path)
    info = TableInfo(
        name=name,
        space=space.name,
        description=table.get("description", f"Imported from {path.name}."),
        citation=table.get("citation", ""),
        licence=table.get("licence", "none stated"),
        objective=table["objective"],
        report=table.get("report", table["objective"]),
        clock=table.get("clock", ""),
        source={
            "version": f"{path.name} {digest[:8]}",
            "file": path.name,
            "sha256": digest,
            "bytes": path.stat().st_size,
            "mapping": mapping_path.name,
            "mapping_sha256": sha256(mapping_path),
        },
        decisions=decisions,
    )
    columns = {source.column: partial(values, source) for source in mapping.sources}
    try:
        write_rows(folder, info, architectures, columns, place, repeats=mapping.repeats)
    except OverflowError as error:
        raise TableFileError(f"{mapping_path}, [table]: {error}") from error
    options.progress(len(architectures), len(architectures))


def _given_space(mapping: MappingFile, space: SearchSpace | None) -> SearchSpace | None:
    """The space that was given, or the registered one; None if the mapping has its decisions."""
    if space is None:
        if mapping.decisions:
            return None
        try:
            return get_space(mapping.table["space"])
        except UnknownNameError as error:
            raise TableFileError(
                f"{mapping.path}, [table]: {error} A space of your own is listed as [[decisions]], or "
                f"given as --space path/to/file.py:NAME."
            ) from error
    if mapping.decisions or mapping.table.get("space", space.name) != space.name:
        raise TableFileError(
            f"{mapping.path}: expected no space of its own, as {space.name!r} was given with the "
            f"command, but got {'[[decisions]]' if mapping.decisions else mapping.table['space']}."
        )
    return space


# Recognising


def recognise(path: Path) -> str | None:
    """The table's name: that of the mapping beside the file, else that of the file."""
    try:
        if not path.is_file() or path.suffix.lower() == ".toml":
            return None
        with open(path, "rb") as file:
            start = file.read(1 << 16)
        own = path.suffix.lower() in (".csv", ".tsv", ".parquet") or start[:4] == _MAGIC
        if not own and b"\0" in start:
            return None
        try:
            return _name(path.with_suffix(".toml"))
        except TableFileError:
            return _stem(path) if own else None
    except (OSError, ValueError):
        return None


def _is_parquet(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) == _MAGIC or path.suffix.lower() == ".parquet"
    except OSError as error:
        raise TableFileError(f"{path} cannot be read: {error.strerror or error}.") from error


def _header(path: Path) -> list[str]:
    """The names of a file's columns."""
    if _is_parquet(path):
        import pyarrow.parquet as pq

        _check_footer(path)
        return list(pq.read_schema(path).names)
    with open(path, encoding="utf-8-sig", newline="") as file:
        first = file.readline(1 << 20)
    delimiter = max(",\t;", key=first.count)
    cells = next(csv.reader([first], delimiter=delimiter, skipinitialspace=True), [])
    return [name.strip() for name in cells]


def draft(path: Path) -> str:
    """The text of a first mapping file, guessed from the columns.

    Raises:
        TableFileError: The file cannot be read, or nothing can be guessed.
    """
    try:
        header = _header(path)
    except TableFileError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise TableFileError(f"{path} cannot be read: {text_of(error, 300)}.") from error
    names = [name for name in header if header.count(name) == 1]
    if _is_parquet(path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        nested = {field.name for field in pq.read_schema(path) if pa.types.is_nested(field.type)}
        names = [name for name in names if name not in nested]
        data = _read_parquet(path, names, [], path, MOST_ROWS)
    else:
        data = _read_text(path, names, [], path, MOST_ROWS)
    if not names or not data.texts[names[0]]:
        raise TableFileError(f"{path} has no rows.")
    return drafted(_stem(path), path.name, data.texts)


def _stem(path: Path) -> str:
    return re.sub(r"[^\w+-]+", "-", path.stem).strip("-") or "table"


def _needs_mapping(path: Path, mapping: Path) -> str:
    """The message without a mapping file, with a first mapping for this file."""
    header: list[str] = []
    with suppress(Exception):  # the names of columns stay open
        header = _header(path)
    header = [short(name, 100) for name in header[:20]]
    names = json.dumps(header, ensure_ascii=False)[1:-1]
    architecture, value = (*map(json.dumps, header[:2]), '"arch"', '"acc"')[:2]
    return (
        f"{path} needs a mapping file that describes its columns ({names}). Have one drafted, to be "
        f"corrected: nasbench-lab import {path} --draft. Or write {mapping}, such as:\n\n"
        f'[table]\nname = "my-table"\nspace = "nb201"\narchitecture = {architecture}\n'
        f'objective = "valid_accuracy"\n\n'
        f'[[columns]]\nname = "valid_accuracy"\nfrom = {value}\nquantity = "accuracy"\n'
        f'unit = "%"\nmaximize = true\nsplit = "valid"\n\n'
        f"All keys are described in tabular_data/csv_table.py."
    )


def _name(mapping: Path) -> str:
    return str(read_mapping(mapping, needs_space=False).table["name"])


FORMAT = FileFormat(
    name="CSV or Parquet",
    tables={},
    recognise=recognise,
    convert=convert,
    named_by=_name,
    draft=draft,
)
"""The format of any other files. It recognises files by suffix too, so it is asked last."""

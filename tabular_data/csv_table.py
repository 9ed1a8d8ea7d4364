"""Any CSV, JSON or Parquet file of architectures, with a mapping file that describes its columns.

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

A JSON file has a record on each line (JSON Lines), a list of records, or an object with a record for
each architecture, whose names are the column ``key``. What is nested in a record is a column named by
the way there: ``from = "cost.latency"``, or ``"accuracies.0"`` of a list. Where there is no
measurement it has ``null``, or not the name at all; ``NaN`` is no JSON.

Times are columns of seconds with the quantity ``train_time`` (all training up to the epoch; without
epochs, the whole training), ``train_time_per_epoch`` or ``valid_time`` (one validation pass), of the
same data set and schedule as the objective. Searches may ask only for epochs with a known time.

Columns of another kind, such as latencies, may join a table that is there already. The new table has
the columns of both, and the space, the tasks and, unless the mapping has its own, the objective, report
and clock of that table, which stays as it is:

    [table]
    name = "my-lab/latencies"
    join = "nas-bench-201-final"        # in place of a space
    architecture = "arch"

Rows find isomorphic architectures too. Those that say the same of one architecture count once; those
that differ are refused, or trials of it with ``repeats = "trials"``. Architectures that only one of the
two has are counted: those of the file are left out, those of the table lack the file's values.

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

import json
import re
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import (
    MissingSourceError,
    SpaceError,
    TableFileError,
    UnknownNameError,
    short,
    text_of,
)
from nasbench_lab.files import sha256
from nasbench_lab.spaces import Architectures, Decision, SearchSpace, get_space, kept_decisions
from nasbench_lab.tables.columns import TableInfo
from nasbench_lab.tables.rows import LARGEST_DENSE, Rows, made_space, read_architectures, write_rows
from nasbench_lab.tables.sources import FileFormat, ImportOptions
from nasbench_lab.tables.table import Table
from tabular_data._csv_columns import (
    PARQUET,
    Data,
    header_of,
    is_parquet,
    parsed_architectures,
    read_columns,
)
from tabular_data._csv_draft import drafted
from tabular_data._csv_join import write_joined
from tabular_data._csv_mapping import MappingFile, Source, read_mapping
from tabular_data._json_columns import SUFFIXES, is_json, json_header, read_json

MOST_ROWS = LARGEST_DENSE
"""The most rows of a file whose space is not known before, or has several rows per architecture."""


# The table


def _architectures(
    place: Rows, data: Data, mapping: MappingFile, space: SearchSpace
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
    return parsed_architectures(space, cells[0], place)


def convert(path: Path, folder: Path, options: ImportOptions) -> None:
    """Writes the table of a CSV, JSON or Parquet file into an empty folder.

    Raises:
        TableFileError: The file or its mapping is missing, damaged or invalid.
    """
    mapping_path = options.mapping or path.with_suffix(".toml")
    if not mapping_path.is_file():
        raise TableFileError(_needs_mapping(path, mapping_path))
    mapping = read_mapping(mapping_path, needs_space=options.space is None)
    table = mapping.table
    name = options.name or table["name"]
    base = _base(mapping, options)
    space = _given_space(mapping, options.space) if base is None else base.space
    texts = mapping.architecture
    grids = [names for source in mapping.sources for names in source.names]
    numbers = list(dict.fromkeys(name for names in grids for name in names))
    most = MOST_ROWS if space is None or mapping.repeats else space.size
    data = _read(path, texts, numbers, mapping_path, most)
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
    source: dict[str, str | int] = {
        "version": f"{path.name} {digest[:8]}",
        "file": path.name,
        "sha256": digest,
        "bytes": path.stat().st_size,
        "mapping": mapping_path.name,
        "mapping_sha256": sha256(mapping_path),
    }
    columns = {one.column: partial(values, one) for one in mapping.sources}
    try:
        if base is not None:
            write_joined(folder, base, mapping, name, source, architectures, columns, place)
        else:
            info = _info(mapping, name, space, decisions, source)
            write_rows(folder, info, architectures, columns, place, repeats=mapping.repeats)
    except OverflowError as error:
        raise TableFileError(f"{mapping_path}, [table]: {error}") from error
    options.progress(len(architectures), len(architectures))


def _info(
    mapping: MappingFile,
    name: str,
    space: SearchSpace,
    decisions: tuple[Decision, ...],
    source: dict[str, str | int],
) -> TableInfo:
    """The description of a table of its own."""
    table = mapping.table
    return TableInfo(
        name=name,
        space=space.name,
        description=table.get("description", f"Imported from {source['file']}."),
        citation=table.get("citation", ""),
        licence=table.get("licence", "none stated"),
        objective=table["objective"],
        report=table.get("report", table["objective"]),
        clock=table.get("clock", ""),
        source=source,
        decisions=decisions,
    )


def _base(mapping: MappingFile, options: ImportOptions) -> Table | None:
    """The table that the columns join, if the mapping names one."""
    if mapping.join is None:
        return None
    if options.space is not None:
        raise TableFileError(
            f"{mapping.path}: expected no space with the command, as the columns join "
            f"{mapping.join!r}, whose space is known."
        )
    if options.name == mapping.join:
        raise TableFileError(
            f"{mapping.join!r} stays as it is. Give the table with the columns of both another name."
        )
    try:
        return options.open_table(mapping.join)
    except (UnknownNameError, MissingSourceError) as error:
        raise TableFileError(f"{mapping.path}, [table], join: {error}") from error


def _read(path: Path, texts: list[str], numbers: list[str], mapping: Path, most: int) -> Data:
    """Columns of a file, as ``read_columns`` gives them."""
    read = read_json if is_json(path) else read_columns
    return read(path, texts, numbers, mapping, most)


def _header(path: Path) -> list[str]:
    """The names of a file's columns."""
    return json_header(path) if is_json(path) else header_of(path)


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
        own = path.suffix.lower() in (".csv", ".tsv", ".parquet", *SUFFIXES) or start[:4] == PARQUET
        if not own and b"\0" in start:
            return None
        try:
            return _name(path.with_suffix(".toml"))
        except TableFileError:
            return _stem(path) if own else None
    except (OSError, ValueError):
        return None


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
    if is_parquet(path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        nested = {field.name for field in pq.read_schema(path) if pa.types.is_nested(field.type)}
        names = [name for name in names if name not in nested]
    data = _read(path, names, [], path, MOST_ROWS)
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
    name="CSV, JSON or Parquet",
    tables={},
    recognise=recognise,
    convert=convert,
    named_by=_name,
    draft=draft,
)
"""The format of any other files. It recognises files by suffix too, so it is asked last."""

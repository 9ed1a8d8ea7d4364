"""NAS-Bench-101, from the official files ``nasbench_full.tfrecord`` and ``nasbench_only108.tfrecord``.

Ying et al., "NAS-Bench-101: Towards reproducible neural architecture search", ICML 2019
(arXiv 1902.09635). A TFRecord file is a row of records, each with its length and masked CRC-32C
checksums of length and content. A record here is the JSON list [module hash, epochs, adjacency
digits, operations, base64 of a protobuf message ``ModelMetrics``] of one training
(``model_metrics.proto`` of google-research/nasbench). Neither TensorFlow nor protobuf is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import TableFileError
from nasbench_lab.processes import in_processes
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.sources import FileFormat, ImportOptions
from nasbench_lab.tables.table import Table
from tabular_data._nas_bench_101_records import (
    QUANTITIES,
    SCHEDULES,
    Chunk,
    Trainings,
    chunks_of,
    content_of,
    digests,
    fields_of,
    length_of,
    read,
    space_nb101,
    wrong,
)
from tabular_data._origins import origin

NAME = "nas-bench-101"
REPEATS = 3
ARCHITECTURES = 423_624
"""The number of classes of isomorphic cells."""

_CITATION = """@inproceedings{ying2019nasbench101,
  title = {{NAS-Bench-101}: Towards Reproducible Neural Architecture Search},
  author = {Ying, Chris and Klein, Aaron and Christiansen, Eric and Real, Esteban and
            Murphy, Kevin and Hutter, Frank},
  booktitle = {International Conference on Machine Learning},
  year = {2019}
}"""

_CELLS_PER_TASK = 8192


def recognise(path: Path) -> str | None:
    """Names the table if the file's first record is that of a training."""
    try:
        if not path.is_file():
            return None
        with open(path, "rb") as file:
            length = length_of(file.read(12))
            content = content_of(file.read(length + 4))
        fields_of(content)
    except Exception:  # the content may be anything
        return None
    return NAME


def convert(path: Path, folder: Path, options: ImportOptions) -> None:
    """Writes the table of an official file into an empty folder.

    Raises:
        TableFileError: The file is truncated, damaged, or holds something else.
    """
    chunks = chunks_of(path)
    total = sum(chunk.n for chunk in chunks)
    parts = []
    options.progress(0, total)
    tasks = [partial(read, path, options.curves, chunk) for chunk in chunks]
    with closing(in_processes(tasks, options.jobs, ordered=True)) as results:
        for number, part in results:
            parts.append(part)
            options.progress(chunks[number].first + chunks[number].n, total)

    keys, row, hashes = _cells(path, chunks, parts, options.jobs)
    epochs = np.concatenate([part.epochs for part in parts])
    counts = np.concatenate([part.parameters for part in parts])
    codes = np.concatenate([part.code for part in parts])
    nodes = np.concatenate([part.nodes for part in parts])
    values = [part.values for part in parts]
    steps = _steps(parts)
    del parts, part  # their other arrays are large for the full file

    schedules = np.unique(epochs)
    schedule = np.searchsorted(schedules, epochs).astype(np.int8)
    if SCHEDULES[-1] not in schedules:
        raise TableFileError(f"{path}: it holds no training of {SCHEDULES[-1]} epochs.")
    repeat = _places(row * len(schedules) + schedule)
    if (more := np.flatnonzero(repeat >= REPEATS)).size:
        i = int(more[0])
        problem = (
            f"its cell was trained for {epochs[i]} epochs more than {REPEATS} times in this file"
        )
        raise wrong(path, chunks, i, problem)
    firsts = _firsts(row, schedule, (len(keys), len(schedules)))
    first = firsts.min(axis=1)
    extra: dict[str, NDArray[Any]] = {
        "module_hash": hashes,
        "own_cell": codes[first].astype(np.int32),
        "own_nodes": nodes[first],
        "file_order": np.argsort(first).astype(np.int32),
        "schedule_order": firsts.argsort(axis=1).astype(np.uint8),
    }
    del codes, nodes, firsts
    parameters = counts[first]
    if (bad := np.flatnonzero(parameters[row] != counts)).size:
        i = int(bad[0])
        problem = f"it has {counts[i]:,} parameters, but earlier ones have {parameters[row[i]]:,}"
        raise wrong(path, chunks, i, problem)

    columns: dict[Column, Any] = {}
    missing = []
    if len(keys) < ARCHITECTURES:
        missing.append(f"{ARCHITECTURES - len(keys):,} of the {ARCHITECTURES:,} cells are missing.")
    if absent := [str(s) for s in SCHEDULES if s not in schedules]:
        missing.append(f"The file has no trainings of {', '.join(absent)} epochs.")
    for i, s in enumerate(schedules.tolist()):
        records = np.flatnonzero(schedule == i)
        cells = len(np.unique(row[records[repeat[records] == REPEATS - 1]]))
        if cells < len(keys):
            missing.append(
                f"{len(keys) - cells:,} of the {len(keys):,} cells lack one or more of the "
                f"{REPEATS} trainings of {s} epochs."
            )
        # Columns are functions, as those of the full file together need much memory.
        places = row[records], repeat[records], records
        columns |= _columns(s, options.curves, partial(_fill, values, places, len(keys), np.nan))
        if steps is not None:
            extra |= _step_arrays(s, options.curves, partial(_fill, steps, places, len(keys), 0))
    columns[
        Column(
            "parameters",
            "parameters",
            "M",
            False,
            dataset="cifar10",
            trials=("the same in all trainings",),
            description="trainable ones",
        )
    ] = parameters / 1e6

    info = TableInfo(
        name=options.name or NAME,
        space="nb101",
        description=_description(len(keys), schedules.tolist(), options.curves),
        citation=_CITATION,
        licence="Apache-2.0",
        objective=f"{SCHEDULES[-1]}.valid.accuracy",
        report=f"{SCHEDULES[-1]}.test.accuracy",
        source=origin(path, path.stem),
        clock="train_only",
        missing=tuple(missing),
    )
    Table.write(
        folder,
        info,
        columns,
        keys=keys,
        extra=extra,
        place=lambda row: f"{path}, cell {hashes[row].decode()}",
    )


def _cells(
    path: Path, chunks: Sequence[Chunk], parts: Sequence[Trainings], jobs: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.bytes_]]:
    """The cells of the records, with a check of their hashes.

    Returns:
        ``(rows,)`` ascending indices of the canonical cells, ``(n,)`` row of each record, and
        ``(rows,)`` module hashes.

    Raises:
        TableFileError: A hash is not that of its cell.
    """
    codes, cell = np.unique(np.concatenate([part.code for part in parts]), return_inverse=True)
    blocks = [codes[i : i + _CELLS_PER_TASK] for i in range(0, len(codes), _CELLS_PER_TASK)]
    tasks = [partial(_hashes, block) for block in blocks]
    with closing(in_processes(tasks, jobs, ordered=True)) as results:
        hashes = [text for _, some in results for text in some]
    expected = digests("".join(hashes))
    for chunk, part in zip(chunks, parts, strict=True):
        here = cell[chunk.first : chunk.first + chunk.n]
        if (bad := np.flatnonzero((part.digest != expected[here]).any(axis=1))).size:
            i = int(bad[0])
            problem = (
                f"its cell has the module hash {hashes[here[i]]}, not "
                f"{part.digest[i].tobytes().hex()}"
            )
            raise wrong(path, chunks, chunk.first + i, problem)
    space = space_nb101()
    keys, first, row = np.unique(
        space.index(space.canonical(space.at(codes))), return_index=True, return_inverse=True
    )
    return keys, row.astype(np.int32)[cell], np.array(hashes, dtype="S32")[first]


def _description(n: int, schedules: list[int], curves: bool) -> str:
    when = "half-way through and at the end" if curves else "at the end"
    return (
        f"NAS-Bench-101 on CIFAR-10: accuracy on training, validation and test data and training "
        f"time, {when} of trainings of {', '.join(map(str, schedules))} epochs, of {n:,} cells. "
        f"Each schedule is a training of its own. Trials are up to {REPEATS} repeats in the order "
        f"of the file; their seeds are not known. Training times do not include evaluation, whose "
        f"time is not known, so that only training can be charged. 'module_hash' holds the official "
        f"hash of each row, 'own_cell' and 'own_nodes' the cell as the file writes it, and "
        f"'file_order' the rows in the order of the file."
    )


def _firsts(
    row: NDArray[np.int32], schedule: NDArray[np.int8], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """``(rows, schedules)``: the number of the first record of each; that of all records for none."""
    firsts = np.full(shape, len(row))
    for i in range(shape[1]):
        records = np.flatnonzero(schedule == i)[::-1]
        firsts[row[records], i] = records  # the last of several stays, so the first of the file
    return firsts


def _steps(parts: Sequence[Trainings]) -> list[NDArray[np.int8]] | None:
    """The steps of all records; None if all are 0."""
    if all(part.steps is None for part in parts):
        return None
    width = next(part.steps.shape[1] for part in parts if part.steps is not None)
    return [
        np.zeros((len(part.epochs), width), dtype=np.int8) if part.steps is None else part.steps
        for part in parts
    ]


def _columns(
    epochs: int, curves: bool, fill: Callable[[Sequence[int]], NDArray[np.float64]]
) -> dict[Column, Callable[[], NDArray[np.float64]]]:
    """The columns of a schedule, with the functions of their values."""
    shared: dict[str, Any] = {
        "dataset": "cifar10",
        "schedule": str(epochs),
        "trials": tuple(range(1, REPEATS + 1)),
    }
    measured = (epochs // 2, epochs) if curves else (epochs,)
    n = len(QUANTITIES)

    def values(quantity: int) -> Callable[[], NDArray[np.float64]]:
        return partial(fill, [quantity + n * i for i in range(len(measured))])

    columns = {
        Column(
            f"{epochs}.{split}.accuracy",
            "accuracy",
            "%",
            True,
            split=split,
            epochs=measured,
            description="on 10,000 images; one trial per repeat, in the order of the file",
            **shared,
        ): values(QUANTITIES.index(split))
        for split in ("valid", "test", "train")
    }
    columns[
        Column(
            f"{epochs}.train_time",
            "train_time",
            "s",
            False,
            epochs=measured,
            description="training up to the epoch, evaluation not included",
            **shared,
        )
    ] = values(QUANTITIES.index("train_time"))
    columns[
        Column(
            f"{epochs}.total_time",
            "total_time",
            "s",
            False,
            description="training and all evaluations",
            **shared,
        )
    ] = partial(fill, [n * len(measured)])
    return columns


def _step_arrays(
    epochs: int, curves: bool, fill: Callable[[Sequence[int]], NDArray[np.int8]]
) -> dict[str, NDArray[np.int8]]:
    """The arrays of a schedule that make its accuracies the exact fractions of the file."""
    splits = QUANTITIES[1:]
    measured = range(2 if curves else 1)
    return {
        f"{epochs}.{split}.steps": fill([i + len(splits) * half for half in measured])
        for i, split in enumerate(splits)
    }


_Number = TypeVar("_Number", np.float64, np.int8)


def _fill(
    values: list[NDArray[_Number]],
    places: tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.int64]],
    rows: int,
    missing: float,
    fields: Sequence[int],
) -> NDArray[_Number]:
    """``(rows, repeats, fields)`` values of some records.

    Args:
        values: The values of all records.
        places: Row, repeat and number of each record that is taken.
        rows: The number of rows.
        missing: Stands where there is no record.
        fields: The columns of ``values`` that are taken.
    """
    row, repeat, records = places
    result = np.full((rows, REPEATS, len(fields)), missing, dtype=values[0].dtype)
    for i, field in enumerate(fields):
        column = np.concatenate([some[:, field] for some in values])
        result[row, repeat, i] = column[records]
    return result


def _places(group: NDArray[np.int64]) -> NDArray[np.int8]:
    """``(n,)``: the number of each element within its group, from 0 in order."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    new = np.append(True, ordered[1:] != ordered[:-1])
    starts = np.flatnonzero(new)
    result = np.empty(len(group), dtype=np.int8)
    place = np.arange(len(group)) - starts[np.cumsum(new) - 1]
    result[order] = np.minimum(place, np.iinfo(np.int8).max)
    return result


def _hashes(codes: NDArray[np.int64]) -> list[str]:
    space = space_nb101()
    return space.module_hash(space.at(codes))


FORMAT = FileFormat(
    name="NAS-Bench-101",
    tables={NAME: "nasbench_full.tfrecord or nasbench_only108.tfrecord"},
    recognise=recognise,
    convert=convert,
    official=("nasbench_full.tfrecord", "nasbench_only108.tfrecord"),
)
"""The format of NAS-Bench-101."""

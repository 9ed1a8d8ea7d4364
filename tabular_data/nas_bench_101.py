"""NAS-Bench-101, from the official files ``nasbench_full.tfrecord`` and ``nasbench_only108.tfrecord``.

Ying et al., "NAS-Bench-101: Towards reproducible neural architecture search", ICML 2019
(arXiv 1902.09635). A TFRecord file is a row of records, each with its length and masked CRC-32C
checksums of length and content. A record here is the JSON list [module hash, epochs, adjacency
digits, operations, base64 of a protobuf message ``ModelMetrics``] of one training
(``model_metrics.proto`` of google-research/nasbench). Neither TensorFlow nor protobuf is needed.
"""

from __future__ import annotations

import base64
import json
import math
import re
import reprlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import google_crc32c
import joblib
import numpy as np
from numpy.typing import NDArray

from nasbench_lab.columns import Column, TableInfo
from nasbench_lab.errors import InvalidArchitectureError, TableFileError
from nasbench_lab.files import sha256
from nasbench_lab.sources import FileFormat, ImportOptions
from nasbench_lab.spaces import NB101Space, get_space
from nasbench_lab.table import Table

NAME = "nas-bench-101"
SCHEDULES = (4, 12, 36, 108)
"""Epochs of the four trainings."""
REPEATS = 3
ARCHITECTURES = 423_624
"""Cells of the space that differ."""

_CITATION = """@inproceedings{ying2019nasbench101,
  title = {{NAS-Bench-101}: Towards Reproducible Neural Architecture Search},
  author = {Ying, Chris and Klein, Aaron and Christiansen, Eric and Real, Esteban and
            Murphy, Kevin and Hutter, Frank},
  booktitle = {International Conference on Machine Learning},
  year = {2019}
}"""

_LONGEST = 1 << 16
"""Bytes of a record; real ones have less than a thousand."""
_RECORDS_PER_CHUNK = 8192
_CELLS_PER_TASK = 8192

# What is kept of a training: the entries half-way and at the end of it, then the total time.
_QUANTITIES = ("train_time", "train", "valid", "test")
_HASH = re.compile(r"[0-9a-f]{32}")

_T = TypeVar("_T")
_R = TypeVar("_R")


class _WrongError(ValueError):
    """What is wrong with a record."""


@dataclass(frozen=True)
class _Chunk:
    """Consecutive records of a file.

    Args:
        start: Byte at which they start.
        stop: Byte at which they end.
        first: Number of the first record, counted from 0.
        n: Number of records.
    """

    start: int
    stop: int
    first: int
    n: int


@dataclass(frozen=True)
class _Trainings:
    """What ``n`` records say.

    Args:
        code: ``(n,)`` indices of the cells in the space, as they are written in the file.
        digest: ``(n, 2)`` module hashes, as two 64-bit numbers.
        epochs: ``(n,)``.
        parameters: ``(n,)``.
        values: ``(n, 9)``, or ``(n, 5)`` without curves: for half-way and end the training time and
            the three accuracies, then the total time.
    """

    code: NDArray[np.int64]
    digest: NDArray[np.uint64]
    epochs: NDArray[np.int16]
    parameters: NDArray[np.int32]
    values: NDArray[np.float64]


def recognise(path: Path) -> str | None:
    """Names the table if the file's first record is that of a training."""
    try:
        if not path.is_file():
            return None
        with open(path, "rb") as file:
            length = _length(file.read(12))
            content = _content(file.read(length + 4))
        _fields_of(content)
    except Exception:  # whatever the content
        return None
    return NAME


def convert(path: Path, folder: Path, options: ImportOptions) -> None:
    """Writes the table of an official file into an empty folder.

    Raises:
        TableFileError: The file is truncated, damaged, or holds something else.
    """
    chunks = _chunks(path)
    total = sum(chunk.n for chunk in chunks)
    parts = []
    options.progress(0, total)
    for chunk, part in zip(
        chunks, _map(partial(_read, path, options.curves), chunks, options.jobs), strict=True
    ):
        parts.append(part)
        options.progress(chunk.first + chunk.n, total)

    keys, row, hashes = _cells(path, chunks, parts, options.jobs)
    epochs = np.concatenate([part.epochs for part in parts])
    given = np.concatenate([part.parameters for part in parts])
    values = [part.values for part in parts]
    del parts, part  # what else they hold is much in the full file

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
        raise _wrong(path, chunks, i, problem)
    parameters = np.zeros(len(keys), dtype=np.int32)
    parameters[row[::-1]] = given[::-1]  # the first record's stay
    if (bad := np.flatnonzero(parameters[row] != given)).size:
        i = int(bad[0])
        problem = f"it has {given[i]:,} parameters, but earlier ones have {parameters[row[i]]:,}"
        raise _wrong(path, chunks, i, problem)

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
        # Functions, as all columns of the full file together need much memory.
        fill = partial(_fill, values, records, row, repeat, len(keys))
        columns |= _columns(s, options.curves, fill)
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
        source={
            "version": path.stem,
            "file": path.name,
            "sha256": sha256(path),
            "bytes": path.stat().st_size,
        },
        clock="train_only",
        missing=tuple(missing),
    )
    Table.write(folder, info, columns, keys=keys, extra={"module_hash": hashes})


def _cells(
    path: Path, chunks: Sequence[_Chunk], parts: Sequence[_Trainings], jobs: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.bytes_]]:
    """The cells of the records, each of which has the hash that its records say.

    Returns:
        ``(rows,)`` ascending indices of the canonical cells, ``(n,)`` row of each record, and
        ``(rows,)`` module hashes.

    Raises:
        TableFileError: A hash is not that of its cell.
    """
    codes, cell = np.unique(np.concatenate([part.code for part in parts]), return_inverse=True)
    blocks = [codes[i : i + _CELLS_PER_TASK] for i in range(0, len(codes), _CELLS_PER_TASK)]
    hashes = [text for some in _map(_hashes, blocks, jobs) for text in some]
    expected = _digests("".join(hashes))
    for chunk, part in zip(chunks, parts, strict=True):
        here = cell[chunk.first : chunk.first + chunk.n]
        if (bad := np.flatnonzero((part.digest != expected[here]).any(axis=1))).size:
            i = int(bad[0])
            problem = (
                f"its cell has the module hash {hashes[here[i]]}, not "
                f"{part.digest[i].tobytes().hex()}"
            )
            raise _wrong(path, chunks, chunk.first + i, problem)
    space = _space()
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
        f"hash of each row."
    )


def _columns(
    epochs: int, curves: bool, fill: Callable[[Sequence[int]], NDArray[np.float64]]
) -> dict[Column, Callable[[], NDArray[np.float64]]]:
    """The columns of one schedule, and what makes their values."""
    shared: dict[str, Any] = {
        "dataset": "cifar10",
        "schedule": str(epochs),
        "trials": tuple(range(1, REPEATS + 1)),
    }
    measured = (epochs // 2, epochs) if curves else (epochs,)
    n = len(_QUANTITIES)

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
        ): values(_QUANTITIES.index(split))
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
    ] = values(_QUANTITIES.index("train_time"))
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


def _fill(
    values: list[NDArray[np.float64]],
    records: NDArray[np.int64],
    row: NDArray[np.int32],
    repeat: NDArray[np.int8],
    rows: int,
    fields: Sequence[int],
) -> NDArray[np.float64]:
    """``(rows, repeats, fields)`` values of some records, NaN where there is none."""
    result = np.full((rows, REPEATS, len(fields)), np.nan)
    for i, field in enumerate(fields):
        column = np.concatenate([some[:, field] for some in values])
        result[row[records], repeat[records], i] = column[records]
    return result


def _places(group: NDArray[np.int64]) -> NDArray[np.int8]:
    """``(n,)``: which of its group each element is, counted from 0 in order."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    new = np.append(True, ordered[1:] != ordered[:-1])
    starts = np.flatnonzero(new)
    result = np.empty(len(group), dtype=np.int8)
    place = np.arange(len(group)) - starts[np.cumsum(new) - 1]
    result[order] = np.minimum(place, np.iinfo(np.int8).max)
    return result


def _map(function: Callable[[_T], _R], tasks: Sequence[_T], jobs: int) -> Iterable[_R]:
    """Applies a function, in order, with several processes if there is enough to do."""
    if jobs == 1 or len(tasks) < 2:
        return map(function, tasks)
    results: Iterable[_R] = joblib.Parallel(n_jobs=jobs, return_as="generator")(
        joblib.delayed(function)(task) for task in tasks
    )
    return results


def _space() -> NB101Space:
    space = get_space("nb101")
    assert isinstance(space, NB101Space)
    return space


def _hashes(codes: NDArray[np.int64]) -> list[str]:
    space = _space()
    return space.module_hash(space.at(codes))


def _digests(hashes: str) -> NDArray[np.uint64]:
    """``(n, 2)``: hexadecimal hashes, one after another, as numbers."""
    return np.frombuffer(bytes.fromhex(hashes), dtype=np.uint64).reshape(-1, 2)


def _wrong(path: Path, chunks: Sequence[_Chunk], number: int, problem: str) -> TableFileError:
    """The error about a record that was read before."""
    chunk = next(chunk for chunk in chunks if number < chunk.first + chunk.n)
    with open(path, "rb") as file:
        file.seek(chunk.start)
        data = file.read(chunk.stop - chunk.start)
    position = 0
    for _ in range(number - chunk.first):
        position += 16 + _length(data[position : position + 12])
    return _error(path, number, chunk.start + position, problem)


def _error(path: Path, number: int, offset: int, problem: object) -> TableFileError:
    return TableFileError(f"{path}: record {number} at byte {offset:,}: {problem}.")


# TFRecord


def _chunks(path: Path) -> list[_Chunk]:
    """Where the records are, by their lengths."""
    size = path.stat().st_size
    chunks, start, first, number, offset = [], 0, 0, 0, 0
    with open(path, "rb") as file:
        while offset < size:
            try:
                length = _length(file.read(12))
                if offset + 16 + length > size:
                    raise _WrongError(
                        f"it has {length + 16:,} bytes, but the file ends after "
                        f"{size - offset:,}; it is truncated"
                    )
            except _WrongError as error:
                raise _error(path, number, offset, error) from None
            file.seek(length + 4, 1)
            offset += 16 + length
            number += 1
            if number - first == _RECORDS_PER_CHUNK or offset == size:
                chunks.append(_Chunk(start, offset, first, number - first))
                start, first = offset, number
    if not chunks:
        raise TableFileError(f"{path}: it is empty.")
    return chunks


def _length(head: bytes) -> int:
    """The length of a record from the 12 bytes that it starts with."""
    if len(head) < 12:
        raise _WrongError("the file ends within a record's length; it is truncated")
    length, checksum = struct.unpack("<QI", head)
    if _masked_crc(head[:8]) != checksum:
        raise _WrongError("the checksum of its length is wrong; the file is no TFRecord or damaged")
    if length > _LONGEST:
        raise _WrongError(f"expected at most {_LONGEST:,} bytes but got {length:,}")
    return int(length)


def _content(data: bytes) -> bytes:
    """The content of a record from its content and checksum."""
    content = data[:-4]
    if len(data) < 4 or _masked_crc(content) != int.from_bytes(data[-4:], "little"):
        raise _WrongError("its checksum is wrong; the file is damaged")
    return content


def _masked_crc(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# Records


def _read(path: Path, curves: bool, chunk: _Chunk) -> _Trainings:
    """Reads some records; their values are finite and in range."""
    with open(path, "rb") as file:
        file.seek(chunk.start)
        data = file.read(chunk.stop - chunk.start)
    space = _space()
    cells: dict[tuple[str, str], int] = {}
    hashes, codes, epochs, parameters, values = [], [], [], [], []
    offsets = []
    position = 0
    for i in range(chunk.n):
        offsets.append(position)
        try:
            start = position + 12
            position = start + _length(data[position:start]) + 4
            module_hash, n_epochs, adjacency, operations, packed = _fields_of(
                _content(data[start:position])
            )
            code = cells.get((adjacency, operations))
            if code is None:
                code = space.index(space.from_string(f"{adjacency}:{operations}"))
                cells[adjacency, operations] = code
            n_parameters, row = _metrics(base64.b64decode(packed, validate=True))
        except InvalidArchitectureError as error:
            problem = f"it is of no cell of the space: {str(error)[:300]}"
            raise _error(path, chunk.first + i, chunk.start + offsets[i], problem) from error
        except _WrongError as error:
            raise _error(path, chunk.first + i, chunk.start + offsets[i], error) from None
        except (ValueError, RecursionError) as error:  # of JSON and base64
            problem = f"it cannot be read ({error})"
            raise _error(path, chunk.first + i, chunk.start + offsets[i], problem) from error
        hashes.append(module_hash)
        codes.append(code)
        epochs.append(n_epochs)
        parameters.append(n_parameters)
        values.append(row)

    table = np.array(values)
    n = len(_QUANTITIES)
    fractions = table[:, [i for i in range(2 * n) if i % n]]
    times = table[:, [0, n, 2 * n]]
    good = ((fractions >= 0) & (fractions <= 1)).all(axis=1) & (
        (times >= 0) & (times < np.inf) | np.isnan(times) & [False, False, True]
    ).all(axis=1)
    if not good.all():
        i = int(np.argmin(good))
        problem = (
            f"expected accuracies from 0 to 1 and times of at least 0 s but got "
            f"{', '.join(map(str, values[i]))}"
        )
        raise _error(path, chunk.first + i, chunk.start + offsets[i], problem)
    table[:, [i for i in range(2 * n) if i % n]] = 100 * fractions
    return _Trainings(
        np.array(codes, dtype=np.int64),
        _digests("".join(hashes)),
        np.array(epochs, dtype=np.int16),
        np.array(parameters, dtype=np.int32),
        table if curves else table[:, n:].copy(),
    )


def _fields_of(content: bytes) -> tuple[str, int, str, str, str]:
    """The five entries of a record."""
    fields = json.loads(content.decode())
    shape = [type(field) for field in fields] if isinstance(fields, list) else []
    if shape != [str, int, str, str, str] or not _HASH.fullmatch(fields[0]):
        raise _WrongError(
            f"expected [module hash, epochs, adjacency, operations, metrics] but got "
            f"{reprlib.repr(fields)}"
        )
    if fields[1] not in SCHEDULES:
        raise _WrongError(
            f"expected a training of {', '.join(map(str, SCHEDULES))} epochs but got "
            f"{reprlib.repr(fields[1])}"
        )
    return tuple(fields)


# Protobuf: field numbers as in model_metrics.proto.

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DOUBLE = struct.Struct("<d")


def _metrics(message: bytes) -> tuple[int, list[float]]:
    """Number of parameters, and the entries half-way and at the end followed by the total time."""
    evaluations: list[bytes] = []
    parameters = 0
    total = math.nan
    for field, wire, value in _protobuf(message):
        if field == 1:
            evaluations.append(_typed(value, wire, _BYTES, "evaluation_data"))
        elif field == 2:
            parameters = _typed(value, wire, _VARINT, "trainable_parameters")
        elif field == 3:
            total = _typed(value, wire, _FIXED64, "total_time")
    if len(evaluations) != 3:
        raise _WrongError(f"expected 3 entries of evaluation_data but got {len(evaluations)}")
    if not 0 < parameters < 1 << 31:
        raise _WrongError(f"expected trainable_parameters of at least 1 but got {parameters}")
    return parameters, [*_evaluation(evaluations[1]), *_evaluation(evaluations[2]), total]


_EVALUATION = {
    2: "training_time",
    3: "train_accuracy",
    4: "validation_accuracy",
    5: "test_accuracy",
}


def _evaluation(message: bytes) -> Iterator[float]:
    """Training time, and train, validation and test accuracy."""
    found: dict[int, float] = {}
    for field, wire, value in _protobuf(message):
        if field in _EVALUATION:
            found[field] = _typed(value, wire, _FIXED64, _EVALUATION[field])
    for field, name in _EVALUATION.items():
        if field not in found:
            raise _WrongError(f"expected {name} in evaluation_data but there is none")
        yield found[field]


def _typed(value: Any, wire: int, expected: int, name: str) -> Any:
    if wire != expected:
        raise _WrongError(f"expected wire type {expected} for {name} but got {wire}")
    return value


def _protobuf(message: bytes) -> Iterator[tuple[int, int, Any]]:
    """Field number, wire type and value (an int, a float or bytes) of each field of a message."""
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        field, wire = tag >> 3, tag & 7
        if field == 0:
            raise _WrongError("expected field numbers of at least 1 in its metrics but got 0")
        value: Any
        if wire == _VARINT:
            value, position = _varint(message, position)
            yield field, wire, value
            continue
        if wire == _BYTES:
            size, position = _varint(message, position)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise _WrongError(f"expected a wire type 0, 1, 2 or 5 in its metrics but got {wire}")
        if size > end - position:
            raise _WrongError(f"field {field} of its metrics ends beyond its end")
        if wire == _FIXED64:
            value = _DOUBLE.unpack_from(message, position)[0]
        else:
            value = message[position : position + size]
        yield field, wire, value
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """A number of 7 bits per byte, lowest first, and the position after it."""
    number = shift = 0
    for byte in message[position : position + 10]:
        number |= (byte & 0x7F) << shift
        shift += 7
        position += 1
        if byte < 0x80:
            return number, position
    raise _WrongError("a number in its metrics ends beyond its end or has more than 10 bytes")


FORMAT = FileFormat(
    name="NAS-Bench-101",
    tables={NAME: "nasbench_full.tfrecord or nasbench_only108.tfrecord"},
    recognise=recognise,
    convert=convert,
    official=("nasbench_full.tfrecord", "nasbench_only108.tfrecord"),
)
"""The format of NAS-Bench-101."""

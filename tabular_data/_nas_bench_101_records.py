"""The records of NAS-Bench-101: a TFRecord file of JSON lists that hold protobuf messages.

A TFRecord file is a row of records, each with its length and masked CRC-32C checksums of length and
content. A record here is the list [module hash, epochs, adjacency digits, operations, base64 of a
message ``ModelMetrics``] of one training (``model_metrics.proto`` of google-research/nasbench).
"""

from __future__ import annotations

import base64
import json
import math
import re
import reprlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import InvalidArchitectureError, TableFileError
from nasbench_lab.spaces import NB101Space, get_space

SCHEDULES = (4, 12, 36, 108)
"""Epochs of the four trainings."""
_LONGEST = 1 << 16
"""The most bytes of a record; real ones have less than a thousand."""
RECORDS_PER_CHUNK = 8192

# The values of a training: the entries half-way and at the end, then the total time.
QUANTITIES = ("train_time", "train", "valid", "test")
_HASH = re.compile(r"[0-9a-f]{32}")


class WrongError(ValueError):
    """The error of a record, without its place."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive records of a file.

    Args:
        start: The byte at which they start.
        stop: The byte at which they end.
        first: Number of the first record, counted from 0.
        n: Number of records.
    """

    start: int
    stop: int
    first: int
    n: int


@dataclass(frozen=True)
class Trainings:
    """The content of ``n`` records.

    Args:
        code: ``(n,)`` indices of the cells in the space, as written in the file.
        nodes: ``(n,)`` numbers of their nodes.
        digest: ``(n, 2)`` module hashes, as two 64-bit numbers.
        epochs: ``(n,)``.
        parameters: ``(n,)``.
        values: ``(n, 9)``, or ``(n, 5)`` without curves: training time and three accuracies half-way
            and at the end, then the total time. Accuracies are in per cent.
        steps: ``(n, 6)``, or ``(n, 3)`` without curves: how many floating-point numbers above the
            hundredth of its percentage each accuracy is in the file. None if all are 0, as they are
            where the file's accuracies were computed in single precision.
    """

    code: NDArray[np.int64]
    nodes: NDArray[np.uint8]
    digest: NDArray[np.uint64]
    epochs: NDArray[np.int16]
    parameters: NDArray[np.int32]
    values: NDArray[np.float64]
    steps: NDArray[np.int8] | None


def wrong(path: Path, chunks: Sequence[Chunk], number: int, problem: str) -> TableFileError:
    """The error about a record that was read before."""
    chunk = next(chunk for chunk in chunks if number < chunk.first + chunk.n)
    with open(path, "rb") as file:
        file.seek(chunk.start)
        data = file.read(chunk.stop - chunk.start)
    position = 0
    for _ in range(number - chunk.first):
        position += 16 + length_of(data[position : position + 12])
    return error_at(path, number, chunk.start + position, problem)


def error_at(path: Path, number: int, offset: int, problem: object) -> TableFileError:
    return TableFileError(f"{path}: record {number} at byte {offset:,}: {problem}.")


# TFRecord


def chunks_of(path: Path) -> list[Chunk]:
    """The places of the records, from their lengths."""
    size = path.stat().st_size
    chunks, start, first, number, offset = [], 0, 0, 0, 0
    with open(path, "rb") as file:
        while offset < size:
            try:
                length = length_of(file.read(12))
                if offset + 16 + length > size:
                    raise WrongError(
                        f"it has {length + 16:,} bytes, but the file ends after "
                        f"{size - offset:,}; it is truncated"
                    )
            except WrongError as error:
                raise error_at(path, number, offset, error) from None
            file.seek(length + 4, 1)
            offset += 16 + length
            number += 1
            if number - first == RECORDS_PER_CHUNK or offset == size:
                chunks.append(Chunk(start, offset, first, number - first))
                start, first = offset, number
    if not chunks:
        raise TableFileError(f"{path}: it is empty.")
    return chunks


def length_of(head: bytes) -> int:
    """The length of a record, from its first 12 bytes."""
    if len(head) < 12:
        raise WrongError("the file ends within a record's length; it is truncated")
    length, checksum = struct.unpack("<QI", head)
    if _masked_crc(head[:8]) != checksum:
        raise WrongError(
            "the checksum of its length is wrong; the file is no TFRecord or is damaged"
        )
    if length > _LONGEST:
        raise WrongError(f"expected at most {_LONGEST:,} bytes but got {length:,}")
    return int(length)


def content_of(data: bytes) -> bytes:
    """The content of a record from its content and checksum."""
    content = data[:-4]
    if len(data) < 4 or _masked_crc(content) != int.from_bytes(data[-4:], "little"):
        raise WrongError("its checksum is wrong; the file is damaged")
    return content


def _masked_crc(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def space_nb101() -> NB101Space:
    space = get_space("nb101")
    assert isinstance(space, NB101Space)
    return space


def digests(hashes: str) -> NDArray[np.uint64]:
    """``(n, 2)``: hexadecimal hashes, one after another, as numbers."""
    return np.frombuffer(bytes.fromhex(hashes), dtype=np.uint64).reshape(-1, 2)


# Records


def read(path: Path, curves: bool, chunk: Chunk) -> Trainings:
    """Reads some records; their values are finite and in range."""
    with open(path, "rb") as file:
        file.seek(chunk.start)
        data = file.read(chunk.stop - chunk.start)
    space = space_nb101()
    cells: dict[tuple[str, str], int] = {}
    hashes, codes, nodes, epochs, parameters, values = [], [], [], [], [], []
    offsets = []
    position = 0
    for i in range(chunk.n):
        offsets.append(position)
        try:
            start = position + 12
            position = start + length_of(data[position:start]) + 4
            module_hash, n_epochs, adjacency, operations, packed = fields_of(
                content_of(data[start:position])
            )
            code = cells.get((adjacency, operations))
            if code is None:
                code = space.index(space.from_string(f"{adjacency}:{operations}"))
                cells[adjacency, operations] = code
            n_parameters, row = _metrics(base64.b64decode(packed, validate=True))
        except InvalidArchitectureError as error:
            problem = f"it is of no cell of the space: {str(error)[:300]}"
            raise error_at(path, chunk.first + i, chunk.start + offsets[i], problem) from error
        except WrongError as error:
            raise error_at(path, chunk.first + i, chunk.start + offsets[i], error) from None
        except (ValueError, RecursionError) as error:  # of JSON and base64
            problem = f"it cannot be read ({error})"
            raise error_at(path, chunk.first + i, chunk.start + offsets[i], problem) from error
        hashes.append(module_hash)
        codes.append(code)
        nodes.append(operations.count(",") + 1)
        epochs.append(n_epochs)
        parameters.append(n_parameters)
        values.append(row)

    table = np.array(values)
    n = len(QUANTITIES)
    accuracies = [i for i in range(2 * n) if i % n]
    fractions = table[:, accuracies]
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
        raise error_at(path, chunk.first + i, chunk.start + offsets[i], problem)
    percentages = 100 * fractions
    table[:, accuracies] = percentages
    steps = steps_above(fractions, percentages)
    if not curves:
        table, steps = table[:, n:].copy(), steps[:, n - 1 :].copy()
    return Trainings(
        np.array(codes, dtype=np.int64),
        np.array(nodes, dtype=np.uint8),
        digests("".join(hashes)),
        np.array(epochs, dtype=np.int16),
        np.array(parameters, dtype=np.int32),
        table,
        steps if steps.any() else None,
    )


def steps_above(
    fractions: NDArray[np.float64], percentages: NDArray[np.float64]
) -> NDArray[np.int8]:
    """How many floating-point numbers each fraction is above the hundredth of its percentage.

    Both are multiplied and divided with an error of half a step, so the numbers are small.
    """
    hundredths = percentages / 100
    difference = fractions.view(np.int64) - hundredths.view(np.int64)
    return difference.astype(np.int8)


def fields_of(content: bytes) -> tuple[str, int, str, str, str]:
    """The five entries of a record."""
    fields = json.loads(content.decode())
    shape = [type(field) for field in fields] if isinstance(fields, list) else []
    if shape != [str, int, str, str, str] or not _HASH.fullmatch(fields[0]):
        raise WrongError(
            f"expected [module hash, epochs, adjacency, operations, metrics] but got "
            f"{reprlib.repr(fields)}"
        )
    if fields[1] not in SCHEDULES:
        raise WrongError(
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
        raise WrongError(f"expected 3 entries of evaluation_data but got {len(evaluations)}")
    if not 0 < parameters < 1 << 31:
        raise WrongError(f"expected trainable_parameters of at least 1 but got {parameters}")
    return parameters, [*_evaluation(evaluations[1]), *_evaluation(evaluations[2]), total]


_EVALUATION = {
    2: "training_time",
    3: "train_accuracy",
    4: "validation_accuracy",
    5: "test_accuracy",
}


def _evaluation(message: bytes) -> Iterator[float]:
    """Training time, and train, validation and test accuracy."""
    fields: dict[int, float] = {}
    for field, wire, value in _protobuf(message):
        if field in _EVALUATION:
            fields[field] = _typed(value, wire, _FIXED64, _EVALUATION[field])
    for field, name in _EVALUATION.items():
        if field not in fields:
            raise WrongError(f"expected {name} in evaluation_data but there is none")
        yield fields[field]


def _typed(value: Any, wire: int, expected: int, name: str) -> Any:
    if wire != expected:
        raise WrongError(f"expected wire type {expected} for {name} but got {wire}")
    return value


def _protobuf(message: bytes) -> Iterator[tuple[int, int, Any]]:
    """Field number, wire type and value (an int, a float or bytes) of each field of a message."""
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        field, wire = tag >> 3, tag & 7
        if field == 0:
            raise WrongError("expected field numbers of at least 1 in its metrics but got 0")
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
            raise WrongError(f"expected a wire type 0, 1, 2 or 5 in its metrics but got {wire}")
        if size > end - position:
            raise WrongError(f"field {field} of its metrics ends beyond its end")
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
    raise WrongError("a number in its metrics ends beyond its end or has more than 10 bytes")

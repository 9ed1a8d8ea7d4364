"""The records of TransNAS-Bench-101's official file, by what its authors' ``TransNASBenchAPI`` reads.

The file holds a dict. Its ``data`` has for each space, architecture and task a dict whose ``metrics``
are lists of values after each epoch.
"""

from __future__ import annotations

import math
import re
import reprlib
from array import array
from pathlib import Path
from typing import Any

from nasbench_lab.bounded_files import check_regular
from nasbench_lab.errors import TableFileError
from nasbench_lab.tables.pickles.reader import (
    CONTAINERS,
    MEMORY,
    NUMBERS,
    PickleReader,
    SharedError,
    errors_of,
)
from nasbench_lab.tables.pickles.torch_files import torch_pickle
from nasbench_lab.tables.sources import ImportOptions

SYNTAX = re.compile(r"64-[1-4]{4,6}-(basic|[0-3]_[0-3]{2}_[0-3]{3})")
"""The architectures of both spaces."""

_HEAD = 1 << 20
_LIMIT = 16 << 20
"""The most bytes that hold no complete list of values."""
_MOST_EPOCHS = 1_000
_STEP = 100

Curves = dict[str, "array[float]"]
"""The values after each epoch, by the official name of the metric."""


def is_official(path: Path) -> bool:
    """Whether a file is one of ``torch.save`` with the benchmark's words."""
    try:
        with torch_pickle(path) as (_, stream):
            head = stream.read(_HEAD)
    except Exception:  # the content may be anything
        return False
    return b"class_scene" in head and SYNTAX.search(head.decode("latin1")) is not None


def read_records(
    path: Path, space: str, metrics: frozenset[str], options: ImportOptions
) -> dict[str, dict[str, Curves]]:
    """The metrics of a space's architectures, by architecture and task.

    Args:
        path: The file.
        space: ``micro`` or ``macro``, as the file has it.
        metrics: The official names of the metrics that are wanted.
        options: The options of the import.

    Raises:
        TableFileError: The file is damaged, hostile, or holds something else.
    """
    basic, seen = space == "macro", 0

    def fold(key: Any, value: Any) -> Any:
        nonlocal seen
        if isinstance(value, list):
            return _values(key, value) if key in metrics else None
        match = SYNTAX.fullmatch(key) if isinstance(key, str) else None
        if match is None:
            return value
        if basic != (match[1] == "basic"):
            return None
        seen += 1
        if seen % _STEP == 0:
            options.progress(seen, 0)
        with errors_of(f"{path}, record {key}"):
            return _Record(value)

    def load(release: bool) -> Any:
        with errors_of(path), torch_pickle(path) as (_, stream):
            memory = MEMORY + (8 if release else 32) * check_regular(path)
            reader = PickleReader(
                stream,
                {**NUMBERS, **CONTAINERS},
                fold,
                release=release,
                limit=_LIMIT,
                memory=memory,
            )
            try:
                return reader.load()
            except SharedError:
                return SharedError

    content = load(release=True)
    if content is SharedError:  # records share containers, so none may be let go meanwhile
        content = load(release=False)
    data = content.get("data") if isinstance(content, dict) else None
    part = data.get(space) if isinstance(data, dict) else None
    if not isinstance(part, dict) or not part:
        raise TableFileError(f"{path}: it holds no architectures {space!r} in 'data'.")
    for text, record in part.items():
        if not isinstance(record, _Record):
            raise TableFileError(
                f"{path}: expected records of architectures of {space!r} but got "
                f"{reprlib.repr(text)}."
            )
    return {text: record.tasks for text, record in part.items()}


class _Record:
    """What is kept of an architecture.

    Args:
        tasks: By task, a dict with ``metrics``.
    """

    def __init__(self, tasks: Any) -> None:
        self.tasks: dict[str, Curves] = {}
        for task, record in tasks.items():
            metrics = record.get("metrics") if isinstance(record, dict) else None
            if not isinstance(metrics, dict):
                raise TableFileError(
                    f"expected a dict of 'metrics' for the task {reprlib.repr(task)} but got "
                    f"{reprlib.repr(metrics)}"
                )
            kept = {name: values for name, values in metrics.items() if isinstance(values, array)}
            if len({len(values) for values in kept.values()}) > 1:
                raise TableFileError(
                    f"the metrics of the task {reprlib.repr(task)} have different numbers of epochs"
                )
            self.tasks[str(task)] = kept


def _values(metric: str, values: list[Any]) -> array[float]:
    """The values of a metric after each epoch; NaN for none."""
    if not 0 < len(values) <= _MOST_EPOCHS:
        raise TableFileError(
            f"expected {metric} after 1 to {_MOST_EPOCHS:,} epochs but got {len(values):,} values"
        )
    result = array("d")
    for value in values:
        # The upper bound refuses whole numbers that are too large for a float.
        if value is not None and (type(value) not in (int, float) or abs(value) > 1e300):
            raise TableFileError(f"expected numbers as {metric} but got {reprlib.repr(value)}")
        result.append(math.nan if value is None else value)
    return result

"""JSON files of trainings, with a checksum and the name of their content."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_lab.errors import DataFolderError, TableFileError
from nasbench_lab.files import atomic_file, content_checksum


def write_entry(file: Path, of: str, entry: Mapping[str, Any]) -> None:
    """Writes an entry, atomically.

    Args:
        file: The file.
        of: The name of the entry's content; it is read under the same name only.
        entry: The entry; any values of JSON.

    Raises:
        DataFolderError: It cannot be written.
    """
    content = json.loads(json.dumps({**entry, "of": of}))
    content["checksum"] = content_checksum(content)
    with atomic_file(file) as path:
        path.write_text(json.dumps(content), "utf-8")


def read_entry(
    file: Path, of: str, unsigned: frozenset[str] = frozenset()
) -> dict[str, Any] | None:
    """Reads an entry; None if there is none.

    Args:
        file: The file.
        of: The name of the entry's content.
        unsigned: The fields of entries without checksum, from earlier versions, which are read too.

    Raises:
        TableFileError: It is damaged, or of other content.
        DataFolderError: It cannot be read.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
        if unsigned and unsigned <= set(content) and not {"checksum", "of"} & set(content):
            return dict(content)
        checksum = content.pop("checksum", None)
        sound = checksum == content_checksum(content)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataFolderError(f"Cannot read {file}: {error.strerror or error}.") from error
    except Exception:  # a damaged file may raise anything
        sound = False
    if not sound:
        raise TableFileError(f"{file} is damaged: it has changed since it was written.")
    if content.pop("of", None) != of:
        raise TableFileError(f"{file} is of another training than its name says.")
    return dict(content)


_SHARES = ("_accuracy", "_f1", "_precision", "_recall")
"""How the names of values in per cent end."""


def check_possible(
    file: Path, curves: Mapping[str, Any], times: Mapping[str, Any], sizes: Mapping[str, Any]
) -> None:
    """Refuses values that no training can give.

    Raises:
        TableFileError: An accuracy, F1, precision or recall is not from 0 to 100, a loss is negative,
            or a time or size is negative or no number.
    """
    for name, values in {**curves, **times, **sizes}.items():
        numbers = np.asarray(values, dtype=np.float64)
        if name.endswith("_loss"):
            possible = ~(numbers < 0)  # a training that diverged has NaN
        else:
            possible = (numbers >= 0) & (numbers <= (100 if name.endswith(_SHARES) else np.inf))
            possible &= np.isfinite(numbers)
        if not possible.all():
            raise TableFileError(f"{file} says {name} = {numbers[~possible][0]}, which cannot be.")


def tell(error: TableFileError, what: str) -> None:
    """Warns of a file that is not used, and says what is done instead."""
    logging.getLogger("nasbench_lab").warning("%s %s", error, what)

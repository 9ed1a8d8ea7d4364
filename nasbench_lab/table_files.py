"""The files of a table's folder: a manifest and one NumPy file per array, mapped into memory."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.columns import Column, TableInfo, Task
from nasbench_lab.errors import TableFileError
from nasbench_lab.files import identity, read_text, sha256
from nasbench_lab.spaces import get_space

_LONGEST = 1 << 26
_HEADER = 1 << 16
"""Bytes of a manifest, and of the header of an array, at most."""

FORMAT = 2
"""Version of the folder's layout. A table of another version is made again from its source."""


def read_folder(
    folder: Path,
) -> tuple[TableInfo, list[Column], Mapping[str, NDArray[Any]], dict[str, str]]:
    """Reads the manifest, and looks whether the files that it lists are there.

    Returns:
        What the table is, its columns, its arrays (each mapped when first asked for), and the
        checksum of each.

    Raises:
        TableFileError: A file is missing, truncated or damaged.
    """
    try:
        manifest = json.loads(read_text(folder / "manifest.json", _LONGEST))
        if manifest["format"] != FORMAT:
            outdated = TableFileError(
                f"The table in {folder} has format {manifest['format']}, while this version "
                f"reads {FORMAT}. Delete the folder and import the table again."
            )
            outdated.outdated = True
            raise outdated
        info = _info(manifest["info"])
        columns = [_column(entry) for entry in manifest["columns"]]
        checksums: dict[str, str] = manifest["sha256"]
        if not {column.name for column in columns} <= set(checksums) == set(manifest["bytes"]):
            raise ValueError("manifest.json does not list the files of all columns")
        for name, size in manifest["bytes"].items():
            check_name(name)
            held = os.stat(folder / f"{name}.npy").st_size
            if held != size:
                raise ValueError(f"{name}.npy has {held:,} bytes instead of {size:,}")
        shapes = {
            column.name: (manifest["rows"], len(column.trials), len(column.epochs or (0,)))
            for column in columns
        }
        arrays = Arrays(folder, shapes, manifest["rows"], info.space)
        if columns:
            arrays[columns[0].name]
        return info, columns, arrays, checksums
    except TableFileError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise damaged(folder, error) from error


def check_name(name: str) -> None:
    """Refuses a name that is none of a column; it becomes that of a file.

    Raises:
        ValueError: It is something else than letters, digits and a few signs.
    """
    if not re.fullmatch(r"[\w@.+-]+", name):
        raise ValueError(
            f"Expected names of columns that are made of letters, digits and _ @ . + - but got "
            f"{name!r}."
        )


class Arrays(dict[str, NDArray[Any]]):
    """The arrays of a folder, each mapped when it is first asked for."""

    def __init__(
        self, folder: Path, shapes: Mapping[str, tuple[int, ...]], rows: int, space: str
    ) -> None:
        self._folder, self._shapes = folder, shapes
        self._rows, self._space = rows, space
        self._identity = identity(folder)

    def __missing__(self, name: str) -> NDArray[Any]:
        if identity(self._folder) != self._identity:
            raise _replaced(self._folder)
        try:
            path = self._folder / f"{name}.npy"
            with open(path, "rb") as file:
                start = file.read(12)
            # The length of the header has 2 bytes in version 1 of the format, else 4.
            if int.from_bytes(start[8 : 10 if start[6:7] == b"\1" else 12], "little") > _HEADER:
                raise ValueError(f"{name}.npy has a header of more than {_HEADER:,} bytes")
            # A plain array over the mapped memory: np.memmap makes each access ten times slower.
            array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
            expected = self._shapes.get(name, array.shape)
            if array.shape != expected:
                raise ValueError(f"{name}.npy has shape {array.shape}, not {expected}")
            self._check(name, array)
        except Exception as error:  # a damaged file may raise anything
            raise damaged(self._folder, error) from error
        if identity(self._folder) != self._identity:
            raise _replaced(self._folder)
        self[name] = array
        return array

    def _check(self, name: str, array: NDArray[Any]) -> None:
        """Refuses numbers of rows or architectures that do not exist.

        Raises:
            ValueError: There are some.
        """
        if name in self._shapes:
            if array.dtype.kind not in "fiub":
                raise ValueError(f"{name}.npy holds {array.dtype}, not numbers")
            return
        size = get_space(self._space).size
        bounds = {
            "row_of_index": ((size,), -1, self._rows),
            "keys": ((self._rows,), 0, size),
            "official_order": (array.shape[:1], 0, size),
            "evaluated_indexes": (array.shape[:1], 0, size),
        }
        if name not in bounds:
            return
        shape, low, high = bounds[name]
        sound = array.dtype.kind in "iu" and array.shape == shape
        if not sound or (array.size and not low <= array.min() <= array.max() < high):
            raise ValueError(
                f"{name}.npy does not hold {' by '.join(map(str, shape))} numbers from {low} to "
                f"{high - 1}"
            )
        if name == "keys" and (np.diff(array) <= 0).any():
            raise ValueError("keys.npy is not ascending")


def _replaced(folder: Path) -> TableFileError:
    return TableFileError(f"The table in {folder} was replaced since it was opened; open it again.")


def damaged(folder: Path, error: Exception) -> TableFileError:
    return TableFileError(
        f"The table in {folder} cannot be opened ({type(error).__name__}: {error}). Delete that "
        f"folder; a table from an installed package is then made again when next used, one from a "
        f"file is imported again."
    )


def save(folder: Path, name: str, values: NDArray[Any]) -> None:
    # What is asked for is one epoch of all rows, so that lies together.
    if values.ndim == 3 and values.shape[2] > 1:
        values = np.asfortranarray(values)
    np.save(folder / f"{name}.npy", values, allow_pickle=False)


def write_manifest(
    folder: Path,
    info: TableInfo,
    columns: Sequence[Column],
    rows: int,
    known: Mapping[str, str] | None = None,
) -> None:
    files = sorted(folder.glob("*.npy"))
    known = known or {}
    manifest = {
        "format": FORMAT,
        "rows": rows,
        "info": asdict(info),
        "columns": [asdict(column) for column in columns],
        "bytes": {file.name[:-4]: file.stat().st_size for file in files},
        "sha256": {file.name[:-4]: known.get(file.name[:-4]) or sha256(file) for file in files},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def _info(entry: dict[str, Any]) -> TableInfo:
    texts = [entry[field.name] for field in fields(TableInfo) if field.type == "str"]
    if not all(isinstance(text, str) for text in texts) or not isinstance(entry["source"], dict):
        raise ValueError("info in manifest.json has something else than texts and a source")
    tasks = {name: Task(**task) for name, task in entry["tasks"].items()}
    lists = {name: tuple(entry[name]) for name in ("missing", "joins")}
    return TableInfo(**{**entry, **lists, "tasks": tasks})


def _column(entry: dict[str, Any]) -> Column:
    epochs = entry["epochs"]
    if not all(isinstance(entry[name], str) for name in ("name", "quantity", "unit")):
        raise ValueError("a column in manifest.json has a name, quantity or unit that is no text")
    return Column(
        **{
            **entry,
            "trials": tuple(entry["trials"]),
            "also": tuple(entry["also"]),
            "epochs": None if epochs is None else tuple(epochs),
        }
    )

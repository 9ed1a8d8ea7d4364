"""The files of a table's folder: a manifest and one NumPy file per array, mapped into memory."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import (
    DataFolderError,
    NasbenchLabError,
    SpaceError,
    TableFileError,
    text_of,
)
from nasbench_lab.files import atomic_file, content_checksum, identity, read_text, settle, sha256
from nasbench_lab.spaces import Decision
from nasbench_lab.tables.columns import Column, TableInfo, Task

_LONGEST = 1 << 26
_HEADER = 1 << 16
"""The most bytes of a manifest, and of the header of an array."""

FORMAT = 3
"""Version of the folder's layout. Version 2 had no checksum of the manifest, and is read too."""

MAKE_AGAIN = (
    "Put back a copy of it, or make the table again from its source (nasbench-lab import PATH), "
    "which replaces it."
)
"""The advice about damage if it is unknown how the table is made."""

_SETTLED_NS = 2_000_000_000
"""After so long, a change of a file changes its times on every file system."""

_sound: set[tuple[str | int, ...]] = set()
"""The states of files that this process found equal to their checksums."""


def read_folder(
    folder: Path, remedy: str = MAKE_AGAIN
) -> tuple[TableInfo, list[Column], Arrays, dict[str, str]]:
    """Reads the manifest, and checks that its files exist.

    Args:
        folder: The table's folder.
        remedy: The advice of errors about damage.

    Returns:
        The table's description, its columns, its arrays (each is mapped on first use), and their
        checksums.

    Raises:
        TableFileError: A file is missing, truncated or damaged.
        DataFolderError: A file cannot be read.
    """
    info, columns, shapes, checksums, sizes, rows = _read_manifest(folder, remedy)
    for name, size in sizes.items():
        with _reading(folder / f"{name}.npy", remedy):
            actual = os.stat(folder / f"{name}.npy").st_size
            if actual != size:
                raise _DamageError(f"has {actual:,} bytes instead of {size:,}")
    arrays = Arrays(folder, shapes, checksums, rows, info, remedy)
    if columns:
        arrays.map(columns[0].name)
    return info, columns, arrays, checksums


def _read_manifest(
    folder: Path, remedy: str
) -> tuple[
    TableInfo, list[Column], dict[str, tuple[int, ...]], dict[str, str], dict[str, int], int
]:
    """Description, columns, their shapes, checksums and sizes of files, and the number of rows."""
    file = folder / "manifest.json"
    with _reading(file, remedy):
        settle(folder)
        manifest = json.loads(read_text(file, _LONGEST))
        if isinstance(manifest["format"], int) and manifest["format"] not in (2, FORMAT):
            outdated = TableFileError(
                f"The table in {folder} has format {manifest['format']}, while this version of "
                f"nasbench-lab reads {FORMAT}. Use the version that made it, or make the table again "
                f"from its source (nasbench-lab import PATH), which replaces it."
            )
            outdated.outdated = True
            raise outdated
        if manifest["format"] != 2 or "checksum" in manifest:
            checksum = manifest.pop("checksum", None)
            if checksum != content_checksum(manifest):
                raise _DamageError(_CHANGED)
        info = _info(manifest["info"])
        columns = [_column(entry) for entry in manifest["columns"]]
        checksums: dict[str, str] = manifest["sha256"]
        if not {column.name for column in columns} <= set(checksums) == set(manifest["bytes"]):
            raise _DamageError("does not list the files of all columns")
        for name in checksums:
            check_name(name)
        shapes: dict[str, tuple[int, ...]] = {
            column.name: (manifest["rows"], len(column.trials), len(column.epochs or (0,)))
            for column in columns
        }
        sizes = {name: int(size) for name, size in manifest["bytes"].items()}
    return info, columns, shapes, checksums, sizes, int(manifest["rows"])


def problems(folder: Path, remedy: str = MAKE_AGAIN) -> list[str]:
    """Reads every file of a table, also those that were sound before.

    Returns:
        A message for each damaged file.

    Raises:
        DataFolderError: A file cannot be read.
    """
    sentences = []
    try:
        checksums = _read_manifest(folder, remedy)[3]
    except TableFileError as error:
        sentences.append(str(error))
        try:
            checksums = json.loads(read_text(folder / "manifest.json", _LONGEST))["sha256"]
            for name in checksums:
                check_name(name)
        except Exception:  # a damaged file may raise anything
            return sentences
    for name, checksum in checksums.items():
        try:
            with _reading(folder / f"{name}.npy", remedy):
                if sha256(folder / f"{name}.npy") != checksum:
                    raise _DamageError(_CHANGED)
        except TableFileError as error:
            if str(error) not in sentences:
                sentences.append(str(error))
    if sentences:
        _sound.clear()
        with suppress(OSError):
            (folder / "verified.json").unlink()
    return sentences


@contextmanager
def _reading(file: Path, remedy: str) -> Iterator[None]:
    """Turns an error in reading a file into one that names the damage and the remedy.

    Raises:
        TableFileError: The file is damaged or missing.
        DataFolderError: The file cannot be read, damaged or not.
    """
    try:
        yield
    except NasbenchLabError:
        raise
    except Exception as error:  # a damaged file may raise anything
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            problem = "is missing"
        elif isinstance(error, OSError) and error.errno is not None:
            raise DataFolderError(f"Cannot read {file}: {error.strerror}.") from error
        elif isinstance(error, _DamageError):
            problem = str(error)
        else:
            problem = f"is damaged ({type(error).__name__}: {text_of(error)})"
        raise TableFileError(
            f"The table in {file.parent} cannot be opened: {file.name} {problem}. {remedy}"
        ) from error


class _DamageError(Exception):
    """The damage of a file, as the predicate of a sentence about it."""


_CHANGED = "has changed since it was written"


def check_name(name: str) -> None:
    """Refuses a name that no column may have, as columns give files their names.

    Raises:
        ValueError: The name has other characters than letters, digits and a few signs.
    """
    if not re.fullmatch(r"[\w@.+-]+", name):
        raise ValueError(
            f"Expected names of columns that are made of letters, digits and _ @ . + - but got "
            f"{name!r}."
        )


class Arrays(dict[str, NDArray[Any]]):
    """The arrays of a folder; each is verified and mapped on first use.

    ``verified.json`` in the folder lists the states of sound files, so a file is read whole only once
    until it changes.
    """

    def __init__(
        self,
        folder: Path,
        shapes: Mapping[str, tuple[int, ...]],
        checksums: Mapping[str, str],
        rows: int,
        info: TableInfo,
        remedy: str,
    ) -> None:
        self._folder, self._shapes, self._checksums = folder, shapes, checksums
        self.rows, self._info = rows, info
        self._mapped: dict[str, NDArray[Any]] = {}
        self._identity = identity(folder)
        self.remedy = remedy

    def __missing__(self, name: str) -> NDArray[Any]:
        if name not in self._mapped:
            self.map(name)
        with _reading(self._folder / f"{name}.npy", self.remedy):
            self._verify(name, self._mapped[name])
            self._check(name, self._mapped[name])
        self[name] = self._mapped.pop(name)
        return self[name]

    def map(self, name: str) -> None:
        """Maps an array into memory without reading all of it.

        Raises:
            TableFileError: The file is damaged, or the table was replaced.
            DataFolderError: The file cannot be read.
        """
        if identity(self._folder) != self._identity:
            raise _replaced(self._folder)
        path = self._folder / f"{name}.npy"
        with _reading(path, self.remedy):
            with open(path, "rb") as file:
                start = file.read(12)
            # The length of the header has 2 bytes in version 1 of the format, else 4.
            if int.from_bytes(start[8 : 10 if start[6:7] == b"\1" else 12], "little") > _HEADER:
                raise _DamageError(f"has a header of more than {_HEADER:,} bytes")
            # This is a plain array, as np.memmap makes each access ten times slower.
            array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
            expected = self._shapes.get(name, array.shape)
            if array.shape != expected:
                raise _DamageError(f"has shape {array.shape}, not {expected}")
        if identity(self._folder) != self._identity:
            raise _replaced(self._folder)
        self._mapped[name] = array

    def _check(self, name: str, array: NDArray[Any]) -> None:
        """Refuses numbers of rows or architectures that do not exist.

        Raises:
            _DamageError: There are such numbers.
        """
        if name in self._shapes:
            if array.dtype.kind not in "fiub":
                raise _DamageError(f"holds {array.dtype}, not numbers")
            return
        size = self._info.search_space.size
        bounds = {
            "row_of_index": ((size,), -1, self.rows),
            "keys": ((self.rows,), 0, size),
            "official_order": (array.shape[:1], 0, size),
            "evaluated_indexes": (array.shape[:1], 0, size),
            "own_cell": ((self.rows,), 0, size),
            "file_order": ((self.rows,), 0, self.rows),
        }
        if name not in bounds:
            return
        shape, low, high = bounds[name]
        sound = array.dtype.kind in "iu" and array.shape == shape
        if not sound or (array.size and not low <= array.min() <= array.max() < high):
            raise _DamageError(
                f"does not hold {' by '.join(map(str, shape))} numbers from {low} to {high - 1}"
            )
        if name == "keys" and (np.diff(array) <= 0).any():
            raise _DamageError("is not ascending")

    def _verify(self, name: str, array: NDArray[Any]) -> None:
        state: list[Any] = []
        # The mapped memory is verified, as the file may have been replaced since.
        if identity(self._folder) == self._identity:
            status = os.stat(self._folder / f"{name}.npy")
            times = (status.st_mtime_ns, status.st_ctime_ns)
            state = [status.st_ino, status.st_size, *times, self._checksums[name]]
            if (status.st_dev, *state) in _sound or self._states().get(name) == state:
                return
        if _file_sum(array) != self._checksums[name]:
            raise _DamageError(_CHANGED)
        if state and time.time_ns() - max(times) > _SETTLED_NS:
            _sound.add((status.st_dev, *state))
            # If the folder is read-only, each process reads the file once.
            with suppress(OSError), atomic_file(self._folder / "verified.json") as new:
                new.write_text(json.dumps(self._states() | {name: state}))

    def _states(self) -> dict[str, Any]:
        try:
            states = json.loads((self._folder / "verified.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return states if isinstance(states, dict) else {}


def _file_sum(array: NDArray[Any]) -> str:
    """The SHA-256 of the file behind a mapped array, whose header is within the first page."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return hashlib.sha256(base).hexdigest()


def _replaced(folder: Path) -> TableFileError:
    return TableFileError(f"The table in {folder} was replaced since it was opened; open it again.")


def save(folder: Path, name: str, values: NDArray[Any]) -> None:
    # Queries ask for one epoch of all rows, so an epoch is stored together.
    if values.ndim == 3 and values.shape[2] > 1:
        values = np.asfortranarray(values)
    np.save(folder / f"{name}.npy", values, allow_pickle=False)


def write_manifest(
    folder: Path,
    info: TableInfo,
    columns: Sequence[Column],
    rows: int,
    checksums: Mapping[str, str] | None = None,
) -> None:
    files = sorted(folder.glob("*.npy"))
    checksums = checksums or {}
    described = asdict(info)
    if not info.decisions:
        del described["decisions"]  # as in tables of earlier versions, which read it too
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "rows": rows,
        "info": described,
        "columns": [asdict(column) for column in columns],
        "bytes": {file.name[:-4]: file.stat().st_size for file in files},
        "sha256": {file.name[:-4]: checksums.get(file.name[:-4]) or sha256(file) for file in files},
    }
    # Reading gives lists for tuples, and text for numbers as names; the checksum is of that form.
    manifest["checksum"] = content_checksum(json.loads(json.dumps(manifest)))
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def _info(entry: dict[str, Any]) -> TableInfo:
    entry = {"trial": "mean", "decisions": (), **entry}  # tables of earlier versions have none
    texts = [entry[field.name] for field in fields(TableInfo) if field.type == "str"]
    if not all(isinstance(text, str) for text in texts) or not isinstance(entry["source"], dict):
        raise ValueError("info in manifest.json has something else than texts and a source")
    tasks = {name: Task(**task) for name, task in entry["tasks"].items()}
    lists = {name: tuple(entry[name]) for name in ("missing", "joins")}
    decisions = _decisions(entry["decisions"])
    info = TableInfo(**{**entry, **lists, "tasks": tasks, "decisions": decisions})
    if decisions:
        try:
            size = info.search_space.size
        except SpaceError as error:
            raise ValueError(f"its space cannot be: {error}") from error
        if size > np.iinfo(np.int64).max:
            raise ValueError("its space is too large to number with 64 bits")
    return info


MOST_DECISIONS = 1_000
_MOST_OPTIONS = 100_000
_LONGEST_OPTION = 1_000
"""The most decisions of a space that a table keeps, options of all of them, and characters of one."""


def _decisions(entries: Any) -> tuple[Decision, ...]:
    """The decisions of a table's own space, within bounds."""
    if not isinstance(entries, list | tuple) or len(entries) > MOST_DECISIONS:
        raise ValueError(f"its space is no list of at most {MOST_DECISIONS:,} decisions")
    texts, count = [], 0
    for entry in entries:
        if set(entry) != {"name", "options", "ordered", "active_if"}:
            raise ValueError("a decision of its space has other keys than it should")
        name, options, conditions = entry["name"], entry["options"], entry["active_if"]
        if not isinstance(options, list) or type(entry["ordered"]) is not bool:
            raise ValueError("a decision of its space has no list of options, or no word on order")
        lists = [options, *(allowed for _, allowed in conditions)]
        count += sum(map(len, lists))
        if count > _MOST_OPTIONS:
            raise ValueError(f"its space has more than {_MOST_OPTIONS:,} options")
        for one in (name, *(option for some in lists for option in some)):
            if isinstance(one, float) and not math.isfinite(one):
                raise ValueError("an option of its space is no finite number")
            texts.append(str(one))
        if not isinstance(name, str) or max(map(len, texts)) > _LONGEST_OPTION:
            raise ValueError(
                f"its space has no names and options of {_LONGEST_OPTION:,} characters"
            )
        texts.clear()
    try:
        return tuple(Decision(**entry) for entry in entries)
    except SpaceError as error:
        raise ValueError(f"its space cannot be: {error}") from error


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

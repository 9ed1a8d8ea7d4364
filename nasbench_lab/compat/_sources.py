"""Finds the table of an API: an installed one, or one converted from an official file."""

from __future__ import annotations

import bz2
import contextlib
import hashlib
import os
import pickle
import re
import tempfile
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nasbench_lab import registry
from nasbench_lab.compat._errors import NoFileError
from nasbench_lab.errors import TableFileError
from nasbench_lab.tables.table import Table

Source = Table | str | os.PathLike[str] | Mapping[str, Any] | None

KEYS = ("meta_archs", "arch2infos", "evaluated_indexes")
"""The keys of a dictionary in the official form."""

META = "meta.pickle.pbz2"

_LOOKED_AT = 250
"""How many files of a folder are looked at; all of them if there are fewer than twice as many."""


class Opened(NamedTuple):
    """A table, with the official API's names of its source."""

    table: Table
    filename: str | None
    directory: str | None
    """The archive from which records are read one by one."""


def open_table(source: Table | str | os.PathLike[str] | None, default: str) -> Table:
    """The table of an official file, which is converted on first use, or an imported one.

    Args:
        source: A file; the name, folder or object of a table; or None for the default.
        default: The name of the imported table that is taken by default.

    Raises:
        NoFileError: There is no such file or table.
    """
    if isinstance(source, Table):
        return source
    if source is not None:
        path = Path(source).expanduser()
        if (table := open_table_folder(path)) is not None:
            return table
        if path.is_file():
            return from_file(path, verbose=True)
    name = default if source is None else str(source)
    if (table := installed(name)) is not None:
        return table
    raise NoFileError(
        f"{name!r} is no file, and no imported table has this name. Import the official file once, "
        f"or give its path."
    )


def open_table_folder(path: Path) -> Table | None:
    """The table in a folder; None if there is none."""
    return Table.open(path) if (path / "manifest.json").is_file() else None


def installed(name: str) -> Table | None:
    """The table of this name in the data folder; None if it is missing or its layout is older."""
    if not (registry.table_folder(name) / "manifest.json").is_file():
        return None
    try:
        return registry.open_table(name)
    except TableFileError as error:
        if error.outdated:
            return None
        raise


def from_file(path: Path, *, verbose: bool) -> Table:
    """The table of an official file or directory, which is converted on first use.

    Args:
        path: The file.
        verbose: Whether to print a line before a conversion, which takes minutes for real files.
    """
    path = path.absolute()
    stem = (
        re.sub(r"[^\w.+-]", "_", path.name)
        .lstrip(".")
        .removesuffix(".pbz2")
        .removesuffix(".pickle")
    )
    return _converted(f"compat/{stem}-{_digest(path)}", path, verbose=verbose)


def from_dict(content: Mapping[str, Any], schedules: tuple[str, ...], *, torch: bool) -> Table:
    """The table of a dictionary in the official form, converted once for each content.

    Args:
        content: The dictionary.
        schedules: The schedules of ``content["arch2infos"]`` to convert; empty for all.
        torch: Whether the form is that of NAS-Bench-201.
    """
    infos = {
        index: {hp: _without_weights(infos[hp]) for hp in schedules or infos}
        for index, infos in content["arch2infos"].items()
    }
    plain = {**{key: content[key] for key in KEYS}, "arch2infos": infos}
    data = pickle.dumps(plain, protocol=4)
    name = f"compat/dict-{hashlib.sha256(data).hexdigest()[:16]}"
    if (table := installed(name)) is not None:
        return table
    with tempfile.TemporaryDirectory(prefix="nasbench-lab-") as folder:
        if torch:
            path = Path(folder) / "dict.pth"
            # Before version 1.6 torch.save wrote three short pickles, the data and the storages.
            parts: tuple[Any, ...] = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
            head = b"".join(pickle.dumps(part, protocol=2) for part in parts)
            path.write_bytes(head + data + pickle.dumps([], protocol=2))
        else:
            path = Path(folder) / "dict.pickle.pbz2"
            path.write_bytes(bz2.compress(data, 1))
        return _converted(name, path, verbose=False)


def _converted(name: str, path: Path, *, verbose: bool) -> Table:
    if (table := installed(name)) is not None:
        return table
    if verbose:
        print(f"Converting {path} once; the table is kept in {registry.table_folder(name)}.")
    return registry.import_file(path, name=name)


def _digest(path: Path) -> str:
    """A short name for the state of a file, or of the files of a folder.

    Looking at each of 15,625 records would take longer than opening their table. So this relies on
    the folder's own times, which change whenever a file is added, removed, renamed or replaced, and of
    which one cannot be set back; on the names of all files; and on the sizes and times of some
    hundred files. If one file among thousands is written over in place, that may go unnoticed; if a
    whole folder is, it does not. A record that was incomplete at first is in no table, as its import
    fails.
    """
    state = path.stat()
    digest = hashlib.sha256(str(path).encode())
    numbers = array("q")
    if path.is_dir():
        names = sorted(os.listdir(path))
        digest.update("\n".join(["", *names]).encode())
        numbers.extend((state.st_mtime_ns, state.st_ctime_ns))
        for name in (META, *names[:: max(1, len(names) // _LOOKED_AT)]):
            with contextlib.suppress(FileNotFoundError):
                file = os.stat(path / name)
                numbers.extend((file.st_size, file.st_mtime_ns))
    else:
        numbers.extend((state.st_size, state.st_mtime_ns))
    digest.update(numbers.tobytes())
    return digest.hexdigest()[:8]


def _without_weights(info: Mapping[str, Any]) -> dict[str, Any]:
    results = info["all_results"].items()
    return {
        **info,
        "all_results": {key: {**result, "net_state_dict": None} for key, result in results},
    }

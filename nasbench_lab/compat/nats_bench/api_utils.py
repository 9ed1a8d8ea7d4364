"""The official helpers and classes that both search spaces share.

``pickle_load`` reads numbers, text and containers only, and runs nothing that a file names.
"""

from __future__ import annotations

import bz2
import os
import pickle
import time
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from nasbench_lab.bounded_files import check_regular, errors_of
from nasbench_lab.compat._api import MetaAPI as NASBenchMetaAPI
from nasbench_lab.compat._api import remap_dataset_set_names
from nasbench_lab.compat._errors import NoFileError, ReadOnlyError
from nasbench_lab.compat._records import ArchResults
from nasbench_lab.compat._results_count import ResultsCount
from nasbench_lab.tables.pickles.reader import CONTAINERS, MEMORY, NUMPY_NUMBERS, PickleReader

__all__ = [
    "PICKLE_EXT",
    "ArchResults",
    "NASBenchMetaAPI",
    "ResultsCount",
    "get_file_system",
    "get_torch_home",
    "mean",
    "nats_is_dir",
    "nats_is_file",
    "pickle_load",
    "pickle_save",
    "remap_dataset_set_names",
    "reset_file_system",
    "time_string",
]

PICKLE_EXT = "pickle.pbz2"

_PER_BYTE = 64
"""The most bytes of memory for a byte of a compressed file; real files take about fifty."""

mean = ResultsCount.mean


def time_string() -> str:
    """The time of day in UTC, such as ``[2020-08-31 12:34:56]``."""
    return time.strftime("[%Y-%m-%d %X]", time.gmtime())


def get_file_system() -> str:
    """The name of the local file system, which is the only one."""
    return "default"


def reset_file_system(lib: str = "default") -> None:
    """Accepts the local file system.

    Raises:
        ReadOnlyError: It is another one.
    """
    if lib != "default":
        _refuse_file_system(lib)


def _refuse_file_system(lib: str) -> NoReturn:
    raise ReadOnlyError(
        f"Expected the file system 'default' but got {lib!r}: others need TensorFlow. Copy the files "
        f"to a local folder."
    )


def get_torch_home() -> str:
    """``$TORCH_HOME``, or ``.torch`` in the home folder."""
    return os.environ.get("TORCH_HOME") or str(Path.home() / ".torch")


def nats_is_dir(file_path: str | os.PathLike[str]) -> bool:
    return os.path.isdir(file_path)


def nats_is_file(file_path: str | os.PathLike[str]) -> bool:
    return os.path.isfile(file_path)


def pickle_save(
    obj: Any, file_path: str | os.PathLike[str], ext: str = ".pbz2", protocol: int = 4
) -> None:
    """Writes an object as a compressed pickle.

    Args:
        obj: The object.
        file_path: The path without its extension.
        ext: The extension.
        protocol: That of the pickle.
    """
    with bz2.BZ2File(f"{file_path}{ext}", "wb") as file:
        pickle.dump(obj, file, protocol=protocol)


def pickle_load(file_path: str | os.PathLike[str], ext: str = ".pbz2") -> Any:
    """Reads a compressed pickle of numbers, text and containers.

    Args:
        file_path: The path, with or without its extension.
        ext: The extension.

    Raises:
        NoFileError: There is no such file.
        UnsafeFileError: The file names something else, or unpacks to too much.
        TableFileError: The file is truncated or damaged.
    """
    path = Path(file_path)
    if not path.is_file():
        path = Path(f"{file_path}{ext}")
    if not path.is_file():
        raise NoFileError(f"There is no file {str(file_path)!r}, nor with the extension {ext!r}.")
    with errors_of(path):
        memory = MEMORY + _PER_BYTE * check_regular(path)
        with bz2.open(path) as stream:
            allowed = {**NUMPY_NUMBERS, **CONTAINERS}
            return PickleReader(cast(IO[bytes], stream), allowed, memory=memory).load()

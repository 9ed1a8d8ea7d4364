"""Reads and writes the files of the official packages.

Files of numbers, text and containers are read only; nothing that a file names is run.
"""

from __future__ import annotations

import bz2
import os
import pickle
from pathlib import Path
from typing import IO, Any, cast

from nasbench_lab.bounded_files import check_regular, errors_of
from nasbench_lab.compat._errors import NoFileError
from nasbench_lab.tables.pickles.reader import CONTAINERS, MEMORY, NUMPY_NUMBERS, PickleReader
from nasbench_lab.tables.pickles.torch_files import WEIGHTS, no_weight, torch_pickle

_ALLOWED = {**NUMPY_NUMBERS, **CONTAINERS}
_PER_BYTE = 64
"""The most bytes of memory for a byte of a compressed file; real files take about fifty."""


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
            return PickleReader(cast(IO[bytes], stream), _ALLOWED, memory=memory).load()


def torch_load(file_path: str | os.PathLike[str]) -> Any:
    """Reads what ``torch.save`` has written, without PyTorch; weights become None.

    Args:
        file_path: The path.

    Raises:
        NoFileError: There is no such file.
        UnsafeFileError: The file names something else than data and weights, or holds too much.
        TableFileError: The file is truncated or damaged.
    """
    path = Path(file_path)
    if not path.is_file():
        raise NoFileError(f"There is no file {str(file_path)!r}.")
    with errors_of(path):
        memory = MEMORY + _PER_BYTE * check_regular(path)
        with torch_pickle(path) as (_, stream):
            allowed = {**_ALLOWED, **WEIGHTS}
            return PickleReader(stream, allowed, persistent=no_weight, memory=memory).load()

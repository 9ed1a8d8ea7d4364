"""The official helpers and classes that both search spaces share.

``pickle_load`` reads numbers, text and containers only, and runs nothing that a file names.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NoReturn

from nasbench_lab.compat._api import MetaAPI as NASBenchMetaAPI
from nasbench_lab.compat._api import remap_dataset_set_names
from nasbench_lab.compat._errors import ReadOnlyError
from nasbench_lab.compat._pickles import pickle_load, pickle_save
from nasbench_lab.compat._records import ArchResults
from nasbench_lab.compat._results_count import ResultsCount

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

"""Checkpoints: files from which a stopped or killed training continues."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from nasbench_lab.errors import DataFolderError, TableFileError
from nasbench_lab.files import atomic_file

_HEADER = b"nasbench-lab checkpoint, SHA-256 "
"""The beginning of a checkpoint; the checksum of the rest follows."""


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint, or leaves the one before.

    Args:
        path: The file.
        state: Tensors and plain values. Under ``key`` it has a checksum of everything that the
            training depends on.

    Raises:
        DataFolderError: The file cannot be written.
    """
    # PyTorch hides the system's error of a full disk.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    with atomic_file(path) as new, open(new, "wb") as file:
        file.write(_HEADER + hashlib.sha256(content).hexdigest().encode() + b"\n")
        file.write(content)


def read_checkpoint(path: Path, key: str, depends_on: str) -> dict[str, Any] | None:
    """The state in a checkpoint, on the CPU; None if there is no file.

    Args:
        path: The file.
        key: What the state must have as its ``key``.
        depends_on: What differs if it has another key, for the message.

    Raises:
        TableFileError: The checkpoint is damaged, or of another training.
        DataFolderError: The file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            header, content = file.readline(len(_HEADER) + 65), file.read()
        if header != _HEADER + hashlib.sha256(content).hexdigest().encode() + b"\n":
            raise ValueError("it has changed since it was written")
        # Only tensors and plain values are read, and no code in the file is run.
        state: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location="cpu", weights_only=True
        )
        written = state["key"]
    except FileNotFoundError:
        return None  # another process has finished with it
    except OSError as error:
        raise DataFolderError(f"Cannot read {path}: {error.strerror or error}.") from error
    except Exception as error:  # a damaged file may raise anything
        raise TableFileError(
            f"{path} is damaged, or no checkpoint of this version of nasbench-lab "
            f"({type(error).__name__}). Delete it to train from the start, or put back a copy."
        ) from error
    if written != key:
        raise TableFileError(
            f"{path} is the checkpoint of another training: {depends_on} or the version of PyTorch "
            f"differ. Name another file, or delete it."
        )
    return state

"""The manifest of a result folder: which experiment it holds, and what began it.

It carries a checksum of its own content, so that damage and edits are noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from nasbench_lab.errors import DataFolderError, TableFileError
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.files import atomic_file, nearest_file, read_text

FORMAT = 4
"""Version of the result folder's layout."""

_MANIFEST = "manifest.json"


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


class _MadeWith(_Part):
    versions: dict[str, str]


class _Manifest(_Part):
    experiment: Experiment
    made_with: _MadeWith


class Manifest(NamedTuple):
    """What a manifest says.

    Args:
        experiment: What is or was to be run.
        made_with: The versions that began it, as ``folder.made_with``.
    """

    experiment: Experiment
    made_with: dict[str, Any]


def has_manifest(folder: Path) -> bool:
    """Whether a folder has a manifest, of whatever kind."""
    return (folder / _MANIFEST).exists()


def checksum(content: Any) -> str:
    """The SHA-256 of something as JSON, however that is laid out."""
    text = json.dumps(content, sort_keys=True, default=np.generic.item)
    return hashlib.sha256(text.encode()).hexdigest()


def manifest_text(experiment: Experiment, made_with: Mapping[str, Any]) -> str:
    """A manifest as it is written."""
    content = {"format": FORMAT, "experiment": experiment.to_json(), "made_with": made_with}
    content["sha256"] = checksum(content)
    return json.dumps(content, indent=1, default=np.generic.item) + "\n"


def write_manifest(
    folder: Path,
    experiment: Experiment,
    made_with: Mapping[str, Any],
    *,
    replace: bool,
) -> None:
    """Writes a manifest, all or nothing.

    Raises:
        FileExistsError: There is one, which is not to be replaced.
        DataFolderError: It cannot be written.
    """
    with atomic_file(folder / _MANIFEST, replace=replace) as path:
        path.write_text(manifest_text(experiment, made_with), "utf-8")
        with open(path, "rb+") as written:  # Windows wants a file that can be written
            os.fsync(written.fileno())


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a result folder.

    Raises:
        TableFileError: There is no manifest of a result, it is of another format, or it was edited
            or damaged.
        DataFolderError: It cannot be read for another reason.
    """
    path = folder / _MANIFEST
    try:
        manifest = json.loads(read_text(path))
        form = manifest["format"]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _no_result(folder, f"{type(error).__name__}: {error}") from error
    except OSError as error:
        raise cannot_read(path, error) from error
    except Exception as error:  # a damaged file may raise anything
        raise _no_result(folder, f"{type(error).__name__}: {error}") from error
    if form != FORMAT:
        raise _no_result(folder, _of_another_format(manifest))
    said = manifest.pop("sha256", None)
    if said != checksum(manifest):
        raise TableFileError(
            f"{folder} cannot be read as a result: {_MANIFEST} was edited or damaged after it was "
            f"written, as its checksum tells. Undo the change. If that is not possible, move "
            f"{_MANIFEST} elsewhere and give the `nasbench-lab compare` that made the result again: "
            f"it keeps what is finished."
        )
    try:
        experiment = _Manifest.model_validate_json(json.dumps(manifest)).experiment
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _no_result(folder, f"{_MANIFEST}, {place}: {first['msg']}") from error
    except Exception as error:  # what others have written may raise anything
        raise _no_result(folder, f"{type(error).__name__}: {error}") from error
    return Manifest(experiment, manifest["made_with"])


def _of_another_format(manifest: dict[str, Any]) -> str:
    try:
        maker = f", which nasbench-lab {manifest['made_with']['versions']['nasbench-lab']} wrote"
    except Exception:  # it may be anything
        maker = ""
    return (
        f"it has format {manifest['format']!r:.80}{maker}, while this version reads {FORMAT}; read it "
        f"with the version that wrote it, or run its experiment.toml into a new folder"
    )


def _no_result(folder: Path, reason: str) -> TableFileError:
    if len(reason) > 500:
        reason = f"{reason[:500]}…"
    return TableFileError(
        f"{folder} cannot be read as a result ({reason}). Expected a folder that `nasbench-lab "
        f"compare` has written.{nearest_file(folder)}"
    )


def cannot_read(path: Path, error: OSError) -> DataFolderError:
    """The error of a file that the system does not give, and that may well be sound."""
    return DataFolderError(
        f"Cannot read {path}: {error.strerror or error}. The file may well be sound: look at its "
        f"permissions and at the disk."
    )

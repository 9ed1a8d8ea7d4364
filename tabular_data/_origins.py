"""The sources of tables in their manifests: files, and data files of installed packages.

The file of a package is found without importing the package.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nasbench_lab.errors import MissingSourceError
from nasbench_lab.files import sha256

Source = dict[str, str | int]


def origin(path: Path, version: str) -> Source:
    """The manifest's entry on the file, or the folder of files, of a table."""
    files = [file for file in path.iterdir() if file.is_file()] if path.is_dir() else [path]
    return {
        "version": version,
        "file": path.name,
        "sha256": sha256(path),
        "bytes": sum(file.stat().st_size for file in files),
    }


def package_version(distribution: str, install: str) -> str:
    """The installed version, as ``"name 1.2"``.

    Raises:
        MissingSourceError: The package is not installed; the message has ``install``.
    """
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        raise MissingSourceError(
            f"This table is made from the package {distribution}, which is not installed: {install}"
        ) from None


def data_file(module: str, path: str, distribution: str, install: str) -> tuple[Path, Source]:
    """A file, or folder of files, of an installed package and the manifest's entry on it.

    Raises:
        MissingSourceError: The package or the file is missing.
    """
    package = package_version(distribution, install)
    spec = importlib.util.find_spec(module)
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        file = Path(folder) / path
        if file.exists():
            return file, {**origin(file, package), "file": f"{module}/{path}"}
    raise MissingSourceError(
        f"{package} is installed, but its file {module}/{path} is missing. Install it "
        f"again: {install}"
    )

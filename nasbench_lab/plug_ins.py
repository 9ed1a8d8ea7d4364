"""Plug-ins: the algorithms, tables and spaces that distributions bring, by their entry points."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from nasbench_lab.errors import ShadowedPackageError, text_of

ALGORITHMS, TABLES, SPACES = (f"nasbench_lab.{kind}" for kind in ("algorithms", "tables", "spaces"))
"""The groups of entry points. The first two name packages, the last what makes a space."""

T = TypeVar("T")


def plug_ins(group: str, use: Callable[[Any], T]) -> list[tuple[str, T]]:
    """The plug-ins of a group: the name of each entry point, and what comes of it.

    A plug-in that cannot be imported or used is left out, with a warning that names it.

    Args:
        group: One of the groups above.
        use: Takes what an entry point names, and gives what is needed of it.

    Raises:
        ShadowedPackageError: Something else has the name of a package of nasbench-lab.
    """
    results = []
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        if entry.dist is not None and entry.dist.name == "nasbench-lab":
            check_first_party(entry.module.partition(".")[0])
        try:
            results.append((entry.name, use(entry.load())))
        except (Exception, SystemExit) as error:
            warnings.warn(
                f"The plug-in {entry.name!r} of {group}{_origin(entry)} cannot be loaded, and is left "
                f"out: {type(error).__name__}: {text_of(error)}",
                stacklevel=2,
            )
    return results


def _origin(entry: EntryPoint) -> str:
    return f" ({entry.dist.name} {entry.dist.version})" if entry.dist is not None else ""


def check_first_party(name: str) -> None:
    """Refuses to take something else for a package of nasbench-lab, such as a folder of that name.

    Args:
        name: A package that lies beside ``nasbench_lab``.

    Raises:
        ShadowedPackageError: The message says what hides the package, and what to do.
    """
    home = Path(__file__).parents[1]
    try:
        spec = find_spec(name)
    except ValueError:  # it was imported without a spec
        spec = None
    places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
    files = [Path(place).resolve() for place in places if place is not None]
    if any(file.is_relative_to((home / name).resolve()) for file in files):
        return
    hiding = f"{files[0]} comes first on sys.path" if files else "something else has its name"
    raise ShadowedPackageError(
        f"The package {name!r} of nasbench-lab, which lies in {home / name}, cannot be imported: "
        f"{hiding}. Rename that, or start Python in another folder."
    )

"""The optional packages that algorithms need, and what installs them."""

from __future__ import annotations

from importlib.util import find_spec

from nasbench_lab.algorithm.algorithm import SearchAlgorithm
from nasbench_lab.errors import MissingPackageError


def lacking(cls: type[SearchAlgorithm]) -> str:
    """What installs the package that an algorithm needs and that is absent here; else nothing."""
    extras = {"torch": "train"} if cls.needs_torch else {}
    if cls.needs:
        extras[cls.needs] = cls.needs
    absent = [extra for package, extra in extras.items() if find_spec(package) is None]
    return installing(*absent) if absent else ""


def installing(*extras: str) -> str:
    """The command that installs extras of nasbench-lab."""
    return f"pip install 'nasbench-lab[{','.join(extras)}]'"


def need(package: str, extra: str = "") -> None:
    """Refuses to go on without a package.

    Args:
        package: The name that it is imported by.
        extra: The extra of nasbench-lab that installs it, if that has another name.

    Raises:
        MissingPackageError: It is not installed.
    """
    if find_spec(package) is None:
        raise MissingPackageError(
            f"This needs the package {package}: {installing(extra or package)}"
        )

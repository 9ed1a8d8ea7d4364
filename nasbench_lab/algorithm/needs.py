"""The optional packages that algorithms need, and what installs them."""

from __future__ import annotations

from importlib.util import find_spec

from nasbench_lab.algorithm.algorithm import SearchAlgorithm
from nasbench_lab.errors import MissingPackageError


def packages_of(cls: type[SearchAlgorithm]) -> dict[str, str]:
    """The optional packages that an algorithm needs, and the extra that installs each."""
    packages = {"torch": "train"} if cls.needs_torch else {}
    return {**packages, cls.needs: _extra_of(cls.needs)} if cls.needs else packages


def _extra_of(package: str) -> str:
    """The extra of a package's own; pip before 23.3 finds none with an underscore."""
    return package.replace("_", "-")


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
            f"This needs the package {package}: {installing(extra or _extra_of(package))}"
        )

"""Search spaces that a user's files define."""

from __future__ import annotations

from types import ModuleType

from nasbench_lab.errors import SpaceError
from nasbench_lab.mistakes import told
from nasbench_lab.spaces import SearchSpace
from nasbench_lab.user_code.code import Code


def space_in_file(path: str, name: str) -> SearchSpace:
    """The space that a file defines: an object, or a class or function that makes one.

    Args:
        path: The file.
        name: What it calls the space; empty to be told which there are.

    Raises:
        AlgorithmFileError: The file cannot be read or executed.
        SpaceError: It defines no such space, or the space cannot be made.
    """
    code = Code.of(path)
    module = code.load()
    if not name:
        raise SpaceError(f"Name the space too. In that file: {_listed(path, module)}.")
    made = vars(module).get(name)
    if made is not None and not isinstance(made, SearchSpace) and callable(made):
        try:
            with code.named():
                made = made()
        except Exception as error:  # what others have written may raise anything
            raise SpaceError(
                f"{name} of {path} cannot be made without arguments: {told(error)}."
            ) from error
    if not isinstance(made, SearchSpace):
        raise SpaceError(
            f"Expected {path} to define a SearchSpace {name!r}, or a function that returns one. Spaces "
            f"in it: {_listed(path, module)}."
        )
    return made


def _listed(path: str, module: ModuleType) -> str:
    names = [key for key, value in vars(module).items() if isinstance(value, SearchSpace)]
    return ", ".join(f"{path}:{name}" for name in names) or "none"

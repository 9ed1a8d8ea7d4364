"""Functions of a user's, such as one that builds networks, to be called in any process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from nasbench_lab.errors import AlgorithmFileError, quoted
from nasbench_lab.user_code.classes import made_of
from nasbench_lab.user_code.code import Code, received, sent


@dataclass(frozen=True)
class FileFunction:
    """A function, or a class, that a file defines; every process takes it from the code as it was.

    Args:
        code: The code of the file.
        name: The function.
    """

    code: Code
    name: str

    @property
    def checksums(self) -> dict[str, str]:
        """The SHA-256 of each file of its code."""
        return self.code.checksums

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself.

        Raises:
            AlgorithmFileError: The file cannot be executed, or defines no such function.
        """
        module = self.code.load()
        found: Callable[..., Any] | None = vars(module).get(self.name)
        if found is None or not callable(found):
            own = [
                name
                for name, value in vars(module).items()
                if isinstance(value, FunctionType | type) and value.__module__ == module.__name__
            ]
            raise AlgorithmFileError(
                f"Expected {self.code.file} to define a function {self.name!r}, but it defines "
                f"{', '.join(own) or 'none'}."
            )
        return found

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Calls the function."""
        with self.code.named():
            return self.function(*arguments, **options)


@dataclass(frozen=True)
class LiveFunction:
    """A function, or a class, that was given as an object; other processes get copies of it.

    Args:
        function: The function.
        code: The user's modules that it refers to; a process that it is sent to runs these.
        definitions: The SHA-256 of its source, and of other definitions that it uses.
    """

    function: Callable[..., Any]
    code: Code
    definitions: dict[str, str] = field(default_factory=dict)

    @property
    def checksums(self) -> dict[str, str]:
        """The SHA-256 of each definition, and of each file of its code."""
        return {**self.definitions, **self.code.checksums}

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Calls the function."""
        return self.function(*arguments, **options)

    def __reduce__(self) -> tuple[object, ...]:
        return received, (LiveFunction, sent(self.function), self.code, self.definitions)


TakenFunction = FileFunction | LiveFunction
"""A function that was taken, with its code."""


def taken_function(given: str | Callable[..., Any] | TakenFunction) -> TakenFunction:
    """A function with the code that it is made of, as the files have it now.

    Args:
        given: ``path/to/file.py:NAME``, a function or a class.

    Raises:
        AlgorithmFileError: The file cannot be read or executed, or defines no such function; or this
            is neither a function nor a class.
    """
    if isinstance(given, FileFunction | LiveFunction):
        return given
    if isinstance(given, str):
        path, _, name = given.rpartition(":")
        if not path.endswith(".py") or not name:
            raise AlgorithmFileError(
                f"Expected a function as path/to/file.py:NAME but got {quoted(given)}."
            )
        taken = FileFunction(Code.of(path), name)
        _ = taken.function  # which says what is wrong
        return taken
    if not isinstance(given, FunctionType | type):
        raise AlgorithmFileError(
            f"Expected a function, or path/to/file.py:NAME of one, but got {quoted(given)}."
        )
    return LiveFunction(given, *made_of(given))

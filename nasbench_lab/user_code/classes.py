"""Algorithms of a user's as they were when a comparison began, to be sent to other processes."""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.errors import ExperimentError
from nasbench_lab.user_code.code import Code, code_behind, received, sent
from nasbench_lab.user_code.modules import Source, imported, is_installed

_MANY = 1000
"""So many things in a list are looked at for modules that they are of."""


@dataclass(frozen=True)
class FileClass:
    """A class that a file defines.

    Args:
        code: The code of the file.
        name: The class.
    """

    code: Code
    name: str

    @property
    def file(self) -> str:
        """The file."""
        return self.code.file

    @property
    def checksums(self) -> dict[str, str]:
        """The SHA-256 of each file of its code."""
        return self.code.checksums


@dataclass(frozen=True)
class LiveClass:
    """A class that no file defines by itself, such as a notebook's; it is sent by value.

    Args:
        cls: The class.
        code: The user's modules that it refers to; a process that it is sent to runs these.
        definitions: The SHA-256 of its source, and of that of other definitions that it uses.
    """

    cls: type[SearchAlgorithm]
    code: Code
    definitions: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The class."""
        return self.cls.__name__

    @property
    def checksums(self) -> dict[str, str]:
        """The SHA-256 of each definition, and of each file of its code."""
        return {**self.definitions, **self.code.checksums}

    def __reduce__(self) -> tuple[object, ...]:
        return received, (LiveClass, sent(self.cls), self.code, self.definitions)


def taken_class(cls: type[SearchAlgorithm]) -> FileClass | LiveClass:
    """A class, with the code that it is made of as the files have it now.

    A class that a file of the user's defines is taken from that file.
    """
    code = code_behind(cls.__module__)
    module = sys.modules.get(cls.__module__)
    if module is None or getattr(module, cls.__qualname__, None) is not cls:
        code, module = None, None
    if code is not None and cls.__module__ == f"{code.name}.{code.main}":
        return FileClass(code, cls.__name__)
    file = getattr(module, "__file__", None) or ""
    if file.endswith(".py") and cls.__module__ != "__main__" and not is_installed(file):
        return FileClass(Code.of(file), cls.__name__)
    return LiveClass(cls, *made_of(cls))


def made_of(cls: type | FunctionType, held: Iterable[Any] = ()) -> tuple[Code, dict[str, str]]:
    """The user's modules that a class refers to, and the checksums of the sources of its own.

    Args:
        cls: The class, or a function.
        held: What an object of it holds; the modules that this refers to are taken too.
    """
    definitions: dict[str, str] = {}
    modules: list[str] = []
    seen: set[int] = set()
    waiting: list[Any] = [cls, *held]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, ModuleType):
            modules.append(value.__name__)
        elif isinstance(value, list | tuple | set | frozenset | dict):
            held = [*value.keys(), *value.values()] if isinstance(value, dict) else [*value]
            waiting += held[:_MANY]
        elif not isinstance(value, type | FunctionType):
            waiting.append(type(value))
        else:
            if value is not cls and _is_installed(value.__module__):
                continue
            if value.__module__ != "__main__" and not _is_installed(value.__module__):
                modules.append(value.__module__)
            if value.__module__ == cls.__module__:
                source = _source(value)
                if source is not None:
                    definitions[value.__qualname__] = hashlib.sha256(source.encode()).hexdigest()
                    modules += _imports(source)
            if not _is_installed(value.__module__):
                waiting += _references(value)
    code = Code.of_modules(sorted(set(modules)))
    for module in code.sources:
        if _is_outdated(module):
            raise ExperimentError(
                f"{module.path} has changed since Python imported it, so {cls.__name__} might run with "
                f"two versions of it. Start Python anew, or importlib.reload({module.module})."
            )
    return code, dict(sorted(definitions.items()))


def _is_outdated(source: Source) -> bool:
    """Whether functions of a module that is loaded are not those of its file."""
    module = sys.modules.get(source.module)
    if (
        module is None
        or source.content is None
        # Others may change what they load, as pytest does.
        or type(getattr(module, "__loader__", None)) is not SourceFileLoader
        or module.__file__ != source.path
    ):
        return False
    codes = _codes(source.content)
    held = [one for one in vars(module).values() if isinstance(one, FunctionType)]
    for one in vars(module).values():
        held += _functions(one) if isinstance(one, type) else []
    own = [one.__code__ for one in held if one.__code__.co_filename == source.path]
    return any(code not in codes for code in own)


def _codes(content: str | bytes) -> set[CodeType]:
    """The compiled functions and classes of a source; none of what is no Python."""
    codes: set[CodeType] = set()
    try:
        waiting = [compile(content, "", "exec", dont_inherit=True)]
    except (SyntaxError, ValueError):
        return codes
    while waiting:
        inner = [one for one in waiting.pop().co_consts if isinstance(one, CodeType)]
        codes.update(inner)
        waiting += inner
    return codes


def _is_installed(name: str) -> bool:
    if name == "__main__":
        return False
    return is_installed(getattr(sys.modules.get(name), "__file__", None))


def _functions(cls: type) -> Iterator[FunctionType]:
    for member in vars(cls).values():
        member = getattr(member, "fget", getattr(member, "__func__", member))
        if isinstance(member, FunctionType):
            yield member


def _references(definition: type | FunctionType) -> Iterator[Any]:
    """What a class or function refers to by name: bases, and globals that its code uses."""
    if isinstance(definition, type):
        yield from definition.__bases__
        for function in _functions(definition):
            yield from _references(function)
        return
    codes = [definition.__code__]
    while codes:
        code = codes.pop()
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        yield from (
            definition.__globals__[name] for name in code.co_names if name in definition.__globals__
        )
    for cell in definition.__closure__ or ():
        with suppress(ValueError):  # one that is not filled yet
            yield cell.cell_contents


def _source(definition: type | FunctionType) -> str | None:
    """The source of a class or function; None where it is not known for sure."""
    functions = (
        [definition] if isinstance(definition, FunctionType) else list(_functions(definition))
    )
    for function in functions:
        # Of a notebook's class Python does not know the file, but it does of the methods.
        file, line = function.__code__.co_filename, function.__code__.co_firstlineno
        linecache.checkcache(file)
        text = "".join(linecache.getlines(file, function.__globals__))
        if Path(file).exists() and function.__code__ not in _codes(text):
            return None  # the file has changed since it was imported
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.ClassDef | ast.FunctionDef)
                and node.name == definition.__name__
                and min([node.lineno, *(d.lineno for d in node.decorator_list)]) <= line
                and line <= (node.end_lineno or 0)
            ):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                return textwrap.dedent("\n".join(text.split("\n")[first - 1 : node.end_lineno]))
    try:
        return textwrap.dedent(inspect.getsource(definition))
    except (OSError, TypeError):
        return None


def _imports(source: str) -> list[str]:
    try:
        return [name for name in imported(ast.parse(source), "") if not name.endswith(".*")]
    except SyntaxError:  # of a method by itself
        return []

"""Finds search algorithms by name, file or class, and builds them."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from nasbench_lab.algorithm import GIVEN, History, Proxies, SearchAlgorithm, Seed, build
from nasbench_lab.errors import (
    AlgorithmFileError,
    HyperparameterError,
    UnknownNameError,
    short,
    text_of,
)
from nasbench_lab.plug_ins import ALGORITHMS, plug_ins
from nasbench_lab.spaces import SearchSpace
from nasbench_lab.user_code.classes import FileClass, LiveClass, taken_class
from nasbench_lab.user_code.code import Code


@cache
def algorithm_modules() -> dict[str, str]:
    """Each algorithm's name and the module that holds it; nothing is imported but the packages."""
    found: dict[str, str] = {}
    for _, modules in plug_ins(ALGORITHMS, _modules_in):
        found |= {name: module for name, module in modules.items() if name not in found}
    return found


def _modules_in(package: ModuleType) -> dict[str, str]:
    return {
        module.name: f"{package.__name__}.{module.name}"
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_")
    }


def algorithm_class(spec: str) -> type[SearchAlgorithm]:
    """The class of an algorithm.

    Args:
        spec: A registered name, or ``path/to/file.py:ClassName``.

    Raises:
        UnknownNameError: No algorithm of this name is registered.
        AlgorithmFileError: The file or module cannot be loaded, or has no such class.
    """
    path, colon, name = spec.rpartition(":")
    if colon and path.endswith(".py"):
        return _class_in(Code.of(path).load(), path, name)
    if spec.endswith(".py"):
        classes = ", ".join(f"{spec}:{name}" for name in _classes_in(Code.of(spec).load()))
        raise AlgorithmFileError(f"Name the class too. In that file: {classes or 'none'}.")
    modules = algorithm_modules()
    if spec not in modules:
        hint = "An algorithm of your own is named as path/to/file.py:ClassName."
        raise UnknownNameError("algorithm", spec, modules, hint)
    try:
        module = importlib.import_module(modules[spec])
    except Exception as error:  # what others have written may raise anything
        raise AlgorithmFileError(
            f"The algorithm {spec!r} cannot be imported from {modules[spec]}: "
            f"{type(error).__name__}: {text_of(error)}"
        ) from error
    return _class_in(module, modules[spec])


def _classes_in(module: ModuleType) -> dict[str, type[SearchAlgorithm]]:
    return {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, SearchAlgorithm)
        and value.__module__ == module.__name__
    }


def _class_in(module: ModuleType, where: str, name: str | None = None) -> type[SearchAlgorithm]:
    own = _classes_in(module)
    if name is not None and name not in own:
        raise AlgorithmFileError(
            f"Expected {where} to define a class {name!r} that inherits from SearchAlgorithm, but "
            f"such classes there are: {', '.join(own) or 'none'}."
        )
    if name is None and len(own) != 1:
        raise AlgorithmFileError(
            f"Expected {where} to define one SearchAlgorithm but found: {', '.join(own) or 'none'}."
        )
    return own[name or next(iter(own))]


_LONGEST = 10_000
"""Characters that an algorithm with its hyperparameters may have."""


def parse_algorithm(text: str) -> tuple[str, dict[str, Any]]:
    """Splits ``"gp_bo(kernel=matern, n_initial=5)"`` into a name and hyperparameters.

    Values are Python literals; anything else is taken as text.

    Raises:
        HyperparameterError: The text in parentheses is no list of ``name=value``.
    """
    refusal = HyperparameterError(f"Expected name or name(key=value, …) but got {short(text)!r}.")
    if len(text) > _LONGEST:
        raise refusal
    spec, given = _parted(text.strip())
    if not spec:
        raise refusal
    source = f"f{given or '()'}"
    try:
        call = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise refusal from None
    if not isinstance(call, ast.Call) or call.args or any(k.arg is None for k in call.keywords):
        raise refusal
    hyperparameters: dict[str, Any] = {}
    for keyword in call.keywords:
        name = str(keyword.arg)
        if name in hyperparameters or name in GIVEN:
            problem = "given twice" if name in hyperparameters else "set by the experiment"
            raise HyperparameterError(f"In {short(text)!r}, {name} is {problem}. Leave it out.")
        try:
            hyperparameters[name] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, RecursionError, MemoryError):
            hyperparameters[name] = ast.get_source_segment(source, keyword.value)
    return spec, hyperparameters


def _parted(text: str) -> tuple[str, str]:
    """Name and what is in parentheses behind it; no name where that is not how the text is."""
    # A path may have parentheses of its own, and what is behind it may speak of another.
    for match in reversed(list(re.finditer(r"\.py:\w+", text))):
        rest = text[match.end() :].lstrip()
        if not rest or (rest[0] == "(" and rest[-1] == ")"):
            return text[: match.end()], rest
    name, parenthesis, rest = text.partition("(")
    if ")" in name or (parenthesis and not rest.endswith(")")):
        return "", ""
    return name.rstrip(), parenthesis + rest


Taken = str | FileClass | LiveClass
"""An algorithm that was taken: the name of an installed one, or a class with its code."""


def take(algorithm: str | type[SearchAlgorithm]) -> tuple[Taken, dict[str, Any]]:
    """Takes an algorithm once: what its files hold later changes nothing.

    Args:
        algorithm: A name, ``name(key=value)``, ``path/to/file.py:ClassName`` or a class.

    Returns:
        What was taken, and the hyperparameters that the text gives.

    Raises:
        HyperparameterError: The text in parentheses is no list of ``name=value``.
        AlgorithmFileError: The file cannot be read.
    """
    if not isinstance(algorithm, str):
        return taken_class(algorithm), {}
    name, hyperparameters = parse_algorithm(algorithm)
    path, _, cls = name.rpartition(":")
    return FileClass(Code.of(path), cls) if path.endswith(".py") else name, hyperparameters


def running(algorithm: object) -> AbstractContextManager[None]:
    """Lets what looks modules up by name, such as ``pickle``, find an algorithm's in the block."""
    return algorithm.code.named() if isinstance(algorithm, FileClass) else nullcontext()


def class_of(algorithm: Taken | type[SearchAlgorithm]) -> type[SearchAlgorithm]:
    """The class of an algorithm that was taken.

    Raises:
        UnknownNameError: There is no such algorithm.
        AlgorithmFileError: Its file or module cannot be loaded, or has no such class.
    """
    if isinstance(algorithm, FileClass):
        return _class_in(algorithm.code.load(), algorithm.file, algorithm.name)
    if isinstance(algorithm, LiveClass):
        return algorithm.cls
    return algorithm_class(algorithm) if isinstance(algorithm, str) else algorithm


def make_algorithm(
    algorithm: str | type[SearchAlgorithm] | FileClass | LiveClass,
    space: SearchSpace,
    /,
    *,
    seed: Seed = 0,
    maximize: bool | Sequence[bool] = True,
    fidelities: Sequence[int] = (),
    data: str | Callable[[], str | None] | None = None,
    data_files: Path | None = None,
    proxies: Proxies | None = None,
    history: History | None = None,
    **hyperparameters: Any,
) -> SearchAlgorithm:
    """Builds an algorithm, with a helpful error for a hyperparameter that it does not have.

    Raises:
        UnknownNameError: There is no such algorithm or hyperparameter.
        HyperparameterError: A value does not fit, or the class cannot be built as all are.
    """
    return build(
        class_of(algorithm),
        space,
        seed=seed,
        maximize=maximize,
        fidelities=fidelities,
        data=data,
        data_files=data_files,
        proxies=proxies,
        history=history,
        **hyperparameters,
    )

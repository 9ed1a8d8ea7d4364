"""Finds search algorithms and tables, ours and those of plug-ins, through entry points.

The groups ``nasbench_lab.algorithms`` and ``nasbench_lab.tables`` each name packages. A package of
algorithms holds one algorithm per module, and the module's name is the algorithm's; modules that
start with an underscore are not looked at. A package of tables has a list ``TABLES`` of
``TableSource``.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import (
    AlgorithmFileError,
    HyperparameterError,
    MissingSourceError,
    TableFileError,
    UnknownNameError,
)
from nasbench_lab.files import atomic_folder, data_folder
from nasbench_lab.table import Query, Table, TableSource

# Algorithms


@cache
def algorithm_modules() -> dict[str, str]:
    """Each algorithm's name and the module that holds it; nothing is imported but the packages."""
    found: dict[str, str] = {}
    for entry in sorted(entry_points(group="nasbench_lab.algorithms"), key=lambda e: e.name):
        package = entry.load()
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                found.setdefault(module.name, f"{package.__name__}.{module.name}")
    return found


def algorithm_class(spec: str) -> type[SearchAlgorithm]:
    """The class of an algorithm.

    Args:
        spec: A registered name, or ``path/to/file.py:ClassName``.

    Raises:
        UnknownNameError: No algorithm of this name is registered.
        AlgorithmFileError: The file cannot be loaded, or has no such class.
    """
    path, colon, name = spec.rpartition(":")
    if colon and path.endswith(".py"):
        return _class_in(_load_file(path), path, name)
    modules = algorithm_modules()
    if spec not in modules:
        hint = "An algorithm of your own is named as path/to/file.py:ClassName."
        raise UnknownNameError("algorithm", spec, modules, hint)
    return _class_in(importlib.import_module(modules[spec]), modules[spec])


def _class_in(module: ModuleType, where: str, name: str | None = None) -> type[SearchAlgorithm]:
    own = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, SearchAlgorithm)
        and value.__module__ == module.__name__
    }
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


def _load_file(path: str) -> ModuleType:
    file = Path(path).expanduser().resolve()
    # One module per file and content, under a name that every worker process derives alike.
    try:
        digest = hashlib.sha256(str(file).encode() + file.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise AlgorithmFileError(f"Cannot read {path}: {error.strerror}.") from error
    name = f"nasbench_lab_user_{re.sub(r'[^0-9a-zA-Z]', '_', file.stem)}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise AlgorithmFileError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception):
            raise
        raise AlgorithmFileError(
            f"{path} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return module


def hyperparameters_of(cls: type[SearchAlgorithm]) -> dict[str, Any]:
    """Names and defaults of an algorithm's own hyperparameters."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(cls).parameters.items()
        if name not in ("space", "seed", "maximize")
        and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }


def parse_algorithm(text: str) -> tuple[str, dict[str, Any]]:
    """Splits ``"gp_bo(kernel=matern, n_initial=5)"`` into a name and hyperparameters.

    Values are Python literals; anything else is taken as text.

    Raises:
        HyperparameterError: The text in parentheses is no list of ``name=value``.
    """
    match = re.fullmatch(r"\s*([^()]+?)\s*(?:\((.*)\))?\s*", text)
    if not match:
        raise HyperparameterError(f"Expected name or name(key=value, …) but got {text!r}.")
    hyperparameters: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in (match[2] or "").split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key.isidentifier() or not value:
            raise HyperparameterError(
                f"Expected name=value in the parentheses of {text!r} but got {part!r}."
            )
        try:
            hyperparameters[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            hyperparameters[key] = value
    return match[1], hyperparameters


def make_algorithm(
    algorithm: str | type[SearchAlgorithm], *arguments: Any, **hyperparameters: Any
) -> SearchAlgorithm:
    """Builds an algorithm, with a helpful error for a hyperparameter that it does not have.

    Raises:
        UnknownNameError: There is no such algorithm or hyperparameter.
        HyperparameterError: A value does not fit.
    """
    cls = algorithm_class(algorithm) if isinstance(algorithm, str) else algorithm
    known = hyperparameters_of(cls)
    free = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(cls).parameters.values())
    common = {"seed", "maximize"}
    for name in hyperparameters:
        if name not in known and name not in common:
            # **kwargs lead to SearchAlgorithm, unless a class between takes more.
            bases = [b for b in cls.__mro__[1:] if issubclass(b, SearchAlgorithm)]
            if not free or not any(name in hyperparameters_of(base) for base in bases):
                raise UnknownNameError(f"hyperparameter of {cls.__name__}", name, known)
    return cls(*arguments, **hyperparameters)


# Tables


@cache
def table_sources() -> dict[str, TableSource]:
    """All known tables by name."""
    found: dict[str, TableSource] = {}
    for entry in sorted(entry_points(group="nasbench_lab.tables"), key=lambda e: e.name):
        for source in entry.load().TABLES:
            found.setdefault(source.name, source)
    return found


def table_folder(name: str) -> Path:
    """Where the table of this name is kept once it has been made."""
    return data_folder() / "tables" / name


def table_names() -> list[str]:
    """The names of all tables that are known or kept in the data folder."""
    tables = data_folder() / "tables"
    kept = {
        manifest.parent.relative_to(tables).as_posix()
        for manifest in tables.glob("**/manifest.json")
        if not any(part.startswith(".") for part in manifest.relative_to(tables).parts)
    }
    return sorted(kept | set(table_sources()))


def open_table(name: str) -> Table:
    """Opens a table; one from an installed package is converted when it is first asked for.

    Args:
        name: Such as ``"nas-bench-graph/cora"``.

    Raises:
        UnknownNameError: There is no such table.
        MissingSourceError: The table is known, but what it is made from is not installed.
        TableFileError: The table or its source is damaged.
        DataFolderError: The data folder cannot be written.
    """
    source = table_sources().get(name)
    folder = table_folder(name)
    kept = (folder / "manifest.json").is_file()
    if source is None:
        if not kept:
            raise UnknownNameError("table", name, table_names())
        return Table.open(folder)
    try:
        version = source.version()
    except MissingSourceError:
        if not kept:
            raise
        return Table.open(folder)
    if kept:
        try:
            table = Table.open(folder)
        except TableFileError as error:
            if not error.outdated:
                raise
        else:
            if table.info.source.get("version") == version:
                return table
    with atomic_folder(folder, replace=True) as new:
        source.convert(new)
    return Table.open(folder)


def load_benchmark(
    name: str,
    *,
    objective: Query | str | Sequence[Query | str] | None = None,
    report: Query | str | None = None,
    clock: str | None = None,
) -> TableBenchmark:
    """Opens a table as a benchmark.

    Args:
        name: The table, such as ``"nas-bench-graph/cora"``.
        objective: What a search sees, one query or several; by default what the table says.
        report: What results are reported in; by default what the table says.
        clock: One of ``nasbench_lab.benchmark.CLOCKS``.

    Raises:
        UnknownNameError: There is no such table or clock.
        MissingSourceError: What the table is made from is not installed.
        QueryError: The table cannot answer, or the objective is measured on test data.

    Example:
        >>> benchmark = load_benchmark("nas-bench-graph/cora")
        >>> benchmark.space.size
        59049
    """
    return TableBenchmark(open_table(name), objective=objective, report=report, clock=clock)

"""Finds search algorithms and tables, ours and those of plug-ins, through entry points.

The groups ``nasbench_lab.algorithms`` and ``nasbench_lab.tables`` each name packages. A package of
algorithms holds one algorithm per module, and the module's name is the algorithm's; modules that
start with an underscore are not looked at. A package of tables has a list ``TABLES`` of
``TableSource``.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pkgutil
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from nasbench_lab.algorithm import GIVEN, SearchAlgorithm, Seed, build
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.bounded_files import check_regular
from nasbench_lab.errors import (
    AlgorithmFileError,
    DataFolderError,
    HyperparameterError,
    MissingSourceError,
    TableFileError,
    UnknownNameError,
    short,
    text_of,
)
from nasbench_lab.files import atomic_folder, data_folder, folders_with, nearest_file, settle
from nasbench_lab.guard import check_tables_are_open
from nasbench_lab.spaces import SearchSpace
from nasbench_lab.tables.columns import Constraint, Query
from nasbench_lab.tables.folder import MAKE_AGAIN
from nasbench_lab.tables.sources import FileFormat, ImportOptions, TableSource, silent
from nasbench_lab.tables.table import Table
from nasbench_lab.user_code.classes import FileClass, LiveClass, taken_class
from nasbench_lab.user_code.code import Code
from nasbench_lab.user_code.modules import GROUPS


def _plug_ins(group: str) -> Iterator[Any]:
    """The packages of an entry-point group; one that cannot be imported is warned of and left out."""
    for entry in sorted(entry_points(group=group), key=lambda e: e.name):
        try:
            package = entry.load()
        except Exception as error:
            warnings.warn(
                f"The plug-in {entry.name!r} of {group} cannot be loaded, and is left out: "
                f"{type(error).__name__}: {text_of(error)}",
                stacklevel=2,
            )
        else:
            yield package


# Algorithms


@cache
def algorithm_modules() -> dict[str, str]:
    """Each algorithm's name and the module that holds it; nothing is imported but the packages."""
    found: dict[str, str] = {}
    for package in _plug_ins(GROUPS[0]):
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
        return _class_in(Code.of(path).load(), path, name)
    if spec.endswith(".py"):
        classes = ", ".join(f"{spec}:{name}" for name in _classes_in(Code.of(spec).load()))
        raise AlgorithmFileError(f"Name the class too. In that file: {classes or 'none'}.")
    modules = algorithm_modules()
    if spec not in modules:
        hint = "An algorithm of your own is named as path/to/file.py:ClassName."
        raise UnknownNameError("algorithm", spec, modules, hint)
    return _class_in(importlib.import_module(modules[spec]), modules[spec])


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
    wrong = HyperparameterError(f"Expected name or name(key=value, …) but got {short(text)!r}.")
    if len(text) > _LONGEST:
        raise wrong
    spec, given = _parted(text.strip())
    if not spec:
        raise wrong
    source = f"f{given or '()'}"
    try:
        call = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise wrong from None
    if not isinstance(call, ast.Call) or call.args or any(k.arg is None for k in call.keywords):
        raise wrong
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


def make_algorithm(
    algorithm: str | type[SearchAlgorithm] | FileClass | LiveClass,
    space: SearchSpace,
    /,
    *,
    seed: Seed = 0,
    maximize: bool | Sequence[bool] = True,
    fidelities: Sequence[int] = (),
    **hyperparameters: Any,
) -> SearchAlgorithm:
    """Builds an algorithm, with a helpful error for a hyperparameter that it does not have.

    Raises:
        UnknownNameError: There is no such algorithm or hyperparameter.
        HyperparameterError: A value does not fit, or the class cannot be built as all are.
    """
    if isinstance(algorithm, FileClass):
        cls = _class_in(algorithm.code.load(), algorithm.file, algorithm.name)
    elif isinstance(algorithm, LiveClass):
        cls = algorithm.cls
    else:
        cls = algorithm_class(algorithm) if isinstance(algorithm, str) else algorithm
    return build(cls, space, seed=seed, maximize=maximize, fidelities=fidelities, **hyperparameters)


# Tables


@cache
def table_sources() -> dict[str, TableSource]:
    """All known tables by name."""
    found: dict[str, TableSource] = {}
    for package in _plug_ins(GROUPS[1]):
        for source in package.TABLES:
            found.setdefault(source.name, source)
    return found


@cache
def file_formats() -> list[FileFormat]:
    """All kinds of files that tables can be made from."""
    return [one for package in _plug_ins(GROUPS[1]) for one in getattr(package, "FORMATS", [])]


def needed_files() -> dict[str, str]:
    """Each table that is made from a file of the user's, and the official file that it needs."""
    return {name: file for one in file_formats() for name, file in one.tables.items()}


_LONGEST_NAME = 200
"""Characters of a table's name, which is that of its folder too."""


def table_folder(name: str) -> Path:
    """Where the table of this name is kept once it has been made."""
    return data_folder() / "tables" / name


def kept_tables() -> list[str]:
    """The names of all tables in the data folder."""
    return sorted(folders_with("manifest.json", data_folder() / "tables"))


def table_names() -> list[str]:
    """The names of all tables that are known or kept in the data folder."""
    return sorted({*kept_tables(), *table_sources(), *needed_files()})


def open_table(name: str) -> Table:
    """Opens a table; one from an installed package is converted when it is first asked for.

    Args:
        name: Such as ``"nas-bench-graph/cora"``.

    Raises:
        UnknownNameError: There is no such table.
        MissingSourceError: The table is known, but what it is made from is not installed, or was
            not imported.
        TableFileError: The table or its source is damaged.
        DataFolderError: The data folder cannot be read or written.
        AlgorithmError: A search asks for it, in its run.
    """
    check_tables_are_open(f"the table {name!r}")
    if len(name) > _LONGEST_NAME:
        raise UnknownNameError("table", name, table_names())
    source = table_sources().get(name)
    folder = table_folder(name)
    kept = _is_kept(folder)
    if source is None:
        if kept:
            return _open(name)
        if name in needed_files():
            raise MissingSourceError(
                f"Table {name!r} is not installed. Import the file that the benchmark's authors "
                f"publish ({needed_files()[name]}): nasbench-lab import PATH"
            )
        raise UnknownNameError("table", name, table_names())
    try:
        version = source.version()
    except MissingSourceError:
        if not kept:
            raise
        return _open(name)
    if kept:
        try:
            table = _open(name)
        except TableFileError as error:
            if not error.outdated:
                raise
        else:
            if table.info.source.get("version") == version:
                return table
    with atomic_folder(folder, replace=True) as new:
        source.convert(new)
    return _open(name)


def _is_kept(folder: Path) -> bool:
    try:
        settle(folder)
        os.stat(folder / "manifest.json")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DataFolderError(f"Cannot read {folder}: {error.strerror}.") from error
    return True


def remedy(name: str) -> str:
    """What is to be done about damage to a table: only what can be made again is to be deleted."""
    source = table_sources().get(name)
    if source is None:
        return MAKE_AGAIN
    try:
        source.version()
    except MissingSourceError:
        return f"Put back a copy of it, or install {source.needs}: the table is made from that."
    return "Delete that folder; the table is then made again when it is next used."


def _open(name: str) -> Table:
    table = Table.open(table_folder(name), remedy(name))
    if table.name != name:
        raise TableFileError(
            f"{table.folder} holds the table {table.name!r} instead of {name!r}. Put it where it "
            f"belongs, {table_folder(table.name)}, or import it under the other name (--name)."
        )
    return table


def torch_home() -> Path:
    """Where the official packages look for their files: ``$TORCH_HOME``, else ``~/.torch``."""
    named = os.environ.get("TORCH_HOME")
    return Path(named).expanduser() if named else Path.home() / ".torch"


def official_files() -> list[Path]:
    """The official files in ``torch_home``: of each format's tables the first form that is there."""
    found = []
    for one in file_formats():
        tables = set()
        for name in one.official:
            path = torch_home() / name
            table = one.recognise(path) if path.exists() else None
            if table is not None and table not in tables:
                tables.add(table)
                found.append(path)
    return found


def import_file(
    path: Path | str,
    *,
    name: str | None = None,
    curves: bool = True,
    jobs: int = -1,
    mapping: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Table:
    """Makes a table of a benchmark file, and keeps it in the data folder under its name.

    The file is recognised by its content, never by its name, and no byte of it is executed. A table
    of that name is replaced once the new one is complete; until then, and if anything fails, it
    stays as it was.

    Args:
        path: A file or folder; if there is none of this name, one in ``torch_home``.
        name: The table's name; None for the one that the format has.
        curves: Whether the values of all epochs are kept, or only those at the end.
        jobs: How many processes read; -1 for one per core.
        mapping: Says what the columns of a CSV or Parquet file are; by default the file of the same
            name that ends in ``.toml``.
        progress: Called with the number of records read, and their number in all or 0.

    Raises:
        MissingSourceError: There is no such file.
        TableFileError: It is of no known format, damaged, hostile, or disagrees with itself.
        DataFolderError: The data folder cannot be written.
    """
    path = Path(path).expanduser()
    if not path.exists() and not path.is_absolute() and (torch_home() / path).exists():
        path = torch_home() / path
    if not path.exists():
        raise MissingSourceError(
            f"There is no file {path}, nor one of that name in {torch_home()}.{nearest_file(path)}"
        )
    path = path.resolve()
    if not path.is_dir():
        try:
            check_regular(path)
        except OSError as error:
            raise TableFileError(f"{path} cannot be imported: {error.strerror}.") from error
    recognised = ((one, one.recognise(path)) for one in file_formats())
    found = next(((one, table) for one, table in recognised if table is not None), None)
    if found is None:
        kinds = "; ".join(
            one.name + (f" ({', '.join(one.tables.values())})" if one.tables else "")
            for one in file_formats()
        )
        raise TableFileError(
            f"{path} is none of the files that can be imported, or its beginning is damaged. "
            f"Expected one of: {kinds}."
        )
    one, usual = found
    if mapping is not None:
        if one.named_by is None:
            raise TableFileError(
                f"{path} is of {one.name}, whose columns are known: leave the mapping file out."
            )
        usual = one.named_by(Path(mapping))
    name = name or usual
    _check_name(name)
    if name in needed_files() and name not in one.tables:
        raise TableFileError(
            f"{name!r} is the name of the table of {needed_files()[name]}; {path} is of another "
            f"format. Give it another name."
        )
    options = ImportOptions(name, curves, jobs, mapping and Path(mapping), progress or silent)
    folder = table_folder(name)
    with atomic_folder(folder, replace=True) as new:
        one.convert(path, new, options)
        table = Table.open(new)
        joins = _joins(table)
        for larger, smaller in joins:
            larger.check_join(smaller)
        # Before the new table is there: should this be killed, the import is plainly not done yet.
        for larger, smaller in joins:
            if larger.name == name:
                table = table.joined(smaller)
            else:
                larger.joined(table)
    found_there = Table.open(folder)
    if found_there.info.source != table.info.source:
        raise TableFileError(
            f"Another process made a table {name!r} of {found_there.info.source.get('file')} "
            f"meanwhile, which stays. Import {path} under another name, or again."
        )
    return found_there


def _check_name(name: str) -> None:
    """Refuses a name that is no folder of its own in the data folder."""
    wrong = ""
    if len(name) > _LONGEST_NAME:
        wrong = f"at most {_LONGEST_NAME} characters"
    elif not re.fullmatch(r"[\w+-][\w.+-]*(/[\w+-][\w.+-]*)*", name):
        wrong = "letters, digits and _ . + -, with / between parts, none starting with a dot"
    elif name in table_sources() or name == "compat":
        wrong = "a name that no other table or group of tables has"
    elif any(a.startswith(f"{b}/") for o in kept_tables() for a, b in ((name, o), (o, name))):
        wrong = "a name that does not lie within another table's, nor another within it"
    if wrong:
        raise TableFileError(f"Expected as name of a table {wrong}, but got {short(name)!r}.")


def _joins(table: Table) -> list[tuple[Table, Table]]:
    """Pairs of a table and another whose columns join it, such as hardware costs."""
    pairs = []
    for name in kept_tables():
        if name == table.name:
            continue
        try:
            other = Table.open(table_folder(name))
        except (TableFileError, DataFolderError):
            continue  # it says so when it is asked for
        if name in table.info.joins:
            pairs.append((other, table))
        if table.name in other.info.joins:
            pairs.append((table, other))
    return pairs


def load_benchmark(
    name: str,
    *,
    objective: Query | str | Sequence[Query | str] | None = None,
    report: Query | str | None = None,
    clock: str | None = None,
    constraints: Constraint | str | Sequence[Constraint | str] = (),
) -> TableBenchmark:
    """Opens a table as a benchmark.

    Args:
        name: The table, such as ``"nas-bench-graph/cora"``, or table and task, such as
            ``"nats-tss/cifar100"``.
        objective: What a search sees, one query or several; by default what the table says.
        report: What results are reported in; by default what the table says.
        clock: One of ``nasbench_lab.clock.CLOCKS``.
        constraints: What architectures must keep to, such as ``"parameters<=0.5"``.

    Raises:
        UnknownNameError: There is no such table or clock.
        MissingSourceError: What the table is made from is not installed.
        QueryError: The table cannot answer, or the objective is measured on test data.
        AlgorithmError: A search asks for it, in its run.

    Example:
        >>> benchmark = load_benchmark("nas-bench-graph/cora")
        >>> benchmark.space.size
        59049
    """
    table, task = _split_task(name)
    return TableBenchmark(
        open_table(table),
        task,
        objective=objective,
        report=report,
        clock=clock,
        constraints=constraints,
    )


def _split_task(name: str) -> tuple[str, str | None]:
    """Splits ``"nats-tss/cifar100"`` into table and task, where the table is known by name."""
    known = table_names()
    table, slash, task = name.rpartition("/")
    return (table, task) if slash and name not in known and table in known else (name, None)

"""The mapping files of ``tabular_data.csv_table``, which describes them."""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasbench_lab.errors import SpaceError, TableFileError, UnknownNameError, quoted, short
from nasbench_lab.files import read_text
from nasbench_lab.spaces import Decision
from nasbench_lab.tables.columns import Column
from nasbench_lab.tables.folder import MOST_DECISIONS
from nasbench_lab.tables.rows import MOST_BINS, DecisionColumn
from nasbench_lab.words import counted

CLOCKS = ("evaluations", "train_only", "official", "every_epoch", "resume")
"""The clocks of ``nasbench_lab.clock``, which an importer must not import."""

_LARGEST_SCALE = 1e300
_SPLITS = ("train", "valid", "test", "valid+test")

_Kinds = Mapping[str, tuple[type, ...]]
_TABLE: _Kinds = {
    **dict.fromkeys(("name", "objective"), (str,)),
    "architecture": (str, list),
    "space": (str,),
    "join": (str,),
    "repeats": (str,),
    **dict.fromkeys(("report", "description", "citation", "licence", "clock"), (str,)),
}
_NEEDED = ("name", "objective", "architecture", "space")
_COLUMN: _Kinds = {
    **dict.fromkeys(("name", "unit"), (str,)),
    "from": (str, list, dict),
    "maximize": (bool,),
    **dict.fromkeys(("quantity", "split", "dataset", "schedule"), (str,)),
    **dict.fromkeys(("trained_on", "description"), (str,)),
    **dict.fromkeys(("trials", "epochs", "also"), (list,)),
    "scale": (int, float),
}
_DECISION: _Kinds = {
    "name": (str,),
    "options": (list,),
    "column": (str,),
    "ordered": (bool,),
    "active_if": (dict,),
    "bins": (int, list),
    "log": (bool,),
}
_WORDS = {str: "a text", list: "a list", dict: "a table", bool: "true or false", int: "a number"}


@dataclass(frozen=True)
class Source:
    """A column of the table, and its columns of the file, ``[trial][epoch]``."""

    column: Column
    names: list[list[str]]
    scale: float


@dataclass(frozen=True)
class MappingFile:
    path: Path
    table: dict[str, Any]
    sources: list[Source]
    decisions: list[DecisionColumn]

    @property
    def repeats(self) -> bool:
        """Whether several rows of one architecture are trials of it."""
        binned = any(column.bins is not None for column in self.decisions)
        return bool(self.table.get("repeats", "trials" if binned else "refuse") == "trials")

    @property
    def join(self) -> str | None:
        """The table that the columns join."""
        return self.table.get("join")

    @property
    def architecture(self) -> list[str]:
        """The file's columns that name the architecture of a row."""
        if self.decisions:
            return [column.column for column in self.decisions]
        given = self.table["architecture"]
        return [given] if isinstance(given, str) else list(given)


def read_mapping(path: Path, *, needs_space: bool = True) -> MappingFile:
    """Reads and checks a mapping file.

    Args:
        path: The file.
        needs_space: Whether it must say what the space is.

    Raises:
        TableFileError: It is not a mapping file; the message names the key and the expected value.
    """
    try:
        content = tomllib.loads(read_text(path, 1 << 20))
    except OSError as error:
        raise TableFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise TableFileError(f"{path} is not a TOML file: {error}.") from error
    whole: _Kinds = {"table": (dict,), "columns": (list,), "decisions": (list,)}
    _check(str(path), content, whole, ("table", "columns"))
    table = content["table"]
    decisions = _decisions(path, content.get("decisions", []))
    join = "join" in table
    said = (
        {"space", "architecture"} if decisions else {"space"} if join or not needs_space else set()
    )
    needed = [key for key in _NEEDED if key not in said and not (join and key == "objective")]
    _check(f"{path}, [table]", table, _TABLE, needed)
    for key in ("space", "architecture") if decisions else ():
        if key in table:
            raise TableFileError(
                f"{path}, [table]: expected no {key!r} beside [[decisions]], which say it."
            )
    if join and (decisions or "space" in table):
        raise TableFileError(
            f"{path}: expected no {'[[decisions]]' if decisions else 'space'} beside 'join', as the "
            f"space is that of {short(table['join'])!r}."
        )
    if join and table["join"] == table["name"]:
        raise TableFileError(
            f"{path}, [table]: {short(table['join'])!r} stays as it is. Give the table that has the "
            f"columns of both a 'name' of its own."
        )
    _one_of(f"{path}, [table]", table, "repeats", ("refuse", "trials"))
    if not re.fullmatch(r"[\w+-][\w.+-]*(/[\w+-][\w.+-]*)*", table["name"]):
        raise TableFileError(
            f"{path}, [table]: expected a name of letters, digits and _ . + - / but got "
            f"{short(table['name'])!r}."
        )
    _list_of(f"{path}, [table]", table, "architecture", str, "columns")
    if not content["columns"]:
        raise TableFileError(f"{path}: expected at least one [[columns]].")
    sources = [
        _source(f"{path}, [[columns]] {number}", entry)
        for number, entry in enumerate(content["columns"], 1)
    ]
    columns = {source.column.name: source.column for source in sources}
    if len(columns) < len(sources):
        names = [source.column.name for source in sources]
        twice = next(name for name in names if names.count(name) > 1)
        raise TableFileError(f"{path}: two [[columns]] have the name {twice!r}.")
    mapping = MappingFile(path, table, sources, decisions)
    _one_of(f"{path}, [table]", table, "clock", CLOCKS)
    if not join:
        check_goals(mapping, columns)
    return mapping


def check_goals(mapping: MappingFile, columns: Mapping[str, Column]) -> None:
    """Refuses an objective or a report that is none of the table's columns, or is not to be seen.

    Raises:
        TableFileError: It is so; the message names the key.
    """
    where, table = f"{mapping.path}, [table]", mapping.table
    for key in ("objective", "report"):
        _one_of(where, table, key, columns, "column")
    if "objective" in table and columns[table["objective"]].on_test_data:
        raise TableFileError(
            f"{where}: objective {table['objective']!r} is measured on test data, which a search "
            f"must not see. Name another, and this one as report."
        )


def _decisions(path: Path, entries: list[Any]) -> list[DecisionColumn]:
    """The entries of ``[[decisions]]``."""
    if len(entries) > MOST_DECISIONS:
        raise TableFileError(f"{path}: expected at most {MOST_DECISIONS:,} [[decisions]].")
    columns = []
    for number, entry in enumerate(entries, 1):
        where = f"{path}, [[decisions]] {number}"
        if not isinstance(entry, dict):
            raise TableFileError(f"{where}: expected a table but got {quoted(entry)}.")
        _check(where, entry, _DECISION, ["name"])
        columns.append(_decision(f"{where} ({short(entry['name'])})", entry))
    for key, names in (
        ("decision", [column.decision.name for column in columns]),
        ("column", [column.column for column in columns]),
    ):
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise TableFileError(f"{path}: two [[decisions]] have the {key} {short(twice)!r}.")
    return columns


def _decision(where: str, entry: dict[str, Any]) -> DecisionColumn:
    """One entry of ``[[decisions]]``."""
    if ("options" in entry) == ("bins" in entry):
        raise TableFileError(f"{where}: expected either 'options' or 'bins'.")
    if "log" in entry and not isinstance(entry.get("bins"), int):
        raise TableFileError(f"{where}: expected 'log' only with a number of 'bins'.")
    _list_of(where, {"bins": entry.get("bins")}, "bins", (int, float), "numbers")
    bins = entry.get("bins")
    if isinstance(bins, int) and not 2 <= bins <= MOST_BINS:
        raise TableFileError(
            f"{where}: expected from 2 to {MOST_BINS:,} 'bins', or their edges, but got {bins}."
        )
    if isinstance(bins, list) and (
        not 2 <= len(bins) <= MOST_BINS
        or not all(map(math.isfinite, bins))
        or any(a >= b for a, b in itertools.pairwise(bins))
    ):
        raise TableFileError(f"{where}: expected ascending edges as 'bins' but got {quoted(bins)}.")
    options = entry.get("options", ["of the bins"])
    kinds = str, int, float, bool
    if not options or not all(
        type(option) in kinds and (type(option) is not float or math.isfinite(option))
        for option in options
    ):
        raise TableFileError(
            f"{where}: expected a list of texts and numbers as 'options' but got {quoted(options)}."
        )
    try:
        decision = Decision(
            entry["name"],
            tuple(options),
            entry.get("ordered", bins is not None),
            entry.get("active_if", {}),
        )
    except SpaceError as error:
        raise TableFileError(f"{where}: {error}") from error
    if len(set(map(str, options))) < len(options) or _equal_numbers(options):
        raise TableFileError(
            f"{where}: expected different options but got {quoted(options)}; numbers are told apart "
            f"by value."
        )
    return DecisionColumn(
        decision,
        entry.get("column", entry["name"]),
        tuple(map(float, bins)) if isinstance(bins, list) else bins,
        entry.get("log", False),
    )


def _equal_numbers(options: list[Any]) -> bool:
    numbers = [option for option in options if type(option) in (int, float)]
    return len(set(numbers)) < len(numbers)


def _source(where: str, content: object) -> Source:
    """One entry of ``[[columns]]``."""
    if not isinstance(content, dict):
        raise TableFileError(f"{where}: expected a table but got {quoted(content)}.")
    entry: dict[str, Any] = content
    _check(where, entry, _COLUMN, ["name", "unit", "from", "maximize"])
    name = entry["name"]
    if not re.fullmatch(r"[\w@.+-]+", name) or name in ("row_of_index", "keys"):
        raise TableFileError(
            f"{where}: expected a name of letters, digits and _ @ . + - but got "
            f"{short(name)!r}; row_of_index and keys are taken."
        )
    where = f"{where} ({name})"
    _one_of(where, entry, "split", _SPLITS)
    _one_of(where, entry, "trained_on", ("train", "train+valid"))
    _list_of(where, entry, "also", str, "texts")
    given_scale = entry.get("scale", 1)
    if not 0 < given_scale < _LARGEST_SCALE:
        raise TableFileError(
            f"{where}: expected a scale above 0 and below {_LARGEST_SCALE:g} but got "
            f"{quoted(given_scale)}."
        )
    scale = float(given_scale)
    trials, epochs, names = _grid(where, entry)
    optional = ("split", "dataset", "schedule", "trained_on", "description")
    column = Column(
        name,
        entry.get("quantity", name),
        entry["unit"],
        entry["maximize"],
        trials=trials,
        epochs=epochs,
        also=tuple(entry.get("also", ())),
        **{key: entry[key] for key in optional if key in entry},
    )
    return Source(column, names, scale)


def _grid(
    where: str, entry: dict[str, Any]
) -> tuple[tuple[int | str, ...], tuple[int, ...] | None, list[list[str]]]:
    """Trials, epochs, and the file's columns ``[trial][epoch]``."""
    origin, trials, epochs = entry["from"], entry.get("trials"), entry.get("epochs")
    _list_of(where, entry, "trials", (int, str), "seeds or words")
    _list_of(where, entry, "epochs", int, "whole numbers")
    for key, most in (("trials", 1 << 63), ("epochs", 10**9)):
        held = [value for value in entry.get(key, ()) if isinstance(value, int)]
        if wrong := [value for value in held if abs(value) >= most]:
            raise TableFileError(
                f"{where}: expected {key} below {most:,} but got {quoted(wrong[0])}."
            )
    if trials and len(trials) > 1 and {"mean", "random"} & set(trials):
        raise TableFileError(f"{where}: 'mean' and 'random' cannot be trials beside others.")
    if isinstance(origin, dict):
        if epochs or not origin or not all(re.fullmatch(r"[1-9]\d{0,8}", key) for key in origin):
            raise TableFileError(
                f'{where}: expected a table such as {{ 1 = "acc_1", 12 = "acc_12" }} as \'from\', '
                f"and then no 'epochs', but got {quoted(origin)}."
            )
        epochs = sorted(map(int, origin))
        by_epoch = [origin[str(epoch)] for epoch in epochs]
    elif isinstance(origin, list) and epochs:
        if trials and len(trials) > 1:
            raise TableFileError(
                f"{where}: for trials and epochs, expected a table from each epoch to a list of "
                f'columns as \'from\', such as {{ 12 = ["seed1", "seed2"] }}.'
            )
        by_epoch = origin
    else:
        by_epoch = [origin]
    if epochs and (epochs[0] < 1 or any(a >= b for a, b in itertools.pairwise(epochs))):
        raise TableFileError(f"{where}: expected ascending epochs from 1 on but got {epochs}.")
    if epochs and len(epochs) != len(by_epoch):
        raise TableFileError(
            f"{where}: 'from' has {counted(len(by_epoch), 'column')} for "
            f"{counted(len(epochs), 'epoch')}."
        )
    columns = [names if isinstance(names, list) else [names] for names in by_epoch]
    for names in columns:
        if not names or not all(isinstance(name, str) for name in names):
            raise TableFileError(
                f"{where}: expected names of the file's columns as 'from' but got {quoted(origin)}."
            )
        if len(names) != len(trials or (0,)):
            raise TableFileError(
                f"{where}: 'from' has {counted(len(names), 'column')} for "
                f"{counted(len(trials or (0,)), 'trial')}. Say in "
                f"'trials' or 'epochs' what several columns are."
            )
    by_trial = [list(names) for names in zip(*columns, strict=True)]
    return tuple(trials or ("as given",)), tuple(epochs) if epochs else None, by_trial


def _check(where: str, entry: dict[str, Any], kinds: _Kinds, required: Sequence[str]) -> None:
    """Refuses unknown keys, wrong types, and a lack of required keys."""
    for key, value in entry.items():
        if key not in kinds:
            raise TableFileError(f"{where}: {UnknownNameError('key', key, kinds)}")
        if type(value) not in kinds[key]:
            words = " or ".join(_WORDS[kind] for kind in kinds[key] if kind in _WORDS)
            raise TableFileError(f"{where}: expected {words} as {key!r} but got {quoted(value)}.")
    if absent := [key for key in required if key not in entry]:
        raise TableFileError(f"{where}: expected the key {' and '.join(map(repr, absent))}.")


def _list_of(where: str, entry: dict[str, Any], key: str, kinds: Any, words: str) -> None:
    value = entry.get(key)
    if isinstance(value, list) and (
        not value
        or not all(isinstance(item, kinds) and type(item) is not bool for item in value)
        or len(set(value)) < len(value)
    ):
        raise TableFileError(
            f"{where}: expected different {words} as {key!r} but got {quoted(value)}."
        )


def _one_of(
    where: str, entry: dict[str, Any], key: str, choices: Any, kind: str | None = None
) -> None:
    if key in entry and entry[key] not in choices:
        raise TableFileError(f"{where}: {UnknownNameError(kind or key, entry[key], choices)}")

"""Drafts of mapping files for ``tabular_data.csv_table``, guessed from the columns of a data file."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import tomli_w
from numpy.typing import NDArray

from nasbench_lab.errors import InvalidArchitectureError, TableFileError, short
from nasbench_lab.spaces import Decision, Option, get_space, space_names
from nasbench_lab.tables.columns import SHARES
from nasbench_lab.tables.rows import BLANK
from nasbench_lab.words import counted

MOST_OPTIONS = 32
"""A column of numbers with more distinct ones is measured, or drawn from a range."""

CHECK = "# CHECK"
"""Begins each comment on a guess that is to be looked at."""

_BINS = 8
_MOST_CELLS = 1 << 30
"""Conditions are looked for in so many pairs of cells at most."""

_QUANTITIES = {
    **dict.fromkeys(("acc", "accuracy", "top"), "accuracy"),
    **dict.fromkeys(("error", "err"), "error"),
    **dict.fromkeys(("time", "seconds", "secs", "duration", "runtime", "hours"), "train_time"),
    **dict.fromkeys(("params", "parameters"), "parameters"),
    **dict.fromkeys(("perplexity", "ppl"), "perplexity"),
    **{
        word: word
        for word in (
            *("loss", "auc", "f1", "precision", "recall", "latency", "flops", "macs", "memory"),
            *("energy", "mse", "rmse", "mae", "bleu", "score", "throughput"),
        )
    },
}
"""What is measured, by a word in a column's name."""

_HIGHER = ("accuracy", "auc", "f1", "precision", "recall", "bleu", "score", "throughput")
_COSTS = ("train_time", "valid_time", "parameters", "latency", "flops", "macs", "memory", "energy")
_SPLITS = {
    **dict.fromkeys(("val", "valid", "validation", "dev"), "valid"),
    "test": "test",
    **dict.fromkeys(("train", "training"), "train"),
}
_SECONDS = {
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("min", "minutes"), 60),
    "ms": 0.001,
}
_LABELS = {
    *("id", "index", "idx", "name", "hash", "uuid", "unnamed", "date", "timestamp", "host", "path"),
    *("seed", "trial", "run", "repeat", "replicate", "job"),
}
"""Words of columns that name a row or say where it is from."""
_DRAWN = {
    *("lr", "learning", "rate", "dropout", "decay", "momentum", "penalty", "l2", "wd", "alpha"),
    *("beta", "epsilon", "temperature", "smoothing", "scale", "gamma", "regularization", "warmup"),
}
"""Words of hyperparameters, which may be drawn from a range."""


@dataclass(frozen=True)
class _Column:
    """A column of the file."""

    name: str
    cells: Sequence[str]

    @cached_property
    def words(self) -> list[str]:
        parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", self.name)
        pairs = ["".join(pair).lower() for pair in itertools.pairwise(parts)]
        return [part.lower() for part in parts] + [p for p in pairs if p in ("f1", "l2")]

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """``(n,)`` the number of each cell among the distinct texts, -1 for blanks."""
        known: dict[str, int] = {}
        return np.array(
            [
                -1 if cell.lower() in BLANK else known.setdefault(cell, len(known))
                for cell in self.cells
            ],
            dtype=np.int64,
        )

    @cached_property
    def texts(self) -> list[str]:
        """The distinct texts, in the order of the file."""
        _, first = np.unique(self.codes[self.codes >= 0], return_index=True)
        held = [cell for cell, code in zip(self.cells, self.codes, strict=True) if code >= 0]
        return [held[i] for i in first]

    @cached_property
    def numbers(self) -> list[float] | None:
        """The distinct numbers in ascending order; None if not all texts are finite numbers."""
        try:
            numbers = sorted({float(text) for text in self.texts if "_" not in text})
        except ValueError:
            return None
        plain = all("_" not in text for text in self.texts)
        return numbers if plain and numbers and all(map(math.isfinite, numbers)) else None

    @cached_property
    def options(self) -> list[Option]:
        """The distinct options: numbers in ascending order, or texts."""
        if self.numbers is not None:
            whole = all(number == int(number) for number in self.numbers)
            return [int(number) if whole else number for number in self.numbers]
        if {text.lower() for text in self.texts} == {"true", "false"}:
            return [False, True]
        return list(self.texts)

    @property
    def quantity(self) -> str | None:
        """What is measured in it, by its name."""
        if self.numbers is None:
            return None
        return next((_QUANTITIES[word] for word in self.words if word in _QUANTITIES), None)

    @property
    def split(self) -> str | None:
        return next((_SPLITS[word] for word in self.words if word in _SPLITS), None)


@dataclass
class _Draft:
    """The columns by what they seem to be."""

    decisions: list[_Column] = field(default_factory=list)
    measured: list[_Column] = field(default_factory=list)
    unused: list[tuple[_Column, str]] = field(default_factory=list)
    unsure: set[str] = field(default_factory=set)
    """Names of columns that may be something else."""


def drafted(name: str, file: str, columns: Mapping[str, Sequence[str]]) -> str:
    """The text of a mapping file.

    Args:
        name: The name of the table.
        file: The name of the data file.
        columns: The cells of each column as texts.

    Raises:
        TableFileError: No column seems to be measured, or to be a decision.
    """
    every = [_Column(one, [cell.strip() for cell in cells]) for one, cells in columns.items()]
    rows = len(every[0].cells) if every else 0
    known = _known_architectures(every)
    draft = _sorted(every, rows)
    if known is not None:
        draft.unused += [(one, "not part of the architecture") for one in draft.decisions]
        draft.decisions = []
        draft.unused = [(one, why) for one, why in draft.unused if one is not known[0]]
    if not draft.measured or not (draft.decisions or known):
        lacking = "measurements" if not draft.measured else "decisions of an architecture"
        raise TableFileError(
            f"No column of {file} seems to hold {lacking}; its columns are "
            f"{short(', '.join(columns), 500)}. Write the mapping file by hand: its keys are described "
            f"in tabular_data/csv_table.py."
        )
    lines = [
        f"# Drafted from the {counted(rows, 'row')} of {file}. Correct it, look at what is marked",
        f"{CHECK}, and then: nasbench-lab import {file}",
        "",
        "[table]",
        f"name = {_toml(name)}",
    ]
    conditions = _conditions(draft.decisions)
    if known is not None:
        lines += [f"space = {_toml(known[1])}", f"architecture = {_toml(known[0].name)}"]
    lines += list(_goals(draft.measured))
    if _has_repeats(draft, known):
        lines.append('repeats = "trials"  # several rows of one architecture are trials of it')
    lines.append(f"description = {_toml(f'Imported from {file}.')}")
    lines += ['# also: citation = "…", licence = "CC-BY-4.0"', ""]
    for column in _ordered(draft.decisions, conditions):
        lines += [*_decision(column, conditions, column.name in draft.unsure), ""]
    for group in _grouped(draft.measured):
        lines += [*_measured(group, draft), ""]
    if draft.unused:
        lines.append("# Columns that are not used:")
        lines += [
            f"# - {short(column.name, 60) or '(no name)'}: {why}" for column, why in draft.unused
        ]
    return "\n".join(lines).rstrip() + "\n"


def _known_architectures(columns: Sequence[_Column]) -> tuple[_Column, str] | None:
    """A column of architectures of a registered space, and the space."""
    for column in columns:
        if not column.texts or (column.numbers is not None and len(column.texts) > 1):
            continue
        for name in space_names():
            try:
                get_space(name).from_string(column.texts[:20])
            except InvalidArchitectureError:
                continue
            return column, name
    return None


def _sorted(columns: Sequence[_Column], rows: int) -> _Draft:
    """What each column seems to be."""
    draft = _Draft()
    for column in columns:
        distinct, words = len(column.texts), set(column.words)
        whole = column.numbers is not None and all(n == int(n) for n in column.numbers)
        counts = whole and distinct == rows > 2 and np.ptp(column.numbers or [0]) == rows - 1
        if not distinct:
            draft.unused.append((column, "all blank"))
        elif column.quantity is not None:
            draft.measured.append(column)
        elif words & _LABELS or not column.name or counts:
            draft.unused.append((column, "a label of the row"))
        elif distinct == 1:
            draft.unused.append((column, f"always {short(column.texts[0], 60)}"))
        elif column.numbers is None:
            if distinct > max(MOST_OPTIONS, rows // 10):
                draft.unused.append((column, f"{distinct:,} different texts"))
            else:
                draft.decisions.append(column)
        elif words & _DRAWN or (
            distinct <= MOST_OPTIONS and not (not whole and 2 * distinct > rows)
        ):
            draft.decisions.append(column)
        else:
            draft.measured.append(column)
            draft.unsure.add(column.name)
    return draft


# Decisions


def _conditions(columns: Sequence[_Column]) -> dict[str, list[tuple[_Column, list[Option]]]]:
    """The conditions by which each column is blank, where there are such."""
    if columns and len(columns) ** 2 * len(columns[0].cells) > _MOST_CELLS:
        return {}
    blanks = {column.name: int((column.codes < 0).sum()) for column in columns}
    found: dict[str, list[tuple[_Column, list[Option]]]] = {}
    resolved = [column for column in columns if not blanks[column.name]]
    places = {column.name: i for i, column in enumerate(columns)}
    for column in sorted(columns, key=lambda one: blanks[one.name]):
        if not blanks[column.name]:
            continue
        exists = column.codes >= 0
        holds = {}
        for other in resolved:
            with_it = np.unique(other.codes[exists])
            if with_it.size and with_it[0] >= 0:
                mask = np.isin(other.codes, with_it)
                if not mask.all():
                    holds[other.name] = mask
        # The fewest conditions that explain all blanks: the last and least complete are left out first.
        kept = sorted(holds, key=lambda name: (-blanks[name], -places[name]))
        if not kept or not np.array_equal(np.all([holds[n] for n in kept], axis=0), exists):
            continue
        for name in list(kept):
            rest = [holds[other] for other in kept if other != name]
            if rest and np.array_equal(np.all(rest, axis=0), exists):
                kept.remove(name)
        found[column.name] = [
            (other, _options_of(other, exists)) for other in resolved if other.name in kept
        ]
        resolved.append(column)
    return found


def _options_of(column: _Column, rows: NDArray[np.bool_]) -> list[Option]:
    """The options that a column has in some rows."""
    whole = Decision(column.name, tuple(column.options))
    texts = {cell for cell, there in zip(column.cells, rows, strict=True) if there}
    there = {whole.position(text) for text in texts}
    return [option for i, option in enumerate(column.options) if i in there]


def _ordered(
    columns: Sequence[_Column], conditions: Mapping[str, list[tuple[_Column, list[Option]]]]
) -> list[_Column]:
    """The columns in the order of the file, but behind those that their conditions name."""
    waiting, result = list(columns), list[_Column]()
    while waiting:
        names = {one.name for one in result}
        ready = next(
            one for one in waiting if {on.name for on, _ in conditions.get(one.name, ())} <= names
        )
        waiting.remove(ready)
        result.append(ready)
    return result


def _decision(
    column: _Column,
    conditions: Mapping[str, list[tuple[_Column, list[Option]]]],
    unsure: bool,
) -> Iterator[str]:
    yield "[[decisions]]"
    yield f"name = {_toml(column.name)}"
    numbers = column.numbers
    if numbers is not None and len(numbers) > MOST_OPTIONS:
        yield (
            f"bins = {_BINS}  {CHECK}: {len(numbers):,} different numbers from {numbers[0]:g} to "
            f"{numbers[-1]:g}"
        )
        if numbers[0] > 0 and numbers[-1] / numbers[0] >= 100:
            yield "log = true"
    else:
        yield f"options = {_toml(column.options)}"
        if numbers is not None:
            yield "ordered = true"
        elif len(column.options) > 2:
            yield "ordered = false  # true if neighbouring options are alike"
    blank = int((column.codes < 0).sum())
    if column.name in conditions:
        pairs = ", ".join(f"{_key(on.name)} = {_toml(o)}" for on, o in conditions[column.name])
        yield f"active_if = {{ {pairs} }}  # its cells are blank exactly where this does not hold"
    elif blank:
        yield (
            f"{CHECK}: {counted(blank, 'cell')} of it {'is' if blank == 1 else 'are'} blank, and no "
            f"other decision says why"
        )


def _has_repeats(draft: _Draft, known: tuple[_Column, str] | None) -> bool:
    columns = draft.decisions if known is None else [known[0]]
    if any(column.numbers and len(column.numbers) > MOST_OPTIONS for column in columns):
        return False  # with bins it is so anyway
    codes = np.stack([column.codes for column in columns], axis=1)
    return len(np.unique(codes, axis=0)) < len(codes)


# Measured columns


def _goals(columns: Sequence[_Column]) -> Iterator[str]:
    """Objective and report."""

    def rank(column: _Column) -> tuple[int, int]:
        split = {"valid": 0, None: 1, "train": 2, "test": 3}[_split(column)]
        if _quantity(column) in _COSTS:
            return 9, split
        return split, 0 if _quantity(column) == "accuracy" else 1

    groups = [group[0] for group in _grouped(columns)]
    objective = min(groups, key=rank)
    note = f"  {CHECK}: what a search sees"
    if _split(objective) == "test":
        note = f"  {CHECK}: a search must not see test data; name another column"
    elif _quantity(objective) in _COSTS:
        note = f"  {CHECK}: no column seems to say how good a network is"
    yield f"objective = {_toml(_name_of(objective))}{note}"
    for column in groups:
        if _split(column) == "test" and _quantity(column) == _quantity(objective):
            if column is not objective:
                yield f"report = {_toml(_name_of(column))}  # what results are reported in"
            return


_NUMBERED = r"^(.+?)[_ .-]*(seed|trial|run|rep|repeat|epoch|ep)[_ .-]*(\d{1,9})$"


def _grouped(columns: Sequence[_Column]) -> list[list[_Column]]:
    """The columns; those of one name that end in seeds or epochs together."""
    groups: dict[tuple[str, str], list[_Column]] = {}
    for column in columns:
        match = re.match(_NUMBERED, column.name, re.IGNORECASE)
        kind = "" if match is None else "epoch" if match[2].lower() in ("epoch", "ep") else "seed"
        groups.setdefault((match[1] if match else column.name, kind), []).append(column)
    return [sorted(group, key=_number_of) for group in groups.values()]


def _number_of(column: _Column) -> int:
    match = re.match(_NUMBERED, column.name, re.IGNORECASE)
    return int(match[3]) if match else 0


def _name_of(column: _Column) -> str:
    match = re.match(_NUMBERED, column.name, re.IGNORECASE)
    name = re.sub(r"[^\w@.+-]+", "_", match[1] if match else column.name).strip("_")
    return name if name and name not in ("row_of_index", "keys") else f"column_{name}"


def _quantity(column: _Column) -> str:
    quantity, words = column.quantity or _name_of(column), set(column.words)
    if quantity == "train_time":
        if words & {"infer", "inference"}:
            return "latency"
        if words & {"val", "valid", "validation", "eval", "test"}:
            return "valid_time"
        if "epoch" in words and "train" in words:
            return "train_time_per_epoch"
    return quantity


def _split(column: _Column) -> str | None:
    return None if _quantity(column) in (*_COSTS, "train_time_per_epoch") else column.split


def _measured(group: list[_Column], draft: _Draft) -> Iterator[str]:
    column, quantity = group[0], _quantity(group[0])
    highest = max(one.numbers[-1] for one in group if one.numbers)
    yield "[[columns]]"
    yield f"name = {_toml(_name_of(column))}"
    numbers = list(map(_number_of, group))
    names = [one.name for one in group]
    match = re.match(_NUMBERED, column.name, re.IGNORECASE)
    if match is None:
        yield f"from = {_toml(column.name)}"
    elif match[2].lower() in ("epoch", "ep"):
        pairs = ", ".join(
            f"{number} = {_toml(name)}" for number, name in zip(numbers, names, strict=True)
        )
        yield f"from = {{ {pairs} }}  # one column per epoch"
    else:
        yield f"from = {_toml(names)}"
        yield f"trials = {_toml(numbers)}  # their seeds"
    others = [one for one in draft.measured if one.name not in names]
    if quantity.endswith(("_time", "per_epoch")) and any(_quantity(o) == quantity for o in others):
        yield f"{CHECK}: several columns seem to be of the quantity {quantity}"
        yield f"quantity = {_toml(_name_of(column))}"
    else:
        yield f"quantity = {_toml(quantity)}"
    if column.name in draft.unsure:
        yield f"{CHECK}: is it measured at all, in what unit, and is more better?"
    yield from _unit(column, quantity, highest)
    yield f"maximize = {'true' if quantity in _HIGHER else 'false'}"
    split = _split(column)
    if split is not None:
        yield f"split = {_toml(split)}"
    elif quantity not in (*_COSTS, "train_time_per_epoch"):
        yield f'# split = "valid"  {CHECK}: the data that it was measured on, if that is known'


def _unit(column: _Column, quantity: str, highest: float) -> Iterator[str]:
    words = set(column.words)
    if quantity in SHARES or quantity == "error":
        if highest <= 100:
            yield 'unit = "%"' if highest > 1 else 'unit = "1"  # a fraction'
        else:
            yield f'unit = "points"  {CHECK}: values up to {highest:g}'
    elif quantity.endswith("_time") or quantity == "train_time_per_epoch":
        factor = next((_SECONDS[word] for word in column.words if word in _SECONDS), 1)
        known = factor != 1 or words & {"s", "sec", "secs", "seconds"}
        yield f'unit = "s"{"" if known else f"  {CHECK}: are these seconds?"}'
        if factor != 1:
            yield f"scale = {factor}  # into seconds"
    elif quantity == "latency":
        yield f"unit = {_toml('s' if words & {'s', 'sec', 'seconds'} else 'ms')}"
    elif quantity == "parameters":
        yield f"unit = {_toml('1' if highest >= 1000 else 'M')}"
    else:
        yield 'unit = "1"'


def _toml(value: object) -> str:
    """A value as TOML writes it, in one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return tomli_w.dumps({"key": value}).partition("=")[2].strip()


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)

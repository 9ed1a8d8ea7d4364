"""Validation: the best architectures that a comparison found, trained for real.

**The test of agreement.** The table holds some trials of each architecture, and training adds more,
with seeds that the table does not have. If both come from one distribution, the difference of their
means divided by its standard error follows Student's t. Three seeds give a poor estimate of a standard
deviation. The best architectures of a comparison have similar spread, so the estimate is pooled over
both sides of all of them, and the degrees of freedom add up. Architectures that the user names may
differ in spread, so each is tested alone (Welch 1947). The p-values of several architectures are
corrected after Holm (1979). Table and training *differ* below 0.05, and else *agree*: the true
difference may still be anywhere in its 95 % interval, which is reported too (for each architecture
alone, without correction).

The search chose these architectures by their validation accuracy in the table, so that value is too
good on average (the winner's curse). No search saw the test accuracy, so its bias is much smaller, but
not zero: a seed that is lucky on validation data tends to be lucky on test data. It comes first.

There is no test with the table's own seeds: the values are the same to the bit, or they are not.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.csv_files import write_csv
from nasbench_lab.errors import ExperimentError, TrainingError
from nasbench_lab.files import atomic_file
from nasbench_lab.results.result import Result
from nasbench_lab.spaces import Architecture
from nasbench_lab.stats.agreement import LEVEL, Agreement, agreement
from nasbench_lab.tables.columns import Column, Query
from nasbench_lab.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from nasbench_lab.trainer.benchmark import TrainingBenchmark
    from nasbench_lab.trainer.recipe import Recipe
    from nasbench_lab.trainer.training import Training

Floats = NDArray[np.float64]

SPLITS = ("test", "valid")
"""The splits that are compared, the fair one first."""


@dataclass(frozen=True)
class Validated:
    """One architecture in the table and trained.

    Args:
        architecture: The architecture in the syntax of its space.
        found_by: The number of runs of each algorithm that evaluated it.
        table: The table's trials of the same training by split, in per cent.
        trained: The accuracies of the trained seeds by split, in per cent.
        same: Whether training reproduced all values of the table; None with other seeds than its own.
    """

    architecture: str
    found_by: dict[str, int]
    table: dict[str, Floats]
    trained: dict[str, Floats]
    same: bool | None = None


@dataclass(frozen=True)
class Validation:
    """The validation of some architectures of a table.

    Args:
        table: The table's name.
        seeds: The seeds that were trained.
        epochs: The epochs that were trained.
        device: The device of the training.
        entries: The architectures, best first.
        pooled: Whether the standard deviation is pooled over all architectures.
        other_images: Splits whose images differ from the table's, so that they cannot be compared.
        origin: Recipe, versions, data and table, for the reader.
        known: What the architectures were known from: ``table``, or a ``search`` that trained them.
    """

    table: str
    seeds: tuple[int, ...]
    epochs: int
    device: str
    entries: Sequence[Validated]
    pooled: bool = True
    other_images: tuple[str, ...] = ()
    origin: Mapping[str, object] = field(default_factory=dict)
    known: str = "table"

    @property
    def splits(self) -> list[str]:
        """The splits with measurements, test first."""
        return [s for s in SPLITS if any(s in entry.trained for entry in self.entries)]

    def to_frame(self) -> pd.DataFrame:
        """One line per split and architecture.

        Columns: ``split``; ``architecture``; ``found_by``; ``table`` and ``trained`` means in per
        cent with ``_sd`` (NaN for one trial) and ``_n``; ``difference`` (trained minus table, in
        percentage points) with ``half_width`` of its 95 % interval; ``p`` by Holm; ``agree``, None
        without a test. With the table's own seeds, ``agree`` says whether all values are the same.
        """
        import pandas as pd

        lines: list[dict[str, Any]] = []
        for split in self.splits:
            compared = [entry for entry in self._with(split) if split in entry.table]
            pairs = [(entry.table[split], entry.trained[split]) for entry in compared]
            tests = dict(zip(map(id, compared), agreement(pairs, pooled=self.pooled), strict=True))
            for entry in self._with(split):
                line: dict[str, Any] = {
                    "split": split,
                    "architecture": entry.architecture,
                    "found_by": ", ".join(f"{k} ({n})" for k, n in entry.found_by.items()),
                }
                for side, values in (
                    ("table", entry.table.get(split, np.empty(0))),
                    ("trained", entry.trained[split]),
                ):
                    line[side] = float(values.mean()) if len(values) else math.nan
                    line[f"{side}_sd"] = float(values.std(ddof=1)) if len(values) > 1 else math.nan
                    line[f"{side}_n"] = len(values)
                test = tests.get(id(entry), Agreement(math.nan, math.nan, math.nan))
                if entry.same is not None or split in self.other_images:
                    test = Agreement(test.difference, math.nan, math.nan)
                line |= {"difference": test.difference, "half_width": test.half_width, "p": test.p}
                line["agree"] = entry.same if math.isnan(test.p) else test.p >= LEVEL
                lines.append(line)
        return pd.DataFrame(lines)

    def plot(self) -> Figure:
        """The table's trials beside the trained ones, one panel per split."""
        from nasbench_lab.figures.validation import validation_figure

        return validation_figure(self)

    def save(self, folder: Path) -> list[Path]:
        """Adds ``validation-TABLE.json``, ``.csv``, ``.png`` and ``.svg`` to a folder.

        They replace those of an earlier validation of the same table.

        Raises:
            DataFolderError: The folder cannot be written.
        """
        from nasbench_lab.figures.saving import save_figure

        frame = self.to_frame()
        stem = folder / f"validation-{re.sub(r'[/ ]', '-', self.table)}"
        with atomic_file(stem.with_name(f"{stem.name}.csv")) as path:
            write_csv(frame, path)
        about = {"table": self.table, "seeds": self.seeds, "epochs": self.epochs, **self.origin}
        lines = json.loads(frame.to_json(orient="records", double_precision=15))
        for line, entry in zip(lines, [e for s in self.splits for e in self._with(s)], strict=True):
            split = line["split"]
            line["table_trials"] = entry.table.get(split, np.empty(0)).tolist()
            line["trained_trials"] = entry.trained[split].tolist()
        with atomic_file(stem.with_name(f"{stem.name}.json")) as path:
            text = json.dumps({**about, "device": self.device, "architectures": lines}, indent=1)
            path.write_text(text + "\n")
        written = [stem.with_name(f"{stem.name}.{ending}") for ending in ("csv", "json")]
        return [*written, *save_figure(self.plot(), stem)]

    def _with(self, split: str) -> list[Validated]:
        return [entry for entry in self.entries if split in entry.trained]


def top_architectures(
    result: Result, benchmark: str, top: int
) -> list[tuple[Architecture, dict[str, int]]]:
    """The best final incumbents of the runs by the table's mean objective.

    Returns:
        Up to ``top`` architectures, best first, ties in order of rows. Each comes with the number of
        runs of each algorithm that ended with it.

    Raises:
        ExperimentError: No run evaluated anything.
    """
    opened = result.benchmark(benchmark)
    values = opened.table.values(opened.first_objective)
    finders: dict[int, dict[str, int]] = {}
    for algorithm in result.algorithms:
        for trace in result.traces(benchmark, algorithm):
            last = trace.incumbents()[-1] if len(trace) else -1
            if last >= 0 and (row := int(opened.rows(trace)[last])) >= 0:
                counts = finders.setdefault(row, {})
                counts[algorithm] = counts.get(algorithm, 0) + 1
    rows = np.array([row for row in sorted(finders) if not math.isnan(values[row])], dtype=int)
    if not rows.size:
        raise ExperimentError(f"No run on {benchmark!r} evaluated an architecture successfully.")
    sign = 1.0 if opened.objectives[0].maximize else -1.0
    best = rows[np.argsort(-sign * values[rows], kind="stable")[:top]]
    return [
        (tuple(opened.table.architectures[row].tolist()), finders[row]) for row in best.tolist()
    ]


def recipe_of(table: Table, column: Column, epochs: int | None = None) -> Recipe:
    """The recipe of a table's networks.

    A table that was built here holds its recipe. The recipe of other tables is the published one for
    the column's data set and schedule.

    Args:
        table: The table.
        column: The column to reproduce.
        epochs: Another number of epochs.

    Raises:
        TrainingError: It is not known how to train the table's networks.
    """
    from nasbench_lab.trainer.recipe import RECIPES, Recipe

    built = table.info.details.get("recipe")
    if isinstance(built, dict):
        recipe = Recipe(**built["training"])
    elif table.space.name in ("nb201", "nats-sss") and column.dataset in RECIPES:
        recipe = RECIPES[column.dataset]
        if column.schedule is not None and column.schedule.isdecimal():
            recipe = recipe.replace(epochs=int(column.schedule))
        if column.trained_on is not None and column.dataset == "cifar10":
            recipe = recipe.replace(trained_on=column.trained_on)
    else:
        raise TrainingError(
            f"The architectures of {table.name!r} cannot be trained here: there are networks for the "
            f"spaces nb201 and nats-sss on {', '.join(RECIPES)}, while this is {table.space.name} on "
            f"{column.dataset}."
        )
    return recipe if epochs is None else recipe.replace(epochs=epochs)


def table_trials(table: Table, recipe: Recipe, architecture: Architecture) -> dict[str, Floats]:
    """A table's final trials of the same training, in per cent, by split."""
    row = table.row(architecture)
    trials_by_split = {}
    for split in SPLITS:
        columns = [
            column
            for column in table.columns.values()
            if column.quantity == "accuracy"
            and column.unit == "%"
            and column.dataset == recipe.data
            and column.split == split
            and column.trained_on in (None, recipe.trained_on)
            and _trained_for(column) == recipe.epochs
        ]
        if len(columns) == 1 and row >= 0:
            values = table.trials(columns[0].name)[row]
            if (trials := values[~np.isnan(values)]).size:
                trials_by_split[split] = trials.astype(np.float64)
    return trials_by_split


def _trained_for(column: Column) -> int | None:
    """The epochs of the training that a column's last value comes from."""
    if column.schedule is not None and column.schedule.isdecimal():
        return int(column.schedule)
    return column.epochs[-1] if column.epochs else None


def new_seeds(table: Table, n: int) -> tuple[int, ...]:
    """The lowest seeds that are not trials of the table."""
    used = {trial for column in table.columns.values() for trial in column.trials}
    free = (seed for seed in range(n + len(used)) if seed not in used)
    return tuple(seed for seed, _ in zip(free, range(n), strict=False))


def validate(
    table: Table,
    architectures: Sequence[tuple[Architecture, dict[str, int]]],
    recipe: Recipe,
    *,
    seeds: Sequence[int] | None = None,
    pooled: bool = True,
    device: str = "auto",
    files: Path | None = None,
    n_jobs: int = -1,
    folder: Path | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Validation:
    """Trains architectures of a table and compares the results with the table.

    On the CPU several processes train, an architecture each. A GPU trains one architecture after the
    other, in mixed precision if it can. Trainings are kept, see ``TrainingBenchmark``, so a stopped
    validation goes on.

    Args:
        table: The table.
        architectures: The architectures, each with the algorithms that found it.
        recipe: The recipe of the training.
        seeds: The seeds; None to train again with the table's own, which checks its entries.
        pooled: Whether the architectures have similar spread, see the module's text.
        device: ``auto``, ``cpu``, ``cuda``, …
        files: The folder with the data set's files.
        n_jobs: How many processes train on the CPU; -1 for one per core.
        folder: Where a live view reads how far it is, such as that of the result.
        progress: Called with (epochs done, all epochs, name of the work).

    Raises:
        TrainingError: There is no such device, memory runs out, or the table has no own seeds, as it
            was not built by a recipe.
        MissingSourceError: The data set's files are not there.
    """
    from nasbench_lab.trainer.benchmark import TrainingBenchmark
    from nasbench_lab.trainer.several import train_several, trainings_under_way

    own = seeds is None
    if seeds is None:
        seeds = _own_seeds(table)
    benchmark = TrainingBenchmark(table.space, recipe, seeds=seeds, device=device, files=files)
    chosen = [architecture for architecture, _ in architectures]
    with trainings_under_way(folder, table.name, {"": benchmark}, chosen, n_jobs) as (told,):
        trained = train_several(benchmark, chosen, own, n_jobs, told, progress)
    entries = [
        Validated(
            table.space.to_string(architecture),
            found_by,
            table_trials(table, recipe, architecture),
            _final(trained[number]),
            _same(table, architecture, trained[number]) if own else None,
        )
        for number, (architecture, found_by) in enumerate(architectures)
    ]
    return Validation(
        table.name,
        benchmark.seeds,
        recipe.epochs,
        benchmark.device,
        entries,
        pooled,
        _other_images(recipe, benchmark.data.halves),
        {
            "recipe": recipe.model_dump(mode="json"),
            "torch": version("torch"),
            "data": benchmark.data.checksum,
            "halves": benchmark.data.halves,
            "table_fingerprint": table.fingerprint(),
            "table_seeds": own,
        },
    )


def validate_search(
    benchmark: TrainingBenchmark,
    architectures: Sequence[tuple[Architecture, dict[str, int]]],
    *,
    seeds: Sequence[int] | None,
    pooled: bool = True,
    n_jobs: int = -1,
    folder: Path | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Validation:
    """Trains architectures that searches by real training found, and compares with what these saw.

    What they saw are the kept trainings of the benchmark; one that was ended early is continued.

    Args:
        benchmark: What the searches trained on.
        architectures: The architectures, each with the algorithms that found it.
        seeds: The seeds, others than the benchmark's; None to train again with the benchmark's own,
            which checks that its trainings repeat.
        pooled: As of ``validate``.
        n_jobs: As of ``validate``.
        folder: As of ``validate``.
        progress: As of ``validate``.

    Raises:
        TrainingError: Memory runs out, or a user's network fails.
    """
    from nasbench_lab.trainer.benchmark import TrainingBenchmark
    from nasbench_lab.trainer.several import train_several, trainings_under_way

    anew = TrainingBenchmark(
        benchmark.space,
        benchmark.recipe,
        data=benchmark.data,
        build=benchmark.build,
        seeds=benchmark.seeds if seeds is None else seeds,
        device=benchmark.device,
        folder=benchmark.folder,
    )
    chosen = [architecture for architecture, _ in architectures]
    both = {"in the search": benchmark, "anew": anew}
    with trainings_under_way(folder, benchmark.name, both, chosen, n_jobs) as told:
        saw = train_several(benchmark, chosen, False, n_jobs, told[0], progress)
        trained = train_several(anew, chosen, seeds is None, n_jobs, told[1], progress)
    entries = []
    for (architecture, found_by), before, after in zip(architectures, saw, trained, strict=True):
        same = None
        if seeds is None:
            same = all(
                np.array_equal(before.curves[name], after.curves[name], equal_nan=True)
                for name in before.curves.keys() & after.curves.keys()
            )
        text = benchmark.space.to_string(architecture)
        entries.append(Validated(text, found_by, _final(before), _final(after), same))
    return Validation(
        benchmark.name,
        anew.seeds,
        benchmark.recipe.epochs,
        benchmark.device,
        entries,
        pooled,
        (),
        {
            "recipe": benchmark.recipe.model_dump(mode="json"),
            "torch": version("torch"),
            "data": benchmark.data.checksum,
            "table_fingerprint": benchmark.fingerprint,
            "table_seeds": seeds is None,
        },
        known="search",
    )


def _final(training: Training) -> dict[str, Floats]:
    """The accuracies of the seeds after the last epoch, by split."""
    return {
        split: training.curves[f"{split}_accuracy"][:, -1]
        for split in SPLITS
        if f"{split}_accuracy" in training.curves
    }


def _own_seeds(table: Table) -> tuple[int, ...]:
    """The seeds that a table was built with."""
    recipe = table.info.details.get("recipe")
    if not isinstance(recipe, dict):
        raise TrainingError(
            f"{table.name!r} was not built by a recipe, so its networks cannot be trained again as "
            f"they were. Leave out --table-seeds to train with other seeds."
        )
    return tuple(recipe["seeds"])


def _same(table: Table, architecture: Architecture, training: Training) -> bool:
    """Whether a training gives all accuracies and losses of a table, to the bit."""
    row = table.row(architecture)
    for name in training.curves.keys() & table.columns.keys():
        column, curves = table.columns[name], training.curves[name]
        if column.epochs is None or len(column.epochs) != curves.shape[1] or row < 0:
            return False
        for i, epoch in enumerate(column.epochs):
            trials = table.trials(Query(name, epoch=epoch))[row]
            if not np.array_equal(trials, curves[:, i].astype(trials.dtype)):
                return False
    return True


def _other_images(recipe: Recipe, halves: str) -> tuple[str, ...]:
    """The splits whose images differ from those of a published table, as its split file is missing."""
    if halves != "rule":
        return ()
    return ("valid",) if recipe.data == "cifar10" else ("test", "valid")

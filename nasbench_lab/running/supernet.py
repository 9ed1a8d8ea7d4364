"""One-shot methods, epoch by epoch: how their supernet ranks the architectures of a table.

A run is that of a search with the same seed. What an epoch came to is kept, so that a study that was
stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.algorithm import SearchAlgorithm, Work
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import AlgorithmError, TableFileError
from nasbench_lab.experiment.building import build, name_of, written
from nasbench_lab.landscape.reliability import TOP, rank_correlation, top_rows
from nasbench_lab.processes import at_once, in_processes, is_here
from nasbench_lab.registry import Taken, load_benchmark, take
from nasbench_lab.running.search import random_streams
from nasbench_lab.spaces import Architecture
from nasbench_lab.trainer import need_torch
from nasbench_lab.trainer.entries import read_entry, tell, write_entry
from nasbench_lab.trainer.progress import Plan, Task, Teller, under_way

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
"""Version of what is kept of a run."""

SAMPLE = 1
"""The seed of the sample of architectures, which is the same for all runs and epochs."""

Progress = Callable[[int, int, str], None]

_SHOWN = {
    "weights_accuracy": "accuracy in training (%)",
    "kendall_test": "Kendall's τ with the test",
    "test_regret": "test regret (points)",
}
"""The curves of a live view, and what their axes are called."""


@dataclass(frozen=True)
class SupernetStudy:
    """The course of one-shot methods on a table.

    Attributes:
        table: The table's name.
        epochs: A line per algorithm, seed and epoch of its supernet (for SPOS also per generation).
            ``seconds``, simulated, up to the epoch's end. ``weights_accuracy`` in per cent, of what was
            trained, on the half of the training set that it was trained on. ``ranked``: of how many
            architectures the one-shot accuracy was computed, and Spearman's and Kendall's correlation
            of it with the table's ``valid`` and ``test`` accuracy over them (columns such as
            ``kendall_test``), and over the tenth of them that is best in the table by test accuracy
            (``top_kendall_test``). ``derived``, what the algorithm recommends, with the share of its
            operations that each is (columns of their names), and its ``test_regret`` and
            ``valid_regret`` in percentage points. NaN where there is no value, such as for what the
            table, or a run of an earlier version, lacks.
        architectures: A line per algorithm, seed and architecture of the table, after the last epoch:
            ``one_shot``, ``valid`` and ``test`` accuracy in per cent; ``derived``, whether this is
            what the algorithm recommends at the end.
    """

    table: str
    epochs: pd.DataFrame
    architectures: pd.DataFrame

    def ends(self) -> pd.DataFrame:
        """The last line of each run."""
        return self.epochs.groupby(["algorithm", "seed"], sort=False).tail(1)

    def save(self, folder: Path) -> list[Path]:
        """Writes ``supernet`` and ``ranking`` as CSV, PNG and SVG into a folder.

        Raises:
            DataFolderError: The folder cannot be written.
        """
        from nasbench_lab.figures.saving import save_figure
        from nasbench_lab.figures.supernet import ranking_figure, supernet_figure

        first = self.architectures[self.architectures["seed"] == self.architectures["seed"].min()]
        return [
            *save_figure(
                supernet_figure(self.epochs, title=self.table),
                folder / "supernet",
                data=self.epochs,
            ),
            *save_figure(
                ranking_figure(first, title=f"{self.table}, seed {first['seed'].iloc[0]}"),
                folder / "ranking",
                data=self.architectures,
            ),
        ]


def study_supernets(
    table: str,
    algorithms: Sequence[str],
    *,
    seeds: int = 1,
    ranked: int = 200,
    folder: Path,
    files: Path | None = None,
    n_jobs: int = 1,
    progress: Progress = lambda *_: None,
) -> SupernetStudy:
    """Follows one-shot methods on a table.

    Args:
        table: The table's name.
        algorithms: One-shot methods as for ``run``, such as ``"darts(epochs=20)"``.
        seeds: How many runs of each.
        ranked: Of how many architectures, the same ones in all epochs, the one-shot accuracy is
            computed after each epoch; of all after the last.
        folder: Where runs are kept until they are asked for again.
        files: The folder with the files of the table's data set, if it is one such as ``cifar10``.
        n_jobs: How many processes; -1 for one per core.
        progress: Called with what is done, how much there is in all, and what is being done.

    Raises:
        AlgorithmError: One of them is no one-shot method.
        NasbenchLabError: As for ``run``.
    """
    import pandas as pd

    need_torch()
    benchmark = _benchmark(table, files)
    runs = [
        (text, seed, folder / "runs" / f"{_named(text)}-{seed}.json")
        for text in algorithms
        for seed in range(seeds)
    ]
    here = is_here(len(runs), n_jobs)
    found: dict[int, dict[str, Any]] = {}
    with under_way(folder, _plan(benchmark, algorithms, seeds, ranked, n_jobs)) as told:
        tasks: list[Callable[[], dict[str, Any]]] = []
        for number, (text, seed, file) in enumerate(runs):
            # Processes tell the caller of whole runs only.
            advance = partial(_told, progress, number, len(runs)) if here else _silent
            run = partial(_follow, table, text, seed, ranked, file, files, told[number], advance)
            tasks.append(run)
        for number, entry in in_processes(tasks, n_jobs):
            found[number] = entry
            if not here:
                progress(len(found), len(runs), "runs")
    lines, ends = [], []
    rows = benchmark.table.architectures
    names = benchmark.space.to_string(rows)
    values = {split: _values(benchmark, split) for split in ("valid", "test")}
    for number, (text, seed, _) in enumerate(runs):
        entry, who = found[number], {"algorithm": text, "seed": seed}
        lines += [{**who, **line} for line in entry["epochs"]]
        derived = benchmark.table.row(benchmark.space.from_string(entry["epochs"][-1]["derived"]))
        end = {"architecture": names, "one_shot": entry["one_shot"], **values}
        ends.append(pd.DataFrame({**who, **end, "derived": np.arange(len(rows)) == derived}))
    return SupernetStudy(benchmark.name, pd.DataFrame(lines), pd.concat(ends, ignore_index=True))


def _benchmark(table: str, files: Path | None) -> TableBenchmark:
    """The table. A supernet may lead to what it lacks, so the space is never a pool."""
    benchmark = load_benchmark(table, missing="fail")
    benchmark.files = files
    return benchmark


def _plan(
    benchmark: TableBenchmark, algorithms: Sequence[str], seeds: int, ranked: int, n_jobs: int
) -> Plan:
    """What a live view says of a study; its tasks are in the order of the runs."""
    built = {text: _begin(benchmark, *take(text), 0) for text in algorithms}
    tasks = [
        Task(f"{text}, seed {seed}", getattr(built[text], "epochs", 0), text)
        for text in algorithms
        for seed in range(seeds)
    ]
    devices = {getattr(one, "settings", {}).get("device", "cpu") for one in built.values()}
    facts = [
        ("Seeds", ", ".join(map(str, range(seeds)))),
        ("Ranked after each epoch", f"{min(ranked, len(benchmark.table)):,} networks"),
        ("Device", ", ".join(sorted(devices))),
    ]
    what = f"Supernets on {benchmark.name}"
    return Plan(what, "run", facts, tasks, _SHOWN, at_once(len(tasks), n_jobs))


def _begin(
    benchmark: TableBenchmark, taken: Taken, hyperparameters: Mapping[str, Any], seed: int
) -> SearchAlgorithm:
    """The algorithm of a run, as that of the search with the same seed."""
    stream, _, _ = random_streams(benchmark.name, name_of(taken), seed)
    return build(taken, benchmark, stream, hyperparameters)


def _shown(lines: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """The curves of a live view, of the lines of a run."""
    return {name: [line.get(name, math.nan) for line in lines] for name in _SHOWN}


def _named(text: str) -> str:
    """An algorithm as a part of a file's name."""
    plain = "".join(sign if sign.isalnum() or sign in "_=." else "-" for sign in text)
    return f"{plain[:60]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _silent(done: int, total: int, what: str) -> None:
    pass


def _told(progress: Progress, number: int, runs: int, done: int, total: int, what: str) -> None:
    progress(number * total + done, runs * total, what)


def _values(benchmark: TableBenchmark, split: str) -> Any:
    column = benchmark.first_objective if split == "valid" else benchmark.report
    return benchmark.table.values(column)


def _follow(
    table: str,
    text: str,
    seed: int,
    ranked: int,
    file: Path,
    files: Path | None,
    told: Teller,
    progress: Progress,
) -> dict[str, Any]:
    """A run: its lines by epoch, and the one-shot accuracies of all architectures at the end."""
    benchmark = _benchmark(table, files)
    taken, hyperparameters = take(text)
    of = json.dumps(
        [
            *(FORMAT, version("torch"), benchmark.name, benchmark.table.fingerprint()),
            *(written(taken, hyperparameters), seed, ranked),
            *([] if files is None else [str(files.absolute())]),
        ]
    )
    kept: dict[str, Any] = {"epochs": []}
    try:
        kept = read_entry(file, of) or kept
    except TableFileError as error:
        tell(error, f"The run of {text} with seed {seed} begins anew.")
    lines = kept["epochs"]
    if "one_shot" in kept:
        told(len(lines), _shown(lines), ended=True)
        return kept
    told(len(lines), _shown(lines))
    algorithm = _begin(benchmark, taken, hyperparameters, seed)
    work = algorithm.ask()
    training = getattr(algorithm, "training", None)
    if not isinstance(work, Work) or training is None:
        raise AlgorithmError(
            f"Expected a method that trains a supernet, such as darts or spos, but got {text}."
        )
    if len(training.epochs_done) > len(lines) + 1:
        # Another search left a checkpoint from which this could not go back.
        training.forget()
        algorithm = _begin(benchmark, taken, hyperparameters, seed)
        work = algorithm.ask()
    run = _Run(benchmark, algorithm, ranked)
    while isinstance(work, Work):
        number = run.epoch(work)
        if number > len(lines):
            lines.append(run.line(number, work, lines))
            write_entry(file, of, kept)
        told(len(lines), _shown(lines), rest_s=run.rest_s)
        progress(number, run.total, f"{text}, seed {seed}")
        work = algorithm.ask()
    rows = np.arange(len(benchmark.table))
    ranks = f"ranks {len(rows):,} networks"
    progress(run.total, run.total, f"{text}, seed {seed}, {ranks}")
    told(len(lines), _shown(lines), rest_s=run.rest_s, doing=ranks)
    kept["one_shot"] = run.accuracies(rows).tolist()
    lines[-1] |= run.correlations(rows, np.array(kept["one_shot"]))
    write_entry(file, of, kept)
    told(len(lines), _shown(lines), ended=True)
    run.training.forget()
    return kept


class _Run:
    """What is measured of a run.

    Args:
        benchmark: The table.
        algorithm: A one-shot method that has begun.
        ranked: The size of the sample.
    """

    def __init__(self, benchmark: TableBenchmark, algorithm: Any, ranked: int) -> None:
        self.benchmark, self.table = benchmark, benchmark.table
        self.algorithm, self.training = algorithm, algorithm.training
        self.total: int = algorithm.epochs
        n = len(self.table)
        sample = np.random.default_rng(SAMPLE).choice(n, min(ranked, n), replace=False)
        self.sample = np.sort(sample)
        self.seconds = 0.0
        self.rest_s: float | None = None
        """What it takes to rank the whole table at the end, by what the sample took."""

    def epoch(self, work: Work) -> int:
        """Charges the work of an epoch, and says which it is."""
        self.seconds += self.benchmark.charge(work)
        return len(self.algorithm.history)

    def line(self, number: int, work: Work, before: list[dict[str, Any]]) -> dict[str, Any]:
        """What an epoch came to."""
        derived = work.architecture
        assert derived is not None
        if before and np.isnan(self.algorithm.history[-1].weights_accuracy):
            # The weights are as they were.
            ranking = {name: before[-1][name] for name in before[-1] if name in _RANKING}
        else:
            began = time.perf_counter()
            ranking = self.correlations(self.sample, self.accuracies(self.sample))
            of_each_s = (time.perf_counter() - began) / len(self.sample)
            self.rest_s = of_each_s * len(self.table)
        of_each = [decision.options for decision in self.benchmark.space.decisions]
        # Other decisions than those on operations, such as on the inputs of nodes, have no share.
        chosen = [
            options[option]
            for options, option in zip(of_each, derived, strict=True)
            if options == of_each[0]
        ]
        return {
            "epoch": number,
            "seconds": self.seconds,
            "weights_accuracy": self.algorithm.history[-1].weights_accuracy,
            **ranking,
            "derived": self.benchmark.space.to_string(derived),
            **{str(name): chosen.count(name) / len(chosen) for name in of_each[0]},
            **{f"{split}_regret": self.regret(derived, split) for split in ("test", "valid")},
        }

    def accuracies(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """One-shot accuracies of rows of the table; the path of a class is its canonical cell."""
        from nasbench_lab.trainer.ranking import one_shot_accuracies

        cells = self.benchmark.space.canonical(self.table.architectures[rows])
        paths: list[Architecture] = [tuple(cell) for cell in cells.tolist()]
        return one_shot_accuracies(self.training.supernet, self.training.images, paths)

    def correlations(
        self, rows: NDArray[np.int64], one_shot: NDArray[np.float64]
    ) -> dict[str, float]:
        """Rank correlations of one-shot accuracies of rows with what the table has of them."""
        found: dict[str, float] = {"ranked": len(rows)}
        for split in ("valid", "test"):
            values = _values(self.benchmark, split)[rows]
            spearman, kendall = rank_correlation(one_shot, values)
            found |= {f"spearman_{split}": spearman, f"kendall_{split}": kendall}
        top = top_rows(values, TOP)
        _, found["top_kendall_test"] = rank_correlation(one_shot[top], values[top])
        return found

    def regret(self, derived: Architecture, split: str) -> float:
        """How much worse an architecture is than the best of the table; NaN if the table lacks it."""
        values, row = _values(self.benchmark, split), self.table.row(derived)
        return float(np.nanmax(values) - values[row]) if row >= 0 else math.nan


_RANKING = {
    *("ranked", "spearman_valid", "kendall_valid", "spearman_test", "kendall_test"),
    "top_kendall_test",
}

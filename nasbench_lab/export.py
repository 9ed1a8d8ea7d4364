"""Results for other programs: CSV files, and the data format of IOHprofiler.

Doerr, Wang, Ye, van Rijn and Bäck, "IOHprofiler: a benchmarking and profiling tool for iterative
optimization heuristics", 2018 (arXiv 1810.05281). The format is that of the package ``ioh``, as its
logger ``Analyzer`` writes it; IOHanalyzer (R) and iohinspector (Python) read it.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab import stats
from nasbench_lab.clock import counts_seconds
from nasbench_lab.csv_files import write_csv
from nasbench_lab.errors import DataFolderError, ExperimentError
from nasbench_lab.files import atomic_folder

if TYPE_CHECKING:
    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.results.parts import Run
    from nasbench_lab.results.result import Result
    from nasbench_lab.trace import Trace

IOH_VERSION = "1.0.0"
"""The version of the format that the index names.

The layout is that of the package ``ioh`` 0.3.22, which names its own version there. IOHanalyzer,
however, takes this layout from version 1.0.0 on (``R/readFiles.R`` of its repository).
"""


def to_csv(result: Result, folder: Path | str) -> list[Path]:
    """Writes a result as CSV files in UTF-8.

    ``evaluations.csv`` has a line per evaluation, as ``Result.to_frame``; ``runs.csv`` one per run,
    with its incumbent at the end; ``summary.csv`` is ``Result.summary``. What is not known is empty. A
    run that found nothing has ``found`` False, no incumbent and infinite regrets, as it counts as
    worse than all others. A text that a spreadsheet would take for a formula, such as a label that
    begins with ``=``, has an apostrophe before it.

    Args:
        result: The result.
        folder: A new folder.

    Returns:
        The files.

    Raises:
        ExperimentError: The result has no finished run.
        DataFolderError: The folder exists, or cannot be written.
    """
    import pandas as pd

    def write(new: Path) -> None:
        lines = []
        columns = _evaluation_columns(result)
        with open(new / "evaluations.csv", "w", encoding="utf-8", newline="") as file:
            # Run by run, as all evaluations together may be large.
            for i, run in enumerate(result.runs):
                frame = run.trace.to_frame()
                names = {"benchmark": run.benchmark, "algorithm": run.algorithm, "seed": run.seed}
                write_csv(frame.assign(**names).reindex(columns=columns), file, header=i == 0)
                lines.append(names | _end(run, result.benchmark(run.benchmark)))
        for name, frame in ("runs", pd.DataFrame(lines)), ("summary", result.summary()):
            write_csv(frame, new / f"{name}.csv")

    return _written(result, Path(folder), write)


def _evaluation_columns(result: Result) -> list[str]:
    """Of all benchmarks together: objectives differ, and come last where the first has them not."""
    columns = ["benchmark", "algorithm", "seed"]
    for run in {run.benchmark: run for run in reversed(result.runs)}.values():
        columns += [name for name in run.trace.to_frame().columns if name not in columns]
    return columns


def _end(run: Run, benchmark: TableBenchmark) -> dict[str, Any]:
    """What a run spent, and its incumbent at the end."""
    trace = run.trace
    line: dict[str, Any] = {
        "evaluations": int(trace.charged.sum()),
        "epochs": None if benchmark.epochs is None else int(trace.epochs()[-1:].sum()),
        "end": float(trace.end[-1:].sum()),
        "failed": int(np.isnan(trace.values[~trace.derived, 0]).sum()),
        "found": not stats.found_nothing(trace),
        "best": "" if stats.found_nothing(trace) else trace.best(),
    }
    for metric in ("valid", "valid_regret", "test", "test_regret"):
        value = stats.final_value(trace, benchmark, metric)
        regret = metric.endswith("regret")
        line[metric] = value if regret or not stats.found_nothing(trace) else math.nan
    return line | {"wall_s": run.wall_s}


def to_ioh(result: Result, folder: Path | str) -> list[Path]:
    """Writes a result in IOHprofiler's format, with a folder for each algorithm.

    A benchmark is a function, its number of decisions the dimension. All runs are of instance 1, as
    a table is the same for all; seeds are a run attribute. ``evaluations`` are those that counted,
    and ``raw_y`` is to be minimised: the regret of the incumbent by the first objective (validation
    data), in the unit of its column. It is the incumbent's, and not that of each evaluation, since
    of trainings of different lengths the longest decide, which a reader could not know. Further
    columns are the incumbent's ``test_regret`` and, where the benchmark has them,
    ``simulated_seconds`` and ``epochs`` spent.

    Written are the first evaluation, those that changed the regrets, and the last, which says how
    long the run was. The format has no missing values. While a run has no incumbent, its regrets are
    therefore beyond those of all entries of the table, whether allowed or not, so that no target in
    their range counts as reached: the experiment's attributes ``raw_y_without_incumbent`` and
    ``test_regret_without_incumbent``. A run without any evaluation has one line, as if it had made one
    at its end, so that it is not missing among the runs: with these regrets, or with those of what
    the algorithm's own work led to.

    Args:
        result: The result.
        folder: A new folder.

    Returns:
        The files.

    Raises:
        ExperimentError: The result has no finished run.
        DataFolderError: The folder exists, or cannot be written.
    """

    def write(new: Path) -> None:
        for a, algorithm in enumerate(result.algorithms, start=1):
            for f, name in enumerate(result.benchmarks, start=1):
                runs = [run for run in result.runs if run.cell[:2] == (name, algorithm)]
                if runs:
                    _write_function(new / f"{a:02d}-{_file_name(algorithm)}", f, runs, result)

    return _written(result, Path(folder), write)


def _written(result: Result, folder: Path, write: Callable[[Path], None]) -> list[Path]:
    """Has a new folder written, and lists its files."""
    if not result.runs:
        raise ExperimentError("The result has no finished run, so there is nothing to export.")
    if folder.exists():
        raise DataFolderError(f"{folder} exists already. Name a new folder to export to.")
    with atomic_folder(folder) as new:
        write(new)
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _write_function(folder: Path, number: int, runs: list[Run], result: Result) -> None:
    """Writes one algorithm's runs on one benchmark: the lines, and what they are."""
    name, algorithm = runs[0].benchmark, runs[0].algorithm
    benchmark = result.benchmark(name)
    dimension = len(benchmark.space.decisions)
    short = _file_name(name)
    data = Path(f"data_f{number}_{short}") / f"IOHprofiler_f{number}_DIM{dimension}.dat"
    columns, entries = _columns(benchmark), []
    (folder / data).parent.mkdir(parents=True)
    with open(folder / data, "w", encoding="ascii", newline="\n") as file:
        for run in runs:
            lines = _lines(run.trace, benchmark)
            file.write(" ".join(columns) + "\n")
            file.writelines(
                " ".join([str(int(line[0])), *map(repr, line[1:])]) + "\n"
                for line in lines.tolist()
            )
            entries.append(_entry(run, lines))
    meta = {
        "version": IOH_VERSION,
        "suite": "nasbench-lab",
        "function_id": number,
        "function_name": name,
        "maximization": False,
        "algorithm": {"name": algorithm, "info": result.setting(name)},
        # Nothing but numbers: iohinspector evaluates these as Python.
        "experiment_attributes": [
            *({f"budget_{unit}": str(n)} for unit, n in result.experiment.budget.limits().items()),
            {"raw_y_without_incumbent": repr(_beyond(benchmark, "valid_regret"))},
            {"test_regret_without_incumbent": repr(_beyond(benchmark, "test_regret"))},
        ],
        "run_attributes": ["seed"],
        "attributes": columns,
        "scenarios": [{"dimension": dimension, "path": data.as_posix(), "runs": entries}],
    }
    text = json.dumps(meta, indent=1, allow_nan=False) + "\n"
    (folder / f"IOHprofiler_f{number}_{short}.json").write_text(text, encoding="ascii")


def _columns(benchmark: TableBenchmark) -> list[str]:
    seconds = ["simulated_seconds"] if counts_seconds(benchmark.clock) else []
    epochs = [] if benchmark.epochs is None else ["epochs"]
    return ["evaluations", "raw_y", "test_regret", *seconds, *epochs]


def _lines(trace: Trace, benchmark: TableBenchmark) -> NDArray[np.float64]:
    """``(lines, columns)`` numbers of ``_columns``, the lines that are written."""
    if not len(trace) or not (trace.charged | trace.derived).any():
        regrets = [_beyond(benchmark, metric) for metric in ("valid_regret", "test_regret")]
        return np.array([[1.0, *regrets, *[0.0] * (len(_columns(benchmark)) - 3)]])
    evaluations = trace.evaluations()
    if not evaluations[-1]:  # nothing but own work
        evaluations = evaluations.copy()
        evaluations[-1] = 1
    values: dict[str, NDArray[Any]] = {
        "evaluations": evaluations,
        "raw_y": _regret(trace, benchmark, "valid_regret"),
        "test_regret": _regret(trace, benchmark, "test_regret"),
        "simulated_seconds": trace.end,
        "epochs": trace.epochs(),
    }
    lines = np.stack([values[name] for name in _columns(benchmark)], axis=1).astype(np.float64)
    # Repeats that are free do not count: what holds after an evaluation is what follows of them too.
    lines = lines[np.append(np.diff(lines[:, 0]) > 0, True) & (lines[:, 0] > 0)]
    changed = (np.diff(lines[:, 1:3], axis=0) != 0).any(axis=1)
    kept = np.concatenate([[True], changed])
    kept[-1] = True
    result: NDArray[np.float64] = lines[kept]
    return result


def _regret(trace: Trace, benchmark: TableBenchmark, metric: str) -> NDArray[np.float64]:
    """``(n,)`` regret of the incumbent, ``_beyond`` all entries while there is none."""
    regret = stats.anytime(trace, benchmark, metric)
    return np.where(np.isnan(regret), _beyond(benchmark, metric), regret)


def _beyond(benchmark: TableBenchmark, metric: str) -> float:
    """Twice the largest regret of any entry of the table, or 1 where all are worth the same."""
    query = stats.metric_query(benchmark, metric)
    regrets = stats.regret(benchmark, query, benchmark.table.values(query))
    largest = float(np.max(regrets[~np.isnan(regrets)], initial=0.0))
    return min(2 * largest, sys.float_info.max) or 1.0


def _entry(run: Run, lines: NDArray[np.float64]) -> dict[str, Any]:
    """What the index says of a run; of one that found nothing, its end stands as its best."""
    trace = run.trace
    best = lines[-1 if stats.found_nothing(trace) else lines[:, 1].argmin()]
    # The incumbent when as many evaluations had counted; without one, what was evaluated last.
    x: list[int] = []
    if len(trace):
        last = np.searchsorted(trace.evaluations(), best[0], side="right") - 1
        position = trace.incumbents()[last]
        x = trace.architecture[position if position >= 0 else last].tolist()
        x = [] if -1 in x else x  # own work that recommended nothing
    return {
        "instance": 1,
        "evals": int(lines[-1, 0]),
        "best": {"evals": int(best[0]), "y": float(best[1]), "x": x},
        "seed": run.seed,
    }


def _file_name(text: str) -> str:
    """A name as a part of a file's: letters, digits and a few signs."""
    return re.sub(r"[^A-Za-z0-9_.=,+-]+", "-", text).strip("-.")[:80] or "unnamed"


FORMATS: dict[str, Callable[[Result, Path | str], list[Path]]] = {"csv": to_csv, "ioh": to_ioh}
"""How a result is exported."""

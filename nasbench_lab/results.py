"""The results of a comparison: its runs, on disk and as tables of figures."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab import stats
from nasbench_lab.benchmark import Objective, TableBenchmark
from nasbench_lab.errors import TableFileError
from nasbench_lab.files import atomic_file
from nasbench_lab.registry import load_benchmark
from nasbench_lab.spaces import get_space
from nasbench_lab.table import Query
from nasbench_lab.trace import Trace

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FORMAT = 1
"""Version of the result folder's layout."""


@dataclass(frozen=True)
class Run:
    """One run of a comparison.

    Args:
        benchmark: The benchmark's name.
        algorithm: The algorithm's label.
        seed: The run's seed.
        trace: What happened.
        wall_s: Seconds that the run really took; the only part of a result that differs when it is
            computed again.
    """

    benchmark: str
    algorithm: str
    seed: int
    trace: Trace
    wall_s: float


class Result:
    """Runs of several algorithms on several benchmarks.

    Args:
        experiment: What was asked for: algorithms, benchmarks, budget, seeds, policies.
        runs: The finished runs, in any order.
        benchmarks: The benchmarks by name; by default opened by name when first needed.
    """

    def __init__(
        self,
        experiment: Mapping[str, Any],
        runs: Iterable[Run],
        benchmarks: Mapping[str, TableBenchmark] | None = None,
    ) -> None:
        self.experiment = experiment
        names = {
            key: {entry["name"]: i for i, entry in enumerate(experiment[key])}
            for key in ("benchmarks", "algorithms")
        }
        self.runs = sorted(
            runs,
            key=lambda r: (
                names["benchmarks"][r.benchmark],
                names["algorithms"][r.algorithm],
                r.seed,
            ),
        )
        self._benchmarks = dict(benchmarks or {})

    def __repr__(self) -> str:
        return (
            f"<Result of {len(self.runs)} runs: {', '.join(self.algorithms)} on "
            f"{', '.join(self.benchmarks)}>"
        )

    @property
    def algorithms(self) -> list[str]:
        """Labels of the algorithms, in the order asked for."""
        return [entry["name"] for entry in self.experiment["algorithms"]]

    @property
    def benchmarks(self) -> list[str]:
        """Names of the benchmarks, in the order asked for."""
        return [entry["name"] for entry in self.experiment["benchmarks"]]

    @property
    def n_expected(self) -> int:
        """How many runs the experiment has when it is finished."""
        return len(self.algorithms) * len(self.benchmarks) * len(self.experiment["seeds"])

    def benchmark(self, name: str) -> TableBenchmark:
        """A benchmark of this result, opened."""
        if name not in self._benchmarks:
            (entry,) = (e for e in self.experiment["benchmarks"] if e["name"] == name)
            self._benchmarks[name] = load_benchmark(
                name,
                objective=[Query(**query) for query in entry["queries"]],
                report=Query(**entry["report"]),
                clock=entry["clock"],
            )
        return self._benchmarks[name]

    def traces(self, benchmark: str, algorithm: str) -> list[Trace]:
        """The traces of one algorithm on one benchmark, in the order of their seeds."""
        return self._traces.get((benchmark, algorithm), [])

    @cached_property
    def _traces(self) -> dict[tuple[str, str], list[Trace]]:
        grouped: dict[tuple[str, str], list[Trace]] = {}
        for run in self.runs:
            grouped.setdefault((run.benchmark, run.algorithm), []).append(run.trace)
        return grouped

    def to_frame(self) -> pd.DataFrame:
        """One line per evaluation of every run."""
        import pandas as pd

        frames = []
        for run in self.runs:
            frame = run.trace.to_frame()
            frame.insert(0, "seed", run.seed)
            frame.insert(0, "algorithm", run.algorithm)
            frame.insert(0, "benchmark", run.benchmark)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def summary(self) -> pd.DataFrame:
        """One line per benchmark and algorithm.

        Columns: ``runs``; ``test_regret`` and ``valid_regret`` at the end (mean, with ``_low`` and
        ``_high`` the 95 % bootstrap interval, in the unit of the column); ``evals_to_top_1pct`` and
        ``evals_to_top_10`` (median evaluations until one was among the best 1 % or the 10 best
        entries of the table by the objective, infinite where half of the runs never got there) with
        ``reached_`` the share of runs that got there; ``failed`` evaluations per run; ``wall_s``
        per run.
        """
        import pandas as pd

        lines = []
        for name in self.benchmarks:
            benchmark = self.benchmark(name)
            entries = len(benchmark.table.ranking(benchmark.first_objective))
            targets = {"top_1pct": math.ceil(entries / 100), "top_10": 10}
            for algorithm in self.algorithms:
                traces = [trace for trace in self.traces(name, algorithm) if len(trace)]
                if not traces:
                    continue
                line: dict[str, Any] = {
                    "benchmark": name,
                    "algorithm": algorithm,
                    "runs": len(traces),
                }
                for metric in ("test_regret", "valid_regret"):
                    final = np.array([stats.anytime(t, benchmark, metric)[-1] for t in traces])
                    low, high = stats.bootstrap_interval(final)
                    line |= {
                        metric: final.mean(),
                        f"{metric}_low": float(low),
                        f"{metric}_high": float(high),
                    }
                for target, k in targets.items():
                    counts = [stats.evaluations_to_top(t, benchmark, k) for t in traces]
                    line[f"evals_to_{target}"] = float(np.sort(counts)[(len(counts) - 1) // 2])
                    line[f"reached_{target}"] = float(np.mean(np.isfinite(counts)))
                line["failed"] = float(np.mean([np.isnan(t.values[:, 0]).sum() for t in traces]))
                line["wall_s"] = float(
                    np.mean(
                        [
                            r.wall_s
                            for r in self.runs
                            if (r.benchmark, r.algorithm) == (name, algorithm)
                        ]
                    )
                )
                lines.append(line)
        return pd.DataFrame(lines)

    def notes(self) -> list[str]:
        """What a reader of the summary should know, such as validation that misleads."""
        summary = self.summary()
        notes = []
        for name in self.benchmarks:
            benchmark = self.benchmark(name)
            table, objective, report = benchmark.table, benchmark.first_objective, benchmark.report
            if table.column(objective) == table.column(report):
                notes.append(
                    f"{name}: the table has one accuracy of an architecture, which is both searched "
                    f"on and reported. The regret says how well the search optimises, not how well "
                    f"its choice generalises."
                )
                continue
            best = table.ranking(objective)[0]
            floor = abs(table.optimum(report) - table.values(report)[best])
            notes.append(
                f"{name}: the entry with the best {objective.metric} has a {report.metric} regret "
                f"of {floor:.3f}. A search that finds it ends there, not at 0."
            )
            lines = summary[summary["benchmark"] == name]
            if len(lines) < 2:
                continue
            ahead = lines.loc[lines["valid_regret"].idxmin()]
            better = lines[lines["test_regret_high"] < ahead["test_regret_low"]]
            clear = lines[lines["test_regret_low"] > ahead["test_regret_high"]]
            if len(better):
                notes.append(
                    f"{name}: {ahead['algorithm']} ends best on {objective.metric}, yet "
                    f"{', '.join(better['algorithm'])} ended better on {report.metric}: here better "
                    f"validation does not buy better test results."
                )
            elif len(clear) < len(lines) - 1:
                same = lines.drop(index=[lines["valid_regret"].idxmin(), *clear.index])
                notes.append(
                    f"{name}: {ahead['algorithm']} ends best on {objective.metric}, but on "
                    f"{report.metric} its interval overlaps with {', '.join(same['algorithm'])}."
                )
        return notes

    def plot(
        self,
        metric: str = "test_regret",
        axis: stats.Axis = "evaluations",
        *,
        statistic: str = "mean",
    ) -> Figure:
        """The anytime figure; arguments as for ``nasbench_lab.figures.anytime_figure``."""
        from nasbench_lab.figures import anytime_figure

        return anytime_figure(self, metric, axis, statistic=statistic)

    # On disk

    def save(self, folder: Path | str) -> None:
        """Writes a result folder that ``open`` reads."""
        folder = Path(folder)
        write_manifest(folder, self.experiment)
        write_shard(folder, "runs", self.runs)

    @classmethod
    def open(cls, folder: Path | str) -> Result:
        """Reads a result folder, finished or not.

        Raises:
            TableFileError: The folder holds no result, or a damaged one.
        """
        import pyarrow.parquet as pq

        folder = Path(folder)
        try:
            manifest = json.loads((folder / "manifest.json").read_text())
            if manifest["format"] != FORMAT:
                raise ValueError(f"format {manifest['format']}, while this version reads {FORMAT}")
            experiment = manifest["experiment"]
            entries = {entry["name"]: entry for entry in experiment["benchmarks"]}
            runs = []
            for shard in sorted((folder / "runs").glob("[!.]*.parquet")):
                runs += _read_runs(pq.read_table(shard), entries, experiment)
            return cls(experiment, runs)
        except Exception as error:  # a damaged file may raise anything
            raise TableFileError(
                f"{folder} cannot be read as a result ({type(error).__name__}: {error}). Expected a "
                f"folder that `nasbench-lab compare` has written."
            ) from error


def write_manifest(folder: Path, experiment: Mapping[str, Any]) -> None:
    """Writes what an experiment is, and what it ran with, beside its runs."""
    packages = ("nasbench-lab", "numpy", "scipy", "nas-bench-graph")
    manifest = {
        "format": FORMAT,
        "experiment": experiment,
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    with atomic_file(folder / "manifest.json") as path:
        path.write_text(json.dumps(manifest, indent=1, default=np.generic.item) + "\n")


def write_shard(folder: Path, name: str, runs: Sequence[Run]) -> None:
    """Writes runs as Parquet files, one per benchmark, each all or nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for benchmark in dict.fromkeys(run.benchmark for run in runs):
        some = [run for run in runs if run.benchmark == benchmark]
        lengths = [len(run.trace) for run in some]
        space = get_space(some[0].trace.space)
        every = np.concatenate([run.trace.architecture for run in some])
        distinct, codes = np.unique(every, axis=0, return_inverse=True)
        columns: dict[str, Any] = {
            "benchmark": _repeated([run.benchmark for run in some], lengths),
            "algorithm": _repeated([run.algorithm for run in some], lengths),
            "seed": np.repeat([run.seed for run in some], lengths),
            "wall_s": np.repeat([run.wall_s for run in some], lengths),
            "architecture": pa.DictionaryArray.from_arrays(
                pa.array(codes.ravel().astype(np.int32)), pa.array(space.to_string(distinct))
            ),
        }
        for column in ("trial", "row", "epoch", "cost", "start", "end", "worker"):
            columns[column] = np.concatenate([getattr(run.trace, column) for run in some])
        for i, objective in enumerate(some[0].trace.objectives):
            columns[objective.name] = np.concatenate([run.trace.values[:, i] for run in some])
        stem = name if len({run.benchmark for run in runs}) == 1 else f"{name}-{_slug(benchmark)}"
        with atomic_file(folder / "runs" / f"{stem}.parquet") as path:
            pq.write_table(pa.table(columns), path)
            with open(path, "rb") as written:
                os.fsync(written.fileno())


def _repeated(names: list[str], lengths: list[int]) -> Any:
    import pyarrow as pa

    distinct = list(dict.fromkeys(names))
    codes = np.repeat([distinct.index(name) for name in names], lengths).astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(distinct))


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)


def _read_runs(
    table: Any, entries: Mapping[str, Mapping[str, Any]], experiment: Mapping[str, Any]
) -> list[Run]:
    if not table.num_rows:
        return []
    data = {name: table.column(name).combine_chunks() for name in table.column_names}
    benchmark = data["benchmark"][0].as_py()
    entry = entries[benchmark]
    space = get_space(entry["space"])
    objectives = tuple(Objective(**objective) for objective in entry["objectives"])
    texts = data["architecture"]
    parsed = space.from_string(texts.dictionary.to_pylist())
    architectures = parsed[texts.indices.to_numpy()]
    labels = data["algorithm"].dictionary.to_pylist()
    codes = data["algorithm"].indices.to_numpy()
    numbers = {
        name: array.to_numpy()
        for name, array in data.items()
        if name not in ("benchmark", "algorithm", "architecture")
    }
    values = np.stack([numbers[objective.name] for objective in objectives], axis=1)
    changes = (np.diff(codes) != 0) | (np.diff(numbers["seed"]) != 0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(codes)]])
    policies = {key: experiment[key] for key in ("budget", "charge_repeats", "workers")}
    runs = []
    for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        part = slice(first, last)
        label, seed = labels[codes[first]], int(numbers["seed"][first])
        settings = {
            "algorithm": label,
            "benchmark": benchmark,
            "seed": seed,
            "clock": entry["clock"],
            **policies,
        }
        trace = Trace(
            **{
                name: numbers[name][part]
                for name in ("trial", "row", "epoch", "cost", "start", "end", "worker")
            },
            architecture=architectures[part],
            values=values[part],
            space=entry["space"],
            objectives=objectives,
            settings=settings,
        )
        runs.append(Run(benchmark, label, seed, trace, float(numbers["wall_s"][first])))
    return runs


def describe_benchmark(benchmark: TableBenchmark) -> dict[str, Any]:
    """What a result's manifest says of a benchmark."""
    return {
        "name": benchmark.name,
        "space": benchmark.space.name,
        "queries": [asdict(query) for query in benchmark.queries],
        "report": asdict(benchmark.report),
        "objectives": [asdict(objective) for objective in benchmark.objectives],
        "clock": benchmark.clock,
        "source": dict(benchmark.table.info.source),
    }

"""The results of a comparison: its runs, on disk and as tables of figures."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab import stats
from nasbench_lab.benchmark import Objective, TableBenchmark
from nasbench_lab.columns import Constraint, Query
from nasbench_lab.errors import DataFolderError, TableFileError
from nasbench_lab.files import atomic_file
from nasbench_lab.registry import load_benchmark
from nasbench_lab.spaces import Architecture, get_space
from nasbench_lab.trace import COLUMNS, Trace

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FORMAT = 2
"""Version of the result folder's layout."""

_FEW = 5
"""Below so many runs, no conclusion is drawn from an interval."""

_NUMBERS = tuple(name for name in COLUMNS if name not in ("architecture", "values"))


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

    @property
    def axis(self) -> stats.Axis:
        """What the budget counts, and figures are drawn along if nothing else is said."""
        budget = self.experiment["budget"]
        if "seconds" in budget:
            return "seconds"
        return "epochs" if "epochs" in budget else "evaluations"

    def setting(self, name: str) -> str:
        """What runs on a benchmark were made under, apart from the budget, in words."""
        entry, workers = self._entry(name), dict(self.experiment["workers"])
        count = workers.pop("count")
        parts = [f"clock {entry['clock']}", f"{count} workers" if count > 1 else ""]
        parts += [key if value is True else f"{key} {value:g}" for key, value in workers.items()]
        parts += [] if self.experiment["charge_repeats"] else ["free repeats"]
        return ", ".join(filter(None, [*parts, *map(str, _constraints(entry))]))

    def _entry(self, name: str) -> dict[str, Any]:
        (entry,) = (e for e in self.experiment["benchmarks"] if e["name"] == name)
        return dict(entry)

    def benchmark(self, name: str) -> TableBenchmark:
        """A benchmark of this result, opened."""
        if name not in self._benchmarks:
            entry = self._entry(name)
            self._benchmarks[name] = load_benchmark(
                name,
                objective=[Query(**query) for query in entry["queries"]],
                report=Query(**entry["report"]),
                clock=entry["clock"],
                constraints=_constraints(entry),
            )
            if self._benchmarks[name].fingerprint != entry["table"]:
                raise TableFileError(
                    f"The table {name!r} is not the one that this result was made with: "
                    f"{entry['source'].get('version')} then, "
                    f"{self._benchmarks.pop(name).table.info.source.get('version')} now. Install that "
                    f"version again, or repeat the comparison."
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

        Columns: ``runs``; ``without``, the runs that never had an incumbent, which the others leave
        out; ``test_regret`` and ``valid_regret`` at the end (mean, with ``_low`` and ``_high`` the
        95 % bootstrap interval, in the unit of the column); ``evals_to_top_1pct`` and
        ``evals_to_top_10`` (evaluations until one was among the best 1 % or the 10 best entries of
        the table by the objective; the median of the runs, the lower of two, infinite for runs that
        never got there) with ``reached_`` the share of runs that got there; ``failed`` evaluations
        per run; ``wall_s`` per run; of several objectives ``hypervolume``, the share that was found
        of the table's.
        """
        import pandas as pd

        grouped: dict[tuple[str, str], list[Run]] = {}
        for run in self.runs:
            grouped.setdefault((run.benchmark, run.algorithm), []).append(run)
        lines = []
        for (name, algorithm), runs in grouped.items():
            benchmark, traces = self.benchmark(name), [run.trace for run in runs]
            entries = len(benchmark.ranking(benchmark.first_objective))
            line: dict[str, Any] = {"benchmark": name, "algorithm": algorithm, "runs": len(runs)}
            several = ("hypervolume",) if len(benchmark.objectives) > 1 else ()
            for metric in ("test_regret", "valid_regret", *several):
                last = [stats.anytime(trace, benchmark, metric)[-1:] for trace in traces]
                final = np.concatenate(last)
                final = final[~np.isnan(final)]
                if metric != "hypervolume":
                    line["without"] = len(runs) - len(final)
                low, high = stats.bootstrap_interval(final) if len(final) else (math.nan, math.nan)
                line |= {
                    metric: float(final.mean()) if len(final) else math.nan,
                    f"{metric}_low": float(low),
                    f"{metric}_high": float(high),
                }
            for target, k in {"top_1pct": math.ceil(entries / 100), "top_10": 10}.items():
                counts = [stats.evaluations_to_top(trace, benchmark, k) for trace in traces]
                line[f"evals_to_{target}"] = float(np.sort(counts)[(len(counts) - 1) // 2])
                line[f"reached_{target}"] = float(np.mean(np.isfinite(counts)))
            line["failed"] = float(np.mean([np.isnan(t.values[:, 0]).sum() for t in traces]))
            line["wall_s"] = float(np.mean([run.wall_s for run in runs]))
            lines.append(line)
        return pd.DataFrame(lines)

    def notes(self, summary: pd.DataFrame | None = None) -> list[str]:
        """What a reader of the summary should know, such as validation that misleads.

        Args:
            summary: The summary, if it is at hand.
        """
        summary = self.summary() if summary is None else summary
        notes = []
        for name in self.benchmarks:
            benchmark = self.benchmark(name)
            table, objective, report = benchmark.table, benchmark.first_objective, benchmark.report
            lines = summary[summary["benchmark"] == name] if len(summary) else summary
            kept, allowed = "", ""
            if benchmark.constraints:
                kept = f" that keeps to {', '.join(map(str, benchmark.constraints))}"
                allowed = " of those allowed"
            for line in lines[lines["without"] > 0].itertuples() if len(lines) else ():
                notes.append(
                    f"{name}: {line.without} of {line.runs} runs of {line.algorithm} had no "
                    f"successful evaluation{kept} within the budget, and are left out of its regret."
                )
            if len(benchmark.objectives) > 1 and len(lines) and (lines["hypervolume"] < 0.01).any():
                few = lines[lines["hypervolume"] < 0.01]
                notes.append(
                    f"{name}: next to nothing that {', '.join(few['algorithm'])} found is within a "
                    f"tenth of the Pareto front's range beyond its worst values, so the hypervolume "
                    f"is about 0. The fronts say more: nasbench-lab plot --pareto."
                )
            if table.column(objective) == table.column(report):
                notes.append(
                    f"{name}: the table has one {objective.metric} of an architecture, which is both "
                    f"searched on and reported. The regret says how well a search optimises, not how "
                    f"well its choice generalises."
                )
                continue
            best = (table.values(objective) == benchmark.optimum(objective)) & benchmark.feasible
            tied = table.values(report)[best]
            floor = np.abs(benchmark.optimum(report) - tied)
            notes.append(
                f"{name}: the entry with the best {objective.metric}{allowed} has a {report.metric} "
                f"regret of {floor.min():.3f}. A search that finds it ends there, not at 0."
                if len(tied) == 1
                else f"{name}: the {len(tied)} entries that tie for the best {objective.metric}"
                f"{allowed} have {report.metric} regrets from {floor.min():.3f} to {floor.max():.3f}."
            )
            if len(lines) < 2:
                continue
            if lines["runs"].min() < _FEW:
                notes.append(f"{name}: fewer than {_FEW} runs; intervals and order mean little.")
                continue
            known = lines.dropna(subset=["valid_regret"])
            if (known["valid_regret"] == known["valid_regret"].min()).sum() != 1:
                continue
            ahead = known.loc[known["valid_regret"].idxmin()]
            others = known.drop(index=ahead.name)
            better = others[others["test_regret_high"] < ahead["test_regret_low"]]
            same = others[
                (others["test_regret_low"] <= ahead["test_regret_high"])
                & (others["test_regret_high"] >= ahead["test_regret_low"])
            ]
            if len(better):
                notes.append(
                    f"{name}: {ahead['algorithm']} ends best on {objective.metric}, yet "
                    f"{', '.join(better['algorithm'])} ended better on {report.metric}: here a better "
                    f"{objective.metric} does not buy a better {report.metric}."
                )
            elif len(same):
                notes.append(
                    f"{name}: {ahead['algorithm']} ends best on {objective.metric}, but on "
                    f"{report.metric} its interval overlaps with {', '.join(same['algorithm'])}."
                )
        return notes

    def plot(
        self,
        metric: str | Sequence[str] = "test_regret",
        axis: stats.Axis = "evaluations",
        *,
        statistic: str = "mean",
    ) -> Figure:
        """The anytime figure; arguments as for ``nasbench_lab.figures.anytime_figure``."""
        from nasbench_lab.figures import anytime_figure

        return anytime_figure(self, metric, axis, statistic=statistic)

    # On disk

    def save(self, folder: Path | str) -> None:
        """Writes a result folder that ``open`` reads.

        Raises:
            DataFolderError: The folder cannot be written, or holds a result already.
        """
        folder = Path(folder)
        start_folder(folder, self.experiment)
        for i, name in enumerate(self.benchmarks):
            runs = [run for run in self.runs if run.benchmark == name]
            if runs:
                write_shard(folder, f"{i:06d}", runs)

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
            parsed: dict[tuple[str, str], Architecture] = {}
            runs = []
            for shard in sorted((folder / "runs").glob("[!.]*.parquet")):
                runs += _read_runs(pq.read_table(shard), experiment, parsed)
            return cls(experiment, runs)
        except Exception as error:  # a damaged file may raise anything
            raise TableFileError(
                f"{folder} cannot be read as a result ({type(error).__name__}: {error}). Expected a "
                f"folder that `nasbench-lab compare` has written."
            ) from error


def start_folder(folder: Path, experiment: Mapping[str, Any]) -> None:
    """Makes a result folder: what the experiment is, and what it runs with.

    Raises:
        DataFolderError: The folder cannot be written, or holds a result already.
    """
    packages = ("nasbench-lab", "numpy", "scipy", "nas-bench-graph")
    manifest = {
        "format": FORMAT,
        "experiment": experiment,
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    try:
        if (folder / "manifest.json").exists():
            raise FileExistsError
        # Of two processes that want the folder, one gets it.
        (folder / "runs").mkdir(parents=True)
    except FileExistsError:
        raise DataFolderError(f"{folder} holds a result already. Name another folder.") from None
    except OSError as error:
        raise DataFolderError(
            f"Cannot write results to {folder}: {error.strerror or error}. Name another folder."
        ) from error
    with atomic_file(folder / "manifest.json") as path:
        path.write_text(json.dumps(manifest, indent=1, default=np.generic.item) + "\n")


def discard_if_empty(folder: Path) -> None:
    """Takes a result folder away again in which no run was finished; other files in it stay."""
    if any((folder / "runs").glob("[!.]*.parquet")):
        return
    (folder / "manifest.json").unlink(missing_ok=True)
    for path in (folder / "runs", folder):
        try:
            path.rmdir()
        except OSError:
            return


def write_shard(folder: Path, name: str, runs: Sequence[Run]) -> None:
    """Writes runs of one benchmark as a Parquet file, all or nothing.

    The file has one line per evaluation, those that were cut off after the others of their run. What
    there is one of per run, runs without any evaluation included, is in its metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    traces = [part for run in runs for part in _parts(run.trace)]
    lengths = [sum(len(part) for part in _parts(run.trace)) for run in runs]
    every = np.concatenate([trace.architecture for trace in traces])
    distinct, codes = np.unique(every, axis=0, return_inverse=True)
    texts = traces[0].space.to_string(distinct)
    columns: dict[str, Any] = {
        "benchmark": _repeated([run.benchmark for run in runs], lengths),
        "algorithm": _repeated([run.algorithm for run in runs], lengths),
        "seed": np.repeat([run.seed for run in runs], lengths),
        "architecture": pa.DictionaryArray.from_arrays(
            pa.array(codes.ravel().astype(np.int32)), pa.array(texts, pa.string())
        ),
    }
    for column in _NUMBERS:
        columns[column] = np.concatenate([getattr(trace, column) for trace in traces])
    # Not by the objectives' names, which may be anything; the manifest has these.
    for i in range(len(traces[0].objectives)):
        columns[f"objective_{i}"] = np.concatenate([trace.values[:, i] for trace in traces])
    per_run = [
        {
            "benchmark": run.benchmark,
            "algorithm": run.algorithm,
            "seed": run.seed,
            "wall_s": run.wall_s,
            "evaluations": len(run.trace),
            "cut_off": length - len(run.trace),
        }
        for run, length in zip(runs, lengths, strict=True)
    ]
    table = pa.table(columns).replace_schema_metadata({_METADATA: json.dumps(per_run)})
    with atomic_file(folder / "runs" / f"{name}.parquet") as path:
        pq.write_table(table, path)
        with open(path, "rb") as written:
            os.fsync(written.fileno())


_METADATA = b"nasbench_lab.runs"


def _parts(trace: Trace) -> list[Trace]:
    return [trace] if trace.cut_off is None else [trace, trace.cut_off]


def _repeated(names: list[str], lengths: list[int]) -> Any:
    import pyarrow as pa

    distinct = list(dict.fromkeys(names))
    codes = np.repeat([distinct.index(name) for name in names], lengths).astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(distinct))


def _read_runs(
    table: Any, experiment: Mapping[str, Any], parsed: dict[tuple[str, str], Architecture]
) -> list[Run]:
    """The runs of one shard; ``parsed`` keeps what the texts of architectures mean."""
    per_run = json.loads(table.schema.metadata[_METADATA])
    (entry,) = (e for e in experiment["benchmarks"] if e["name"] == per_run[0]["benchmark"])
    space = get_space(entry["space"])
    objectives = tuple(Objective(**objective) for objective in entry["objectives"])
    texts = table.column("architecture").combine_chunks()
    names = texts.dictionary.to_pylist()
    for name in names:
        if (space.name, name) not in parsed:
            parsed[space.name, name] = space.from_string(name)
    distinct = np.array([parsed[space.name, name] for name in names], dtype=np.int64)
    shape = len(texts), len(space.decisions)
    architectures = distinct.reshape(-1, shape[1])[texts.indices.to_numpy()].reshape(shape)
    numbers = {
        name: table.column(name).to_numpy() for name in table.column_names if name in _NUMBERS
    }
    values = np.stack(
        [table.column(f"objective_{i}").to_numpy() for i in range(len(objectives))], axis=1
    )
    specs = {entry["name"]: entry["algorithm"] for entry in experiment["algorithms"]}
    policies = {key: experiment[key] for key in ("budget", "charge_repeats", "workers")}
    runs, first = [], 0
    for one in per_run:
        settings = {
            "algorithm": specs[one["algorithm"]],
            "benchmark": one["benchmark"],
            "seed": one["seed"],
            "constraints": [str(c) for c in _constraints(entry)],
            "clock": entry["clock"],
            **policies,
        }
        parts = []
        for length in (one["evaluations"], one["cut_off"]):
            part = slice(first, first + length)
            first = part.stop
            parts.append(
                Trace(
                    **{name: column[part] for name, column in numbers.items()},
                    architecture=architectures[part],
                    values=values[part],
                    space=space,
                    objectives=objectives,
                    settings=settings,
                )
            )
        trace = replace(parts[0], cut_off=parts[1])
        runs.append(Run(one["benchmark"], one["algorithm"], one["seed"], trace, one["wall_s"]))
    return runs


def _constraints(entry: Mapping[str, Any]) -> list[Constraint]:
    """The constraints of a manifest's benchmark."""
    return [
        Constraint(Query(**one["query"]), one["limit"], one["at_most"])
        for one in entry["constraints"]
    ]


def describe_benchmark(benchmark: TableBenchmark) -> dict[str, Any]:
    """What a result's manifest says of a benchmark."""
    return {
        "name": benchmark.name,
        "space": benchmark.space.name,
        "queries": [asdict(query) for query in benchmark.queries],
        "report": asdict(benchmark.report),
        "objectives": [asdict(objective) for objective in benchmark.objectives],
        "constraints": [asdict(constraint) for constraint in benchmark.constraints],
        "clock": benchmark.clock,
        "source": dict(benchmark.table.info.source),
        "table": benchmark.fingerprint,
    }

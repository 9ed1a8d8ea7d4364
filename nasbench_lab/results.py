"""The results of a comparison: its runs, on disk and as tables of figures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab import stats
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.columns import Query
from nasbench_lab.differences import differences
from nasbench_lab.errors import DataFolderError, ExperimentError, TableFileError
from nasbench_lab.experiment_file import to_toml
from nasbench_lab.registry import load_benchmark
from nasbench_lab.result_files import (
    Cell,
    Run,
    constraints_of,
    no_result,
    read_manifest,
    read_runs,
    working_on,
    write_shard,
)
from nasbench_lab.trace import Trace
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from nasbench_lab.figures import Look

_FEW = 5
"""Below so many runs, no conclusion is drawn from an interval."""


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
            f"<Result of {counted(len(self.runs), 'run')}: {', '.join(self.algorithms)} on "
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
        return ", ".join(filter(None, [*parts, *map(str, constraints_of(entry))]))

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
                constraints=constraints_of(entry),
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
                    f"{name}: {line.without} of {counted(line.runs, 'run')} of {line.algorithm} had no "
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
        look: Look | None = None,
    ) -> Figure:
        """The anytime figure; arguments as for ``nasbench_lab.figures.anytime_figure``."""
        from nasbench_lab.figures import Look, anytime_figure

        return anytime_figure(self, metric, axis, statistic=statistic, look=look or Look())

    @property
    def made_with(self) -> list[dict[str, Any]]:
        """The different versions and platforms that the runs were made with."""
        distinct: list[dict[str, Any]] = []
        for run in self.runs:
            if run.made_with and run.made_with not in distinct:
                distinct.append(dict(run.made_with))
        return distinct

    def notes_on_origin(self) -> list[str]:
        """What a reader should know of where runs come from: missing ones, different versions."""
        notes = []
        if len(self.runs) < self.n_expected:
            notes.append(
                f"{self.n_expected - len(self.runs)} of the {self.n_expected} runs are missing."
            )
        versions = {json.dumps(made["versions"], sort_keys=True) for made in self.made_with}
        if len(versions) > 1:
            differ = differences(*map(json.loads, sorted(versions)[:2]))
            notes.append(f"The runs were made with different versions: {'; '.join(differ)}.")
        return notes

    # On disk

    def save(self, folder: Path | str) -> None:
        """Writes a result folder that ``open`` reads.

        Raises:
            DataFolderError: The folder cannot be written, or holds a result already.
        """
        folder = Path(folder)
        if (folder / "manifest.json").exists():
            raise DataFolderError(f"{folder} holds a result already. Name another folder.")
        with working_on(folder, self.experiment, to_toml(self.experiment)):
            for b, benchmark in enumerate(self.benchmarks):
                for a, algorithm in enumerate(self.algorithms):
                    runs = [r for r in self.runs if r.cell[:2] == (benchmark, algorithm)]
                    if runs:
                        write_shard(folder, f"{b:03d}-{a:03d}", runs)

    @classmethod
    def open(cls, folder: Path | str) -> Result:
        """Reads a result folder, finished or not.

        Raises:
            TableFileError: The folder holds no result, or a damaged one.
        """
        folder = Path(folder)
        experiment = read_manifest(folder)["experiment"]
        try:
            cls(experiment, [])
        except Exception as error:  # a manifest that is JSON, and not ours
            raise no_result(folder, error) from error
        return cls(experiment, read_runs(folder, experiment))


def merged(results: Mapping[str, Result]) -> Result:
    """Joins results, such as of different seeds, algorithms or benchmarks.

    Args:
        results: The results by what they are called in messages.

    Raises:
        ExperimentError: They are not of one kind: budget, workers or policies differ, or benchmarks
            or algorithms of one name do, or a run that two have came out differently.
    """
    if not results:
        raise ExperimentError("Expected at least one result to join.")
    first = next(iter(results))
    experiment = dict(results[first].experiment)
    runs: dict[Cell, tuple[str, Run]] = {}
    for name, result in results.items():
        other = dict(result.experiment)
        for key in ("algorithms", "benchmarks"):
            here, there = ({e["name"]: e for e in one[key]} for one in (other, experiment))
            # What both have is compared below, and what one has joins.
            experiment[key] = [*experiment[key], *(here[n] for n in here if n not in there)]
            other[key] = [here.get(n, e) for n, e in {**there, **here}.items()]
        experiment["seeds"] = other["seeds"] = sorted({*experiment["seeds"], *other["seeds"]})
        if found := differences(experiment, other):
            raise ExperimentError(
                f"{first} and {name} cannot be joined, as they are of different experiments "
                f"({first} there, {name} here): {'; '.join(found)}."
            )
        for run in result.runs:
            holder, known = runs.setdefault(run.cell, (name, run))
            if not known.trace.equals(run.trace):
                raise ExperimentError(
                    f"{holder} and {name} cannot be joined: {run.algorithm} on {run.benchmark} with "
                    f"seed {run.seed} came out differently in them. Their runs were made with "
                    f"{_made(known)} and {_made(run)}."
                )
    return Result(experiment, [run for _, run in runs.values()])


def _made(run: Run) -> str:
    versions = run.made_with.get("versions", {})
    return ", ".join(f"{name} {number}" for name, number in versions.items()) or "unknown versions"

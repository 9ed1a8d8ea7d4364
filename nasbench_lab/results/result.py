"""The results of a comparison: its runs, on disk and as tables of figures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab import stats
from nasbench_lab.benchmark import TableBenchmark, scarcity
from nasbench_lab.errors import DataFolderError, ExperimentError, TableFileError
from nasbench_lab.experiment.differences import differences, joined
from nasbench_lab.registry import load_benchmark
from nasbench_lab.results.folder import read_result, working_on
from nasbench_lab.results.manifest import has_manifest, read_manifest
from nasbench_lab.results.parts import Cell, Run, constraints_of, shard_name, write_shard
from nasbench_lab.tables.columns import Query
from nasbench_lab.trace import Trace
from nasbench_lab.words import counted, listed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from nasbench_lab.figures import Look

_TARGETS = {"top_1pct": "best 1 %", "top_10": "top 10"}
"""The targets of the summary, and what ``stats.target_value`` calls them."""

_NOTABLE = 0.01
"""From this share of an algorithm's evaluations on, failures are noted."""


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
    def tables_with_runs(self) -> list[str]:
        """Names of the benchmarks on which something was evaluated, in the order asked for."""
        return [
            name
            for name in self.benchmarks
            if any(len(t) for a in self.algorithms for t in self.traces(name, a))
        ]

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

        A run that never had an incumbent counts as worse than all others, and there is then no mean.

        Columns: ``runs``; ``without``, how many of them never had an incumbent; ``test_regret`` and
        ``valid_regret`` at the end (mean, with ``_low`` and ``_high`` the 95 % bootstrap interval, in
        the unit of the column; NaN if a run is without; ``_median`` of all runs, infinite if half of
        them are); ``evals_to_top_1pct`` and ``evals_to_top_10`` (evaluations until the incumbent was
        among the best 1 % or the 10 best entries of the table by the objective; the median of the
        runs, the lower of two, infinite for runs that never got there) with ``reached_`` the share of
        runs that got there (NaN if the table has not so many entries that are allowed);
        ``evaluations`` per run; of these ``failed``, and of those ``missing``, whose architecture the
        table lacks, per run, with ``_share`` of all; ``wall_s`` per run; of several objectives
        ``hypervolume``, the share that was found of the table's.
        """
        import pandas as pd

        grouped: dict[tuple[str, str], list[Run]] = {}
        for run in self.runs:
            grouped.setdefault((run.benchmark, run.algorithm), []).append(run)
        lines = []
        for (name, algorithm), runs in grouped.items():
            benchmark, traces = self.benchmark(name), [run.trace for run in runs]
            line: dict[str, Any] = {"benchmark": name, "algorithm": algorithm, "runs": len(runs)}
            line["without"] = sum(map(stats.found_nothing, traces))
            several = ("hypervolume",) if len(benchmark.objectives) > 1 else ()
            for metric in ("test_regret", "valid_regret", *several):
                final = np.array([stats.final_value(trace, benchmark, metric) for trace in traces])
                final = final[~np.isnan(final)]
                mean, low, high = stats.summarise(final)
                line |= {
                    metric: float(mean),
                    f"{metric}_low": float(low),
                    f"{metric}_high": float(high),
                }
                if metric != "hypervolume":
                    line[f"{metric}_median"] = float(stats.summarise(final, "median")[0])
            for target, text in _TARGETS.items():
                counts = [math.nan]
                if text in stats.top_targets(benchmark):
                    _, value = stats.target_value(benchmark, text)
                    counts = [stats.spent_to_target(trace, benchmark, value) for trace in traces]
                known = not math.isnan(counts[0])
                line[f"evals_to_{target}"] = float(np.sort(counts)[(len(counts) - 1) // 2])
                line[f"reached_{target}"] = (
                    float(np.mean(np.isfinite(counts))) if known else math.nan
                )
            failed = [np.isnan(trace.values[:, 0]) for trace in traces]
            missing = [trace.row < 0 for trace in traces]
            every = sum(map(len, traces))
            line["evaluations"] = every / len(traces)
            for what, some in ("failed", failed), ("missing", missing):
                count = sum(int(one.sum()) for one in some)
                line |= {
                    what: count / len(traces),
                    f"{what}_share": count / every if every else 0.0,
                }
            line["wall_s"] = float(np.mean([run.wall_s for run in runs]))
            lines.append(line)
        return pd.DataFrame(lines)

    def verdict(self, reference: str | None = None) -> list[str]:
        """What the result shows, a line for each benchmark and one over all: who wins, if anybody.

        Args:
            reference: The algorithm that all others are tested against; by default the best.

        Raises:
            UnknownNameError: There is no such reference.
        """
        return stats.verdict_lines(self, reference)

    def notes(self, summary: pd.DataFrame | None = None) -> list[str]:
        """What a reader of the summary should know, such as validation that misleads.

        Args:
            summary: The summary, if it is at hand.
        """
        summary = self.summary() if summary is None else summary
        notes = []
        for name in self.benchmarks:
            lines = summary[summary["benchmark"] == name] if len(summary) else summary
            said = [*scarcity(self.benchmark(name)), *self._notes_on_runs(name, lines)]
            said += [*self._notes_on_values(name, lines), *self._note_on_the_winner(name, lines)]
            notes += [f"{name}: {note}" for note in said]
        return notes

    def _notes_on_runs(self, name: str, lines: pd.DataFrame) -> Iterator[str]:
        """What was not found, not evaluated or not asked on a benchmark."""
        constraints = self.benchmark(name).constraints
        kept = f" that keeps to {', '.join(map(str, constraints))}" if constraints else ""
        for line in lines.to_dict(orient="records"):
            runs = [r for r in self.runs if r.cell[:2] == (name, line["algorithm"])]
            sound = [
                run.trace for run in runs if run.error is None
            ]  # of others, the reason is told
            idle = sum(not len(t) and not (t.cut_off and len(t.cut_off)) for t in sound)
            every = counted(len(runs), "run")
            if idle:
                yield f"{line['algorithm']} never asked for an evaluation in {idle} of {every}."
            without = sum(map(stats.found_nothing, sound)) - idle
            if without:
                yield (
                    f"{without} of {every} of {line['algorithm']} found nothing{kept} within the "
                    f"budget. They count as worse than all others, and {line['algorithm']} has no "
                    f"mean."
                )
            if line["failed_share"] >= _NOTABLE:
                lacks = ""
                if line["missing_share"] >= _NOTABLE:
                    lacks = f" ({line['missing_share']:.0%}: the table has no such architecture)"
                yield f"{line['failed_share']:.0%} of {line['algorithm']}'s evaluations failed{lacks}."

    def _notes_on_values(self, name: str, lines: pd.DataFrame) -> Iterator[str]:
        """What the values of a table mean for a comparison on it."""
        benchmark = self.benchmark(name)
        table, objective, report = benchmark.table, benchmark.first_objective, benchmark.report
        allowed = " of those allowed" if benchmark.constraints else ""
        if len(benchmark.objectives) > 1 and len(lines) and (lines["hypervolume"] < 0.01).any():
            few = lines[lines["hypervolume"] < 0.01]
            yield (
                f"next to nothing that {', '.join(few['algorithm'])} found is within a tenth of the "
                f"Pareto front's range beyond its worst values, so the hypervolume is about 0. The "
                f"fronts say more: nasbench-lab plot --pareto."
            )
        if table.column(objective) == table.column(report):
            yield (
                f"the table has one {objective.metric} of an architecture, which is both searched on "
                f"and reported. The regret says how well a search optimises, not how well its choice "
                f"generalises."
            )
            return
        regrets = stats.regret(benchmark, objective, table.values(objective))
        tied = table.values(report)[(regrets == 0) & benchmark.feasible]
        floor = stats.regret(benchmark, report, tied)
        if len(tied) == 1 and floor[0] == 0:
            return
        yield (
            f"the entry with the best {objective.metric}{allowed} has a {report.metric} regret of "
            f"{floor[0]:.3g}. A search that finds it ends there, not at 0."
            if len(tied) == 1
            else f"the {len(tied)} entries that tie for the best {objective.metric}{allowed} have "
            f"{report.metric} regrets from {floor.min():.3g} to {floor.max():.3g}."
        )

    def _note_on_the_winner(self, name: str, lines: pd.DataFrame) -> Iterator[str]:
        """Whether an algorithm that does not win on the objective is better on what is reported."""
        if len(lines) < 2:
            return
        benchmark, part = self.benchmark(name), self.of([name])
        winner = next(v.winner for v in stats.verdicts(part) if v.metric == "valid_regret")
        if winner is None:
            return
        frame = stats.table_frame(part, "test_regret", winner)
        if len(better := frame["algorithm"][frame["outcome"] == "better"]):
            searched, reported = benchmark.first_objective.metric, benchmark.report.metric
            yield (
                f"{winner} wins on {searched}, yet {listed(list(better))} "
                f"{'is' if len(better) == 1 else 'are'} significantly better than it on {reported}: "
                f"here a better {searched} does not buy a better {reported}."
            )

    def of(self, benchmarks: Sequence[str]) -> Result:
        """The part of this result that is on some benchmarks."""
        if list(benchmarks) == self.benchmarks:
            return self
        entries = [e for e in self.experiment["benchmarks"] if e["name"] in benchmarks]
        return Result(
            {**self.experiment, "benchmarks": entries},
            [run for run in self.runs if run.benchmark in benchmarks],
            {name: self.benchmark(name) for name in benchmarks},
        )

    def plot(
        self,
        metric: str | Sequence[str] = "test_regret",
        axis: stats.Axis = "evaluations",
        *,
        statistic: str = "mean",
        look: Look | None = None,
    ) -> Figure:
        """The anytime figure; arguments as for ``nasbench_lab.figures_figure``."""
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
        return [*notes, *self.notes_on_algorithms()]

    def notes_on_algorithms(self) -> list[str]:
        """What algorithms did that they should not, and in which runs they failed."""
        notes = []
        for entry in self.experiment["algorithms"]:
            name = known_as(entry["name"], entry.get("file"))
            runs = [run for run in self.runs if run.algorithm == entry["name"]]
            notes += [f"{name} {one}" for one in dict.fromkeys(w for r in runs for w in r.warnings)]
            failed = [run for run in runs if run.error is not None]
            if failed:
                first, reason = failed[0], str(failed[0].error).partition("\n")[0]
                notes.append(
                    f"{name} failed in {len(failed)} of {len(runs)} runs, which count as runs that "
                    f"found nothing. The first, on {first.benchmark} with seed {first.seed}: {reason}"
                )
        return notes

    # On disk

    def save(self, folder: Path | str) -> None:
        """Writes a result folder that ``open`` reads.

        One that was begun so, and left by a process that was killed, is finished.

        Raises:
            DataFolderError: The folder cannot be written, or holds a result already.
            ExperimentError: The folder holds a part of this result that came out differently.
        """
        folder = Path(folder)
        missing = self.missing_in(folder)
        if not missing and self.runs:
            raise DataFolderError(f"{folder} holds a result already. Name another folder.")
        with working_on(folder, self.experiment):
            for b, benchmark in enumerate(self.benchmarks):
                for a, algorithm in enumerate(self.algorithms):
                    if runs := [r for r in missing if r.cell[:2] == (benchmark, algorithm)]:
                        name = shard_name(f"{b:03d}-{a:03d}", (run.cell for run in runs))
                        write_shard(folder, self.experiment, name, runs)

    def missing_in(self, folder: Path) -> list[Run]:
        """The runs that a folder lacks, which is new or holds a part of this result.

        Raises:
            DataFolderError: It holds another result.
            ExperimentError: It holds a part that came out differently.
        """
        if not has_manifest(folder):
            return self.runs
        if differences(read_manifest(folder)["experiment"], self.experiment):
            raise DataFolderError(f"{folder} holds a result already. Name another folder.")
        there = Result.open(folder)
        merged({str(folder): there, "what is to be written": self})
        known = {run.cell for run in there.runs}
        return [run for run in self.runs if run.cell not in known]

    @classmethod
    def open(cls, folder: Path | str) -> Result:
        """Reads a result folder, finished or not.

        Raises:
            TableFileError: The folder holds no result, or a damaged one.
            UnknownNameError: A space of its benchmarks is not on this machine.
            DataFolderError: A file cannot be read, for want of permissions or the like.
        """
        return cls(*read_result(Path(folder)))


def known_as(name: str, file: str | None) -> str:
    """An algorithm's name, with that of its file if it has one of its own."""
    return f"{name} ({Path(file).name})" if file else name


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
        experiment, found = joined(experiment, result.experiment)
        if found:
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

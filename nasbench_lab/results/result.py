"""The results of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_lab import stats
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import ExperimentError
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.results import notes
from nasbench_lab.results.evaluated import EvaluatedBenchmark
from nasbench_lab.results.folder import merged_runs, read_result, save_runs
from nasbench_lab.results.parts import Run
from nasbench_lab.trace import Trace
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from nasbench_lab.figures import Look


class Result:
    """Runs of several algorithms on several benchmarks.

    Args:
        experiment: What was asked for.
        runs: The finished runs, in any order.
    """

    def __init__(self, experiment: Experiment, runs: Iterable[Run]) -> None:
        self.experiment = experiment
        tables = {name: i for i, name in enumerate(experiment.tables)}
        labels = {name: i for i, name in enumerate(experiment.labels)}
        self._evaluated: dict[str, EvaluatedBenchmark] = {}
        self.runs = sorted(runs, key=lambda r: (tables[r.benchmark], labels[r.algorithm], r.seed))

    def __repr__(self) -> str:
        return (
            f"<Result of {counted(len(self.runs), 'run')}: {', '.join(self.algorithms)} on "
            f"{', '.join(self.benchmarks)}>"
        )

    def _repr_html_(self) -> str:
        """The summary and the verdict, which a notebook shows of a result."""
        from nasbench_lab.results.shown import as_html

        return as_html(self)

    @property
    def algorithms(self) -> list[str]:
        """Labels of the algorithms, in the order asked for."""
        return self.experiment.labels

    @property
    def benchmarks(self) -> list[str]:
        """Names of the benchmarks, in the order asked for."""
        return self.experiment.tables

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
        return self.experiment.n_runs

    @property
    def axis(self) -> stats.Axis:
        """What the budget counts, and figures are drawn along if nothing else is said."""
        budget = self.experiment.budget
        if budget.seconds is not None:
            return "seconds"
        return "evaluations" if budget.epochs is None else "epochs"

    def setting(self, name: str) -> str:
        """What runs on a benchmark were made under, apart from the budget, in words."""
        benchmark, workers = self.experiment.benchmark(name), self.experiment.workers.describe()
        count = workers.pop("count")
        parts = [f"clock {benchmark.clock}", f"{count} workers" if count > 1 else ""]
        parts.append(_MISSING.get(benchmark.missing, ""))
        parts += [key if value is True else f"{key} {value:g}" for key, value in workers.items()]
        parts += [] if self.experiment.charge_repeats else ["free repeats"]
        if (start := self.experiment.warm_start) is not None:
            parts.append(f"{start.use} from {', '.join(source.name for source in start.history)}")
        return ", ".join(filter(None, [*parts, *map(str, benchmark.constraints)]))

    def benchmark(self, name: str) -> TableBenchmark:
        """A benchmark of this result, as results on it are judged by.

        It is the table, opened. A benchmark that is no table is judged by the table of all that the
        runs evaluated: a regret is to the best value that any of them found (or to ``best_value``, if
        the benchmark knows it), and an architecture is worth the mean of its evaluations. The
        benchmark itself need not be at hand.

        Raises:
            TableFileError: The table of that name is another one now.
        """
        setting = self.experiment.benchmark(name)
        if setting.program is None:
            return setting.opened_table
        if name not in self._evaluated:
            runs = [run for run in self.runs if run.benchmark == name]
            self._evaluated[name] = EvaluatedBenchmark(setting, runs)
        return self._evaluated[name]

    def traces(self, benchmark: str, algorithm: str) -> list[Trace]:
        """The traces of one algorithm on one benchmark, in the order of their seeds."""
        return self._traces.get((benchmark, algorithm), [])

    @cached_property
    def _traces(self) -> dict[tuple[str, str], list[Trace]]:
        grouped: dict[tuple[str, str], list[Trace]] = {}
        for run in self.runs:
            grouped.setdefault((run.benchmark, run.algorithm), []).append(run.trace)
        return grouped

    def of(self, benchmarks: Sequence[str]) -> Result:
        """The part of this result that is on some benchmarks."""
        if list(benchmarks) == self.benchmarks:
            return self
        return Result(
            self.experiment.of_tables(benchmarks),
            [run for run in self.runs if run.benchmark in benchmarks],
        )

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

    @property
    def made_with(self) -> list[dict[str, Any]]:
        """The different versions and platforms that the runs were made with."""
        distinct: list[dict[str, Any]] = []
        for run in self.runs:
            if run.made_with and run.made_with not in distinct:
                distinct.append(dict(run.made_with))
        return distinct

    # What is asked of it most often

    def summary(self) -> pd.DataFrame:
        """One line per benchmark and algorithm; see ``stats.summary_frame``."""
        return stats.summary_frame(self)

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
        return notes.notes_on_values(self, self.summary() if summary is None else summary)

    def notes_on_origin(self) -> list[str]:
        """What a reader should know of where runs come from: missing ones, different versions."""
        return [*notes.notes_on_runs(self), *notes.notes_on_algorithms(self)]

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

    # On disk

    def save(self, folder: Path | str) -> None:
        """Writes a result folder that ``open`` reads.

        One that was begun so, and left by a process that was killed, is finished.

        Raises:
            DataFolderError: The folder cannot be written, or holds a result already.
            ExperimentError: The folder holds a part of this result that came out differently.
        """
        save_runs(Path(folder), self.experiment, self.runs)

    @classmethod
    def open(cls, folder: Path | str) -> Result:
        """Reads a result folder, finished or not.

        Raises:
            TableFileError: The folder holds no result, or a damaged one.
            UnknownNameError: A space of its benchmarks is not on this machine.
            DataFolderError: A file cannot be read, for want of permissions or the like.
        """
        return cls(*read_result(Path(folder)))


_MISSING = {
    "pool": "measured architectures only",
    "free": "free if not measured",
    "fallback": "with a fallback",
}
"""What comes of architectures that a table lacks, in few words; nothing of the usual."""


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
    experiment = results[first].experiment
    for name, result in results.items():
        experiment, contradictions = experiment.joined(result.experiment)
        if contradictions:
            raise ExperimentError(
                f"{first} and {name} cannot be joined, as they are of different experiments "
                f"({first} there, {name} here): {'; '.join(contradictions)}."
            )
    return Result(experiment, merged_runs({name: one.runs for name, one in results.items()}))

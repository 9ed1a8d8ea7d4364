"""Leave one task out: searches on each task of a family, with and without what the others show."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_lab import stats
from nasbench_lab.algorithm import takes_history
from nasbench_lab.errors import ExperimentError, UnknownNameError, UnsuitedError
from nasbench_lab.experiment.building import trial_of_algorithms
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.experiment.settings import Algorithm, AlgorithmSetting, labels_of
from nasbench_lab.experiment.warm_start import Evaluations
from nasbench_lab.landscape.reliability import rank_correlation
from nasbench_lab.registry import class_of, load_benchmark, open_table, table_names
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import run_experiment
from nasbench_lab.running.warm_start import taken_history

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.trace import Trace

Floats = NDArray[np.float64]
Progress = Callable[[int, int, str], None]

BASELINE = "random_search"
"""What runs alone if nothing else does."""

COUNTERPARTS = ("gp_bo", BASELINE)
"""What an algorithm that cannot search alone is compared with: the first of them that ran."""


class Variant(NamedTuple):
    """An algorithm, alone or with what other tasks show."""

    algorithm: str
    transfer: bool


@dataclass(frozen=True)
class TransferStudy:
    """What a family of tasks teaches a search on one of them.

    Args:
        family: The family's name.
        alone: The algorithms that can search without other tasks, on all tasks.
        taught: The algorithms that began with the other tasks.
        agreement: Spearman's rank correlation of each pair of tasks, by the objectives that searches
            see, over the architectures that both have.
        metric: What the variants are judged by, one of ``nasbench_lab.stats.METRICS``.
    """

    family: str
    alone: Result
    taught: Result
    agreement: pd.DataFrame
    metric: str = "valid_regret"

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks."""
        return self.alone.benchmarks

    @property
    def variants(self) -> list[Variant]:
        """What was compared: those that ran alone first."""
        return [
            Variant(label, transfer)
            for transfer, result in ((False, self.alone), (True, self.taught))
            for label in result.algorithms
        ]

    def name(self, variant: Variant) -> str:
        """A variant as it is shown."""
        both = variant.transfer and variant.algorithm in self.alone.algorithms
        return f"{variant.algorithm} (transfer)" if both else variant.algorithm

    def counterpart(self, variant: Variant) -> Variant | None:
        """What a variant with transfer is compared with: itself alone, or what is nearest to it."""
        if not variant.transfer:
            return None
        known = self.alone.algorithms
        names = (variant.algorithm, *COUNTERPARTS, known[0])
        return Variant(next(name for name in names if name in known), False)

    def traces(self, task: str, variant: Variant) -> list[Trace]:
        """The runs of a variant on a task, in the order of their seeds."""
        result = self.taught if variant.transfer else self.alone
        return result.traces(task, variant.algorithm)

    @property
    def least_alike(self) -> tuple[str, str, float]:
        """The two tasks that agree least, and their rank correlation; NaN if none is known."""
        pairs = list(itertools.combinations(self.tasks, 2))
        values = np.array([self.agreement.loc[pair] for pair in pairs], dtype=np.float64)
        least = int(np.where(np.isnan(values), np.inf, values).argmin())
        return *pairs[least], float(values[least])

    def per_task(self) -> pd.DataFrame:
        """One line per task and variant.

        Returns:
            ``task``, ``algorithm``, ``transfer``, ``name``, ``runs``; ``regret``, the mean of the
            metric at the end with its 95 % bootstrap interval ``low`` to ``high``; ``rank``, the mean
            over the seeds of its rank among all variants. Of those with transfer: ``against`` which
            they are compared, ``change`` of the mean with its interval ``change_low`` to
            ``change_high``, ``effect``, which is ``helps`` or ``hurts`` where that leaves out 0, and
            else ``untold``. And ``agreement``, the mean rank correlation of the task with the others.
        """
        import pandas as pd

        lines = []
        for task in self.tasks:
            benchmark = self.alone.benchmark(task)
            worse = -1.0 if stats.higher_is_better(benchmark, self.metric) else 1.0
            ends = {
                variant: np.array(
                    [
                        stats.final_value(t, benchmark, self.metric)
                        for t in self.traces(task, variant)
                    ]
                )
                for variant in self.variants
            }
            ranks = _mean_ranks(list(ends.values()), worse < 0)
            others = self.agreement.loc[task].drop(task)
            for variant, rank in zip(self.variants, ranks, strict=True):
                low, high = stats.bootstrap_interval(ends[variant])
                line = {
                    "task": task,
                    **variant._asdict(),
                    "name": self.name(variant),
                    "runs": len(ends[variant]),
                    "regret": float(ends[variant].mean()),
                    "low": float(low),
                    "high": float(high),
                    "rank": rank,
                }
                if (other := self.counterpart(variant)) is not None:
                    change = stats.bootstrap_difference(ends[variant], ends[other], paired=False)
                    line |= {"against": self.name(other), **_effect(change, worse)}
                lines.append({**line, "agreement": float(others.mean())})
        return pd.DataFrame(lines)

    def overall(self) -> pd.DataFrame:
        """One line per variant, the best mean rank first.

        Returns:
            ``name``, ``mean_rank`` over the tasks, ``worst_task`` with its ``worst_rank``, and of those
            with transfer on how many tasks it ``helps`` and ``hurts``, and ``hurts_on`` which.
        """
        import pandas as pd

        lines = []
        for name, of_one in self.per_task().groupby("name", sort=False):
            worst = of_one.loc[of_one["rank"].idxmax()]
            line = {"name": name, "mean_rank": of_one["rank"].mean()}
            line |= {"worst_task": worst["task"], "worst_rank": worst["rank"]}
            if of_one["transfer"].any():
                hurt = of_one.loc[of_one["effect"] == "hurts", "task"]
                line["helps"] = int((of_one["effect"] == "helps").sum())
                line |= {"hurts": len(hurt), "hurts_on": ", ".join(hurt)}
            lines.append(line)
        return pd.DataFrame(lines).sort_values("mean_rank", kind="stable", ignore_index=True)

    def ranks(self) -> pd.DataFrame:
        """The mean rank of each variant over tasks and seeds, along the evaluations.

        Returns:
            ``evaluations``, ``name``, ``rank``; runs without a result yet share the last rank.
        """
        import pandas as pd

        traces = [t for task in self.tasks for v in self.variants for t in self.traces(task, v)]
        points = stats.grid(traces, "evaluations")
        means = []
        for task in self.tasks:
            benchmark = self.alone.benchmark(task)
            every = [
                stats.curves(self.traces(task, variant), benchmark, points, self.metric)
                for variant in self.variants
            ]
            means.append(_mean_ranks(every, stats.higher_is_better(benchmark, self.metric)))
        rank = np.mean(means, axis=0)
        names = [self.name(variant) for variant in self.variants]
        return pd.DataFrame(
            {
                "evaluations": np.tile(points, len(names)).astype(np.int64),
                "name": np.repeat(names, len(points)),
                "rank": rank.ravel(),
            }
        )

    def save(self, folder: Path) -> list[Path]:
        """Writes ``transfer`` and ``ranks`` as CSV, ``agreement`` as CSV, and a figure as PNG and SVG.

        Raises:
            DataFolderError: The folder cannot be written.
        """
        from nasbench_lab.csv_files import write_csv
        from nasbench_lab.figures.saving import save_figure
        from nasbench_lab.figures.transfer import transfer_figure
        from nasbench_lab.files import atomic_file

        per_task, ranks = self.per_task(), self.ranks()
        figure = transfer_figure(per_task, ranks, self.agreement, family=self.family)
        files = save_figure(figure, folder / "transfer", data=per_task)
        for name, frame in (("ranks", ranks), ("agreement", self.agreement.reset_index())):
            files.append(folder / f"{name}.csv")
            with atomic_file(files[-1]) as path:
                write_csv(frame, path)
        return files


def _mean_ranks(samples: Sequence[Floats], maximize: bool) -> Floats:
    """``(variants, …)`` mean ranks over runs, where variants share seeds."""
    ranks: Floats = stats.average_ranks(np.array(samples), maximize)
    return ranks


def _effect(change: tuple[float, float, float], worse: float) -> dict[str, object]:
    """How a mean changed, its interval, and whether that is better or worse."""
    difference, low, high = change
    effect = "untold"
    if low > 0 or high < 0:
        effect = "hurts" if difference * worse > 0 else "helps"
    return {"change": difference, "change_low": low, "change_high": high, "effect": effect}


def tasks_of_family(family: str) -> list[str]:
    """The benchmarks of a family: the tasks of a table, or the tables whose names begin so.

    Args:
        family: Such as ``nas-bench-201-final`` or ``nas-bench-graph``.

    Raises:
        UnknownNameError: There is no such family.
        ExperimentError: It has a single task.
        NasbenchLabError: As ``registry.open_table``.
    """
    names, family = table_names(), family.rstrip("/")
    tasks = [name for name in names if name.startswith(f"{family}/")]
    if not tasks and family in names:
        tasks = [f"{family}/{task}" for task in open_table(family).info.tasks] or [family]
    if not tasks:
        groups = [name.rpartition("/")[0] for name in names]
        known = {group for group in groups if groups.count(group) > 1 and group}
        raise UnknownNameError(
            "family of tasks", family, known | {n for n in names if "/" not in n}
        )
    if len(tasks) < 2:
        raise ExperimentError(
            f"Expected a family of at least two tasks but {family!r} has one: {tasks[0]}."
        )
    return tasks


def study_transfer(
    family: str | Sequence[str],
    algorithms: Sequence[Algorithm],
    *,
    budget: int | str = 100,
    seeds: int | Sequence[int] = 20,
    use: str = "prior",
    metric: str = "valid_regret",
    folder: Path,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> TransferStudy:
    """Searches each task of a family, alone and with what the others show.

    Algorithms that can search alone do so; those that learn from other tasks search with these too, or
    all, if the others' best are the first candidates. A study that was stopped goes on in its folder.

    Args:
        family: A family's name, or the names of its tasks.
        algorithms: As for ``compare``.
        budget: Of each run.
        seeds: The seeds, or how many.
        use: ``prior`` or ``candidates``, see ``nasbench_lab.experiment.warm_start.USES``.
        metric: What they are judged by.
        folder: Where the results are kept, in ``alone`` and ``taught``.
        n_jobs: How many processes; -1 for one per core.
        progress: Called with (runs finished, runs in all, what was finished).

    Raises:
        UnsuitedError: An algorithm suits none of it, or none learns from other tasks.
        NasbenchLabError: As for ``compare``.
    """
    tasks = tasks_of_family(family) if isinstance(family, str) else list(family)
    if use not in ("prior", "candidates"):
        raise UnknownNameError("use of other tasks", use, ("prior", "candidates"))
    labelled = labels_of(algorithms)
    with trial_of_algorithms(None):
        alone = {label: one for label, one in labelled.items() if _can_search(label, one, tasks[0])}
        taught = {
            label: one
            for label, one in labelled.items()
            if use == "candidates" or _learns(label, one)
        }
    lost = [label for label in labelled if label not in alone and label not in taught]
    if lost or not taught:
        raise UnsuitedError(
            f"{lost[0]} can search none of {', '.join(tasks)}."
            if lost
            else "None of these algorithms learns from other tasks. Choose one that does, such as rgpe "
            "or gp_bo, or have others' best evaluated first: --use candidates."
        )
    start = taken_history(tasks, use)
    experiments = {
        "alone": Experiment.of(alone or [BASELINE], tasks, budget=budget, seeds=seeds),
        "taught": Experiment.of(taught, tasks, budget=budget, seeds=seeds, warm_start=start),
    }
    total = sum(experiment.n_runs for experiment in experiments.values())
    results, done = {}, 0
    for name, experiment in experiments.items():

        def told(finished: int, _: int, what: str, before: int = done) -> None:
            if progress is not None:
                progress(before + finished, total, what)

        place = folder / name
        results[name] = run_experiment(experiment, n_jobs=n_jobs, folder=place, progress=told)
        done += experiment.n_runs
    shown = family if isinstance(family, str) else ", ".join(tasks)
    agreement = agreement_of(tasks)
    return TransferStudy(shown, results["alone"], results["taught"], agreement, metric)


def _can_search(label: str, algorithm: Algorithm, task: str) -> bool:
    """Whether an algorithm searches without other tasks."""
    try:
        AlgorithmSetting.of(label, algorithm).check(load_benchmark(task))
    except UnsuitedError:
        return False
    return True


def _learns(label: str, algorithm: Algorithm) -> bool:
    """Whether an algorithm learns from other tasks."""
    return takes_history(class_of(AlgorithmSetting.of(label, algorithm).taken[0]))


def agreement_of(tasks: Sequence[str]) -> pd.DataFrame:
    """Spearman's rank correlation of each pair of tasks, by what searches see of them."""
    import pandas as pd

    every = [Evaluations.of_table(load_benchmark(task)) for task in tasks]
    result = np.eye(len(tasks))
    for i, one in enumerate(every):
        for j, other in enumerate(every[:i]):
            shared = _shared_scores(one, other)
            result[i, j] = result[j, i] = np.nan if shared is None else rank_correlation(*shared)[0]
    return pd.DataFrame(result, index=pd.Index(tasks, name="task"), columns=list(tasks))


def _shared_scores(one: Evaluations, other: Evaluations) -> tuple[Floats, Floats] | None:
    """``(n,)`` each: the scores of the architectures that two tables have; None if they have none.

    Tables over different spaces have the classes of architectures in common that both spaces have.
    """
    space = one.space
    if space == other.space:
        here, there = ((table.architectures, _scores(table)) for table in (one, other))
    else:
        known = one.scored(space), other.scored(space)
        if known[0] is None or known[1] is None:
            return None
        here, there = ((task.architectures, task.scores) for task in known if task is not None)
    places = space.index(here[0]), space.index(there[0])
    _, rows, others = np.intersect1d(places[0], places[1], return_indices=True)
    return here[1][rows], there[1][others]


def _scores(table: Evaluations) -> Floats:
    """``(n,)``: the first objective, of which more is better."""
    return table.values[:, 0] * (1.0 if table.objectives[0].maximize else -1.0)

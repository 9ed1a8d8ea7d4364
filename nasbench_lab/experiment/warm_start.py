"""What a search may begin with: results of the same data, or of other tasks of its space.

It never holds a test metric: it is made of what searches saw, and of the columns of tables that they
may see.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.algorithm import (
    Evaluation,
    History,
    OtherTask,
    SearchAlgorithm,
    takes_history,
)
from nasbench_lab.benchmark import Benchmark, MultiTask, Objective, TableBenchmark
from nasbench_lab.errors import ExperimentError, TableFileError, UnknownNameError, UnsuitedError
from nasbench_lab.registry import Taken, class_of, load_benchmark
from nasbench_lab.spaces import Architecture, Architectures, PoolSpace, SearchSpace
from nasbench_lab.trace import Trace

USES = {
    "prior": "other tasks' results, for the algorithms that learn from them (the parameter history)",
    "candidates": "other tasks' best architectures are evaluated first, by turns",
    "results": "results of the same data count, and cost nothing",
}
"""What a history is used for, in words."""

N_CANDIDATES = 10
"""How many of other tasks' best are evaluated first."""

STARTS = {
    "prior": "Algorithms that learn from other tasks were given what is known of these, not of the "
    "task itself",
    "candidates": f"Each run began with up to {N_CANDIDATES} of the best architectures of other tasks",
    "results": "Each run began with earlier results on the same benchmark, at no cost",
}
"""What was done in a run with such a use, in words."""


class Start(NamedTuple):
    """What one run begins with.

    Args:
        history: Other tasks' results, for the algorithm.
        known: Results of the same data.
        candidates: What is evaluated first.
    """

    history: History | None = None
    known: tuple[tuple[Architecture, Evaluation], ...] = ()
    candidates: tuple[Architecture, ...] = ()


NOTHING = Start()


@dataclass(frozen=True, eq=False)
class Evaluations:
    """What was evaluated of one task, each architecture once for each epoch.

    Args:
        task: The benchmark's name.
        space: The space of the architectures; not a pool.
        objectives: What the columns of ``values`` are.
        architectures: ``(n, d)`` option numbers.
        epochs: ``(n,)`` epochs trained, -1 where the benchmark does not know.
        values: ``(n, m)`` objective values, all finite.
        violations: ``(n,)`` by how much constraints were violated.
        whole: Whether this is all that a table holds.
    """

    task: str
    space: SearchSpace
    objectives: tuple[Objective, ...]
    architectures: Architectures
    epochs: NDArray[np.int64]
    values: NDArray[np.float64]
    violations: NDArray[np.float64]
    whole: bool = False

    @classmethod
    def of_traces(cls, traces: Iterable[Trace]) -> list[Evaluations]:
        """Takes what runs evaluated: of each benchmark, the first evaluation of each architecture."""
        groups: dict[tuple[Any, ...], list[Trace]] = {}
        for trace in traces:
            task = str(trace.settings.get("benchmark", ""))
            groups.setdefault((task, _whole(trace.space), trace.objectives), []).append(trace)
        return [cls._of_group(some) for some in groups.values()]

    @classmethod
    def _of_group(cls, traces: Sequence[Trace]) -> Evaluations:
        """Takes what runs on one benchmark evaluated."""
        columns = [
            np.concatenate([getattr(trace, name) for trace in traces])
            for name in ("architecture", "epoch", "values", "violation")
        ]
        sound = np.isfinite(columns[2]).all(axis=1) & (columns[0] >= 0).all(axis=1)
        architectures, epochs, values, violations = (column[sound] for column in columns)
        keys = np.column_stack([architectures, epochs])
        first = np.sort(np.unique(keys, axis=0, return_index=True)[1])
        return cls(
            str(traces[0].settings.get("benchmark", "")),
            _whole(traces[0].space),
            traces[0].objectives,
            architectures[first],
            epochs[first],
            values[first],
            violations[first],
        )

    @classmethod
    def of_table(cls, benchmark: TableBenchmark) -> Evaluations:
        """Takes all of a table, as a search sees it; means over trials replace random ones."""
        architectures = benchmark.table.architectures
        architectures = architectures[(architectures >= 0).all(axis=1)]
        values, _ = benchmark.evaluate_many(architectures)
        feasible = benchmark.feasible[benchmark.table.row(architectures)]
        sound = np.isfinite(values).all(axis=1) & feasible
        n = int(sound.sum())
        return cls(
            benchmark.name,
            _whole(benchmark.space),
            benchmark.objectives,
            architectures[sound],
            np.full(n, -1 if benchmark.epochs is None else benchmark.epochs),
            values[sound],
            np.zeros(n),
            whole=True,
        )

    @property
    def checksum(self) -> str:
        """The SHA-256 of all of it."""
        about = [self.task, self.space.name, *map(repr, self.objectives), self.values.shape]
        digest = hashlib.sha256(repr(about).encode())
        for column in (self.architectures, self.epochs, self.values, self.violations):
            digest.update(np.ascontiguousarray(column).data)
        return digest.hexdigest()

    def is_of(self, benchmark: Benchmark) -> bool:
        """Whether these are evaluations on the benchmark, though it may be called differently."""
        if self.task == benchmark.name:
            return True
        # Without a task, a table's name means the first of its tasks.
        return (
            isinstance(benchmark, TableBenchmark)
            and benchmark.table.name in (self.task, self.task.rpartition("/")[0])
            and self.objectives[0].name == benchmark.objectives[0].name
        )

    def belongs_to(self, benchmark: Benchmark) -> bool:
        """Whether these are evaluations on the benchmark, or on one of the tasks that it is made of."""
        parts = benchmark.tasks if isinstance(benchmark, MultiTask) else ()
        return self.is_of(benchmark) or any(self.is_of(part) for part in parts)

    def scored(self, space: SearchSpace) -> OtherTask | None:
        """The scores of full trainings that kept to the constraints, in another space.

        Architectures with options that the other space lacks are left out.

        Raises:
            ExperimentError: The decisions of the spaces differ.
        """
        full = (self.epochs == self.epochs.max(initial=-1)) & (self.violations == 0)
        architectures, kept = _translated(self.architectures[full], self.space, space, self.task)
        scores = self.values[full, 0][kept] * (1.0 if self.objectives[0].maximize else -1.0)
        if not len(scores):
            return None
        architectures, first = np.unique(architectures, axis=0, return_index=True)
        return OtherTask(self.task, architectures, scores[first])


def _whole(space: SearchSpace) -> SearchSpace:
    return space.base if isinstance(space, PoolSpace) else space


def _translated(
    architectures: Architectures, source: SearchSpace, target: SearchSpace, task: str
) -> tuple[Architectures, NDArray[np.int64]]:
    """Architectures of one space as canonical ones of another, and which of them it has."""
    whole = _whole(target)
    kept = np.arange(len(architectures))
    if source != whole:
        names = [[decision.name for decision in space.decisions] for space in (source, whole)]
        if names[0] != names[1]:
            raise ExperimentError(
                f"What is known of {task!r} is of the space {source.name!r}, which has other decisions "
                f"than {whole.name!r}. Give results or tables of tasks of that space."
            )
        columns = []
        for here, there in zip(source.decisions, whole.decisions, strict=True):
            numbers = {text: number for number, text in enumerate(there.texts)}
            columns.append(np.array([numbers.get(text, -1) for text in here.texts]))
        architectures = np.column_stack(
            [options[of] for options, of in zip(columns, architectures.T, strict=True)]
        )
        kept = np.flatnonzero((architectures >= 0).all(axis=1))
        architectures = architectures[kept]
    if not isinstance(target, PoolSpace):
        return target.canonical(architectures), kept
    members = target.at(np.arange(target.size))
    keys = whole.index(whole.canonical(members))
    order = np.argsort(keys, kind="stable")
    wanted = whole.index(whole.canonical(architectures))
    places = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    there = keys[order][places] == wanted
    return target.canonical(members[order[places[there]]]), kept[there]


@dataclass(frozen=True)
class Source:
    """Where a history comes from: a table, a result, or traces.

    Args:
        name: The table, the name of the result's folder, or what the traces are.
        sha256: The checksum of what was taken.
        file: The result's folder; None for a table, and for what was given as an object.
    """

    name: str
    sha256: str
    file: str | None = None

    @classmethod
    def of_table(cls, table: str | TableBenchmark) -> Source:
        """A table, by its name or opened."""
        benchmark = load_benchmark(table) if isinstance(table, str) else table
        evaluations = Evaluations.of_table(benchmark)
        source = cls(benchmark.name, evaluations.checksum)
        if isinstance(table, str):
            _OPENED[source.sha256] = evaluations  # others may open it by its name
        else:
            vars(source)["taken"] = (evaluations,)
        return source

    @classmethod
    def of_traces(cls, name: str, traces: Iterable[Trace], file: str | None = None) -> Source:
        """Traces, those of a result or others."""
        taken = tuple(Evaluations.of_traces(traces))
        checksums = sorted(one.checksum for one in taken)
        source = cls(name, hashlib.sha256("".join(checksums).encode()).hexdigest(), file)
        vars(source)["taken"] = taken
        return source

    @property
    def evaluations(self) -> tuple[Evaluations, ...]:
        """What was evaluated, of each task.

        Raises:
            ExperimentError: It is not at hand.
            TableFileError: The table of that name is another one now.
        """
        if "taken" in vars(self):
            taken: tuple[Evaluations, ...] = vars(self)["taken"]
            return taken
        if self.sha256 not in _OPENED:
            try:
                if self.file is not None:
                    raise UnknownNameError("table", self.name, ())
                evaluations = Evaluations.of_table(load_benchmark(self.name))
            except UnknownNameError:
                raise ExperimentError(
                    f"What a search is to begin with, {self.file or self.name}, is not at hand. Give "
                    f"it to the comparison again, to go on."
                ) from None
            if evaluations.checksum != self.sha256:
                raise TableFileError(
                    f"The table {self.name!r} that a search is to begin with is not the one that the "
                    f"comparison was made with. Install that version again, or repeat the comparison."
                )
            _OPENED[self.sha256] = evaluations
        return (_OPENED[self.sha256],)

    def to_json(self) -> dict[str, Any]:
        """The source as a manifest has it."""
        entry = {"name": self.name, "sha256": self.sha256}
        return entry if self.file is None else {**entry, "file": self.file}


_OPENED: dict[str, Evaluations] = {}
"""What tables hold, by checksum, as long as this process runs."""


@dataclass(frozen=True)
class WarmStart:
    """What all runs of an experiment begin with.

    A run on one task never begins with what is known of another as its results, and never with what is
    known of its own as those of another: each takes the part of the history that is meant.

    Args:
        use: What for, one of ``USES``.
        history: Where it comes from.

    Raises:
        UnknownNameError: There is no such use.
        ExperimentError: The history is empty.
    """

    use: str
    history: tuple[Source, ...]

    def __post_init__(self) -> None:
        if self.use not in USES:
            raise UnknownNameError("use of a history", str(self.use), USES)
        if not self.history:
            raise ExperimentError(
                "Expected a history of at least one table, result or trace but got none. Leave it out "
                "to begin with nothing."
            )

    def to_json(self) -> dict[str, Any]:
        """The warm start as a manifest has it."""
        return {"use": self.use, "history": [source.to_json() for source in self.history]}

    def check(self, algorithms: Iterable[Taken | type[SearchAlgorithm]]) -> None:
        """Refuses a prior that none of the algorithms of an experiment can use.

        Args:
            algorithms: The algorithms, as they were taken; their code has been loaded.

        Raises:
            UnsuitedError: None of them learns from other tasks.
        """
        if self.use == "prior" and not any(takes_history(class_of(one)) for one in algorithms):
            raise UnsuitedError(
                "None of these algorithms learns from other tasks, so a prior is of no use to them. "
                "Choose one that does, such as rgpe, or use the history for 'candidates': then other "
                "tasks' best are evaluated first."
            )

    def on(self, benchmark: Benchmark) -> Start:
        """What a run on a benchmark begins with.

        Raises:
            ExperimentError: There is nothing of what is meant, or it is of another space or objective.
            TableFileError: It is of another table of the name.
        """
        key = repr(
            [
                *(self.use, [source.sha256 for source in self.history]),
                *(benchmark.name, benchmark.fingerprint, benchmark.objectives),
                *(list(map(str, benchmark.constraints)), benchmark.noisy, hash(benchmark.space)),
            ]
        )
        if key not in _STARTS:
            while len(_STARTS) >= _MOST_STARTS:
                del _STARTS[next(iter(_STARTS))]
            _STARTS[key] = self._on(benchmark)
        return _STARTS[key]

    def _on(self, benchmark: Benchmark) -> Start:
        every = [one for source in self.history for one in source.evaluations]
        own = [one for one in every if one.is_of(benchmark)]
        if self.use == "results":
            known = _known(own, benchmark)
            if not known:
                raise _nothing(f"{benchmark.name!r} itself", every, "'prior' or 'candidates'")
            return Start(known=known)
        tasks: dict[str, OtherTask] = {}
        for one in every:
            if not one.belongs_to(benchmark) and (found := one.scored(benchmark.space)) is not None:
                before = tasks.get(one.task)
                tasks[one.task] = found if before is None else _joined(before, found)
        if not tasks:
            raise _nothing(f"other tasks in the space of {benchmark.name!r}", every, "'results'")
        if self.use == "candidates":
            return Start(candidates=_by_turns(list(tasks.values())))
        return Start(history=History(list(tasks.values())))


_STARTS: dict[str, Start] = {}
"""What runs begin with, which is the same for all of an algorithm and all algorithms."""

_MOST_STARTS = 32


def _nothing(wanted: str, every: Sequence[Evaluations], other: str) -> ExperimentError:
    names = ", ".join(dict.fromkeys(repr(one.task) for one in every if len(one.values)))
    return ExperimentError(
        f"The history holds no evaluation of {wanted} (it is of {names or 'nothing at all'}). Give "
        f"another history, or choose what else to use it for: {other}."
    )


def _joined(one: OtherTask, other: OtherTask) -> OtherTask:
    """What two sources say of one task; the first evaluation of each architecture counts."""
    architectures = np.concatenate([one.architectures, other.architectures])
    architectures, first = np.unique(architectures, axis=0, return_index=True)
    scores = np.concatenate([one.scores, other.scores])
    return OtherTask(one.name, architectures, scores[first])


def _by_turns(tasks: Sequence[OtherTask]) -> tuple[Architecture, ...]:
    """The best of each task, then the second best, and so on, each architecture once."""
    # Of each task enough are chosen if the others have the same.
    most = N_CANDIDATES
    ranked = [
        task.architectures[np.argsort(-task.scores, kind="stable")[:most]].tolist()
        for task in tasks
    ]
    places = itertools.product(range(most), range(len(ranked)))
    by_turns = [tuple(ranked[t][place]) for place, t in places if place < len(ranked[t])]
    return tuple(dict.fromkeys(by_turns))[:most]


def _known(
    own: Sequence[Evaluations], benchmark: Benchmark
) -> tuple[tuple[Architecture, Evaluation], ...]:
    """Evaluations on a benchmark as it gives them, at no cost.

    Raises:
        ExperimentError: They are of other objectives or constraints.
        TableFileError: They are of another table of the name.
    """
    known: dict[tuple[Architecture, int], Evaluation] = {}
    for one in own:
        if one.whole:
            raise ExperimentError(
                f"{one.task!r} is the table that is searched: its entries as results would leave "
                f"nothing to search for. Give results of earlier searches on it."
            )
        if one.objectives != benchmark.objectives or one.space != _whole(benchmark.space):
            raise ExperimentError(
                f"The history of {one.task!r} is of {_names(one.objectives)} in {one.space.name!r}, "
                f"but this search sees {_names(benchmark.objectives)} in {benchmark.space.name!r}, so "
                f"its results cannot count. Search on the same objectives."
            )
        members, kept = _translated(one.architectures, one.space, benchmark.space, one.task)
        if not isinstance(benchmark.space, PoolSpace):
            members = one.architectures  # as they were asked
        for i, architecture in zip(kept.tolist(), map(tuple, members.tolist()), strict=True):
            epoch, values = int(one.epochs[i]), tuple(one.values[i].tolist())
            found = Evaluation(
                values, 0.0, None if epoch < 0 else epoch, -1, float(one.violations[i])
            )
            row, _ = benchmark.entry(architecture)
            if row >= 0:
                rng = np.random.default_rng(0)  # where it is noisy, the values are those known
                now = benchmark.evaluate(architecture, found.epoch, rng)
                if now.values != values and not benchmark.noisy:
                    raise TableFileError(
                        f"The history of {one.task!r} says {values} of "
                        f"{benchmark.space.to_string(architecture)}, where the table says "
                        f"{now.values}: it is of another version of the table, or of another epoch."
                    )
                found = now._replace(values=values, cost=0.0)
            known.setdefault((architecture, epoch), found)
    return tuple((architecture, found) for (architecture, _), found in known.items())


def _names(objectives: Sequence[Objective]) -> str:
    return " and ".join(
        f"{one.name} ({'more' if one.maximize else 'less'} is better)" for one in objectives
    )

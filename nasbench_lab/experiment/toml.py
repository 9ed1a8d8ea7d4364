"""Experiments as TOML files, to be kept, sent and repeated."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.budget import Budget, Phase
from nasbench_lab.errors import ExperimentError, NasbenchLabError, UnknownNameError, quoted, text_of
from nasbench_lab.experiment import DEFAULT_SEEDS
from nasbench_lab.experiment.building import trial_of_algorithms
from nasbench_lab.experiment.experiment import Experiment, seeds_of
from nasbench_lab.experiment.settings import (
    AlgorithmSetting,
    BenchmarkSetting,
    labels_of,
    taken_benchmark,
)
from nasbench_lab.experiment.warm_start import USES, Source, WarmStart
from nasbench_lab.files import nearest_file, read_text
from nasbench_lab.guard import contained
from nasbench_lab.registry import load_benchmark
from nasbench_lab.tables.columns import Constraint, Query
from nasbench_lab.user_code import is_in_file
from nasbench_lab.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator

Place = tuple[str | int, ...]
"""Keys and positions that lead to a value of the file."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


def _or_table(key: str, kind: type) -> BeforeValidator:
    """Takes a bare value for a table that has this key only."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, kind) else value)


class _Algorithm(_Entry):
    algorithm: str
    name: str | None = None


def _trial(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"Expected 'mean', 'random' or a trial's seed but got {value!r}.")
    return value


class _Query(_Entry):
    metric: str
    split: str | None = None
    dataset: str | None = None
    schedule: str | None = None
    epoch: int | None = None
    trial: Annotated[int | str, PlainValidator(_trial)] = "mean"
    trained_on: str | None = None

    def query(self) -> Query:
        return Query(**self.model_dump())


_QueryOrName = Annotated[_Query, _or_table("metric", str)]


class _Constraint(_Entry):
    query: _QueryOrName
    limit: float = Field(allow_inf_nan=False)
    at_most: bool = True


def _read_constraint(value: Any) -> Any:
    """Takes a constraint as text apart."""
    if not isinstance(value, str):
        return value
    constraint = Constraint.of(value)
    metric = constraint.query.metric
    return {"query": metric, "limit": constraint.limit, "at_most": constraint.at_most}


class _Benchmark(_Entry):
    table: str
    clock: str | None = None
    objectives: list[_QueryOrName] = Field(default=[])
    report: _QueryOrName | None = None
    constraints: list[Annotated[_Constraint, BeforeValidator(_read_constraint)]] = Field(default=[])
    missing: str | None = None


class _Workers(_Entry):
    count: int = Workers.count
    synchronous: bool = Workers.synchronous
    fail: float = Workers.fail
    straggle: float = Workers.straggle
    slowdown: float = Workers.slowdown


def _budget(value: Any) -> Budget:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(
            f"Expected a budget such as 200, '12000s' or '500epochs' but got {value!r}."
        )
    return Budget.of(value if isinstance(value, str) else str(value))


class _Phase(_Entry):
    until: float = 1.0
    epoch: int | None = None
    weights: list[float] | None = None


class _WarmStart(_Entry):
    history: list[str] = Field(min_length=1)
    use: str = next(iter(USES))


class _Experiment(_Entry):
    algorithms: list[Annotated[_Algorithm, _or_table("algorithm", str)]] = Field(min_length=1)
    benchmarks: list[Annotated[_Benchmark, _or_table("table", str)]] = Field(min_length=1)
    budget: Annotated[Budget, PlainValidator(_budget)]
    seeds: Annotated[list[int], PlainValidator(seeds_of)] = Field(
        default=DEFAULT_SEEDS, validate_default=True
    )
    charge_repeats: bool = True
    workers: Annotated[_Workers, _or_table("count", int)] = _Workers()
    phases: list[_Phase] = Field(default=[])
    warm_start: _WarmStart | None = None


_ENTRIES: dict[str, type[_Entry]] = {
    "": _Experiment,
    "algorithms": _Algorithm,
    "benchmarks": _Benchmark,
    "objectives": _Query,
    "report": _Query,
    "constraints": _Constraint,
    "query": _Query,
    "workers": _Workers,
    "phases": _Phase,
    "warm_start": _WarmStart,
}
"""What the tables of the file are, by the key that holds them."""

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "too_short": "at least one entry",
}
"""What values are to be, by what pydantic calls it when they are not."""


def read_experiment(
    file: Path | str,
    time_limit: float | None = None,
    source: Callable[[str], Source] = Source.of_table,
) -> Experiment:
    """Reads an experiment file.

    Args:
        file: The TOML file. Paths of algorithms and results in it are relative to its folder.
        time_limit: Seconds that the building of the algorithms may take.
        source: Takes what a warm start names, a table or a result's folder. By default it may name
            tables only.

    Raises:
        ExperimentError: It cannot be read; the message names line and key of what is wrong.

    Example:
        The shortest such file::

            budget = 200
            algorithms = ["random_search", "gp_bo(kernel=matern)"]
            benchmarks = ["nas-bench-graph/cora"]
    """
    file = Path(file)
    try:
        text = read_text(file, 1 << 20)
        data = tomllib.loads(text)
    except OSError as error:
        raise ExperimentError(
            f"Cannot read {file}: {error.strerror}.{nearest_file(file)}"
        ) from error
    except (ValueError, RecursionError) as error:  # no TOML, or no UTF-8
        raise ExperimentError(f"{file} is no TOML file: {text_of(error)}.") from error
    try:
        entries = _Experiment.model_validate(data)
    except ValidationError as error:
        raise ExperimentError(
            "\n".join(
                _located(file, text, tuple(one["loc"]), _said(one))
                for one in error.errors(include_url=False)[:20]
            )
        ) from error

    @contextmanager
    def at(*place: str | int) -> Iterator[None]:
        try:
            yield
        except NasbenchLabError as error:
            raise ExperimentError(_located(file, text, place, str(error))) from error

    for key, value in entries.workers:
        with at("workers", key):
            Workers(**{key: value})
    with at("phases"):
        phases = tuple(Phase(**phase.model_dump()) for phase in entries.phases)
        budget = replace(entries.budget, phases=phases)
    benchmarks: list[BenchmarkSetting] = []
    for i, entry in enumerate(entries.benchmarks):
        if is_in_file(entry.table):
            with at("benchmarks", i):
                benchmark = _of_file(file, entry)
        else:
            benchmark = BenchmarkSetting.of(_open(entry, i, at))
        with at("benchmarks", i, "table"):
            if benchmark.name in (other.name for other in benchmarks):
                raise ExperimentError(f"There are two benchmarks {benchmark.name!r}.")
        with at("phases" if entries.phases else "budget"):
            budget.check(benchmark.benchmark)
        benchmarks.append(benchmark)
    warm_start: WarmStart | None = None
    if entries.warm_start is not None:
        sources = []
        for i, name in enumerate(entries.warm_start.history):
            with at("warm_start", "history", i):
                beside = file.parent / Path(name).expanduser()
                sources.append(source(str(beside.resolve()) if beside.is_dir() else name))
        with at("warm_start", "use"):
            warm_start = WarmStart(entries.warm_start.use, tuple(sources))
        for benchmark in benchmarks:
            with at("warm_start"):
                warm_start.on(benchmark.benchmark)
    algorithms: list[AlgorithmSetting] = []
    with trial_of_algorithms(time_limit):
        for i, algorithm in enumerate(entries.algorithms):
            with at("algorithms", i):
                spec = _beside(file, algorithm.algorithm)
                label = algorithm.name
                if label is None:
                    (label,) = labels_of([spec])
                if not label.strip():
                    raise ExperimentError("Expected a name of at least one letter but got none.")
                if label in (other.name for other in algorithms):
                    raise ExperimentError(
                        f"There are two algorithms {label!r}. Give one another name."
                    )
                setting = AlgorithmSetting.of(label, spec)
                for benchmark in benchmarks:
                    setting.check(benchmark.benchmark, warm_start)
                algorithms.append(setting)
    experiment = Experiment.made(
        algorithms,
        benchmarks,
        budget,
        entries.seeds,
        Workers(**entries.workers.model_dump()),
        entries.charge_repeats,
        warm_start,
    )
    with at("warm_start"):
        experiment.check_warm_start()
    return experiment


def _of_file(file: Path, entry: _Benchmark) -> BenchmarkSetting:
    """A benchmark that a Python file defines."""
    for key in entry.model_fields_set - {"table"}:
        raise ExperimentError(
            f"Expected no {key} of {entry.table!r}, which says itself what searches see and what that "
            f"costs."
        )
    with contained():
        return BenchmarkSetting.of(taken_benchmark(_beside(file, entry.table)))


def _open(
    entry: _Benchmark, number: int, at: Callable[..., AbstractContextManager[None]]
) -> TableBenchmark:
    """Opens a benchmark; an error is said of the first setting that brings it about."""
    options: dict[str, Any] = {}
    steps: list[tuple[Place, dict[str, Any]]] = [(("table",), options)]
    if entry.clock is not None:
        options = {**options, "clock": entry.clock}
        steps.append((("clock",), options))
    objectives = [objective.query() for objective in entry.objectives]
    for i in range(len(objectives)):
        options = {**options, "objective": objectives[: i + 1]}
        steps.append((("objectives", i), options))
    if entry.report is not None:
        options = {**options, "report": entry.report.query()}
        steps.append((("report",), options))
    constraints = [Constraint(c.query.query(), c.limit, c.at_most) for c in entry.constraints]
    for i in range(len(constraints)):
        options = {**options, "constraints": constraints[: i + 1]}
        steps.append((("constraints", i), options))
    if entry.missing is not None:
        options = {**options, "missing": entry.missing}
        steps.append((("missing",), options))
    try:
        return load_benchmark(entry.table, **options)
    except NasbenchLabError as error:
        problem = error
    for place, settings in steps:
        try:
            load_benchmark(entry.table, **settings)
        except NasbenchLabError as error:
            if str(error) == str(problem):
                with at("benchmarks", number, *place):
                    raise
    raise problem


def _beside(file: Path, spec: str) -> str:
    """An algorithm's path made relative to the experiment file, not to where Python runs."""
    path, colon, name = spec.rpartition(".py:")
    beside = file.parent / Path(f"{path}.py").expanduser()
    return f"{beside.resolve()}:{name}" if colon else spec


_SHORT = 1 << 14
"""Characters of a file in which the line of an error is looked for."""


def _located(file: Path, text: str, place: Place, problem: str) -> str:
    """A problem with the line and key that it is about."""
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    # Finding the line takes the square of the file's length.
    line = f", line {_line(text, place)}" if len(text) <= _SHORT else ""
    return f"{file}{line}, {key.removeprefix('.')}: {problem}"


def _line(text: str, place: Place) -> int:
    """The line where a value begins, or if there is none, where what should hold it begins.

    The lines up to some line are a TOML file too, if arrays and tables that go on after it are closed.
    So a value begins after the last such line at which it is not there yet.
    """
    lines = text.split("\n")
    while place:
        begin = 1
        for n in range(1, len(lines) + 1):
            value: Any = _head("\n".join(lines[:n]))
            if value is None:
                continue
            try:
                for part in place:
                    value = value[part]
            except (KeyError, IndexError, TypeError):
                begin = n + 1
            else:
                return begin
        place = place[:-1]
    return 1


def _head(text: str) -> dict[str, Any] | None:
    """Reads the first lines of a TOML file, unless they end within a value."""
    for closing in ("", "]", "]}", "]}]"):
        try:
            return tomllib.loads(f"{text}\n{closing}")
        except tomllib.TOMLDecodeError:
            continue
    return None


def _said(error: Mapping[str, Any]) -> str:
    """What pydantic says of a value, in words for people."""
    kind, place = error["type"], error["loc"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return str(UnknownNameError("key", str(place[-1]), _entry(place[:-1]).model_fields))
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "model_type":
        bare = "a whole number" if _entry(place) is _Workers else "text"
        expected = f"{bare}, or a table of {', '.join(_entry(place).model_fields)},"
    else:
        expected = _EXPECTED[kind]
    return f"Expected {expected} but got {quoted(error['input'])}."


def _entry(place: Place) -> type[_Entry]:
    """What kind of table is at a place."""
    return _ENTRIES[next((part for part in reversed(place) if isinstance(part, str)), "")]


def to_toml(experiment: Experiment) -> str:
    """Writes an experiment as the file that ``read_experiment`` reads."""
    import tomli_w

    seeds = list(experiment.seeds)
    algorithms: list[Any] = []
    for algorithm in experiment.algorithms:
        (usual,) = labels_of([algorithm.spec])
        algorithms.append(
            algorithm.spec
            if algorithm.name == usual
            else {"name": algorithm.name, "algorithm": algorithm.spec}
        )
    content: dict[str, Any] = {
        "budget": _budget_text(experiment.budget),
        "seeds": len(seeds) if seeds == list(range(len(seeds))) else seeds,
        "charge_repeats": experiment.charge_repeats,
        "algorithms": algorithms,
        "workers": experiment.workers.describe(),
        **({"phases": phases} if (phases := experiment.budget.describe().get("phases")) else {}),
        **_start_entry(experiment.warm_start),
        "benchmarks": [_benchmark_entry(benchmark) for benchmark in experiment.benchmarks],
    }
    return f"# nasbench-lab run experiment.toml\n{tomli_w.dumps(content)}"


def _start_entry(warm_start: WarmStart | None) -> dict[str, Any]:
    if warm_start is None:
        return {}
    # What was given as an object has no name that leads to it again.
    names = [source.file or source.name for source in warm_start.history]
    return {"warm_start": {"history": names, "use": warm_start.use}}


def _benchmark_entry(benchmark: BenchmarkSetting) -> str | dict[str, Any]:
    program = benchmark.program
    if program is not None:
        # One that was given as an object has no file that makes it again.
        return program.name if program.file is None else f"{program.file}:{program.name}"
    return {
        "table": benchmark.name,
        "clock": benchmark.clock,
        "objectives": [_query_text(query) for query in benchmark.queries],
        "report": _query_text(benchmark.report),
        "constraints": [_constraint_text(one) for one in benchmark.constraints],
        "missing": benchmark.missing,
    }


def _budget_text(budget: Budget) -> str | int:
    limits = budget.limits()
    if list(limits) == ["evaluations"]:
        return int(limits["evaluations"])
    units = {"evaluations": "", "seconds": "s", "epochs": "epochs"}
    return ", ".join(f"{limit!r}{units[name]}" for name, limit in limits.items())


def _query_text(query: Query) -> str | dict[str, Any]:
    """A query by its metric alone where it says nothing else."""
    given = {key: value for key, value in asdict(query).items() if value is not None}
    if given["trial"] == "mean":
        del given["trial"]
    if len(given) == 1:
        return query.metric
    # NumPy's numbers are made plain.
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in given.items()}


def _constraint_text(constraint: Constraint) -> str | dict[str, Any]:
    query = _query_text(constraint.query)
    if not isinstance(query, str) or re.search(r"[<>=\s]", query):
        return {"query": query, "limit": constraint.limit, "at_most": constraint.at_most}
    return str(constraint)

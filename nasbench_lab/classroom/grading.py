"""Grades what students have handed in: runs each entry apart, and goes on where it was stopped."""

from __future__ import annotations

import json
import math
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from nasbench_lab import plug_ins, stats
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.budget import Budget
from nasbench_lab.classroom.child import Problem, Start
from nasbench_lab.classroom.entries import Entry, entries_in, lines_that_draw
from nasbench_lab.classroom.grades import Grades, Line
from nasbench_lab.classroom.processes import StudentProcess, remote_class
from nasbench_lab.errors import AlgorithmError, ExperimentError, short
from nasbench_lab.experiment.differences import differences
from nasbench_lab.experiment.experiment import seeds_of
from nasbench_lab.files import atomic_file, data_folder
from nasbench_lab.guard import check_time_limit
from nasbench_lab.mistakes import told
from nasbench_lab.registry import load_benchmark, torch_home
from nasbench_lab.running.comparison import compare
from nasbench_lab.running.search import global_seed, random_streams
from nasbench_lab.simulator import simulate

METRICS = ("valid_regret", "test_regret")
"""What runs may be graded by."""


@dataclass(frozen=True)
class Rules:
    """What all searches are held to.

    Args:
        metric: What a run is graded by at its end, one of ``METRICS``.
        time_limit: Seconds of processor time that all runs of a student together may take.
        wall_limit: Seconds of real time after which a student's process is ended.
        memory: Megabytes that a student's process may take.
        class_name: The class that each file defines; None for the only one.
    """

    metric: str = "valid_regret"
    time_limit: float = 60.0
    wall_limit: float = 600.0
    memory: int = 2000
    class_name: str | None = None

    def __post_init__(self) -> None:
        check_time_limit(self.time_limit)
        check_time_limit(self.wall_limit)
        if self.metric not in METRICS:
            raise ExperimentError(
                f"Expected one of {', '.join(METRICS)} to grade by but got {self.metric!r}."
            )
        if self.memory < 1:
            raise ExperimentError(f"Expected at least 1 MB of memory but got {self.memory!r}.")


@dataclass(frozen=True)
class _Work:
    """What every entry is graded on."""

    rules: Rules
    budget: Budget
    benchmarks: dict[str, TableBenchmark]
    seeds: tuple[int, ...]
    closed: tuple[str, ...]
    kept: Path


class _Room:
    """The processes of the students that are graded now, which end when the grading is stopped."""

    def __init__(self) -> None:
        self.lock, self.closed = threading.Lock(), False
        self.processes: list[StudentProcess] = []

    @contextmanager
    def process(self, start: Start, wall_s: float) -> Iterator[StudentProcess]:
        with StudentProcess(start, wall_s) as process:
            with self.lock:
                self.processes.append(process)
                if self.closed:
                    process.kill()
            try:
                yield process
            finally:
                with self.lock:
                    self.processes.remove(process)

    def close(self) -> None:
        """Ends all processes; what they were at is not graded."""
        with self.lock:
            self.closed = True
            for process in self.processes:
                process.kill()

    def check(self) -> None:
        """Ends the grading of an entry, if the grading was stopped.

        Raises:
            ExperimentError: It was.
        """
        if self.closed:
            raise ExperimentError("The grading was stopped.")


def grade(
    folder: Path | str,
    against: Sequence[str],
    benchmarks: Sequence[str] = (),
    *,
    hidden: Sequence[str] = (),
    budget: Budget | int | str = 100,
    seeds: int | Sequence[int] = 20,
    output: Path | str,
    rules: Rules | None = None,
    n_jobs: int = -1,
    progress: Callable[[int, int, str], None] | None = None,
) -> Grades:
    """Runs the search of each student on the same tables with the same seeds, and ranks them.

    Each student's file runs in a process of its own, which has neither the tables nor their names, nor
    the seeds. What goes wrong there counts as runs that found nothing, and stops nobody else. Entries
    that are graded are kept in ``output``, and not graded again unless their files change.

    Args:
        folder: What is handed in: a ``.py`` file of each student, or a folder of each.
        against: Algorithms that the students' are tested against: names, ``name(key=value)``.
        benchmarks: Names of tables that students are told.
        hidden: Names of tables that they are not told.
        budget: Of each run, as for ``Budget.of``.
        seeds: How many runs of each entry on each table, with seeds that are drawn when the grading
            begins; or the seeds.
        output: Where to; its folder ``private`` holds what students must not see.
        rules: What searches are held to.
        n_jobs: How many students' processes at once; -1 for one per core.
        progress: Called with (entries graded, entries in all, the last student).

    Raises:
        NasbenchLabError: Of the kind that fits; see ``nasbench_lab.errors``.
    """
    import joblib

    folder, output = Path(folder), Path(output)
    entries = entries_in(folder)
    if output.resolve().is_relative_to(folder.resolve()):
        raise ExperimentError(f"Name an output outside of {folder}, where students' files are.")
    parsed = Budget.of(budget)
    work = _work(rules or Rules(), parsed, benchmarks, hidden, seeds, against, output)
    for benchmark in work.benchmarks.values():
        parsed.check(benchmark)
    lines = _baselines(work, against, n_jobs)
    work = _shut(work, folder, output)
    done, room = 0, _Room()
    with ThreadPoolExecutor(joblib.effective_n_jobs(n_jobs)) as pool:
        waiting = {pool.submit(_graded, work, entry, room): entry for entry in entries}
        try:
            for future in as_completed(waiting):
                lines.append(future.result())
                done += 1
                if progress is not None:
                    progress(done, len(entries), waiting[future].student)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            room.close()
            raise
    grades = Grades(lines, work.rules.metric, work.budget, list(work.benchmarks), list(against))
    grades.write(output)
    return grades


def _work(
    rules: Rules,
    budget: Budget,
    benchmarks: Sequence[str],
    hidden: Sequence[str],
    seeds: int | Sequence[int],
    against: Sequence[str],
    output: Path,
) -> _Work:
    """Opens the tables, and takes the seeds of a grading that was begun."""
    opened: dict[str, TableBenchmark] = {}
    for name in (*benchmarks, *hidden):
        label = name if name in benchmarks else f"hidden table {len(opened) - len(benchmarks) + 1}"
        opened[label] = load_benchmark(name)
    if not opened:
        raise ExperimentError("Expected at least one table to grade on.")
    if not against:
        raise ExperimentError("Expected at least one algorithm to grade against.")
    kept = output / "private"
    settings: dict[str, Any] = {
        "tables": {label: [one.name, one.fingerprint] for label, one in opened.items()},
        "against": list(against),
        "budget": budget.describe(),
        "seeds": seeds if isinstance(seeds, int) else list(seeds),
        "rules": dict(vars(rules)),
    }
    file = kept / "settings.json"
    if file.exists():
        before = json.loads(file.read_text("utf-8"))
        drawn = before.pop("drawn")
        if changes := differences(before, json.loads(json.dumps(settings))):
            raise ExperimentError(
                f"{output} holds another grading: {'; '.join(changes)}. Give the same settings to go "
                f"on, or name another folder."
            )
    else:
        drawn = [secrets.randbits(62) for _ in seeds_of(seeds)] if isinstance(seeds, int) else seeds
        drawn = seeds_of(drawn)
        with atomic_file(file) as path:
            path.write_text(json.dumps({**settings, "drawn": drawn}, indent=1), encoding="utf-8")
    return _Work(rules, budget, opened, tuple(drawn), (), kept)


def _shut(work: _Work, folder: Path, output: Path) -> _Work:
    """The work with what no student's process may open: tables, what is handed in, what came of it."""
    places = [folder, output, data_folder(), torch_home()]
    places += [one.table.folder for one in work.benchmarks.values()]
    packages = {entry.module.partition(".")[0] for entry in entry_points(group=plug_ins.TABLES)}
    sources = [one.table.info.source.get("file") for one in work.benchmarks.values()]
    packages |= {str(file).partition("/")[0] for file in sources if file}
    for name in packages:
        if name.isidentifier() and (spec := find_spec(name)) is not None:
            places += [Path(place) for place in spec.submodule_search_locations or ()]
    return replace(work, closed=tuple(str(place.resolve()) for place in places))


def _baselines(work: _Work, against: Sequence[str], n_jobs: int) -> list[Line]:
    """The runs of the algorithms that students are tested against."""
    tables = {one.name: label for label, one in work.benchmarks.items()}
    result = compare(
        list(against),
        list(work.benchmarks.values()),
        budget=work.budget,
        seeds=list(work.seeds),
        folder=work.kept / "against",
        n_jobs=n_jobs,
    )
    lines = {name: Line(name, False, name) for name in result.algorithms}
    for run in result.runs:
        label = tables[run.benchmark]
        value = stats.final_value(run.trace, work.benchmarks[label], work.rules.metric)
        lines[run.algorithm].put(label, work.seeds.index(run.seed), value)
    return list(lines.values())


def _graded(work: _Work, entry: Entry, room: _Room) -> Line:
    """What came of an entry; what is known of the same files is not found out again."""
    file = work.kept / "students" / f"{entry.student}.json"
    checksums = dict(sorted(entry.checksums.items()))
    if file.exists():
        before = json.loads(file.read_text("utf-8"))
        if before["files"] == checksums:
            return Line.of_json(before)
    line = Line(entry.student, True)
    if entry.code is None:
        for label in work.benchmarks:
            for i in range(len(work.seeds)):
                line.put(label, i, math.inf)
        line.wrong(entry.shown(entry.error), entry.lines(entry.error), line.n_runs)
    else:
        _run_all(work, entry, line, room)
    with atomic_file(file) as path:
        path.write_text(json.dumps({"files": checksums, **line.to_json()}), encoding="utf-8")
    return line


def _run_all(work: _Work, entry: Entry, line: Line, room: _Room) -> None:
    """All runs of an entry, in its process."""
    problems = tuple(
        Problem(one.space, tuple(o.maximize for o in one.objectives), tuple(one.fidelities))
        for one in work.benchmarks.values()
    )
    assert entry.code is not None
    rules = work.rules
    with TemporaryDirectory(prefix="nasbench-lab-", ignore_cleanup_errors=True) as desk:
        start = Start(
            os.getpid(), entry.code, rules.class_name, problems, rules.time_limit,
            rules.memory << 20, work.closed, entry.own, desk,
        )  # fmt: skip
        with room.process(start, rules.wall_limit) as process:
            about: dict[str, Any] = {}
            for number, (label, benchmark) in enumerate(work.benchmarks.items()):
                for i, seed in enumerate(work.seeds):
                    value = math.inf
                    with _told(entry, line, about):
                        if not about:
                            about.update(_about(process))
                            line.algorithm = about["name"]
                        value = _run(work, process, about, number, benchmark, seed)
                        _note(entry, line, process.call("end"))
                    room.check()  # if it was ended, that says nothing of the student
                    line.put(label, i, value)


def _about(process: StudentProcess) -> dict[str, Any]:
    """What the process says of the algorithm, if it can be.

    Raises:
        AlgorithmError: The file cannot be executed, or defines no algorithm.
    """
    said = process.call("load")
    if not isinstance(said, dict) or not isinstance(said.get("name"), str):
        raise AlgorithmError("its process does not say which algorithm it has")
    return said


@contextmanager
def _told(entry: Entry, line: Line, about: dict[str, Any]) -> Iterator[None]:
    """Notes what goes wrong in a run, with the student's line."""
    try:
        yield
    except Exception as error:  # whatever comes of what a student's process answers
        text = str(error) if isinstance(error, AlgorithmError) else told(error)
        if ".py, line " not in text:
            text += str(about.get("ask", ""))
        line.wrong(entry.shown(text), entry.lines(text))


def _run(
    work: _Work,
    process: StudentProcess,
    about: dict[str, Any],
    number: int,
    benchmark: TableBenchmark,
    seed: int,
) -> float:
    """The regret that a run ends with; the run is that of ``compare`` with this seed.

    Raises:
        NasbenchLabError: The student's code failed.
    """
    name = about["name"]
    search, noise, faults = random_streams(benchmark.name, name, seed)
    remote = remote_class(about)(
        process,
        number,
        np.random.default_rng(search),
        global_seed(benchmark.name, name, seed),
    )
    trace = simulate(
        remote,
        benchmark,
        work.budget,
        noise=np.random.default_rng(noise),
        faults=np.random.default_rng(faults),
    )
    return stats.final_value(trace, benchmark, work.rules.metric)


def _note(entry: Entry, line: Line, end: Any) -> None:
    """Notes what a run did that it should not, or need not."""
    if not isinstance(end, dict):
        return
    line.cpu_s = max(line.cpu_s, float(end.get("cpu_s") or 0.0))
    assert entry.code is not None
    for module in end.get("drew") or ():
        places = lines_that_draw(entry.code, str(module))
        at = f" ({'; '.join(places)})" if places else ""
        line.hint(
            entry.shown(
                f"It drew from {module}{at}. Use self.rng: only that belongs to the search alone."
            )
        )
    if end.get("printed"):
        printed = short(str(end["printed"]), 300)
        line.hint(entry.shown(f"It prints {printed}. Nobody sees that."))

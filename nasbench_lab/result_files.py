"""Result folders: a manifest, and the runs as Parquet files.

A folder survives whatever happens to the processes that write it. Each file is there in full or not
at all; what was finished is read and not run again; several processes may work on one folder.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_lab.benchmark import Objective, TableBenchmark
from nasbench_lab.columns import Constraint, Query
from nasbench_lab.differences import code_differences, differences
from nasbench_lab.errors import ExperimentError, TableFileError
from nasbench_lab.files import atomic_file, folder_errors, nearest_file, read_text, tidy
from nasbench_lab.spaces import Architecture, get_space
from nasbench_lab.trace import COLUMNS, Trace

if sys.platform != "win32":
    import fcntl

FORMAT = 3
"""Version of the result folder's layout."""

_PACKAGES = ("nasbench-lab", "numpy", "scipy", "scikit-learn", "nas-bench-graph")
_NUMBERS = tuple(name for name in COLUMNS if name not in ("architecture", "values"))
_METADATA, _MADE_WITH = b"nasbench_lab.runs", b"nasbench_lab.made_with"
_CODE = b"nasbench_lab.code"

Cell = tuple[str, str, int]
"""Benchmark, algorithm and seed: what tells a run from the others of its experiment."""


@dataclass(frozen=True)
class Run:
    """One run of a comparison.

    Args:
        benchmark: The benchmark's name.
        algorithm: The algorithm's label.
        seed: The run's seed.
        trace: What happened.
        wall_s: Seconds that the run really took.
        made_with: Versions and platform of the process that ran it; this and ``wall_s`` are the only
            parts of a result that may differ when it is computed again.
        code: The checksums of the files of the algorithm that the process ran; empty for an
            installed one.
        error: Why the run failed, if it did: the reason in the first line, and below it all that
            Python says of it. Its trace is then empty.
        warnings: What the algorithm does that it should not, such as "drew from numpy.random".
    """

    benchmark: str
    algorithm: str
    seed: int
    trace: Trace
    wall_s: float
    made_with: Mapping[str, Any] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def cell(self) -> Cell:
        """What tells it from the other runs of the experiment."""
        return self.benchmark, self.algorithm, self.seed


def made_with() -> dict[str, Any]:
    """What this process runs with: versions of what results depend on, and the platform."""
    return {
        "versions": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


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


def constraints_of(entry: Mapping[str, Any]) -> list[Constraint]:
    """The constraints of a manifest's benchmark."""
    return [
        Constraint(Query(**one["query"]), one["limit"], one["at_most"])
        for one in entry["constraints"]
    ]


# The folder


@contextmanager
def working_on(folder: Path, experiment: Mapping[str, Any], toml: str) -> Iterator[bool]:
    """Makes a result folder, or goes on with one of the same experiment, while the block runs.

    Yields whether the folder was there before. If no run is finished in it at the end, and no other
    process works on it, it is taken away again.

    Args:
        folder: The folder.
        experiment: What is to be run.
        toml: The same as a file for people, which is kept beside the manifest.

    Raises:
        ExperimentError: The folder holds another experiment; the message says what differs.
        DataFolderError: It cannot be written.
        TableFileError: What is there is damaged, or no result.
    """
    runs, beside = folder / "runs", folder / "experiment.toml"
    if (folder / "manifest.json").exists():
        check_same(folder, experiment)
    with folder_errors(folder):
        lock, alone = _lock(runs)
    try:
        # Parts are written after the manifest, so what has none by now is no other process's work.
        if _shards(folder) and not (folder / "manifest.json").exists():
            raise ExperimentError(
                f"{folder} holds parts of a result whose manifest.json is gone, so nobody knows which "
                f"experiment they are of. Name another folder, or delete {runs}."
            )
        with folder_errors(folder):
            existed = not _write_manifest(folder, experiment)
        if existed:
            check_same(folder, experiment)
        if alone:
            _flock(lock, shared=True)
        for place in (folder, runs):
            tidy(place)
        if not beside.exists():
            with atomic_file(beside) as path:
                path.write_text(toml, encoding="utf-8")
        yield existed
    finally:
        # Where this fails the shared lock is lost, which is no longer needed.
        if _flock(lock, shared=False) and not _shards(folder):
            (folder / "manifest.json").unlink(missing_ok=True)
            with suppress(OSError, ValueError):
                if beside.read_text(encoding="utf-8") == toml:  # and not a file of the user's own
                    beside.unlink()
            for empty in (runs, folder):  # other files in it stay
                with suppress(OSError):
                    empty.rmdir()
        os.close(lock)


def _lock(runs: Path) -> tuple[int, bool]:
    """A lock that processes at work on a folder share; it ends with the process, however that ends.

    Returns:
        The lock, and whether no other process works on the folder. Until such a lock is shared, none
        can begin.
    """
    while True:
        runs.mkdir(parents=True, exist_ok=True)
        if sys.platform == "win32":  # where a folder cannot be locked
            return os.open(os.devnull, os.O_RDONLY), False
        try:
            lock = os.open(runs, os.O_RDONLY)
        except FileNotFoundError:
            continue
        # Not the shared lock first: a lock that cannot be changed into another is lost.
        alone = _flock(lock, shared=False)
        if not alone:
            _flock(lock, shared=True)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), os.stat(runs)):
                return lock, alone
        os.close(lock)  # another process has just taken the folder away


def _flock(lock: int, *, shared: bool) -> bool:
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody else has it, or the file system knows no locks
        return False
    return True


def _write_manifest(folder: Path, experiment: Mapping[str, Any]) -> bool:
    """Writes the manifest unless there is one; of several processes, one does."""
    content = {"format": FORMAT, "experiment": experiment, "made_with": made_with()}
    try:
        with atomic_file(folder / "manifest.json", replace=False) as path:
            path.write_text(json.dumps(content, indent=1, default=np.generic.item) + "\n", "utf-8")
            with open(path, "rb+") as written:  # Windows wants a file that can be written
                os.fsync(written.fileno())
    except FileExistsError:
        return False
    return True


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a result folder.

    Raises:
        TableFileError: There is none that can be read.
    """
    try:
        manifest = json.loads(read_text(folder / "manifest.json"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest['format']}, while this version reads {FORMAT}")
        said, made = manifest["experiment"], manifest["made_with"]
        _ = [entry["name"] for entry in (*said["algorithms"], *said["benchmarks"])]
        _ = said["seeds"], dict(made["versions"])
        return {"experiment": said, "made_with": made}
    except Exception as error:  # a damaged file may raise anything
        raise no_result(folder, error) from error


def no_result(folder: Path, error: Exception) -> TableFileError:
    """The error of a folder that is no result, or a damaged one."""
    return TableFileError(
        f"{folder} cannot be read as a result ({type(error).__name__}: {error}). Expected a folder "
        f"that `nasbench-lab compare` has written.{nearest_file(folder)}"
    )


def check_same(folder: Path, experiment: Mapping[str, Any]) -> None:
    """Refuses to go on in a folder of another experiment, or with other versions.

    Raises:
        ExperimentError: The message shows what differs.
        TableFileError: The folder holds no result that can be read.
    """
    manifest = read_manifest(folder)
    if found := differences(manifest["experiment"], experiment):
        raise ExperimentError(
            f"{folder} holds another experiment, so it cannot go on there: {'; '.join(found)}. Give "
            f"the same settings to go on, or name another folder."
        )
    if found := differences(manifest["made_with"]["versions"], made_with()["versions"]):
        raise ExperimentError(
            f"{folder} was made with other versions, whose results might differ, so it cannot go on "
            f"there: {'; '.join(found)}. Install those versions to go on, or name another folder."
        )


def find_unfinished(results: Path, experiment: Mapping[str, Any]) -> Path | None:
    """The last folder in ``results`` in which this experiment was begun and not finished."""
    for folder in sorted(results.glob("*"), reverse=True):
        try:
            check_same(folder, experiment)
            finished, expected = count_finished(folder, experiment)
        except (ExperimentError, TableFileError):  # another experiment, no result, or a damaged one
            continue
        if finished < expected:
            return folder
    return None


def count_finished(folder: Path, experiment: Mapping[str, Any]) -> tuple[int, int]:
    """How many runs of an experiment are finished in its folder, and how many it has.

    Raises:
        TableFileError: A file is damaged; the message names it.
    """
    import pyarrow.parquet as pq

    keys = ("benchmarks", "algorithms", "seeds")
    cells = set()
    for shard in _shards(folder):
        with _whole(shard):
            for run in json.loads(pq.read_metadata(shard).metadata[_METADATA]):
                cells.add((run["benchmark"], run["algorithm"], run["seed"]))
    return len(cells), math.prod(len(experiment[key]) for key in keys)


def _shards(folder: Path) -> list[Path]:
    return sorted((folder / "runs").glob("[!.]*.parquet"))


@contextmanager
def _whole(shard: Path) -> Iterator[None]:
    """Says of any error while a shard is read that it is damaged, and what to do."""
    try:
        yield
    except Exception as error:  # a damaged file may raise anything
        raise TableFileError(
            f"{shard} cannot be read as a part of a result ({type(error).__name__}: {error}). "
            f"Delete it; what was in it is run again by the command that made the result."
        ) from error


# The runs


def shard_file(folder: Path, name: str) -> Path:
    """Where a result folder keeps some runs."""
    return folder / "runs" / f"{name}.parquet"


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
    origins: list[Mapping[str, Any]] = []
    versions: list[Mapping[str, str]] = []
    for run in runs:
        if run.made_with not in origins:
            origins.append(run.made_with)
        if run.code not in versions:
            versions.append(run.code)
    per_run = [
        {
            "benchmark": run.benchmark,
            "algorithm": run.algorithm,
            "seed": run.seed,
            "wall_s": run.wall_s,
            "evaluations": len(run.trace),
            "cut_off": length - len(run.trace),
            "made_with": origins.index(run.made_with),
            "code": versions.index(run.code),
            **({"error": run.error} if run.error is not None else {}),
            **({"warnings": run.warnings} if run.warnings else {}),
        }
        for run, length in zip(runs, lengths, strict=True)
    ]
    table = pa.table(columns).replace_schema_metadata(
        {
            _METADATA: json.dumps(per_run),
            _MADE_WITH: json.dumps(origins),
            _CODE: json.dumps(versions),
        }
    )
    with atomic_file(shard_file(folder, name)) as path:
        pq.write_table(table, path)
        with open(path, "rb+") as written:  # Windows wants a file that can be written
            os.fsync(written.fileno())


def _parts(trace: Trace) -> list[Trace]:
    return [trace] if trace.cut_off is None else [trace, trace.cut_off]


def _repeated(names: list[str], lengths: list[int]) -> Any:
    import pyarrow as pa

    distinct = list(dict.fromkeys(names))
    codes = np.repeat([distinct.index(name) for name in names], lengths).astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(distinct))


def read_runs(folder: Path, experiment: Mapping[str, Any]) -> list[Run]:
    """All finished runs of a result folder, each once.

    Raises:
        TableFileError: A file is damaged, or holds runs of other code than the manifest says; the
            message names it.
    """
    import pyarrow.parquet as pq

    parsed: dict[tuple[str, str], Architecture] = {}
    runs: dict[Cell, Run] = {}
    for shard in _shards(folder):
        with _whole(shard):
            for run in _read_shard(pq.read_table(shard), experiment, parsed):
                runs.setdefault(run.cell, run)
    return list(runs.values())


def _read_shard(
    table: Any, experiment: Mapping[str, Any], parsed: dict[tuple[str, str], Architecture]
) -> list[Run]:
    """The runs of one shard; ``parsed`` keeps what the texts of architectures mean."""
    per_run = json.loads(table.schema.metadata[_METADATA])
    origins = json.loads(table.schema.metadata[_MADE_WITH])
    codes = json.loads(table.schema.metadata.get(_CODE, b"[{}]"))
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
    algorithms = {entry["name"]: entry for entry in experiment["algorithms"]}
    policies = {key: experiment[key] for key in ("budget", "charge_repeats", "workers")}
    runs, first = [], 0
    for one in per_run:
        code = codes[one.get("code", 0)]
        expected = algorithms[one["algorithm"]].get("code", {})
        if found := code_differences(expected, code):
            raise ValueError(
                f"{one['algorithm']} ran in it with other code than the manifest says: "
                f"{'; '.join(found)}"
            )
        settings = {
            "algorithm": algorithms[one["algorithm"]]["algorithm"],
            "benchmark": one["benchmark"],
            "seed": one["seed"],
            "constraints": [str(c) for c in constraints_of(entry)],
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
        origin = origins[one["made_with"]]
        runs.append(
            Run(
                one["benchmark"],
                one["algorithm"],
                one["seed"],
                trace,
                one["wall_s"],
                origin,
                code,
                one.get("error"),
                tuple(one.get("warnings", ())),
            )
        )
    return runs

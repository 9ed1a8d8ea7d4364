"""The parts of a result: Parquet files, each with some runs of one algorithm on one benchmark.

A part says itself of what it is: the setting, which is all of the experiment that its runs depend on
besides their seeds. It carries a checksum of what is decoded from it, which is compared whenever it
is read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import ExperimentError, TableFileError, UnknownNameError
from nasbench_lab.experiment.differences import code_differences, differences
from nasbench_lab.experiment.experiment import Cell, Experiment
from nasbench_lab.experiment.settings import AlgorithmSetting, BenchmarkSetting
from nasbench_lab.files import atomic_file
from nasbench_lab.results.manifest import cannot_read
from nasbench_lab.spaces import Architecture, SearchSpace
from nasbench_lab.trace import COLUMNS, Trace, architecture_texts

_NUMBERS = tuple(name for name in COLUMNS if name not in ("architecture", "values"))
_HEAD, _HEAD_SUM = b"nasbench_lab.part", b"nasbench_lab.sha256"


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
        warnings: What the algorithm does that it should not, such as "drew from numpy.random"; or that
            a search in real time has not ended.
        table: The fingerprint of the table that the process opened; empty if nobody noted it.
        reported: ``(n,)`` what the benchmark reports of each evaluation that became the incumbent, NaN
            of others; None if it reports nothing besides its objectives, or looks it up in a table.
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
    table: str = ""
    reported: NDArray[np.float64] | None = None

    @property
    def cell(self) -> Cell:
        """What tells it from the other runs of the experiment."""
        return self.benchmark, self.algorithm, self.seed


# Writing


def shard_file(folder: Path, name: str) -> Path:
    """Where a result folder keeps some runs."""
    return folder / "runs" / f"{name}.parquet"


def shard_name(place: str, cells: Iterable[Cell]) -> str:
    """The name of the file that some runs are kept in, and no others.

    Args:
        place: Where in the comparison they are.
        cells: What tells them from others.
    """
    text = json.dumps(list(cells), default=np.generic.item)
    return f"{place}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def shards_in(folder: Path) -> list[Path]:
    """The parts of a result folder."""
    return sorted((folder / "runs").glob("[!.]*.parquet"))


def write_shard(folder: Path, experiment: Experiment, name: str, runs: Sequence[Run]) -> None:
    """Writes runs of one algorithm on one benchmark as a Parquet file, all or nothing.

    The file has one line per evaluation, those that were cut off after the others of their run. What
    there is one of per run, runs without any evaluation included, is in its metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    traces = [part for run in runs for part in _parts(run.trace)]
    lengths = [sum(len(part) for part in _parts(run.trace)) for run in runs]
    every = np.concatenate([trace.architecture for trace in traces])
    distinct, codes = np.unique(every, axis=0, return_inverse=True)
    texts = architecture_texts(experiment.benchmark(runs[0].benchmark).search_space, distinct)
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
    if not columns["passes"].any():
        del columns["passes"]  # 0 where it is not said
    if any(run.reported is not None for run in runs):
        columns["reported"] = np.concatenate([_reported(run) for run in runs])
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
            "table": run.table,
            **({"error": run.error} if run.error is not None else {}),
            **({"warnings": run.warnings} if run.warnings else {}),
            **({"reasons": dict(run.trace.reasons)} if run.trace.reasons else {}),
        }
        for run, length in zip(runs, lengths, strict=True)
    ]
    table = pa.table(columns)
    head = {
        "setting": experiment.setting(runs[0].benchmark, runs[0].algorithm),
        "runs": per_run,
        "made_with": origins,
        "code": versions,
        "columns": _columns_sum(table),
    }
    text = json.dumps(head, default=np.generic.item).encode()
    table = table.replace_schema_metadata(
        {_HEAD: text, _HEAD_SUM: hashlib.sha256(text).hexdigest()}
    )
    with atomic_file(shard_file(folder, name)) as path:
        pq.write_table(table, path, write_page_checksum=True)
        with open(path, "rb+") as written:  # Windows wants a file that can be written
            os.fsync(written.fileno())


def _parts(trace: Trace) -> list[Trace]:
    return [trace] if trace.cut_off is None else [trace, trace.cut_off]


def _reported(run: Run) -> NDArray[np.float64]:
    """What is reported of the evaluations of a run, with NaN for those that were cut off."""
    lengths = [len(part) for part in _parts(run.trace)]
    values = np.full(sum(lengths), np.nan)
    if run.reported is not None:
        values[: lengths[0]] = run.reported
    return values


def _repeated(names: list[str], lengths: list[int]) -> Any:
    import pyarrow as pa

    distinct = list(dict.fromkeys(names))
    codes = np.repeat([distinct.index(name) for name in names], lengths).astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(distinct))


def _columns_sum(table: Any) -> str:
    """The SHA-256 of names, types and values of all columns of a table of Arrow.

    It does not depend on how the table lies in memory: in how many pieces, and in which order it
    lists texts that occur several times.
    """
    import pyarrow as pa

    digest = hashlib.sha256()
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        kind, texts = str(column.type), None
        if pa.types.is_string(column.type):
            encoded = column.combine_chunks().dictionary_encode()
            texts, column = encoded.dictionary.to_pylist(), encoded.indices
        values = column.to_numpy(zero_copy_only=False)
        about = json.dumps([name, kind, values.dtype.str, len(values), column.null_count, texts])
        digest.update(about.encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


# Reading


@contextmanager
def _undamaged(shard: Path) -> Iterator[None]:
    """Says of any error while a part is decoded that it is damaged, and what to do."""
    try:
        yield
    except MemoryError as error:
        raise TableFileError(
            f"{shard} cannot be read as a part of a result, as it asks for more memory than there is. "
            f"Try again with more memory. If that does not help, it is damaged: delete it, and what "
            f"was in it is run again by the command that made the result."
        ) from error
    except Exception as error:  # a damaged file may raise anything
        raise TableFileError(
            f"{shard} cannot be read as a part of a result, it is damaged ({type(error).__name__}: "
            f"{str(error)[:300]}). Delete it; what was in it is run again by the command that made "
            f"the result."
        ) from error


def read_head(shard: Path) -> dict[str, Any]:
    """What a part says of itself and its runs: ``setting``, ``runs``, ``made_with``, ``code``.

    Raises:
        TableFileError: It is damaged.
        DataFolderError: It cannot be read for another reason.
    """
    import pyarrow.parquet as pq

    try:
        with open(shard, "rb") as file, _undamaged(shard):
            return _head(pq.read_metadata(file).metadata)
    except OSError as error:
        raise cannot_read(shard, error) from error


def settings_in(head: Mapping[str, Any]) -> tuple[BenchmarkSetting, AlgorithmSetting]:
    """The benchmark and the algorithm that a part is of, by its head."""
    (benchmark,), (algorithm,) = head["setting"]["benchmarks"], head["setting"]["algorithms"]
    return BenchmarkSetting.from_json(benchmark), AlgorithmSetting(**algorithm)


def _head(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    metadata = metadata or {}
    if _HEAD not in metadata or _HEAD_SUM not in metadata:
        raise ValueError("it does not say what it is a part of")
    if hashlib.sha256(metadata[_HEAD]).hexdigest().encode() != metadata[_HEAD_SUM]:
        raise ValueError("what it says of its runs does not have the checksum that was written")
    head: dict[str, Any] = json.loads(metadata[_HEAD])
    return head


def _read_table(shard: Path) -> tuple[Any, dict[str, Any]]:
    """A part's columns and head, as they were written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = shard.read_bytes()
    except OSError as error:
        raise cannot_read(shard, error) from error
    with _undamaged(shard):
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        # Threads that are just starting would abort a process that ends right after this.
        table = file.read(use_threads=False)
        head = _head(table.schema.metadata)
        if _columns_sum(table) != head["columns"]:
            raise ValueError("its columns do not have the checksum that was written")
        return table, head


def read_shard(
    shard: Path,
    experiment: Experiment | None,
    parsed: dict[tuple[SearchSpace, str], Architecture],
) -> list[Run]:
    """The runs of a part.

    Args:
        shard: The file.
        experiment: What the result is of; None if nobody knows.
        parsed: Keeps what the texts of architectures mean, for further parts.

    Raises:
        TableFileError: It is damaged, or of another experiment, table or code.
        UnknownNameError: The space is not on this machine.
        DataFolderError: It cannot be read for another reason.
    """
    table, head = _read_table(shard)
    with _undamaged(shard):
        benchmark, algorithm = settings_in(head)
    if experiment is not None:
        _check_origin(shard, head, experiment, benchmark, algorithm)
    try:
        space = benchmark.search_space
    except UnknownNameError as error:
        hint = f"Install the package that it comes from; {shard} is sound."
        raise UnknownNameError(error.kind, error.name, error.known, hint) from error
    try:
        return _decoded(table, head, benchmark, algorithm, space, parsed)
    except Exception as error:  # such as of another version of the space
        raise TableFileError(
            f"{shard} is sound, but cannot be read as a part of a result here ({type(error).__name__}: "
            f"{error}). It was made with {head['made_with']}; install these versions."
        ) from error


def _check_origin(
    shard: Path,
    head: Mapping[str, Any],
    experiment: Experiment,
    benchmark: BenchmarkSetting,
    algorithm: AlgorithmSetting,
) -> None:
    """Refuses a part that is sound, but not of an experiment.

    Raises:
        TableFileError: The message says what differs.
    """
    try:
        expected = experiment.setting(benchmark.name, algorithm.name)
        changes = differences(head["setting"], expected)
    except ExperimentError as error:
        changes = [str(error)]
    for entry in head["runs"]:
        if changed := code_differences(algorithm.code, head["code"][entry["code"]]):
            changes.append(
                f"{entry['algorithm']} ran in it with other code than the manifest says: "
                f"{'; '.join(changed)}"
            )
        if entry["table"] not in ("", benchmark.table):
            changes.append(f"it was made with another table of the name {benchmark.name!r}")
    if changes:
        raise TableFileError(
            f"{shard} is no part of this result: {'; '.join(dict.fromkeys(changes))} (there is the "
            f"part, here the manifest). Move it elsewhere; if runs are then missing, the command that "
            f"made the result runs them."
        )


def _decoded(
    table: Any,
    head: Mapping[str, Any],
    benchmark: BenchmarkSetting,
    algorithm: AlgorithmSetting,
    space: SearchSpace,
    parsed: dict[tuple[SearchSpace, str], Architecture],
) -> list[Run]:
    texts = table.column("architecture").combine_chunks()
    names = texts.dictionary.to_pylist()
    for name in names:
        if (space, name) not in parsed:
            none = (-1,) * len(space.decisions)
            parsed[space, name] = space.from_string(name) if name else none
    distinct = np.array([parsed[space, name] for name in names], dtype=np.int64)
    shape = len(texts), len(space.decisions)
    architectures = distinct.reshape(-1, shape[1])[texts.indices.to_numpy()].reshape(shape)
    numbers = {
        name: table.column(name).to_numpy() for name in table.column_names if name in _NUMBERS
    }
    values = np.stack(
        [table.column(f"objective_{i}").to_numpy() for i in range(len(benchmark.objectives))],
        axis=1,
    )
    reported = None
    if "reported" in table.column_names:
        reported = table.column("reported").to_numpy()
    noted = ("budget", "charge_repeats", "workers", "warm_start")
    policies = {key: head["setting"][key] for key in noted if key in head["setting"]}
    constraints = list(map(str, benchmark.constraints))
    runs, first = [], 0
    for about in head["runs"]:
        settings = {
            "algorithm": algorithm.algorithm,
            "benchmark": about["benchmark"],
            "seed": about["seed"],
            "constraints": constraints,
            "clock": benchmark.clock,
            **policies,
        }
        parts, begin = [], first
        reasons = {int(i): reason for i, reason in about.get("reasons", {}).items()}
        for length in (about["evaluations"], about["cut_off"]):
            part = slice(first, first + length)
            first = part.stop
            parts.append(
                Trace(
                    **{name: column[part] for name, column in numbers.items()},
                    architecture=architectures[part],
                    values=values[part],
                    space=space,
                    objectives=benchmark.objectives,
                    settings=settings,
                )
            )
        runs.append(
            Run(
                about["benchmark"],
                about["algorithm"],
                about["seed"],
                replace(parts[0], cut_off=parts[1], reasons=reasons),
                about["wall_s"],
                head["made_with"][about["made_with"]],
                head["code"][about["code"]],
                about.get("error"),
                tuple(about.get("warnings", ())),
                about["table"],
                None if reported is None else reported[begin : begin + about["evaluations"]],
            )
        )
    return runs

"""Result folders: a manifest, and the runs in parts.

A folder survives whatever happens to the processes that write it. Each file is there in full or not
at all; what was finished is read and not run again; several processes may work on one folder. An
experiment may grow there: seeds, algorithms and benchmarks join those that it has.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nasbench_lab.errors import DataFolderError, ExperimentError, NasbenchLabError
from nasbench_lab.experiment.differences import differences
from nasbench_lab.experiment.experiment import Cell, Experiment
from nasbench_lab.experiment.toml import to_toml
from nasbench_lab.files import atomic_file, folder_errors, tidy
from nasbench_lab.results.manifest import Manifest, has_manifest, read_manifest, write_manifest
from nasbench_lab.results.parts import (
    Run,
    read_head,
    read_shard,
    settings_in,
    shard_name,
    shards_in,
    write_shard,
)
from nasbench_lab.spaces import Architecture, SearchSpace

if sys.platform != "win32":
    import fcntl

_PACKAGES = ("nasbench-lab", "numpy", "scipy", "scikit-learn", "nas-bench-graph")


def made_with() -> dict[str, Any]:
    """What this process runs with: versions of what results depend on, and the platform."""
    return {
        "versions": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


# The folder


@contextmanager
def working_on(folder: Path, experiment: Experiment) -> Iterator[bool]:
    """Makes a result folder, or goes on with one that the experiment can join, while the block runs.

    Beside the manifest lies ``experiment.toml``, which is the same as a file for people. Yields
    whether the folder was there before. If no run is finished in it at the end, and no other process
    works on it, it is taken away again.

    Args:
        folder: The folder.
        experiment: What is to be run.

    Raises:
        ExperimentError: The folder holds what contradicts; the message says what differs.
        DataFolderError: It cannot be written.
        TableFileError: What is there is damaged, or no result.
    """
    runs = folder / "runs"
    if has_manifest(folder):
        check_joins(folder, experiment)
    with folder_errors(folder):
        lock, alone = _lock(runs)
    try:
        with folder_errors(folder), _alone_at_manifest(folder):
            existed = _put_manifest(folder, experiment)
        if alone:
            _flock(lock, shared=True)
        for place in (folder, runs):
            tidy(place)
        yield existed
    finally:
        # Where this fails the shared lock is lost, which is no longer needed.
        if _flock(lock, shared=False) and _is_locked(lock, runs) and not shards_in(folder):
            beside = folder / "experiment.toml"
            there = read_manifest(folder).experiment if has_manifest(folder) else experiment
            if _is_of(beside, there):  # and not a file of the user's own
                beside.unlink(missing_ok=True)
            (folder / "manifest.json").unlink(missing_ok=True)
            for empty in (runs, folder):  # other files in it stay
                with suppress(OSError):
                    empty.rmdir()
        os.close(lock)


@contextmanager
def _alone_at_manifest(folder: Path) -> Iterator[None]:
    """Lets one process at a time read a manifest and write what it becomes."""
    if sys.platform == "win32":  # where a folder cannot be locked
        yield
        return
    lock = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # of a file system that knows no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _put_manifest(folder: Path, experiment: Experiment) -> bool:
    """Has the manifest name an experiment too; returns whether there was one."""
    beside, existed = folder / "experiment.toml", has_manifest(folder)
    whole, made = experiment, made_with()
    if existed:
        there = read_manifest(folder)
        whole, made = check_joins(folder, experiment), there.made_with
        if whole == there.experiment:
            if not beside.exists():
                _write_toml(beside, whole)
            return True
        mine = _is_of(beside, there.experiment)
    else:
        _check_parts(folder, experiment)
        mine = not beside.exists()
    if mine:
        _write_toml(beside, whole)
    try:
        write_manifest(folder, whole, made, replace=existed)
    except FileExistsError:  # another process was first, and there are no locks
        return _put_manifest(folder, experiment)
    return existed


def _write_toml(path: Path, experiment: Experiment) -> None:
    with atomic_file(path) as new:
        new.write_text(to_toml(experiment), encoding="utf-8")


def _is_of(toml: Path, experiment: Experiment) -> bool:
    """Whether a file is what is written for an experiment, or is not there."""
    try:
        return toml.read_text(encoding="utf-8") == to_toml(experiment)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):  # a file of the user's own
        return False


def _check_parts(folder: Path, experiment: Experiment) -> None:
    """Refuses parts whose manifest is gone unless they are of this experiment.

    Raises:
        ExperimentError: The message says what differs.
        TableFileError: A part is damaged.
    """
    versions = made_with()["versions"]
    for shard in shards_in(folder):
        head = read_head(shard)
        try:
            benchmark, algorithm = settings_in(head)
            changes = differences(
                head["setting"], experiment.setting(benchmark.name, algorithm.name)
            )
        except ExperimentError as error:
            changes = [str(error)]
        for origin in head["made_with"]:
            if "versions" in origin:
                changes += differences(origin["versions"], versions)
        if changes:
            raise ExperimentError(
                f"{folder} holds parts of a result whose manifest.json is gone, and it cannot go on "
                f"there with this experiment: of {shard.name}, {'; '.join(changes)}. Give the command "
                f"that made it, or name another folder."
            )


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


def _is_locked(lock: int, runs: Path) -> bool:
    """Whether a lock is still of the folder of that name."""
    if sys.platform == "win32":
        return True
    try:
        return os.path.samestat(os.fstat(lock), os.stat(runs))
    except OSError:
        return False


def check_joins(folder: Path, experiment: Experiment) -> Experiment:
    """Refuses to go on in a folder with what contradicts it, or with other versions.

    Returns:
        What the folder holds and the experiment together.

    Raises:
        ExperimentError: The message shows what differs.
        TableFileError: The folder holds no result that can be read.
    """
    manifest = read_manifest(folder)
    whole, changes = manifest.experiment.joined(experiment)
    if changes:
        raise ExperimentError(
            f"{folder} holds another experiment, so it cannot go on there: {'; '.join(changes)}. Give "
            f"the same settings to go on (seeds, algorithms and tables may join), or name another "
            f"folder."
        )
    if changes := _other_versions(manifest):
        raise ExperimentError(
            f"{folder} was made with other versions, whose results might differ, so it cannot go on "
            f"there: {'; '.join(changes)}. Install those versions to go on, or name another folder."
        )
    return whole


def _other_versions(manifest: Manifest) -> list[str]:
    return differences(manifest.made_with["versions"], made_with()["versions"])


def find_unfinished(results: Path, experiment: Experiment) -> Path | None:
    """The last folder in ``results`` in which this very experiment was begun and not finished."""
    for folder in sorted(results.glob("*"), reverse=True):
        try:
            manifest = read_manifest(folder)
            if manifest.experiment.differences(experiment) or _other_versions(manifest):
                continue
            finished = finished_cells(folder, experiment)
        except NasbenchLabError:  # no result, or a damaged one
            continue
        if len(finished) < experiment.n_runs:
            return folder
    return None


def finished_cells(folder: Path, experiment: Experiment) -> set[Cell]:
    """Which runs of an experiment are finished in a folder, by what the parts say of themselves.

    Raises:
        TableFileError: A part is damaged; the message names it.
        DataFolderError: One cannot be read for another reason.
    """
    cells = {
        (run["benchmark"], run["algorithm"], run["seed"])
        for shard in shards_in(folder)
        for run in read_head(shard)["runs"]
    }
    return cells & experiment.cells


def check_kept(folder: Path, cells: Collection[Cell]) -> None:
    """Refuses to go on where runs that were finished are gone.

    Raises:
        DataFolderError: The message says how many are.
    """
    remaining = set()
    if has_manifest(folder):
        for shard in shards_in(folder):
            with suppress(NasbenchLabError):
                runs = read_head(shard)["runs"]
                remaining |= {(run["benchmark"], run["algorithm"], run["seed"]) for run in runs}
    if missing := len(set(cells) - remaining):
        raise gone(folder, missing, len(cells))


def gone(folder: Path, missing: int, finished: int) -> DataFolderError:
    """The error of runs that were finished, and were then taken away."""
    return DataFolderError(
        f"{missing} of {finished} finished runs are gone: {folder} was deleted, moved or changed by "
        f"others while the comparison ran. The same command runs what is missing."
    )


def read_result(folder: Path) -> tuple[Experiment, list[Run]]:
    """The experiment of a result folder, and all finished runs, each once.

    Raises:
        TableFileError: A file is damaged, or of another experiment, table or code than the manifest
            says; the message names it.
        UnknownNameError: A space is not on this machine.
        DataFolderError: A file cannot be read for another reason.
    """
    shards = shards_in(folder)
    # After these were listed: what other processes add is in the manifest first.
    experiment = read_manifest(folder).experiment
    parsed: dict[tuple[SearchSpace, str], Architecture] = {}
    runs: dict[Cell, Run] = {}
    for shard in shards:
        for run in read_shard(shard, experiment, parsed):
            runs.setdefault(run.cell, run)
    return experiment, list(runs.values())


def save_runs(folder: Path, experiment: Experiment, runs: Sequence[Run]) -> None:
    """Writes a result folder, or what one lacks that was left by a process that was killed.

    Raises:
        DataFolderError: The folder cannot be written, or holds a result already.
        ExperimentError: It holds a run that came out differently.
    """
    missing = missing_runs(folder, experiment, runs)
    if runs and not missing:
        raise _other_result(folder)
    with working_on(folder, experiment):
        for b, benchmark in enumerate(experiment.tables):
            for a, algorithm in enumerate(experiment.labels):
                if part := [run for run in missing if run.cell[:2] == (benchmark, algorithm)]:
                    name = shard_name(f"{b:03d}-{a:03d}", (run.cell for run in part))
                    write_shard(folder, experiment, name, part)


def missing_runs(folder: Path, experiment: Experiment, runs: Sequence[Run]) -> list[Run]:
    """The runs that a folder lacks, which is new or holds some of them.

    Raises:
        DataFolderError: It holds another result.
        ExperimentError: It holds a run that came out differently.
    """
    if not has_manifest(folder):
        return list(runs)
    if read_manifest(folder).experiment.differences(experiment):
        raise _other_result(folder)
    there = read_result(folder)[1]
    merged_runs({str(folder): there, "what is to be written": runs})
    finished = {run.cell for run in there}
    return [run for run in runs if run.cell not in finished]


def _other_result(folder: Path) -> DataFolderError:
    return DataFolderError(f"{folder} holds a result already. Name another folder.")


def merged_runs(groups: Mapping[str, Iterable[Run]]) -> list[Run]:
    """The runs of several results, each once.

    Args:
        groups: The runs of each result, by what it is called in messages.

    Raises:
        ExperimentError: A run that two have came out differently in them.
    """
    runs: dict[Cell, tuple[str, Run]] = {}
    for name, group in groups.items():
        for run in group:
            holder, first = runs.setdefault(run.cell, (name, run))
            if not first.trace.equals(run.trace):
                raise ExperimentError(
                    f"{holder} and {name} cannot be joined: {run.algorithm} on {run.benchmark} with "
                    f"seed {run.seed} came out differently in them. Their runs were made with "
                    f"{_versions_of(first)} and {_versions_of(run)}."
                )
    return [run for _, run in runs.values()]


def _versions_of(run: Run) -> str:
    versions = run.made_with.get("versions", {})
    return ", ".join(f"{name} {number}" for name, number in versions.items()) or "unknown versions"


def verify_result(folder: Path | str) -> list[str]:
    """Reads all files of a result folder; returns what is wrong, a text for each file."""
    folder, problems = Path(folder), []
    experiment: Experiment | None = None
    try:
        experiment = read_manifest(folder).experiment
    except NasbenchLabError as error:
        problems.append(str(error))
    parsed: dict[tuple[SearchSpace, str], Architecture] = {}
    for shard in shards_in(folder):
        try:
            read_shard(shard, experiment, parsed)
        except NasbenchLabError as error:
            problems.append(str(error))
    return problems

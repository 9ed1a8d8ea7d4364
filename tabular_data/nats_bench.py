"""NATS-Bench: topology space (tss) and size space (sss), in all official forms.

Dong, Liu, Musial and Gabrys, "NATS-Bench: Benchmarking NAS algorithms for architecture topology and
size", IEEE TPAMI 2022 (arXiv 2009.00437). A "simple" archive is a directory, or its tar, with
``meta.pickle.pbz2`` and one file per architecture; the single file holds all of them in one pickle.
"""

from __future__ import annotations

import bz2
import contextlib
import re
import reprlib
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from joblib import effective_n_jobs

from nasbench_lab.bounded_files import Pieces, check_regular
from nasbench_lab.errors import TableFileError, UnsafeFileError
from nasbench_lab.processes import in_processes
from nasbench_lab.tables.columns import TableInfo
from nasbench_lab.tables.pickles.reader import (
    CONTAINERS,
    MEMORY,
    NUMPY_NUMBERS,
    PickleReader,
    SharedError,
    errors_of,
)
from nasbench_lab.tables.pickles.torch_files import WEIGHTS, no_weight
from nasbench_lab.tables.sources import FileFormat, ImportOptions
from tabular_data._nats_collector import Collector
from tabular_data._nats_records import Packed, check_schedule, pack, parse
from tabular_data._nats_tables import described, named, tasks
from tabular_data._origins import origin
from tabular_data._spool import Spool, Spooled

_ALLOWED = {**NUMPY_NUMBERS, **CONTAINERS}
_EXTENSION = ".pickle.pbz2"
_RECORD_LIMIT = 4 << 20
"""The most bytes of an unpacked record; real ones have a third of a million."""
_LIMIT = 16 << 20
"""The most bytes of a single file besides its records."""
_UNPACKED, _RATIO = 16 << 20, 32
"""A file may unpack to so many bytes plus so many times its size; real files unpack to four times
their size."""
_MOST_TEXTS = 1 << 15
_LONGEST_TEXT = 1000
_MOST_SCHEDULES = 8
_MOST_STREAMS = 1000
"""The most streams of a compressed record; real ones have one, or one for each 900,000 bytes."""
_TAR_HEADER = 1 << 16
"""The most bytes of a header of a tar archive."""
_BATCH = 16
_HEAD, _NAMES = 1 << 20, 1 << 20
"""The first bytes, which have strings of architectures, and those that name data sets after them."""
_SIZES = re.compile(rb"\d{1,9}(:\d{1,9}){4}")
"""The string of a network of the size space."""

_TABLES = {
    "nats-tss": ("nb201", ("12", "200"), "the 15,625 cells of the topology search space"),
    "nats-sss": ("nats-sss", ("12", "90"), "the 32,768 networks of the size search space"),
}
"""Space, schedules of search and report, and description."""


class _Part(NamedTuple):
    """The place of the bytes of a file in an archive."""

    path: Path
    name: str
    start: int
    size: int

    def read(self) -> bytes:
        if self.size > _RECORD_LIMIT:
            raise UnsafeFileError(f"it has {self.size:,} bytes; real ones have a hundred thousand")
        with open(self.path, "rb") as file:
            file.seek(self.start)
            data = file.read(self.size)
        if len(data) < self.size:
            raise EOFError(f"expected {self.size:,} bytes but there are {len(data):,}")
        return data


def _parts(path: Path) -> dict[str, _Part]:
    """The files of a simple archive by name."""
    if path.is_dir():
        return {
            f.name: _Part(f, f.name, 0, f.stat().st_size)
            for f in path.iterdir()
            if _is_part(f.name) and f.is_file()
        }
    parts = {}
    # Nothing is unpacked; only names, places and sizes are read, and links are ignored.
    with open(path, "rb") as file, _tar(file) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if member.isreg() and _is_part(name):
                if name in parts:
                    raise TableFileError(f"it holds {name!r} twice")
                parts[name] = _Part(path, name, member.offset_data, member.size)
    end = path.stat().st_size
    for part in parts.values():
        if part.start + part.size > end:
            raise TableFileError(f"it is truncated: {part.name} ends beyond the file's end")
    return parts


def _tar(file: BinaryIO) -> tarfile.TarFile:
    """The archive; it must not be compressed, as its header could unpack to gigabytes."""
    return tarfile.open(fileobj=cast(BinaryIO, Pieces(file, _TAR_HEADER)), mode="r:")


def _is_archive(path: Path) -> bool:
    """Whether a path is a folder or a tar archive."""
    if path.is_dir():
        return True
    try:
        with open(path, "rb") as file, _tar(file):
            return True
    except (tarfile.TarError, UnsafeFileError):
        return False


def _is_part(name: str) -> bool:
    # macOS adds files that start with a dot.
    return name.endswith(_EXTENSION) and not name.startswith(".")


class _Unpacked:
    """The bytes of a compressed file, unpacked piece by piece."""

    def __init__(self, data: bytes) -> None:
        self._data, self._unpack = data, bz2.BZ2Decompressor()
        self._streams = 1

    def read(self, n: int) -> bytes:
        if self._unpack.eof:
            # Some programs write several streams in a row.
            self._data = self._unpack.unused_data
            if not self._data:
                return b""
            self._streams += 1
            if self._streams > _MOST_STREAMS:
                raise UnsafeFileError(f"it has more than {_MOST_STREAMS:,} streams")
            self._unpack = bz2.BZ2Decompressor()
        part = self._unpack.decompress(self._data, n)
        self._data = b""
        if not part and not self._unpack.eof:
            raise EOFError("its compressed data end early")
        return part


def _load(part: _Part) -> tuple[Any, int]:
    """The content of a file of an archive, and its number of unpacked bytes."""
    stream: Any = _Unpacked(part.read())
    reader = PickleReader(stream, _ALLOWED, limit=_RECORD_LIMIT)
    return reader.load(), reader.consumed


def _texts(meta: Any) -> list[str]:
    texts = meta["meta_archs"]
    if (
        not isinstance(texts, list)
        or not 0 < len(texts) <= _MOST_TEXTS
        or not all(isinstance(text, str) and len(text) <= _LONGEST_TEXT for text in texts)
    ):
        raise TableFileError(f"its meta_archs are no list of up to {_MOST_TEXTS:,} architectures")
    return texts


def table_of(texts: list[str]) -> str:
    """The name of the table that the strings of architectures belong to."""
    return "nats-sss" if _SIZES.fullmatch(texts[0].encode()) else "nats-tss"


def _read_batch(
    parts: list[tuple[int, _Part]], curves: bool
) -> tuple[list[dict[str, Packed]], int]:
    """Reads some records; runs in a worker process.

    Returns:
        The records, and their number of unpacked bytes.
    """
    result, unpacked = [], 0
    for _, part in parts:
        where = part.path if part.name == part.path.name else f"{part.path}, record {part.name}"
        with errors_of(where):
            record, size = _load(part)
            if not isinstance(record, dict) or not 0 < len(record) <= _MOST_SCHEDULES:
                raise TableFileError(f"expected a dict of 1 to {_MOST_SCHEDULES} schedules")
            result.append(
                {
                    check_schedule(name): pack(parse(info), curves=curves)
                    for name, info in record.items()
                }
            )
            # A training may be used in many places.
            unpacked += max(size, sum(one.values.nbytes for one in result[-1].values()))
    return result, unpacked


def _convert_simple(path: Path, folder: Path, options: ImportOptions) -> None:
    with errors_of(path):
        parts = _parts(path)
        meta = parts.pop(f"meta{_EXTENSION}", None)
        if meta is None:
            raise TableFileError(f"expected meta{_EXTENSION} in it but there is none")
        if not parts:
            raise TableFileError(
                f"it holds meta{_EXTENSION} but no record of an architecture, such as "
                f"000000{_EXTENSION}. Get the whole archive"
            )
    with errors_of(f"{path}, record {meta.name}"):
        texts = _texts(_load(meta)[0])
        table = table_of(texts)
        collector = Collector(texts, _TABLES[table][0], folder.parent)
    with collector:
        _collect_simple(collector, parts, path, options)
        _write(collector, path, folder, table, options)


def _collect_simple(
    collector: Collector, parts: dict[str, _Part], path: Path, options: ImportOptions
) -> None:
    numbered = []
    for name, part in parts.items():
        digits = name.removesuffix(_EXTENSION)
        if not re.fullmatch(r"[0-9]{1,9}", digits):
            raise TableFileError(f"{path}: {name!r} is not named by the index of an architecture.")
        numbered.append((int(digits), part))
    numbered.sort()
    batches = [numbered[i : i + _BATCH] for i in range(0, len(numbered), _BATCH)]
    jobs = min(effective_n_jobs(options.jobs), max(1, len(batches) // 2))
    tasks = [partial(_read_batch, batch, options.curves) for batch in batches]
    done = unpacked = 0
    most = _UNPACKED + _RATIO * sum(part.size for _, part in numbered)
    options.progress(0, len(numbered))
    # In the order of the indices, whatever the number of processes.
    with closing(in_processes(tasks, jobs, ordered=True)) as read:
        for number, (records, size) in read:
            batch = batches[number]
            unpacked += size
            if unpacked > most:
                raise UnsafeFileError(
                    f"{path} is not read: its records unpack to more than {most:,} bytes, out of "
                    f"all proportion to their size. Get it anew from where the benchmark's authors "
                    f"publish it."
                )
            for (index, part), record in zip(batch, records, strict=True):
                with errors_of(f"{path}, record {part.name}"):
                    collector.add(index, record)
            done += len(batch)
            options.progress(done, len(numbered))


class Whole(NamedTuple):
    """The content of a single file."""

    texts: list[str]
    """The strings of all architectures by index."""
    records: dict[int, dict[str, Spooled]]
    evaluated: list[int]


def records_of(
    stream: BinaryIO,
    path: Path,
    options: ImportOptions,
    read: Callable[[], int],
    spool: Spool,
    names: dict[str, str] | None = None,
) -> Whole:
    """Reads all architectures from one pickle.

    Args:
        stream: The stream, at the start of the pickle.
        path: The file, for messages.
        options: The options of the import.
        read: Returns the number of bytes that have been read, for the progress.
        spool: Keeps the values.
        names: Names of the schedules by their names in the file; None if they are the same.
    """
    size, file_size = path.stat().st_size, check_regular(path)
    seen: set[Any] = set()

    def fold(key: Any, value: Any) -> Any:
        if not isinstance(value, dict) or "all_results" not in value:
            return value
        index = reprlib.repr(value.get("arch_index"))
        with errors_of(f"{path}, record {index}, schedule {reprlib.repr(key)}"):
            packed = pack(parse(value), curves=options.curves)
        if packed.index not in seen:
            seen.add(packed.index)
            if len(seen) % 50 == 0:
                # The number of all records is estimated from the share of the file that was read.
                options.progress(len(seen), round(len(seen) * size / max(1, read())))
        return spool.put(packed)

    def load(release: bool) -> Any:
        # What is left of a record in memory takes some kilobytes. If nothing is let go, users report
        # 28 GB for a file of 1.3 GB.
        return PickleReader(
            stream,
            {**_ALLOWED, **WEIGHTS},
            fold,
            release=release,
            persistent=no_weight,
            limit=_LIMIT,
            total=_UNPACKED + _RATIO * file_size,
            memory=MEMORY + (8 if release else 32) * file_size,
        ).load()

    start, data = stream.tell(), None
    with contextlib.suppress(SharedError):
        data = load(release=True)
    if data is None:
        # Trainings share containers, so none may be let go while it is read.
        stream.seek(start)
        spool.clear()
        data = load(release=False)
    texts = _texts(data)
    result = {}
    for index, record in data["arch2infos"].items():
        if type(index) is not int or not isinstance(record, dict):
            raise TableFileError(f"record {reprlib.repr(index)} is not that of an architecture")
        if names is None:
            schedules = {check_schedule(key): one for key, one in record.items()}
        else:
            schedules = {name: record[key] for key, name in names.items() if key in record}
        if not schedules or not all(isinstance(one, Spooled) for one in schedules.values()):
            raise TableFileError(f"record {reprlib.repr(index)} holds no results of a schedule")
        result[index] = schedules
    if not result:
        raise TableFileError("it holds no record of an architecture")
    evaluated = list(data.get("evaluated_indexes", result))
    if not all(type(index) is int and 0 <= index < len(texts) for index in evaluated):
        raise TableFileError(f"its evaluated_indexes are not from 0 to {len(texts) - 1}")
    return Whole(texts, result, sorted(evaluated))


@contextmanager
def collected(
    whole: Whole, spool: Spool, space: str, path: Path, folder: Path
) -> Iterator[Collector]:
    """Puts records in the order of their indices into a collector."""
    with errors_of(path):
        collector = Collector(whole.texts, space, folder.parent)
    collector.evaluated = np.array(whole.evaluated, dtype=np.int64)
    with collector:
        for index in sorted(whole.records):
            with errors_of(f"{path}, record {index}"):
                record = whole.records.pop(index)
                collector.add(index, {name: spool.take(one) for name, one in record.items()})
        spool.clear()
        yield collector


def _convert_single(path: Path, folder: Path, options: ImportOptions) -> None:
    with Spool(folder.parent) as spool:
        with errors_of(path), open(path, "rb") as file, bz2.open(file) as stream:
            whole = records_of(cast(BinaryIO, stream), path, options, file.tell, spool)
        table = table_of(whole.texts)
        with collected(whole, spool, _TABLES[table][0], path, folder) as collector:
            _write(collector, path, folder, table, options)


def _write(
    collector: Collector, path: Path, folder: Path, table: str, options: ImportOptions
) -> None:
    _, schedules, what = _TABLES[table]
    stem = path.name.removesuffix(".tar").removesuffix(_EXTENSION)

    words = described(collector, table, what, options.curves)

    def info(draft: TableInfo) -> TableInfo:
        return replace(
            draft,
            name=options.name or words["name"],
            description=words["description"],
            citation=words["citation"],
            licence="MIT",
            source=origin(path, stem),
            clock="official",
            **tasks(collector, schedules),
        )

    collector.write(folder, info, path)


def recognise(path: Path) -> str | None:
    """The table that an archive or single file holds."""
    try:
        if _is_archive(path):
            parts = _parts(path)
            meta = parts.pop(f"meta{_EXTENSION}", None)
            if meta is None:
                return None
            table = table_of(_texts(_load(meta)[0]))
            with contextlib.suppress(Exception):  # what is wrong with it is told when it is read
                return named(table, _Unpacked(parts[min(parts)].read()).read(_NAMES))
            return table
        with open(path, "rb") as file:
            if file.read(3) != b"BZh":
                return None
        with bz2.open(path, "rb") as stream:
            head = stream.read(_HEAD)
            found = single(head, "nats-tss", "nats-sss")
            # The strings of all architectures come before the first record.
            return found and named(found, head[-_NAMES:] + stream.read(_NAMES))
    except Exception:  # the content may be anything
        return None


def single(head: bytes, cells: str, sizes: str | None) -> str | None:
    """The table of a pickle of all architectures, recognised by its first bytes."""
    if b"meta_archs" not in head and b"arch2infos" not in head:
        return None
    # Records of the size space hold the string of a cell too.
    if _SIZES.search(head):
        return sizes
    return cells if re.search(rb"\|[a-z_0-9]{1,40}~0\|\+\|", head) else None


def convert(path: Path, folder: Path, options: ImportOptions) -> None:
    """Writes the table of an archive or single file into an empty folder."""
    if _is_archive(path):
        _convert_simple(path, folder, options)
    else:
        _convert_single(path, folder, options)


FORMAT = FileFormat(
    name="NATS-Bench",
    tables={
        "nats-tss": "NATS-tss-v1_0-3ffb9-simple (folder or .tar), NATS-tss-v1_0-3ffb9.pickle.pbz2",
        "nats-sss": "NATS-sss-v1_0-50262-simple (folder or .tar), NATS-sss-v1_0-50262.pickle.pbz2",
        "nas-bench-360-ninapro": "NATS-tss-v1_0-daa55.pickle.pbz2",
        "nas-bench-360-darcyflow": "NATS-tss-v1_0-48858.pickle.pbz2",
    },
    recognise=recognise,
    convert=convert,
    official=(
        "NATS-tss-v1_0-3ffb9-simple",
        "NATS-tss-v1_0-3ffb9-simple.tar",
        "NATS-tss-v1_0-3ffb9.pickle.pbz2",
        "NATS-sss-v1_0-50262-simple",
        "NATS-sss-v1_0-50262-simple.tar",
        "NATS-sss-v1_0-50262.pickle.pbz2",
        "NATS-tss-v1_0-daa55.pickle.pbz2",
        "NATS-tss-v1_0-48858.pickle.pbz2",
    ),
)
"""The format of NATS-Bench."""

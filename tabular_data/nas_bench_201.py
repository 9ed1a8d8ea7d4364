"""NAS-Bench-201, from its ``.pth`` files, which are read without PyTorch.

Dong and Yang, "NAS-Bench-201: Extending the scope of reproducible neural architecture search", ICLR
2020 (arXiv 2001.00326). ``torch.save`` has written two layouts: several pickles one after the other
(before PyTorch 1.6), and a zip archive with the pickle as one of its members.
"""

from __future__ import annotations

import reprlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from nasbench_lab.bounded_files import Pieces
from nasbench_lab.errors import TableFileError
from nasbench_lab.tables.columns import TableInfo
from nasbench_lab.tables.pickles.reader import PickleReader, errors_of
from nasbench_lab.tables.sources import FileFormat, ImportOptions
from tabular_data._nats_collector import Collector
from tabular_data._origins import origin
from tabular_data.nats_bench import collected, note, records_of, single, tasks

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DIRECTORY = 1 << 22
"""The most bytes of a zip archive's list of members; real ones have about five."""
_NAMES = {"less": "12", "full": "200"}
"""The names of the schedules in the file."""

_CITATION = """@inproceedings{dong2020nasbench201,
  title = {{NAS-Bench-201}: Extending the Scope of Reproducible Neural Architecture Search},
  author = {Dong, Xuanyi and Yang, Yi},
  booktitle = {International Conference on Learning Representations},
  year = {2020}
}"""


@contextmanager
def _pickle(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The file, and the stream of the pickle with the data, in either layout."""
    with open(path, "rb") as file:
        pieces = cast(BinaryIO, Pieces(file, _DIRECTORY))
        if not zipfile.is_zipfile(pieces):
            file.seek(0)
            yield file, _after_head(file)
            return
        with zipfile.ZipFile(pieces) as archive:
            members = [one for one in archive.infolist() if one.filename.endswith("/data.pkl")]
            # A compressed member may unpack to gigabytes before its first byte is read.
            if len(members) != 1 or members[0].compress_type != zipfile.ZIP_STORED:
                raise TableFileError(
                    "expected one data.pkl in it, not compressed, as torch.save writes"
                )
            with archive.open(members[0]) as stream:
                yield file, cast(BinaryIO, stream)


def _after_head(file: BinaryIO) -> BinaryIO:
    """Reads the three small pickles before the data, and stops at the start of the data."""
    for position, expected in ((0, _MAGIC), (1, _PROTOCOL), (2, None)):
        reader = PickleReader(file, {}, limit=1 << 22)
        start = file.tell()
        part = reader.load()
        file.seek(start + reader.consumed)
        if expected is not None and part != expected:
            raise TableFileError(
                f"part {position} of it is {reprlib.repr(part)}, which torch.save does not write"
            )
    return file


def recognise(path: Path) -> str | None:
    """The table that a file holds."""
    try:
        if path.is_dir():
            return None
        with _pickle(path) as (_, stream):
            head = stream.read(1 << 20)
    except Exception:  # the content may be anything
        return None
    return single(head, "nas-bench-201", None)


def convert(path: Path, folder: Path, options: ImportOptions) -> None:
    """Writes the table of a file into an empty folder."""
    with errors_of(path), _pickle(path) as (file, stream):
        whole = records_of(stream, path, options, file.tell, _NAMES)
    with collected(whole, "nb201", path, folder) as collector:
        _write(collector, path, folder, options)


def _write(collector: Collector, path: Path, folder: Path, options: ImportOptions) -> None:
    def info(draft: TableInfo) -> TableInfo:
        return replace(
            draft,
            name=options.name or "nas-bench-201",
            description=(
                f"NAS-Bench-201: accuracies, losses and times after each epoch of 15,625 cells on "
                f"CIFAR-10, CIFAR-100 and ImageNet16-120. {note(options.curves)}"
            ),
            citation=_CITATION,
            licence="MIT",
            source=origin(path, path.stem),
            clock="official",
            **tasks(collector, ("12", "200")),
        )

    collector.write(folder, info, path)


FORMAT = FileFormat(
    name="NAS-Bench-201",
    tables={"nas-bench-201": "NAS-Bench-201-v1_1-096897.pth or NAS-Bench-201-v1_0-e61699.pth"},
    recognise=recognise,
    convert=convert,
    official=("NAS-Bench-201-v1_1-096897.pth", "NAS-Bench-201-v1_0-e61699.pth"),
)
"""The format of NAS-Bench-201."""

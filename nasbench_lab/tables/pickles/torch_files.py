"""Files that ``torch.save`` has written, which are read without PyTorch.

There are two layouts: several pickles one after the other (before PyTorch 1.6), and a zip archive with
the pickle as one of its members.
"""

from __future__ import annotations

import reprlib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from nasbench_lab.bounded_files import Pieces
from nasbench_lab.errors import TableFileError
from nasbench_lab.tables.pickles.reader import PickleReader

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DIRECTORY = 1 << 22
"""The most bytes of a zip archive's list of members; real ones have about five."""

WEIGHTS: Mapping[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): lambda *_: None,
    ("torch._utils", "_rebuild_parameter"): lambda *_: None,
    ("torch", "FloatStorage"): lambda *_: None,
    ("torch", "LongStorage"): lambda *_: None,
}
"""Stand-ins for the names of weights, which are not read."""


def no_weight(_: object) -> None:
    """Stands in for the values of weights."""


@contextmanager
def torch_pickle(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The file, and the stream of the pickle with the data, in either layout.

    Raises:
        TableFileError: It is not what ``torch.save`` writes.
    """
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

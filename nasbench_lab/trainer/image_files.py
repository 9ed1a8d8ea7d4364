"""The files of CIFAR-10, CIFAR-100 and ImageNet16, as their authors distribute them.

CIFAR: Krizhevsky, "Learning multiple layers of features from tiny images", 2009; pickles of Python
2 in a tar archive. ImageNet16: Chrabaszcz, Loshchilov and Hutter, "A downsampled variant of
ImageNet as an alternative to the CIFAR datasets", 2017 (arXiv 1707.08819); pickles in a folder.
ImageNet16-120 has its images with the first 120 labels (Dong and Yang, "NAS-Bench-201", ICLR 2020,
section 2.2).

Nothing in a file is run, and nothing is unpacked to disk.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import reprlib
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import MissingSourceError, TableFileError, UnsafeFileError
from nasbench_lab.files import read_text
from nasbench_lab.tables.pickles.reader import ARRAYS, Array, PickleReader, errors_of

LabelledImages = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""``(n, height, width, channels)`` bytes and ``(n,)`` class numbers."""


@dataclass(frozen=True)
class ImageFiles:
    """The files of a data set, as its authors distribute it.

    Args:
        folder: The name of the folder that holds the files.
        parts: The files of training and test set, with the MD5 of each.
        labels: The key of a file's labels.
        size: Height and width of an image, in pixels.
        label_range: The lowest and the highest label that a file may have.
        classes: How many labels are kept, from the lowest on; other images are left out.
        origin: Where to get the files.
        mean: Mean of red, green and blue in NAS-Bench-201, 0 to 255.
        std: Standard deviation of red, green and blue, likewise.
        split: The file of NAS-Bench-201 with the halves of the set that it divides.
        split_keys: The keys of that file, in the order of our splits.
        archive: The tar archive of the folder, if there is one, and its MD5.
    """

    folder: str
    parts: Mapping[str, Mapping[str, str]]
    labels: str
    size: int
    label_range: tuple[int, int]
    classes: int
    origin: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    split: str
    split_keys: tuple[str, str]
    archive: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, str]:
        """All files and the MD5 of each."""
        return {file: md5 for part in self.parts.values() for file, md5 in part.items()}


_CIFAR = "https://www.cs.toronto.edu/~kriz/cifar.html"

# The MD5 of the archives are from the authors' page, those of the files in them from torchvision
# (torchvision/datasets/cifar.py). The MD5 of ImageNet16, and all means and standard deviations, are
# from the code of NAS-Bench-201 (D-X-Y/AutoDL-Projects, xautodl/datasets/DownsampledImageNet.py and
# get_dataset_with_transform.py).
FILES: dict[str, ImageFiles] = {
    "cifar10": ImageFiles(
        folder="cifar-10-batches-py",
        parts={
            "train": {
                "data_batch_1": "c99cafc152244af753f735de768cd75f",
                "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
                "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
                "data_batch_4": "634d18415352ddfa80567beed471001a",
                "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            },
            "test": {"test_batch": "40351d587109b95175f43aff81a1287e"},
        },
        labels="labels",
        size=32,
        label_range=(0, 9),
        classes=10,
        origin=_CIFAR,
        mean=(125.3, 123.0, 113.9),
        std=(63.0, 62.1, 66.7),
        split="cifar-split.txt",
        split_keys=("train", "valid"),
        archive={"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"},
    ),
    "cifar100": ImageFiles(
        folder="cifar-100-python",
        parts={
            "train": {"train": "16019d7e3df5f24257cddd939b257f8d"},
            "test": {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        },
        labels="fine_labels",
        size=32,
        label_range=(0, 99),
        classes=100,
        origin=_CIFAR,
        mean=(129.3, 124.1, 112.4),
        std=(68.2, 65.4, 70.4),
        split="cifar100-test-split.txt",
        split_keys=("xvalid", "xtest"),
        archive={"cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85"},
    ),
    "ImageNet16-120": ImageFiles(
        folder="ImageNet16",
        parts={
            "train": {
                "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
                "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
                "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
                "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
                "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
                "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
                "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
                "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
                "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
                "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
            },
            "test": {"val_data": "3410e3017fdaefba8d5073aaa65e4bd6"},
        },
        labels="labels",
        size=16,
        label_range=(1, 1000),
        classes=120,
        origin=(
            "https://image-net.org/download-images (downsampled ImageNet, 16 by 16 pixels), or "
            "from where https://github.com/D-X-Y/AutoDL-Projects says"
        ),
        mean=(122.68, 116.66, 104.01),
        std=(63.22, 61.26, 65.09),
        split="imagenet-16-120-test-split.txt",
        split_keys=("xvalid", "xtest"),
    ),
}

_UNPACKED = 1 << 28
"""The most bytes of an unpacked archive; 60,000 images have 184 million."""
_PIECE = 1 << 21
"""Bytes that are unpacked at once."""
_LONGEST = 1 << 24
"""The most bytes of a split file; the longest has half a million."""


def read_images(name: str, folder: Path, *, verify: bool = True) -> dict[str, LabelledImages]:
    """Reads the training set (``"train"``) and the test set (``"test"``) of a data set.

    Classes are numbered from 0. Images are in the order of the files.

    Args:
        name: One of ``FILES``.
        folder: The folder that holds the files, its parent, or the folder of the archive. Unpacked
            files are preferred.
        verify: Whether files are refused if their MD5 is not the published one.

    Raises:
        MissingSourceError: A file is missing.
        TableFileError: A file is not the published one, is damaged, or holds something else.
        UnsafeFileError: A file asks for code to be run, or is out of all proportion.
    """
    source = FILES[name]
    read: dict[str, LabelledImages] = {}
    for what, file, stream in _streams(name, source, folder, verify):
        with errors_of(what):
            read[file] = _batch(stream, source)
    result = {}
    for part, files in source.parts.items():
        images, labels = zip(*(read.pop(file) for file in files), strict=True)
        result[part] = np.concatenate(images), np.concatenate(labels)
        if not len(result[part][1]):
            raise TableFileError(f"{folder}: the {part} set of {name} holds no image.")
    return result


def check_present(name: str, folder: Path) -> None:
    """Refuses a folder that lacks a file, before anything is read.

    Args:
        name: One of ``FILES``.
        folder: As for ``read_images``.

    Raises:
        MissingSourceError: A file is missing.
        TableFileError: The folder cannot be looked into.
    """
    _place(name, FILES[name], folder)


def read_split(path: Path, keys: tuple[str, str], n: int) -> list[NDArray[np.int64]]:
    """Reads the two sets of ``n`` images from a split file of NAS-Bench-201.

    It is JSON: ``{"train": ["int", ["0", "5", ...]], "valid": ["int", ["1", ...]]}``, with the
    numbers of the images, from 0 on, as text or as numbers.

    Returns:
        ``(m,)`` numbers for each key, in the file's order. No image is in both sets.

    Raises:
        MissingSourceError: There is no such file.
        TableFileError: It holds something else.
    """
    if not path.is_file():
        raise MissingSourceError(
            f"The split file {path} does not exist. Get it from configs/nas-benchmark of "
            f"https://github.com/D-X-Y/AutoDL-Projects, or split by rule without a split file."
        )
    with errors_of(path):
        content = json.loads(read_text(path, _LONGEST))
        if not isinstance(content, dict) or set(content) != set(keys):
            raise TableFileError(
                f"expected an object with the keys {keys[0]!r} and {keys[1]!r} but got "
                f"{_short(content)}. Give the split file of this data set."
            )
        sets = [_image_numbers(key, content[key], n) for key in keys]
        times = np.zeros(n, dtype=np.int64)
        for key, numbers in zip(keys, sets, strict=True):
            times += np.bincount(numbers, minlength=n)
            if times.max() > 1:
                raise TableFileError(
                    f"expected each image once but {times.argmax()} is repeated in {key!r}."
                )
    return sets


def _image_numbers(key: str, content: Any, n: int) -> NDArray[np.int64]:
    if (
        not isinstance(content, list)
        or len(content) != 2
        or content[0] != "int"
        or not isinstance(content[1], list)
        or not content[1]
    ):
        raise TableFileError(
            f'expected ["int", [numbers of images]] as {key!r} but got {_short(content)}.'
        )
    numbers = []
    for value in content[1]:
        # For digits longer than any image's number, int() would take long or fail.
        text = isinstance(value, str) and len(value) < 10 and value.isascii() and value.isdigit()
        number = int(value) if text or type(value) is int else -1
        if not 0 <= number < n:
            raise TableFileError(
                f"expected numbers from 0 to {n - 1} as {key!r} but got {_short(value)}. Give the "
                f"split file of this data set."
            )
        numbers.append(number)
    return np.array(numbers, dtype=np.int64)


# Finding and checking the files


def _streams(
    name: str, source: ImageFiles, folder: Path, verify: bool
) -> Iterator[tuple[str, str, IO[bytes]]]:
    """The name in messages, the name and the bytes of each file."""
    place = _place(name, source, folder)
    if place is None:
        for file in source.archive:
            if verify:
                _check(folder / file, source.archive[file], source)
            yield from _members(folder / file, source)
        return
    for file, md5 in source.files.items():
        if verify:
            _check(place / file, md5, source)
        with errors_of(place / file), open(place / file, "rb") as stream:
            yield str(place / file), file, stream


def _place(name: str, source: ImageFiles, folder: Path) -> Path | None:
    """The folder that holds all files; None if the archive is there in their place."""
    with errors_of(folder):
        places = [folder, folder / source.folder]
        absent = [[file for file in source.files if not (p / file).is_file()] for p in places]
        packed = any((folder / file).is_file() for file in source.archive)
    for place, missing in zip(places, absent, strict=True):
        if not missing:
            return place
    if not packed:
        raise MissingSourceError(_missing(name, source, folder, min(absent, key=len)))
    return None


def _check(path: Path, expected: str, source: ImageFiles) -> None:
    with errors_of(path):
        with open(path, "rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
        if (got := digest.hexdigest()) != expected:
            raise TableFileError(
                f"expected the published file, of MD5 {expected}, but got one of MD5 {got}. Get it "
                f"anew from {source.origin}; if it is meant to differ, read it with verify=False."
            )


def _missing(name: str, source: ImageFiles, folder: Path, files: list[str]) -> str:
    """The message if there is neither the folder nor the archive."""
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    either = "".join(f", or {file} (MD5 {md5})" for file, md5 in source.archive.items())
    return (
        f"{name} is not complete in {folder}, nor in the folder {source.folder} in it: expected "
        f"{files[0]} (MD5 {source.files[files[0]]}){more}{either}. Get it from {source.origin}."
    )


class _Unpacking(gzip.GzipFile):
    """A packed file that is refused if it unpacks to far more than it should."""

    def read(self, size: int | None = -1) -> bytes:
        # Only a false header of the archive asks for more at once.
        data = super().read(_PIECE if size is None or size < 0 else min(size, _PIECE))
        if self.tell() > _UNPACKED:
            raise UnsafeFileError(f"it unpacks to more than {_UNPACKED:,} bytes")
        return data


def _members(path: Path, source: ImageFiles) -> Iterator[tuple[str, str, IO[bytes]]]:
    """The files in an archive, in its order, as it is unpacked."""
    wanted = {f"{source.folder}/{file}": file for file in source.files}
    with (
        errors_of(path),
        _Unpacking(path) as unpacking,
        tarfile.open(fileobj=unpacking, mode="r:") as archive,
    ):
        for member in archive:
            file = wanted.pop(member.name.removeprefix("./"), None)
            stream = archive.extractfile(member) if member.isreg() else None
            if file is not None and stream is not None:
                yield f"{path}: {member.name}", file, stream
            elif file is not None:
                raise TableFileError(f"expected {member.name} to be a file.")
        while unpacking.read(1 << 20):
            pass  # the checksum of the whole is at the end
        if wanted:
            raise TableFileError(
                f"expected it to hold {', '.join(wanted)}. Get it anew from {source.origin}."
            )


# Reading one file


def _batch(stream: IO[bytes], source: ImageFiles) -> LabelledImages:
    """The images and labels of one pickle, for the classes that are kept."""
    content = PickleReader(stream, ARRAYS).load()
    data = _entry(content, "data")
    wide = 3 * source.size**2
    pixels = data.values if isinstance(data, Array) else np.empty(0)
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != wide:
        got = f"{pixels.shape} {pixels.dtype}" if isinstance(data, Array) else _short(data)
        raise TableFileError(f"expected an array of (n, {wide}) bytes as 'data' but got {got}.")
    raw_labels = _entry(content, source.labels)
    low, high = source.label_range
    if not isinstance(raw_labels, list) or len(raw_labels) != len(pixels):
        raise TableFileError(
            f"expected a list of {len(pixels):,} labels as {source.labels!r} but got "
            f"{_short(raw_labels)}."
        )
    for label in raw_labels:
        if type(label) is not int or not low <= label <= high:
            raise TableFileError(
                f"expected whole numbers from {low} to {high} as {source.labels!r} but got "
                f"{_short(label)}."
            )
    labels = np.array(raw_labels, dtype=np.int64) - low
    in_range = labels < source.classes
    if not in_range.all():
        pixels, labels = pixels[in_range], labels[in_range]
    # The files have all red values first, then green, then blue.
    images = pixels.reshape(-1, 3, source.size, source.size).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels


def _entry(content: object, key: str) -> Any:
    if not isinstance(content, dict):
        raise TableFileError(f"expected a dict with the key {key!r} but got {_short(content)}.")
    # A file of Python 2 that Python 3 rewrote may have bytes as keys.
    value = content.get(key, content.get(key.encode()))
    if value is None:
        raise TableFileError(f"expected the key {key!r} but got {_short(list(content))}.")
    return value


def _short(value: object) -> str:
    return f"{reprlib.repr(value)[:200]} ({type(value).__name__})"

"""Data to train on: ``digits`` and ``mnist1d``, which every install has, and the user's files.

Images are whole arrays of bytes, so they fit on a GPU and are augmented there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import MissingSourceError, TableFileError, UnknownNameError
from nasbench_lab.guard import kept_generators
from nasbench_lab.trainer import mnist1d
from nasbench_lab.trainer.image_files import FILES, check_present, read_images, read_split

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images with labels, in splits that do not overlap.

    Args:
        name: The data set's name.
        images: ``(n, height, width, channels)`` whole numbers by split: bytes, or for signals, whose
            height is 1, 16 bits.
        labels: ``(n,)`` class numbers by split.
        classes: The number of classes.
        mean: The mean of each channel in the unit of the images, for normalisation.
        std: The standard deviation of each channel, likewise.
        halves: The origin of the halves of a divided set: ``"official"`` for those of NAS-Bench-201,
            ``"rule"`` for ours; empty if nothing is halved or the data set has its own split.
    """

    name: str
    images: Mapping[str, NDArray[np.uint8] | NDArray[np.int16]]
    labels: Mapping[str, NDArray[np.int64]]
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    halves: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.images["train"].shape[1:]
        return height, width, channels

    def first(self, n: int) -> ImageData:
        """The data set with the first ``n`` images of each split, or all of them."""
        return replace(
            self,
            images={split: images[:n] for split, images in self.images.items()},
            labels={split: labels[:n] for split, labels in self.labels.items()},
        )

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of all images and labels, by split."""
        digest = hashlib.sha256()
        for split in SPLITS:
            if split in self.images:
                digest.update(split.encode())
                digest.update(np.ascontiguousarray(self.images[split]).data.cast("B"))
                digest.update(np.ascontiguousarray(self.labels[split], dtype="<i8").data)
        return digest.hexdigest()


def _digits() -> ImageData:
    """Scikit-learn's digits: 1,797 images of 8 by 8 pixels with 17 grey levels.

    They are the test part of the UCI data set "Optical recognition of handwritten digits" (Alpaydin
    and Kaynak 1998). The split is fixed: 800 to train on, 500 for validation, 497 for testing, with
    each class in proportion.
    """
    # What this imports draws a number from Python's global generator.
    with kept_generators():
        from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = images.astype(np.uint8).reshape(-1, 8, 8, 1)
    # Each class is shuffled and spread evenly over [0, 1), so the same cuts serve all classes.
    rng = np.random.default_rng(np.random.SeedSequence(1998))
    place = np.empty(len(labels))
    for label in range(10):
        members = np.flatnonzero(labels == label)
        place[rng.permutation(members)] = (np.arange(len(members)) + 0.5) / len(members)
    order = np.argsort(place, kind="stable")
    parts = dict(zip(SPLITS, np.split(order, [800, 1300]), strict=True))
    seen = pixels[parts["train"]].astype(np.float64)
    return ImageData(
        "digits",
        {split: pixels[part] for split, part in parts.items()},
        {split: labels[part].astype(np.int64) for split, part in parts.items()},
        classes=10,
        mean=(float(seen.mean()),),
        std=(float(seen.std()),),
    )


MNIST1D_SIZES = {"train": 4000, "valid": 5000, "test": 5000}
"""Signals by split."""


def _mnist1d() -> ImageData:
    """MNIST-1D, drawn by ``nasbench_lab.trainer.mnist1d``; each class has a tenth of each split."""
    drawn = {split: mnist1d.split(n, seed) for seed, (split, n) in enumerate(MNIST1D_SIZES.items())}
    seen = drawn["train"][0].astype(np.float64)
    return ImageData(
        "mnist1d",
        {split: signals.reshape(-1, 1, mnist1d.LENGTH, 1) for split, (signals, _) in drawn.items()},
        {split: labels for split, (_, labels) in drawn.items()},
        classes=10,
        mean=(float(seen.mean()),),
        std=(float(seen.std()),),
    )


FEW = 1000
"""Signals of each split of the small MNIST-1D, on which a network is trained in a second."""


def _few_of_mnist1d() -> ImageData:
    """The first signals of each split of MNIST-1D, normalised as all are."""
    return replace(_mnist1d().first(FEW), name=f"mnist1d-{FEW}")


DATASETS = {
    "digits": "scikit-learn's handwritten digits, 8 by 8 pixels",
    "mnist1d": "MNIST-1D, signals of 40 values, drawn by a program",
    f"mnist1d-{FEW}": f"the first {FEW:,} signals of each split of MNIST-1D",
    "cifar10": "CIFAR-10, 32 by 32 pixels, from its authors' files",
    "cifar100": "CIFAR-100, 32 by 32 pixels, from its authors' files",
    "ImageNet16-120": "the first 120 classes of ImageNet16, 16 by 16 pixels, from its authors' files",
}
"""The data sets by name."""

_WITHOUT_FILES = {"digits": _digits, "mnist1d": _mnist1d, f"mnist1d-{FEW}": _few_of_mnist1d}


def load_data(
    name: str,
    folder: Path | None = None,
    *,
    trained_on: str = "train",
    split_file: Path | None = None,
    verify: bool = True,
) -> ImageData:
    """Reads a data set.

    ``digits`` and ``mnist1d`` need no files and have their own splits. The others are split as in
    NAS-Bench-201 (Dong and Yang, ICLR 2020, section 2.2), with its mean and standard deviation. The
    training set of ``cifar10`` is halved into ``"train"`` and ``"valid"``; the test sets of
    ``cifar100`` and ``ImageNet16-120`` are halved into ``"valid"`` and ``"test"``.

    The halves are those of NAS-Bench-201 only with its split file (``cifar-split.txt``,
    ``cifar100-test-split.txt`` or ``imagenet-16-120-test-split.txt``, from D-X-Y/AutoDL-Projects,
    ``configs/nas-benchmark``), given as ``split_file`` or in ``folder`` under this name. Without it, a
    fixed rule of this project makes different halves: it shuffles the images of each class and deals
    them out in turn.

    Args:
        name: One of ``DATASETS``.
        folder: The folder that holds the files, its parent, or the folder of the archive. Not used
            for ``digits`` and ``mnist1d``.
        trained_on: ``"train"``, or for ``cifar10`` also ``"train+valid"``: then the whole training
            set is ``"train"``, and there is no ``"valid"``.
        split_file: The split file. It is not read if nothing is halved.
        verify: Whether files are refused if their MD5 is not the published one.

    Raises:
        UnknownNameError: There is no data set of this name, or it has no such part to train on.
        MissingSourceError: A file is missing.
        TableFileError: A file is not the published one, is damaged, or holds something else.
    """
    if name not in DATASETS:
        raise UnknownNameError("data set", name, DATASETS)
    parts = ["train", "train+valid"] if name == "cifar10" else ["train"]
    if trained_on not in parts:
        raise UnknownNameError(
            f"part of {name} to train on",
            trained_on,
            parts,
            "Only cifar10 has its images for validation in the training set.",
        )
    if name in _WITHOUT_FILES:
        if split_file is not None:
            raise TableFileError(
                f"{split_file} is not read: the split of {name} is fixed. Give no split file."
            )
        return _WITHOUT_FILES[name]()
    if folder is None:
        raise MissingSourceError(_no_folder(name))
    return _from_files(name, Path(folder), trained_on, split_file, verify)


def check_files(name: str, folder: Path | None) -> Path | None:
    """Refuses a folder that lacks a file of a data set, before anything is read.

    Args:
        name: One of ``DATASETS``.
        folder: The folder, as for ``load_data``; ``~`` is the user's.

    Returns:
        The folder; None for a data set without files.

    Raises:
        MissingSourceError: A file is missing, or no folder is named.
        TableFileError: The folder cannot be looked into.
    """
    if name not in FILES:
        return None
    if folder is None:
        raise MissingSourceError(_no_folder(name))
    folder = folder.expanduser()
    check_present(name, folder)
    return folder


def _no_folder(name: str) -> str:
    return (
        f"{name} is read from files. Name the folder with them; get them from {FILES[name].origin}."
    )


def _from_files(
    name: str, folder: Path, trained_on: str, split_file: Path | None, verify: bool
) -> ImageData:
    source = FILES[name]
    whole = read_images(name, folder, verify=verify)
    whose = ""
    if trained_on == "train":
        part, halves = ("train", SPLITS[:2]) if name == "cifar10" else ("test", SPLITS[1:])
        images, labels = whole.pop(part)
        named = folder / source.split if split_file is None else Path(split_file)
        if split_file is not None or named.exists():
            whose, chosen = "official", read_split(named, source.split_keys, len(labels))
        else:
            whose, chosen = "rule", halved(labels)
        whole |= {half: (images[i], labels[i]) for half, i in zip(halves, chosen, strict=True)}
    return ImageData(
        name,
        {split: whole[split][0] for split in SPLITS if split in whole},
        {split: whole[split][1] for split in SPLITS if split in whole},
        classes=source.classes,
        mean=source.mean,
        std=source.std,
        halves=whose,
    )


def searched(data: ImageData) -> tuple[ImageData, list[NDArray[np.int64]]]:
    """The images that a supernet is trained on, as the split ``"train"``, in two halves.

    Those of ``cifar10`` are the whole training set of its authors, in the halves ``"train"`` and
    ``"valid"``, as in NAS-Bench-201's searches and, up to the choice of the halves, in DARTS (Liu et
    al., ICLR 2019, section 3.1). Those of other data sets are their split ``"train"``, halved by the
    rule. Test images are none of them.

    Returns:
        Data with the one split, and the numbers of the images of each half.
    """
    images, labels = data.images["train"], data.labels["train"]
    if data.name == "cifar10" and "valid" in data.labels:
        halves = np.split(np.arange(len(labels) + len(data.labels["valid"])), [len(labels)])
        images = np.concatenate([images, data.images["valid"]])
        labels = np.concatenate([labels, data.labels["valid"]])
    else:
        halves = halved(labels)
    return replace(data, images={"train": images}, labels={"train": labels}), halves


def halved(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The sorted numbers of the images of two halves; classes are split evenly, up to one image."""
    rng = np.random.default_rng(np.random.SeedSequence(201))
    by_class = np.lexsort((rng.random(len(labels)), labels))
    return [np.sort(by_class[start::2]) for start in (0, 1)]

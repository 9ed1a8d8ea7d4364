"""Data of a user's own: arrays, an ``.npz`` file, or a function."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.bounded_files import check_regular
from nasbench_lab.errors import DataError, MissingSourceError, UnsafeFileError, quoted, short
from nasbench_lab.files import nearest_file
from nasbench_lab.guard import kept_generators, seed_generators
from nasbench_lab.mistakes import told
from nasbench_lab.trainer.datasets import DATASETS, SPLITS, ImageData, load_data
from nasbench_lab.user_code.functions import taken_function

AnyData = ImageData | str | Path | Mapping[str, Any] | Callable[[], Any]
"""What can be trained on, see ``image_data``."""

KEYS = tuple(f"{letter}_{split}" for split in SPLITS for letter in "xy")
"""The names of a user's arrays."""

VALIDATION_SHARE = 5
"""Without validation data, one of so many training examples of each class is taken for it."""

_EXPECTED = (
    "Expected arrays x_train and y_train, and if there are any x_valid, y_valid, x_test and y_test: x "
    "of shape (n, length) for signals, (n, height, width) for grey images or (n, height, width, "
    "channels), of numbers; y of shape (n,), the classes as whole numbers from 0"
)


def image_data(
    data: AnyData, folder: Path | None = None, *, trained_on: str = "train", name: str = "own"
) -> ImageData:
    """Data to train on.

    A user's own are arrays ``x_train`` and ``y_train``, and if there are any ``x_valid``, ``y_valid``,
    ``x_test`` and ``y_test``. Images have the shape ``(n, height, width)`` or ``(n, height, width,
    channels)``, signals ``(n, length)``; signals of several channels are images of height 1. Labels
    are whole numbers from 0. Without validation data, a fixed fifth of each class of the training
    data is taken for it. Means and standard deviations of the channels, by which all is normalised,
    are those of the training data.

    Args:
        data: The name of a data set, an ``.npz`` file with these arrays, ``path/to/file.py:NAME`` of a
            function that returns them as a mapping, or ``ImageData``; such a function; the mapping; or
            ``ImageData``.
        folder: The folder with the files of a data set, see ``load_data``.
        trained_on: What a data set is trained on, see ``load_data``.
        name: The name of arrays that come from no file.

    Raises:
        DataError: The arrays are not as described; the message says what came.
        UnsafeFileError: The file holds Python objects, which only code that is run could read.
        MissingSourceError: There is no such file.
        UnknownNameError: There is no data set of this name.
        AlgorithmFileError: The file of the function cannot be read or executed.
    """
    if isinstance(data, ImageData):
        return data
    if isinstance(data, str | Path):
        text = str(data)
        if text in DATASETS:
            return load_data(text, folder, trained_on=trained_on)
        if text.endswith(".npz"):
            return _from_arrays(read_npz(Path(text)), Path(text).stem, text)
        path, _, function = text.rpartition(":")
        if not path.endswith(".py"):
            return load_data(text, folder, trained_on=trained_on)  # which knows no such name
        return _called(text, function)
    if isinstance(data, Mapping):
        return _from_arrays(data, name, "the data")
    return _called(data, getattr(data, "__name__", name))


def _called(function: str | Callable[[], Any], name: str) -> ImageData:
    """What a user's function returns."""
    taken = taken_function(function)
    with kept_generators():
        seed_generators(0)  # what it draws from them is the same every time
        try:
            made = taken()
        except Exception as error:  # what others have written may raise anything
            raise DataError(
                f"The function {name} that makes the data failed: {told(error)}. Expected one without "
                f"arguments that returns a mapping of arrays."
            ) from error
    if isinstance(made, ImageData):
        return made
    if not isinstance(made, Mapping):
        raise DataError(
            f"{_EXPECTED}, as a mapping of names to arrays, but the function {name} returned "
            f"{type(made).__name__}."
        )
    return _from_arrays(made, name, f"what {name} returned")


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file, as ``numpy.savez`` writes it. No code in it is ever run.

    Raises:
        MissingSourceError: There is no such file.
        UnsafeFileError: It holds Python objects.
        DataError: It is damaged, or no such file.
    """
    path = path.expanduser()
    if not path.exists():
        raise MissingSourceError(f"There is no file {path}.{nearest_file(path)}")
    check_regular(path)
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise zipfile.BadZipFile("it is no .npz file, or cut off")
            file.seek(0)
            loaded = np.load(file, allow_pickle=False)
            names = loaded.files
            arrays = {name: loaded[name] for name in names if name in KEYS}
    except (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        if "Object arrays" in str(error):
            raise UnsafeFileError(
                f"{path} holds Python objects, which only running code in it could read; nothing of it "
                f"was. Save arrays of numbers: x.astype('float32'), y.astype('int64')."
            ) from error
        raise DataError(
            f"{path} cannot be read as arrays ({type(error).__name__}: {short(str(error))}). Write it "
            f"by numpy.savez(path, x_train=…, y_train=…, …)."
        ) from error
    if not arrays:
        raise DataError(f"{_EXPECTED}, but {path} holds {short(', '.join(names)) or 'nothing'}.")
    return arrays


def _from_arrays(arrays: Mapping[str, Any], name: str, where: str) -> ImageData:
    """Checks arrays, and makes a data set of them."""
    keys = list(map(str, arrays))
    unknown = [key for key in keys if key not in KEYS]
    half = [s for s in SPLITS if (f"x_{s}" in keys) != (f"y_{s}" in keys)]
    if unknown or half or "x_train" not in keys:
        raise DataError(f"{_EXPECTED}. But {where} has {short(', '.join(keys)) or 'nothing'}.")
    splits = [split for split in SPLITS if f"x_{split}" in keys]
    images = {split: image_array(arrays[f"x_{split}"], f"x_{split} of {where}") for split in splits}
    labels = {split: _labels(arrays[f"y_{split}"], f"y_{split} of {where}") for split in splits}
    for split in splits:
        if len(images[split]) != len(labels[split]):
            raise DataError(
                f"Expected as many labels as examples but {where} has x_{split} of "
                f"{len(images[split]):,} and y_{split} of {len(labels[split]):,}."
            )
        if images[split].shape[1:] != images["train"].shape[1:]:
            raise DataError(
                f"Expected x_{split} of {where} to have the shape of x_train, "
                f"{images['train'].shape[1:]} (height, width, channels), but got "
                f"{images[split].shape[1:]}."
            )
        if images[split].dtype != images["train"].dtype:
            images = {s: values.astype(np.float32) for s, values in images.items()}
    classes = int(labels["train"].max()) + 1
    found = np.unique(labels["train"])
    if len(found) < max(2, classes):
        lacking = sorted({0, 1, *range(min(classes, 1000))} - {*found.tolist()})
        raise DataError(
            f"Expected at least two classes in y_train of {where}, and each from 0 to the last, but "
            f"{', '.join(map(str, lacking[:5]))} {'is' if len(lacking) == 1 else 'are'} not there. "
            f"Number them, as by numpy.unique(y, return_inverse=True)[1]."
        )
    for split in splits:
        if labels[split].max() >= classes:
            raise DataError(
                f"Expected y_{split} of {where} to have no class that y_train lacks: 0 to "
                f"{classes - 1}, but got {labels[split].max()}."
            )
    if "valid" not in splits:
        held = _held_out(labels["train"])
        if not 0 < held.sum() < len(held):
            raise DataError(
                f"Expected x_valid and y_valid in {where}, or several training examples "
                f"of a class, of which one can be taken for validation."
            )
        for part in (images, labels):
            part["valid"], part["train"] = part["train"][held], part["train"][~held]
    seen = images["train"].astype(np.float64)
    deviations = seen.std(axis=(0, 1, 2))
    return ImageData(
        name,
        images,
        labels,
        classes=classes,
        mean=tuple(seen.mean(axis=(0, 1, 2)).tolist()),
        std=tuple(np.where(deviations > 0, deviations, 1.0).tolist()),
    )


def image_array(given: Any, what: str) -> NDArray[Any]:
    """A user's images as ``(n, height, width, channels)`` bytes, 16 bits or floats.

    Raises:
        DataError: They are not as ``image_data`` describes them.
    """
    array = _numbers(given, what)
    if array.ndim == 2:
        array = array[:, None, :, None]
    elif array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or 0 in array.shape:
        raise DataError(
            f"Expected {what} of shape (n, length), (n, height, width) or (n, height, width, channels) "
            f"but got {np.shape(given)}."
        )
    if array.dtype not in (np.uint8, np.int16):
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise DataError(f"Expected finite numbers in {what} but got NaN or infinity.")
    return np.ascontiguousarray(array)


def _labels(given: Any, what: str) -> NDArray[np.int64]:
    """``(n,)`` classes."""
    array = _numbers(given, what)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not len(array):
        raise DataError(f"Expected {what} of shape (n,) but got {np.shape(given)}.")
    whole = array.astype(np.int64)
    if (whole != array).any() or whole.min() < 0:
        raise DataError(
            f"Expected the classes in {what} as whole numbers from 0 but got "
            f"{quoted(array[(whole != array) | (whole < 0)][0].item())}. Number them, as by "
            f"numpy.unique(y, return_inverse=True)[1]."
        )
    return whole


def _numbers(given: Any, what: str) -> NDArray[Any]:
    try:
        array = np.asarray(given)
    except Exception as error:  # lists of unequal lengths, tensors on a GPU
        raise DataError(f"Expected an array as {what} but got {quoted(given)}.") from error
    if array.dtype.kind not in "buif":
        raise DataError(
            f"Expected numbers in {what} but got {array.dtype} of shape {array.shape}"
            f"{': ' + quoted(array.flat[0]) if array.size else ''}."
        )
    return array


def _held_out(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which training examples are taken for validation: every fifth of each class, shuffled."""
    rng = np.random.default_rng(np.random.SeedSequence(201))
    by_class = np.lexsort((rng.random(len(labels)), labels))
    starts = np.searchsorted(labels[by_class], labels[by_class])
    held = np.zeros(len(labels), dtype=np.bool_)
    held[by_class[(np.arange(len(labels)) - starts) % VALIDATION_SHARE == 1]] = True
    return held

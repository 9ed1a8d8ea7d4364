"""Data of a user's own: what is taken for what, what is refused, and how that is said."""

import re

import numpy as np
import pytest

from nasbench_lab.errors import (
    AlgorithmFileError,
    DataError,
    MissingSourceError,
    UnknownNameError,
    UnsafeFileError,
)
from nasbench_lab.trainer.data import image_data, read_npz
from nasbench_lab.trainer.datasets import load_data

RNG = np.random.default_rng(0)
LABELS = np.arange(30) % 3


def arrays(shape=(8, 8), **changes):
    given = {
        "x_train": RNG.random((30, *shape)),
        "y_train": LABELS,
        "x_valid": RNG.random((6, *shape)),
        "y_valid": LABELS[:6],
        "x_test": RNG.random((9, *shape)),
        "y_test": LABELS[:9],
        **changes,
    }
    return {name: values for name, values in given.items() if values is not None}


@pytest.mark.parametrize(
    ("shape", "found"), [((40,), (1, 40, 1)), ((8, 6), (8, 6, 1)), ((8, 6, 3), (8, 6, 3))]
)
def test_arrays_are_signals_or_images(shape, found):
    given = arrays(shape)
    data = image_data(given)
    assert data.shape == found
    assert data.classes == 3
    for split in ("train", "valid", "test"):
        assert data.images[split].dtype == np.float32
        flat = data.images[split].reshape(len(data.labels[split]), -1)
        assert (flat == given[f"x_{split}"].reshape(flat.shape).astype(np.float32)).all()
        assert (data.labels[split] == given[f"y_{split}"]).all()
    seen = given["x_train"].astype(np.float32).astype(float).reshape(-1, found[2])
    assert data.mean == pytest.approx(seen.mean(axis=0))
    assert data.std == pytest.approx(seen.std(axis=0))
    assert data.checksum != image_data(arrays(shape)).checksum


def test_small_whole_numbers_stay_small():
    for kind in (np.uint8, np.int16):
        data = image_data({"x_train": np.ones((30, 4, 4), kind), "y_train": LABELS})
        assert data.images["train"].dtype == kind
        assert (data.mean, data.std) == ((1.0,), (1.0,))  # nothing is divided by 0
    mixed = arrays(x_train=np.ones((30, 8, 8), np.uint8))
    assert {x.dtype for x in image_data(mixed).images.values()} == {np.dtype("float32")}
    assert image_data(arrays(y_train=LABELS.astype(float)[:, None])).classes == 3


def test_without_validation_data_a_fifth_of_each_class_is_taken():
    given = arrays(x_valid=None, y_valid=None)
    data = image_data(given)
    assert np.bincount(data.labels["train"]).tolist() == [8, 8, 8]
    assert np.bincount(data.labels["valid"]).tolist() == [2, 2, 2]
    assert data.images["train"].shape == (24, 8, 8, 1)
    everything = np.concatenate([data.images["train"], data.images["valid"]]).reshape(30, -1)
    assert {row.tobytes() for row in everything} == {
        row.tobytes() for row in given["x_train"].reshape(30, -1).astype(np.float32)
    }
    assert image_data(given).checksum == data.checksum
    assert "test" not in image_data({"x_train": given["x_train"], "y_train": LABELS}).images


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Expected arrays x_train and y_train.*the data has nothing"),
        ({"X": 1, "y": 2}, "Expected arrays x_train.*the data has X, y"),
        (arrays(y_valid=None), "the data has x_train, y_train, x_valid, x_test, y_test"),
        (arrays(x_train=np.ones(30)), r"x_train of the data of shape \(n, length\).* got \(30,\)"),
        (arrays(x_train=np.ones((30, 2, 2, 2, 2))), r"got \(30, 2, 2, 2, 2\)"),
        (arrays(x_train=np.ones((0, 8, 8)), y_train=LABELS[:0]), r"got \(0, 8, 8\)"),
        (arrays(x_train=[[1], [2, 3]]), "Expected an array as x_train"),
        (arrays(x_train=np.full((30, 8, 8), "a")), "Expected numbers in x_train.*<U1.*'a'"),
        (arrays(x_train=np.ones((30, 8, 8), complex)), "but got complex128"),
        (arrays(x_test=np.full((9, 8, 8), np.nan)), "finite numbers in x_test"),
        (arrays(x_test=np.ones((9, 8, 9))), r"shape of x_train, \(8, 8, 1\).*got \(8, 9, 1\)"),
        (arrays(y_test=LABELS[:8]), "x_test of 9 and y_test of 8"),
        (
            arrays(y_train=np.eye(3)[LABELS]),
            r"y_train of the data of shape \(n,\) but got \(30, 3\)",
        ),
        (arrays(y_train=LABELS - 1), "whole numbers from 0 but got -1.*numpy.unique"),
        (arrays(y_train=LABELS + 0.5), "whole numbers from 0 but got 0.5"),
        (arrays(y_train=np.array(["cat"] * 30)), "Expected numbers in y_train"),
        (arrays(y_train=LABELS + 1), "each from 0 to the last, but 0 is not there"),
        (arrays(y_train=LABELS * 7), "but 1, 2, 3, 4, 5 are not there"),
        (arrays(y_train=LABELS * 10**12), "are not there"),
        (arrays(y_train=LABELS * 0), "at least two classes.*1 is not there"),
        (arrays(y_test=LABELS[:9] + 1), "no class that y_train lacks: 0 to 2, but got 3"),
        (
            {"x_train": np.ones((2, 8)), "y_train": [0, 1]},
            "Expected x_valid and y_valid in the data, or several training examples",
        ),
    ],
)
def test_other_arrays_are_refused(given, words):
    with pytest.raises(DataError, match=words):
        image_data(given)


def test_files(tmp_path):
    path = tmp_path / "mine.npz"
    given = arrays()
    for save in (np.savez, np.savez_compressed):
        save(path, **given, notes=np.arange(3))  # other arrays may be there
        data = image_data(path)
        assert data.name == "mine"
        assert data.checksum == image_data(str(path)).checksum == image_data(given).checksum
    with pytest.raises(MissingSourceError, match=r"no file .*Did you mean.*mine\.npz"):
        image_data(tmp_path / "mime.npz")
    np.savez(path, images=np.ones(3))
    with pytest.raises(DataError, match=r"Expected arrays x_train.* holds images\."):
        image_data(path)
    np.savez(path, x_train=given["x_train"])
    with pytest.raises(DataError, match=r"mine\.npz has x_train\."):
        image_data(path)


class Hostile:
    def __reduce__(self):
        return print, ("this code must never run",)


def test_no_code_of_a_file_is_run(tmp_path, capsys):
    path = tmp_path / "hostile.npz"
    np.savez(path, x_train=np.array([Hostile()], dtype=object), y_train=LABELS)
    with pytest.raises(UnsafeFileError, match=r"Python objects.*nothing of it was.*astype"):
        image_data(path)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "empty", "npy", "claim"])
def test_damaged_files_are_refused(damage, tmp_path):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, **arrays())
    content = path.read_bytes()
    if damage == "npy":
        with open(path, "wb") as file:
            np.save(file, np.ones(3))
    elif damage == "claim":  # more than any memory, in a few bytes
        np.savez(path, **arrays())
        content = path.read_bytes()
        path.write_bytes(
            re.sub(rb"\(30, 8, 8\)(\D*?) {12}", rb"(30, 8, 8000000000000)\1 ", content)
        )
    else:
        changed = {"cut": content[:-400], "text": b"x,y\n1,2\n", "empty": b""}
        half = len(content) // 3
        flipped = content[:half] + bytes([content[half] ^ 255]) + content[half + 1 :]
        path.write_bytes(changed.get(damage, flipped))
    with pytest.raises(DataError, match=r"mine\.npz"):
        read_npz(path)


def test_functions(tmp_path):
    given = arrays()

    def mine():
        return {**given, "x_train": given["x_train"] + np.random.random()}  # noqa: NPY002 (a user's)

    np.random.seed(7)  # noqa: NPY002 (what the user's function draws from)
    first = image_data(mine)
    assert first.name == "mine"
    assert image_data(mine).checksum == first.checksum  # what it draws is the same every time
    assert image_data(lambda: load_data("digits")).name == "digits"
    file = tmp_path / "my.py"
    file.write_text(
        "import numpy as np\n"
        "def data():\n    return {'x_train': np.ones((30, 8)), 'y_train': np.arange(30) % 3}\n"
        "def broken():\n    return {}['x']\n"
        "def nothing(): ...\n"
    )
    assert image_data(f"{file}:data").shape == (1, 8, 1)
    assert image_data(f"{file}:data").name == "data"
    with pytest.raises(DataError, match=r"function broken .*KeyError: 'x' .*my\.py, line 5"):
        image_data(f"{file}:broken")
    with pytest.raises(DataError, match=r"as a mapping .* function nothing returned NoneType"):
        image_data(f"{file}:nothing")
    with pytest.raises(AlgorithmFileError, match="it defines data, broken, nothing"):
        image_data(f"{file}:dato")


def test_known_data_sets_have_their_names():
    assert image_data("digits").checksum == load_data("digits").checksum
    digits = load_data("digits")
    assert image_data(digits) is digits
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        image_data("digit")

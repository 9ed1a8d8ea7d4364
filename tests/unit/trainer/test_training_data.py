"""Training data: the authors' files, written by the tests, and the splits that are made of them."""

import hashlib
import io
import json
import os
import pickle
import random
import tarfile
import tracemalloc
import warnings

import numpy as np
import pytest
from image_files import content, expected, publish, python_2, python_3, write, write_archive

from nasbench_lab.errors import (
    MissingSourceError,
    TableFileError,
    UnknownNameError,
    UnsafeFileError,
)
from nasbench_lab.tables.pickles.reader import ARRAYS, PickleReader, SharedError
from nasbench_lab.trainer import image_files as reader
from nasbench_lab.trainer.datasets import DATASETS, SPLITS, load_data
from nasbench_lab.trainer.image_files import FILES, read_images, read_split

NAMES = list(FILES)
CIFAR = ["cifar10", "cifar100"]
SHAPES = {"cifar10": (32, 32, 3), "cifar100": (32, 32, 3), "ImageNet16-120": (16, 16, 3)}


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A folder of files for each data set."""
    result = {}
    for name in NAMES:
        result[name] = tmp_path_factory.mktemp(name)
        write(name, result[name])
    return result


def unverified(name, folder, **options):
    return load_data(name, folder, verify=False, **options)


def same(found, wanted):
    return all(
        np.array_equal(found[part][0], images) and np.array_equal(found[part][1], labels)
        for part, (images, labels) in wanted.items()
    )


# Digits


def test_digits_are_as_they_always_were():
    data = load_data("digits")
    assert [len(data.labels[split]) for split in SPLITS] == [800, 500, 497]
    assert data.shape == (8, 8, 1)
    assert data.checksum == "0c5bd0d89d0d743e0d7eb1792fe42f6ab5e70463e4af9aabc1dac41dd203ac57"


# Images and labels


@pytest.mark.parametrize("name", NAMES)
def test_images_and_labels_are_read(folders, name):
    data = unverified(name, folders[name])
    wanted = expected(name)
    assert data.name == name
    assert data.shape == SHAPES[name]
    assert data.classes == {"cifar10": 10, "cifar100": 100, "ImageNet16-120": 120}[name]
    assert list(data.images) == list(data.labels) == list(SPLITS)
    assert sum(map(len, data.labels.values())) == sum(len(labels) for _, labels in wanted.values())
    for split in SPLITS:
        images, labels = data.images[split], data.labels[split]
        assert images.dtype == np.uint8
        assert images.flags.c_contiguous
        assert labels.dtype == np.int64
        assert len(images) == len(labels)
        assert labels.min() >= 0
        assert labels.max() < data.classes
    assert same(read_images(name, folders[name], verify=False), wanted)


def test_the_red_values_of_a_file_come_first(tmp_path):
    data = np.zeros((2, 3072), dtype=np.uint8)
    data[1, 1024 + 32 * 5 + 7] = 200  # the green of row 5, column 7
    changed = {"test_batch": python_2({"data": data, "labels": [3, 4]})}
    write("cifar10", tmp_path, changed)
    images, labels = read_images("cifar10", tmp_path, verify=False)["test"]
    assert labels.tolist() == [3, 4]
    assert np.argwhere(images).tolist() == [[1, 5, 7, 1]]
    assert images[1, 5, 7].tolist() == [0, 200, 0]


@pytest.mark.parametrize("name", NAMES)
def test_mean_and_deviation_are_those_of_nas_bench_201(folders, name):
    data = unverified(name, folders[name])
    assert (data.mean, data.std) == {
        "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
        "cifar100": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
        "ImageNet16-120": ((122.68, 116.66, 104.01), (63.22, 61.26, 65.09)),
    }[name]


def test_120_classes_of_imagenet16_are_kept(folders):
    name = "ImageNet16-120"
    kept = {}
    for part, files in FILES[name].parts.items():
        held = [label for file in files for label in content(name, file)["labels"]]
        assert min(held) == 1
        assert max(held) == 1000
        assert {120, 121} <= set(held)
        kept[part] = [label - 1 for label in held if label <= 120]
        assert len(kept[part]) < len(held)
    found = read_images(name, folders[name], verify=False)
    assert {part: labels.tolist() for part, (_, labels) in found.items()} == kept
    assert set(kept["train"]) == set(range(120))


@pytest.mark.parametrize("name", CIFAR)
def test_what_is_read_is_what_pickle_reads(folders, name):
    for part, files in FILES[name].parts.items():
        images, labels = [], []
        for file in files:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NumPy 2 has things to say of such old pickles
                held = pickle.loads((folders[name] / file).read_bytes(), encoding="bytes")
            images.append(held[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
            labels += held[FILES[name].labels.encode()]
        found = read_images(name, folders[name], verify=False)[part]
        assert np.array_equal(found[0], np.concatenate(images))
        assert found[1].tolist() == labels


# {"data": [[0, 127, 255], [128, 10, 13]], "labels": [3, 8], ...}, written by cPickle of Python
# 2.7.18 with NumPy 1.16.6.
OLD = bytes.fromhex(
    "80027d7101285504646174617102636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e7374727563"
    "740a7103636e756d70790a6e6461727261790a71044b008555016287527105284b014b024b0386636e756d70790a6474"
    "7970650a7106550275314b004b0187527107284b0355017c4e4e4e4affffffff4affffffff4b00746289550600"
    "7fff800a0d746255066c6162656c7371085d7109284b034b0865550b62617463685f6c6162656c710a55147465737469"
    "6e672062617463682031206f662031710b550966696c656e616d6573710c5d710d2855096361745f302e706e67710e55"
    "096361745f312e706e67710f65752e"
)


def test_the_tests_write_what_python_2_wrote():
    held = {
        "data": np.array([[0, 127, 255], [128, 10, 13]], dtype=np.uint8),
        "labels": [3, 8],
        "batch_label": "testing batch 1 of 1",
        "filenames": ["cat_0.png", "cat_1.png"],
    }
    assert python_2(held) == OLD
    found = PickleReader(io.BytesIO(OLD), ARRAYS).load()
    assert found["data"].values.tolist() == held["data"].tolist()
    assert {**found, "data": 0} == {**held, "data": 0}


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_files_that_python_3_wrote_anew_are_read(tmp_path, protocol):
    held = content("cifar10", "test_batch")
    anew = {key.encode(): value for key, value in held.items()}
    write("cifar10", tmp_path, {"test_batch": pickle.dumps(anew, protocol)})
    assert same(read_images("cifar10", tmp_path, verify=False), expected("cifar10"))


# Where the files are


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_may_be_within_the_one_that_is_named(tmp_path, name):
    write(name, tmp_path / FILES[name].folder)
    assert same(read_images(name, tmp_path, verify=False), expected(name))


@pytest.mark.parametrize("name", CIFAR)
@pytest.mark.parametrize("prefix", ["", "./"])
def test_archives_are_read_in_any_order_and_nothing_is_written(tmp_path, name, prefix):
    path = write_archive(name, tmp_path, prefix=prefix)
    assert same(read_images(name, tmp_path, verify=False), expected(name))
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_complete_comes_before_the_archive(tmp_path):
    write_archive("cifar10", tmp_path).write_bytes(b"not read")
    write("cifar10", tmp_path / "cifar-10-batches-py")
    assert same(read_images("cifar10", tmp_path, verify=False), expected("cifar10"))
    (tmp_path / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(TableFileError, match=r"cifar-10-python\.tar\.gz is truncated or damaged"):
        unverified("cifar10", tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_missing_files_are_named_with_folder_checksum_and_origin(tmp_path, name):
    with pytest.raises(MissingSourceError, match="Name the folder") as caught:
        load_data(name)
    assert FILES[name].origin in str(caught.value)
    write(name, tmp_path)
    last = list(FILES[name].files)[-1]
    for change, missing in [
        (lambda: (tmp_path / last).unlink(), last),
        (lambda: [file.unlink() for file in tmp_path.iterdir()], next(iter(FILES[name].files))),
    ]:
        change()
        with pytest.raises(MissingSourceError, match="is not complete") as caught:
            unverified(name, tmp_path)
        message = str(caught.value)
        for part in (str(tmp_path), missing, FILES[name].files[missing], FILES[name].origin):
            assert part in message
        for archive, md5 in FILES[name].archive.items():
            assert archive in message
            assert md5 in message


# Checksums


@pytest.mark.parametrize("name", NAMES)
def test_files_are_the_published_ones(monkeypatch, tmp_path, name):
    write(name, tmp_path)
    files = FILES[name].files
    with pytest.raises(TableFileError, match="expected the published file") as caught:
        load_data(name, tmp_path)
    message = str(caught.value)
    first = next(iter(files))
    got = hashlib.md5((tmp_path / first).read_bytes()).hexdigest()
    for part in (str(tmp_path / first), files[first], got, FILES[name].origin, "verify=False"):
        assert part in message
    publish(monkeypatch, name, tmp_path)
    assert load_data(name, tmp_path).checksum == unverified(name, tmp_path).checksum


@pytest.mark.parametrize("name", CIFAR)
def test_archives_are_the_published_ones(monkeypatch, tmp_path, name):
    path = write_archive(name, tmp_path)
    md5 = FILES[name].archive[path.name]
    with pytest.raises(TableFileError, match=f"{path.name}: expected the published .* {md5}"):
        load_data(name, tmp_path)
    publish(monkeypatch, name, tmp_path)
    assert load_data(name, tmp_path).checksum == unverified(name, tmp_path).checksum


# Splits


def numbered(data, split):
    """Images as texts, to be compared."""
    return [image.tobytes() for image in data.images[split]]


@pytest.mark.parametrize("name", NAMES)
def test_the_split_by_rule_is_in_halves_of_each_class(folders, name):
    data = unverified(name, folders[name])
    part, halves = ("train", SPLITS[:2]) if name == "cifar10" else ("test", SPLITS[1:])
    whole = expected(name)
    first, second = (numbered(data, half) for half in halves)
    assert not set(first) & set(second)
    assert sorted(first + second) == sorted(image.tobytes() for image in whole[part][0])
    counts = [np.bincount(data.labels[half], minlength=data.classes) for half in halves]
    assert np.abs(counts[0] - counts[1]).max() <= 1
    assert abs(len(first) - len(second)) <= 1
    (other,) = set(SPLITS) - set(halves)
    rest = whole["test" if part == "train" else "train"]
    assert same({other: (data.images[other], data.labels[other])}, {other: rest})


@pytest.mark.parametrize(
    ("name", "checksum"),
    [
        ("cifar10", "10f5379c19d5968db2009464c7e31497a296165c0b1af9ffbedad7ce860b52b8"),
        ("cifar100", "c4dcb6b0b2f8affa8acb36ef389c091cea225f24c46d85c75e6e54491c4bfb06"),
        ("ImageNet16-120", "638cac7cbea15d5fbea69582d1da8338d251967e50619070480a88b02dfb467f"),
    ],
)
def test_the_split_by_rule_is_always_the_same(folders, name, checksum):
    assert unverified(name, folders[name]).checksum == checksum


def test_cifar10_is_trained_on_a_half_or_on_all(folders):
    assert {s: len(v) for s, v in unverified("cifar10", folders["cifar10"]).labels.items()} == {
        "train": 50,
        "valid": 50,
        "test": 20,
    }
    data = unverified("cifar10", folders["cifar10"], trained_on="train+valid")
    assert list(data.images) == ["train", "test"]
    assert same({s: (data.images[s], data.labels[s]) for s in data.images}, expected("cifar10"))


@pytest.mark.parametrize(
    ("name", "trained_on", "known"),
    [
        ("digits", "train+valid", "Known: train. Only cifar10"),
        ("cifar100", "train+valid", "Known: train. Only cifar10"),
        ("ImageNet16-120", "train+valid", "Known: train. Only cifar10"),
        ("cifar10", "valid", r"Known: train, train\+valid"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(tmp_path, name, trained_on, known):
    with pytest.raises(UnknownNameError, match=f"part of {name} to train on .*{known}"):
        load_data(name, tmp_path, trained_on=trained_on)


@pytest.mark.parametrize("name", ["cifar-10", "CIFAR10", "imagenet16-120", "ImageNet16", ""])
def test_other_names_are_unknown(tmp_path, name):
    with pytest.raises(UnknownNameError, match="Unknown data set"):
        load_data(name, tmp_path)
    assert sorted(DATASETS) == sorted(["digits", "mnist1d", "mnist1d-1000", *NAMES])


def split_text(name, n, form=str):
    """A split file as NAS-Bench-201 has it, of every third image and some of the others."""
    first = list(range(0, n, 3))
    second = [i for i in range(n) if i % 3][:-5]
    sets = zip(FILES[name].split_keys, (first, second), strict=True)
    return json.dumps({key: ["int", [form(i) for i in part]] for key, part in sets}), first, second


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", [str, int])
@pytest.mark.parametrize("given", [True, False])
def test_a_split_file_is_used_when_it_is_given_or_there(folders, tmp_path, name, form, given):
    part, halves = ("train", SPLITS[:2]) if name == "cifar10" else ("test", SPLITS[1:])
    images, labels = expected(name)[part]
    text, *sets = split_text(name, len(labels), form)
    by_rule = unverified(name, folders[name])
    place = tmp_path if given else folders[name]
    path = place / FILES[name].split
    path.write_text(text)
    try:
        data = unverified(name, folders[name], split_file=path if given else None)
    finally:
        path.unlink()
    for half, numbers in zip(halves, sets, strict=True):
        assert np.array_equal(data.images[half], images[numbers])
        assert np.array_equal(data.labels[half], labels[numbers])
    assert data.checksum != by_rule.checksum


def test_the_split_file_does_not_matter_where_nothing_is_split(folders, tmp_path):
    named = tmp_path / "absent"
    data = unverified("cifar10", folders["cifar10"], trained_on="train+valid", split_file=named)
    assert len(data.labels["train"]) == 100
    with pytest.raises(TableFileError, match="absent is not read: the split of digits is fixed"):
        load_data("digits", split_file=named)
    with pytest.raises(MissingSourceError, match=r"split file .*absent does not exist"):
        unverified("cifar10", folders["cifar10"], split_file=named)


def ints(*numbers):
    return ["int", list(numbers)]


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ([], r"object with the keys 'train' and 'valid' but got \[\]"),
        ({"train": ints(1)}, "keys 'train' and 'valid'"),
        ({"xvalid": ints(1), "xtest": ints(2)}, "'train' and 'valid' but got .*xvalid"),
        ({"train": ints(1), "valid": ints(2), "test": ints(3)}, "keys 'train' and 'valid'"),
        ({"train": [1, 2], "valid": ints(3)}, r"\[numbers of images\]\] as 'train' but got \[1"),
        ({"train": ints(1), "valid": ["str", ["3"]]}, r"as 'valid' but got \['str'"),
        ({"train": ints(1), "valid": ["int", 3]}, r"as 'valid' but got \['int', 3\]"),
        ({"train": ints(), "valid": ints(3)}, "as 'train' but got"),
        ({"train": None, "valid": ints(3)}, "as 'train' but got None"),
        *[
            ({"train": ints(0), "valid": ints(1, value)}, "numbers from 0 to 9 as 'valid' but got")
            for value in (10, -1, "10", "-1", "", "1.0", 1.0, True, None, "²", "9" * 5000, [1])
        ],
        ({"train": ints(0, 1), "valid": ints(2, 1)}, "once but 1 is repeated in 'valid'"),
        ({"train": ints(0, "3", 3), "valid": ints(2)}, "once but 3 is repeated in 'train'"),
    ],
)
def test_a_wrong_split_file_is_refused(tmp_path, held, message):
    path = tmp_path / "cifar-split.txt"
    path.write_text(json.dumps(held))
    with pytest.raises(TableFileError, match=message) as caught:
        read_split(path, ("train", "valid"), 10)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 9999, b"nonsense", b"9" * 9999])
def test_a_split_file_that_is_no_json_is_refused(tmp_path, data):
    path = tmp_path / "cifar-split.txt"
    path.write_bytes(data)
    with pytest.raises(TableFileError, match=r"cifar-split\.txt is truncated or damaged"):
        read_split(path, ("train", "valid"), 10)


def test_a_split_file_of_gigabytes_is_not_read(monkeypatch, tmp_path):
    monkeypatch.setattr(reader, "_LONGEST", 10)
    path = tmp_path / "cifar-split.txt"
    path.write_text(json.dumps({"train": ints(0), "valid": ints(1)}))
    with pytest.raises(TableFileError, match="more than 10 bytes"):
        read_split(path, ("train", "valid"), 10)


# Wrong files


def changed(name="cifar10", file="test_batch", **entries):
    """A file with other entries; ``KeyError`` takes one away."""
    held = content(name, file) | entries
    return {key: value for key, value in held.items() if value is not KeyError}


def pixels(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype=dtype)


def wrong_labels(*labels):
    return changed(data=pixels(len(labels), 3072), labels=list(labels))


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ([1, 2], r"a dict with the key 'data' but got \[1, 2\] \(list\)"),
        (changed(data=KeyError), r"the key 'data' but got \['labels'"),
        (changed(labels=KeyError), r"the key 'labels' but got \['data'"),
        (changed(data=[1, 2]), r"\(n, 3072\) bytes as 'data' but got \[1, 2\] \(list\)"),
        (changed(data=pixels(20, 768)), r"as 'data' but got \(20, 768\) uint8"),
        (changed(data=pixels(20, 3072, dtype=np.int8)), r"as 'data' but got \(20, 3072\) int8"),
        (changed(data=pixels(20, 1, dtype=np.float64)), r"got \(20, 1\) float64"),
        (changed(data=pixels(19, 3072)), "a list of 19 labels as 'labels' but got"),
        (changed(labels={1: 2}), "a list of 20 labels as 'labels' but got"),
        (changed(labels=KeyError, fine_labels=[1] * 20), "the key 'labels'"),
        (wrong_labels(3, 10), "from 0 to 9 as 'labels' but got 10"),
        (wrong_labels(3, -1), "from 0 to 9 as 'labels' but got -1"),
        (wrong_labels(3, "1"), "from 0 to 9 as 'labels' but got '1'"),
        (wrong_labels(3, [1]), r"from 0 to 9 as 'labels' but got \[1\]"),
        (changed(data=pixels(0, 3072), labels=[]), "the test set of cifar10 holds no image"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, held, message):
    write("cifar10", tmp_path, {"test_batch": python_2(held)})
    with pytest.raises(TableFileError, match=message) as caught:
        unverified("cifar10", tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("label", [0, 1001])
def test_labels_of_imagenet16_are_from_1_to_1000(tmp_path, label):
    name, file = "ImageNet16-120", "train_data_batch_10"
    labels = [*content(name, file)["labels"][1:], label]
    write(name, tmp_path, {file: python_3(changed(name, file, labels=labels))})
    with pytest.raises(TableFileError, match=f"{file}: .*from 1 to 1000 as 'labels' .*{label}"):
        unverified(name, tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "ImageNet16-120"])
def test_a_file_truncated_anywhere_is_refused(tmp_path, name):
    write(name, tmp_path)
    path = tmp_path / next(iter(FILES[name].files))
    data = path.read_bytes()
    for place in [0, 1, 2, len(data) - 1, *random.Random(1).sample(range(len(data)), 30)]:
        path.write_bytes(data[:place])
        with pytest.raises(TableFileError, match=path.name):
            unverified(name, tmp_path)


def test_an_archive_truncated_anywhere_is_refused(tmp_path):
    path = write_archive("cifar10", tmp_path)
    data = path.read_bytes()
    ends = range(len(data) - 30, len(data))
    for place in [0, 1, 5, 20, *ends, *random.Random(1).sample(range(len(data)), 20)]:
        path.write_bytes(data[:place])
        with pytest.raises(TableFileError, match=r"cifar-10-python\.tar\.gz"):
            unverified("cifar10", tmp_path)


def link(kind):
    member = tarfile.TarInfo()
    member.type, member.linkname = kind, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (None, "expected it to hold cifar-10-batches-py/data_batch_2. Get it anew"),
        (link(tarfile.SYMTYPE), "expected cifar-10-batches-py/data_batch_2 to be a file"),
        (link(tarfile.LNKTYPE), "expected cifar-10-batches-py/data_batch_2 to be a file"),
        (link(tarfile.DIRTYPE), "expected cifar-10-batches-py/data_batch_2 to be a file"),
        (b"nonsense", "data_batch_2 is not read: it holds the opcode"),
        (b"\x80\x02}.", "data_batch_2: expected the key 'data'"),
    ],
)
def test_a_wrong_archive_is_refused(tmp_path, member, message):
    path = write_archive("cifar10", tmp_path, {"data_batch_2": member})
    with pytest.raises(TableFileError, match=message) as caught:
        unverified("cifar10", tmp_path)
    assert str(path) in str(caught.value)


def test_an_archive_that_unpacks_to_too_much_is_refused(monkeypatch, tmp_path):
    write_archive("cifar10", tmp_path, {"readme.html": bytes(50_000_000)})
    monkeypatch.setattr(reader, "_UNPACKED", 10_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(UnsafeFileError, match="unpacks to more than 10,000,000 bytes"):
            unverified("cifar10", tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


class Calls:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("place", ["data", "labels", "other", "archive"])
def test_a_hostile_file_runs_nothing(tmp_path, protocol, place):
    marker = tmp_path / "marker"
    held = content("cifar10", "test_batch")
    held |= {"data" if place == "archive" else place: Calls(f"touch {marker}")}
    data = pickle.dumps(held, protocol)
    (write_archive if place == "archive" else write)("cifar10", tmp_path, {"test_batch": data})
    with pytest.raises(UnsafeFileError, match=r"test_batch is not read: .*Nothing in it was run"):
        unverified("cifar10", tmp_path)
    assert not marker.exists()
    pickle.loads(data)  # the attack is one: Python's own reader falls for it
    assert marker.exists()


# The reader of pickles: arrays, and Python 2


def load(data):
    return PickleReader(io.BytesIO(data), ARRAYS).load()


@pytest.mark.parametrize("protocol", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["u1", "<i2", "<i8", "<f4", "<f8", "?"])
def test_arrays_are_read_as_pickle_reads_them(protocol, dtype):
    array = (np.arange(24) % 5).astype(dtype).reshape(2, 3, 4)
    for given in (array, np.asfortranarray(array), array[1, 2, 3:], np.array(array[0, 0, 1])):
        found = load(pickle.dumps(given, protocol)).values
        assert found.dtype == given.dtype
        assert found.shape == given.shape
        assert np.array_equal(found, given)


HEAD = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
U1 = (
    b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)


def test_a_sound_array_is_read():
    assert load(HEAD + b"(K\x01K\x02\x85" + U1 + b"\x89U\x02abtb.").values.tolist() == [97, 98]


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"Nb.",  # no state
        HEAD + b"(K\x01K\x02\x85" + U1 + b"\x89tb.",
        HEAD + b"(K\x01K\x03\x85" + U1 + b"\x89U\x02abtb.",  # another size than the data
        HEAD + b"(K\x01J\xff\xff\xff\xff\x85" + U1 + b"\x89U\x02abtb.",
        HEAD + b"(K\x01G" + bytes(8) + b"\x85" + U1 + b"\x89U\x02abtb.",
        HEAD + b"(K\x01K\x02" + U1 + b"\x89U\x02abtb.",
        HEAD + b"(K\x01(" + b"K\x01" * 33 + b"t" + U1 + b"\x89U\x01atb.",  # too many dimensions
        pytest.param(
            HEAD + b"(K\x01(" + (b"\x8a\xff" + b"\x7f" * 255) * 9999 + b"t" + U1 + b"\x89U\x00tb.",
            id="a product that would take long",
        ),
        HEAD + b"(K\x01K\x02\x85" + U1 + b"\x89]tb.",  # objects
        HEAD + b"(K\x01K\x02\x85" + U1.replace(b"u1", b"O8") + b"\x89U\x02abtb.",
        HEAD
        + b"(K\x01K\x01\x85"
        + U1.replace(b"u1", b"i2").replace(b"|", b">")
        + b"\x89U\x02abtb.",
        HEAD + b"(K\x01K\x02\x85N\x89U\x02abtb.",
        HEAD.replace(b"ndarray", b"matrix") + b".",
        HEAD.replace(b"cnumpy\nndarray\n", b"N") + b".",
        b"\x80\x02cnumpy\nndarray\nK\x02\x85\x85R.",  # calls the class itself
        b"\x80\x02cnumpy\nndarray\nK\x02\x85\x85\x81.",
        b"\x80\x02cnumpy\nndarray\n}b.",
    ],
)
def test_other_arrays_are_refused(data):
    with pytest.raises((UnsafeFileError, ValueError)):
        load(data).values  # noqa: B018 (is what is tested)


def test_many_arrays_of_one_text_take_no_more_memory_than_it():
    one = b"(K\x01J" + (1_000_000).to_bytes(4, "little") + b"\x85q\x02h\x01\x89h\x00tb"
    text = b"T" + (1_000_000).to_bytes(4, "little") + bytes(1_000_000) + b"q\x000"
    data = b"\x80\x02" + text + U1 + b"q\x010]" + (HEAD[2:] + one + b"a") * 1000 + b"."
    tracemalloc.start()
    try:
        found = load(data)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert len(found) == 1000
    assert found[-1].values.shape == (1_000_000,)


@pytest.mark.parametrize("put", [b"q\x01", b"r\x01\x00\x00\x00", b"p1\n"])
def test_a_memo_may_count_from_1(put):
    assert load(b"]" + put + b"U\x01xq\x02ah\x02ah\x01\x86.")[0] == ["x", "x"]
    with pytest.raises(SharedError):
        load(b"]" + put + b"h\x00.")
    with pytest.raises(SharedError):
        load(b"]" + put + b"g0\n.")
    with pytest.raises(UnsafeFileError, match="memo of 3 entries"):
        load(b"]" + put + b"p3\n.")
    with pytest.raises(UnsafeFileError, match="memo of 2 entries"):
        load(b"]" + put.replace(b"1", b"2").replace(b"\x01", b"\x02") + b".")

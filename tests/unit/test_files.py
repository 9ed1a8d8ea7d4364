"""Reading files that may be hostile or damaged, and writing all or nothing."""

import copyreg
import errno
import importlib.util
import os
import pickle
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from nasbench_lab.errors import (
    DataFolderError,
    MissingSourceError,
    TableFileError,
    UnsafeFileError,
)
from nasbench_lab.files import atomic_file, atomic_folder, data_folder
from nasbench_lab.tables.pickles.reader import NUMBERS, read_pickle
from tabular_data import analog_nasbench, nas_bench_graph

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture
def read(tmp_path):
    """Reads bytes as a pickle file."""

    def read(data):
        path = tmp_path / "data.bench"
        path.write_bytes(data)
        return read_pickle(path)

    return read


# Plain data


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_is_read(read, protocol):
    data = {1: {"a": 0.5, "b": [1, 2**70, None, True]}, (2, 3): ("text", b"bytes"), 4: {5, 6}}
    if protocol < 4:
        del data[4]  # a set needs a global there
    if protocol < 3:
        data[2, 3] = "text"  # and so do bytes
    assert read(pickle.dumps(data, protocol)) == data


@pytest.mark.parametrize("protocol", range(3, 6))
@pytest.mark.parametrize("kind", ["f8", "f4", "i8", "i4", "u8", "u4", "b1"])
def test_numpy_numbers_are_read_as_python_numbers(read, kind, protocol):
    value = np.dtype(kind).type(1.5)
    for data in (pickle.dumps([value], protocol), older_numpy(pickle.dumps([value], protocol))):
        (number,) = read(data)
        assert number == value.item()
        assert type(number) is type(value.item())


def older_numpy(data):
    """The same pickle as NumPy 1 writes it: ``numpy.core`` for ``numpy._core``."""
    new, old = b"numpy._core.multiarray", b"numpy.core.multiarray"
    data = data.replace(short(new), short(old)).replace(new, old)
    if data[2:3] == b"\x95":  # a frame, now a byte shorter
        data = data[:3] + struct.pack("<Q", len(data) - 11) + data[11:]
    return data


def short(text):
    """How a pickle of protocol 4 holds a short text."""
    return b"\x8c" + bytes([len(text)]) + text


# Hostile data


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


ATTACKS = {
    **{
        f"os.system, protocol {protocol}": (
            lambda m, p=protocol: pickle.dumps(Calls(os.system, f"touch {m}"), p)
        )
        for protocol in PROTOCOLS
    },
    **{
        f"builtins.eval, protocol {protocol}": (
            lambda m, p=protocol: pickle.dumps(Calls(eval, f"open({str(m)!r}, 'w').close()"), p)
        )
        for protocol in PROTOCOLS
    },
    "nested in data": lambda m: pickle.dumps({1: [{"a": (Calls(os.mkdir, str(m)),)}]}),
    "a key": lambda m: pickle.dumps({Calls(os.mkdir, str(m)): 1}),
    "builtins.exec": lambda m: pickle.dumps(Calls(exec, f"open({str(m)!r}, 'w').close()")),
    "GLOBAL and REDUCE": lambda m: b"cos\nmkdir\n(S'%s'\ntR." % os.fsencode(m),
    "STACK_GLOBAL": lambda m: (
        b"\x80\x04" + short(b"os") + short(b"mkdir") + b"\x93" + short(os.fsencode(m)) + b"\x85R."
    ),
    "INST": lambda m: b"(S'%s'\nios\nmkdir\n." % os.fsencode(m),
    "OBJ": lambda m: b"(cos\nmkdir\nS'%s'\no." % os.fsencode(m),
    "an extension code": lambda m: (
        b"\x80\x02\x82\xf0X" + struct.pack("<I", len(os.fsencode(m))) + os.fsencode(m) + b"\x85R."
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_file_that_runs_code_is_refused_and_runs_nothing(read, tmp_path, attack):
    marker = tmp_path / "marker"
    data = ATTACKS[attack](marker)
    copyreg.add_extension("os", "mkdir", 0xF0)
    try:
        with pytest.raises(
            UnsafeFileError, match=r"data.bench is not read: .*Nothing in it was run"
        ):
            read(data)
        assert not marker.exists()
        # The attack is one: Python's own reader falls for it.
        pickle.loads(data)
        assert marker.exists()
    finally:
        copyreg.remove_extension("os", "mkdir", 0xF0)
        copyreg.clear_extension_cache()


REFUSED = {
    "a class": pickle.dumps(Path),
    "a function": pickle.dumps(os.system),
    "a harmless object": pickle.dumps(Path("x")),
    "an attribute of an allowed class": (
        b"\x80\x04" + short(b"numpy") + short(b"dtype.__init__") + b"\x93."
    ),
    "another member of an allowed module": b"\x80\x02cnumpy\nload\n.",
    "an object dtype": pickle.dumps(np.dtype(object)),
    "an array of objects": pickle.dumps(np.array([{}, None])),
    "an array of numbers": pickle.dumps(np.zeros(3)),
    "a string number": pickle.dumps(np.str_("x")),
    "a complex number": pickle.dumps(np.complex128(1)),
    "a big-endian number": pickle.dumps(np.dtype(">f8")),
    "a structured dtype": pickle.dumps(np.dtype([("a", "f8")])),
    "a number of no dtype": b"\x80\x02cnumpy.core.multiarray\nscalar\nK\x01U\x01x\x86R.",
    "a huge memo, LONG_BINPUT": b"\x80\x02]r\xff\xff\xff\x7f.",
    "a huge memo, PUT": b"]p2147483647\n.",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_data_does_not_need_is_refused(read, name):
    with pytest.raises(UnsafeFileError, match=r"data.bench is not read: .*Get the file anew"):
        read(REFUSED[name])


DAMAGED = {
    "nothing": b"",
    "text": b"hello",
    "a web page": b"<!DOCTYPE html><html></html>",
    "zeros": bytes(100),
    "no STOP": pickle.dumps({1: 2})[:-1],
    "a persistent id": b"Pmodule\n.",
    "a persistent object": b"\x80\x02X\x01\x00\x00\x00aQ.",
    "an empty stack": b".",
    "a memo entry that is not there": b"\x80\x02h\x05.",
    "a negative memo entry": b"]p-1\n.",
    "an unhashable key": b"\x80\x02}]K\x01s.",
    "a length beyond the end": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "an array beyond the end": b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"x.",
    "a frame beyond the end": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "a protocol of the future": b"\x80\x63N.",
    "attributes of a number": b"\x80\x02K\x01}b.",
    "an unknown extension code": b"\x80\x02\x82\xf1.",
    "a number of a wrong length": pickle.dumps(np.float64(1), 3).replace(
        b"C\x08" + struct.pack("<d", 1), b"C\x04" + struct.pack("<f", 1)
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_with_advice(read, name):
    with pytest.raises(TableFileError, match=r"(?s)data\.bench is .*anew"):
        read(DAMAGED[name])


# Files of NAS-Bench-Graph

RECORD = {"valid_perf": 0.5, "perf": np.float64(0.25), "latency": 0.001, "para": 1.5}


@pytest.fixture
def convert(tmp_path):
    """Converts bytes, or what they are the pickle of, as the ``.bench`` file of a data set."""

    def convert(bench, dataset="cora"):
        path, folder = tmp_path / "test.bench", tmp_path / "table"
        path.write_bytes(bench if isinstance(bench, bytes) else pickle.dumps(bench))
        folder.mkdir(exist_ok=True)
        nas_bench_graph.convert_file(dataset, path, {"version": "test"}, folder)

    return convert


def test_a_small_sound_bench_is_converted(convert, tmp_path):
    convert({1111: RECORD, 0: RECORD})
    assert (tmp_path / "table" / "manifest.json").is_file()


def real_bench():
    folder = importlib.util.find_spec("nas_bench_graph").submodule_search_locations[0]
    return (Path(folder) / "light" / "proteins.bench").read_bytes()


@pytest.mark.parametrize("n", [15, pytest.param(500, marks=pytest.mark.slow)])
def test_a_bench_truncated_anywhere_is_refused(convert, tmp_path, n):
    data = real_bench()
    places = random.Random(1).sample(range(len(data)), n)
    for place in [0, 1, 2, len(data) - 1, *places]:
        with pytest.raises(TableFileError, match=r"test\.bench is truncated or damaged .*anew"):
            convert(data[:place], "proteins")
    assert list((tmp_path / "table").iterdir()) == []


def test_a_bench_with_a_changed_byte_is_read_or_refused(tmp_path):
    data = pickle.dumps({1111: RECORD, 0: RECORD, 2222: RECORD})
    path = tmp_path / "changed.bench"
    refused = 0
    for place in range(len(data)):
        for change in (1, 8, 0x55, 0x80, 0xFF):
            path.write_bytes(data[:place] + bytes([data[place] ^ change]) + data[place + 1 :])
            try:
                nas_bench_graph.read_bench(path)
            except TableFileError:  # and no other error
                refused += 1
    assert refused > len(data)


def deep(n):
    """A pickle of a record whose value is a list within a list within a list, n deep."""
    return b"\x80\x02}K\x05" + b"]" * n + b"a" * (n - 1) + b"s."


@pytest.mark.parametrize(
    ("bench", "message"),
    [
        ([RECORD], r"test\.bench: expected a dict of architectures .*list"),
        ({}, r"test\.bench: expected a dict of architectures"),
        (None, r"test\.bench: expected a dict of architectures"),
        ({5: None}, "in record 5 but got None"),
        ({5: [0.5, 0.5, 0.1, 1.0]}, "in record 5 but got"),
        ({5: {}}, "in record 5 but got {}"),
        (
            {5: {k: v for k, v in RECORD.items() if k != "perf"}},
            "a number for each of valid_perf, perf",
        ),
        ({5: {**RECORD, "perf": "0.5"}}, "in record 5 but got .*'0.5'"),
        ({5: {**RECORD, "perf": [0.5]}}, "in record 5"),
        ({5: {**RECORD, "perf": None}}, "in record 5"),
        ({5: {**RECORD, "latency": float("nan")}}, "in record 5 but got .*nan"),
        ({5: {**RECORD, "para": np.float64("inf")}}, "in record 5"),
        ({5: {**RECORD, "para": 10**400}}, "in record 5"),
        ({1111: RECORD, 5: {**RECORD, "valid_perf": np.float32("nan")}}, "in record 5"),
        ({"1111": RECORD}, "in record '1111'"),
        ({11.0: RECORD}, r"in record 11\.0"),
        ({True: RECORD}, "in record True"),
        ({1111: RECORD, 99_999: RECORD}, "record 99999 is not the hash of .*'nas-bench-graph'"),
        ({1111: RECORD, 10: RECORD}, "record 10 is not the hash of a canonical architecture"),
        ({1111: RECORD, -1: RECORD}, "record -1 is not the hash"),
        ({1111: RECORD, 10**30: RECORD}, f"record {10**30} is not the hash"),
        (deep(100_000), r"in record 5 but got \["),
    ],
)
def test_a_bench_with_a_wrong_record_is_refused(convert, tmp_path, bench, message):
    with pytest.raises(TableFileError, match=message) as caught:
        convert(bench)
    assert str(tmp_path / "test.bench") in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert list((tmp_path / "table").iterdir()) == []


def test_an_operation_that_proteins_lacks_is_refused_there(convert):
    convert({1111: RECORD})
    with pytest.raises(TableFileError, match=r"record 0 is not the hash of .*-proteins'"):
        convert({1111: RECORD, 0: RECORD}, "proteins")


def test_a_hostile_record_in_a_sound_bench_runs_nothing(convert, tmp_path):
    marker = tmp_path / "marker"
    hostile = {**RECORD, "para": Calls(os.mkdir, str(marker))}
    with pytest.raises(UnsafeFileError, match=r"test\.bench is not read: it asks for \w+\.mkdir"):
        convert({1111: RECORD, 0: hostile})
    assert not marker.exists()
    assert list((tmp_path / "table").iterdir()) == []


# The file of AnalogNAS-Bench


class Named:
    """Pickled as if it were of the package's class of this name."""

    def __init__(self, name, fields):
        self.name, self.fields = name, fields

    def __reduce__(self):
        return Named, (self.name, self.fields)


class PackagePickler(pickle._Pickler):
    """Writes ``Named`` as the package's file holds its objects: NEWOBJ of a class, then BUILD."""

    def save(self, obj, save_persistent_id=True):
        if not isinstance(obj, Named):
            return super().save(obj, save_persistent_id)
        self.write(b"canalognasbench.data\n" + obj.name.encode() + b"\n)\x81")
        super().save(obj.fields)
        self.write(b"b")
        return None


def analog_record(**changes):
    drift = Named("DriftMeasurement", {"value": 50.0, "uncertainty": 1.0})
    return Named(
        "Architecture",
        {
            **dict.fromkeys(analog_nasbench._ACCURACIES, 60.0),
            **dict.fromkeys(analog_nasbench._DRIFTS, drift),
            **changes,
        },
    )


@pytest.fixture
def convert_analog(tmp_path):
    def convert(records):
        path, folder = tmp_path / "test.anb", tmp_path / "table"
        with open(path, "wb") as file:
            PackagePickler(file, 2).dump(records)
        folder.mkdir(exist_ok=True)
        analog_nasbench.convert_file(path, {"version": "test"}, folder)

    return convert


CELL = (0, 1, 2, 3, 4, 0)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "expected a dict of architectures"),
        ({}, r"15,625 of the 15,625 cells are missing"),
        ({CELL: analog_record()}, r"15,624 of the 15,625 cells are missing"),
        ({CELL: None}, r"record \(0, 1, 2, 3, 4, 0\) is not one of AnalogNAS-Bench"),
        ({CELL: {"baseline_accuracy": 60.0}}, "record .*AttributeError"),
        ({CELL: Named("Architecture", {})}, "record .*KeyError: 'baseline_accuracy'"),
        ({CELL: Named("Architecture", None)}, "an object whose state is NoneType, not a dict"),
        ({CELL: analog_record(noisy_accuracy="60")}, "expected a percentage but got '60'"),
        ({CELL: analog_record(noisy_accuracy=None)}, "expected a percentage but got None"),
        ({CELL: analog_record(noisy_accuracy=float("nan"))}, "expected a percentage but got nan"),
        ({CELL: analog_record(noisy_accuracy=float("inf"))}, "expected a percentage but got inf"),
        ({CELL: analog_record(noisy_accuracy=100.5)}, r"expected a percentage but got 100\.5"),
        ({CELL: analog_record(noisy_accuracy=-1)}, "expected a percentage but got -1"),
        ({CELL: analog_record(noisy_accuracy=10**400)}, "expected a percentage but got 1000"),
        ({CELL: analog_record(analog_drift_60=50.0)}, "record .*AttributeError"),
        (
            {CELL: analog_record(analog_drift_60=Named("DriftMeasurement", {"value": 1.0}))},
            "record .*KeyError: 'uncertainty'",
        ),
        ({(0, 1, 2, 3, 4): analog_record()}, r"record \(0, 1, 2, 3, 4\) is not one"),
        ({(*CELL, 0): analog_record()}, r"record \(0, 1, 2, 3, 4, 0, \.\.\.\) is not one"),
        ({(0, 0, 0, 0, 0, 5): analog_record()}, r"record \(0, 0, 0, 0, 0, 5\) is not one"),
        ({(0, 0, 0, 0, 0, -1): analog_record()}, r"record \(0, 0, 0, 0, 0, -1\) is not one"),
        ({(0, 0, 0, 0, 0, 0.5): analog_record()}, r"record .*0\.5\) is not one"),
        ({"000000": analog_record()}, "record '000000' is not one"),
        ({7: analog_record()}, "record 7 is not one"),
        ({CELL: Named("AnalogNASBench", {})}, r"asks for analognasbench\.data\.AnalogNASBench"),
    ],
)
def test_a_wrong_analog_file_is_refused(convert_analog, tmp_path, records, message):
    with pytest.raises(TableFileError, match=message) as caught:
        convert_analog(records)
    assert str(tmp_path / "test.anb") in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert list((tmp_path / "table").iterdir()) == []


def test_a_hostile_analog_file_runs_nothing(convert_analog, tmp_path):
    marker = tmp_path / "marker"
    with pytest.raises(UnsafeFileError, match=r"test\.anb is not read: it asks for"):
        convert_analog({CELL: analog_record(noisy_accuracy=Calls(os.mkdir, str(marker)))})
    assert not marker.exists()


# Writing


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def write_file(path, text, error=None):
    with atomic_file(path) as new:
        new.write_text(text)
        if error:
            raise error


def write_folder(folder, text, error=None, **options):
    with atomic_folder(folder, **options) as new:
        (new / "a").write_text(text)
        if error:
            raise error
        (new / "b").write_text(text)


FULL_DISK = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

ERRORS = [
    (FULL_DISK, DataFolderError, "Cannot write to .*: No space left on device.*NASBENCH_LAB_DATA"),
    (PermissionError(errno.EACCES, "Permission denied"), DataFolderError, "Permission denied"),
    (ValueError("wrong"), ValueError, "^wrong$"),
    (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
    # A missing source is a file not found, but none of the data folder's.
    (MissingSourceError("no package"), MissingSourceError, "^no package$"),
]


def test_a_file_appears_whole_and_readable_by_others(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_file(path, "one")
    write_file(path, "two")
    assert path.read_text() == "two"
    assert names(path.parent) == ["file.txt"]
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize(("error", "expected", "message"), ERRORS)
@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_leaves_the_old_file(tmp_path, error, expected, message, exists):
    path = tmp_path / "file.txt"
    if exists:
        path.write_text("old")
    with pytest.raises(expected, match=message):
        write_file(path, "new", error)
    assert names(tmp_path) == (["file.txt"] if exists else [])
    assert not exists or path.read_text() == "old"


def test_a_folder_appears_whole(tmp_path):
    folder = tmp_path / "new" / "folder"
    write_folder(folder, "one")
    assert names(folder) == ["a", "b"]
    write_folder(folder, "two")  # the first that was there stays
    assert (folder / "a").read_text() == "one"
    write_folder(folder, "two", replace=True)
    assert (folder / "a").read_text() == "two"
    assert names(folder.parent) == ["folder"]


@pytest.mark.parametrize(("error", "expected", "message"), ERRORS)
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_leaves_the_old_folder(tmp_path, error, expected, message, exists, replace):
    folder = tmp_path / "folder"
    if exists:
        write_folder(folder, "old")
    with pytest.raises(expected, match=message):
        write_folder(folder, "new", error, replace=replace)
    assert names(tmp_path) == (["folder"] if exists else [])
    assert not exists or (folder / "b").read_text() == "old"


@pytest.mark.parametrize("exists", [False, True])
def test_of_two_that_write_a_folder_at_once_the_first_to_end_wins(tmp_path, exists):
    folder = tmp_path / "folder"
    if exists:
        write_folder(folder, "old")
    with atomic_folder(folder, replace=True) as slow:
        (slow / "a").write_text("slow")
        write_folder(folder, "fast", replace=True)
    assert (folder / "a").read_text() == "fast"
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_what_cannot_be_written_is_said_with_what_to_do(tmp_path, write):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFolderError, match=r"Cannot write to .*file.*set NASBENCH_LAB_DATA"):
        write(tmp_path / "file" / "below" / "it", "text")
    assert names(tmp_path) == ["file"]


def test_a_file_does_not_replace_a_folder(tmp_path):
    write_folder(tmp_path / "x", "old")
    with pytest.raises(DataFolderError, match="Cannot write to"):
        write_file(tmp_path / "x", "new")
    assert names(tmp_path) == ["x"]
    assert (tmp_path / "x" / "a").read_text() == "old"


# Where the data folder is


def test_the_data_folder_is_the_variables_else_the_platforms(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NASBENCH_LAB_DATA", "~/tables")
    assert data_folder() == tmp_path / "tables"
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("NASBENCH_LAB_DATA")
        else:
            monkeypatch.setenv("NASBENCH_LAB_DATA", unset)
        assert data_folder().is_absolute()
        assert data_folder().name == "nasbench-lab"
    assert list(tmp_path.iterdir()) == []


def test_a_tuple_nested_without_end_is_refused_before_it_can_crash_the_interpreter(tmp_path):
    path = tmp_path / "deep.bench"
    path.write_bytes(b"\x80\x04})" + b"\x85" * 1_000_000 + b"K\x01s.")
    with pytest.raises(UnsafeFileError, match="nests tuples"):
        read_pickle(path)


def test_nesting_is_followed_through_the_memo_and_marks(tmp_path):
    path = tmp_path / "deep.bench"
    # Each round memoizes the tuple, drops it, gets it back and wraps it by MARK … TUPLE.
    rounds = b"".join(b"r" + struct.pack("<I", i) + b"0(j" + struct.pack("<I", i) + b"t"
                      for i in range(200))  # fmt: skip
    path.write_bytes(b"\x80\x02)" + rounds + b".")
    with pytest.raises(UnsafeFileError, match="nests tuples"):
        read_pickle(path)


@pytest.mark.parametrize("name", ["numpy\ndtype", "numpy.core.multiarray\nscalar"])
def test_one_file_cannot_change_how_the_next_is_read(tmp_path, name):
    stand_in = NUMBERS[tuple(name.split("\n"))]
    before = dict(vars(stand_in))
    path = tmp_path / "vandal.bench"
    # BUILD on the class or function itself, with a slot state that sets its attribute.
    state = b"N}X\x08\x00\x00\x00_FORMATS}s\x86b."
    path.write_bytes(b"\x80\x02c" + name.encode() + b"\n" + state)
    with pytest.raises(TableFileError):
        read_pickle(path)
    assert dict(vars(stand_in)) == before


def test_an_unreadable_file_is_said_to_be_unreadable(tmp_path):
    with pytest.raises(TableFileError, match="cannot be read"):
        read_pickle(tmp_path / "absent.bench")

"""The reader of pickles: what it reads is what ``pickle`` reads, and nothing that it reads runs."""

import io
import pickle
import pickletools
import random
import struct
import time
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_lab.errors import TableFileError, UnsafeFileError
from nasbench_lab.tables.pickles.memo import RELEASED, Left
from nasbench_lab.tables.pickles.reader import (
    CONTAINERS,
    NUMBERS,
    PickleReader,
    SharedError,
    errors_of,
    read_pickle,
)

ALLOWED = {**NUMBERS, **CONTAINERS}


def load(data, **options):
    return PickleReader(io.BytesIO(data), ALLOWED, **options).load()


class Dribble:
    """A stream that gives a few bytes at a time."""

    def __init__(self, data, size):
        self.stream, self.size = io.BytesIO(data), size

    def read(self, n):
        return self.stream.read(min(n, self.size))


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300)
)
keys = st.integers() | st.text(max_size=10) | st.tuples(st.text(max_size=5), st.integers(0, 999))
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(keys, inner, max_size=5)
        | st.tuples(inner, inner)
        | st.sets(st.integers(), max_size=4)
    ),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(plain, st.integers(0, 5), st.integers(1, 50))
def test_plain_data_is_read_as_pickle_reads_it(value, protocol, size):
    allowed = {**ALLOWED, ("__builtin__", "bytes"): bytes}
    data = pickle.dumps(value, protocol=protocol)
    for stream in (io.BytesIO(data), Dribble(data, size)):
        found = PickleReader(stream, allowed).load()
        assert found == value
        assert repr(found) == repr(pickle.loads(data))


@pytest.mark.parametrize("protocol", range(6))
def test_numbers_of_numpy_and_ordered_dicts_are_read_as_plain_ones(protocol):
    value = OrderedDict(
        [("a", np.float64(1.5)), (3, [np.int64(7), np.bool_(True), np.float32(0.5)])]
    )
    found = load(pickle.dumps(value, protocol=protocol))
    assert found == {"a": 1.5, 3: [7, True, 0.5]}
    assert type(found) is dict
    assert [type(v) for v in (found["a"], *found[3])] == [float, int, bool, float]


@pytest.mark.parametrize("protocol", range(6))
def test_large_data_are_read_across_the_chunks_of_a_stream(protocol):
    rng = random.Random(protocol)
    value = {f"key {i}": [rng.random(), "x" * rng.randrange(400), i] for i in range(9_000)}
    value["long"] = "y" * 3_000_000
    assert load(pickle.dumps(value, protocol=protocol)) == value


def test_pickles_that_follow_each_other_are_read_one_by_one():
    data = b"".join(pickle.dumps(i * 1_000, protocol=2) for i in range(5)) + b"rest"
    reader = PickleReader(io.BytesIO(data), {})
    assert [reader.load() for _ in range(5)] == [0, 1_000, 2_000, 3_000, 4_000]
    assert data[reader.consumed :] == b"rest"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_rubbish_is_refused_without_harm(rubbish, position):
    sound = pickle.dumps({"a": [1.0, (2, "x")], 5: np.float64(3)}, protocol=4)
    data = sound[:position] + rubbish
    with (
        pytest.raises(TableFileError) if data[: len(sound)] != sound else _nothing(),
        errors_of("it"),
    ):
        found = load(data)
        if data[: len(sound)] != sound:
            # Chance made something sound of it; then the standard library reads it alike.
            assert repr(found) == repr(pickle.loads(data))
            raise ValueError("nothing to see")


class _nothing:  # noqa: N801 (used as a function)
    def __enter__(self):
        return None

    def __exit__(self, *_):
        return False


# What would take more than the file's size suggests


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04r\xff\xff\xff\x7f.",  # a memo number without the others
        b"\x80\x02Nr\x05\x00\x00\x00.",
        b"Np99999\n.",
        b"\x80\x04X\xff\xff\xff\xffabc.",  # texts and bytes of gigabytes
        b"\x80\x04B\xff\xff\xff\xffabc.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b".",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
        b"\x80\x04\x8b\xff\xff\xff\x7f1.",  # a number of gigabytes
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",  # a bytearray, which data does not need
        b"\x80\x04" + b"(" * 1_000_000,
        b"\x80\x04)" + b"\x85" * 200_000 + b"}\x94h\x00.",  # tuples without end
        b"I" + b"9" * 5_000 + b"\n.",
        b"\x80\x04)" + b"2\x86" * 60 + b".",  # few tuples that stand for very many
        b"\x80\x04)" + b"2\x86" * 60 + b"}\x94h\x00K\x01s.",
        b"\x80\x04(" + b"N" * 200_000 + b"t.",
    ],
)
def test_sizes_are_looked_at_before_memory_is_taken(data):
    start = time.process_time()
    with pytest.raises(TableFileError), errors_of("it"):
        load(data)
    assert time.process_time() - start < 5  # of this process, whatever else runs


def test_a_limit_bounds_what_is_read():
    data = pickle.dumps([float(i) for i in range(1_000_000)])
    with pytest.raises(UnsafeFileError, match="hold no complete record"):
        load(data, limit=1 << 21)
    assert len(load(data, limit=1 << 24)) == 1_000_000


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04]N\x94K\x01s.",  # an item set on None
        b"\x80\x04}K\x01a.",  # appended to a dict
        b"\x80\x04](K\x01K\x02u.",  # items set on a list
        b"\x80\x04}(K\x01u.",  # half an item
        b"\x80\x04K\x01K\x02b.",  # a state of a number
        b"\x80\x04K\x01)R.",  # a number that is called
        b"\x80\x04}(\x90.",  # items added to a dict
        b"\x80\x04N" + b"N.",  # more than one object
        b"\x80\x04\x97.",  # opcodes of buffers, extensions, persistent ids, instances
        b"\x80\x04\x82\x01.",
        b"\x80\x02K\x01Q.",
        b"Pid\n.",
        b"(ios\nsystem\n.",
        b"(cos\nsystem\no.",
        b"\x80\x09N.",
        b"\x80\x04)\x93.",
        b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02O8\x85R.",  # a type that is no number
    ],
)
def test_what_data_does_not_need_is_refused(data):
    with pytest.raises(TableFileError), errors_of("it"):
        load(data)


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "builtins.getattr", "numpy.load"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_names_are_never_imported(name, protocol):
    module, _, function = name.rpartition(".")
    data = {
        0: f"c{module}\n{function}\n(Vecho\ntR.".encode(),
        2: b"\x80\x02" + f"c{module}\n{function}\n".encode() + b"X\x04\x00\x00\x00echo\x85R.",
        4: b"\x80\x04\x8c"
        + bytes([len(module)])
        + module.encode()
        + b"\x8c"
        + bytes([len(function)])
        + function.encode()
        + b"\x93\x8c\x04echo\x85R.",
    }[protocol]
    pickletools.dis(data, out=io.StringIO())  # it is a pickle
    with pytest.raises(UnsafeFileError, match=f"asks for {name}"):
        load(data)


# Folding


def records(n, shared=None):
    return {
        "meta": ["a", "b"],
        "all": {
            i: {"values": [float(j) for j in range(i, i + 50)], "shared": shared or {"i": i}}
            for i in range(n)
        },
    }


def summed(key, value):
    return sum(value["values"]) if isinstance(value, dict) and "values" in value else value


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_records_are_folded_as_they_are_complete(protocol):
    data = pickle.dumps(records(3_000), protocol=protocol)
    found = load(data, fold=summed)
    assert found["meta"] == ["a", "b"]
    assert found["all"] == {i: sum(range(i, i + 50)) for i in range(3_000)}


def test_what_records_share_is_noticed_and_can_be_kept():
    data = pickle.dumps(records(2_000, shared={"one": 1}))  # items are set a thousand at a time
    with pytest.raises(SharedError):
        load(data, fold=summed)
    found = load(data, fold=summed, release=False)
    assert found["all"] == {i: sum(range(i, i + 50)) for i in range(2_000)}


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_what_records_share_besides_containers_is_read_right(protocol):
    draw = random.Random(1)
    # Objects of their own, so that the pickle names each again by its number.
    shared = [f"name {i}" * (1 + 9 * (i % 2)) for i in range(40)]
    shared += [("pair", i) for i in range(20)] + [np.float64(i / 7) for i in range(20)]

    def record(i):
        by_epoch = {f"x-valid@{epoch}": epoch * i for epoch in range(20 + i % 3)}
        return {
            "values": [float(i)],
            "by_epoch": by_epoch,
            "again": dict.fromkeys(by_epoch),
            "some": draw.sample(shared, 5 if i % 5 else 0),
        }

    content = {
        "first": shared[0],
        "all": {i: {"less": record(i), "full": record(i + 1)} for i in range(300)},
        "last": list(shared),
    }

    def folded(_, value):
        if isinstance(value, dict) and "values" in value:
            return tuple((name, tuple(some)) for name, some in value.items())
        return value

    expected = {
        i: {name: folded(name, one) for name, one in two.items()}
        for i, two in content["all"].items()
    }
    found = load(pickle.dumps(content, protocol=protocol), fold=folded)
    assert found == {**content, "all": expected}


def test_the_texts_of_records_are_kept_once():
    left = Left()
    for start in range(0, 30, 3):
        left.take(start, ["x@0", {}, 0.5])
    assert len({id(sequence) for sequence, _ in left._ranges}) == 1
    assert left.get([], 12) == "x@0"
    assert left.get([], 13) is RELEASED
    assert left.get([], 14) == 0.5
    assert left.get(["here"], 30) == "here"
    with pytest.raises(UnsafeFileError, match="two values"):
        left.put([], 12, None)


def test_folding_takes_little_memory_and_bounds_the_rest():
    data = pickle.dumps(records(20_000))
    assert len(load(data, fold=summed, limit=1 << 21)["all"]) == 20_000
    with pytest.raises(UnsafeFileError, match="hold no complete record"):
        load(data, fold=lambda _, value: value, limit=1 << 21)


# Messages


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (UnsafeFileError("it asks for os.system"), UnsafeFileError, "f.x is not read: it asks"),
        (TableFileError("it lacks 'a'"), TableFileError, "^f.x: it lacks 'a'$"),
        (KeyError("a"), TableFileError, "truncated or damaged"),
        (PermissionError(13, "Permission denied"), TableFileError, "cannot be read: Permission"),
    ],
)
def test_errors_name_the_file(error, kind, words):
    with pytest.raises(kind, match=words), errors_of("f.x"):
        raise error


def test_a_file_that_is_a_folder_cannot_be_read(tmp_path):
    with pytest.raises(TableFileError, match="cannot be read"):
        read_pickle(tmp_path)

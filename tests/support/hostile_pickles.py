"""Pickles of a few bytes that ask for gigabytes or for hours; small, and always the same.

Each function of ``HOSTILE`` is called with an empty folder, and returns the file to import.
"""

import bz2
import pickle
import struct

import nats_files as files

CELL = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
_TORCH_HEAD = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]


def body(value):
    """What builds plain data on the stack of a pickle, without a memo."""
    if isinstance(value, dict):
        return b"}(" + b"".join(body(k) + body(v) for k, v in value.items()) + b"u"
    if isinstance(value, list | tuple):
        return b"(" + b"".join(map(body, value)) + (b"l" if isinstance(value, list) else b"t")
    if isinstance(value, str):
        data = value.encode()
        return b"X" + struct.pack("<I", len(data)) + data
    if value is None:
        return b"N"
    if isinstance(value, int):
        size = value.bit_length() // 8 + 1
        return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
    return b"G" + struct.pack(">d", value)


def _said(*words):
    """Says words by which a format is recognised, and drops them."""
    return b"\x80\x04" + b"".join(body(word) + b"0" for word in words)


def _single(folder, data):
    path = folder / "all.pickle.pbz2"
    path.write_bytes(bz2.compress(_said("meta_archs", CELL) + data + b"."))
    return path


def _torch(folder, data):
    path = folder / "all.pth"
    head = b"".join(pickle.dumps(part, protocol=2) for part in _TORCH_HEAD)
    path.write_bytes(head + _said("meta_archs", CELL) + data + b".")
    return path


def _transnas(folder, data):
    path = folder / "transnas.pth"
    head = b"".join(pickle.dumps(part, protocol=2) for part in _TORCH_HEAD)
    path.write_bytes(head + _said("class_scene", "64-41414-0_00_000") + data + b".")
    return path


def _hardware(folder, data):
    path = folder / "hw.pickle"
    path.write_bytes(_said("nasbench201", "edgegpu_latency") + data + b".")
    return path


def _archive(folder, data):
    """A simple archive whose one record is the pickle."""
    path = files.write_simple(folder / "archive-simple", [CELL], {})
    (path / "000000.pickle.pbz2").write_bytes(bz2.compress(b"\x80\x04" + data + b"."))
    return path


# Many small containers


def empty_sets(folder):
    return _single(folder, b"(" + b"\x8f" * 16_000_000 + b"l")


def empty_sets_of_a_record(folder):
    return _archive(folder, b"(" + b"\x8f" * 4_000_000 + b"l")


def empty_sets_of_torch(folder):
    return _torch(folder, b"(" + b"\x8f" * 15_000_000 + b"l")


def empty_dicts(folder):
    return _single(folder, b"(" + b"}" * 16_000_000 + b"l")


def tuples_of_one(folder):
    return _single(folder, b"(" + b"N\x85" * 4_000_000 + b"l")


def dicts_of_one(folder):
    return _single(folder, b"(" + b"}NNs" * 4_000_000 + b"l")


# Much from little, again and again


def _repeated(module, name, argument, n, call=b"R"):
    """Calls a function again and again with the same arguments."""
    head = f"c{module}\n{name}\nq\0".encode() + b"0" + argument + b"q\x010("
    return head + (b"h\0h\1" + call) * n + b"l"


def sets_by_reduce(folder):
    argument = body(list(range(10_000))) + b"\x85"
    return _hardware(folder, _repeated("__builtin__", "set", argument, 4_000))


def sets_by_newobj(folder):
    argument = body(list(range(10_000))) + b"\x85"
    return _hardware(folder, _repeated("builtins", "set", argument, 4_000, b"\x81"))


def ordered_dicts_by_reduce(folder):
    argument = body([[i, None] for i in range(8_000)]) + b"\x85"
    return _hardware(folder, _repeated("collections", "OrderedDict", argument, 4_000))


def bytes_by_encode(folder):
    argument = body(("x" * 1_000_000, "latin1"))
    return _hardware(folder, _repeated("_codecs", "encode", argument, 4_000))


def ever_new_texts(folder):
    """Texts that differ, of 255 bytes each."""
    texts = b"".join(b"\x8c\xff" + b"%0255d" % i for i in range(100_000))
    return _single(folder, b"(" + texts + b"l")


# Records that fold


def _record(index, trials, **more):
    return {
        "arch_index": index,
        "arch_str": CELL,
        "dataset_seed": {"cifar10": [seed for _, seed in trials]},
        "all_results": trials,
        **more,
    }


def _trial(epochs):
    values = dict.fromkeys(range(epochs), 50.0)
    return {
        "epochs": epochs,
        "train_acc1es": values,
        "train_losses": values,
        "flop": 1.0,
        "params": 1.0,
    }


def nested_records(folder):
    """Records in records: what was let go with the inner ones must not count again."""
    empty = body(_record(0, {("cifar10", 777): _trial(1)}, more=None))
    nested = empty
    for _ in range(400):
        nested = empty[: -len(b"Nu")] + nested + b"u"
    junk = b"(" + b"\x8f" * 60_000_000 + b"l0"
    return _single(folder, b"}" + body("12") + nested + b"s0" + junk + b"N")


def records_of_one_training(folder):
    """Many records of few bytes, all of one training that was kept before them."""
    training = body(_trial(900)) + b"q\x000"
    record = body(_record("index", dict.fromkeys((("cifar10", i) for i in range(32)), "training")))
    record = record.replace(body("training"), b"h\0")
    records = b"".join(
        body(i) + b"}" + body("12") + record.replace(body("index"), body(i)) + b"s"
        for i in range(500)
    )
    return _single(folder, training + b"}" + body("arch2infos") + b"}(" + records + b"us")


def what_outlives_a_record(folder):
    """Records with bytes that stay in the memo when the records are let go."""
    record = body(_record(0, {("cifar10", 777): _trial(1)}, more=None))[: -len(b"Nu")]
    junk = b"".join(b"B\xa0\x86\x01\0" + bytes(100_000) + b"\x940" for _ in range(10))
    one = b"}" + body("12") + record + junk + b"Nus0"
    return _single(folder, one * 60 + b"N")


def metrics_of_one_list(folder):
    """Dicts whose values are all one list, which is made smaller for each of them anew."""
    values = body([0.5] * 1_000) + b"q\x000" + body("valid_top1") + b"q\x010"
    return _transnas(folder, values + b"(" + b"}h\1h\0s" * 100_000 + b"l")


def empty_sets_of_transnas(folder):
    return _transnas(folder, b"(" + b"\x8f" * 15_000_000 + b"l")


# Keys


def frozensets_as_keys(folder):
    """Equal frozensets, 60 deep, that are compared with each other."""
    deep = b"(K\x01\x91" + b"q\x000(h\0(h\0\x91\x91" * 60
    return _hardware(folder, b"}(" + (deep + b"N") * 2 + b"u")


def long_tuples_as_keys(folder):
    """A tuple of 9,000 items that is used as a key 60,000 times."""
    long = body(tuple(range(9_000))) + b"q\x000"
    return _hardware(folder, long + b"}(" + b"h\0N" * 60_000 + b"u")


def wide_tuples_as_keys(folder):
    """Tuples of tuples, few in the file and very many where each is hashed."""
    wide = b")" + b"2\x86" * 15 + b"q\x000"
    return _hardware(folder, wide + b"}(" + b"h\0N" * 60_000 + b"u")


def colliding_numbers_as_keys(folder):
    keys = (i * (2**61 - 1) for i in range(1, 60_001))
    return _hardware(folder, b"}(" + b"".join(body(key) + b"N" for key in keys) + b"u")


def colliding_numbers_of_a_set(folder):
    keys = (i * (2**61 - 1) for i in range(1, 60_001))
    return _hardware(folder, b"\x8f(" + b"".join(body(key) for key in keys) + b"\x90")


def colliding_numbers_one_by_one(folder):
    keys = (i * (2**61 - 1) for i in range(1, 60_001))
    return _hardware(folder, b"}" + b"".join(body(key) + b"Ns" for key in keys))


def colliding_pairs_as_keys(folder):
    """Pairs of numbers of one hash: the hash of tuples (xxHash) has no secret."""
    m, p1, p2, p5 = 2**64, 11400714785074694791, 14029467366897019727, 2870177450012600261

    def rotated(x, by):
        return (x << by | x >> (64 - by)) % m

    # acc' = rotated(acc + b * p2, 31) * p1, so that of all is 12345.
    before, inverse = rotated(12345 * pow(p1, -1, m) % m, 33), pow(p2, -1, m)
    keys, a = [], 0
    while len(keys) < 20_000:
        a += 1
        acc = rotated((p5 + a * p2) % m, 31) * p1 % m
        b = (before - acc) * inverse % m
        if b < 2**60:
            keys.append((a, b))
    assert len({hash(key) for key in keys[:9]}) == 1
    return _hardware(folder, b"}(" + b"".join(body(key) + b"N" for key in keys) + b"u")


HOSTILE = {
    function.__name__: function
    for function in (
        empty_sets,
        empty_sets_of_a_record,
        empty_sets_of_torch,
        empty_dicts,
        tuples_of_one,
        dicts_of_one,
        sets_by_reduce,
        sets_by_newobj,
        ordered_dicts_by_reduce,
        bytes_by_encode,
        ever_new_texts,
        nested_records,
        records_of_one_training,
        what_outlives_a_record,
        metrics_of_one_list,
        empty_sets_of_transnas,
        frozensets_as_keys,
        long_tuples_as_keys,
        wide_tuples_as_keys,
        colliding_numbers_as_keys,
        colliding_numbers_of_a_set,
        colliding_numbers_one_by_one,
        colliding_pairs_as_keys,
    )
}
"""By name."""

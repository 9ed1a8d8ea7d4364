"""The importer of NAS-Bench-101, on files written here byte by byte."""

import math
import struct
from dataclasses import replace

import numpy as np
import pytest
from nas_bench_101_files import (
    SCHEDULES,
    SPACE,
    double,
    evaluation,
    framed,
    masked,
    text,
    trainings,
    varint,
    write,
)

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import AbsentEntryError, QueryError, TableFileError
from nasbench_lab.files import sha256
from nasbench_lab.tables.columns import Query
from nasbench_lab.tables.sources import ImportOptions
from nasbench_lab.tables.table import Table
from nasbench_lab.testing import check_benchmark
from tabular_data import _nas_bench_101_records, nas_bench_101
from tabular_data.nas_bench_101 import FORMAT

pytestmark = pytest.mark.long

SERIAL = ImportOptions(jobs=1)


def imported(path, folder, options=SERIAL):
    folder.mkdir(parents=True)
    FORMAT.convert(path, folder, options)
    return Table.open(folder)


@pytest.fixture
def work(tmp_path):
    """Names of files and folders that do not exist."""
    numbers = iter(range(10**6))
    return lambda suffix="": tmp_path / f"{next(numbers)}{suffix}"


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """All trainings of 60 cells, their file, and its table."""
    folder = tmp_path_factory.mktemp("nas-bench-101")
    made = trainings(60)
    path = write(folder / "nasbench_full.tfrecord", made)
    return made, path, imported(path, folder / "table")


def by_cell(made):
    """(cell, epochs) -> trainings in the order of the file."""
    result = {}
    for one in made:
        result.setdefault((SPACE.canonical(one.cell), one.epochs), []).append(one)
    return result


# What is written is read


def test_every_number_of_every_training_is_in_the_table(full):
    made, _, table = full
    assert len(table) == 60
    groups = by_cell(made)
    assert len(groups) == 60 * 4
    for (cell, epochs), group in groups.items():
        assert len(group) == 3
        for repeat, one in enumerate(group, start=1):
            for epoch, numbers in ((epochs // 2, one.half), (epochs, one.full)):
                said = [
                    table.query(
                        cell,
                        Query(quantity, split, "cifar10", str(epochs), epoch=epoch, trial=repeat),
                    )
                    for quantity, split in (
                        ("train_time", None),
                        ("accuracy", "train"),
                        ("accuracy", "valid"),
                        ("accuracy", "test"),
                    )
                ]
                assert said == [numbers[0], *(100 * value for value in numbers[1:])]
            total = Query("total_time", schedule=str(epochs), trial=repeat)
            assert table.query(cell, total) == one.total
        assert table.query(cell, "parameters") == group[0].parameters / 1e6


def test_columns_say_what_they_are(full):
    table = full[2]
    names = {
        f"{epochs}.{what}"
        for epochs in SCHEDULES
        for what in (
            "train.accuracy",
            "valid.accuracy",
            "test.accuracy",
            "train_time",
            "total_time",
        )
    }
    assert set(table.columns) == {*names, "parameters"}
    for name, column in table.columns.items():
        assert column.dataset == "cifar10"
        if name == "parameters":
            assert (column.unit, column.epochs, column.schedule) == ("M", None, None)
            continue
        epochs, quantity = int(name.split(".")[0]), name.split(".")[-1]
        assert (column.schedule, column.trials) == (str(epochs), (1, 2, 3))
        assert column.epochs == (None if quantity == "total_time" else (epochs // 2, epochs))
        assert (column.quantity, column.maximize) == (quantity, quantity == "accuracy")
        assert column.unit == ("%" if quantity == "accuracy" else "s")
        assert column.on_test_data == (column.split == "test")


def test_the_table_says_what_it_is(full):
    _, path, table = full
    info = table.info
    assert (info.name, info.space, info.clock) == ("nas-bench-101", "nb101", "train_only")
    assert (info.objective, info.report) == ("108.valid.accuracy", "108.test.accuracy")
    assert info.source == {
        "version": "nasbench_full",
        "file": "nasbench_full.tfrecord",
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
    }
    assert info.missing == ("423,564 of the 423,624 cells are missing.",)
    assert "ying2019nasbench101" in info.citation
    assert "seeds are not known" in info.description
    table.verify()


def test_rows_are_canonical_cells_with_their_module_hash(full):
    made, _, table = full
    architectures = table.architectures
    assert (table.row(architectures) == np.arange(60)).all()
    assert (SPACE.canonical(architectures) == architectures).all()
    hashes = [h.decode() for h in table.extra("module_hash").tolist()]
    assert hashes == SPACE.module_hash(architectures)
    assert set(hashes) == {one.hash for one in made}


def test_isomorphic_cells_share_a_row_and_others_are_absent(full):
    table = full[2]
    held = set(map(tuple, table.architectures.tolist()))
    cells = SPACE.sample(np.random.default_rng(5), 2_000)
    rows = table.row(cells)
    canonical = list(map(tuple, SPACE.canonical(cells).tolist()))
    assert [row >= 0 for row in rows.tolist()] == [cell in held for cell in canonical]
    absent = tuple(cells[rows < 0][0].tolist())
    with pytest.raises(AbsentEntryError, match="no entry for"):
        table.query(absent, "108.valid.accuracy")


def test_the_table_is_a_benchmark_that_charges_training(full):
    made, _, table = full
    benchmark = TableBenchmark(table)
    assert benchmark.clock == "train_only"
    groups = by_cell(made)
    (cell, _), _ = next(iter(groups.items()))
    evaluation = benchmark.evaluate(cell)
    group = groups[cell, 108]
    assert evaluation.cost == pytest.approx(np.mean([one.full[0] for one in group]))
    assert evaluation.values == pytest.approx((100 * np.mean([one.full[2] for one in group]),))
    check_benchmark(benchmark)


def test_a_cell_may_be_written_in_any_order_and_with_other_nodes(work):
    made = trainings(5, (108,))
    for one in made:
        cell = one.cell
        matrix, operations = SPACE.to_matrix(cell)
        k = len(operations)
        if k < 7:  # a node that leads nowhere
            wider = np.zeros((k + 1, k + 1), dtype=int)
            kept = [*range(k - 1), k]
            wider[np.ix_(kept, kept)] = matrix
            wider[0, k - 1] = 1
            one.adjacency = "".join(map(str, wider.flat))
            one.operations = ",".join([*operations[:-1], "maxpool3x3", "output"])
    again = imported(write(work(".tfrecord"), made), work())
    plain = imported(write(work(".tfrecord"), trainings(5, (108,))), work())
    for name in plain.columns:
        assert np.array_equal(again._arrays[name], plain._arrays[name])


# Options


def test_without_curves_only_the_end_is_kept(full, work):
    _, path, table = full
    short = imported(path, work(), replace(SERIAL, curves=False))
    assert set(short.columns) == set(table.columns)
    for name, column in short.columns.items():
        end = None if column.epochs is None else int(column.schedule)
        assert column.epochs in (None, (end,))
        assert np.array_equal(short.trials(name), table.trials(name))
    with pytest.raises(QueryError, match="holds epochs 108, not epoch 54"):
        short.trials(Query("108.valid.accuracy", epoch=54))
    assert "half-way" in table.info.description
    assert "half-way" not in short.info.description


def test_the_table_does_not_depend_on_the_number_of_processes(full, work, monkeypatch):
    _, path, table = full
    monkeypatch.setattr(_nas_bench_101_records, "RECORDS_PER_CHUNK", 100)
    monkeypatch.setattr(nas_bench_101, "_CELLS_PER_TASK", 16)
    for jobs in (1, 2):
        seen = []
        options = ImportOptions(jobs=jobs, progress=lambda *a, seen=seen: seen.append(a))
        again = imported(path, work(), options)
        assert seen == [(done, 720) for done in (0, 100, 200, 300, 400, 500, 600, 700, 720)]
        assert again.fingerprint() == table.fingerprint()
        assert again.info == table.info


def test_the_name_can_be_chosen(full, work):
    table = imported(full[1], work(), replace(SERIAL, name="mine"))
    assert table.name == "mine"


def test_only_108_epochs(work):
    made = trainings(10, (108,))
    table = imported(write(work("nasbench_only108.tfrecord"), made), work())
    assert {column.schedule for column in table.columns.values()} == {"108", None}
    assert "The file has no trainings of 4, 12, 36 epochs." in table.info.missing


# Gaps


def test_missing_trainings_are_missing(work):
    made = trainings(12)
    groups = by_cell(made)
    cells = sorted({cell for cell, _ in groups})
    gone = {
        *groups[cells[0], 108][1:],
        *groups[cells[1], 108][:1],
        *groups[cells[2], 4],
    }
    made = [one for one in made if one not in gone]
    table = imported(write(work(), made), work())
    assert len(table) == 12
    counts = {cell: table.counts("108.valid.accuracy")[table.row(cell)] for cell in cells}
    assert [counts[cell] for cell in cells[:4]] == [1, 2, 3, 3]
    groups = by_cell(made)
    for cell in cells:
        expected = [100 * one.full[2] for one in groups[cell, 108]]
        held = table.trials("108.valid.accuracy")[table.row(cell)]
        assert held[: len(expected)].tolist() == expected
        assert np.isnan(held[len(expected) :]).all()
    assert np.isnan(table.query(cells[2], "4.valid.accuracy"))
    assert table.info.missing == (
        "423,612 of the 423,624 cells are missing.",
        "1 of the 12 cells lack one or more of the 3 trainings of 4 epochs.",
        "2 of the 12 cells lack one or more of the 3 trainings of 108 epochs.",
    )


# Damage


def refused(path, work, message, options=SERIAL):
    folder = work()
    with pytest.raises(TableFileError, match=message) as caught:
        imported(path, folder, options)
    assert str(path) in str(caught.value)
    assert list(folder.iterdir()) == [], "a part of a table remains"
    return str(caught.value)


@pytest.fixture(scope="module")
def small():
    """The bytes of 30 records, and where each starts."""
    records = [one.record() for one in trainings(10, (108,))]
    return b"".join(records), np.cumsum([0, *map(len, records)])


def test_a_truncated_file_is_refused_with_the_record_that_is_cut(small, work):
    data, starts = small
    path = work()
    rng = np.random.default_rng(1)
    for size in {*rng.integers(1, len(data), 60).tolist(), 1, 11, 12, 13, len(data) - 1}:
        if size in starts:
            continue
        path.write_bytes(data[:size])
        number = int(np.searchsorted(starts, size)) - 1
        where = f"record {number} at byte {starts[number]:,}: .*truncated"
        refused(path, work, where)


def test_flipped_bits_are_noticed_with_the_record_they_are_in(small, work):
    data, starts = small
    path = work()
    rng = np.random.default_rng(2)
    places = [*rng.integers(0, len(data), 80).tolist(), *(int(starts[3]) + i for i in range(16))]
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        number = int(np.searchsorted(starts, place, side="right")) - 1
        refused(path, work, f"record {number} at byte {starts[number]:,}: .*checksum .*wrong")


def test_an_empty_file_is_refused(work):
    path = work()
    path.write_bytes(b"")
    refused(path, work, "empty")


def change(**changes):
    def apply(one):
        for name, value in changes.items():
            setattr(one, name, value)

    return apply


def fields(**changes):
    """Changes entries of the JSON list by their numbers."""

    def apply(one):
        made = one.fields()
        for key, value in changes.items():
            made[int(key[1:])] = value
        one.fields = lambda: made

    return apply


def content(data):
    def apply(one):
        one.record = lambda: framed(data)

    return apply


def message(make):
    """Changes the protobuf message, given the good one."""

    def apply(one):
        made = make(one.message())
        one.message = lambda: made

    return apply


START = (0.0, 0.1, 0.1, 0.1, 0.1)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (content(b""), r"cannot be read \(Expecting value"),
        (content(b"\xff\xfe"), r"cannot be read \('utf-8' codec"),
        (content(b"{}"), r"expected \[module hash"),
        (content(b"[1, 2]"), r"expected \[module hash"),
        (content(b"[" * 60_000), "recursion"),
        (content(b"x" * 70_000), "expected at most 65,536 bytes"),
        (fields(_0="a" * 31), r"expected \[module hash"),
        (fields(_0="A" * 32), r"expected \[module hash"),
        (fields(_0=None), r"expected \[module hash"),
        (fields(_0="a" * 32), "has the module hash [0-9a-f]{32}, not a{32}"),
        (fields(_1="108"), r"expected \[module hash"),
        (fields(_1=True), r"expected \[module hash"),
        (fields(_1=108.0), r"expected \[module hash"),
        (fields(_1=109), "expected a training of 4, 12, 36, 108 epochs but got 109"),
        (fields(_1=10**40), "expected a training of"),
        (fields(_2=""), "no cell of the space"),
        (fields(_2="0101"), "no cell of the space"),
        (fields(_2="0100", _3="input,output"), "has the module hash"),
        (fields(_2="2" * 49), "no cell of the space"),
        (fields(_2="0000", _3="input,output"), "no cell .*no way from input to output"),
        (fields(_3="input,conv,output"), "no cell of the space"),
        (fields(_3=""), "no cell of the space"),
        (fields(_4="*"), r"cannot be read \("),
        (fields(_4=""), "expected 3 entries of evaluation_data but got 0"),
        (change(half=[1.0, 0.5, 0.5, 1.5]), "expected accuracies from 0 to 1 .*1.5"),
        (change(full=[1.0, 0.5, -0.01, 0.5]), "expected accuracies from 0 to 1 .*-0.01"),
        (change(full=[1.0, 0.5, math.nan, 0.5]), "expected accuracies from 0 to 1 .*nan"),
        (change(full=[math.inf, 0.5, 0.5, 0.5]), "times of at least 0 s .*inf"),
        (change(half=[-1.0, 0.5, 0.5, 0.5]), "times of at least 0 s .*-1.0"),
        (change(half=[math.nan, 0.5, 0.5, 0.5]), "times of at least 0 s .*nan"),
        (change(total=-1.0), "times of at least 0 s .*-1.0"),
        (change(total=math.inf), "times of at least 0 s .*inf"),
        (change(parameters=0), "trainable_parameters of at least 1 but got 0"),
        (change(parameters=-5), "trainable_parameters of at least 1"),
        (change(parameters=1 << 31), "trainable_parameters of at least 1"),
        (change(parameters=77), r"has 77 parameters, but earlier ones have 1,00"),
        (message(lambda m: m + text(1, evaluation(*START))), "3 entries .*but got 4"),
        (message(lambda m: m + b"\x80"), "ends beyond its end"),
        (message(lambda m: m + b"\xff" * 11), "more than 10 bytes"),
        (message(lambda m: m + b"\x00\x01"), "field numbers of at least 1"),
        (message(lambda m: m + b"\x0b"), "wire type 0, 1, 2 or 5 in its metrics but got 3"),
        (message(lambda m: m + b"\x1d" + b"abcd"), "wire type 1 for total_time but got 5"),
        (message(lambda m: m + double(2, 1.0)), "wire type 0 for trainable_parameters but got 1"),
        (message(lambda m: m + b"\x08\x01"), "wire type 2 for evaluation_data but got 0"),
        (message(lambda m: m + b"\x3a\x7fabc"), "field 7 of its metrics ends beyond"),
        (message(lambda m: m + b"\x3a" + b"\xff" * 8 + b"\x01"), "field 7 .*ends beyond"),
        (message(lambda m: m[:-1]), "field 3 of its metrics ends beyond"),
        (
            message(lambda m: text(1, b"") * 2 + text(1, evaluation(*START)) + b"\x10\x01"),
            "expected training_time in evaluation_data but there is none",
        ),
        (
            message(lambda m: text(1, b"\x15abcd") * 3 + b"\x10\x01"),
            "wire type 1 for training_time but got 5",
        ),
    ],
)
def test_a_wrong_record_is_refused_with_its_number_and_place(work, wrong, problem):
    made = trainings(4, (108,))
    cell = made[0].cell
    last = max(i for i, one in enumerate(made) if one.cell == cell)
    wrong(made[last])
    path = write(work(), made)
    offset = sum(len(one.record()) for one in made[:last])
    refused(path, work, f"record {last} at byte {offset:,}: .*{problem}")


def test_unknown_fields_and_a_missing_total_are_no_error(work):
    made = trainings(3, (108,))
    unknown = varint(9 << 3) + varint(-1) + double(10, 1.0) + text(11, b"x") + b"\x65abcd"
    start = text(1, evaluation(*START))
    for one in made:
        entries = [
            text(1, evaluation(e, *numbers) + unknown)
            for e, numbers in ((54.0, one.half), (108.0, one.full))
        ]
        packed = unknown + start + b"".join(entries) + varint(2 << 3) + varint(one.parameters)
        one.message = lambda packed=packed: packed
    table = imported(write(work(), made), work())
    assert np.isnan(table.trials("108.total_time")).all()
    plain = imported(write(work(), trainings(3, (108,))), work())
    for name in set(table.columns) - {"108.total_time"}:
        assert np.array_equal(table._arrays[name], plain._arrays[name])


def test_a_fourth_repeat_is_refused(work):
    made = trainings(3, (108,))
    made.append(made[0])
    refused(write(work(), made), work, "record 9 at .*for 108 epochs more than 3 times")


def test_a_file_without_the_longest_trainings_is_refused(work):
    path = write(work(), trainings(3, (4, 12)))
    refused(path, work, "no training of 108 epochs")


def test_errors_in_other_processes_name_the_record_too(work, monkeypatch):
    monkeypatch.setattr(_nas_bench_101_records, "RECORDS_PER_CHUNK", 10)
    made = trainings(12, (108,))
    made[25].total = -1.0
    refused(write(work(), made), work, "record 25 at byte", ImportOptions(jobs=2))
    made[25].total = 1.0
    made[33].hash = "b" * 32
    offset = sum(len(one.record()) for one in made[:33])
    refused(write(work(), made), work, f"record 33 at byte {offset:,}", ImportOptions(jobs=2))


# Recognition


def test_files_are_recognised_by_their_content(full, work):
    _, path, _ = full
    assert FORMAT.recognise(path) == "nas-bench-101"
    renamed = work(".data")
    renamed.write_bytes(path.read_bytes()[:3000])
    assert FORMAT.recognise(renamed) == "nas-bench-101"
    assert set(FORMAT.tables) == {"nas-bench-101"}
    assert FORMAT.official == ("nasbench_full.tfrecord", "nasbench_only108.tfrecord")


def test_other_files_are_not_recognised(small, work):
    data, _ = small
    path = work()
    assert FORMAT.recognise(path) is None
    assert FORMAT.recognise(path.parent) is None
    rng = np.random.default_rng(3)
    huge = struct.pack("<Q", 1 << 62)
    others = [b"", b"\x00" * 100, b"PK\x03\x04", b"\x80\x04}.", data[:11], data[:40], data[1:]]
    others += [framed(c) for c in (b"", b"[]", b"1", b"[" * 60_000, b"\xff", b'["a"]')]
    others += [huge + masked(huge) + b"x", huge + b"abcd"]
    others += [rng.bytes(int(n)) for n in rng.integers(1, 300, 50)]
    for other in others:
        path.write_bytes(other)
        assert FORMAT.recognise(path) is None

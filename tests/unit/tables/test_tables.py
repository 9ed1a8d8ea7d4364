"""Tables: what they hold, what they refuse, and what happens to their files."""

import json
import mmap
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from damage import write_sealed

from nasbench_lab import files, registry
from nasbench_lab.errors import (
    AbsentEntryError,
    DataFolderError,
    InvalidArchitectureError,
    QueryError,
    TableFileError,
    UnknownNameError,
)
from nasbench_lab.registry import open_table
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column, Query, TableInfo
from nasbench_lab.tables.sources import TableSource
from nasbench_lab.tables.table import Table

NAN = float("nan")
SPACE = get_space("nb201")
CELLS = [SPACE.at(i) for i in (7, 100, 1_000, 15_000)]  # of rows 0 to 3
TWIN = SPACE.at(20)  # shares row 1
ABSENT = SPACE.at(0)

ROW_OF_INDEX = np.full(SPACE.size, -1, dtype=np.int32)
ROW_OF_INDEX[[7, 100, 1_000, 15_000, 20]] = [0, 1, 2, 3, 1]

INFO = TableInfo(
    name="toy/cells",
    space="nb201",
    description="Made up.",
    citation="@misc{toy}",
    licence="CC0-1.0",
    objective="valid_12",
    report="test_12",
    source={"version": "toy 1", "bytes": 3},
)


def accuracy(name, split, schedule, trials, epochs=None):
    return Column(name, "accuracy", "%", True, split, "toy", schedule, trials, epochs)


# Rows, trials (seeds 111 and 777), epochs (1, 2 and 12).
VALID_12 = np.array(
    [
        [[10, 20, 30], [12, 22, NAN]],
        [[11, 21, 31], [NAN, NAN, NAN]],
        [[NAN, NAN, NAN], [14, 24, 34]],
        [[NAN, NAN, NAN], [NAN, 26, NAN]],
    ]
)
COLUMNS = {
    accuracy("valid_12", "valid", "12", (111, 777), (1, 2, 12)): VALID_12,
    accuracy("test_12", "test", "12", (111, 777)): [[30, 32], [31, NAN], [34, 34], [NAN, 36]],
    accuracy("valid_200", "valid", "200", ("mean of 3 seeds",)): np.float32([90, 91, NAN, 89]),
    Column("latency", "latency", "s", False): [0.3, 0.1, 0.2, 0.1],
    Column("steps", "steps", "", False): np.array([4, 3, 2, 1]),
}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return Table.create(tmp_path_factory.mktemp("toy") / "cells", INFO, COLUMNS, ROW_OF_INDEX)


@pytest.fixture
def folder(tmp_path):
    """The folder of a table that a test may damage."""
    return Table.create(tmp_path / "cells", INFO, COLUMNS, ROW_OF_INDEX).folder


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder of this test's own."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def equal(values, expected):
    return np.array_equal(values, np.array(expected, dtype=float), equal_nan=True)


# What a table holds


def test_a_table_is_read_as_it_was_written(table):
    opened = Table.open(str(table.folder))
    assert opened.info == INFO
    assert opened.name == "toy/cells"
    assert opened.space == SPACE
    assert list(opened.columns.values()) == list(COLUMNS)
    assert len(opened) == 4
    assert "'toy/cells': 4 rows" in repr(opened)


def test_rows_of_one_and_of_many(table):
    asked = [*CELLS, TWIN, ABSENT]
    assert [table.row(cell) for cell in asked] == [0, 1, 2, 3, 1, -1]
    assert type(table.row(CELLS[0])) is int
    rows = table.row(np.array(asked))
    assert rows.tolist() == [0, 1, 2, 3, 1, -1]
    assert rows.dtype == np.int64


def test_a_row_gives_its_canonical_architecture(table):
    # A row that is one architecture's gives that one, one that is shared the canonical form.
    expected = [CELLS[0], SPACE.canonical(TWIN), CELLS[2], CELLS[3]]
    assert (table.architectures == np.array(expected)).all()


def test_rows_are_indices_where_nothing_else_is_said(tmp_path):
    info = replace(INFO, objective="loss", report="loss")
    values = np.arange(SPACE.size, dtype=float)
    table = Table.create(tmp_path / "all", info, {Column("loss", "loss", "", False): values})
    assert table.row(CELLS[2]) == 1_000
    assert table.query(CELLS[2], "loss") == 1_000.0
    assert table.query(np.array(CELLS), "loss").tolist() == [7.0, 100.0, 1_000.0, 15_000.0]
    assert (table.architectures == SPACE.at(np.arange(SPACE.size))).all()


def test_the_mean_leaves_missing_trials_out(table):
    assert equal(table.values("valid_12"), [30, 31, 34, NAN])
    assert equal(table.values(Query("valid_12", epoch=12)), [30, 31, 34, NAN])
    assert equal(table.values(Query("valid_12", epoch=1)), [11, 11, 14, NAN])
    assert equal(table.values(Query("valid_12", epoch=2)), [21, 21, 24, 26])
    assert equal(table.values("test_12"), [31, 31, 34, 36])
    assert equal(table.values("valid_200"), [90, 91, NAN, 89])


def test_the_mean_of_trials_whose_sum_overflows(tmp_path):
    most = sys.float_info.max
    columns = {accuracy("valid_12", "valid", "12", (1, 2, 3)): [[most] * 3, [-most, NAN, -most]]}
    info = replace(INFO, report="valid_12")
    rows = np.where(ROW_OF_INDEX < 2, ROW_OF_INDEX, -1)
    values = Table.create(tmp_path / "huge", info, columns, rows).values("valid_12")
    np.testing.assert_allclose(values, [most, -most], rtol=1e-15)


def test_single_trials(table):
    assert equal(table.values(Query("valid_12", trial=111)), [30, 31, NAN, NAN])
    assert equal(table.values(Query("valid_12", epoch=2, trial=777)), [22, NAN, 24, 26])
    assert equal(table.values(Query("valid_200", trial="mean of 3 seeds")), [90, 91, NAN, 89])
    assert equal(table.trials(Query("valid_12", epoch=2)), VALID_12[:, :, 1])
    assert equal(table.trials("latency"), [[0.3], [0.1], [0.2], [0.1]])


def test_values_are_floats_that_nobody_can_change(table):
    for name in table.columns:
        values = table.values(name)
        assert values.dtype == np.float64
        assert values.shape == (4,)
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1.0
        with pytest.raises(ValueError, match="read-only"):
            table.trials(name)[0] = 1.0


def test_query_of_one_and_of_many(table):
    assert table.query(CELLS[0], "latency") == 0.3
    assert table.query(TWIN, "latency") == table.query(CELLS[1], "latency") == 0.1
    assert type(table.query(CELLS[0], "steps")) is float
    assert equal(table.query(np.array([CELLS[3], TWIN]), "test_12"), [36, 31])
    assert np.isnan(table.query(CELLS[2], "valid_200"))
    assert table.query(np.zeros((0, 6), dtype=int), "latency").shape == (0,)


def test_optimum_and_ranking_follow_the_direction(table):
    assert table.optimum("valid_12") == 34
    assert table.optimum(Query("valid_12", trial=111)) == 31
    assert table.optimum("latency") == 0.1
    assert table.ranking("valid_12").tolist() == [2, 1, 0]
    assert table.ranking("valid_200").tolist() == [1, 0, 3]
    assert table.ranking("latency").tolist() == [1, 3, 2, 0]  # ties in order of rows
    assert table.ranking(Query("valid_12", epoch=12, trial=777)).tolist() == [2]


# Which column a query means


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("latency", "latency"),
        ("test_12", "test_12"),
        (Query("accuracy", split="test"), "test_12"),
        (Query("accuracy", schedule="200"), "valid_200"),
        (Query("accuracy", split="valid", schedule="12", dataset="toy"), "valid_12"),
        (Query("valid_12", split="valid"), "valid_12"),
    ],
)
def test_a_query_finds_its_column(table, query, name):
    assert table.column(query).name == name
    assert equal(table.values(query), table.values(name))


def test_a_columns_name_goes_before_a_quantity(tmp_path):
    columns = {
        Column("loss", "loss", "", False, "valid"): [1.0, 2, 3, 4],
        Column("loss_test", "loss", "", False, "test"): [5.0, 6, 7, 8],
    }
    info = replace(INFO, objective="loss", report="loss_test")
    table = Table.create(tmp_path / "t", info, columns, ROW_OF_INDEX)
    assert table.column("loss").split == "valid"
    assert table.column(Query("loss", split="test")).name == "loss_test"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "accuracy",
            r"several columns for accuracy: valid_12 \(toy, valid, schedule 12\); test_12",
        ),
        (
            Query("accuracy", split="valid"),
            r"several columns for accuracy, split=valid: .*valid_200",
        ),
        (
            "loss",
            r"no column for loss\. It holds valid_12 \(toy, valid, .*; test_12 .*latency; steps",
        ),
        (
            Query("latency", split="valid"),
            r"no column for latency, split=valid\. It holds latency",
        ),
        (Query("accuracy", split="train"), "no column for accuracy, split=train"),
        (Query("valid_12", split="test"), "no column for valid_12, split=test"),
        (Query("accuracy", dataset="cifar10"), "no column for accuracy, dataset=cifar10"),
        (Query("accuracy", schedule="90"), "no column for accuracy, schedule=90"),
        (
            Query("valid_12", epoch=3),
            "'valid_12' of 'toy/cells' holds epochs 1, 2, 12, not epoch 3",
        ),
        (Query("valid_12", epoch=0), "holds epochs 1, 2, 12, not epoch 0"),
        (Query("valid_12", epoch=-1), "holds epochs 1, 2, 12, not epoch -1"),
        (Query("test_12", epoch=12), "holds only the value at the end of training, not epoch 12"),
        (Query("valid_12", trial=999), "holds the trials 111, 777, not 999"),
        (Query("valid_12", trial="777"), "holds the trials 111, 777, not '777'"),
        (Query("valid_12", trial="random"), "A random trial is drawn at each evaluation"),
        (Query("valid_200", trial=777), "holds the trials mean of 3 seeds, not 777"),
    ],
)
def test_what_the_table_cannot_answer_is_refused(table, query, message):
    with pytest.raises(QueryError, match=message):
        table.values(query)
    with pytest.raises(QueryError, match=message):
        table.query(CELLS[0], query)


def test_what_the_table_has_no_entry_for_is_absent(table):
    message = r"'toy/cells' has no entry for \|none~0\|.*holds 4 entries for the 15,625"
    with pytest.raises(AbsentEntryError, match=message):
        table.query(ABSENT, "latency")
    with pytest.raises(AbsentEntryError, match=message):
        table.query(np.array([*CELLS, ABSENT]), "latency")


def test_what_is_not_of_the_space_is_refused(table):
    for wrong in ((0, 0, 0, 0, 0, 9), (0, 0), np.array([[0, 0, 0, 0, 0, 9]]), "|none~0|"):
        with pytest.raises(InvalidArchitectureError, match="Expected"):
            table.query(wrong, "latency")


# What cannot be a table


@pytest.mark.parametrize(
    ("changes", "columns", "row_of_index", "message"),
    [
        ({}, {"latency": [1.0, 2.0]}, ROW_OF_INDEX, "different numbers of rows"),
        ({}, {}, None, "has 4 rows for 15,?625 architectures"),
        ({}, {}, ROW_OF_INDEX[:-1], "row_of_index .* does not fit"),
        ({}, {}, ROW_OF_INDEX + 1, "row_of_index .* does not fit"),
        ({"objective": "speed"}, {}, ROW_OF_INDEX, "no column speed"),
        ({"report": "speed"}, {}, ROW_OF_INDEX, "no column speed"),
        ({"space": "nb301"}, {}, ROW_OF_INDEX, "Unknown space 'nb301'"),
    ],
)
def test_what_does_not_fit_together_is_not_written(
    tmp_path, changes, columns, row_of_index, message
):
    changed = {column: columns.get(column.name, values) for column, values in COLUMNS.items()}
    with pytest.raises(ValueError, match=message):
        Table.create(tmp_path / "t", replace(INFO, **changes), changed, row_of_index)
    assert list(tmp_path.iterdir()) == []


# On disk


def test_arrays_are_mapped_not_read(table):
    for name in table.columns:
        array = table.trials(name)
        while isinstance(array, np.ndarray):
            array = array.base
        assert isinstance(array, mmap.mmap)


def test_a_pickled_table_opens_the_files_again(table):
    table.values("valid_12")
    data = pickle.dumps(table)
    assert len(data) < 1_000
    copy = pickle.loads(data)
    assert copy.info == table.info
    assert equal(copy.values("valid_12"), table.values("valid_12"))


def test_verify_notices_a_changed_byte(folder):
    names = [column.name for column in COLUMNS] + ["row_of_index"]
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        ["manifest.json", *(f"{name}.npy" for name in names)]
    )
    Table.open(folder).verify()
    for name in names:
        path = folder / f"{name}.npy"
        sound = path.read_bytes()
        path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
        with pytest.raises(TableFileError, match=f"{name}.npy has changed .*Put back"):
            Table.open(folder).verify()
        path.write_bytes(sound)
    Table.open(folder).verify()


def change_manifest(folder, **changes):
    """Writes another manifest, as sound as one of ours."""
    path = folder / "manifest.json"
    write_sealed(path, {**json.loads(path.read_text()), **changes})


DAMAGES = {
    "no folder": lambda f: [path.unlink() for path in f.iterdir()] and f.rmdir(),
    "no manifest": lambda f: (f / "manifest.json").unlink(),
    "empty manifest": lambda f: (f / "manifest.json").write_text(""),
    "half a manifest": lambda f: os.truncate(f / "manifest.json", 700),
    "binary manifest": lambda f: (f / "manifest.json").write_bytes(b"\x93NUMPY\xff\xfe"),
    "a manifest that is a list": lambda f: (f / "manifest.json").write_text("[1, 2]"),
    "a changed manifest": lambda f: (f / "manifest.json").write_text(
        (f / "manifest.json").read_text().replace('"maximize": true', '"maximize": false', 1)
    ),
    "a manifest without checksum": lambda f: (f / "manifest.json").write_text(
        (f / "manifest.json").read_text().replace('"checksum"', '"sum"')
    ),
    "a manifest without keys": lambda f: (f / "manifest.json").write_text('{"format": 3}'),
    "an unknown field": lambda f: change_manifest(f, info={"name": "x", "colour": "red"}),
    "columns that are numbers": lambda f: change_manifest(f, columns=[1, 2]),
    "a column that is elsewhere": lambda f: (
        np.save(f.parent / "other.npy", np.zeros(4)),
        change_manifest(f, sha256={"../other": "0"}, bytes={"../other": 160}, columns=[]),
    ),
    "checksums of nothing": lambda f: change_manifest(f, sha256={}),
    "other rows": lambda f: change_manifest(f, rows=5),
    "no array": lambda f: (f / "latency.npy").unlink(),
    "no rows": lambda f: (f / "row_of_index.npy").unlink(),
    "a truncated array": lambda f: os.truncate(f / "latency.npy", 140),
    "truncated rows": lambda f: os.truncate(f / "row_of_index.npy", 30_000),
    "a truncated header": lambda f: os.truncate(f / "latency.npy", 20),
    "an empty array": lambda f: os.truncate(f / "latency.npy", 0),
    "another shape": lambda f: np.save(f / "latency.npy", np.zeros((4, 2, 1))),
    "objects": lambda f: np.save(f / "latency.npy", np.array([[[{}]]] * 4), allow_pickle=True),
    "a pickle": lambda f: (f / "latency.npy").write_bytes(pickle.dumps([1.0] * 4)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_refused_with_advice(folder, damage):
    Table.open(folder)
    DAMAGES[damage](folder)
    advice = r"cannot be opened: .* Put back a copy of it, or make the table again"
    with pytest.raises(TableFileError, match=advice) as caught:
        Table.open(folder)
    assert str(folder) in str(caught.value)
    assert not caught.value.outdated


def test_a_damaged_header_is_refused_whatever_byte_changed(folder):
    path = folder / "latency.npy"
    sound = path.read_bytes()
    refused = 0
    for position in range(128):
        for byte in b"\x00({0":
            path.write_bytes(sound[:position] + bytes([byte]) + sound[position + 1 :])
            try:
                Table.open(folder).values("latency")
            except TableFileError:  # and no other error, nor a warning
                refused += 1
    assert refused > 400


def test_a_table_that_was_replaced_is_not_read_half_old_half_new(folder):
    old = Table.open(folder)
    old.values("latency")
    values = {column: np.asarray(values) + 1 for column, values in COLUMNS.items()}
    new = Table.create(folder, INFO, values, ROW_OF_INDEX)
    assert equal(old.values("latency") + 1, new.values("latency"))
    with pytest.raises(TableFileError, match="was replaced since it was opened; open it again"):
        old.values("test_12")


def test_a_table_of_another_format_is_refused_with_advice(folder):
    change_manifest(folder, format=99)
    message = "has format 99, while this version of nasbench-lab reads 3. Use the version that"
    with pytest.raises(TableFileError, match=message) as caught:
        Table.open(folder)
    assert caught.value.outdated


# Writing


def everything_below(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("saved", [0, 1, 5])
@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_while_writing_leaves_nothing_half_done(
    tmp_path, monkeypatch, error, saved, exists
):
    folder = tmp_path / "toy" / "cells"
    if exists:
        Table.create(folder, INFO, COLUMNS, ROW_OF_INDEX)
    before = everything_below(tmp_path)
    save, calls = np.save, []

    def failing_save(path, *arguments, **options):
        calls.append(path)
        if len(calls) > saved:
            raise error
        save(path, *arguments, **options)

    monkeypatch.setattr(np, "save", failing_save)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else DataFolderError
    doubled = {column: np.multiply(values, 2) for column, values in COLUMNS.items()}
    with pytest.raises(expected):
        Table.create(folder, INFO, doubled, ROW_OF_INDEX)
    assert len(calls) == saved + 1
    if exists:
        assert everything_below(tmp_path) == before
        table = Table.open(folder)
        table.verify()
        assert table.optimum("valid_12") == 34
    else:
        assert everything_below(tmp_path) == ["toy"]


def test_creating_again_replaces_and_leaves_open_tables_readable(folder):
    old = Table.open(folder)
    doubled = {column: np.multiply(values, 2) for column, values in COLUMNS.items()}
    new = Table.create(folder, INFO, doubled, ROW_OF_INDEX)
    assert new.optimum("valid_12") == 68
    assert old.optimum("valid_12") == 34
    assert everything_below(folder.parent)[0] == "cells"
    assert [p.name for p in folder.parent.iterdir()] == ["cells"]


def test_a_data_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "file" / "data"))
    message = "Cannot write to .*file/data/tables/.*set NASBENCH_LAB_DATA to a folder that you own"
    with pytest.raises(DataFolderError, match=message):
        open_table("nas-bench-graph/proteins")
    with pytest.raises(OSError, match=message):
        Table.create(tmp_path / "file" / "data" / "tables" / "toy", INFO, COLUMNS, ROW_OF_INDEX)


# By name


def write_toy(folder):
    Table.write(folder, INFO, COLUMNS, ROW_OF_INDEX)


def test_an_unknown_table_is_refused_with_the_nearest_name(data):
    with pytest.raises(UnknownNameError, match=r"table 'nas-bench-graph/corra'.*graph/cora'"):
        open_table("nas-bench-graph/corra")
    assert not data.exists()


def test_a_table_in_the_data_folder_needs_no_source(data):
    Table.create(data / "tables" / "toy" / "cells", INFO, COLUMNS, ROW_OF_INDEX)
    assert open_table("toy/cells").optimum("latency") == 0.1
    assert "toy/cells" in registry.table_names()


def test_a_broken_conversion_leaves_nothing(data, monkeypatch):
    def convert(folder):
        write_toy(folder)
        raise TableFileError("toy.bench: record 5 is damaged")

    sources = {"toy/cells": TableSource("toy/cells", "nothing", lambda: "toy 1", convert)}
    monkeypatch.setattr(registry.tables, "table_sources", lambda: sources)
    with pytest.raises(TableFileError, match="record 5 is damaged"):
        open_table("toy/cells")
    assert everything_below(data) == ["tables", "tables/toy"]


def test_a_table_that_another_process_made_meanwhile_is_never_taken_away(data, monkeypatch):
    folder, rename, seen = data / "tables" / "toy" / "cells", os.rename, []

    def convert(new):
        write_toy(new)
        Table.create(folder, INFO, COLUMNS, ROW_OF_INDEX)  # the other process, which opens it now

        def watched_rename(*paths):
            try:
                rename(*paths)
            finally:
                seen.append((folder / "manifest.json").is_file())

        monkeypatch.setattr(os, "rename", watched_rename)

    sources = {"toy/cells": TableSource("toy/cells", "nothing", lambda: "toy 1", convert)}
    monkeypatch.setattr(registry.tables, "table_sources", lambda: sources)
    open_table("toy/cells").verify()
    assert seen == [True]
    assert [p.name for p in folder.parent.iterdir()] == ["cells"]


OPEN_AT_ONCE = """
import sys, time
from pathlib import Path
from nasbench_lab.registry import open_table
here, number = Path(sys.argv[1]), sys.argv[2]
(here / f"ready{number}").touch()
while len(list(here.glob("ready*"))) < 3:
    time.sleep(0.001)
table = open_table("nas-bench-graph/proteins")
table.verify()
print(len(table), table.optimum("valid_roc_auc"))
"""


def test_processes_that_convert_at_once_leave_one_sound_table(data, tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AT_ONCE, str(tmp_path), str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    said = [process.communicate(timeout=600) for process in processes]
    table = open_table("nas-bench-graph/proteins")
    table.verify()
    expected = f"{len(table)} {table.optimum('valid_roc_auc')}\n"
    assert said == [(expected, "")] * 3
    assert [p.name for p in table.folder.parent.iterdir()] == ["proteins"]
    assert files.data_folder() == data

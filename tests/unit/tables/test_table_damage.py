"""Damage to tables and to the command that looks for it: noticed, whatever byte it struck."""

import errno
import json
import os
import pickle
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest
from damage import damage

from nasbench_lab import registry
from nasbench_lab.errors import DataFolderError, MissingSourceError, TableFileError
from nasbench_lab.registry import open_table, table_folder
from nasbench_lab.spaces import get_space
from nasbench_lab.tables import folder as table_files
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.table import Table
from tabular_data import shipped

DRAW = np.random.default_rng(1)
ROWS = 40
SIZE = get_space("nb201").size
COLUMNS = {
    Column("valid", "accuracy", "%", True, "valid", trials=(7, 8), epochs=(1, 2)): DRAW.uniform(
        10, 90, (ROWS, 2, 2)
    ),
    Column("test", "accuracy", "%", True, "test", trials=(7, 8), epochs=(1, 2)): DRAW.uniform(
        10, 90, (ROWS, 2, 2)
    ),
    Column("cost", "latency", "ms", False): DRAW.uniform(1, 2, ROWS),
}
INFO = TableInfo("mine", "nb201", "What.", "@misc{m}", "MIT", "valid", "test", {"file": "a.csv"})
ORDER = DRAW.permutation(SIZE)


def create(folder, **changes):
    row_of_index = DRAW.integers(-1, ROWS, SIZE).astype(np.int32)
    info = TableInfo(**{**vars(INFO), **changes})
    return Table.create(folder, info, COLUMNS, row_of_index, extra={"official_order": ORDER})


def content(folder):
    """All that a table says."""
    table = Table.open(folder)
    arrays = [table.trials(name).tobytes() for name in table.columns]
    order = table.extra("official_order").tobytes()
    rows = table.row(table.space.at(np.arange(SIZE))).tobytes()
    return table.info, table.columns, arrays, order, rows


def test_damage_to_any_file_of_a_table_is_noticed(tmp_path):
    folder, other = tmp_path / "mine", tmp_path / "other"
    create(folder)
    create(other, name="other")
    sound = {path: path.read_bytes() for place in (folder, other) for path in place.iterdir()}
    whole, rng, noticed = content(folder), random.Random(0), 0
    for number in range(180):
        for path, held in sound.items():
            path.write_bytes(held)
        files = sorted(path for path in sound if path.parent == folder)
        path = files[number % len(files)]
        others = [one for one in sound if one not in (path, other / "test.npy")]
        damage(rng, path, [one for one in others if sound[one] != sound[path]])
        said = None
        try:
            assert content(folder) == whole, path
        except TableFileError as error:
            said = str(error)
        if said is not None:
            assert str(folder) in said
            assert "Delete" not in said
            assert table_files.problems(folder)
            noticed += 1
    assert noticed > 170


def test_a_file_is_compared_once_until_it_changes(tmp_path, monkeypatch):
    folder = create(tmp_path / "mine").folder
    monkeypatch.setattr(table_files, "_SETTLED_NS", -(10**18))
    sums, real = [], table_files._file_sum
    monkeypatch.setattr(table_files, "_file_sum", lambda a: sums.append(a.nbytes) or real(a))

    def compared():
        sums.clear()
        content(folder)
        return len(sums)

    assert compared() == 5
    assert compared() == 0
    table_files._sound.clear()  # as another process
    assert compared() == 0
    path = folder / "test.npy"
    status, sound = os.stat(path), path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # the times of before
    with pytest.raises(TableFileError, match=r"test\.npy has changed since it was written"):
        content(folder)
    path.write_bytes(sound)
    assert compared() == 1
    (folder / "verified.json").write_text("[nonsense")
    table_files._sound.clear()
    assert compared() == 5


def test_a_folder_that_cannot_be_written_is_read(tmp_path, monkeypatch):
    folder = create(tmp_path / "mine").folder
    monkeypatch.setattr(table_files, "_SETTLED_NS", -(10**18))

    def refuse(path):
        raise DataFolderError(f"Cannot write to {path}")

    monkeypatch.setattr(table_files, "atomic_file", refuse)
    content(folder)
    assert not (folder / "verified.json").exists()


@pytest.mark.parametrize("file", ["manifest.json", "cost.npy"])
def test_what_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch, file):
    folder, real = create(tmp_path / "mine").folder, open

    def refuse(path, *arguments, **options):
        if str(path).endswith(file):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("io.open", refuse)
    with pytest.raises(DataFolderError, match=rf"Cannot read .*{file}: Permission denied\.$"):
        content(folder)
    with pytest.raises(DataFolderError, match="Cannot read"):
        table_files.problems(folder)


def test_a_table_that_was_replaced_is_verified_as_it_was_opened(tmp_path):
    folder = create(tmp_path / "mine").folder
    values, sound = Table.open(folder).trials("valid").copy(), Table.open(folder)
    path = folder / "valid.npy"
    held = path.read_bytes()
    path.unlink()
    path.write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    changed = Table.open(folder)
    create(folder)
    np.testing.assert_array_equal(sound.trials("valid"), values)
    with pytest.raises(TableFileError, match=r"valid\.npy has changed"):
        changed.trials("valid")


def test_a_table_of_the_version_before_is_read(tmp_path):
    folder = create(tmp_path / "mine").folder
    whole, path = content(folder), folder / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["checksum"]
    path.write_text(json.dumps({**manifest, "format": 2}))
    assert content(folder) == whole
    (folder / "cost.npy").write_bytes((folder / "cost.npy").read_bytes()[:-1] + b"\1")
    with pytest.raises(TableFileError, match=r"cost\.npy has changed"):
        content(folder)


def test_a_table_in_the_place_of_another_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path))
    create(table_folder("theirs"))
    with pytest.raises(TableFileError, match="holds the table 'mine' instead of 'theirs'"):
        open_table("theirs")


def test_only_what_can_be_made_again_is_to_be_deleted(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path))

    def advice(name):
        path = table_folder(name) / "manifest.json"
        path.write_text(path.read_text().replace('"maximize": true', '"maximize": false', 1))
        with pytest.raises(TableFileError, match=r"manifest\.json has changed") as caught:
            open_table(name)
        return str(caught.value)

    create(table_folder("mine"))
    assert "Put back a copy of it, or make the table again" in advice("mine")
    open_table("nb201-digits")
    assert "Delete that folder; the table is then made again" in advice("nb201-digits")

    def gone():
        raise MissingSourceError("not installed")

    sources = registry.table_sources()
    monkeypatch.setitem(sources, "nb201-digits", replace(sources["nb201-digits"], version=gone))
    assert "Delete" not in advice("nb201-digits")


def test_a_worker_gives_the_same_advice(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path))
    copy = pickle.loads(pickle.dumps(open_table("nb201-digits")))
    path = copy.folder / "flops.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(TableFileError, match=r"flops\.npy has changed .* Delete that folder; "):
        copy.values("flops")


# The table that comes with nasbench-lab


@pytest.mark.parametrize("file", ["manifest.json", "flops.npy"])
def test_damage_to_the_table_that_comes_with_the_package_is_noticed(tmp_path, monkeypatch, file):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    shutil.copytree(shipped.FOLDER / "nb201_digits", tmp_path / "shipped" / "nb201_digits")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "shipped")
    path = tmp_path / "shipped" / "nb201_digits" / file
    held = path.read_bytes()
    for at in random.Random(3).sample(range(len(held)), 8):
        path.write_bytes(held[:at] + bytes([held[at] ^ 2]) + held[at + 1 :])
        with pytest.raises(TableFileError, match=r"shipped.* Install nasbench-lab again"):
            open_table("nb201-digits")
        assert not table_folder("nb201-digits").exists()
    path.write_bytes(held)
    open_table("nb201-digits")
    assert not (path.parent / "verified.json").exists()


# The command


def test_verify(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    folder = create(table_folder("mine")).folder
    outcome = lab("verify", "mine")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"The table mine is sound: 6 files in {folder}.\n"
    for name in ("cost.npy", "test.npy"):
        (folder / name).write_bytes((folder / name).read_bytes()[:-1] + b"\1")
    for what in ("mine", folder):
        outcome = lab("verify", what)
        assert outcome.code == 1
        first, second = outcome.out.splitlines()
        assert "cost.npy has changed" in first + second
        assert "test.npy has changed" in first + second
    outcome = lab("verify", "mine", "--json")
    assert outcome.code == 1
    assert len(json.loads(outcome.out)["problems"]) == 2
    assert lab("verify", "yours").err.startswith("Error: Unknown table 'yours'.")


def test_verify_of_a_result(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    lab(
        *("compare", "-b", "nb201-digits", "-a", "random_search", "--budget", "5"),
        *("--seeds", "2", "--jobs", "1", "--output", "r"),
    )
    assert lab("verify", "r").out.startswith("The result r is sound: ")
    shard = next((tmp_path / "r" / "runs").glob("*.parquet"))
    held = shard.read_bytes()
    shard.write_bytes(held[: len(held) // 2])
    outcome = lab("verify", "r", "--json")
    assert outcome.code == 1
    assert shard.name in json.loads(outcome.out)["problems"][0]

"""Damage to result folders: all of it is noticed, told by file, and sound data are kept."""

import csv
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.csv_files import write_csv
from nasbench_lab.errors import (
    DataFolderError,
    ExperimentError,
    NasbenchLabError,
    TableFileError,
    UnknownNameError,
    WorkerError,
)
from nasbench_lab.experiment import settings
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.experiment.toml import read_experiment
from nasbench_lab.registry import open_table
from nasbench_lab.results import parts as result_parts
from nasbench_lab.results.folder import verify_result
from nasbench_lab.results.manifest import checksum
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare
from nasbench_lab.tables.table import Table

CORA, DIGITS = "nas-bench-graph/cora", "nb201-digits"


@pytest.fixture
def folder(tmp_path):
    """A small result: two runs in two parts, the last evaluation cut off."""
    compare(["random_search"], DIGITS, budget="9, 3s", seeds=2, n_jobs=1, folder=tmp_path / "r")
    assert all(len(run.trace.cut_off) for run in Result.open(tmp_path / "r").runs)
    return tmp_path / "r"


def parts(folder):
    return sorted((folder / "runs").iterdir())


def damaged(content, rng):
    """The content with one damage: a bit, bytes of nothing, some lost, or others'."""
    at, length = int(rng.integers(len(content))), int(rng.integers(1, 9))
    kind = rng.integers(5)
    if kind == 0:
        changed = content[at] ^ (1 << int(rng.integers(8)))
        return content[:at] + bytes([changed]) + content[at + 1 :]
    if kind == 1:
        return content[:at] + bytes(len(content[at : at + length])) + content[at + length :]
    if kind == 2:
        return content[:at] + content[at + length :]
    if kind == 3:
        return content[:at] + rng.bytes(length) + content[at + length :]
    return content[:at]


def everything(result):
    """All that is decoded, as something that can be compared."""
    lines = []
    for run in result.runs:
        for trace in (run.trace, run.trace.cut_off):
            columns = [getattr(trace, name) for name in result_parts.COLUMNS]
            lines.append([(column.dtype.str, column.tobytes()) for column in columns])
            lines.append([sorted(trace.settings.items()), trace.objectives, trace.space.name])
        lines.append([run.cell, run.wall_s, run.made_with, run.code, run.error, run.warnings])
    return repr([result.experiment, lines])


def trials(folder, file, count, seed):
    """Damages a file so many times; returns how many were noticed, and how many harmless."""
    rng, content = np.random.default_rng(seed), file.read_bytes()
    before = everything(Result.open(folder))
    noticed = harmless = 0
    for _ in range(count):
        file.write_bytes(damaged(content, rng))
        try:
            after = everything(Result.open(folder))
        except NasbenchLabError as error:
            noticed += str(file if file.suffix == ".parquet" else folder) in str(error)
        else:
            assert after == before, "damage was read without a word"
            harmless += 1
    file.write_bytes(content)
    assert everything(Result.open(folder)) == before
    return noticed, harmless


def test_damage_to_a_part_is_noticed_or_harmless(folder):
    noticed, harmless = trials(folder, parts(folder)[0], 300, 0)
    assert noticed > 200
    assert noticed + harmless == 300


def test_damage_to_a_manifest_is_noticed_or_harmless(folder):
    noticed, _ = trials(folder, folder / "manifest.json", 200, 1)
    assert noticed > 150


def rewritten(path, change):
    """Changes a part as another program would that knows nothing of checksums."""
    table = pq.read_table(path)
    kept = table.schema.metadata
    pq.write_table(change(table).replace_schema_metadata(kept), path)


CHANGES = {
    "a value": lambda t: t.set_column(
        t.column_names.index("objective_0"), "objective_0", [t["objective_0"].to_numpy() + 1e-9]
    ),
    "a row": lambda t: t.set_column(t.column_names.index("row"), "row", [t["row"].to_numpy() + 1]),
    "a time": lambda t: t.set_column(
        t.column_names.index("end"), "end", [t["end"].to_numpy() * 1.001]
    ),
    "an architecture": lambda t: t.set_column(
        t.column_names.index("architecture"),
        "architecture",
        [t["architecture"].combine_chunks().take(np.arange(len(t))[::-1])],
    ),
    "the seed": lambda t: t.set_column(
        t.column_names.index("seed"), "seed", [t["seed"].to_numpy() + 1]
    ),
    "a column's type": lambda t: t.set_column(
        t.column_names.index("status"), "status", [t["status"].to_numpy().astype(np.int64)]
    ),
    "fewer lines": lambda t: t.slice(0, len(t) - 1),
    "a column more": lambda t: t.append_column("more", [np.zeros(len(t))]),
    "a note on a run": lambda t: t,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_another_program_changes_is_noticed(folder, change):
    path = parts(folder)[1]
    if change == "a note on a run":
        table = pq.read_table(path)
        text = table.schema.metadata[b"nasbench_lab.part"].replace(b'"wall_s": ', b'"wall_s": 1')
        head = {**table.schema.metadata, b"nasbench_lab.part": text}
        pq.write_table(table.replace_schema_metadata(head), path)
    else:
        rewritten(path, CHANGES[change])
    with pytest.raises(TableFileError, match="checksum") as caught:
        Result.open(folder)
    assert f"{path} cannot be read as a part of a result, it is damaged" in str(caught.value)
    assert "Delete it" in str(caught.value)


def test_other_ways_to_write_the_same_are_no_damage(folder):
    before = everything(Result.open(folder))
    path = parts(folder)[0]
    table = pq.read_table(path)
    pq.write_table(table, path, compression="gzip", row_group_size=2, data_page_version="2.0")
    assert everything(Result.open(folder)) == before


def test_many_rows_of_many_texts_have_one_checksum(tmp_path, monkeypatch):
    result = compare(["random_search"], CORA, budget=300, seeds=2, n_jobs=1)
    write = pq.write_table
    monkeypatch.setattr(pq, "write_table", lambda *a, **k: write(*a, **k, row_group_size=50))
    result.save(tmp_path / "r")
    assert everything(Result.open(tmp_path / "r")) == everything(result)


# Whose a part is


def test_a_part_of_another_experiment_is_refused_with_words(folder, tmp_path):
    compare(
        ["random_search"], DIGITS, budget="7, 3s", seeds=[5], n_jobs=1, folder=tmp_path / "other"
    )
    shutil.copy(parts(tmp_path / "other")[0], folder / "runs" / "x.parquet")
    with pytest.raises(TableFileError) as caught:
        Result.open(folder)
    text = str(caught.value)
    assert "x.parquet is no part of this result: budget evaluations 7 there, 9 here" in text
    assert "Move it elsewhere" in text
    assert "elete" not in text


def test_a_part_that_the_manifest_does_not_name_is_refused(folder, tmp_path):
    compare(["gp_bo"], DIGITS, budget="9, 3s", seeds=1, n_jobs=1, folder=tmp_path / "other")
    shutil.copy(parts(tmp_path / "other")[0], folder / "runs" / "x.parquet")
    with pytest.raises(TableFileError, match="the experiment has no 'gp_bo' among its algorithms"):
        Result.open(folder)


def test_a_table_that_is_replaced_is_noticed_when_the_part_comes_back(tmp_path):
    real = open_table(DIGITS)
    for name, added in ("one", 0), ("other", 1):
        columns = {
            column: np.asarray(real._arrays[column.name]) for column in real.columns.values()
        }
        columns[real.columns["valid_accuracy"]] = columns[real.columns["valid_accuracy"]] + added
        Table.create(tmp_path / name, real.info, columns, real._row_of_index, keys=real._keys)
    benchmark = TableBenchmark(Table.open(tmp_path / "one"))
    settings = {"budget": 5, "seeds": 16, "n_jobs": 2, "folder": tmp_path / "r"}

    def replace(*_):
        if (tmp_path / "other").exists():
            (tmp_path / "one").rename(tmp_path / "old")
            (tmp_path / "other").rename(tmp_path / "one")

    # A worker that begins between the two renames finds no table at all.
    said = f"opened another table '{DIGITS}'|cannot be read|was killed"
    with pytest.raises((TableFileError, WorkerError), match=said):
        compare(["random_search"], benchmark, **settings, progress=replace)
    kept = Result.open(tmp_path / "r")
    assert 0 < len(kept.runs) < 16
    assert {run.table for run in kept.runs} == {benchmark.fingerprint}
    shutil.rmtree(tmp_path / "one")
    (tmp_path / "old").rename(tmp_path / "one")
    whole = compare(["random_search"], benchmark, **settings)
    expected = compare(["random_search"], DIGITS, budget=5, seeds=16, n_jobs=1)
    for one, other in zip(whole.runs, expected.runs, strict=True):
        assert one.trace.equals(other.trace)


# What is not damage


def test_what_may_not_be_read_is_not_called_damaged(folder, monkeypatch):
    path = parts(folder)[0]
    read = type(path).read_bytes

    def refused(self):
        if self == path:
            raise PermissionError(13, os.strerror(13))
        return read(self)

    monkeypatch.setattr(type(path), "read_bytes", refused)
    with pytest.raises(DataFolderError, match="Permission denied") as caught:
        Result.open(folder)
    assert "damaged" not in str(caught.value)
    assert "elete" not in str(caught.value)


def test_a_space_that_is_missing_is_no_damage(folder, monkeypatch):
    def missing(name):
        raise UnknownNameError("space", name, ["nb201"])

    monkeypatch.setattr(settings, "get_space", missing)
    with pytest.raises(UnknownNameError, match="Install the package that it comes from") as caught:
        Result.open(folder)
    assert "elete" not in str(caught.value)


# Manifests that others write


def rewrite_manifest(folder, change):
    """Edits a manifest as somebody does who knows how to compute its checksum."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content["experiment"], content["made_with"])
    del content["sha256"]
    path.write_text(json.dumps({**content, "sha256": checksum(content)}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e, m: e["benchmarks"][0].update(source=None), "source"),
        (lambda e, m: e["benchmarks"][0].update(table=5), "table"),
        (lambda e, m: e["benchmarks"][0].pop("objectives"), "objectives"),
        (lambda e, m: e["benchmarks"][0]["queries"].append("x"), "queries"),
        (lambda e, m: e["algorithms"].clear(), "at least one algorithm"),
        (lambda e, m: e["algorithms"].append(e["algorithms"][0]), "different names"),
        (lambda e, m: e["algorithms"][0].update(code=["x"]), "code"),
        (lambda e, m: e["algorithms"][0].update(name=" " * 20_000), "at least one letter"),
        (lambda e, m: e.update(seeds=["1"]), "seeds"),
        (lambda e, m: e.update(seeds="12"), "seeds"),
        (lambda e, m: e.pop("budget"), "budget"),
        (lambda e, m: e.update(budget={"evaluations": -1}), "budget"),
        (lambda e, m: e.update(workers={"count": "two"}), "workers"),
        (lambda e, m: m.update(versions={"numpy": 2}), "versions"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(folder, lab, change, words):
    rewrite_manifest(folder, change)
    with pytest.raises(TableFileError, match="cannot be read as a result") as caught:
        Result.open(folder)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 1000
    outcome = lab("plot", folder)
    assert outcome.code == 1
    assert "Traceback" not in outcome.err


def test_an_edit_is_told_as_such_and_loses_nothing(folder):
    path = folder / "manifest.json"
    sound = path.read_text()
    path.write_text(sound.replace('"seconds": 3.0', '"seconds": 30.0'))
    with pytest.raises(TableFileError, match=r"manifest\.json was edited or damaged") as caught:
        Result.open(folder)
    assert "elete" not in str(caught.value)
    path.unlink()
    before = [part.read_bytes() for part in parts(folder)]
    settings = {"budget": "9, 3s", "seeds": 2, "n_jobs": 1, "folder": folder}
    compare(["random_search"], DIGITS, **settings)
    assert [part.read_bytes() for part in parts(folder)] == before
    assert path.read_text() == sound


def test_a_result_of_an_earlier_format_is_told_with_its_version(folder):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"format": 3}))
    with pytest.raises(TableFileError, match=r"format 3, which nasbench-lab \d.* reads 4"):
        Result.open(folder)


def test_names_with_markup_are_shown_as_they_are(lab, tmp_path):
    compare({"[/red]x": "random_search"}, CORA, budget=3, seeds=2, n_jobs=1, folder=tmp_path / "r")
    outcome = lab("plot", tmp_path / "r")
    assert outcome.code == 0, outcome.err
    assert lab("report", tmp_path / "r").code == 0


# Folders that others delete, and merges that are killed


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_folder_that_is_deleted_meanwhile_is_an_error_that_counts(tmp_path, n_jobs):
    def delete(done, *_):
        shutil.rmtree(tmp_path / "r", ignore_errors=True)

    with pytest.raises(DataFolderError, match=r"\d+ of \d+ finished runs are gone"):
        compare(
            ["random_search"],
            CORA,
            budget=5,
            seeds=16,
            n_jobs=n_jobs,
            folder=tmp_path / "r",
            progress=delete,
        )


def test_parts_that_are_deleted_at_the_end_are_counted(tmp_path):
    def delete(done, *_):
        if done == 16:
            for part in parts(tmp_path / "r")[:3]:
                part.unlink()

    settings = {"budget": 5, "seeds": 16, "n_jobs": 1, "folder": tmp_path / "r"}
    with pytest.raises(DataFolderError, match=r"^6 of 16 finished runs are gone"):
        compare(["random_search"], CORA, **settings, progress=delete)
    assert len(compare(["random_search"], CORA, **settings).runs) == 16


def test_a_merge_that_was_killed_goes_on(lab, tmp_path, monkeypatch):
    compare(["random_search", "gp_bo"], CORA, budget=5, seeds=2, n_jobs=1, folder=tmp_path / "a")
    compare(["random_search"], CORA, budget=5, seeds=[7], n_jobs=1, folder=tmp_path / "b")
    assert lab("merge", "a", "b", "-o", "whole").code == 0
    for left in range(3):
        assert lab("merge", "a", "b", "-o", "all").code == 0
        for part in parts(tmp_path / "all")[left:]:
            part.unlink()
        done = lab("merge", "a", "b", "-o", "all")
        assert done.code == 0, done.err
        assert "5 of 6 runs: all" in done.words
        assert everything(Result.open("all")) == everything(Result.open("whole"))
        shutil.rmtree("all")
    outcome = lab("merge", "a", "-o", "b")
    assert outcome.code == 1
    assert "b holds a result already" in outcome.err


# Growing


def test_more_of_everything_joins(tmp_path):
    folder = tmp_path / "r"
    settings = {"budget": 5, "n_jobs": 1, "folder": folder}
    compare(["random_search"], CORA, **settings, seeds=2)
    small = compare(["gp_bo"], CORA, **settings, seeds=[1])
    assert [run.cell for run in small.runs] == [(CORA, "gp_bo", 1)]
    before = [part.read_bytes() for part in parts(folder)]
    done = []
    grown = compare(
        ["gp_bo", "random_search"],
        [DIGITS, CORA],
        **settings,
        seeds=4,
        progress=lambda *told: done.append(told[:2]),
    )
    assert done[0][0] > 3, "what was finished counts"
    assert done[-1] == (16, 16)
    assert {part.read_bytes() for part in parts(folder)} >= set(before)
    whole = compare(["gp_bo", "random_search"], [DIGITS, CORA], budget=5, n_jobs=1, seeds=4)
    assert [run.cell for run in grown.runs] == [run.cell for run in whole.runs]
    for one, other in zip(grown.runs, whole.runs, strict=True):
        assert one.trace.equals(other.trace)
    opened = Result.open(folder)
    assert (len(opened.runs), opened.n_expected) == (16, 16)
    assert opened.algorithms == ["random_search", "gp_bo"]
    # The file for people says the same.
    said = read_experiment(folder / "experiment.toml")
    assert said == opened.experiment
    # Less shows less, and takes nothing away.
    less = compare(["random_search"], CORA, **settings, seeds=1)
    assert [run.cell for run in less.runs] == [(CORA, "random_search", 0)]
    assert everything(Result.open(folder)) == everything(opened)


def test_what_contradicts_does_not_join_and_changes_nothing(tmp_path):
    folder = tmp_path / "r"
    compare(["random_search"], CORA, budget=5, seeds=2, n_jobs=1, folder=folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for change in (
        {"budget": 6},
        {"workers": 2},
        {"charge_repeats": False},
        {"algorithms": {"random_search": "gp_bo"}},
    ):
        asked = {"algorithms": ["random_search"], "budget": 5, "seeds": 9} | change
        with pytest.raises(ExperimentError, match="holds another experiment"):
            compare(asked.pop("algorithms"), CORA, **asked, n_jobs=1, folder=folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_two_experiments_of_one_kind_are_one():
    one = Experiment.of({"a": "random_search"}, CORA, budget=1, seeds=[2, 0])
    other = Experiment.of({"b": "reinforce"}, CORA, budget=1, seeds=[0])
    whole, contradictions = one.joined(other)
    assert contradictions == []
    assert whole.labels == ["a", "b"]
    assert whole.seeds == (2, 0)
    assert one.joined(replace(one, seeds=(1,)))[0].seeds == (0, 1, 2)
    _, contradictions = one.joined(Experiment.of({"a": "reinforce"}, CORA, budget=1, seeds=[2, 0]))
    assert contradictions == ['algorithms a algorithm "random_search" there, "reinforce" here']


# Verifying


def test_all_damaged_files_are_listed(folder):
    assert verify_result(folder) == []
    for part in parts(folder):
        part.write_bytes(part.read_bytes()[:-9])
    (folder / "manifest.json").write_text("{")
    problems = verify_result(folder)
    assert len(problems) == 3
    for part in parts(folder):
        assert any(str(part) in problem for problem in problems)


def test_a_million_seeds_are_enough():
    for seeds in (10**9, range(10**9)):
        with pytest.raises(ExperimentError, match="at most 1,000,000 seeds"):
            compare(["random_search"], CORA, budget=1, seeds=seeds)


def test_labels_are_no_formulas_in_csv_files(lab, tmp_path):
    labels = ["=1+1", "+1x", "-2+3", "@SUM(A1)"]
    algorithms = dict.fromkeys(labels, "random_search")
    compare(algorithms, CORA, budget=3, seeds=2, n_jobs=1, folder=tmp_path / "r")
    assert lab("plot", "r").code == 0
    assert lab("export", "r", "--format", "csv", "-o", "out").code == 0
    written = [*tmp_path.rglob("*.csv")]
    assert len(written) >= 4
    for file in written:
        cells = [cell for line in csv.reader(file.read_text().splitlines()) for cell in line]
        assert {f"'{label}" for label in labels} <= set(cells), file
        assert not set(labels) & set(cells)


def test_numbers_in_csv_files_stay_as_they_are(tmp_path):
    frame = pd.DataFrame({"x": [-1.5, 1e-300], "-y": [-1, 2], "t": ["-3", "a"], "n": [None, "=a"]})
    write_csv(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "x,'-y,t,n\n-1.5,-1,-3,\n1e-300,2,a,'=a\n"

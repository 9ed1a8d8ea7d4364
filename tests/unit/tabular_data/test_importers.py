"""The tables of installed packages agree with the packages' own data, value by value."""

import importlib.util
import itertools
import json
import pickle
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from damage import write_sealed
from nas_bench_graph.architecture import Arch, gnn_list, gnn_list_proteins, link_list

from nasbench_lab import registry
from nasbench_lab.errors import AbsentEntryError, MissingSourceError
from nasbench_lab.files import sha256
from nasbench_lab.registry import open_table, table_folder, table_sources
from tabular_data import _origins
from tabular_data.nas_bench_graph import DATASETS


def package_file(package, path):
    return Path(importlib.util.find_spec(package).submodule_search_locations[0]) / path


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder of this test's own."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path))
    return tmp_path


# NAS-Bench-Graph

ALL_SKIP = 88888  # the hash of four skips in any wiring: all become the chain, wiring 8


def raw_architectures(operations):
    """Every raw architecture, as its official string and its official hash."""
    return [
        (f"Arch({link}, {list(names)})", Arch(link[:], list(names)).valid_hash())
        for link, names in itertools.product(link_list, itertools.product(operations, repeat=4))
    ]


@pytest.fixture(scope="module")
def hashes():
    """For each space: its architectures as an array, and ``(n,)`` official hashes."""
    result = {}
    for name, table, operations in (
        ("nas-bench-graph", "nas-bench-graph/cora", gnn_list),
        ("nas-bench-graph-proteins", "nas-bench-graph/proteins", gnn_list_proteins),
    ):
        raw = raw_architectures(operations)
        space = open_table(table).space
        assert space.name == name
        assert len(raw) == space.size
        result[name] = space.from_string([text for text, _ in raw]), np.array([h for _, h in raw])
    return result


@pytest.mark.parametrize("dataset", DATASETS)
def test_nas_bench_graph_agrees_with_the_package(dataset, hashes):
    table = open_table(f"nas-bench-graph/{dataset}")
    with open(package_file("nas_bench_graph", f"light/{dataset}.bench"), "rb") as file:
        bench = pickle.load(file)
    architectures, hashed = hashes[table.space.name]
    held = hashed != ALL_SKIP
    assert set(hashed[held].tolist()) == set(bench)
    assert len(table) == len(bench) == (2_021 if dataset == "proteins" else 26_206)

    score = "roc_auc" if dataset == "proteins" else "accuracy"
    fields = {
        f"valid_{score}": ("valid_perf", 100, "%", "valid"),
        f"test_{score}": ("perf", 100, "%", "test"),
        "latency": ("latency", 1, "s", None),
        "parameters": ("para", 1, "M", None),
    }
    assert set(table.columns) == set(fields)
    for name, (field, factor, unit, split) in fields.items():
        column = table.columns[name]
        expected = [factor * bench[key][field] for key in hashed[held].tolist()]
        assert table.query(architectures[held], name).tolist() == expected
        assert (column.unit, column.split, column.dataset) == (unit, split, dataset)
        assert column.maximize == (unit == "%")
        assert table.optimum(name) == (max if unit == "%" else min)(expected)
    assert 60 < table.optimum(f"valid_{score}") <= 100, "percent, not a fraction"
    assert (table.info.objective, table.info.report) == (f"valid_{score}", f"test_{score}")


@pytest.mark.parametrize("dataset", DATASETS)
def test_four_skips_are_absent(dataset, hashes):
    table = open_table(f"nas-bench-graph/{dataset}")
    architectures, hashed = hashes[table.space.name]
    absent = architectures[hashed == ALL_SKIP]
    assert len(absent) == 9
    assert len(np.unique(table.space.canonical(absent), axis=0)) == 1
    for architecture in map(tuple, absent.tolist()):
        with pytest.raises(AbsentEntryError, match=r"no entry for Arch\(.*'skip', 'skip', 'skip'"):
            table.query(architecture, table.info.objective)
    with pytest.raises(AbsentEntryError, match="never made up"):
        table.query(architectures, table.info.objective)


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_rows_canonical_architectures_have_distinct_hashes(dataset):
    table = open_table(f"nas-bench-graph/{dataset}")
    assert (table.row(table.architectures) == np.arange(len(table))).all()
    assert (table.space.canonical(table.architectures) == table.architectures).all()
    classes = np.unique(table.space.canonical(table.space.at(np.arange(table.space.size))), axis=0)
    assert len(classes) == len(table) + 1


def test_a_table_knows_what_it_was_made_from():
    table = open_table("nas-bench-graph/cora")
    path = package_file("nas_bench_graph", "light/cora.bench")
    assert table.info.source == {
        "version": f"nas-bench-graph {version('nas-bench-graph')}",
        "file": "nas_bench_graph/light/cora.bench",
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
    }
    assert table.info.licence == "Apache-2.0"
    assert "qin2022nasbenchgraph" in table.info.citation
    assert "No training times" in table.info.description
    table.verify()


# AnalogNAS-Bench


class Data(pickle.Unpickler):
    """Reads the package's objects as plain ones: their attributes are all that matters."""

    def find_class(self, module, name):
        assert module == "analognasbench.data"
        return type(name, (), {})


def test_analog_nasbench_agrees_with_the_package():
    with open(package_file("analognasbench", "data.anb"), "rb") as file:
        records = Data(file).load()
    table = open_table("analognas-bench/cifar10")
    assert len(records) == len(table) == table.space.size == 15_625

    names = ["skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3"]
    texts = []
    for key in records:
        e01, e02, e03, e12, e13, e23 = (names[code] for code in key)
        texts.append(f"|{e01}~0|+|{e02}~0|{e12}~1|+|{e03}~0|{e13}~1|{e23}~2|")
    cells = table.space.from_string(texts)
    assert len(set(table.row(cells).tolist())) == 15_625

    accuracies = ["baseline", "ptq", "qat", "noisy", "analog"]
    drifts = [f"{k}_drift_{s}" for k in ("baseline", "analog") for s in (60, 3600, 86400, 2592000)]
    expected = {
        **{
            f"{a}_accuracy": [getattr(r, f"{a}_accuracy") for r in records.values()]
            for a in accuracies
        },
        **{d: [getattr(r, d).value for r in records.values()] for d in drifts},
        **{
            f"{d}_uncertainty": [getattr(r, d).uncertainty for r in records.values()]
            for d in drifts
        },
    }
    assert set(table.columns) == set(expected)
    for name, values in expected.items():
        assert table.query(cells, name).tolist() == values
        assert table.columns[name].unit == "%"
        assert table.columns[name].maximize == (not name.endswith("uncertainty"))


def test_analog_nasbench_reads_edges_and_operations_as_nas_bench_201_does():
    # More convolutions train better: with another reading of the keys, none of this would hold.
    table = open_table("analognas-bench/cifar10")
    text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|{}~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    accuracy = {
        operation: table.query(table.space.from_string(text.format(operation)), "baseline_accuracy")
        for operation in ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    }
    assert max(accuracy, key=accuracy.get) == "skip_connect"
    everything = table.values("baseline_accuracy")
    every = table.space.at(np.arange(table.space.size))
    cut_off = (table.space.canonical(every) == 0).all(axis=1)
    assert cut_off.sum() == 341
    assert everything[cut_off].max() < everything[~cut_off].mean()
    assert min(accuracy.values()) > everything.mean()


# Packages that are not there, and tables that are


def not_installed(name):
    raise PackageNotFoundError(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nas-bench-graph/cora", "package nas-bench-graph, .* pip install nas-bench-graph"),
        ("analognas-bench/cifar10", r"analog-nasbench, .* pip install 'nasbench-lab\[analog\]'"),
    ],
)
def test_a_missing_package_is_named_with_how_to_install_it(data, monkeypatch, name, message):
    monkeypatch.setattr(_origins, "version", not_installed)
    with pytest.raises(MissingSourceError, match=message):
        open_table(name)
    assert list(data.iterdir()) == []


def test_a_missing_data_file_is_named_with_how_to_install_it(data, monkeypatch):
    empty = SimpleNamespace(submodule_search_locations=[str(data / "nothing")])
    for spec in (None, empty):
        fake = SimpleNamespace(util=SimpleNamespace(find_spec=lambda module, spec=spec: spec))
        monkeypatch.setattr(_origins, "importlib", fake)
        message = r"light/cora.bench is missing\. Install it again: pip install nas-bench-graph"
        with pytest.raises(MissingSourceError, match=message):
            open_table("nas-bench-graph/cora")
    assert not table_folder("nas-bench-graph/cora").exists()


def test_a_converted_table_needs_its_package_no_more(data, monkeypatch):
    best = open_table("nas-bench-graph/proteins").optimum("valid_roc_auc")
    monkeypatch.setattr(_origins, "version", not_installed)
    assert open_table("nas-bench-graph/proteins").optimum("valid_roc_auc") == best


@pytest.fixture
def conversions(data, monkeypatch):
    """The source of ``nas-bench-graph/proteins`` as a list that grows with each conversion."""
    source, done = table_sources()["nas-bench-graph/proteins"], []

    def convert(folder):
        done.append(folder)
        source.convert(folder)

    watched = {source.name: replace(source, convert=convert)}
    monkeypatch.setattr(registry.tables, "table_sources", lambda: watched)
    return done


def test_a_converted_table_is_used_again(conversions):
    first = open_table("nas-bench-graph/proteins")
    again = open_table("nas-bench-graph/proteins")
    assert len(conversions) == 1
    assert (again.values("latency") == first.values("latency")).all()


def change_manifest(name, change):
    path = table_folder(name) / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    write_sealed(path, manifest)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest["info"]["source"].update(version="nas-bench-graph 0.9"),
        lambda manifest: manifest["info"]["source"].clear(),
        lambda manifest: manifest.update(format=0),
    ],
    ids=["another version", "no version", "another format"],
)
def test_a_table_of_another_source_or_format_is_converted_anew(conversions, change):
    open_table("nas-bench-graph/proteins")
    change_manifest("nas-bench-graph/proteins", change)
    table = open_table("nas-bench-graph/proteins")
    assert len(conversions) == 2
    assert table.info.source["version"] == f"nas-bench-graph {version('nas-bench-graph')}"
    open_table("nas-bench-graph/proteins")
    assert len(conversions) == 2
    assert [p.name for p in table.folder.parent.iterdir()] == ["proteins"]


def test_a_table_without_a_manifest_is_converted_anew(conversions):
    folder = open_table("nas-bench-graph/proteins").folder
    (folder / "manifest.json").unlink()
    open_table("nas-bench-graph/proteins").verify()
    assert len(conversions) == 2

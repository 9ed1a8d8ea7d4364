"""``nasbench_lab.compat.nasbench`` on a file that the official classes wrote, with made-up numbers.

``nas_bench_101_official.tfrecord`` holds three cells, 4, 12, 36 and 108 epochs and three repeats in
random order. The official ``ModelSpec`` gave hashes and adjacencies, the official
``model_metrics.proto``, compiled by protoc, the messages, and ``TFRecordWriter`` of TensorFlow 2.21
the records. Numbers of the first cell have double precision, the others single precision.
``nas_bench_101_official.json`` is what the official ``NASBench(path, seed=7)`` answered under
TensorFlow, with its reader called ``tf.compat.v1.python_io``: all statistics, then queries in order
(matrix, operations, epochs, half-way, time, three accuracies, both budget counters).
"""

import json
import pathlib

import nas_bench_101_files
import numpy as np
import pytest

from nasbench_lab.compat.nasbench import api
from nasbench_lab.tables.sources import ImportOptions
from nasbench_lab.tables.table import Table
from tabular_data.nas_bench_101 import FORMAT

FILE = pathlib.Path(nas_bench_101_files.__file__).with_name("nas_bench_101_official.tfrecord")


@pytest.fixture(scope="module")
def answers():
    return json.loads(FILE.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("official")
    FORMAT.convert(FILE, folder, ImportOptions(jobs=1))
    return Table.open(folder)


def test_statistics(table, answers):
    bench = api.NASBench(table)
    assert list(bench.hash_iterator()) == list(answers["fixed"]) == list(answers["computed"])
    for module_hash, wanted in answers["fixed"].items():
        fixed, computed = bench.get_metrics_from_hash(module_hash)
        assert fixed["module_adjacency"].dtype == np.int8
        assert {**fixed, "module_adjacency": fixed["module_adjacency"].tolist()} == wanted
        assert [[epochs, some] for epochs, some in computed.items()] == answers["computed"][
            module_hash
        ]


def test_seeded_queries(table, answers):
    bench = api.NASBench(table, seed=7)
    for matrix, operations, epochs, halfway, *wanted in answers["queries"]:
        data = bench.query(api.ModelSpec(matrix, operations), epochs, halfway)
        names = ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
        assert [*(data[name] for name in names), *bench.get_budget_counters()] == wanted
    assert len(answers["queries"]) == 24


def test_a_changed_space_holds_for_cells_that_were_asked_for_before(table, answers):
    bench = api.NASBench(table, seed=7)
    matrix, operations, *_ = answers["queries"][-1]
    spec = api.ModelSpec(matrix, operations)
    bench.query(spec)
    bench.config["max_edges"] = 8  # one fewer than the cell has
    assert not bench.is_valid(spec)
    with pytest.raises(api.OutOfDomainError, match="9 edges, where 8 are allowed"):
        bench.query(spec)
    bench.config["max_edges"] = 9
    assert bench.query(spec)["module_operations"] == operations

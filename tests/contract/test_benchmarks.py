"""Every registered table keeps the contract of a benchmark."""

import dataclasses
import math

import numpy as np
import pytest
from all_tables import tables

from nasbench_lab.algorithm import Evaluation
from nasbench_lab.errors import QueryError
from nasbench_lab.registry import load_benchmark, open_table, table_sources
from nasbench_lab.spaces import SPACES, get_space
from nasbench_lab.testing import ContractError, SyntheticBenchmark, check_benchmark
from tabular_data.nas_bench_graph import DATASETS


@pytest.mark.parametrize("table", tables())
def test_contract(table):
    check_benchmark(load_benchmark(table))


@pytest.mark.parametrize("table", tables())
def test_a_table_says_what_it_is(table):
    info = open_table(table).info
    for field in dataclasses.fields(info):
        if field.default is field.default_factory is dataclasses.MISSING:
            assert getattr(info, field.name), field.name
    assert {"version", "file", "sha256", "bytes"} <= set(info.source)
    assert info.citation.startswith("@")
    for column in open_table(table).columns.values():
        assert column.unit
        assert column.trials


def test_all_eleven_tables_are_known():
    packaged = {f"nas-bench-graph/{name}" for name in DATASETS}
    expected = {"nb201-digits", "analognas-bench/cifar10", *packaged}
    assert expected <= set(table_sources())


@pytest.mark.parametrize("space", SPACES)
def test_synthetic_benchmark_over_every_space(space):
    check_benchmark(SyntheticBenchmark(get_space(space)))


@pytest.mark.parametrize(
    "table", [t for t in sorted(table_sources()) if t.startswith("nas-bench-graph")]
)
def test_a_search_cannot_see_test_data(table):
    with pytest.raises(QueryError, match="test data"):
        load_benchmark(table, objective=open_table(table).info.report)


class Fickle(SyntheticBenchmark):
    def evaluate(self, architecture, epoch=None, rng=None):
        result = super().evaluate(architecture)
        return result._replace(values=(float(np.random.default_rng().random()),))


class FreeMoney(SyntheticBenchmark):
    def evaluate(self, architecture, epoch=None, rng=None):
        return super().evaluate(architecture)._replace(cost=-1.0)


class TakesAnything(SyntheticBenchmark):
    def evaluate(self, architecture, epoch=None, rng=None):
        return Evaluation((math.nan,), 1.0)


@pytest.mark.parametrize(
    ("broken", "words"),
    [(Fickle, "asked again"), (FreeMoney, "charged"), (TakesAnything, "not of its space")],
)
def test_the_contract_notices_a_broken_rule(broken, words):
    with pytest.raises(ContractError, match=words):
        check_benchmark(broken(get_space("nb201")))

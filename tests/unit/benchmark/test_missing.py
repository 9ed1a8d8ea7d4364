"""What comes of architectures that a table lacks: coverage, policies, and how they are told."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from one_shot import EVALUATING, small

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import TableBenchmark, gaps, scarcity
from nasbench_lab.errors import (
    AlgorithmError,
    ExperimentError,
    InvalidArchitectureError,
    QueryError,
    UnknownNameError,
)
from nasbench_lab.experiment.differences import differences
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.experiment.settings import BenchmarkSetting
from nasbench_lab.experiment.toml import read_experiment, to_toml
from nasbench_lab.registry import load_benchmark, open_table, table_folder
from nasbench_lab.report import write_report
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare
from nasbench_lab.running.search import run
from nasbench_lab.spaces import Decision, PoolSpace, SearchSpace, get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.table import Table
from nasbench_lab.testing import SyntheticBenchmark, check_benchmark

NAN = float("nan")
SPACE = SearchSpace(
    "sparse",
    [
        *[Decision(f"width {i}", (16, 32, 64, 128), ordered=True) for i in range(4)],
        *[Decision(f"operation {i}", ("a", "b", "c")) for i in range(4)],
    ],
)
"""20,736 architectures."""


def write(folder, n, name="sparse", blank=(), time=False):
    """A table of n architectures, drawn at random; some rows may have no value."""
    rng = np.random.default_rng(0)
    indices = np.sort(rng.choice(SPACE.size, n, replace=False))
    weights = [rng.normal(size=k) for k in SPACE.n_options]
    values = 80 + sum(w[o] for w, o in zip(weights, SPACE.at(indices).T, strict=True))
    values[list(blank)] = NAN
    row_of_index = np.full(SPACE.size, -1, dtype=np.int32)
    row_of_index[indices] = np.arange(n)
    columns = {Column("valid_accuracy", "accuracy", "%", True, "valid"): values}
    if time:
        columns[Column("train_time", "train_time", "s", False)] = rng.uniform(1, 9, size=n)
    info = TableInfo(
        name, "sparse", "Made up.", "@misc{none}", "CC0-1.0", "valid_accuracy", "valid_accuracy",
        source={"version": "sparse 1", "file": "none", "sha256": "0" * 64, "bytes": 1},
        decisions=SPACE.decisions,
    )  # fmt: skip
    return Table.create(folder, info, columns, row_of_index)


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """1,000 of 20,736 architectures, three of them without a value."""
    return write(tmp_path_factory.mktemp("sparse") / "table", 1000, blank=(0, 7, 999))


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The same among the tables that are known by name."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    return write(table_folder("sparse"), 1000, blank=(0, 7, 999))


# Coverage


def test_coverage_counts_the_architectures_that_have_a_row(sparse, timed, make_table):
    assert sparse.coverage == (1000 / 20_736, 20_736, 1000)
    assert str(sparse.coverage) == "1,000 of the 20,736 architectures of its space (4.8 %)"
    assert str(timed.coverage) == "11 of the 12 architectures of its space (91.6 %)"


@pytest.mark.parametrize(
    ("table", "held", "size"),
    [
        ("nb201-digits", 15_625, 15_625),
        ("nas-bench-graph/cora", 59_040, 59_049),
        ("nas-bench-graph/proteins", 5_616, 5_625),
    ],
)
def test_isomorphic_architectures_count(table, held, size):
    found = open_table(table).coverage
    assert found == (held / size, size, held)
    assert found.share > 0.99
    whole = held == size
    words = f"all {size:,} architectures" if whole else f"{held:,} of the {size:,} architectures"
    assert words in str(found)
    assert "100 %" not in str(found)


def test_of_classes_of_unknown_size_it_is_estimated(tmp_path, sparse):
    space = get_space("nb101")
    drawn = space.canonical(space.sample(np.random.default_rng(9), 300))
    keys = np.unique(space.index(drawn))
    info = replace(sparse.info, space="nb101", decisions=())
    column = next(iter(sparse.columns.values()))
    table = Table.create(
        tmp_path / "cells", info, {column: np.arange(len(keys), dtype=float)}, keys=keys
    )
    share, size, held = table.coverage
    assert (size, held) == (space.size, None)
    others = space.sample(np.random.default_rng(10), 20_000)
    exact = (table.row(others) >= 0).mean()
    assert 0 < exact < 0.5
    assert abs(share - exact) < 5 * np.sqrt(exact * (1 - exact) / 1000)  # 5 standard errors
    assert str(table.coverage).startswith("an estimated ")
    assert TableBenchmark(table).missing == "pool"
    # Of a product, every key is one architecture.
    table = Table.create(
        tmp_path / "keys", sparse.info, {column: np.arange(5.0)}, keys=np.arange(5) * 7
    )
    assert table.coverage == (5 / 20_736, 20_736, 5)
    assert str(table.coverage).endswith("(less than 0.1 %)")


# Policies


def test_the_default_depends_on_how_much_the_table_holds(sparse, tmp_path, timed):
    assert TableBenchmark(sparse).missing == "pool"
    assert TableBenchmark(timed).missing == "fail"
    assert TableBenchmark(write(tmp_path / "less", SPACE.size // 2 - 1)).missing == "pool"
    assert TableBenchmark(write(tmp_path / "half", SPACE.size // 2)).missing == "fail"
    for table in ("nb201-digits", "nas-bench-graph/cora"):
        benchmark = load_benchmark(table)
        assert benchmark.missing == "fail"
        assert benchmark.space is benchmark.table.space


@pytest.mark.parametrize("policy", ["pool", "fail", "free"])
def test_every_policy_keeps_the_contract_and_travels(sparse, policy):
    benchmark = TableBenchmark(sparse, missing=policy)
    check_benchmark(benchmark)
    copy = pickle.loads(pickle.dumps(benchmark))
    assert (copy.missing, copy.space) == (policy, benchmark.space)
    assert len(pickle.dumps(benchmark)) < 3000


def test_a_pool_has_the_architectures_with_values(sparse):
    space = TableBenchmark(sparse).space
    assert isinstance(space, PoolSpace)
    valued = ~np.isnan(sparse.values("valid_accuracy"))
    assert valued.sum() == space.size == 997
    assert (space.at(np.arange(997)) == sparse.architectures[valued]).all()


@pytest.mark.parametrize("algorithm", EVALUATING)
def test_in_a_pool_no_evaluation_fails(sparse, algorithm):
    trace = run(algorithm, TableBenchmark(sparse), budget=200, seed=1, **small(algorithm))
    assert len(trace) == 200
    assert not np.isnan(trace.values).any()
    assert (trace.row >= 0).all()
    assert len(set(trace.row.tolist())) > 60


class Blind(SearchAlgorithm):
    """Draws from the whole space, whatever it is given."""

    def ask(self):
        return self.trial(SPACE.sample(self.rng))


def test_in_a_pool_other_architectures_are_refused(sparse):
    benchmark = TableBenchmark(sparse)
    (absent, *_) = np.flatnonzero(sparse._row_of_index < 0)
    with pytest.raises(InvalidArchitectureError, match="one of the 997 measured architectures"):
        benchmark.evaluate(SPACE.at(int(absent)))
    with pytest.raises(AlgorithmError, match="not of the space: Expected one of the 997 measured"):
        run(Blind, benchmark, budget=50)


def test_failures_are_charged_or_free(sparse):
    charged = run(Blind, TableBenchmark(sparse, missing="fail"), budget=200, seed=2)
    assert len(charged) == 200
    assert charged.charged.all()
    missing = charged.row < 0
    assert 150 < missing.sum() < 200
    free = run(Blind, TableBenchmark(sparse, missing="free"), budget=200, seed=2)
    assert (free.charged == (free.row >= 0)).all()
    assert free.evaluations()[-1] == 200
    assert len(free) > 2000
    assert (free.cost[free.row < 0] == 0).all()
    assert np.isnan(free.values[free.row < 0]).all()  # and the algorithm is told so
    # Both ask the same, the one for longer.
    assert (free.architecture[:200] == charged.architecture).all()


@pytest.mark.parametrize("budget", ["100s", "60, 100s"])
def test_free_failures_take_no_time(tmp_path, budget):
    table = write(tmp_path / "timed", 1000, time=True)
    benchmark = TableBenchmark(table, missing="free")
    trace = run(Blind, benchmark, budget=budget, seed=2, workers=3)
    missing = trace.row < 0
    assert missing.any()
    assert not trace.charged[missing].any()
    assert (trace.end[missing] == trace.start[missing]).all()


def test_a_search_that_asks_for_nothing_else_ends(sparse):
    absent = SPACE.at(int(np.flatnonzero(sparse._row_of_index < 0)[0]))
    held = tuple(sparse.architectures[5].tolist())

    class Stuck(SearchAlgorithm):
        def ask(self):
            return self.trial(held if self._n_trials < 3 else absent)

    trace = run(Stuck, TableBenchmark(sparse, missing="free"), budget=10)
    assert trace.row.tolist() == [5, 5, 5]


def test_policies_that_make_no_sense_are_refused(sparse):
    with pytest.raises(UnknownNameError, match=r"missing architectures 'pol'. Did you mean 'pool'"):
        TableBenchmark(sparse, missing="pol")
    with pytest.raises(QueryError, match="needs a benchmark to fall back to"):
        TableBenchmark(sparse, missing="fallback")
    other = SyntheticBenchmark(SPACE)
    other.objectives = TableBenchmark(sparse).objectives
    for policy in ("pool", "fail", "free"):
        with pytest.raises(QueryError, match=r"which the policy .* does not use"):
            TableBenchmark(sparse, fallback=other, missing=policy)
    for policy in ("fallback", None):
        benchmark = TableBenchmark(sparse, fallback=other, missing=policy)
        assert benchmark.missing == "fallback"
        assert benchmark.space == SPACE
        trace = run("random_search", benchmark, budget=30)
        assert not np.isnan(trace.values).any()
        assert (trace.row < 0).any()
        assert trace.charged.all()


def test_a_pool_of_nothing_is_refused(tmp_path):
    table = write(tmp_path / "blank", 3, blank=range(3))
    with pytest.raises(QueryError, match=r"has values of valid_accuracy .* move among"):
        TableBenchmark(table)
    assert TableBenchmark(table, missing="fail").space == SPACE


# Records


def test_the_policy_is_recorded_and_comes_back(kept, tmp_path):
    policies = {}
    for policy in (None, "pool", "fail", "free"):
        benchmark = load_benchmark("sparse", missing=policy)
        result = compare(["random_search"], benchmark, budget=30, seeds=2, n_jobs=1)
        folder = tmp_path / str(policy)
        result.save(folder)
        entry = json.loads((folder / "manifest.json").read_text())["experiment"]["benchmarks"][0]
        policies[policy] = entry["missing"]
        there = Result.open(folder)
        assert there.benchmark("sparse").missing == entry["missing"]
        assert there.benchmark("sparse").space == benchmark.space
        for run_, again in zip(result.runs, there.runs, strict=True):
            assert run_.trace.equals(again.trace)
        again = read_experiment(folder / "experiment.toml")
        assert again.benchmarks[0].missing == entry["missing"]
        assert not again.differences(result.experiment)
        assert there.to_frame().equals(result.to_frame())
    assert policies == {None: "pool", "pool": "pool", "fail": "fail", "free": "free"}
    pool, fail = (Result.open(tmp_path / name).experiment for name in ("pool", "fail"))
    assert pool.differences(fail) == ['benchmarks sparse missing "pool" there, "fail" here']


def test_results_of_earlier_versions_charged_for_failures(kept):
    setting = BenchmarkSetting.of(load_benchmark("sparse", missing="fail"))
    entry = json.loads(json.dumps(setting.to_json()))
    assert entry.pop("missing") == "fail"
    assert BenchmarkSetting.from_json(entry).benchmark.missing == "fail"
    experiment = Experiment.of("random_search", load_benchmark("sparse", missing="fail"), budget=5)
    earlier = json.loads(json.dumps(experiment.to_json()))
    del earlier["benchmarks"][0]["missing"]
    assert differences(earlier, experiment.to_json()) == []


def test_the_policy_in_an_experiment_file(kept, tmp_path):
    file = tmp_path / "own.toml"
    text = 'budget = 5\nalgorithms = ["random_search"]\nbenchmarks = [{{ table = "sparse"{} }}]\n'
    for said, policy in (("", "pool"), (', missing = "free"', "free")):
        file.write_text(text.format(said))
        experiment = read_experiment(file)
        assert experiment.benchmarks[0].missing == policy
        assert f'missing = "{policy}"' in to_toml(experiment)
    for said, words in (
        ("pol", r"line 3, benchmarks\[0\]\.missing: Unknown policy .* Did you mean 'pool'"),
        ("fallback", r"benchmarks\[0\]\.missing: .* needs a benchmark to fall back to"),
    ):
        file.write_text(text.format(f', missing = "{said}"'))
        with pytest.raises(ExperimentError, match=words):
            read_experiment(file)


# What is said


def test_gaps_are_told_with_the_policy(sparse, timed):
    holds = "the table holds 1,000 of the 20,736 architectures of its space (4.8 %). By the policy "
    (pool,) = gaps(TableBenchmark(sparse))
    assert pool == (
        f"{holds}'pool', searches move among the 997 measured architectures only, and results tell "
        f"of these alone."
    )
    for policy, words in (("fail", "are charged"), ("free", "cost nothing of the budget")):
        benchmark = TableBenchmark(sparse, missing=policy)
        (said,) = gaps(benchmark)
        assert said.startswith(f"{holds}{policy!r}, evaluations of other architectures fail")
        assert words in said
        assert "with 'pool', searches move among the measured ones only" in said
        assert scarcity(benchmark) == [said]  # before the search
    assert scarcity(TableBenchmark(sparse)) == scarcity(TableBenchmark(timed)) == []
    assert "91.6 %" in gaps(TableBenchmark(timed))[0]
    assert gaps(load_benchmark("nas-bench-graph/cora")) == []


def test_commands_tell_of_gaps(lab, kept, undrawn):
    compared = ("compare", "-b", "sparse", "-a", "random_search", "--budget", "40", "--seeds", "2")
    done = lab(*compared, "--jobs", "1", "-o", "pool")
    assert done.code == 0, done.err
    said = "the table holds 1,000 of the 20,736 architectures of its space (4.8 %). By the policy "
    assert f"Note: sparse: {said}'pool'" in done.words
    assert "Warning" not in done.err
    assert "failed" not in done.words
    done = lab(*compared, "--jobs", "1", "-o", "fail", "--missing", "fail")
    assert f"Warning: sparse: {said}'fail'" in " ".join(done.err.split())
    assert done.words.count(said) == 1
    assert "of random_search's evaluations failed" in done.words
    assert "the table has no such architecture" in done.words
    assert "Did you mean 'pool'" in lab(*compared, "--missing", "poll").err
    described = lab("describe", "sparse")
    assert said.capitalize()[:60] in described.words
    data = lab("describe", "sparse", "--json").data
    assert data["coverage"] == {"share": 1000 / 20_736, "size": 20_736, "held": 1000}
    assert data["policy"] == "pool"
    page = write_report(Result.open("pool"), "page.html").read_text()
    assert "By the policy" in page
    assert "4.8 %" in page
    assert "measured architectures only" in page


def test_results_with_free_failures_are_shown_and_exported(lab, kept, undrawn):
    compared = ("compare", "-b", "sparse", "-a", "random_search", "-a", "reinforce")
    done = lab(*compared, "--budget", "30", "--seeds", "3", "--missing", "free", "-o", "free")
    assert done.code == 0, done.err
    result = Result.open("free")
    assert all(run_.trace.charged.sum() == 30 for run_ in result.runs)
    line = result.summary().iloc[0]
    assert line["evaluations"] > 300
    assert line["missing_share"] == line["failed_share"] > 0.9
    assert 1 <= line["evals_to_top_1pct"] <= 30 or line["reached_top_1pct"] < 0.5
    for command in (("plot", "free", "--all"), ("report", "free"), ("verify", "free")):
        assert lab(*command).code == 0
    for form in ("csv", "ioh"):
        assert lab("export", "free", "--format", form, "-o", form).code == 0


def test_pools_travel_to_other_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path))
    rng = np.random.default_rng(0)
    layers = rng.integers(1, 4, size=90)
    frame = pd.DataFrame({"layers": layers, "width 1": rng.choice([16, 32, 64], size=90)})
    for i in (2, 3):
        widths = rng.choice([16, 32, 64], size=90).astype(float)
        frame[f"width {i}"] = np.where(layers >= i, widths, NAN)
    frame["rate"] = rng.choice([0.1, 0.01, 0.001, 0.0001], size=90)
    frame = frame.drop_duplicates().head(40)
    frame["valid_accuracy"] = rng.normal(80, 5, size=len(frame))
    decisions = [
        Decision("layers", (1, 2, 3), True),
        Decision("width 1", (16, 32, 64), True),
        *(
            Decision(f"width {i}", (16, 32, 64), True, {"layers": tuple(range(i, 4))})
            for i in (2, 3)
        ),
        Decision("rate", (0.1, 0.01, 0.001, 0.0001), True),
    ]
    column = Column("valid_accuracy", "accuracy", "%", True, "valid")
    table = Table.from_frame(frame, "mine/layers", [column], decisions=decisions)
    assert table.coverage == (40 / (39 * 4), 156, 40)
    results = [
        compare(["local_search", "nsga2"], "mine/layers", budget=25, seeds=4, n_jobs=n)
        for n in (1, 2)
    ]
    for one, other in zip(*(result.runs for result in results), strict=True):
        assert one.trace.equals(other.trace)
        assert (one.trace.row >= 0).all()

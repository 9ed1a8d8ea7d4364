"""The comparisons that `docs/comparisons` has ready name what there is."""

import tomllib
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from one_shot import PEERS

from nasbench_lab.algorithm import all_hyperparameters
from nasbench_lab.experiment.toml import read_experiment
from nasbench_lab.registry import algorithm_class, parse_algorithm, table_sources

OPTIMISERS = Path(__file__).parents[2] / "docs" / "comparisons" / "optimisers.toml"


def test_the_comparison_of_optimisers_names_what_there_is():
    whole, named = tomllib.loads(OPTIMISERS.read_text("utf-8")), set()
    for text in whole["algorithms"]:
        name, given = parse_algorithm(text)
        assert {*given} <= {*all_hyperparameters(algorithm_class(name))}, text
        assert given.get("planned", whole["budget"]) == whole["budget"], text
        named.add(name)
    assert {*PEERS} <= named
    for benchmark in whole["benchmarks"]:  # none needs a file of the user's
        assert any(f"{benchmark}/".startswith(f"{table}/") for table in table_sources())


def test_the_ranks_that_are_shown_are_of_searches_on_tables_of_the_comparison():
    whole = tomllib.loads(OPTIMISERS.read_text("utf-8"))
    shown = pd.read_csv(OPTIMISERS.with_suffix(".csv"), index_col="search")
    assert {*shown.index} <= {text.replace(", planned=100", "") for text in whole["algorithms"]}
    ranks = shown.drop(columns=["mean rank", "shortest run (s)"])
    for benchmark, column in zip(whole["benchmarks"], ranks, strict=True):
        assert column in (
            benchmark,
            benchmark.split("/")[-1],
            benchmark.split("/")[-1].split("_")[0],
        )
    assert (ranks.sum() == len(shown) * (len(shown) + 1) / 2).all()
    assert shown["mean rank"].is_monotonic_increasing
    assert (shown["mean rank"] - ranks.mean(axis=1)).abs().max() <= 0.05 + 1e-9


@pytest.mark.slow
def test_the_comparison_of_optimisers_can_be_built():
    for name in (*PEERS, "torch"):
        if find_spec(name) is None:
            pytest.skip(f"needs {name}, which an extra installs")
    whole = tomllib.loads(OPTIMISERS.read_text("utf-8"))
    experiment = read_experiment(OPTIMISERS)  # builds each algorithm on each table
    assert experiment.n_runs == whole["seeds"] * len(whole["algorithms"]) * len(whole["benchmarks"])

"""What random search needs for something as good: counted, and said what it means."""

import math

import numpy as np
import pytest
from scipy.stats import beta

from nasbench_lab.running.comparison import compare
from nasbench_lab.spaces import get_space
from nasbench_lab.stats.random_cost import random_cost
from nasbench_lab.testing import SyntheticBenchmark

EVOLUTION = "regularized_evolution(population_size=5, sample_size=2)"


@pytest.fixture(scope="module")
def result():
    return compare(
        ["random_search", EVOLUTION],
        SyntheticBenchmark(get_space("nb201")),
        budget=30,
        seeds=2,
        n_jobs=1,
    )


def of(result, algorithm, target, seed=0):
    (name,) = result.benchmarks
    return random_cost(result, name, result.traces(name, algorithm)[seed], target)


def test_it_counts_random_evaluations(result):
    (name,) = result.benchmarks
    values = np.concatenate([t.values[:, 0] for t in result.traces(name, "random_search")])
    target = np.sort(values)[-6]
    cost = of(result, EVOLUTION, target)
    assert (cost.drawn, cost.reached) == (60, 6)
    assert cost.expected == 10.0
    # The exact interval of a chance is one of quantiles of beta distributions.
    assert cost.low == pytest.approx(1 / beta.ppf(0.975, 7, 54))
    assert cost.high == pytest.approx(1 / beta.ppf(0.025, 6, 55))
    costs = [t.cost for t in result.traces(name, "random_search")]
    assert cost.seconds == pytest.approx(np.mean(costs))
    assert "would need 10 evaluations on average (95 % interval" in str(cost)
    assert "of 60 random evaluations in the folder, 6 came as far" in str(cost)


def test_none_as_good_gives_a_bound(result):
    cost = of(result, EVOLUTION, 1e9)
    assert (cost.reached, cost.expected, cost.high) == (0, math.inf, math.inf)
    assert cost.low == pytest.approx(1 / (1 - 0.05 ** (1 / 60)))
    assert "would need more than 21 evaluations on average for one as good (95 % sure)" in str(cost)
    assert cost.to_json()["expected"] is None


def test_random_search_does_not_judge_itself(result):
    (name,) = result.benchmarks
    for seed in (0, 1):
        trace = result.traces(name, "random_search")[seed]
        best = trace.values[:, 0].max()
        cost = of(result, "random_search", best, seed)
        other = result.traces(name, "random_search")[1 - seed].values[:, 0]
        assert (cost.drawn, cost.reached) == (30, (other >= best).sum())
        assert cost.own == trace.values[:, 0].argmax() + 1
        assert f"It was found by random search, in its evaluation {cost.own}." in str(cost)


def test_less_is_better_where_it_is():
    benchmark = SyntheticBenchmark(get_space("nb201"), maximize=False)
    result = compare(["random_search", EVOLUTION], benchmark, budget=21, seeds=1, n_jobs=1)
    (name,) = result.benchmarks
    values = np.sort(result.traces(name, "random_search")[0].values[:, 0])
    assert of(result, EVOLUTION, values[4]).reached == (values <= values[4]).sum()


def test_without_random_search_nobody_knows():
    result = compare(
        [EVOLUTION], SyntheticBenchmark(get_space("nb201")), budget=10, seeds=1, n_jobs=1
    )
    cost = of(result, EVOLUTION, 0.0)
    assert cost.drawn == 0
    assert math.isnan(cost.expected)
    assert "cannot be known from here: the folder holds no random search" in str(cost)
    assert cost.to_json()["low"] is None
    lone = compare(
        ["random_search"], SyntheticBenchmark(get_space("nb201")), budget=10, seeds=1, n_jobs=1
    )
    cost = of(lone, "random_search", 0.0)
    assert "It was found by random search, in its" in str(cost)
    assert "the folder holds no other random search" in str(cost)

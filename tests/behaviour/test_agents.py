"""Agents learn: with 200 evaluations they find better architectures than random search."""

from importlib.util import find_spec

import numpy as np
import pytest

from nasbench_lab.registry import load_benchmark
from nasbench_lab.running.comparison import compare
from nasbench_lab.stats import anytime

AGENTS = [
    "q_learning",
    *(("lstm_controller", "ppo_controller", "dqn") if find_spec("torch") else ()),
]


def final_regrets(algorithm, table, seeds):
    """(seeds,) validation regrets after 200 evaluations."""
    benchmark = load_benchmark(table)
    result = compare([algorithm], benchmark, budget=200, seeds=seeds)
    return np.array([anytime(run.trace, benchmark, "valid_regret")[-1] for run in result.runs])


def standard_errors_below(ours, random):
    """By how many standard errors of the difference our mean regret is below random search's."""
    error = np.hypot(ours.std(ddof=1) / len(ours) ** 0.5, random.std(ddof=1) / len(random) ** 0.5)
    return (random.mean() - ours.mean()) / error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "errors"),
    # On cora, 200 evaluations are too few for a policy to learn much: it is not worse.
    [("nb201-digits", 2), ("nas-bench-201-final", 2), ("nas-bench-graph/cora", -2)],
)
@pytest.mark.parametrize("agent", AGENTS)
def test_agents_are_better_than_random_search(agent, table, errors):
    ours, random = final_regrets(agent, table, 60), final_regrets("random_search", table, 200)
    print(f"{agent} on {table}: {ours.mean():.3f} against {random.mean():.3f}")
    assert standard_errors_below(ours, random) > errors


@pytest.mark.long
def test_short_form():
    ours = final_regrets("q_learning", "nb201-digits", 20)
    # The long form's difference is about 4 of these standard errors; 1 is asked.
    assert standard_errors_below(ours, final_regrets("random_search", "nb201-digits", 60)) > 1

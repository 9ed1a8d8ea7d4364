"""Agents that make one decision after another, against exact dynamic programming and their papers."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from algorithms._decisions import DecisionProcess
from algorithms.q_learning import QLearning
from nasbench_lab.algorithm import Evaluation
from nasbench_lab.registry import load_benchmark, make_algorithm
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.testing import SyntheticBenchmark

CELLS = get_space("nb201")
CONDITIONAL = SearchSpace(
    "conditional",
    [
        Decision("operation", ("conv", "pool")),
        Decision("kernel", (1, 3, 5), active_if={"operation": "conv"}),
        Decision("layers", (1, 2, 3), ordered=True),
        Decision("width", (8, 16), ordered=True, active_if={"layers": (2, 3)}),
        Decision("dilation", (1, 2), active_if={"kernel": (3, 5), "layers": 3}),
    ],
)
NO_FIRST = SearchSpace("small", [Decision("a", "x"), Decision("b", "uv"), Decision("c", "pqr")])


# The decision process


@pytest.mark.parametrize("space", [CONDITIONAL, NO_FIRST])
def test_each_architecture_is_an_end_that_one_path_leads_to(space):
    process, ends = DecisionProcess(space), []

    def walk(state, path):
        assert process.is_end(state) == (process.n_actions(state) == 0)
        if process.is_end(state):
            ends.append(state)
            assert process.path(state) == path
        for option in range(process.n_actions(state)):
            walk(process.after(state, option), [*path, (state, option)])

    walk(process.start, [])
    assert sorted(ends) == sorted(map(tuple, space.at(np.arange(space.size)).tolist()))


def test_a_decision_that_does_not_exist_is_passed_over():
    process = DecisionProcess(CONDITIONAL)
    assert process.start == ()
    assert process.after((), 1) == (1, 0)  # pooling has no kernel
    assert process.n_actions((1, 0)) == 3
    assert process.after((1, 0), 0) == (1, 0, 0, 0, 0)
    assert process.path((1, 0, 2, 1, 0)) == [((), 1), ((1, 0), 2), ((1, 0, 2), 1)]


# Q-learning


def taught(space, rewards, **settings):
    """An agent that has observed a whole space, and replayed each architecture some 40 times."""
    agent = QLearning(space, seed=0, replays=1, **settings)
    for architecture, reward in rewards.items():
        agent.observe(architecture, Evaluation((reward,), 1.0))
    agent.replays = 40 * len(rewards)
    agent.observe(architecture, Evaluation((reward,), 1.0))
    return agent


def exact_values(rewards):
    """By state, what each option is worth: the best reward that it can lead to."""
    values = {}
    process = DecisionProcess(CONDITIONAL if len(next(iter(rewards))) == 5 else CELLS)
    for architecture, reward in rewards.items():
        for state, option in process.path(architecture):
            options = values.setdefault(state, [-math.inf] * process.n_actions(state))
            options[option] = max(options[option], reward)
    return values


@pytest.mark.parametrize(
    ("fixed", "learning_rate"),
    [((3, 1), 1.0), ((3, 1), 0.5), pytest.param((), 1.0, marks=pytest.mark.slow)],
)
def test_the_values_are_those_of_dynamic_programming_on_a_table(fixed, learning_rate):
    benchmark = load_benchmark("nb201-digits")
    space = SearchSpace("rest", CELLS.decisions[len(fixed) :])
    every = space.at(np.arange(space.size))
    cells = np.hstack([np.tile(fixed, (len(every), 1)).astype(np.int64), every])
    rewards = benchmark.evaluate_many(cells)[0][:, 0]
    agent = taught(
        space,
        dict(zip(map(tuple, every.tolist()), rewards.tolist(), strict=True)),
        learning_rate=learning_rate,
    )
    # Backward induction: the value of a state is the best of those that follow.
    best = rewards.reshape(space.n_options)
    for depth in range(len(space.n_options) - 1, -1, -1):
        values = [agent.values(state) for state in np.ndindex(*space.n_options[:depth])]
        # At rate 1/2, some 40 updates leave a millionth of where a value started, at most.
        np.testing.assert_allclose(np.ravel(values), best.ravel(), rtol=1e-4)
        best = best.max(axis=-1)
    greedy = agent.walk(0.0)
    assert rewards[space.index(greedy)] == rewards.max() == pytest.approx(max(agent.values(())))


def test_conditional_decisions_have_the_values_of_dynamic_programming():
    rng, every = np.random.default_rng(1), CONDITIONAL.at(np.arange(CONDITIONAL.size))
    rewards = {tuple(a): rng.random() for a in every.tolist()}
    agent = taught(CONDITIONAL, rewards)
    expected = exact_values(rewards)
    assert {state: agent.values(state) for state in expected} == expected
    assert agent.values((1, 0, 0)) is None  # nothing is to be decided there


def test_an_update_is_equation_3_from_the_end_to_the_start():
    agent = QLearning(NO_FIRST, seed=0, learning_rate=0.25, replays=1)
    agent.observe((0, 1, 2), Evaluation((8.0,), 1.0))
    # The new values are the mean, which is 8, and an update to 8 changes nothing.
    assert [agent.values(s) for s in ((), (0,), (0, 1))] == [[8.0], [8.0, 8.0], [8.0, 8.0, 8.0]]
    agent.observe((0, 0, 1), Evaluation((4.0,), 1.0))
    agent._update(*agent._ways[1])
    replayed = agent.values((0, 0))[1]
    assert replayed in (6 - 2 * 0.25, 6 - 2 * (1 - 0.75**2))  # updated once or twice, from 6
    assert agent.values((0, 0))[::2] == [6.0, 6.0]
    # Earlier values move towards the best that may follow, which is 6, and 8 from the start.
    assert agent.values((0,))[0] in (8 - 2 * 0.25, 8 - 2 * (1 - 0.75**2))
    assert agent.values((0,))[1] == 8.0
    assert agent.values(()) == [8.0]


def test_epsilon_falls_as_in_the_paper():
    agent = QLearning(NO_FIRST, schedule=2700)
    counts = Counter(agent.epsilon(number) for number in range(2700))
    assert counts == {
        **{1.0: 1500, 0.9: 100, 0.8: 100, 0.7: 100},
        **dict.fromkeys((0.6, 0.5, 0.4, 0.3, 0.2, 0.1), 150),
    }
    assert agent.epsilon(5000) == 0.1


def test_options_are_drawn_by_the_epsilon_greedy_strategy():
    agent = QLearning(NO_FIRST, seed=3)
    agent._values = {(0,): [1.0, 2.0], (0, 0): [5.0, 1.0, 5.0], (0, 1): [1.0, 2.0, 0.0]}
    n, epsilon = 5000, 0.4
    drawn = np.array([agent.walk(epsilon) for _ in range(n)])
    # ε over the number of options, and the rest shared by the best.
    second = np.array([[0.2], [0.8]])
    third = 0.4 / 3 + np.array([[0.3, 0, 0.3], [0, 0.6, 0]])
    expected = n * (second * third).ravel()
    found = np.bincount(drawn[:, 1] * 3 + drawn[:, 2], minlength=6)
    assert chisquare(found, expected).pvalue > 1e-3  # a right draw fails for one seed in 1,000


def test_nothing_is_asked_twice_before_the_space_is_used_up():
    trace = simulate(QLearning(CONDITIONAL, seed=1), SyntheticBenchmark(CONDITIONAL), 20)
    assert len(np.unique(trace.architecture, axis=0)) == 20
    trace = simulate(QLearning(NO_FIRST, seed=1), SyntheticBenchmark(NO_FIRST), 20)
    assert len(np.unique(trace.architecture, axis=0)) == NO_FIRST.size == 6


def test_the_unit_of_the_rewards_does_not_matter():
    class Larger(SyntheticBenchmark):
        def evaluate(self, *args, **kwargs):
            evaluation = super().evaluate(*args, **kwargs)
            return evaluation._replace(values=(1024 * evaluation.values[0],))  # exact in binary

    asked = [
        simulate(QLearning(CELLS, seed=2), benchmark(CELLS), 150).architecture.tolist()
        for benchmark in (SyntheticBenchmark, Larger)
    ]
    assert asked[0] == asked[1]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("q_learning", {"schedule": 0}),
        ("q_learning", {"learning_rate": 0}),
        ("q_learning", {"learning_rate": 1.5}),
        ("q_learning", {"replays": 0}),
    ],
)
def test_what_does_not_fit_is_refused(name, wrong):
    with pytest.raises(ValueError, match=f"Expected .* {next(iter(wrong))}"):
        make_algorithm(name, CELLS, **wrong)

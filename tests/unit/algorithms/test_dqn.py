"""The deep Q-network against the table of Q-learning, and its updates against the paper."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network needs PyTorch")
from algorithms.dqn import DQN
from algorithms.q_learning import QLearning
from nasbench_lab.algorithm import Evaluation
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.registry import load_benchmark
from nasbench_lab.spaces import Decision, SearchSpace, get_space

SPACE = SearchSpace(
    "conditional",
    [
        Decision("first", ("conv", "pool")),
        Decision("kernel", (1, 3, 5), active_if={"first": "conv"}),
        Decision("second", ("conv", "pool")),
        Decision("dilation", (1, 2, 4), active_if={"kernel": (3, 5), "second": "conv"}),
    ],
)
CELLS = get_space("nb201")


def observed(agent, rewards):
    for architecture, reward in rewards.items():
        agent.observe(architecture, Evaluation((reward,), 1.0))
    return agent


def rewards_of(space):
    """Made-up rewards of a small space; the accuracies of the cells that begin with two 3×3's."""
    every = space.at(np.arange(space.size))
    if space is SPACE:
        values = np.random.default_rng(2).random(space.size)
    else:
        cells = np.hstack([np.full((len(every), 6 - every.shape[1]), 3), every])
        values = load_benchmark("nb201-digits").evaluate_many(cells)[0][:, 0]
    return dict(zip(map(tuple, every.tolist()), values.tolist(), strict=True))


@pytest.mark.parametrize(
    ("space", "updates"),
    [
        (SPACE, 300),
        pytest.param(SearchSpace("rest", CELLS.decisions[3:]), 4000, marks=pytest.mark.slow),
    ],
    ids=["conditional", "cells of a table"],
)
def test_the_network_learns_the_values_of_the_table(space, updates):
    rewards = rewards_of(space)
    deep = observed(DQN(space, seed=0, updates=1, learning_rate=0.005), rewards)
    deep.updates = updates
    deep.observe(*[(a, Evaluation((r,), 1.0)) for a, r in rewards.items()][-1])
    # The table learns the same rewards: the share of all that an architecture beats.
    shares = {architecture: deep.reward(architecture) for architecture in rewards}
    table = observed(QLearning(space, seed=0, replays=1), shares)
    table.replays = 40 * len(shares)
    table.observe(*[(a, Evaluation((r,), 1.0)) for a, r in shares.items()][-1])
    states = {state for architecture in rewards for state, _ in deep.process.path(architecture)}
    errors = [np.subtract(deep.values(state), table.values(state)) for state in states]
    # Values are spread over the whole range from 0 to 1; untrained, the mean error is 0.5.
    assert np.abs(np.concatenate(errors)).mean() < 0.05
    best = max(rewards, key=rewards.get)
    assert table.walk(0.0) == best
    # The network may take a neighbour in value for the best.
    assert shares[deep.walk(0.0)] > 0.9


def test_rewards_are_shares_of_the_results_that_are_beaten():
    agent = observed(
        DQN(SPACE, updates=1), {(0, 0, 0, 0): 5.0, (1, 0, 0, 0): -2.0, (1, 0, 1, 0): 5.0}
    )
    shares = [agent.reward(a) for a in ((1, 0, 0, 0), (0, 0, 0, 0), (1, 0, 1, 0))]
    assert shares == pytest.approx([0.5 / 3, 2 / 3, 2 / 3])
    agent.observe((0, 0, 0, 0), Evaluation((9.0,), 1.0))  # evaluated again
    shares = [agent.reward(a) for a in ((1, 0, 0, 0), (1, 0, 1, 0), (0, 0, 0, 0))]
    assert shares == pytest.approx([0.5 / 3, 1.5 / 3, 2.5 / 3])
    assert len(agent._memory) == 3 + 2 + 2  # steps of three architectures


def test_an_update_moves_values_to_the_targets_of_equation_1():
    agent = observed(DQN(SPACE, seed=1, updates=1, target_every=1000), rewards_of(SPACE))
    transitions = [t for t in agent._memory if t.architecture == (0, 1, 0, 2)]
    assert [t.n_following for t in transitions] == [3, 2, 3, 0]
    with torch.no_grad():
        after = [agent._target(torch.from_numpy(t.following)).numpy() for t in transitions]
        taken = [float(agent.network(torch.from_numpy(t.state))[t.option]) for t in transitions]
    # The best of the options that the next state has, and at the end the reward.
    targets = [values[:n].max() for values, n in zip(after, (3, 2, 3), strict=False)]
    targets.append(agent.reward((0, 1, 0, 2)))
    errors = np.array(targets) - taken
    huber = np.where(np.abs(errors) < 1, errors**2 / 2, np.abs(errors) - 0.5).mean()
    losses, backward = [], torch.autograd.backward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.autograd.backward", lambda loss: (losses.append(loss), backward(loss)))
        agent._update(transitions)
    assert float(losses[0].detach()) == pytest.approx(huber)


def test_the_target_network_is_replaced_every_so_many_updates():
    agent = DQN(SPACE, seed=0, updates=1, target_every=3)
    same = []
    for architecture, reward in list(rewards_of(SPACE).items())[:7]:
        agent.observe(architecture, Evaluation((reward,), 1.0))
        pairs = zip(agent.network.parameters(), agent._target.parameters(), strict=True)
        same.append(all(torch.equal(*pair) for pair in pairs))
    assert same == [False, False, True, False, False, True, False]


def test_epsilon_falls_linearly():
    agent = DQN(SPACE, schedule=10)
    assert [agent.epsilon(n) for n in (0, 5, 10, 1000)] == pytest.approx([1, 0.55, 0.1, 0.1])


def test_different_states_have_different_inputs():
    agent = DQN(CELLS)
    states = [(), (0,), (1,), (0, 0), (4, 4, 4, 4, 4), (4, 4, 4, 4, 3)]
    inputs = [agent.inputs(state) for state in states]
    assert len({tuple(one) for one in inputs}) == len(states)
    assert [one.sum() for one in inputs] == [len(state) + 1 for state in states]
    assert {one.shape for one in inputs} == {(36,)}


@pytest.mark.parametrize(
    "wrong",
    [
        *({"schedule": 0}, {"learning_rate": 0}, {"batch_size": 0}, {"updates": 0}),
        *({"target_every": 0}, {"hidden": 0}),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(wrong):
    with pytest.raises(HyperparameterError, match=f"Expected .* {next(iter(wrong))}"):
        DQN(SPACE, **wrong)

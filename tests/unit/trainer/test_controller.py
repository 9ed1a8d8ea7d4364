"""The controller against sums over all architectures, and against its own single steps."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the controller needs PyTorch")
from scipy.stats import chisquare
from torch.distributions import Categorical

from nasbench_lab.trainer.controller import Controller, policy_loss

ALL = np.array(list(itertools.product(range(5), repeat=6)))


def controller(decisions=6, options=5, seed=0, sharpness=1.0, **settings):
    """A controller whose parameters are so many times larger than at the start."""
    made = Controller([range(options)] * decisions, np.random.default_rng(seed), **settings)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(sharpness)
    return made


@pytest.mark.parametrize("sharpness", [1, 30])
def test_probabilities_of_all_architectures_sum_to_one(sharpness):
    policy = controller(sharpness=sharpness)
    with torch.no_grad():
        log_probabilities, entropies = policy(torch.from_numpy(ALL))
    probabilities = log_probabilities.double().exp()
    # Each of 15,625 float32 log-probabilities is off by a few 1e-7, not all in one direction.
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-5)
    # By the chain rule, the mean entropy of the draws is that of the whole policy.
    whole = -float((probabilities * log_probabilities.double()).sum())
    assert float((probabilities * entropies.double()).sum()) == pytest.approx(whole, abs=1e-4)
    assert (whole > 9.65) == (sharpness == 1)  # 6 ln 5 = 9.66 at most


def by_steps(policy, architecture):
    """Log-probability and entropy with an LSTM cell per step, as the paper draws it."""
    layers = policy.lstm.num_layers
    cells = []
    for layer in range(layers):
        cell = torch.nn.LSTMCell(32, 32)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, name).data.copy_(getattr(policy.lstm, f"{name}_l{layer}"))
        cells.append(cell)
    states = [(torch.zeros(1, 32), torch.zeros(1, 32)) for _ in range(layers)]
    x, log_probability, entropy = policy.start, 0.0, 0.0
    for option in architecture:
        for layer, cell in enumerate(cells):
            states[layer] = cell(x, states[layer])
            x = states[layer][0]
        chances = Categorical(logits=2.5 * torch.tanh(policy.output(x) / 5.0))
        log_probability += float(chances.log_prob(torch.tensor([option])))
        entropy += float(chances.entropy())
        x = policy.embedding(torch.tensor([option]))
    return log_probability, entropy


def test_log_probabilities_are_those_of_single_steps():
    policy = controller(sharpness=20)
    drawn = policy.sample(np.random.default_rng(1), 10)
    with torch.no_grad():
        whole = torch.stack(policy(torch.from_numpy(drawn))).T.tolist()
        steps = [by_steps(policy, architecture) for architecture in drawn.tolist()]
    np.testing.assert_allclose(whole, steps, atol=1e-5)  # float32, six steps
    assert np.ptp([log_probability for log_probability, _ in steps]) > 1


def test_architectures_are_drawn_with_their_probabilities():
    policy = controller(decisions=3, options=3, sharpness=20)
    every = np.array(list(itertools.product(range(3), repeat=3)))
    with torch.no_grad():
        chances = policy(torch.from_numpy(every))[0].double().exp().numpy()
    drawn = policy.sample(np.random.default_rng(2), 20_000) @ (9, 3, 1)
    expected = 20_000 * chances / chances.sum()
    assert expected.min() > 20
    assert expected.max() > 3 * expected.min()
    # A right sampler fails for one seed in 10,000; this seed passes.
    assert chisquare(np.bincount(drawn, minlength=27), expected).pvalue > 1e-4


def test_the_same_generator_gives_the_same_policy_and_draws():
    first, same, other = (controller(seed=seed) for seed in (3, 3, 4))
    draws = [c.sample(np.random.default_rng(5), 20).tolist() for c in (first, same, other)]
    assert draws[0] == draws[1]
    assert any(
        not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True)
    )
    before = torch.random.get_rng_state()
    controller().sample(np.random.default_rng(0), 2)
    assert torch.equal(before, torch.random.get_rng_state())


def gradient(policy, value):
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, list(policy.parameters()))])


@pytest.mark.parametrize("entropy_weight", [0.0, 0.5])
def test_the_mean_policy_gradient_is_the_gradient_of_the_mean_reward(entropy_weight):
    policy = controller(decisions=2, options=3, sharpness=20).double()
    every = np.array(list(itertools.product(range(3), repeat=2)))
    rewards = np.random.default_rng(6).random(9)
    log_probabilities, _ = policy(torch.from_numpy(every))
    probabilities = log_probabilities.exp()
    # What is maximised: the mean reward, and the entropy of the whole policy.
    aim = (probabilities * torch.from_numpy(rewards)).sum()
    aim = aim - entropy_weight * (probabilities * log_probabilities).sum()
    exact = gradient(policy, aim)
    mean = torch.zeros_like(exact)
    for chance, architecture, reward in zip(probabilities.tolist(), every, rewards, strict=True):
        # Any baseline that does not depend on the architecture leaves the mean as it is.
        loss = policy_loss(policy, architecture[None], [reward - 0.7], entropy_weight)
        mean -= chance * gradient(policy, loss)
    assert exact.abs().max() > 1e-3
    torch.testing.assert_close(mean, exact, rtol=1e-9, atol=1e-12)

"""Narrowing a space by what was seen of it."""

from itertools import combinations

import numpy as np
import pytest

import nasbench_lab as lab
from nasbench_lab.errors import InvalidArchitectureError, SpaceError, UnknownNameError
from nasbench_lab.spaces import Decision, Narrowed, SearchSpace, get_space, prune
from nasbench_lab.spaces.pruning import best_of_subset

PLAIN = SearchSpace("plain", [Decision(name, tuple("uvwx")) for name in "abc"])
CONDITIONAL = SearchSpace(
    "conditional",
    [
        Decision("layers", (1, 2, 3), ordered=True),
        Decision("second", (16, 32, 64), ordered=True, active_if={"layers": (2, 3)}),
        Decision("third", ("s", "t"), active_if={"layers": 3}),
    ],
)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 2), (7, 7), (8, 1)])
def test_chances_are_those_of_all_subsets(n, k):
    subsets = list(combinations(range(n), k))
    expected = [sum(min(subset) == i for subset in subsets) / len(subsets) for i in range(n)]
    np.testing.assert_allclose(best_of_subset(n, k), expected)


@pytest.mark.parametrize("by", ["best", "mean"])
def test_a_planted_region_is_found(by):
    rng = np.random.default_rng(0)
    architectures = PLAIN.sample(rng, 200)
    good = (architectures[:, 0] <= 1).astype(float) + (architectures[:, 1] >= 2)
    narrowed = prune(PLAIN, (architectures, good + rng.normal(0, 0.1, 200)), keep=0.25, by=by)
    assert narrowed.kept[:2] == ((0, 1), (2, 3))
    assert narrowed.space.size == 16


def test_the_worst_option_is_dropped_first():
    every = PLAIN.at(np.arange(PLAIN.size))
    scores = -every[:, 2].astype(float)  # the last option of the last decision is the worst
    narrowed = prune(PLAIN, (every, scores), keep=0.75, by="mean")
    assert narrowed.kept == ((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2))


def test_the_order_of_evaluations_does_not_matter():
    rng = np.random.default_rng(1)
    architectures = PLAIN.sample(rng, 60)
    scores = rng.integers(5, size=60).astype(float)
    scores[:9] = np.nan
    order = rng.permutation(60)
    for by in ("best", "mean"):
        one = prune(PLAIN, (architectures, scores), keep=0.2, by=by)
        assert one == prune(PLAIN, (architectures[order], scores[order]), keep=0.2, by=by)


def test_failures_rank_last():
    architectures = np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3]])
    narrowed = prune(PLAIN, (architectures, [np.nan, 1.0, -np.inf, -5.0]), keep=0.1, by="mean")
    assert all(1 in kept and not {0, 2} & set(kept) for kept in narrowed.kept)


def test_ordered_decisions_keep_a_range():
    space = SearchSpace("ordered", [Decision("width", tuple(range(9)), ordered=True)])
    every = space.at(np.arange(9))
    scores = [5.0, 1.0, 1.0, 1.0, 9.0, 1.0, 8.0, 1.0, 1.0]
    narrowed = prune(space, (every, scores), keep=0.5, by="mean")
    assert narrowed.kept == ((3, 4, 5, 6),)


@pytest.mark.parametrize("space", [PLAIN, CONDITIONAL, get_space("nb201")], ids=lambda s: s.name)
@pytest.mark.parametrize("seed", range(3))
def test_every_architecture_of_the_part_is_one_of_the_whole(space, seed):
    rng = np.random.default_rng(seed)
    architectures = space.sample(rng, 30)
    narrowed = prune(space, (architectures, rng.random(30)), keep=0.3)
    part = narrowed.space
    assert 1 < part.size <= max(2, 0.3 * space.size)
    every = [tuple(map(int, one)) for one in part.at(np.arange(min(part.size, 200)))]
    whole = [narrowed.restore(one) for one in every]
    assert len(set(whole)) == len(every)
    for one, restored in zip(every, whole, strict=True):
        assert space.validate(restored) == restored
        assert narrowed.narrow(restored) == one
    # The others are not of the part.
    others = [tuple(map(int, one)) for one in space.sample(rng, 200)]
    inside = [one for one in others if narrowed.narrow(one) is not None]
    assert all(narrowed.restore(narrowed.narrow(one)) == one for one in inside)
    assert 0 < len(inside) < 200


def test_decisions_that_no_longer_exist_are_left_out():
    narrowed = Narrowed(CONDITIONAL, ((0, 1), (1, 2), (0, 1)))
    assert [decision.name for decision in narrowed.space.decisions] == ["layers", "second"]
    assert narrowed.space.size == 3
    assert narrowed.restore((1, 0)) == (1, 1, 0)
    assert narrowed.narrow((2, 1, 0)) is None
    assert narrowed.narrow((0, 0, 0)) == (0, 0)


def test_a_part_of_a_part():
    first = Narrowed(CONDITIONAL, ((1, 2), (1, 2), (0, 1)))
    second = Narrowed(first.space, ((0,), (1,), (0, 1)))
    assert first.within(second) == Narrowed(CONDITIONAL, ((1,), (2,), (0, 1)))
    third = Narrowed(CONDITIONAL, ((0, 1), (1, 2), (0, 1)))
    assert third.within(Narrowed(third.space, ((1,), (0, 1)))).kept == ((1,), (1, 2), (0, 1))


def test_a_trace_is_taken():
    trace = lab.run("random_search", "nas-bench-graph/cora", budget=60, seed=0)
    narrowed = lab.prune(trace.space, trace, keep=0.05)
    by_hand = lab.prune(trace.space, (trace.architecture, trace.scores()), keep=0.05)
    assert narrowed == by_hand


def test_what_cannot_be_pruned_is_refused():
    one = np.array([[0, 0, 0]])
    for evaluations, settings, said in (
        ((one[:0], []), {}, "Expected evaluations"),
        ((one, [1.0, 2.0]), {}, "1 architectures and 2 scores"),
        ((one, [1.0]), {"keep": 0.0}, "share above 0"),
        ((one, [1.0]), {"keep": 1.5}, "share above 0"),
    ):
        with pytest.raises(SpaceError, match=said):
            prune(PLAIN, evaluations, **settings)
    with pytest.raises(UnknownNameError, match="best"):
        prune(PLAIN, (one, [1.0]), by="median")
    with pytest.raises(InvalidArchitectureError):
        prune(PLAIN, (np.array([[0, 0, 9]]), [1.0]))

"""The space of TransNAS-Bench-101's networks, by brute force; its cells are in test_spaces.py."""

import csv
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from one_shot import EVALUATING, small
from scipy.stats import chisquare

from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.registry import make_algorithm
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import get_space
from nasbench_lab.testing import SyntheticBenchmark, check_benchmark

P_MIN = 0.001  # seeds are fixed; a sound generator fails one seed in a thousand
SPACE = get_space("transnas-macro")
FILES = Path(__file__).parents[4] / "shared" / "data" / "transnas"


def allowed(digits):
    doublings, halvings = sum(d in "24" for d in digits), sum(d in "34" for d in digits)
    return 1 <= doublings <= 3 and 1 <= halvings <= 4


TEXTS = [
    f"64-{''.join(digits)}-basic"
    for n in (4, 5, 6)
    for digits in itertools.product("1234", repeat=n)
    if allowed(digits)
]
"""All networks."""


@pytest.fixture(scope="module")
def every():
    return SPACE.at(np.arange(SPACE.size))


@pytest.fixture(scope="module")
def tuples(every):
    return list(map(tuple, every.tolist()))


def modules(architecture):
    """The digits of a network."""
    return SPACE.to_string(architecture).split("-")[1]


def linked(one, other):
    """Whether a single change leads from digits to others: of one digit, or of their number."""
    short, long = sorted((one, other), key=len)
    if len(short) < len(long):
        return long.startswith(short)
    return sum(a != b for a, b in zip(one, other, strict=True)) == 1


def test_networks_are_those_of_the_paper(every, tuples):
    assert len(TEXTS) == SPACE.size == 3_256
    assert Counter(len(text) - 9 for text in TEXTS) == {4: 210, 5: 750, 6: 2_296}
    texts = SPACE.to_string(every)
    assert texts == [SPACE.to_string(a) for a in tuples]
    assert sorted(texts) == sorted(TEXTS)
    assert (SPACE.from_string(texts) == every).all()
    assert [SPACE.from_string(text) for text in texts[::7]] == tuples[::7]


def test_index_and_at_are_inverse(every, tuples):
    assert (SPACE.index(every) == np.arange(SPACE.size)).all()
    assert [SPACE.index(a) for a in tuples[::5]] == list(range(0, SPACE.size, 5))
    assert [SPACE.at(i) for i in range(0, SPACE.size, 5)] == tuples[::5]
    assert type(SPACE.index(tuples[3])) is int
    for index in (-1, SPACE.size, np.array([0, SPACE.size])):
        with pytest.raises(InvalidArchitectureError, match="index from 0 to 3255 "):
            SPACE.at(index)


def test_other_combinations_are_refused_by_whatever_is_given_them(every):
    for digits, counts in (("1111", "0 and 0"), ("222211", "4 and 0"), ("233333", "1 and 5")):
        options = [int(d) - 1 for d in digits]
        one = (len(digits) - 4, *options, *[0] * (6 - len(digits)))
        many = np.concatenate([every[:2], [one]])
        calls = (SPACE.validate, SPACE.nearest, SPACE.neighbours, SPACE.index, SPACE.to_string)
        for call in (*calls, SPACE.canonical, SPACE.encode):
            with pytest.raises(InvalidArchitectureError, match=f"1 to 3 modules.*{counts}: 64-"):
                call(one)
        for call in (SPACE.index, SPACE.canonical, SPACE.encode, SPACE.to_string):
            with pytest.raises(InvalidArchitectureError, match=f"1 to 4.*{counts}: 64-{digits}"):
                call(many)
        for given in (one, many):
            with pytest.raises(InvalidArchitectureError, match=counts):
                SPACE.mutate(given, np.random.default_rng(0))
    with pytest.raises(InvalidArchitectureError, match="'module 6'"):
        SPACE.validate((0, 1, 2, 0, 0, 0, 3))  # a fifth and sixth module that do not exist


@pytest.mark.parametrize(
    "text",
    [
        *("", "64", "64-122-basic", "64-1224141-basic", "64-1225-basic", "64-0124-basic"),
        *("32-1224-basic", "64-1224", "64-1224-1_02_333", "64-41414-1_02_333", "64-1२34-basic"),
    ],
)
def test_texts_of_no_network_are_refused(text):
    with pytest.raises(InvalidArchitectureError, match="such as 64-112314-basic"):
        SPACE.from_string(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "64-41414-1_02_33", "64-41414-1_02_3333", "64-41414-4_00_000", "64-41414-102333"),
        *("64-41415-1_02_333", "32-41414-1_02_333", "1_02_333", "64-112314-basic"),
    ],
)
def test_texts_of_no_cell_are_refused(text):
    with pytest.raises(InvalidArchitectureError, match="such as 64-41414-1_02_333"):
        get_space("transnas-micro").from_string(text)


def test_samples_are_uniform():
    rng = np.random.default_rng(0)
    many = SPACE.index(SPACE.sample(rng, 32_560))
    assert chisquare(np.bincount(many, minlength=SPACE.size)).pvalue > P_MIN
    one = np.array([SPACE.index(SPACE.sample(rng)) for _ in range(1_000)])
    assert chisquare(np.bincount(one // 407, minlength=8)).pvalue > P_MIN


def test_neighbours_are_all_networks_that_one_change_leads_to(tuples):
    digits = list(map(modules, tuples))
    for i in range(0, SPACE.size, 401):
        expected = [a for a, d in zip(tuples, digits, strict=True) if linked(digits[i], d)]
        assert sorted(SPACE.neighbours(tuples[i])) == sorted(expected)
    few = SPACE.from_string(["64-4213-basic", "64-2413-basic"])
    assert SPACE.neighbours(few).shape == (2, len(SPACE.neighbours(tuple(few[0]))), 7)
    with pytest.raises(InvalidArchitectureError, match="equal numbers of neighbours"):
        SPACE.neighbours(np.array(tuples[::400]))


@pytest.mark.parametrize("many", [False, True])
def test_mutants_are_neighbours_by_equal_chances_of_each_decision(many):
    parent, n, rng = SPACE.from_string("64-1243-basic"), 2_000, np.random.default_rng(1)
    # The number of modules, or a module, is changed; what leads to no network is drawn again.
    chances = {}
    for near in SPACE.neighbours(parent):
        longer = near[0] - parent[0]
        chances[near] = 1 / 2 / 4**longer if longer else 1 / 3
    drawn = (
        list(map(tuple, SPACE.mutate(np.array([parent] * n), rng).tolist()))
        if many
        else [SPACE.mutate(parent, rng) for _ in range(n)]
    )
    counts = Counter(drawn)
    assert set(counts) <= set(chances)
    expected = np.array(list(chances.values()))
    observed = [counts[one] for one in chances]
    assert chisquare(observed, n * expected / expected.sum()).pvalue > P_MIN


def test_one_hot_is_zero_where_there_is_no_module(every):
    encoded = SPACE.encode(every)
    assert encoded.shape == (3_256, 3 + 6 * 4)
    assert (encoded.sum(axis=1) == 1 + 4 + every[:, 0]).all()


def test_a_search_on_it_keeps_the_contract_of_benchmarks():
    check_benchmark(SyntheticBenchmark(SPACE))


@pytest.mark.long
@pytest.mark.parametrize("algorithm", EVALUATING)
def test_every_algorithm_searches_the_space(algorithm):
    search = make_algorithm(algorithm, SPACE, seed=1, **small(algorithm))
    trace = simulate(search, SyntheticBenchmark(SPACE), 25, workers=2)
    assert len(trace) == 25
    assert (SPACE.index(trace.architecture) >= 0).all()


@pytest.mark.skipif(not FILES.exists(), reason=f"needs the real data in {FILES}")
@pytest.mark.parametrize("name", ["micro", "macro"])
def test_the_benchmark_has_the_same_architectures_and_classes(name):
    with open(FILES / f"{name}.csv", newline="") as file:
        rows = {row.pop("architecture"): tuple(row.values()) for row in csv.DictReader(file)}
    space = get_space(f"transnas-{name}")
    texts = list(rows)
    architectures = space.from_string(texts)
    assert space.to_string(architectures) == texts
    assert sorted(space.index(architectures).tolist()) == list(range(space.size))
    # Architectures with the same value in all seven tasks are of one class.
    classes = {}
    for values, one in zip(rows.values(), space.canonical(architectures).tolist(), strict=True):
        classes.setdefault(values, set()).add(tuple(one))
    assert {len(one) for one in classes.values()} == {1}
    assert len(classes) == {"micro": 2_994, "macro": 3_256}[name]

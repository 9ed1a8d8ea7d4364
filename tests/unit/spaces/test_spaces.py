"""The search spaces, by brute force over all their architectures."""

import itertools
import math
import pickle
from collections import Counter

import numpy as np
import pytest
from nas_bench_graph.architecture import Arch
from scipy.stats import chisquare

from nasbench_lab.errors import InvalidArchitectureError, SpaceError, UnknownNameError
from nasbench_lab.spaces import SPACES, Decision, SearchSpace, get_space
from nasbench_lab.spaces.nas_bench_graph import LINKS
from nasbench_lab.spaces.nb201 import CONV_1X1, CONV_3X3, EDGES, NONE, POOL, SKIP
from tabular_data.nas_bench_graph import official_hash

P_MIN = 0.001  # seeds are fixed; a sound generator fails one seed in a thousand

SIZES = {
    "fcnet": 62_208,
    "mlp": 30_000,
    "nb201": 15_625,
    "nats-sss": 32_768,
    "nas-bench-graph": 59_049,
    "nas-bench-graph-proteins": 5_625,
    "transnas-micro": 4_096,
    "nb-macro": 6_561,
}
GRAPH_SPACES = ("nas-bench-graph", "nas-bench-graph-proteins")


@pytest.fixture(scope="module", params=SIZES)
def space(request):
    return get_space(request.param)


@pytest.fixture(scope="module")
def every(space):
    return space.at(np.arange(space.size))


@pytest.fixture(scope="module")
def tuples(every):
    return list(map(tuple, every.tolist()))


def assert_uniform(numbers, n):
    assert numbers.min() >= 0
    assert numbers.max() < n
    # Of a single number, there is nothing to test.
    assert n == 1 or chisquare(np.bincount(numbers, minlength=n)).pvalue > P_MIN


def changed_decision(before, after):
    """``(n,)`` number of the one decision in which rows differ."""
    different = before != after
    assert (different.sum(axis=1) == 1).all()
    return different.argmax(axis=1)


def test_every_registered_space_is_tested_here():
    # These are no products, or too large to list, and have a file of tests each.
    others = {"nb101", "transnas-macro", "chain", "chain-signals", "darts"}
    assert set(SPACES) == {*SIZES, *others}


# Numbering and text


def test_numbers_follow_the_order_of_the_decisions(space, every, tuples):
    assert space.size == SIZES[space.name]
    assert every.shape == (space.size, len(space.decisions))
    assert tuples == list(itertools.product(*map(range, space.n_options)))


def test_index_and_at_are_inverse(space, every, tuples):
    assert (space.index(every) == np.arange(space.size)).all()
    some = range(0, space.size, 5)
    assert [space.index(tuples[i]) for i in some] == list(some)
    assert [space.at(i) for i in some] == [tuples[i] for i in some]


def test_index_and_at_take_numpy_ints_and_give_python_ints(space, every):
    for i in np.arange(0, space.size, 97):
        assert type(space.index(tuple(every[i]))) is int
        assert space.index(tuple(every[i])) == space.index(every[i].astype(np.int8)[None])[0] == i
        assert space.at(i) == tuple(every[i].tolist())
        assert {type(option) for option in space.at(i)} == {int}


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("index", [-1, "size", 10**30])
def test_at_refuses_numbers_that_do_not_exist(space, index, many):
    index = space.size if index == "size" else index
    index = np.array([0, index]) if many else index
    with pytest.raises(InvalidArchitectureError, match=f"index from 0 to {space.size - 1} "):
        space.at(index)


def test_strings_round_trip(space, every, tuples):
    texts = space.to_string(every)
    assert len(set(texts)) == space.size
    # One by one, some of them.
    assert [space.to_string(a) for a in tuples[::7]] == texts[::7]
    assert [space.from_string(text) for text in texts[::7]] == tuples[::7]
    assert (space.from_string(texts[::3]) == every[::3]).all()


def test_no_strings_are_no_architectures(space):
    none = space.from_string([])
    assert none.shape == (0, len(space.decisions))
    assert space.to_string(none) == []


def test_strings_are_those_of_the_official_packages():
    cell = (CONV_3X3, CONV_3X3, POOL, NONE, CONV_3X3, POOL)
    assert get_space("nb201").to_string(cell) == (
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"
    )
    assert get_space("nas-bench-graph").to_string((6, 1, 3, 2, 7)) == (
        "Arch([0, 1, 1, 2], ['gcn', 'cheb', 'gin', 'fc'])"
    )
    assert get_space("nats-sss").to_string((0, 1, 7, 3, 4)) == "8:16:64:32:40"
    assert get_space("transnas-micro").to_string((1, 0, 2, 3, 3, 3)) == "64-41414-1_02_333"
    assert get_space("transnas-macro").to_string((2, 0, 0, 1, 2, 0, 3)) == "64-112314-basic"


# Moves


def test_neighbours_differ_in_one_decision_and_are_all_there(space, every, tuples):
    neighbours = space.neighbours(every)
    n = sum(k - 1 for k in space.n_options)
    assert neighbours.shape == (space.size, n, len(space.decisions))
    assert ((neighbours != every[:, None]).sum(axis=2) == 1).all()
    numbers = np.sort(space.index(neighbours.reshape(-1, neighbours.shape[2])).reshape(-1, n))
    assert (np.diff(numbers, axis=1) > 0).all(), "an architecture is listed twice"
    # One by one, some of them.
    for one, many in zip(tuples[::7], neighbours[::7], strict=True):
        assert space.neighbours(one) == list(map(tuple, many.tolist()))


def test_mutation_changes_exactly_one_decision(space, every, tuples):
    rng = np.random.default_rng(1)
    before = every.copy()
    for mutants in (space.mutate(every, rng), np.array([space.mutate(a, rng) for a in tuples])):
        changed_decision(every, mutants)
        space.index(mutants)  # refuses what is not of the space
    assert (every == before).all(), "mutate changed its argument"


@pytest.mark.parametrize("many", [False, True])
def test_mutation_is_uniform_over_decisions_and_options(space, many):
    n, rng = 40_000, np.random.default_rng(2)
    parents = space.sample(rng, n)
    if many:
        mutants = space.mutate(parents, rng)
    else:
        mutants = np.array([space.mutate(tuple(a), rng) for a in parents.tolist()])
    decision = changed_decision(parents, mutants)
    rows = np.arange(n)
    step = (mutants[rows, decision] - parents[rows, decision]) % np.array(space.n_options)[decision]
    assert_uniform(decision, len(space.decisions))
    for i, k in enumerate(space.n_options):
        assert_uniform(step[decision == i] - 1, k - 1)


@pytest.mark.parametrize("many", [False, True])
def test_mutation_of_one_architecture_reaches_its_neighbours_uniformly(many):
    space, rng = get_space("nb201"), np.random.default_rng(3)
    parent = (0, 1, 2, 3, 4, 0)
    mutants = (
        space.mutate(np.array([parent] * 24_000), rng)
        if many
        else np.array([space.mutate(parent, rng) for _ in range(24_000)])
    )
    # In this space all decisions have as many options, so all 24 neighbours are equally likely.
    neighbours = np.sort(space.index(np.array(space.neighbours(parent))))
    numbers = space.index(mutants)
    assert set(numbers.tolist()) == set(neighbours.tolist())
    assert_uniform(np.searchsorted(neighbours, numbers), 24)


NEAR = SearchSpace(
    "near",
    [
        Decision("width", (8, 16, 32, 64, 128), ordered=True),
        Decision("operation", "abcd"),
        Decision("alone", (1,), ordered=True),
        Decision("depth", (1, 2), ordered=True),
        Decision("rate", (0.1, 0.2, 0.3), ordered=True, active_if={"depth": 2}),
    ],
)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("near", [0, 0.3, 0.9])
@pytest.mark.parametrize("conditional", [False, True])
def test_near_options_of_ordered_decisions_are_preferred_on_request(near, many, conditional):
    space = NEAR if conditional else SearchSpace("plain", NEAR.decisions[:4])
    n, rng = 6000, np.random.default_rng(5)
    for parent in [(0, 1, 0, 1, 2), (2, 0, 0, 1, 1), (4, 3, 0, 0, 0)]:
        parent = parent[: len(space.decisions)]
        expected = {}
        free = [i for i, k in enumerate(space.n_options) if k > 1]
        free = [i for i in free if space.active(np.array([parent]))[0, i]]
        for i in free:
            decision = space.decisions[i]
            weights = {
                option: near ** (abs(option - parent[i]) - 1) if decision.ordered else 1
                for option in range(len(decision.options))
                if option != parent[i]
            }
            for option, weight in weights.items():
                child = space.nearest((*parent[:i], option, *parent[i + 1 :]))
                chance = weight / sum(weights.values()) / len(free)
                # The rate that comes into being with a depth of 2 is drawn uniformly.
                born = [(*child[:4], rate) for rate in range(3)] if len(child) > 4 else []
                ends = born if i == 3 and option == 1 and born else [child]
                for end in ends:
                    expected[end] = expected.get(end, 0) + chance / len(ends)
        expected = {one: chance for one, chance in expected.items() if chance}
        before = np.array([parent] * n)
        mutants = (
            space.mutate(before, rng, near=near)
            if many
            else np.array([space.mutate(parent, rng, near=near) for _ in range(n)])
        )
        assert (before == parent).all()
        drawn = Counter(map(tuple, mutants.tolist()))
        assert set(drawn) == set(expected)
        assert sum(expected.values()) == pytest.approx(1)
        counts = [drawn[one] for one in expected]
        assert chisquare(counts, n * np.array(list(expected.values()))).pvalue > P_MIN


@pytest.mark.parametrize("space", [NEAR, get_space("nb201"), get_space("nb101")], ids=str)
def test_mutation_without_a_preference_draws_what_it_always_has(space):
    parents = space.sample(np.random.default_rng(0), 50)
    for many in (False, True):
        drawn = [
            space.mutate(parents if many else tuple(parents[0]), np.random.default_rng(1), **near)
            for near in ({}, {"near": 1})
        ]
        assert np.array_equal(*drawn)


@pytest.mark.parametrize("near", [-0.1, 1.5, math.nan])
def test_a_preference_that_is_no_share_is_refused(near):
    with pytest.raises(SpaceError, match="from 0 to 1 for near"):
        NEAR.mutate((0, 0, 0, 0, 0), np.random.default_rng(0), near=near)


def test_sampling_many_is_uniform_over_the_whole_space(space):
    drawn = space.sample(np.random.default_rng(4), 10 * space.size)
    assert_uniform(space.index(drawn), space.size)


def test_sampling_one_is_uniform(space):
    rng = np.random.default_rng(5)
    numbers = np.array([space.index(space.sample(rng)) for _ in range(40_000)])
    n = {
        4_096: 64,
        6_561: 81,
        15_625: 125,
        32_768: 64,
        59_049: 81,
        5_625: 45,
        62_208: 72,
        30_000: 100,
    }[space.size]
    assert_uniform(numbers // (space.size // n), n)  # the first decisions together
    assert_uniform(numbers % n, n)  # the last ones


def test_the_same_seed_gives_the_same_draws_and_another_seed_others(space):
    def draws(seed):
        rng = np.random.default_rng(seed)
        one = [space.sample(rng), space.mutate(space.at(0), rng)]
        return (
            one,
            space.sample(rng, 50).tolist(),
            space.mutate(space.sample(rng, 50), rng).tolist(),
        )

    assert draws(1) == draws(1)
    assert all(a != b for a, b in zip(draws(1), draws(2), strict=True))


# Isomorphism


def n_classes(canonical):
    return len(np.unique(canonical, axis=0))


@pytest.mark.parametrize(
    ("arguments", "n"), [((), 5_260), (("graph",), 5_260), (("string",), 6_466)]
)
def test_classes_of_nb201(arguments, n):
    space = get_space("nb201")
    every = space.at(np.arange(space.size))
    canonical = space.canonical(every, *arguments)
    assert n_classes(canonical) == n
    assert (space.canonical(canonical, *arguments) == canonical).all()
    assert (space.index(canonical) <= np.arange(space.size)).all()
    tuples = map(tuple, every.tolist())
    assert [space.canonical(a, *arguments) for a in tuples] == list(map(tuple, canonical.tolist()))


def test_cells_without_a_way_to_the_output_are_one_class():
    space = get_space("nb201")
    canonical = space.canonical(space.at(np.arange(space.size)))
    assert (canonical == NONE).all(axis=1).sum() == 341


def test_an_unknown_method_is_refused():
    with pytest.raises(UnknownNameError, match=r"canonical method 'grahp'.*mean 'graph'"):
        get_space("nb201").canonical((0, 0, 0, 0, 0, 0), "grahp")


@pytest.mark.parametrize(("name", "n"), [(GRAPH_SPACES[0], 26_207), (GRAPH_SPACES[1], 2_022)])
def test_graph_classes_are_those_of_the_official_hash(name, n):
    space = get_space(name)
    every = space.at(np.arange(space.size))
    canonical = space.canonical(every)
    official = [
        Arch(list(LINKS[wiring]), [space.operations[o] for o in options]).valid_hash()
        for wiring, *options in every.tolist()
    ]
    assert n_classes(canonical) == len(set(official)) == n
    assert official_hash(space, canonical).tolist() == official
    assert (space.canonical(canonical) == canonical).all()


@pytest.mark.parametrize("name", GRAPH_SPACES)
def test_graph_canonical_forms_one_at_a_time(name):
    space = get_space(name)
    some = space.at(np.arange(0, space.size, 7))
    canonical = space.canonical(some)
    assert [space.canonical(tuple(a)) for a in some.tolist()] == [
        tuple(a) for a in canonical.tolist()
    ]


def test_graph_nodes_may_be_listed_in_any_order():
    space, rng = get_space("nas-bench-graph"), np.random.default_rng(6)
    links = list(itertools.product([0], [0, 1], [0, 1, 2], [0, 1, 2, 3]))
    assert len(links) == 24
    for link in links:
        for _ in range(40):
            names = rng.choice(space.operations, 4).tolist()
            architecture = space.from_string(f"Arch({list(link)}, {names})")
            hashed = official_hash(space, np.array([space.canonical(architecture)]))
            assert hashed == Arch(list(link), names).valid_hash()
    # In the package's own example 'fc' comes after 'gin'.
    example = space.from_string("Arch([0, 1, 2, 1], ['gcn', 'gin', 'fc', 'cheb'])")
    assert example == space.from_string("Arch([0, 1, 1, 2], ['gcn', 'gin', 'cheb', 'fc'])")
    assert example == space.from_string("[0,1,1,2],[gcn,gin,cheb,fc]")
    after_cheb = space.from_string("Arch([0, 1, 1, 2], ['gcn', 'cheb', 'gin', 'fc'])")
    assert space.canonical(example) != space.canonical(after_cheb)


# What the cells compute

DIM = 4
INPUT = np.random.default_rng(7).normal(size=DIM)
REDUCTION = 5  # what a skip connection is where it halves the resolution: it has weights
WEIGHTS = {  # up to six convolutions of each type, each with its own weights
    CONV_1X1: np.random.default_rng(8).normal(size=(6, DIM, DIM)),
    CONV_3X3: np.random.default_rng(9).normal(size=(6, DIM, DIM)),
    REDUCTION: np.random.default_rng(14).normal(size=(6, DIM, DIM)),
}
ACTIVATION = {CONV_1X1: np.tanh, CONV_3X3: np.arctan, REDUCTION: np.sinh}  # f(0) = 0
POOLING = np.random.default_rng(10).normal(size=(DIM, DIM))


def linear_pooling(x):
    return x @ POOLING


def any_pooling(x):
    """A map without weights of which nothing is known but f(0) = 0."""
    return np.sin(x @ POOLING)


def live_edges(cell):
    """Edges that carry something from the input to the output."""
    fed, useful = {0}, {3}
    for edge, (source, target) in enumerate(EDGES):  # in an order in which sources come first
        if cell[edge] != NONE and source in fed:
            fed.add(target)
    for edge, (source, target) in reversed(list(enumerate(EDGES))):
        if cell[edge] != NONE and target in useful:
            useful.add(source)
    return [
        edge
        for edge, (source, target) in enumerate(EDGES)
        if cell[edge] != NONE and source in fed and target in useful
    ]


def live_convolutions(cell):
    live = live_edges(cell)
    return {kind: [edge for edge in live if cell[edge] == kind] for kind in WEIGHTS}


def outputs(cell, pooling):
    """``(n, DIM)``: the output under each way to give the live convolutions their weights."""
    convolutions = live_convolutions(cell)
    orders = list(
        itertools.product(*(itertools.permutations(range(len(c))) for c in convolutions.values()))
    )
    weights = {
        edge: WEIGHTS[kind][[order[k][j] for order in orders]]
        for k, (kind, edges) in enumerate(convolutions.items())
        for j, edge in enumerate(edges)
    }
    nodes = [np.tile(INPUT, (len(orders), 1)), *np.zeros((3, len(orders), DIM))]
    for edge, (source, target) in enumerate(EDGES):
        x = nodes[source]
        if cell[edge] == SKIP:
            nodes[target] = nodes[target] + x
        elif cell[edge] == POOL:
            nodes[target] = nodes[target] + pooling(x)
        elif edge in weights:
            x = np.einsum("nij,nj->ni", weights[edge], x)
            nodes[target] = nodes[target] + ACTIVATION[cell[edge]](x)
    return nodes[3]


def same_function(a, b, pooling):
    """Whether b computes what a does, once its convolutions take the weights of a's."""
    return bool(
        np.isclose(outputs(a, pooling)[0], outputs(b, pooling), rtol=1e-9).all(axis=1).any()
    )


def test_a_cell_and_its_canonical_cell_compute_the_same_function():
    space = get_space("nb201")
    cells = space.sample(np.random.default_rng(11), 700)
    pairs = [
        (tuple(a), tuple(b))
        for a, b in zip(cells.tolist(), space.canonical(cells).tolist(), strict=True)
        if a != b
    ]
    assert len(pairs) >= 300
    for cell, canonical in pairs:
        assert same_function(cell, canonical, linear_pooling), (cell, canonical)


def reducing(cell):
    """The operations of a cell whose edges from the input halve the resolution."""
    return tuple(
        REDUCTION if option == SKIP and source == 0 else option
        for (source, _), option in zip(EDGES, cell, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "operations", "n"), [("nb201", tuple, 5_260), ("transnas-micro", reducing, 1_376)]
)
def test_the_classes_are_exactly_the_functions_where_pooling_is_any_map(name, operations, n):
    space = get_space(name)
    cells = list(map(tuple, space.at(np.arange(space.size)).tolist()))
    # A number that does not depend on which convolution has which weights.
    direction = np.random.default_rng(12).normal(size=DIM)
    value = np.array([np.mean(outputs(operations(c), any_pooling) @ direction) for c in cells])
    # Rounding spreads one function's values by some 1e-15, while 5,260 numbers of size 10 lie some
    # 1e-7 apart where they are closest.
    order = np.argsort(value)
    function = np.empty(space.size, dtype=int)
    function[order] = np.cumsum(np.diff(value[order], prepend=value[order[0]]) > 1e-11)
    canonical = space.index(space.canonical(np.array(cells)))
    together = len(set(zip(function.tolist(), canonical.tolist(), strict=True)))
    assert len(set(function.tolist())) == len(set(canonical.tolist())) == together == n


def test_one_convolution_used_twice_is_told_apart_from_two():
    space = get_space("nb201")
    shared = (CONV_3X3, NONE, SKIP, NONE, SKIP, SKIP)  # c(x) + c(x)
    separate = (CONV_3X3, CONV_3X3, NONE, NONE, SKIP, SKIP)  # c(x) + d(x)
    assert space.canonical(shared, "string") == space.canonical(separate, "string")
    assert space.canonical(shared) != space.canonical(separate)
    assert not same_function(shared, separate, linear_pooling)
    # And with as many convolutions of each type in both:
    # p(c(x)) + d(p(x) + c(x)) and p(p(x)) + d(x + c(p(x))).
    once = (CONV_1X1, POOL, SKIP, NONE, POOL, CONV_3X3)
    other = (POOL, SKIP, CONV_1X1, NONE, POOL, CONV_3X3)
    assert [len(c) for c in live_convolutions(once).values()] == [1, 1, 0]
    assert [len(c) for c in live_convolutions(other).values()] == [1, 1, 0]
    assert space.canonical(once) != space.canonical(other)
    assert not same_function(once, other, linear_pooling)


# Encodings


def test_one_hot_decodes_back(space, every):
    encoded = space.encode(every)
    assert encoded.dtype == np.float64
    assert encoded.shape == (space.size, sum(space.n_options))
    blocks = np.split(encoded, np.cumsum(space.n_options)[:-1], axis=1)
    assert all((block.sum(axis=1) == 1).all() and block.max() == 1 for block in blocks)
    assert (np.stack([block.argmax(axis=1) for block in blocks], axis=1) == every).all()


def test_encoding_one_agrees_with_encoding_many(space):
    some = space.sample(np.random.default_rng(13), 200)
    for encoding in space.encodings:
        many = space.encode(some, encoding)
        one = [space.encode(tuple(a), encoding) for a in some.tolist()]
        assert one[0].shape == many.shape[1:]
        assert (np.array(one) == many).all()
    assert (space.encode(some) == space.encode(some, "one_hot")).all()


CELLS = pytest.mark.parametrize(("name", "n"), [("nb201", 5), ("transnas-micro", 4)])
"""Spaces of cells whose edges carry one of ``n`` operations."""


@CELLS
def test_adjacency_of_a_cell_says_which_edges_carry_which_operation(name, n):
    space = get_space(name)
    every = space.at(np.arange(space.size))
    expected = [
        [float(cell[edge] == option) for option in range(1, n) for edge in range(6)]
        for cell in every.tolist()
    ]
    assert space.encode(every, "adjacency").tolist() == expected
    assert len(expected[0]) == 6 * (n - 1)


@CELLS
def test_paths_of_a_cell_are_those_found_by_walking(name, n):
    space = get_space(name)

    def walks(node, seen=(0,)):
        """Every way from a node to the output, as node numbers."""
        if node == 3:
            yield seen
        for target in range(node + 1, 4):
            yield from walks(target, (*seen, target))

    ways = sorted(walks(0), key=lambda way: (len(way), way))
    features = [
        (way, options)
        for way in ways
        for options in itertools.product(range(1, n), repeat=len(way) - 1)
    ]
    assert len(features) == {"nb201": 4 + 16 + 16 + 64, "transnas-micro": 3 + 9 + 9 + 27}[name]
    every = space.at(np.arange(space.size))
    encoded = space.encode(every, "path")
    assert encoded.shape == (space.size, len(features))
    for cell, row in zip(every.tolist(), encoded, strict=True):
        on_edge = dict(zip(EDGES, cell, strict=True))
        there = {(way, tuple(on_edge[e] for e in itertools.pairwise(way))) for way in ways}
        assert {features[j] for j in np.flatnonzero(row)} == {f for f in there if NONE not in f[1]}
        assert set(row.tolist()) <= {0.0, 1.0}


def parts_of(space, architecture):
    """The sources of the four nodes, the nodes that feed no other, and the operations."""
    wiring, *options = architecture
    sources = [int(s) for s in space.decisions[0].options[wiring].split(",")]
    return sources, [node for node in range(1, 5) if node not in sources], options


@pytest.mark.parametrize("name", GRAPH_SPACES)
def test_graph_adjacency_draws_every_edge_and_operation(name):
    space = get_space(name)
    every = space.at(np.arange(space.size))
    encoded = space.encode(every, "adjacency")
    assert encoded.shape == (space.size, 15 + 4 * len(space.operations))
    pairs = list(itertools.combinations(range(6), 2))
    for architecture, row in zip(every.tolist()[::11], encoded[::11], strict=True):
        sources, leaves, options = parts_of(space, architecture)
        edges = {(source, node) for node, source in enumerate(sources, start=1)}
        edges |= {(leaf, 5) for leaf in leaves}
        drawn = [pair in edges for pair in pairs]
        chosen = [option == o for option in options for o in range(len(space.operations))]
        assert row.tolist() == [float(x) for x in drawn + chosen]


@pytest.mark.parametrize("name", GRAPH_SPACES)
def test_graph_paths_are_those_found_by_walking(name):
    space = get_space(name)
    n = len(space.operations)
    features = [f for k in range(1, 5) for f in itertools.product(range(n), repeat=k)]
    some = space.sample(np.random.default_rng(14), 1_000)
    encoded = space.encode(some, "path")
    assert encoded.shape == (1_000, n + n**2 + n**3 + n**4)
    for architecture, row in zip(some.tolist(), encoded, strict=True):
        sources, leaves, options = parts_of(space, architecture)
        paths = set()
        for leaf in leaves:
            path, node = (), leaf
            while node:
                path, node = (options[node - 1], *path), sources[node - 1]
            paths.add(path)
        assert {features[j] for j in np.flatnonzero(row)} == paths
        assert set(row.tolist()) <= {0.0, 1.0}


def test_an_unknown_encoding_is_refused(space):
    known = ", ".join(sorted(space.encodings))
    with pytest.raises(UnknownNameError, match=rf"Unknown encoding .*'pathh'.*Known: {known}\."):
        space.encode(space.at(0), "pathh")


# What is refused

GOOD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("nb201", "", r"Expected \|op~0\|\+"),
        ("nb201", "|", r"Expected \|op~0\|\+"),
        ("nb201", "none", r"Expected \|op~0\|\+"),
        ("nb201", GOOD[:-1], r"Expected \|op~0\|\+"),
        ("nb201", GOOD[1:], r"Expected \|op~0\|\+"),
        ("nb201", GOOD.replace("+", "-"), "syntax is .*op~0|Expected"),
        ("nb201", GOOD.replace("~2", "~1"), r"Expected \|op~0\|\+"),
        ("nb201", GOOD.replace("~2", ""), r"Expected \|op~0\|\+"),
        ("nb201", GOOD.replace("~2", "~x"), r"Expected \|op~0\|\+"),
        ("nb201", GOOD.replace("~2", "~02"), r"Expected \|op~0\|\+"),
        ("nb201", "|none~0|none~0|+|none~1|+|none~0|none~1|none~2|", r"Expected \|op~0\|\+"),
        ("nb201", GOOD + "+|none~0|", "Expected 6 options .*got 7"),
        ("nb201", "|none~0|+|none~0|none~1|", "Expected 6 options .*got 3"),
        ("nb201", GOOD.replace("none~2", "conv~2"), "'2->3' .*got 'conv'.*options are none, skip_"),
        ("nb201", GOOD.replace("none~2", "NONE~2"), "got 'NONE'"),
        ("nas-bench-graph", "", r"Expected Arch\(\[0, 1, 2, 1\], \['gcn'"),
        ("nas-bench-graph", "Arch()", r"Expected Arch\("),
        ("nas-bench-graph", "Arch([0, 0, 0, 0])", r"Expected Arch\("),
        ("nas-bench-graph", "Arch([0, 0, 0], ['gcn', 'gcn', 'gcn'])", "Expected 4 nodes"),
        ("nas-bench-graph", "Arch([0, 0, 0, 0], ['gcn', 'gcn', 'gcn'])", "Expected 4 nodes"),
        ("nas-bench-graph", "Arch([0, 0, 0, 0, 0], ['gcn']*5)", r"Expected Arch\("),
        ("nas-bench-graph", "Arch([1, 0, 0, 0], ['gcn', 'gcn', 'gcn', 'gcn'])", "an earlier node"),
        ("nas-bench-graph", "Arch([0, 0, 3, 0], ['gcn', 'gcn', 'gcn', 'gcn'])", "an earlier node"),
        ("nas-bench-graph", "Arch([0, -1, 0, 0], ['gcn', 'gcn', 'gcn', 'gcn'])", "an earlier node"),
        ("nas-bench-graph", "Arch([0, a, 0, 0], ['gcn', 'gcn', 'gcn', 'gcn'])", "an earlier node"),
        ("nas-bench-graph", "Arch([0, 0, 0, 0], ['gcn', 'gcn', 'gcn', 'conv'])", "gat, gcn, gin"),
        ("nas-bench-graph", "Arch([0, 0, 0, 0], [, , , ])", "Expected an option for 'node 1'"),
        ("nas-bench-graph-proteins", "Arch([0, 0, 0, 0], ['gat', 'gcn', 'gcn', 'gcn'])", "'gat'"),
    ],
)
def test_a_malformed_string_is_refused_with_what_was_expected(name, text, message):
    space = get_space(name)
    for wrong in (text, [space.to_string(space.at(0)), text]):
        with pytest.raises(InvalidArchitectureError, match=message) as caught:
            space.from_string(wrong)
        assert repr(text) in str(caught.value)


TAKES_ONE = ("index", "validate", "canonical", "to_string", "neighbours", "encode")
TAKES_MANY = ("index", "canonical", "to_string", "neighbours", "encode", "mutate")


@pytest.mark.parametrize("method", TAKES_ONE)
@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ((), "6 decisions .*got 0.*0->1, 0->2, 1->2"),
        ((0,) * 5, "6 decisions .*got 5"),
        ((0,) * 7, "6 decisions .*got 7"),
        ((0, 0, 0, 0, 0, 5), "option from 0 to 4 for '2->3' .*got 5; options are none"),
        ((0, -1, 0, 0, 0, 0), "option from 0 to 4 for '0->2' .*got -1"),
        ((np.int64(9), 0, 0, 0, 0, 0), "option from 0 to 4 for '0->1' .*got 9"),
        ((0.5, 0, 0, 0, 0, 0), "6 whole option numbers"),
        ((float("nan"), 0, 0, 0, 0, 0), "6 whole option numbers"),
        ((float("inf"), 0, 0, 0, 0, 0), "6 whole option numbers"),
        (("none",) * 6, "6 whole option numbers"),
        ((None,) * 6, "6 whole option numbers"),
        (GOOD, "6 whole option numbers"),
        (7, "6 whole option numbers"),
        (None, "6 whole option numbers"),
    ],
)
def test_what_is_no_architecture_is_refused(method, architecture, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        getattr(get_space("nb201"), method)(architecture)


@pytest.mark.parametrize("method", TAKES_MANY)
@pytest.mark.parametrize(
    ("architectures", "message"),
    [
        (np.zeros(6, dtype=int), r"shape \(n, 6\).*got shape \(6,\)"),
        (np.zeros((2, 5), dtype=int), r"shape \(n, 6\).*got shape \(2, 5\)"),
        (np.zeros((2, 6, 1), dtype=int), r"shape \(n, 6\)"),
        (np.zeros((2, 6)), "integer array .*got .* float64"),
        (np.full((2, 6), "none"), "integer array"),
        (np.array([[0] * 6, [0, 5, 0, 0, 0, 0]]), "option from 0 to 4 for '0->2' .*got 5"),
        (np.array([[0] * 6, [0, 0, 0, 0, -1, 0]]), "option from 0 to 4 for '1->3' .*got -1"),
    ],
)
def test_what_are_no_architectures_is_refused(method, architectures, message):
    arguments = [np.random.default_rng(0)] if method == "mutate" else []
    with pytest.raises(InvalidArchitectureError, match=message):
        getattr(get_space("nb201"), method)(architectures, *arguments)


def test_an_unknown_space_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match=r"space 'nb202'.*mean 'nb201'"):
        get_space("nb202")


# Other spaces


def test_a_space_needs_decisions_and_options():
    for decisions in ([], [Decision("a", ("x",)), Decision("b", ())]):
        with pytest.raises(ValueError, match="at least one decision and one option"):
            SearchSpace("empty", decisions)


def test_a_space_of_one_architecture():
    space = SearchSpace("one", [Decision("a", ("x",)), Decision("b", (3,))])
    rng = np.random.default_rng(0)
    only, many = (0, 0), np.zeros((4, 2), dtype=int)
    assert space.size == 1
    assert space.sample(rng) == space.mutate(only, rng) == space.at(0) == only
    assert (space.sample(rng, 4) == many).all()
    assert (space.mutate(many, rng) == many).all()
    assert space.neighbours(only) == []
    assert space.neighbours(many).shape == (4, 0, 2)
    assert space.index(only) == 0
    assert space.index(many).tolist() == [0] * 4
    assert space.from_string(space.to_string(only)) == space.canonical(only) == only
    assert space.to_string(only) == "x:3"
    assert space.encode(only).tolist() == [1.0, 1.0]


def test_unequal_numbers_of_options():
    space = SearchSpace(
        "unequal",
        [
            Decision("kernel", (3, 5)),
            Decision("fixed", ("relu",)),
            Decision("channels", (8, 16, 32, 64, 96, 128, 256), ordered=True),
            Decision("rate", (0.1, 0.01, 0.001), ordered=True),
        ],
    )
    rng = np.random.default_rng(15)
    every = space.at(np.arange(42))
    assert space.size == 42
    assert list(map(tuple, every.tolist())) == list(
        itertools.product(range(2), range(1), range(7), range(3))
    )
    assert (space.from_string(space.to_string(every)) == every).all()
    assert space.neighbours(every).shape == (42, 9, 4)
    assert_uniform(space.index(space.sample(rng, 8_400)), 42)
    for mutants in (
        space.mutate(np.tile(every, (300, 1)), rng),
        np.array([space.mutate(tuple(a), rng) for a in every.tolist() * 300]),
    ):
        parents = np.tile(every, (300, 1))
        decision = changed_decision(parents, mutants)
        assert 1 not in decision, "a decision with one option cannot change"
        assert_uniform(np.searchsorted([0, 2, 3], decision), 3)
        for i, k in ((2, 7), (3, 3)):
            rows = decision == i
            assert_uniform((mutants[rows, i] - parents[rows, i]) % k - 1, k - 1)


def test_spaces_too_large_to_number_with_64_bits():
    space = SearchSpace("large", [Decision(f"{i}", tuple(range(10))) for i in range(30)])
    assert space.size == 10**30
    assert space.index(space.at(10**29 + 7)) == 10**29 + 7
    many = space.sample(np.random.default_rng(16), 3)
    assert (space.from_string(space.to_string(many)) == many).all()
    changed_decision(many, space.mutate(many, np.random.default_rng(17)))
    with pytest.raises(OverflowError, match="'large' is too large"):
        space.index(many)


def test_spaces_pickle_small_and_equal(space):
    space.canonical(space.at(np.arange(100)))  # fills what is kept
    data = pickle.dumps(space)
    copy = pickle.loads(data)
    assert copy == space
    assert hash(copy) == hash(space)
    assert (
        copy.canonical(copy.at(np.arange(100))) == space.canonical(space.at(np.arange(100)))
    ).all()
    assert len(data) < 5_000


def test_spaces_of_other_names_or_decisions_differ():
    assert len({get_space(name) for name in SPACES}) == len(SPACES)
    a = SearchSpace("a", [Decision("x", (1, 2))])
    assert a != SearchSpace("a", [Decision("x", (1, 3))])
    assert a != SearchSpace("b", [Decision("x", (1, 2))])
    assert a == SearchSpace("a", [Decision("x", (1, 2))])

"""The space of DARTS."""

import itertools

import networkx
import numpy as np
import pytest
from genotypes import DARTS_V2

from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.spaces import DARTSSpace, get_space

SPACE = get_space("darts")


def drawn(n, seed=0, space=SPACE):
    return space.sample(np.random.default_rng(seed), n)


def test_the_size_is_that_of_the_papers():
    assert SPACE.size == (180 * 7**8) ** 2
    assert f"{SPACE.size:.0e}" == "1e+18"
    numbers = SPACE.index(drawn(50))
    assert (SPACE.index(SPACE.at(numbers)) == numbers).all()
    assert SPACE.at(SPACE.size - 1) == tuple(n - 1 for n in SPACE.n_options)


def test_a_small_variant_is_all_that_brute_force_finds():
    space = DARTSSpace("small", nodes=2, operations=("a", "b"))
    cells = set()
    for first, second in itertools.product(itertools.combinations(range(4), 2), repeat=2):
        if first[1] >= 2 or second[1] >= 3:  # each node's inputs come before it
            continue
        for ops in itertools.product(range(2), repeat=4):
            cells.add(tuple(zip((*first, *second), ops, strict=True)))
    every = [space.cells(space.at(i)) for i in range(space.size)]
    assert len(cells) == 3 * 2**4
    assert len(set(every)) == space.size == len(cells) ** 2
    assert {tuple(pair for node in normal for pair in node) for normal, _ in every} == cells
    assert [space.of_cells(one) for one in every] == [space.at(i) for i in range(space.size)]


def as_networkx(cell):
    graph = networkx.MultiDiGraph()
    for i in range(2 + len(cell)):
        graph.add_node(i, kind=i if i < 2 else "node")
    for number, node in enumerate(cell, 2):
        for source, option in node:
            graph.add_edge(source, number, operation=option)
    return graph


def test_the_canonical_form_is_one_for_each_class_of_isomorphic_cells():
    space = DARTSSpace("small", nodes=3, operations=("a", "b"))
    per_cell = 3 * 6 * 2**6
    assert space.size == per_cell**2
    cells = [space.cells(space.at(i))[1] for i in range(per_cell)]  # the normal cell is the first
    canonical = space.index(space.canonical(space.at(np.arange(per_cell))))
    assert (canonical <= np.arange(per_cell)).all()
    assert (space.index(space.canonical(space.at(canonical))) == canonical).all()
    groups = {}
    for number, cell in zip(canonical.tolist(), cells, strict=True):
        groups.setdefault(number, []).append(cell)

    def same(one, other):
        return networkx.is_isomorphic(
            as_networkx(one),
            as_networkx(other),
            node_match=lambda a, b: a["kind"] == b["kind"],
            edge_match=lambda a, b: (
                sorted(e["operation"] for e in a.values())
                == sorted(e["operation"] for e in b.values())
            ),
        )

    some = list(groups.values())[::12]
    for group in some:
        assert all(same(group[0], other) for other in group[1:])
    for one, other in itertools.combinations([group[0] for group in some], 2):
        assert not same(one, other)


def test_the_order_of_nodes_does_not_matter():
    swapped = DARTS_V2.replace(
        "('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
        "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)",
        "('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
        "('skip_connect', 0), ('dil_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0)",
    )
    one, other = SPACE.from_string([DARTS_V2, swapped])
    assert tuple(one) != tuple(other)
    assert SPACE.canonical(tuple(one)) == SPACE.canonical(tuple(other))
    many = SPACE.canonical(np.array([one, other]))
    assert (many[0] == many[1]).all()
    assert SPACE.canonical(tuple(one)) == tuple(many[0].tolist())


def test_genotypes_are_read_and_written():
    architecture = SPACE.from_string(DARTS_V2)
    normal, reduction = SPACE.cells(architecture)
    assert normal == (((0, 3), (1, 3)), ((0, 3), (1, 3)), ((0, 2), (1, 3)), ((0, 2), (2, 5)))
    assert reduction == (((0, 0), (1, 0)), ((1, 0), (2, 2)), ((0, 0), (2, 2)), ((1, 0), (2, 2)))
    assert SPACE.options(architecture)["reduce 3 inputs"] == "1,2"
    text = SPACE.to_string(architecture)
    assert text.startswith("Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ")
    assert "('skip_connect', 0), ('sep_conv_3x3', 1)" in text  # inputs in ascending order
    assert text.endswith("reduce_concat=range(2, 6))")
    for other in (
        text,
        text.replace("'", '"').replace(" ", "\n  "),
        text.replace(" ", "").removeprefix("Genotype"),
        DARTS_V2.replace("[2, 3, 4, 5]", "(2, 3, 4, 5)"),
    ):
        assert SPACE.from_string(other) == architecture
    many = drawn(200)
    assert (SPACE.from_string(SPACE.to_string(many)) == many).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (DARTS_V2, "", r"Expected Genotype\(normal="),
        (DARTS_V2, "Genotype()", r"Expected Genotype\(normal="),
        (DARTS_V2, "(" * 100_000, r"Expected Genotype\(normal="),
        ("reduce=", "normal=", r"Expected Genotype\(normal="),
        (")", ") or __import__('os')", r"Expected Genotype\(normal="),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', -2", r"Expected Genotype\(normal="),
        ("'dil_conv_3x3', 2", "'none', 2", "Expected one of max_pool_3x3, .* but got 'none'"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', 5", "inputs below 5 for node 5 but got 0 and 5"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', 0", "two different inputs .* but got 0 and 0"),
        (", ('dil_conv_3x3', 2)", "", "Expected 8 operations for the 4 nodes of a cell but got 7"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=[4, 5]", r"normal_concat=\[2, 3, 4, 5\]"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=range(2, 7)", "but got range"),
    ],
)
def test_what_is_no_genotype_is_refused(old, new, message):
    assert old in DARTS_V2
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.from_string(DARTS_V2.replace(old, new))


def test_neighbours_and_mutants_differ_in_one_decision():
    rng = np.random.default_rng(1)
    for architecture in map(tuple, drawn(5).tolist()):
        near = SPACE.neighbours(architecture)
        assert len(near) == sum(SPACE.n_options) - len(SPACE.n_options)
        assert SPACE.mutate(architecture, rng) in near


def test_the_picture_has_both_cells():
    graph = SPACE.graph(SPACE.from_string(DARTS_V2))
    assert graph.nodes[:3] == ("input", "normal 0", "normal 1")
    assert (graph.nodes[7], graph.nodes[-1]) == ("reduce 0", "output")
    used = [edge.operation for edge in graph.edges if edge.operation]
    assert sorted(used) == sorted(
        SPACE.operations[option]
        for cell in SPACE.cells(SPACE.from_string(DARTS_V2))
        for node in cell
        for _, option in node
    )
    assert max(edge.target for edge in graph.edges) == len(graph.nodes) - 1

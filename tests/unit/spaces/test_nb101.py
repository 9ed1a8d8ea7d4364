"""The space of NAS-Bench-101, against brute force and the authors' code."""

import itertools
import math

import numpy as np
import pytest
from one_shot import EVALUATING, small

from algorithms.gp_bo import GPBO
from algorithms.random_search import RandomSearch
from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.registry import make_algorithm
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import SearchSpace, get_space
from nasbench_lab.spaces.nb101 import EDGES, NODES, OPERATIONS
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.table import Table
from nasbench_lab.testing import SyntheticBenchmark

pytestmark = pytest.mark.long

SPACE = get_space("nb101")
D = 26


def tuples(cells):
    return list(map(tuple, cells.tolist()))


def raw(n, seed):
    """``(n, 26)`` combinations of options, cells or not, of few and of many edges."""
    rng = np.random.default_rng(seed)
    edges = rng.random((n, len(EDGES))) < rng.random((n, 1))
    return np.hstack([edges, rng.integers(3, size=(n, 5))]).astype(np.int64)


def unpruned(cell):
    """The 7x7 matrix and the operations of a combination of options."""
    matrix = np.zeros((NODES, NODES), dtype=np.int8)
    for (source, target), there in zip(EDGES, cell, strict=False):
        matrix[source, target] = there
    return matrix, ["input", *(OPERATIONS[option] for option in cell[len(EDGES) :]), "output"]


def relabelled(cell, order):
    """The cell with inner node i called ``order[i - 1]``, or None if an edge leads backward."""
    name = (0, *order, NODES - 1)
    edges = {(name[s], name[t]) for (s, t), there in zip(EDGES, cell, strict=False) if there}
    if not edges <= set(EDGES):
        return None
    operations = [0] * 5
    for node in range(5):
        operations[name[node + 1] - 1] = cell[len(EDGES) + node]
    return (*(int(edge in edges) for edge in EDGES), *operations)


@pytest.fixture(scope="module")
def cells():
    return SPACE.sample(np.random.default_rng(0), 4_000)


# What is a cell


@pytest.fixture(scope="module")
def official():
    """The authors' code, as ported to PyTorch."""
    pytest.importorskip("nasbench_pytorch")
    from nasbench_pytorch.model import graph_util, model_spec

    class Official:
        def __init__(self, matrix, operations):
            matrix = np.asarray(matrix)
            # Torch only holds the pruned matrix, and cannot hold None.
            self.spec = object.__new__(model_spec.ModelSpec)
            self.spec.original_matrix, self.spec.original_ops = matrix, list(operations)
            self.spec.matrix, self.spec.ops = matrix.copy(), list(operations)
            self.spec.valid_spec = True
            self.spec._prune()

        @property
        def valid(self):
            return self.spec.valid_spec and self.spec.matrix.sum() <= 9

        @property
        def hash(self):
            labels = [-1, *(OPERATIONS.index(op) for op in self.spec.ops[1:-1]), -2]
            return graph_util.hash_module(self.spec.matrix, labels)

    return Official


def test_cells_are_what_the_official_code_takes(official):
    many = raw(2_000, 1)
    expected = [official(*unpruned(cell)).valid for cell in many.tolist()]
    assert 0.2 < np.mean(expected) < 0.8
    for cell, valid in zip(tuples(many), expected, strict=True):
        if valid:
            assert SPACE.validate(cell) == cell
        else:
            with pytest.raises(InvalidArchitectureError, match="Expected a cell of 'nb101'"):
                SPACE.validate(cell)
    good = many[expected]
    assert (SPACE.from_string(SPACE.to_string(good)) == good).all()
    for call in (SPACE.canonical, SPACE.to_string, SPACE.encode, SPACE.module_hash):
        with pytest.raises(InvalidArchitectureError, match="Expected a cell of 'nb101'"):
            call(many)


def test_hashes_are_the_official_ones(cells, official):
    hashes = SPACE.module_hash(cells)
    assert [official(*unpruned(cell)).hash for cell in cells.tolist()] == hashes
    assert [SPACE.module_hash(cell) for cell in tuples(cells[:200])] == hashes[:200]


def test_pruned_matrices_are_the_official_ones(cells, official):
    for cell in tuples(cells[:1_000]):
        matrix, operations = SPACE.to_matrix(cell)
        spec = official(*unpruned(cell)).spec
        assert matrix.tolist() == spec.matrix.tolist()
        assert operations == spec.ops


# Isomorphism


def test_the_classes_are_those_of_the_hash(cells):
    rng = np.random.default_rng(2)
    copies = [relabelled(cell, 1 + rng.permutation(5)) for cell in tuples(cells)]
    copies = np.array([copy for copy in copies if copy is not None])
    assert len(copies) > 200
    everyone = np.concatenate([cells, copies])
    hashes = SPACE.module_hash(everyone)
    canonical = tuples(SPACE.canonical(everyone))
    together = len(set(zip(hashes, canonical, strict=True)))
    assert len(set(hashes)) == len(set(canonical)) == together
    assert 400 < together < len(cells)


def test_every_relabelling_of_a_cell_has_its_canonical_cell(cells):
    for cell in tuples(cells[:150]):
        copies = {relabelled(cell, order) for order in itertools.permutations(range(1, 6))}
        copies = np.array(sorted(copies - {None}))
        assert tuples(np.unique(SPACE.canonical(copies), axis=0)) == [SPACE.canonical(cell)]


def test_canonical_cells(cells):
    before = cells.copy()
    canonical = SPACE.canonical(cells)
    assert (cells == before).all()
    assert (SPACE.canonical(canonical) == canonical).all()
    assert [SPACE.canonical(cell) for cell in tuples(cells)] == tuples(canonical)
    assert SPACE.module_hash(canonical) == SPACE.module_hash(cells)
    for cell in tuples(canonical[:1_000]):
        assert SPACE.validate(cell) == cell
        assert {type(option) for option in SPACE.canonical(cell)} == {int}
        matrix, _ = SPACE.to_matrix(cell)
        k = len(matrix)
        # Nothing leads nowhere, and the nodes in use come first.
        assert matrix.sum() == sum(cell[: len(EDGES)])
        assert all(t <= k - 2 or t == NODES - 1 for (_, t), e in zip(EDGES, cell) if e)  # noqa: B905
        assert set(cell[len(EDGES) + k - 2 :]) <= {0}
        assert SPACE.from_matrix(*SPACE.to_matrix(cell)) == cell
    assert SPACE.canonical(cells[:0]).shape == (0, D)


@pytest.mark.parametrize("most", [4, pytest.param(5, marks=pytest.mark.slow)])
def test_the_space_has_as_many_classes_as_the_paper_says(most):
    # Section 2.2 of the paper counts 423,624. Every class has a member without dead ends, of which
    # the nodes in use come first.
    every = np.arange(1 << len(EDGES))[:, None] >> np.arange(len(EDGES)) & 1
    every = every[(every.sum(axis=1) <= 9) & every[:, [t == 6 for _, t in EDGES]].any(axis=1)]
    into, out = (
        np.stack([every[:, [e[i] == v for e in EDGES]].any(axis=1) for v in range(1, 6)], axis=1)
        for i in (1, 0)
    )
    k = into.sum(axis=1)
    used = np.arange(5) < k[:, None]
    keep = ((into == used) & (out == used)).all(axis=1)
    every, k = every[keep], k[keep]
    found = []
    for n in range(most + 1):
        operations = np.zeros((3**n, 5), dtype=np.int64)
        operations[:, :n] = np.array(list(itertools.product(range(3), repeat=n))).reshape(3**n, n)
        graphs, classes = every[k == n], set()
        for block in np.array_split(graphs, max(1, len(graphs) // 500)):
            many = np.hstack([np.repeat(block, 3**n, axis=0), np.tile(operations, (len(block), 1))])
            classes.update(SPACE.index(SPACE.canonical(many)).tolist())
        found.append(len(classes))
    counts = [1, 6, 84, 2_441, 62_010, 359_082]
    assert sum(counts) == 423_624
    assert found == counts[: most + 1]


# Numbering


def test_numbers_count_combinations_whether_cells_or_not(cells):
    assert SPACE.size == 2**21 * 3**5
    many = np.concatenate([raw(500, 3), cells[:500]])
    numbers = SPACE.index(many)
    assert numbers.tolist() == [SPACE.index(cell) for cell in tuples(many)]
    assert numbers.tolist() == [SPACE.index(tuple(cell)) for cell in many]
    assert (SPACE.at(numbers) == many).all()
    with pytest.raises(InvalidArchitectureError, match="'0->1' of 'nb101' but got 2"):
        SPACE.index((2, *many[0, 1:].tolist()))
    with pytest.raises(InvalidArchitectureError, match="from 0 to 2 for 'operation of node 5'"):
        SPACE.index(np.array([[*many[0, :-1], 3]]))


@pytest.fixture(scope="module")
def table(cells, tmp_path_factory):
    """A table of half of the canonical cells."""
    keys = np.unique(SPACE.index(SPACE.canonical(cells)))[::2]
    info = TableInfo("made-up", "nb101", "", "", "", "valid", "valid")
    column = Column("valid", "accuracy", "%", True, split="valid")
    folder = tmp_path_factory.mktemp("nb101") / "table"
    return Table.create(folder, info, {column: np.arange(len(keys))}, keys=keys)


def test_tables_find_the_rows_of_isomorphic_cells(table, cells):
    rows = table.row(cells)
    assert rows.tolist() == [table.row(cell) for cell in tuples(cells)]
    held = rows >= 0
    assert 0.3 < held.mean() < 0.9
    assert (table.architectures[rows[held]] == SPACE.canonical(cells[held])).all()
    for wrong in (SPACE.at(0), np.array([SPACE.at(0)])):
        with pytest.raises(InvalidArchitectureError, match="no way from input to output"):
            table.row(wrong)


# Moves


def test_samples_are_cells_drawn_uniformly():
    rng = np.random.default_rng(4)
    assert SPACE.sample(rng, 0).shape == (0, D)
    assert SPACE.sample(rng, 1).shape == (1, D)
    many = SPACE.sample(rng, 20_000)
    one = np.array([SPACE.sample(rng) for _ in range(20_000)])
    drawn = SearchSpace.sample(SPACE, rng, 60_000)
    expected = np.array([cell for cell in tuples(drawn) if is_cell(cell)])
    for found in (many, one):
        assert SPACE.canonical(found).shape == found.shape
        # 6 standard errors of a share near one half, twice
        for option in range(3):
            difference = (found == option).mean(axis=0) - (expected == option).mean(axis=0)
            assert np.abs(difference).max() < 6 * 0.5 * math.sqrt(1 / 20_000 + 1 / len(expected))


def is_cell(cell):
    try:
        return SPACE.validate(cell) == cell
    except InvalidArchitectureError:
        return False


@pytest.mark.parametrize("many", [False, True])
def test_mutants_are_other_cells(cells, many):
    rng, before = np.random.default_rng(5), cells.copy()
    if many:
        mutants = SPACE.mutate(cells, rng)
        assert SPACE.mutate(cells[:0], rng).shape == (0, D)
    else:
        mutants = np.array([SPACE.mutate(cell, rng) for cell in tuples(cells)])
    assert (cells == before).all()
    assert (mutants != cells).any(axis=1).all()
    assert SPACE.canonical(mutants).shape == cells.shape


@pytest.mark.parametrize("many", [False, True])
def test_mutation_has_the_chances_of_the_paper(many):
    parent = SPACE.from_matrix([[0, 1], [0, 0]], ["input", "output"])
    rng, n = np.random.default_rng(6), 20_000
    if many:
        mutants = SPACE.mutate(np.array([parent] * n), rng)
    else:
        mutants = np.array([SPACE.mutate(parent, rng) for _ in range(n)])
    changed = mutants != parent
    # The same by rejection.
    draws = rng.random((40_000, D)) < [1 / 7] * 21 + [1 / 5] * 5
    mutated = [
        (*edges, 0, 0, 0, 0, 0)
        for edges in (draws != np.array(parent))[:, :21].astype(int).tolist()
    ]
    kept = draws[[bool(d.any()) and is_cell(m) for d, m in zip(draws, mutated, strict=True)]]
    error = 0.5 * math.sqrt(1 / n + 1 / len(kept))
    assert np.abs(changed.mean(axis=0) - kept.mean(axis=0)).max() < 6 * error
    for node in range(21, D):
        options = np.bincount(mutants[changed[:, node], node], minlength=3)
        assert options[0] == 0
        assert abs(options[1] / options.sum() - 0.5) < 6 * 0.5 / math.sqrt(options.sum())


def test_the_same_seed_gives_the_same_moves():
    def moves(seed):
        rng = np.random.default_rng(seed)
        one, many = SPACE.sample(rng), SPACE.sample(rng, 50)
        return one, SPACE.mutate(one, rng), many.tolist(), SPACE.mutate(many, rng).tolist()

    assert moves(1) == moves(1)
    assert all(a != b for a, b in zip(moves(1), moves(2), strict=True))


def test_neighbours_are_all_cells_at_one_decision(cells):
    for cell in tuples(cells[:100]):
        expected = {
            other
            for i, n in enumerate(SPACE.n_options)
            for option in range(n)
            if option != cell[i] and is_cell(other := (*cell[:i], option, *cell[i + 1 :]))
        }
        neighbours = SPACE.neighbours(cell)
        assert len(neighbours) == len(expected)
        assert set(neighbours) == expected
        assert tuples(SPACE.neighbours(np.array([cell]))[0]) == neighbours
    assert SPACE.neighbours(cells[:0]).shape == (0, 0, D)
    with pytest.raises(InvalidArchitectureError, match=r"equal numbers of neighbours .*one at a"):
        SPACE.neighbours(cells[:100])
    same = np.array([cell for cell in tuples(cells[:500]) if len(SPACE.neighbours(cell)) == 28])
    assert len(same) > 1
    assert SPACE.neighbours(same).shape == (len(same), 28, D)


# Encodings


def test_encodings_say_what_is_there(cells):
    some = cells[:300]
    adjacency, path = SPACE.encode(some, "adjacency"), SPACE.encode(some, "path")
    assert adjacency.shape == (300, 36)
    assert path.shape == (300, 364)
    features = [f for k in range(6) for f in itertools.product(range(3), repeat=k)]
    for cell, row, on_path in zip(tuples(some), adjacency, path, strict=True):
        assert row[:21].tolist() == list(cell[:21])
        assert row[21:].reshape(5, 3).argmax(axis=1).tolist() == list(cell[21:])
        assert row[21:].sum() == 5
        matrix, operations = SPACE.to_matrix(cell)

        def walks(node, matrix=matrix, operations=operations):
            if node == len(matrix) - 1:
                yield ()
            for target in np.flatnonzero(matrix[node]).tolist():
                own = [OPERATIONS.index(operations[node])] if node else []
                for rest in walks(target):
                    yield (*own, *rest)

        assert {features[i] for i in np.flatnonzero(on_path)} == set(walks(0))
        assert set(on_path.tolist()) <= {0.0, 1.0}
        assert (SPACE.encode(cell, "path") == on_path).all()
        assert (SPACE.encode(cell, "adjacency") == row).all()
    # Isomorphic cells have the same paths.
    assert (SPACE.encode(SPACE.canonical(some), "path") == path).all()
    one_hot = SPACE.encode(some)
    assert one_hot.shape == (300, 57)
    assert one_hot.sum() == 300 * D


# Matrices and text

INCEPTION = [
    [0, 1, 1, 1, 0, 1, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 1, 0, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0],
]
C1, C3, POOL = "conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3"
INCEPTION_OPERATIONS = ["input", C1, C3, C3, C3, POOL, "output"]


def test_the_example_of_the_official_readme():
    cell = SPACE.from_matrix(INCEPTION, INCEPTION_OPERATIONS)
    matrix, operations = SPACE.to_matrix(cell)
    assert matrix.tolist() == INCEPTION
    assert operations == INCEPTION_OPERATIONS
    written = "".join(str(digit) for row in INCEPTION for digit in row)
    assert SPACE.to_string(cell) == f"{written}:{','.join(INCEPTION_OPERATIONS)}"
    assert SPACE.from_matrix(np.array(INCEPTION, dtype=bool), tuple(operations)) == cell


def test_smaller_matrices_are_read_as_they_are_meant(cells):
    for cell in tuples(cells[:300]):
        matrix, operations = SPACE.to_matrix(cell)
        again = SPACE.from_matrix(matrix, operations)
        text = f"{''.join(map(str, matrix.flat))}:{','.join(operations)}"
        assert SPACE.from_string(f" {text}\n") == again
        assert SPACE.canonical(again) == SPACE.canonical(cell)
        matrix_again, operations_again = SPACE.to_matrix(again)
        assert (matrix_again == matrix).all()
        assert operations_again == operations


def test_strings_round_trip(cells):
    texts = SPACE.to_string(cells)
    assert (SPACE.from_string(texts) == cells).all()
    assert [SPACE.to_string(cell) for cell in tuples(cells[:100])] == texts[:100]


@pytest.mark.parametrize(
    ("matrix", "operations", "message"),
    [
        ([[0]], ["input"], "square matrix of 2 to 7 nodes"),
        (np.triu(np.ones((8, 8)), 1), ["input"] + [C1] * 6 + ["output"], "2 to 7 nodes"),
        ([[0, 1], [0, 0]], ["input", C1, "output"], "as many operations"),
        ([[0, 1]], ["input", "output"], "square matrix"),
        ([[0, 1], [0]], ["input", "output"], "square matrix"),
        ([["a", "b"], ["c", "d"]], ["input", "output"], "square matrix"),
        (None, None, "square matrix"),
        ([[0, 2], [0, 0]], ["input", "output"], "matrix of 0 and 1"),
        ([[0, -1], [0, 0]], ["input", "output"], "matrix of 0 and 1"),
        ([[0, 0.5], [0, 0]], ["input", "output"], "matrix of 0 and 1"),
        ([[0, math.nan], [0, 0]], ["input", "output"], "matrix of 0 and 1"),
        ([[0, 1], [1, 0]], ["input", "output"], "on and below its diagonal"),
        ([[1, 1], [0, 0]], ["input", "output"], "on and below its diagonal"),
        ([[0, 1], [0, 0]], ["output", "input"], "operations from input to output"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "conv", "output"], "options between them"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "input", "output"], "options between them"),
        ([[0, 0], [0, 0]], ["input", "output"], "no way from input to output"),
        (np.triu(np.ones((7, 7)), 1), INCEPTION_OPERATIONS, "at most 9 edges .*got 21 edges"),
    ],
)
def test_what_is_no_cell_is_refused(matrix, operations, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.from_matrix(matrix, operations)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "0100",
        "0100:",
        "0100:input",
        "0100:input,output,output",
        "010:input,output",
        "0200:input,output",
        "٠١٠٠:input,output",
        "0100:input,output:",
        "0100:input,\noutput",
        "0000:input,output",
        "0110:input,output",
        "010001000:input,conv,output",
    ],
)
def test_malformed_strings_are_refused_with_the_syntax(text):
    with pytest.raises(InvalidArchitectureError, match="Expected 0100010000010…:input") as caught:
        SPACE.from_string(text)
    assert repr(text) in str(caught.value)


# Searches


@pytest.mark.parametrize("algorithm", EVALUATING)
def test_every_algorithm_searches_the_space(algorithm):
    benchmark = SyntheticBenchmark(SPACE)
    for options in ({}, {"workers": 5}):
        search = make_algorithm(algorithm, SPACE, seed=1, **small(algorithm))
        trace = simulate(search, benchmark, 40, **options)
        assert len(trace) == 40
        assert SPACE.canonical(trace.architecture).shape == (40, D)


@pytest.mark.parametrize("kernel", ["matern", "path"])
def test_gp_bo_asks_each_class_once(kernel):
    trace = simulate(GPBO(SPACE, seed=0, kernel=kernel), SyntheticBenchmark(SPACE), 30)
    canonical = SPACE.canonical(trace.architecture)
    assert len(np.unique(canonical, axis=0)) == 30
    assert (canonical == trace.architecture).all()


def test_random_search_without_replacement():
    algorithm = RandomSearch(SPACE, seed=0, replacement=False)
    trace = simulate(algorithm, SyntheticBenchmark(SPACE), 300)
    assert len(np.unique(trace.architecture, axis=0)) == 300

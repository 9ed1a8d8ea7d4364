"""Local optima, distances and walks, each against its definition written out by brute force."""

import itertools
import math
from collections import Counter, deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_lab.errors import InvalidArchitectureError, QueryError
from nasbench_lab.landscape import landscape as module
from nasbench_lab.landscape.landscape import (
    autocorrelation,
    fitness_distance,
    local_optima,
    random_walks,
    survey,
)
from nasbench_lab.spaces import SPACES, Decision, SearchSpace, get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.table import Table

NAN = math.nan


class Steps(SearchSpace):
    """Each move is one step up or down, so that architectures have unequal numbers of neighbours."""

    def neighbours(self, architecture):
        if not isinstance(architecture, np.ndarray):
            one = self.validate(architecture)
            near = super().neighbours(one)
            return [o for o in near if sum(abs(a - b) for a, b in zip(one, o, strict=True)) == 1]
        lists = [self.neighbours(tuple(one)) for one in architecture.tolist()]
        if len({len(some) for some in lists}) > 1:
            raise InvalidArchitectureError("unequal numbers of neighbours")
        return np.array(lists)


DECISIONS = [Decision("a", "xyz"), Decision("b", "uv"), Decision("c", "pqrs")]
MADE = {
    "landscape-product": lambda: SearchSpace("landscape-product", DECISIONS),
    "landscape-steps": lambda: Steps("landscape-steps", DECISIONS),
    "landscape-large": lambda: SearchSpace(
        "landscape-large", [Decision(f"d{i}", range(8)) for i in range(9)]
    ),
    "landscape-single": lambda: SearchSpace("landscape-single", [Decision("only", "x")]),
}
N = 24


@pytest.fixture(scope="module", autouse=True)
def spaces():
    """Spaces that are known by name from here on, but not listed."""
    SPACES.update(MADE)
    for name in MADE:
        get_space(name)
        del SPACES[name]


def make(values, row_of_index=None, space="landscape-product", maximize=True, keys=None):
    """A table in memory with one column."""
    column = Column("value", "accuracy", "%", maximize)
    info = TableInfo("made/up", space, "", "", "", "value", "value")
    arrays = {"value": np.array(values, dtype=float).reshape(-1, 1, 1)}
    for name, array in (("row_of_index", row_of_index), ("keys", keys)):
        if array is not None:
            arrays[name] = np.array(array)
    held = Held(arrays)
    held.rows = len(next(iter(arrays.values())))
    return Table(Path("nowhere"), info, [column], held, dict.fromkeys(arrays, ""))


class Held(dict):
    """The arrays of a table that is in no folder, and their number of rows."""


def all_of(space):
    return list(itertools.product(*map(range, space.n_options)))


def near(space, one):
    """Neighbours by hand."""
    steps = isinstance(space, Steps)
    return [
        other
        for other in all_of(space)
        if sum(a != b for a, b in zip(one, other, strict=True)) == 1
        and (not steps or sum(abs(a - b) for a, b in zip(one, other, strict=True)) == 1)
    ]


def held(table):
    """Each architecture that has a value, and its row."""
    values = table.values("value")
    rows = {one: table.row(one) for one in all_of(table.space)}
    return {one: row for one, row in rows.items() if row >= 0 and not math.isnan(values[row])}


def ascents_by_hand(table):
    """For each row with an architecture and a value the row where its steepest ascent ends."""
    rows, values = held(table), table.values("value").tolist()
    sign = 1 if table.column("value").maximize else -1
    members = {}
    for one, row in rows.items():
        members.setdefault(row, []).append(one)

    def above(row):
        around = {rows[o] for one in members[row] for o in near(table.space, one) if o in rows}
        return max([row, *around], key=lambda r: (sign * values[r], r == row))

    ends = {}
    for row in members:
        end = row
        while above(end) != end:
            end = above(end)
        ends[row] = end
    return ends


@st.composite
def tables(draw, distinct, space="landscape-product"):
    """Tables in which architectures share rows, or have none, and rows lack values."""
    n_rows = draw(st.integers(1, 12))
    row_of_index = draw(st.lists(st.integers(-1, n_rows - 1), min_size=N, max_size=N))
    if distinct:
        values = draw(st.permutations([float(i) for i in range(n_rows)]))
        for i in draw(st.sets(st.integers(0, n_rows - 1), max_size=3)):
            values[i] = NAN
    else:
        some = st.sampled_from([NAN, 1.0, 2.0, 3.0])
        values = draw(st.lists(some, min_size=n_rows, max_size=n_rows))
    if not any(row >= 0 and not math.isnan(values[row]) for row in row_of_index):
        values[0], row_of_index[0] = 1.0, 0
    return make(values, row_of_index, space, draw(st.booleans()))


# Choosing the architectures


def test_all_that_the_table_holds_is_studied(timed):
    landscape = survey(timed)
    assert landscape.complete
    assert landscape.how == "the 11 of 12 architectures that the table holds"
    assert landscape.rows.tolist() == list(range(11))
    _, rows, values = landscape.measured()
    assert rows.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert values.tolist() == timed.values("valid_accuracy")[rows].tolist()
    assert survey(make(range(N))).how == "all 24 architectures of the space"


@pytest.mark.parametrize("maximize", [True, False])
def test_fitness_is_more_where_better_and_blind_to_rounding_errors(maximize):
    landscape = survey(
        make([81.93333333333334, 81.93333333333332, NAN, 80.0] * 6, maximize=maximize)
    )
    fitness = landscape.fitness.tolist()
    assert fitness[0] == fitness[1]
    assert fitness[2] == -math.inf
    assert (fitness[0] > fitness[3]) is maximize
    np.testing.assert_allclose(np.abs(fitness[0]), 81.93333333333333, rtol=1e-9)
    assert survey(make([0.0] * N)).fitness.tolist() == [0.0] * N
    tiny = survey(make([1.23456789e-7, 1.23456788e-7] * 12)).fitness
    assert tiny[0] != tiny[1]


@pytest.mark.parametrize(
    ("table", "column", "words"),
    [
        (lambda: make([NAN] * N), None, "holds no value of any architecture. Name another, one of"),
        (lambda: make([1.0, NAN], [1] * N), None, "holds no value of any architecture"),
        (lambda: make(range(N)), "vlaue", "has no column for vlaue"),
    ],
)
def test_what_cannot_be_studied_is_refused(table, column, words):
    with pytest.raises(QueryError, match=words):
        survey(table(), column)


def test_a_table_without_objective_needs_a_column():
    table = make(range(N))
    table.info = TableInfo("made/up", "landscape-product", "", "", "", "", "")
    with pytest.raises(QueryError, match="names no objective"):
        survey(table)
    assert survey(table, "value").column.name == "value"


def test_of_a_large_space_a_sample_is_studied(monkeypatch):
    monkeypatch.setattr(module, "LIMIT", N - 1)
    monkeypatch.setattr(module, "SAMPLE", 500)
    values = [NAN if i % 7 == 3 else i for i in range(N)]
    landscape = survey(make(values), seed=1)
    assert not landscape.complete
    drawn = len(landscape.rows)
    assert landscape.how == f"{drawn} of 500 architectures drawn at random, that the table holds"
    assert 350 < len(landscape.rows) <= 500
    assert not np.isnan(landscape.values).any()
    assert landscape.table.row(landscape.architectures).tolist() == landscape.rows.tolist()
    again, other = survey(make(values), seed=1), survey(make(values), seed=2)
    assert np.array_equal(again.architectures, landscape.architectures)
    assert not np.array_equal(other.rows[:50], landscape.rows[:50])


def test_of_a_large_space_of_which_the_table_holds_little_each_row_is_studied():
    table = make([3.0, NAN, 5.0], keys=[7, 1000, 8**9 - 1], space="landscape-large")
    landscape = survey(table)
    assert not landscape.complete
    assert landscape.how.startswith("one architecture of each of 3 rows")
    assert landscape.rows.tolist() == [0, 1, 2]
    assert landscape.architectures[2].tolist() == [7] * 9
    optima = local_optima(landscape)
    assert (optima.rows.tolist(), optima.share, optima.complete) == ([2, 0], 1.0, False)
    found = fitness_distance(landscape)
    assert (sorted(found.distances.tolist()), found.optima) == ([0, 8], 1)
    assert np.isnan(autocorrelation(random_walks(landscape, 5)).length)


# Local optima


@given(table=tables(distinct=True))
def test_ascents_by_brute_force(table):
    ends = ascents_by_hand(table)
    basins = Counter(ends[row] for row in held(table).values())
    optima = local_optima(survey(table))
    assert dict(zip(optima.rows.tolist(), optima.basins.tolist(), strict=True)) == basins
    assert optima.share == pytest.approx(len(basins) / len(ends))
    values = optima.values.tolist()
    assert values == sorted(values, reverse=table.column("value").maximize)
    assert optima.complete


@given(table=tables(distinct=False))
def test_rows_are_local_optima_if_no_neighbour_is_strictly_better(table):
    ends = ascents_by_hand(table)
    expected = {row for row, end in ends.items() if row == end}
    optima = local_optima(survey(table))
    assert set(optima.rows.tolist()) == expected
    assert optima.basins.sum() == len(held(table))
    # Each ends where there is nothing better, and not below where it started.
    assert optima.share_within(table.optimum("value"), 10.0) == 1.0


@given(table=tables(distinct=True, space="landscape-steps"))
def test_ascents_where_numbers_of_neighbours_differ(table):
    ends = ascents_by_hand(table)
    basins = Counter(ends[row] for row in held(table).values())
    optima = local_optima(survey(table))
    assert dict(zip(optima.rows.tolist(), optima.basins.tolist(), strict=True)) == basins


def test_an_architecture_that_shares_a_row_leaves_it_by_the_move_of_the_other():
    # Row 0 is of the first and the last architecture; only the last is beside the best, row 2.
    row_of_index = [1] * N
    row_of_index[0] = row_of_index[-1] = 0
    row_of_index[-2] = 2
    optima = local_optima(survey(make([5.0, 1.0, 9.0], row_of_index)))
    assert 0 not in optima.rows


def test_shares_of_ascents_by_where_they_end():
    optima = local_optima(survey(make([81.93333333333334, 81.93333333333332, 81.5, 80.9] * 6)))
    assert optima.share_within(81.93333333333334, 0.0) == 1.0
    hand = module.LocalOptima(
        np.arange(3), np.array([5.0, 4.5, 3.0]), np.array([2, 1, 1]), 0.5, True
    )
    assert [hand.share_within(5.0, d) for d in (0.0, 0.5, 1.0, 2.0)] == [0.5, 0.75, 0.75, 1.0]


@pytest.mark.parametrize("space", ["landscape-product", "landscape-steps"])
def test_ascents_from_a_sample_end_as_those_from_everywhere(monkeypatch, space):
    values = np.random.default_rng(3).permutation(N).astype(float)
    table = make(values, space=space)
    ends = ascents_by_hand(table)
    monkeypatch.setattr(module, "LIMIT", 1)
    monkeypatch.setattr(module, "SAMPLE", 300)
    monkeypatch.setattr(module, "ASCENTS", 200)
    landscape = survey(table)
    optima = local_optima(landscape, seed=5)
    starts = landscape.rows[np.random.default_rng([5, 1]).permutation(300)[:200]].tolist()
    assert Counter(ends[row] for row in starts) == dict(
        zip(optima.rows.tolist(), optima.basins.tolist(), strict=True)
    )
    assert optima.share == pytest.approx(np.mean([ends[row] == row for row in starts]))
    assert not optima.complete


def test_a_space_of_one_architecture_has_one_optimum():
    landscape = survey(make([3.0], space="landscape-single"))
    assert local_optima(landscape).rows.tolist() == [0]
    assert random_walks(landscape, 2, 3).tolist() == [[3.0] * 4] * 2
    assert np.isnan(fitness_distance(landscape).correlation)


# Distance


def distances_by_hand(table):
    """Fewest moves from each architecture to one with the best value."""
    rows, values = held(table), table.values("value")
    best = (max if table.column("value").maximize else min)(values[row] for row in rows.values())
    known = {one: 0 for one, row in rows.items() if values[row] == best}
    queue = deque(known)
    while queue:
        one = queue.popleft()
        for other in near(table.space, one):
            if other not in known:
                known[other] = known[one] + 1
                queue.append(other)
    return known


@pytest.mark.parametrize("space", ["landscape-product", "landscape-steps"])
def test_distances_by_brute_force(space):
    @given(table=tables(distinct=False, space=space))
    def check(table):
        known, rows = distances_by_hand(table), held(table)
        found = fitness_distance(survey(table))
        assert found.distances.tolist() == [known[one] for one in rows]
        assert found.values.tolist() == table.values("value")[list(rows.values())].tolist()
        assert found.optima == sum(known[one] == 0 for one in rows)
        sign = 1 if table.column("value").maximize else -1
        if np.ptp(found.distances) and np.ptp(found.values):
            x, y = found.distances - found.distances.mean(), sign * found.values
            y = y - y.mean()
            expected = (x * y).sum() / math.sqrt((x**2).sum() * (y**2).sum())
            assert found.correlation == pytest.approx(expected)
        else:
            assert math.isnan(found.correlation)

    check()


def test_a_straight_way_to_the_optimum_has_correlation_minus_one():
    space = get_space("landscape-product")
    values = [-sum(option > 0 for option in one) for one in all_of(space)]
    for maximize in (True, False):
        table = make(values if maximize else [-v for v in values], maximize=maximize)
        assert fitness_distance(survey(table)).correlation == pytest.approx(-1.0)
    frame = fitness_distance(survey(make(values))).to_frame()
    assert frame["distance"].tolist() == [0, 1, 2, 3]
    assert frame["architectures"].tolist() == [1, 2 + 1 + 3, 2 * 1 + 2 * 3 + 1 * 3, 6]
    assert frame["median"].tolist() == [0, -1, -2, -3]


def test_in_a_large_product_distance_is_decisions_that_differ(monkeypatch):
    table = make(np.random.default_rng(0).permutation(N))
    known = distances_by_hand(table)
    monkeypatch.setattr(module, "LIMIT", 1)
    landscape = survey(table)
    found = fitness_distance(landscape)
    assert found.distances.tolist() == [known[tuple(a)] for a in landscape.architectures.tolist()]


def test_in_other_large_spaces_the_distance_is_not_known(monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 1)
    assert fitness_distance(survey(make(range(N), space="landscape-steps"))) is None


# Walks


def autocorrelation_by_hand(table, lags):
    """By the transition matrix of the walk; all architectures are equally likely at all times."""
    space, rows = table.space, held(table)
    every = all_of(space)
    moves = np.zeros((N, N))
    for i, one in enumerate(every):
        for other in near(space, one):
            moves[i, every.index(other)] = 1 / len(near(space, one))
    known = np.array([one in rows for one in every])
    f = np.array([table.values("value")[rows[one]] if one in rows else 0.0 for one in every])
    mean, variance = f[known].mean(), f[known].var()
    deviation = np.where(known, f - mean, 0.0)
    result = []
    for lag in range(lags + 1):
        jump = np.linalg.matrix_power(moves, lag)
        result.append(deviation @ jump @ deviation / (known @ jump @ known) / variance)
    return result


@pytest.mark.parametrize("missing", [False, True])
def test_autocorrelation_of_walks_by_the_transition_matrix(missing):
    values = np.random.default_rng(8).normal(size=N)
    row_of_index = np.arange(N)
    if missing:
        values[[3, 17]] = NAN
        row_of_index[[5, 6, 20]] = -1
    table = make(values, row_of_index)
    found = autocorrelation(random_walks(survey(table), 4000, seed=1), lags=5)
    # Some 400,000 values of which each few are independent: the standard error is about 0.003.
    np.testing.assert_allclose(found.values, autocorrelation_by_hand(table, 5), atol=0.015)
    assert found.pairs[0] < 4000 * 101 if missing else found.pairs[0] == 4000 * 101
    assert found.walks == 4000


def test_autocorrelation_of_an_additive_landscape_in_closed_form():
    # Of m moves, k - 1 change decision i, to any of its other options. The part of the value that
    # comes from it is expected to be 1 - (k - 1)/m of what it was, less 1/m for the others, whose
    # sum is minus it: an eigenfunction of the walk with the eigenvalue 1 - k/m (elementary
    # landscapes; Stadler 1996). The parts are independent, and so
    #   r(s) = sum_i var_i (1 - k_i/m)^s / sum_i var_i.
    space = get_space("landscape-product")
    rng = np.random.default_rng(4)
    parts = [rng.normal(size=k) * scale for k, scale in zip((3, 2, 4), (1, 2, 1), strict=True)]
    values = [sum(part[o] for part, o in zip(parts, one, strict=True)) for one in all_of(space)]
    variances = np.array([part.var() for part in parts])
    lags, m = np.arange(8), sum(k - 1 for k in space.n_options)
    rates = 1 - np.array(space.n_options)[:, None] / m
    expected = variances @ rates**lags / variances.sum()
    table = make(values)
    np.testing.assert_allclose(autocorrelation_by_hand(table, 7), expected, atol=1e-12)
    found = autocorrelation(random_walks(survey(table), 4000), lags=7)
    np.testing.assert_allclose(found.values, expected, atol=0.015)
    assert found.length == pytest.approx(-1 / math.log(abs(expected[1])), rel=0.05)


def test_autocorrelation_of_a_process_that_is_known():
    # An autoregressive process has r(s) = phi^s and the correlation length -1/ln(phi).
    rng, phi = np.random.default_rng(0), 0.8
    walks = rng.normal(size=(400, 501))
    for t in range(1, 501):
        walks[:, t] = phi * walks[:, t - 1] + math.sqrt(1 - phi**2) * walks[:, t]
    found = autocorrelation(walks)
    np.testing.assert_allclose(found.values, phi ** np.arange(21), atol=0.02)
    assert found.length == pytest.approx(-1 / math.log(phi), rel=0.03)


@given(data=st.data())
def test_autocorrelation_by_brute_force(data):
    some = st.sampled_from([NAN, 0.0, 1.0, 2.0, 5.0])
    walks = np.array(
        data.draw(st.lists(st.lists(some, min_size=6, max_size=6), min_size=1, max_size=4))
    )
    found = autocorrelation(walks, lags=20)
    assert len(found.values) == len(found.pairs) == 6
    known = [v for v in walks.ravel().tolist() if not math.isnan(v)]
    mean = sum(known) / len(known) if known else 0.0
    variance = sum((v - mean) ** 2 for v in known) / len(known) if known else 0.0
    for lag, (value, pairs) in enumerate(zip(found.values, found.pairs, strict=True)):
        products = [
            (a - mean) * (b - mean)
            for walk in walks.tolist()
            for a, b in zip(walk, walk[lag:], strict=False)
            if not math.isnan(a + b)
        ]
        assert pairs == len(products)
        if products and variance:
            assert value == pytest.approx(sum(products) / len(products) / variance)
        else:
            assert math.isnan(value)


@pytest.mark.parametrize(
    ("r", "length"), [(0.0, 0.0), (1.0, math.inf), (-0.5, 1 / math.log(2)), (NAN, NAN)]
)
def test_correlation_length(r, length):
    found = module.Autocorrelation(np.array([1.0, r]), np.array([2, 1]), 1)
    assert found.length == pytest.approx(length, nan_ok=True)


@pytest.mark.parametrize("space", ["landscape-product", "landscape-steps"])
def test_walks_go_to_neighbours_and_come_again(space):
    table = make(range(N), space=space)
    walks = random_walks(survey(table), 30, 40, seed=3)
    every = all_of(table.space)
    for walk in walks.astype(int).tolist():
        for a, b in itertools.pairwise(walk):
            assert every[b] in near(table.space, every[a])
    assert np.array_equal(walks, random_walks(survey(table), 30, 40, seed=3))
    assert not np.array_equal(walks, random_walks(survey(table), 30, 40, seed=4))


def test_cells_of_nas_bench_101():
    space, rng = get_space("nb101"), np.random.default_rng(0)
    keys = np.unique(space.index(space.canonical(space.sample(rng, 60))))
    table = make(rng.normal(size=len(keys)), keys=keys, space="nb101")
    landscape = survey(table)
    # Some classes are of very many cells.
    assert 1000 < len(landscape.rows) < 20_000
    assert local_optima(landscape).basins.sum() == 1000
    assert fitness_distance(landscape) is None
    assert random_walks(landscape, 3, 4).shape == (3, 5)

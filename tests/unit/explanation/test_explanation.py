"""Explanations, each part against its definition written out by brute force or another library."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

import nasbench_lab as lab
from nasbench_lab import stats
from nasbench_lab.benchmark import Objective, TableBenchmark
from nasbench_lab.errors import QueryError
from nasbench_lab.explanation import explain_table
from nasbench_lab.explanation.importance import (
    _Columns,
    _decomposed,
    _marginals,
    _tree_marginals,
    importance,
)
from nasbench_lab.explanation.incumbents import different_decisions, incumbent_chain, near_by_chance
from nasbench_lab.explanation.known import Known, known_of_runs
from nasbench_lab.explanation.path import changes, shortest_path
from nasbench_lab.explanation.sentences import number, sentences
from nasbench_lab.explanation.winners import newcombe, wilson, winners
from nasbench_lab.landscape.landscape import survey
from nasbench_lab.spaces import SPACES, Decision, SearchSpace, get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.table import Table

NAN = math.nan
PLAIN = SearchSpace(
    "explained-plain",
    [Decision("a", "xyz"), Decision("b", "uv"), Decision("c", range(4), ordered=True)],
)
CONDITIONAL = SearchSpace(
    "explained-conditional",
    [
        Decision("layers", (1, 2, 3), ordered=True),
        Decision("width 2", (8, 16, 32), active_if={"layers": (2, 3)}),
        Decision("width 3", (8, 16, 32), active_if={"layers": 3}),
    ],
)


@pytest.fixture(scope="module", autouse=True)
def spaces():
    """Spaces that are known by name from here on, but not listed."""
    for space in (PLAIN, CONDITIONAL):
        SPACES[space.name] = lambda space=space: space
        get_space(space.name)
        del SPACES[space.name]


class Held(dict):
    """The arrays of a table that is in no folder, and their number of rows."""


def table_of(space, values, test=None, maximize=True, row_of_index=None):
    """A table in memory, with values of validation and of the test."""
    columns = [
        Column("valid_accuracy", "accuracy", "%", maximize, "valid"),
        Column("test_accuracy", "accuracy", "%", maximize, "test"),
    ]
    tests = values if test is None else test
    arrays = {
        column.name: np.array(some, dtype=float).reshape(-1, 1, 1)
        for column, some in zip(columns, (values, tests), strict=True)
    }
    if row_of_index is not None:
        arrays["row_of_index"] = np.array(row_of_index)
    held = Held(arrays)
    held.rows = len(values)
    info = TableInfo(
        "made/up", space.name, "", "", "CC0", objective="valid_accuracy", report="test_accuracy"
    )
    return Table(Path("nowhere"), info, columns, held, dict.fromkeys(arrays, ""))


def known_of(space, values, architectures=None):
    every = space.at(np.arange(space.size)) if architectures is None else architectures
    return Known("made/up", space, Objective("valid_accuracy", "%"), every, values, "", True)


def brute_shares(n_options, value_of):
    """Shares of the variance by the definition of functional ANOVA: of every set of decisions."""
    every = list(itertools.product(*map(range, n_options)))
    values = {one: value_of(one) for one in every}
    mean, d = np.mean(list(values.values())), len(n_options)
    variance = np.mean([(value - mean) ** 2 for value in values.values()])
    effects, shares = {(): dict.fromkeys(every, mean)}, {}
    for size in range(1, d + 1):
        for some in itertools.combinations(range(d), size):
            effects[some] = {
                one: np.mean(
                    [v for other, v in values.items() if all(other[i] == one[i] for i in some)]
                )
                - sum(
                    effects[less][one]
                    for k in range(size)
                    for less in itertools.combinations(some, k)
                )
                for one in every
            }
            shares[some] = np.mean([e**2 for e in effects[some].values()]) / variance
    return shares


def assert_shares(space, found, wanted):
    alone, pairs = found.decisions["importance"], found.pairs
    d = len(space.decisions)
    assert alone.tolist() == pytest.approx([wanted[(i,)] for i in range(d)])
    names = [one.name for one in space.decisions]
    for line in pairs.itertuples():
        pair = tuple(sorted((names.index(line.first), names.index(line.second))))
        assert line.importance == pytest.approx(wanted[pair])


def test_exact_importance_is_functional_anova():
    values = np.random.default_rng(0).normal(size=PLAIN.size)
    found = importance(known_of(PLAIN, values))
    wanted = brute_shares(PLAIN.n_options, lambda one: values[PLAIN.index(one)])
    assert found.method == "exact"
    assert_shares(PLAIN, found, wanted)
    assert found.alone + found.together + wanted[(0, 1, 2)] == pytest.approx(1)
    limit = np.quantile(values, 0.75)
    good = brute_shares(PLAIN.n_options, lambda one: max(values[PLAIN.index(one)], limit))
    assert found.decisions["among_good"].tolist() == pytest.approx([good[(i,)] for i in range(3)])


def test_a_decision_that_does_not_exist_changes_nothing():
    every = CONDITIONAL.at(np.arange(CONDITIONAL.size))
    # 13 architectures are too few for a whole explanation, but not for its arithmetic.
    space = SearchSpace(
        "explained-more", [*CONDITIONAL.decisions, Decision("shape", ("flat", "deep"))]
    )
    every = space.at(np.arange(space.size))
    values = np.random.default_rng(1).normal(size=space.size)
    found = importance(known_of(space, values, every))
    wanted = brute_shares(space.n_options, lambda one: values[space.index(space.nearest(one))])
    assert found.method == "exact"
    assert_shares(space, found, wanted)


def test_each_tree_is_decomposed_exactly():
    from sklearn.ensemble import RandomForestRegressor

    space = SearchSpace("explained-trees", [*PLAIN.decisions, Decision("only", "o")])
    every = space.at(np.arange(space.size))
    rng, columns = np.random.default_rng(2), _Columns(space)
    learnt = every[rng.integers(space.size, size=15)]
    forest = RandomForestRegressor(5, random_state=0).fit(columns.of(learnt), rng.normal(size=15))
    for tree, limit in itertools.product(forest.estimators_, (-math.inf, 0.3)):
        predicted = np.maximum(tree.predict(columns.of(every)), limit)
        mean, variance, means = _tree_marginals(tree.tree_, columns, limit)
        assert (mean, variance) == pytest.approx((predicted.mean(), predicted.var()))
        whole = _decomposed(space, *_marginals(space, predicted))
        for part, exact in zip(_decomposed(space, mean, variance, means), whole, strict=True):
            assert part == pytest.approx(exact)


def additive():
    """A space of 512 and values that its first decisions make, the first most; the last none."""
    space = SearchSpace("explained-additive", [Decision(f"d{i}", range(8)) for i in range(3)])
    every = space.at(np.arange(space.size))
    return space, every, 3.0 * every[:, 0] + every[:, 1]


def test_a_forest_finds_what_is_exact_and_permutation_the_same_order():
    space, every, values = additive()
    some = np.random.default_rng(3).permutation(len(every))[:300]
    known = known_of(space, values[some], every[some])
    found, permuted = importance(known), importance(known, "permutation")
    assert found.method == "forest"
    assert found.fit > 0.9
    # The exact shares are 0.9, 0.1 and 0; trees of 300 architectures smooth the second.
    assert found.decisions["importance"].tolist() == pytest.approx([0.9, 0.1, 0.0], abs=0.05)
    assert permuted.decisions["importance"].argsort().tolist() == [2, 1, 0]
    assert permuted.decisions["importance"][2] == pytest.approx(0, abs=0.02)
    assert permuted.pairs is None


def test_equal_values_have_no_importance():
    found = importance(known_of(PLAIN, np.full(PLAIN.size, 5.0)))
    assert found.decisions["importance"].isna().all()
    table = table_of(PLAIN, np.full(PLAIN.size, 5.0))
    assert sentences(explain_table(table))["importance"].startswith("All known values are equal")


def test_few_unknown_combinations_leave_the_shares_exact_over_the_others():
    space = SearchSpace("explained-gaps", [Decision(f"d{i}", range(6)) for i in range(3)])
    values = np.random.default_rng(4).normal(size=space.size)
    whole = importance(known_of(space, values))
    kept = np.delete(np.arange(space.size), [17, 99])
    nearly = importance(known_of(space, values[kept], space.at(kept)))
    assert nearly.method == "exact"
    for one, other in ((whole.decisions, nearly.decisions), (whole.pairs, nearly.pairs)):
        assert one["importance"].sum() == pytest.approx(other["importance"].sum(), abs=0.02)
    assert importance(known_of(space, values[:200], space.at(np.arange(200)))).method == "forest"


# Winners


def test_intervals_are_those_of_scipy_and_statsmodels():
    a, n, b, m = np.array([(7, 10, 30, 100), (0, 12, 5, 40), (12, 12, 1, 9)], float).T
    differences, shares = newcombe(a, n, b, m, 0.99), wilson(a, n, 0.95)
    for i in range(3):
        wanted = confint_proportions_2indep(a[i], n[i], b[i], m[i], method="newcomb", alpha=0.01)
        assert (differences[0][i], differences[1][i]) == pytest.approx(wanted)
        wanted = stats.wilson_interval(int(a[i]), int(n[i]))
        assert (shares[0][i], shares[1][i]) == pytest.approx(wanted)
    zero = np.zeros(1)
    assert newcombe(zero, zero, zero, zero + 5, 0.95) == (-1.0, 1.0)


def test_winners_share_the_option_that_makes_them_win():
    space, every, _ = additive()
    values = np.random.default_rng(5).uniform(size=len(every)) + 2.0 * (every[:, 1] == 4)
    found = winners(known_of(space, values), 0.1)
    assert (found.best, found.rest) == (52, 460)
    assert found.limit == np.sort(values)[-52]
    more = found.options[found.options["outcome"] == "more"]
    assert more[["decision", "option"]].values.tolist() == [["d1", 4]]
    line = more.iloc[0]
    assert line.best_share == 1.0
    assert line.rest_share == pytest.approx(12 / 460)


def test_winners_of_a_conditional_space_are_counted_where_the_decision_exists():
    every = np.repeat(CONDITIONAL.at(np.arange(CONDITIONAL.size)), 2, axis=0)
    values = np.arange(26.0)
    found = winners(known_of(CONDITIONAL, values, every), 0.4)
    best = every[values >= 26 - found.best]
    of_width = best[CONDITIONAL.active(best)[:, 2]]
    lines = found.options[found.options["decision"] == "width 3"]
    assert lines["best_share"].tolist() == [(of_width[:, 2] == j).mean() for j in range(3)]


def test_ties_with_the_worst_of_the_best_are_among_the_best():
    found = winners(known_of(PLAIN, np.repeat([2.0, 1.0], 12)), 0.05)
    assert (found.best, found.rest) == (12, 12)
    with pytest.raises(QueryError, match="between 0 and 1"):
        winners(known_of(PLAIN, np.arange(24.0)), 5)


# Paths


def brute_path(space, scores, start, goals):
    """Loss and negative sum of values of the best of all shortest paths, by trying all of them."""
    front, found = [(start,)], []
    while front and not found:
        found = [way for way in front if way[-1] in goals]
        front = [
            (*way, near)
            for way in front
            for near in space.neighbours(way[-1])
            if near not in way and np.isfinite(scores[space.index(near)])
        ]

    def cost(way):
        values = [scores[space.index(one)] for one in way]
        return sum(max(a - b, 0) for a, b in itertools.pairwise(values)), -sum(values)

    return min(map(cost, found), default=None), len(found[0]) - 1 if found else None


@pytest.mark.parametrize("space", [PLAIN, CONDITIONAL], ids=["plain", "conditional"])
@pytest.mark.parametrize("maximize", [True, False])
def test_the_path_is_the_best_of_all_shortest(space, maximize):
    rng = np.random.default_rng(6)
    for _ in range(4):
        values = rng.integers(0, 12, size=space.size).astype(float)
        values[rng.integers(space.size)] = NAN
        landscape = survey(table_of(space, values, maximize=maximize))
        scores = values if maximize else -values
        start = next(i for i in rng.permutation(space.size).tolist() if np.isfinite(values[i]))
        goal = np.flatnonzero(scores == np.nanmax(scores))
        goals = {space.at(int(i)) for i in goal}
        path = shortest_path(landscape, "test_accuracy", space.at(start), goal)
        wanted, length = brute_path(space, scores, space.at(start), goals)
        way = space.from_string(path.steps["architecture"].tolist())
        gone = scores[space.index(way)]
        assert path.changes == length
        assert (path.loses, -gone.sum()) == pytest.approx(wanted)
        assert path.steps["gain"][1:].tolist() == np.diff(gone).tolist()
        for one, other in itertools.pairwise(map(tuple, way.tolist())):
            assert other in space.neighbours(one)


def test_a_path_goes_around_what_is_unknown_or_there_is_none():
    space = PLAIN
    values = np.full(space.size, NAN)
    ends = [(0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1)]
    for place, one in enumerate(ends):
        values[space.index(one)] = place
    landscape = survey(table_of(space, values))
    path = shortest_path(landscape, "test_accuracy", (0, 0, 0), np.array([space.index((1, 1, 1))]))
    assert (path.changes, path.loses) == (3, 0)
    # Both ways of two changes are unknown, and one of four is known.
    values[space.index((1, 1, 0))] = 1.0
    values[space.index((1, 0, 1))] = values[space.index((0, 1, 1))]
    detour = survey(table_of(space, values))
    path = shortest_path(detour, "test_accuracy", (0, 0, 0), np.array([space.index((1, 1, 0))]))
    assert path.changes == 4
    values[space.index((1, 0, 1))] = values[space.index((0, 1, 1))] = NAN
    landscape = survey(table_of(space, values))
    goal = np.array([space.index((1, 1, 1))])
    assert shortest_path(landscape, "test_accuracy", (0, 0, 0), goal) is None


def test_a_large_space_is_crossed_without_being_listed():
    space = SearchSpace("explained-large", [Decision(f"d{i}", range(9)) for i in range(6)])
    SPACES[space.name] = lambda: space
    get_space(space.name)
    del SPACES[space.name]
    values = space.at(np.arange(space.size)).sum(axis=1).astype(float)
    landscape = survey(table_of(space, values))
    goal = np.array([space.size - 1])
    path = shortest_path(landscape, "test_accuracy", (0,) * 6, goal)
    assert (path.changes, path.loses) == (6, 0)
    assert path.steps["gain"][1:].tolist() == [8] * 6


def test_changes_in_words():
    assert changes(PLAIN, (0, 0, 0), (1, 0, 2)) == "a: x → y; c: 0 → 2"
    assert changes(CONDITIONAL, (0, 0, 0), (1, 2, 0)) == "layers: 1 → 2; width 2: – → 32"


# The whole


def test_reported_values_decide_nothing():
    rng = np.random.default_rng(7)
    values, test = rng.normal(size=24), rng.normal(size=24)
    one = explain_table(table_of(PLAIN, values, test), seed=1)
    other = explain_table(table_of(PLAIN, values, -test), seed=1)
    for name, frame in one.frames().items():
        left = frame.drop(columns="reported", errors="ignore")
        assert left.equals(other.frames()[name].drop(columns="reported", errors="ignore"))
    assert one.path.steps["reported"].tolist() == (-other.path.steps["reported"]).tolist()
    assert one.known.objective.name == "valid_accuracy"


def test_the_start_is_random_by_the_seed_or_named():
    table = table_of(PLAIN, np.random.default_rng(8).normal(size=24))
    starts = {explain_table(table, seed=s).path.steps["architecture"][0] for s in range(12)}
    assert len(starts) > 3
    named = explain_table(table, start="z:v:3")
    assert named.path.steps["architecture"][0] == "z:v:3"
    best = PLAIN.to_string(tuple(PLAIN.at(int(np.argmax(table.values("valid_accuracy"))))))
    assert named.path.steps["architecture"].iloc[-1] == best
    values = np.arange(24.0)
    values[3] = NAN
    with pytest.raises(QueryError, match=r"has none for 'x:u:3'"):
        explain_table(table_of(PLAIN, values), start="x:u:3")


def test_values_far_from_all_others_are_named():
    values = np.random.default_rng(10).normal(size=24)
    told = sentences(explain_table(table_of(PLAIN, values)))["importance"]
    assert "far from all others" not in told
    values[7] = -1e6
    told = sentences(explain_table(table_of(PLAIN, values)))["importance"]
    # Of n values, one that is far away has 1 - 1 / n of the variance, and the others' mean the rest.
    assert "1 architecture far from all others makes up 96% of the variance" in told


def test_plain_numbers_have_no_unit():
    assert number(0.25, Objective("loss", "1")) == "0.25"
    assert number(-0.25, Objective("accuracy", "%"), signed=True) == "−0.25 points"


def test_too_little_is_refused():
    values = np.where(np.arange(24) < 15, np.arange(24.0), NAN)
    with pytest.raises(QueryError, match=r"at least 20 different architectures.* but there are 15"):
        explain_table(table_of(PLAIN, values))


# Runs


@pytest.fixture(scope="module")
def made():
    return TableBenchmark(table_of(PLAIN, np.random.default_rng(9).normal(size=24)))


@pytest.mark.parametrize("workers", [1, 3])
def test_incumbents_come_from_the_nearest_that_was_known(made, workers):
    trace = lab.run("random_search", made, budget=20, seed=2, workers=workers)
    chain = incumbent_chain(trace, made)
    seen, best = [], -math.inf
    for i, value in enumerate(trace.values[:, 0]):
        if value > best:
            best = value
            seen.append(i)
    assert (chain["evaluation"] - 1).tolist() == seen
    assert chain["value"].tolist() == trace.values[seen, 0].tolist()
    assert chain["gain"][1:].tolist() == np.diff(trace.values[seen, 0]).tolist()
    for i, line in zip(seen, chain.itertuples(), strict=True):
        earlier = [j for j in range(i) if trace.end[j] <= trace.start[i]]
        if not earlier:
            assert line.origin == "first"
            assert math.isnan(line.from_evaluation)
            continue
        apart = {j: (trace.architecture[j] != trace.architecture[i]).sum() for j in earlier}
        nearest = [j for j in earlier if apart[j] == min(apart.values())]
        source = max(nearest, key=lambda j: (trace.values[j, 0], j))
        assert (line.changes, line.from_evaluation) == (apart[source], source + 1)
        assert line.from_architecture == PLAIN.to_string(tuple(trace.architecture[source].tolist()))


def test_chance_is_that_of_random_architectures(made):
    trace = lab.run("random_search", made, budget=20, seed=2)
    wanted = []
    for at in (incumbent_chain(trace, made)["evaluation"][1:] - 1).tolist():
        near = set()
        for one in map(tuple, trace.architecture[:at].tolist()):
            near |= {one, *PLAIN.neighbours(one)}
        wanted.append(len(near) / PLAIN.size)
    # Of 200 draws; 0.036 is the largest standard deviation of a share.
    assert near_by_chance(trace) == pytest.approx(np.mean(wanted), abs=0.1)


def test_known_values_are_means_of_full_evaluations(made):
    traces = [lab.run("random_search", made, budget=99, seed=seed) for seed in (0, 1)]
    short = replace(traces[1], epoch=np.full(99, -2), cut_off=None)
    known = known_of_runs(made, [traces[0], short])
    assert "99 evaluations after fewer left out" in known.how
    assert len(known.values) == len(np.unique(traces[0].architecture, axis=0))
    for one, value in zip(known.architectures.tolist(), known.values.tolist(), strict=True):
        same = (traces[0].architecture == one).all(axis=1)
        assert value == pytest.approx(traces[0].values[same, 0].mean())


def test_decisions_that_only_one_architecture_has_differ():
    several = np.array([(0, 0, 0), (1, 0, 0), (2, 0, 0), (2, 0, 1)])
    assert different_decisions(CONDITIONAL, several, (1, 0, 0)).tolist() == [2, 0, 2, 2]

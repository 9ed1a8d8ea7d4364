"""Searches that use zero-cost proxies: ranking a pool, warmup, move proposal, preselection."""

import itertools

import numpy as np
import pytest
from scored_tables import SECONDS, SPACE, scored_table

import nasbench_lab as lab
from algorithms._proxies import Pool, Ranking, best_first, votes
from nasbench_lab import stats
from nasbench_lab.algorithm import Proxies
from nasbench_lab.errors import HyperparameterError, UnknownNameError, UnsuitedError
from nasbench_lab.experiment.given import BenchmarkProxies
from nasbench_lab.registry import make_algorithm
from nasbench_lab.running.comparison import compare
from nasbench_lab.running.search import run
from nasbench_lab.testing import check_algorithm


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    return lab.TableBenchmark(scored_table(tmp_path_factory.mktemp("tables")))


def scores_of(benchmark, trace, proxy="synflow"):
    return benchmark.table.values(f"proxy_{proxy}")[trace.row]


def asked(trace):
    return trace.row[~trace.derived]


def test_a_vote_is_decided_by_majorities_between_two():
    rng = np.random.default_rng(0)
    scores = rng.integers(5, size=(3, 300)).astype(float)
    values = votes(scores)
    for i in range(0, 300, 7):
        ahead = np.sign(scores[:, i, None] - scores).sum(axis=0)
        assert np.floor(values[i]) == np.sum(ahead > 0) - np.sum(ahead < 0)
    # A condorcet winner is first, whatever the third proxy says.
    assert best_first(np.array([[1.0, 3, 2], [1, 3, 2], [9, 0, 5]])).tolist() == [1, 2, 0]
    assert best_first(np.array([[2.0, -np.inf, 2, 7]])).tolist() == [3, 0, 2, 1]


def test_the_best_of_the_pool_are_evaluated_in_the_order_of_their_scores(scored):
    trace = run("zero_cost_search", scored, 30, seed=1, pool_size=300)
    drawn = len(set(trace.row[trace.derived].tolist()))
    assert trace.derived[:3].any()
    scores = scores_of(scored, trace)[~trace.derived]
    assert (np.diff(scores) <= 0).all()
    assert drawn <= 4
    # The work takes the seconds of all that were scored, and recommends the best so far.
    costs = trace.cost[trace.derived]
    assert costs.max() <= 100 * SECONDS
    assert costs.sum() <= 300 * SECONDS
    recommended = scores_of(scored, trace)[trace.derived]
    assert (np.diff(recommended) >= 0).all()
    assert recommended[-1] == scores[0]


def test_a_pool_as_large_as_the_space_has_all_of_it_and_then_the_search_ends(scored):
    trace = run("zero_cost_search", scored, 1000, seed=1, pool_size=700)
    assert sorted(asked(trace).tolist()) == [-1, *range(624)]
    assert asked(trace)[0] == np.argmax(scored.table.values("proxy_synflow"))
    # What the table lacks has no score, and comes last.
    assert asked(trace)[-1] == -1
    several = run("zero_cost_search", scored, 1000, seed=1, pool_size=100)
    assert len(set(asked(several).tolist())) == len(asked(several)) > 500


def test_several_proxies_vote(scored):
    names = ("synflow", "jacov", "snip")
    trace = run("zero_cost_search", scored, 5, seed=1, proxy=names, pool_size=625)
    scores = np.stack([scored.table.values(f"proxy_{name}") for name in names])
    wins = [np.sum(np.sign(np.sign(scores[:, i, None] - scores).sum(axis=0))) for i in asked(trace)]
    assert (np.diff(wins) <= 0).all()
    assert trace.cost[trace.derived].sum() == pytest.approx(3 * 624 * SECONDS)


@pytest.mark.parametrize(
    ("proxy", "error"),
    [("synflo", UnknownNameError), ((), HyperparameterError), (3, HyperparameterError),
     (("synflow", "synflow"), HyperparameterError), (("synflow", 3), HyperparameterError)],
)  # fmt: skip
def test_impossible_proxies_are_refused(scored, proxy, error):
    with pytest.raises(error):
        run("zero_cost_search", scored, 5, proxy=proxy)


def test_a_benchmark_without_proxies_is_refused_where_they_are_needed():
    for name, more in (
        ("zero_cost_search", {}),
        ("regularized_evolution", {"warmup": 10}),
        ("regularized_evolution", {"move": 0.5}),
        ("gp_bo", {"warmup": 10}),
        ("gp_bo", {"preselection": 10}),
    ):
        with pytest.raises(UnsuitedError, match="no scores by zero-cost proxies"):
            make_algorithm(name, SPACE, **more)
    make_algorithm("gp_bo", SPACE)  # they are not asked for by default


@pytest.mark.parametrize("name", ["regularized_evolution", "gp_bo"])
def test_the_warmup_gives_the_first_architectures(scored, name):
    trace = run(name, scored, 12, seed=2, warmup=250)
    assert trace.derived.sum() == 3
    best = scores_of(scored, trace)[~trace.derived][:10]
    assert (np.diff(best) <= 0).all()
    assert best[-1] > np.quantile(scored.table.values("proxy_synflow"), 0.9)
    assert trace.cost[trace.derived].sum() <= 250 * SECONDS


def test_a_move_is_the_neighbour_with_the_best_score(scored):
    trace = run("regularized_evolution", scored, 40, seed=2, move=1.0)
    proxies = BenchmarkProxies(scored)
    known = [tuple(a) for a in trace.architecture[~trace.derived].tolist()]
    for i in range(10, 40):
        best = set()
        for parent in known[:i]:
            neighbours = np.array(SPACE.neighbours(parent))
            scores, _ = proxies.score(["synflow"], neighbours)
            best.add(tuple(neighbours[scores[0].argmax()].tolist()))
        assert known[i] in best
    # What was scored once is not paid again.
    assert trace.cost[trace.derived].sum() <= 624 * SECONDS
    assert trace.derived.sum() < 30


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("regularized_evolution", {"move": 0.75, "warmup": 50}),
        ("gp_bo", {"preselection": 20, "n_candidates": 60, "warmup": 50}),
        ("zero_cost_search", {"pool_size": 120}),
    ],
)
def test_scoring_takes_workers_and_repeats_to_the_bit(scored, name, more):
    trace = run(name, scored, "3000s", seed=3, workers=3, **more)
    assert trace.equals(run(name, scored, "3000s", seed=3, workers=3, **more))
    assert trace.derived.any()
    assert trace.charged.sum() > 20
    assert not np.isnan(trace.values[trace.charged, 0]).all()


def test_only_preselected_candidates_are_asked(scored):
    free = run("gp_bo", scored, 40, seed=4)
    chosen = run("gp_bo", scored, 40, seed=4, preselection=10, n_candidates=400)
    assert scores_of(scored, chosen)[~chosen.derived][10:].min() > np.median(
        scored.table.values("proxy_synflow")
    )
    assert not np.array_equal(asked(free), asked(chosen))


def test_a_good_proxy_finds_good_architectures_sooner(scored):
    result = compare(
        {
            "random_search": "random_search",
            "zero": "zero_cost_search(pool_size=400)",
            "evolution": "regularized_evolution",
            "moves": "regularized_evolution(warmup=100, move=0.75)",
        },
        scored,
        budget="2000s",
        seeds=10,
        n_jobs=1,
    )
    summary = result.summary().set_index("algorithm")["test_regret"]
    assert summary["zero"] < summary["random_search"]
    assert summary["moves"] < summary["evolution"]
    frame = stats.curve_frame(result, "test_regret", "seconds", n=100)
    curves = {a: part["centre"].to_numpy() for a, part in frame.groupby("algorithm")}
    points = frame["point"][frame["algorithm"] == "zero"].to_numpy()
    # Before the first training has ended there is already a recommendation.
    early = points < 100
    assert not np.isfinite(curves["random_search"][early]).any()
    assert np.isfinite(curves["zero"][early & (points >= 100 * SECONDS)]).all()


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("zero_cost_search", {"pool_size": 40, "proxy": ("synflow", "snip", "jacov")}),
        ("regularized_evolution", {"warmup": 30, "move": 0.75}),
        pytest.param(
            *("gp_bo", {"warmup": 30, "preselection": 10, "n_candidates": 30}),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_they_keep_the_contract(monkeypatch, name, more):
    monkeypatch.setattr("nasbench_lab.testing.contract.differs_elsewhere", lambda *_: False)
    check_algorithm(name, **more)


class Given(Proxies):
    """Scores that are given, of architectures that are positions in them."""

    names = ("a", "b", "c")

    def __init__(self, scores):
        self.scores = scores

    def score(self, names, architectures):
        rows = [self.names.index(name) for name in names]
        return self.scores[rows][:, architectures[:, 0]], lab.Work(seconds=1.0)


@pytest.mark.parametrize("proxy", ["b", ("a", "b"), ("c", "a", "b")])
def test_a_pool_that_is_scored_in_parts_is_ranked_as_all_at_once(proxy):
    scores = np.random.default_rng(1).integers(9, size=(3, 450)).astype(float)
    ranking = Ranking(Given(scores), proxy)
    pool = Pool(ranking, np.arange(450)[:, None])
    parts = 0
    while not pool.finished:
        work = pool.score_some()
        parts += 1
        so_far = ranking.ranked(np.arange(len(pool.ranked))[:, None])[0]
        np.testing.assert_array_equal(pool.ranked, so_far)
        assert work.architecture == tuple(so_far[0].tolist())
    assert parts == 5
    values = votes(scores[[Given.names.index(name) for name in ranking.names]])
    assert all(values[a] >= values[b] for a, b in itertools.pairwise(pool.ranked[:, 0].tolist()))

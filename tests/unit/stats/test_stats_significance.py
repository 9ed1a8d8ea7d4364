"""Tests of significance against SciPy, scikit-posthocs, statsmodels and Demšar's worked example."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
import scipy.stats
from statsmodels.stats.multitest import multipletests

from nasbench_lab import stats
from nasbench_lab.errors import QueryError

NAN, INF = math.nan, math.inf

# Areas under the ROC curve of four variants of C4.5 on 14 data sets: Demšar (2006), table 6. His
# average ranks follow only if the last two of "voting", which both print as 0.975, rank in this
# order, so one of them is a little larger here.
DEMSAR = pd.DataFrame(
    {
        "adult (sample)": (0.763, 0.768, 0.771, 0.798),
        "breast cancer": (0.599, 0.591, 0.590, 0.569),
        "breast cancer wisconsin": (0.954, 0.971, 0.968, 0.967),
        "cmc": (0.628, 0.661, 0.654, 0.657),
        "ionosphere": (0.882, 0.888, 0.886, 0.898),
        "iris": (0.936, 0.931, 0.916, 0.931),
        "liver disorders": (0.661, 0.668, 0.609, 0.685),
        "lung cancer": (0.583, 0.583, 0.563, 0.625),
        "lymphography": (0.775, 0.838, 0.866, 0.875),
        "mushroom": (1.000, 1.000, 1.000, 1.000),
        "primary tumor": (0.940, 0.962, 0.965, 0.962),
        "rheum": (0.619, 0.666, 0.614, 0.669),
        "voting": (0.972, 0.981, 0.9751, 0.975),
        "wine": (0.957, 0.978, 0.946, 0.970),
    },
    index=["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"],
).T


# Friedman and Nemenyi


def test_demsars_average_ranks_and_statistics():
    found = stats.friedman(DEMSAR, maximize=True)
    assert found.ranks.round(3).tolist() == [3.143, 2.000, 2.893, 1.964]
    assert list(found.ranks.index) == list(DEMSAR.columns)
    assert (found.n, found.alpha) == (14, 0.05)
    assert found.tables == list(DEMSAR.index)
    # His chi-squared is not corrected for ties, ours, as SciPy's, is.
    n, k = DEMSAR.shape
    uncorrected = 12 * n / (k * (k + 1)) * ((found.ranks**2).sum() - k * (k + 1) ** 2 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.01)
    assert (n - 1) * uncorrected / (n * (k - 1) - uncorrected) == pytest.approx(3.69, abs=0.01)
    assert found.statistic == scipy.stats.friedmanchisquare(*DEMSAR.to_numpy().T).statistic
    # F(3, 39) has the critical value 2.85 in the paper; with or without correction it is exceeded.
    assert scipy.stats.f.ppf(0.95, 3, 39) == pytest.approx(2.85, abs=0.01)
    assert found.f > 2.85
    assert found.f_p < 0.05


def test_demsars_critical_differences():
    # q is 2.569 at 0.05 and 2.291 at 0.10 for four algorithms (his table 5).
    for alpha, difference, q in ((0.05, 1.25, 2.569), (0.10, 1.12, 2.291)):
        assert stats.critical_difference(4, 14, alpha) == pytest.approx(difference, abs=0.005)
        # He prints three digits, after a table of the studentized range with three digits.
        assert stats.critical_difference(4, 14, alpha) / math.sqrt(4 * 5 / (6 * 14)) == (
            pytest.approx(q, abs=0.0011)
        )
    for k, q in ((2, 1.960), (3, 2.343), (5, 2.728), (7, 2.949), (10, 3.164)):
        per_root = stats.critical_difference(k, 6) / math.sqrt(k * (k + 1) / 36)
        assert per_root == pytest.approx(q, abs=0.0011)


def test_demsar_tells_no_two_of_his_four_apart_at_five_per_cent_but_two_pairs_at_ten():
    found = stats.friedman(DEMSAR, maximize=True)
    assert stats.cliques(found.ranks, found.critical_difference) == [
        ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    ]
    # At 0.10, plain C4.5 is worse than both variants with +m, and C4.5+cf is of either group.
    at_ten = stats.critical_difference(4, 14, 0.10)
    assert stats.cliques(found.ranks, at_ten) == [
        ["C4.5+m+cf", "C4.5+m", "C4.5+cf"],
        ["C4.5+cf", "C4.5"],
    ]


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_friedman_agrees_with_scipy_and_scikit_posthocs(maximize, tied):
    rng = np.random.default_rng(4)
    for k, n in ((3, 2), (4, 10), (9, 30)):
        values = rng.normal(size=(n, k)) + 0.3 * np.arange(k)
        values = values.round(0) if tied else values
        scores = pd.DataFrame(values, columns=[f"<{i}>" for i in range(k)])
        found = stats.friedman(scores, maximize)
        theirs = scipy.stats.friedmanchisquare(*values.T)
        np.testing.assert_allclose([found.statistic, found.p], theirs, rtol=1e-9)
        nemenyi = scikit_posthocs.posthoc_nemenyi_friedman(values)
        np.testing.assert_allclose(found.pairwise, nemenyi, rtol=1e-9, atol=1e-12)
        assert list(found.pairwise.columns) == list(scores.columns)
        # Iman and Davenport's F is that of an analysis of variance of the ranks.
        ranks = scipy.stats.rankdata(-values if maximize else values, axis=1)
        if not tied:
            total = ((ranks - (k + 1) / 2) ** 2).sum()
            between = n * ((ranks.mean(axis=0) - (k + 1) / 2) ** 2).sum()
            rest = total - between
            f = (between / (k - 1)) / (rest / ((k - 1) * (n - 1))) if rest > 1e-9 else math.inf
            assert found.f == pytest.approx(f, rel=1e-9)
            assert found.f_p == pytest.approx(scipy.stats.f.sf(f, k - 1, (k - 1) * (n - 1)))


def test_a_pair_beyond_the_critical_difference_has_a_small_p_and_the_others_not():
    rng = np.random.default_rng(4)
    scores = pd.DataFrame(rng.normal(size=(12, 6)) + np.arange(6), columns=list("abcdef"))
    found = stats.friedman(scores)
    apart = found.ranks.to_numpy()[:, None] - found.ranks.to_numpy()
    beyond = np.abs(apart) >= found.critical_difference
    assert np.array_equal(beyond, found.pairwise.to_numpy() < 0.05)
    assert beyond.any()
    assert not beyond.all()


def test_friedman_where_all_tie_and_where_all_agree():
    tied = stats.friedman(pd.DataFrame(np.ones((5, 3)), columns=list("abc")))
    assert (tied.statistic, tied.p, tied.f, tied.f_p) == (0, 1, 0, 1)
    assert tied.ranks.tolist() == [2, 2, 2]
    assert (tied.pairwise.to_numpy() == 1).all()
    agreed = stats.friedman(pd.DataFrame(np.tile([3.0, 1.0, 2.0], (5, 1)), columns=list("abc")))
    assert agreed.ranks.tolist() == [3, 1, 2]
    assert (agreed.statistic, agreed.f, agreed.f_p) == (10, math.inf, 0)


def test_friedmans_ties_are_not_broken_by_rounding():
    scores = pd.DataFrame([[0.3, 0.1 + 0.2, 0.5], [0.7, 0.6 + 0.1, 0.1]], columns=list("abc"))
    assert scores.iloc[0, 0] != scores.iloc[0, 1]
    assert stats.friedman(scores).ranks.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("maximize", [False, True])
def test_friedman_of_infinite_values_ranks_them_as_the_largest(maximize):
    scores = pd.DataFrame(np.random.default_rng(1).normal(size=(6, 4)), columns=list("abcd"))
    scores["b"] = INF
    scores.loc[2, "c"] = -INF
    scores.loc[4, "d"] = INF  # ties with b
    found = stats.friedman(scores, maximize)
    finite = stats.friedman(scores.replace({INF: 1e9, -INF: -1e9}), maximize)
    assert found.ranks.to_dict() == finite.ranks.to_dict()
    assert found.ranks["b"] == (13 / 12 if maximize else 47 / 12)
    assert (found.statistic, found.p) == (finite.statistic, finite.p)


def test_friedman_refuses_text():
    with pytest.raises(QueryError, match=r"Expected numbers.*could not convert"):
        stats.friedman(pd.DataFrame([["a", 1.0, 2.0], ["b", 1.0, 2.0]]))


@pytest.mark.parametrize("arguments", [(1, 5), (3, 0), (3, 5, 1.0), (3, 5, 0.0)])
def test_there_is_no_critical_difference_of_one_algorithm_or_of_no_table(arguments):
    with pytest.raises(QueryError, match="at least 2 algorithms"):
        stats.critical_difference(*arguments)


@pytest.mark.parametrize(
    ("shape", "message"), [((1, 3), "3 and 1"), ((5, 2), "2 and 5"), ((0, 0), "0 and 0")]
)
def test_friedman_needs_three_algorithms_and_two_tables(shape, message):
    with pytest.raises(QueryError, match=f"at least 3 algorithms and 2 tables.*{message}"):
        stats.friedman(pd.DataFrame(np.ones(shape)))


def test_friedman_needs_every_value():
    scores = pd.DataFrame([[1.0, 2.0, NAN], [1.0, 2.0, 3.0]])
    with pytest.raises(QueryError, match="1 are missing"):
        stats.friedman(scores)


def test_cliques_by_brute_force():
    rng = np.random.default_rng(2)
    for _ in range(100):
        k = int(rng.integers(1, 7))
        ranks = pd.Series(rng.integers(2, 2 * k + 2, k) / 2, index=[f"a{i}" for i in range(k)])
        placed = ranks.to_dict()
        difference = rng.choice([0.5, 0.75, 1.0, 2.2, 10.0])
        groups = [
            set(some)
            for size in range(2, k + 1)
            for some in itertools.combinations(ranks.index, size)
            if max(placed[a] for a in some) - min(placed[a] for a in some) < difference
        ]
        largest = [g for g in groups if not any(g < other for other in groups)]
        found = stats.cliques(ranks, difference)
        assert sorted(map(sorted, found)) == sorted(map(sorted, largest))
        assert all(ranks[group].is_monotonic_increasing for group in found)


# Wilcoxon and Holm


def test_demsars_wilcoxon_example():
    a, b = DEMSAR["C4.5"], DEMSAR["C4.5+m"]
    # He shares the ranks of the two ties: R+ 93, R- 12. The critical value for 14 is 21.
    assert scipy.stats.wilcoxon(a.round(3) - b.round(3), zero_method="zsplit").pvalue < 0.05
    frame = stats.wilcoxon_holm(DEMSAR[["C4.5", "C4.5+m"]])
    assert frame["n"].tolist() == [14]
    assert frame["p"][0] < 0.05
    # Without the two ties, whose ranks Pratt does not count, 12 - 1.5 is left of R-.
    differences = (b - a).round(3).to_numpy()
    ranks = scipy.stats.rankdata(np.abs(differences))
    assert ranks[differences < 0].sum() == 10.5
    assert ranks[differences > 0].sum() == 91.5


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9, 13, 14, 30, 50, 51, 100])
@pytest.mark.parametrize("kind", ["continuous", "tied", "zeros"])
def test_wilcoxon_agrees_with_scipy(n, kind):
    rng = np.random.default_rng(n)
    for _ in range(1 if n == 13 else 4):  # SciPy takes its time over all 8,192 ways
        a, b = rng.exponential(size=(2, n))
        if kind == "tied":
            a, b = a + 3, a + 3 - rng.choice([-2.0, -1.0, 1.0, 2.0, 2.0], n)
        if kind == "zeros":
            a, b = a * (a > 0.5), b * (b > 0.5)
        if np.array_equal(a, b):
            assert stats.wilcoxon_p(a, b) == 1
            continue
        differences = (a - b).round(12)
        # Where pairs tie, SciPy approximates from 14 pairs on.
        expected = scipy.stats.wilcoxon(differences, zero_method="pratt").pvalue
        if kind != "continuous" and n > 13 and np.count_nonzero(differences) <= 50:
            expected = exact_p(differences)
        assert stats.wilcoxon_p(a, b) == pytest.approx(expected, rel=1e-9)
        assert stats.wilcoxon_p(b, a) == pytest.approx(expected, rel=1e-9)


def exact_p(differences):
    """The share of all ways to sign the untied differences, by multiplying polynomials."""
    ranks = scipy.stats.rankdata(np.abs(differences))[differences != 0]
    positive = round(2 * ranks[differences[differences != 0] > 0].sum())
    ways = np.array([1], dtype=object)  # whole numbers of any size
    for rank in ranks:
        factor = np.zeros(round(2 * rank) + 1, dtype=object)
        factor[[0, -1]] += 1
        ways = np.convolve(ways, factor)
    some = min(sum(ways[: positive + 1]), sum(ways[positive:]))
    return min(1.0, 2 * some / 2 ** len(ranks))


@pytest.mark.parametrize(("n", "untied"), [(100, 4), (14, 5), (13, 5), (1000, 1), (60, 7)])
def test_the_number_of_untied_pairs_decides_what_is_exact(n, untied):
    a = np.zeros(n)
    b = np.append(np.zeros(n - untied), np.arange(1.0, untied + 1))
    assert stats.wilcoxon_p(a, b) == 2 * 0.5**untied
    assert stats.signed_rank(a, b).effect == -1
    assert stats.signed_rank(b, a).effect == 1


@pytest.mark.parametrize("unit", [1e-300, 1e-12, 1e-9, 0.01, 60.0, 1e9, 1e300])
def test_tests_are_the_same_in_any_unit(unit):
    rng = np.random.default_rng(0)
    a, b = rng.exponential(size=(2, 20)).round(1)
    for some in ((a, b), (a[:8], b[:8])):
        assert stats.signed_rank(*(unit * side for side in some)) == stats.signed_rank(*some)
    scores = pd.DataFrame({"a": a, "b": b, "c": a[::-1]})
    assert stats.friedman(unit * scores).p == stats.friedman(scores).p


def test_the_effect_is_kerbys_difference_of_shares():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 25))
    ranks = scipy.stats.rankdata(np.abs(a - b))
    share = ranks[a > b].sum() / ranks.sum()
    assert stats.signed_rank(a, b).effect == pytest.approx(share - (1 - share))
    assert stats.signed_rank([1.0], [1.0]).effect == 0


def test_values_at_the_end_of_all_numbers():
    large = np.array([1.7e308, -1.7e308, 1e308, 5.0, -1e308, 3.0, 2.0])
    expected = stats.signed_rank(large / 1e10, -large / 1e10)
    assert stats.signed_rank(large, -large).p == expected.p
    assert stats.summarise(np.array([1.7e308, 1.7e308]))[0] == 1.7e308
    assert stats.quantiles([-1.7e308, 1.7e308], [0.5]) == 0
    assert stats.ranks(large).tolist() == stats.ranks(large / 1e10).tolist()


def test_no_mark_is_false_more_often_than_one_time_in_twenty():
    # Algorithms that do not differ: how often is any of them marked as worse than the best?
    rng, marks, n = np.random.default_rng(0), {"pairs": 0, "best": 0}, 120
    for _ in range(n):
        samples = pd.DataFrame(rng.exponential(size=(12, 8)))
        frame, best = stats.wilcoxon_holm(samples), samples.mean().idxmin()
        with_best = frame[(frame["a"] == best) | (frame["b"] == best)]
        marks["pairs"] += (with_best["p_holm"] < 0.05).any()
        marks["best"] += (stats.holm(with_best["p"]) < 0.05).any()
    # 3 binomial standard errors above 0.05.
    assert marks["pairs"] / n < 0.05 + 3 * (0.05 * 0.95 / n) ** 0.5
    # Holm's correction over the tests against the best alone would not hold the level.
    assert marks["best"] > marks["pairs"]


def test_wilcoxon_by_brute_force():
    a = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0])
    b = np.array([2.0, 1.0, 1.0, 3.0, 1.0, 4.0, 2.5])
    ranks = scipy.stats.rankdata(np.abs(a - b)) * (a != b)
    sums = [
        sum(r for r, positive in zip(ranks, signs, strict=True) if positive)
        for signs in itertools.product([True, False], repeat=7)
    ]
    observed = ranks[a > b].sum()
    above, below = np.mean(np.array(sums) >= observed), np.mean(np.array(sums) <= observed)
    assert stats.wilcoxon_p(a, b) == pytest.approx(2 * min(above, below), rel=1e-12)


def test_fewer_than_six_pairs_are_never_significant():
    for n in range(1, 9):
        p = stats.wilcoxon_p(np.arange(1.0, n + 1), np.zeros(n))
        assert p == pytest.approx(min(1.0, 2.0 ** (1 - n)))
        assert (p < 0.05) == (n >= 6)


def test_pairs_that_differ_by_rounding_only_tie():
    a = np.array([0.1 + 0.2, 1.0, 1.4210854715202004e-14, 5.0])
    assert stats.wilcoxon_p(a, np.array([0.3, 1.0, 0.0, 5.0])) == 1
    # Differences of one size keep one rank: 0.1 three times, whose last digits differ.
    a, b = np.array([0.3, 1.1, 90.2, 0.0, 0.0]), np.array([0.2, 1.0, 90.1, 0.3, 0.4])
    assert len(set(np.abs(a - b)[:3])) > 1
    expected = scipy.stats.wilcoxon([1, 1, 1, -3, -4]).pvalue
    assert stats.wilcoxon_p(a, b) == pytest.approx(expected, rel=1e-12)


def test_wilcoxon_of_infinite_values():
    assert stats.wilcoxon_p(np.arange(1, 9), [INF] * 8) == 2 / 256
    assert stats.wilcoxon_p([INF, -INF], [INF, -INF]) == 1


@pytest.mark.parametrize("n", [5, 8, 13, 15, 40, 60])
def test_infinite_values_count_as_very_large_ones(n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(2, n))
    a[: n // 3], b[n // 4 : n // 2] = INF, INF  # both in some pairs, which then tie
    b[-1] = -INF
    large = [np.clip(side, -1e20, 1e20) for side in (a, b)]
    expected = scipy.stats.wilcoxon(*large, zero_method="pratt").pvalue
    if 13 < n <= 50:  # where some tie, and SciPy approximates
        expected = exact_p(large[0] - large[1])
    assert stats.wilcoxon_p(a, b) == pytest.approx(expected, rel=1e-9)
    frame = stats.wilcoxon_holm(pd.DataFrame({"a": a, "b": b}))
    assert frame["p"][0] == pytest.approx(expected, rel=1e-9)
    assert math.isnan(frame["difference"][0])  # of infinities of both signs
    for paired in (True, False):
        found = stats.seeds_needed(a, b, paired=paired, max_seeds=20, n_simulations=50)
        expected = stats.seeds_needed(*large, paired=paired, max_seeds=20, n_simulations=50)
        assert found.power.equals(expected.power)


def test_wilcoxon_without_pairs_and_of_different_numbers():
    assert math.isnan(stats.wilcoxon_p([], []))
    assert math.isnan(stats.wilcoxon_p([NAN, 1.0], [1.0, NAN]))
    assert stats.wilcoxon_p([1.0, NAN, 2.0], [1.0, 4.0, 2.0]) == 1
    with pytest.raises(QueryError, match="there are 2 and 3"):
        stats.wilcoxon_p([1.0, 2.0], [1.0, 2.0, 3.0])


def test_wilcoxon_of_all_pairs():
    rng = np.random.default_rng(7)
    names = ["gp_bo(kernel='matern')", "<b>", "ü"]
    samples = pd.DataFrame(rng.normal([0.0, 1.0, 1.2], size=(20, 3)), columns=names)
    samples.iloc[3, 2] = NAN
    frame = stats.wilcoxon_holm(samples)
    pairs = list(itertools.combinations(names, 2))
    assert list(zip(frame["a"], frame["b"], strict=True)) == pairs
    assert frame["n"].tolist() == [20, 19, 19]
    for line, (a, b) in zip(frame.itertuples(), pairs, strict=True):
        both = samples[[a, b]].dropna()
        expected = scipy.stats.wilcoxon(both[a], both[b], zero_method="pratt").pvalue
        assert line.p == pytest.approx(expected, rel=1e-9)
        assert line.difference == pytest.approx((both[a] - both[b]).mean())
    expected = multipletests(frame["p"], method="holm")[1]
    np.testing.assert_allclose(frame["p_holm"], expected, rtol=1e-12)


@pytest.mark.parametrize("columns", [0, 1])
def test_without_a_pair_of_algorithms_there_is_no_line(columns):
    frame = stats.wilcoxon_holm(pd.DataFrame(np.ones((4, columns))))
    assert list(frame.columns) == ["a", "b", "n", "difference", "effect", "p", "p_holm"]
    assert not len(frame)


def test_holm_agrees_with_statsmodels():
    rng = np.random.default_rng(3)
    for n in (1, 2, 3, 10, 50):
        p = rng.random(n) ** 3
        p[rng.random(n) < 0.2] = 0.01  # some tie
        np.testing.assert_allclose(stats.holm(p), multipletests(p, method="holm")[1], rtol=1e-12)


def test_holm_leaves_out_what_was_not_tested():
    assert stats.holm([NAN, 0.01, 0.04]).tolist()[1:] == [0.02, 0.04]
    assert np.isnan(stats.holm([NAN, 0.01])[0])
    assert stats.holm([]).shape == (0,)


# Effect sizes


def test_a12_and_cliffs_delta_by_brute_force():
    rng = np.random.default_rng(6)
    for n, m in ((1, 1), (3, 8), (40, 25)):
        a, b = rng.integers(0, 6, n), rng.integers(0, 6, m)
        won = np.mean([(x > y) + 0.5 * (x == y) for x in a for y in b])
        delta = np.mean([float(x > y) - float(x < y) for x in a for y in b])
        assert stats.vargha_delaney(a, b) == pytest.approx(won, rel=1e-12)
        assert stats.cliffs_delta(a, b) == pytest.approx(delta, abs=1e-12)
        u = scipy.stats.mannwhitneyu(a, b).statistic if n > 1 else won * n * m
        assert stats.vargha_delaney(a, b) == pytest.approx(u / (n * m))


def test_effect_sizes_at_their_ends():
    assert stats.vargha_delaney([2.0, 3.0], [1.0, 0.0]) == 1
    assert stats.cliffs_delta([2.0, 3.0], [4.0, 5.0]) == -1
    assert stats.vargha_delaney([1.0, math.inf], [math.inf, 1.0]) == 0.5
    assert stats.vargha_delaney([1.0, NAN], [0.0]) == 1
    assert math.isnan(stats.vargha_delaney([], [1.0]))
    assert math.isnan(stats.cliffs_delta([1.0], [NAN]))


# How many seeds


def normal_theory(effect, power=0.8, alpha=0.05):
    """Pairs that a t test needs, over Wilcoxon's efficiency of 3/pi for normal values."""
    quantiles = scipy.stats.norm.ppf([1 - alpha / 2, power]).sum()
    return (quantiles / effect) ** 2 * math.pi / 3


@pytest.mark.parametrize("effect", [0.3, 0.6])
def test_seeds_needed_agrees_with_normal_theory(effect):
    # A pilot that is as normal as can be, so that its own chance does not matter.
    pilot = scipy.stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    expected = normal_theory(effect)
    found = stats.seeds_needed(pilot + effect, np.zeros(2000))
    # Of 500 simulations the power has a standard error of 0.018, so that 0.8 is between 0.746 and
    # 0.854 at three of them: by the formula, 0.88 to 1.15 times as many seeds.
    low, high = (normal_theory(effect, p) for p in (0.746, 0.854))
    assert low - 1 <= found.n <= high + 1
    assert found.power["seeds"].is_monotonic_increasing
    reached = found.power.set_index("seeds")["power"]
    assert reached[found.n] >= 0.8
    assert reached[found.n - 1] < 0.8
    assert low < expected < high
    # Unpaired, each side varies by itself: twice as many.
    unpaired = stats.seeds_needed(pilot + effect, pilot, paired=False)
    assert 2 * low - 1 <= unpaired.n <= 2 * high + 1


def test_the_power_of_a_number_of_seeds_by_brute_force():
    rng = np.random.default_rng(5)
    a, b = rng.exponential(size=30), 1.5 * rng.exponential(size=30)
    a[:6] = b[:6] = 0.0
    found = stats.seeds_needed(a, b, max_seeds=20, power=0.99)
    assert found.n is None
    power = found.power.set_index("seeds")["power"]
    assert list(power.index) == [3, 5, 7, 10, 14, 20]
    for n in (10, 20):
        draws = rng.integers(30, size=(400, n))
        p = [stats.wilcoxon_p(a[some], b[some]) for some in draws]
        # Five standard errors of the difference of two shares, of 400 and 500 simulations.
        assert abs(power[n] - np.mean(np.array(p) < 0.05)) < 5 * 0.5 * math.sqrt(1 / 400 + 1 / 500)
    assert power[5] == 0  # no p of 5 pairs is below 0.05


def test_equal_algorithms_are_never_told_apart():
    found = stats.seeds_needed(np.ones(10), np.ones(10), max_seeds=30)
    assert found.n is None
    assert (found.power["power"] == 0).all()
    assert stats.seeds_needed([1.0], [1.0], paired=False, max_seeds=5).n is None


def test_seeds_needed_is_deterministic():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 20)) + np.array([[0.0], [1.0]])
    first, again, other = (stats.seeds_needed(a, b, seed=seed) for seed in (1, 1, 2))
    assert first.n == again.n
    assert first.power.equals(again.power)
    assert not first.power.equals(other.power)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": [], "b": []}, "has no value"),
        ({"a": [1.0, 2.0], "b": [1.0]}, "2 and 1"),
        ({"a": [1.0], "b": [2.0], "power": 1.0}, "between 0 and 1"),
        ({"a": [1.0], "b": [2.0], "alpha": 0.0}, "between 0 and 1"),
        ({"a": [1.0], "b": [NAN], "paired": False}, "has no value"),
        ({"a": [1.0], "b": [2.0], "max_seeds": 0}, "at least 1 seed.*max_seeds=0"),
        ({"a": [1.0], "b": [2.0], "n_simulations": 0}, "1 simulation.*n_simulations=0"),
        ({"a": ["x"], "b": [2.0]}, "Expected numbers"),
    ],
)
def test_seeds_needed_refuses_what_makes_no_sense(arguments, message):
    with pytest.raises(QueryError, match=message):
        stats.seeds_needed(**arguments)

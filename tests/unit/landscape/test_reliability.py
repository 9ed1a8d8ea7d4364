"""Noise, fidelity and agreement, against textbooks and definitions written out by hand."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from nasbench_lab.landscape.reliability import (
    VarianceComponents,
    fidelity,
    half_way,
    noise,
    rank_agreement,
    rank_correlation,
    top_rows,
    variance_components,
)
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.table import Table

NAN = math.nan

# Shrout and Fleiss, "Intraclass correlations: uses in assessing rater reliability", 1979, table 2:
# six targets, four judges. Their table 4 gives ICC(1,1) = .17 and ICC(1,4) = .44.
RATINGS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)


# Rank correlation


def midranks(values):
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


@given(
    pairs=st.lists(
        st.tuples(*[st.sampled_from([NAN, 1.0, 2.0, 3.0, 4.0])] * 2), min_size=1, max_size=9
    )
)
def test_rank_correlation_by_definition(pairs):
    spearman, kendall = rank_correlation(*np.array(pairs).T)
    held = [(a, b) for a, b in pairs if not math.isnan(a + b)]
    if len(held) < 3 or any(len(set(side)) == 1 for side in zip(*held, strict=True)):
        assert math.isnan(spearman)
        assert math.isnan(kendall)
        return
    x, y = (np.array(midranks(side)) for side in zip(*held, strict=True))
    x, y = x - x.mean(), y - y.mean()
    assert spearman == pytest.approx((x @ y) / math.sqrt((x @ x) * (y @ y)))
    signs = [(np.sign(a - c), np.sign(b - d)) for (a, b), (c, d) in itertools.combinations(held, 2)]
    untied = [sum(s[i] != 0 for s in signs) for i in (0, 1)]
    assert kendall == pytest.approx(sum(s * t for s, t in signs) / math.sqrt(untied[0] * untied[1]))


def test_top_rows_are_the_best_that_have_a_value():
    fitness = np.array([3.0, -math.inf, 5.0, 5.0, 1.0])
    assert top_rows(fitness, 0.5).tolist() == [2, 3]
    assert top_rows(fitness, 0.01).tolist() == [2]
    assert top_rows(fitness, 1.0).tolist() == [2, 3, 0, 4]
    assert top_rows(np.array([-math.inf]), 0.1).tolist() == []


# Variance components


def test_a_balanced_table_by_hand():
    # Means 11, 21 and 31. Within: 3 times 2, by 3 degrees of freedom, is 2. Between: 2 times 200,
    # by 2, is 200, of which (200 - 2)/2 = 99 is the architectures'.
    found = variance_components(np.array([[10.0, 12.0], [20.0, 22.0], [30.0, 32.0]]))
    assert found == VarianceComponents(pytest.approx(99.0), pytest.approx(2.0), 3, 6)
    assert found.reliability() == pytest.approx(99 / 101)
    assert found.reliability(2) == pytest.approx(99 / 100)


def test_an_unbalanced_table_by_hand():
    # Groups (1, 3), (5), (8, 9, 10): n = 6, mean 6, means 2, 5, 9. Within: (2 + 0 + 2)/3. Between:
    # (2 16 + 1 + 3 9)/2 = 30, n0 = (6 - (4 + 1 + 9)/6)/2 = 11/6.
    trials = np.array([[1.0, NAN, 3.0], [NAN, 5.0, NAN], [8.0, 9.0, 10.0], [NAN, NAN, NAN]])
    found = variance_components(trials)
    assert found.within == pytest.approx(4 / 3)
    assert found.between == pytest.approx((30 - 4 / 3) / (11 / 6))
    assert (found.architectures, found.trials) == (3, 6)


def test_the_example_of_shrout_and_fleiss():
    found = variance_components(RATINGS)
    assert round(found.reliability(), 2) == 0.17
    assert round(found.reliability(4), 2) == 0.44
    assert found.within == pytest.approx(6.26, abs=0.01)


def test_the_ratio_of_mean_squares_is_that_of_scipy():
    groups = [[1.0, 2.5, 3.0], [4.0, 4.5], [9.0, 7.0, 6.0, 8.5], [2.0, 3.0]]
    trials = np.full((4, 4), NAN)
    for row, group in zip(trials, groups, strict=True):
        row[: len(group)] = group
    found = variance_components(trials)
    n0 = (11 - (9 + 4 + 16 + 4) / 11) / 3
    expected = scipy.stats.f_oneway(*groups).statistic
    assert (found.between * n0 + found.within) / found.within == pytest.approx(expected)


def test_known_components_come_out_on_average():
    # Unbiased estimators: the mean of 400 simulations is within 4 standard errors of the truth.
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        trials = rng.normal(0, 2, size=(30, 1)) + rng.normal(0, 1, size=(30, 4))
        trials[rng.random(trials.shape) < 0.4] = NAN
        one = variance_components(trials)
        found.append((one.between, one.within))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / math.sqrt(400)
    assert np.all(np.abs(mean - [4.0, 1.0]) < 4 * error)


def test_what_has_no_repetition_has_no_components():
    for trials in ([[1.0, NAN], [NAN, 2.0]], [[1.0, 2.0]], [[NAN, NAN]]):
        assert math.isnan(variance_components(np.array(trials)).reliability())
    same = variance_components(np.ones((3, 2)))
    assert (same.between, same.within) == (0.0, 0.0)
    assert math.isnan(same.reliability())
    # Rows that differ less than chance would have them have no variance between.
    assert variance_components(np.array([[1.0, 9.0], [9.0, 1.0]])).between == 0.0


# Noise


def test_noise_of_the_toy_table(timed):
    found = noise(timed, "valid_accuracy")
    a, b = timed.trials("valid_accuracy").T
    both = ~np.isnan(a + b)
    (pair,) = found.pairs.to_dict(orient="records")
    assert (pair["trial_a"], pair["trial_b"], pair["rows"]) == (777, 888, 9)
    assert pair["spearman"] == pytest.approx(scipy.stats.spearmanr(a[both], b[both]).statistic)
    assert pair["kendall"] == pytest.approx(scipy.stats.kendalltau(a[both], b[both]).statistic)
    within = ((a - b)[both] ** 2 / 2).mean()
    assert found.components.within == pytest.approx(within)
    assert (found.components.architectures, found.components.trials) == (10, 19)
    assert found.levels["rows"].tolist() == [1] * 9
    means = np.sort((a + b)[both] / 2)
    np.testing.assert_allclose(found.levels["mean"], means)
    assert (found.levels["within_std"] ** 2).mean() == pytest.approx(within)
    summary = found.summary()
    assert summary["within_std"] == pytest.approx(math.sqrt(within))
    assert summary["share_within"] + summary["reliability"] == pytest.approx(1)
    k = found.components.reliability()
    assert summary["reliability_of_mean"] == pytest.approx(2 * k / (1 + k))


def test_trials_of_equals_do_not_correlate_at_the_top(tmp_path):
    # Half of the rows are equals, the others far worse. Rows that are best by the mean of all trials
    # would correlate negatively, as what one trial lacks another must have made up for.
    rng = np.random.default_rng(2)
    n = get_space("nb201").size
    trials = rng.normal(0, 1, (n, 3, 1)) - 100 * (np.arange(n) % 2)[:, None, None]
    column = Column("a", "accuracy", "%", True, "valid", trials=(1, 2, 3), epochs=(1,))
    info = TableInfo("equals", "nb201", "", "", "", "a", "a")
    found = noise(Table.create(tmp_path / "t", info, {column: trials}), "a")
    # 4 standard errors of a rank correlation over a tenth of the rows.
    assert found.pairs["top_spearman"].abs().max() < 4 / math.sqrt(n / 10)
    assert found.pairs["spearman"].min() > 0.7


@pytest.mark.parametrize("maximize", [True, False])
def test_noise_at_the_top(make_table, maximize):
    rng = np.random.default_rng(1)
    values = np.repeat(np.arange(11.0)[:, None, None], 2, axis=1) * 10
    values = np.repeat(values + rng.normal(size=(11, 2, 1)), 3, axis=2)
    found = noise(make_table(valid=values, maximize=maximize), "valid_accuracy")
    best = values[-1 if maximize else 0, :, -1]
    # Ten per cent of eleven rows is one.
    assert found.top.architectures == 1
    assert found.pairs["top_spearman"].isna().all()
    assert found.levels["rows"].tolist() == [2] + [1] * 9
    edge = found.levels["mean"].iloc[-1 if maximize else 0]
    assert abs(edge - best.mean()) <= (0 if maximize else 10)


def test_a_single_trial_has_no_noise(timed, make_table):
    assert noise(timed, "train_time") is None
    values = np.ones((11, 2, 3))
    values[1:, 1] = NAN
    assert noise(make_table(valid=values), "valid_accuracy") is None


# Fidelity


@pytest.mark.parametrize("maximize", [True, False])
def test_fidelity_by_hand(make_table, maximize):
    table = make_table(maximize=maximize)
    frame = fidelity(table, "valid_accuracy")
    assert frame["epoch"].tolist() == [1, 2, 4]
    assert frame["rows"].tolist() == [10, 10, 10]
    values = np.nanmean(table._arrays["valid_accuracy"][[r for r in range(11) if r != 5]], axis=1)
    for i in range(3):
        now, last = values[:, i], values[:, 2]
        assert frame["spearman"][i] == pytest.approx(scipy.stats.spearmanr(now, last).statistic)
        assert frame["kendall"][i] == pytest.approx(scipy.stats.kendalltau(now, last).statistic)
        pick = np.argmax if maximize else np.argmin
        assert frame["overlap_top_10pct"][i] == (pick(now) == pick(last))
    last = frame[["spearman", "kendall", "overlap_top_1pct"]].iloc[-1]
    assert last.tolist() == pytest.approx([1.0, 1.0, 1.0])


def test_fidelity_counts_what_of_the_top_is_known(make_table):
    values = np.repeat(np.arange(11.0)[:, None, None], 3, axis=2)
    values[9, :, 0], values[10, :, 0] = 10.0, 9.0
    frame = fidelity(make_table(valid=np.repeat(values, 2, axis=1)), "valid_accuracy")
    assert frame["overlap_top_10pct"].tolist() == [0.0, 1.0, 1.0]
    assert frame["spearman"].tolist() == pytest.approx([1 - 6 * 2 / (11 * 120), 1.0, 1.0])
    assert half_way(frame)["epoch"] == 2
    assert half_way(frame)["from_epoch"] == 1
    assert math.isnan(half_way(frame.assign(spearman=0.5))["from_epoch"])


def test_fidelity_leaves_out_epochs_without_values(make_table):
    values = np.random.default_rng(0).normal(size=(11, 2, 3))
    values[:, :, 1] = NAN
    assert fidelity(make_table(valid=values), "valid_accuracy")["epoch"].tolist() == [1, 4]


def test_a_column_of_one_epoch_has_no_fidelity(lone):
    assert fidelity(lone, "valid_accuracy") is None


@pytest.fixture
def lone(tmp_path, timed):
    """The toy table with a single epoch."""
    from dataclasses import replace

    from nasbench_lab.tables.table import Table

    column = replace(timed.columns["valid_accuracy"], epochs=None)
    info = replace(timed.info, report="valid_accuracy")
    values = timed.trials("valid_accuracy")
    return Table.create(tmp_path / "lone", info, {column: values}, timed.extra("row_of_index"))


# Agreement


def test_agreement_by_hand(make_table):
    def column(values):
        return np.broadcast_to(np.array(values, float)[:, None, None], (11, 2, 3)).copy()

    valid = column([1, 2, 3, 4, 5, NAN, 7, 8, 9, 10, 10])
    test = column([1, 2, 3, 4, 5, 6, 7, 8, NAN, 6, 7.5])
    found = rank_agreement(make_table(valid=valid, test=test), "valid_accuracy", "test_accuracy")
    both = [0, 1, 2, 3, 4, 6, 7, 9, 10]
    a, b = valid[both, 0, 0], test[both, 0, 0]
    assert found.spearman == pytest.approx(scipy.stats.spearmanr(a, b).statistic)
    assert found.kendall == pytest.approx(scipy.stats.kendalltau(a, b).statistic)
    assert math.isnan(found.top_spearman)
    # Two are best on validation data, and lack 2 and 0.5 of the best on test data.
    assert found.regret == pytest.approx(1.25)
    assert found.reverse_regret == pytest.approx(2.0)
    less = make_table(valid=-valid, test=-test, maximize=False)
    turned = rank_agreement(less, "valid_accuracy", "test_accuracy")
    assert (turned.spearman, turned.regret) == (found.spearman, found.regret)


def test_agreement_of_a_column_with_itself_or_with_nothing(timed, make_table):
    assert rank_agreement(timed, "valid_accuracy", "valid_accuracy") is None
    empty = make_table(test=np.full((11, 2, 3), NAN))
    assert rank_agreement(empty, "valid_accuracy", "test_accuracy") is None


def test_agreement_at_the_top():
    from nasbench_lab.registry import load_benchmark

    table = load_benchmark("nas-bench-graph/proteins").table
    found = rank_agreement(table, "valid_roc_auc", "test_roc_auc")
    a, b = table.values("valid_roc_auc"), table.values("test_roc_auc")
    best = np.argsort(-a, kind="stable")[:202]
    expected = scipy.stats.spearmanr(a[best], b[best]).statistic
    assert found.top_spearman == pytest.approx(expected)
    assert found.regret == pytest.approx(b.max() - b[a.argmax()])
    assert found.reverse_regret == pytest.approx(a.max() - a[b.argmax()])

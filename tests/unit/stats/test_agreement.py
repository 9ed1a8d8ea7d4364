"""Whether two small samples agree: the tests are those of the literature, and keep their level."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from nasbench_lab.stats import holm
from nasbench_lab.stats.agreement import agreement

pytestmark = pytest.mark.long


def test_one_pair_is_students_t():
    rng = np.random.default_rng(0)
    a, b = rng.normal(90, 1, 3), rng.normal(91, 1, 4)
    (found,) = agreement([(a, b)])
    expected = scipy_stats.ttest_ind(b, a)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.difference == pytest.approx(b.mean() - a.mean())
    interval = expected.confidence_interval(0.95)
    assert found.half_width == pytest.approx((interval.high - interval.low) / 2)


def test_several_pairs_pool_their_variance():
    rng = np.random.default_rng(1)
    pairs = [(rng.normal(90, 1, 3), rng.normal(90, 1, 3)) for _ in range(3)]
    residuals = np.concatenate([sample - sample.mean() for pair in pairs for sample in pair])
    deviation = math.sqrt((residuals**2).sum() / 12)
    raw = []
    for (a, b), found in zip(pairs, agreement(pairs), strict=True):
        t = (b.mean() - a.mean()) / (deviation * math.sqrt(2 / 3))
        raw.append(2 * scipy_stats.t.sf(abs(t), 12))
        half = scipy_stats.t.ppf(0.975, 12) * deviation * math.sqrt(2 / 3)
        assert found.half_width == pytest.approx(half)
    assert [found.p for found in agreement(pairs)] == pytest.approx(holm(raw))


def test_the_test_keeps_its_level():
    rng = np.random.default_rng(2)
    rejected = 0
    for _ in range(1000):
        pairs = [(rng.normal(0, 1, 3), rng.normal(0, 1, 3)) for _ in range(3)]
        rejected += any(found.p < 0.05 for found in agreement(pairs))
    # Holm keeps 5 % at most; 4 standard errors of a share of 5 % in 1,000 draws are 2.8 %.
    assert 0.02 < rejected / 1000 < 0.078


def test_a_true_difference_is_found():
    rng = np.random.default_rng(3)
    pairs = [(rng.normal(90, 0.2, 3), rng.normal(90 - d, 0.2, 3)) for d in (0, 0, 3)]
    assert [found.p < 0.05 for found in agreement(pairs)] == [False, False, True]


def test_single_trials():
    one = np.array([90.0])
    (found,) = agreement([(one, np.array([91.0]))])
    assert math.isnan(found.p)
    assert found.difference == 1.0
    (found,) = agreement([(one, np.array([90.0, 91.0, 89.0]))])
    assert found.p == pytest.approx(1.0)


def test_without_pooling_it_is_welchs():
    rng = np.random.default_rng(4)
    pairs = [(rng.normal(90, s, 3), rng.normal(90, 2 * s, 4)) for s in (0.1, 1, 3)]
    raw = [scipy_stats.ttest_ind(b, a, equal_var=False) for a, b in pairs]
    found = agreement(pairs, pooled=False)
    assert [one.p for one in found] == pytest.approx(holm([one.pvalue for one in raw]))
    for one, expected in zip(found, raw, strict=True):
        interval = expected.confidence_interval(0.95)
        assert one.half_width == pytest.approx((interval.high - interval.low) / 2)
    single, same = np.array([90.0]), np.full(3, 90.0)
    found = agreement([(single, same), (same, same), (same, same + 1)], pooled=False)
    assert math.isnan(found[0].p)
    assert [one.p for one in found[1:]] == [1.0, 0.0]


def test_samples_without_spread():
    same, other = np.full(3, 90.0), np.full(3, 91.0)
    assert agreement([(same, same)])[0].p == 1.0
    assert agreement([(same, other)])[0].p == 0.0


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1.0, 1e6])
def test_the_test_is_the_same_in_any_unit(unit, pooled):
    # Alike but for rounding, and alike with another mean.
    same = np.array([0.1, 0.1, 0.1]), np.array([0.1 + 0.2 - 0.2, 0.1 + 0.2 - 0.2])
    other = np.array([0.1, 0.1, 0.1]), np.array([0.1001, 0.1001])
    pairs = [tuple(unit * sample for sample in pair) for pair in (same, other)]
    assert [found.p for found in agreement(pairs, pooled=pooled)] == [1.0, 0.0]


def test_holm():
    # Holm 1979; by hand: 0.01 * 3, max(that, 0.02 * 2), max(that, 0.5).
    assert holm([0.5, 0.01, 0.02]) == pytest.approx([0.5, 0.03, 0.04])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []

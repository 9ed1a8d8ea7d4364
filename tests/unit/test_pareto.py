"""Pareto fronts and hypervolumes, against brute force and pymoo."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from nasbench_lab.pareto import hypervolume, hypervolume_curve, pareto_front

WORST = 4


@st.composite
def cases(draw, nan=True):
    """Values on a coarse grid, so that there are ties, and the direction of each objective."""
    m = draw(st.integers(1, 4))
    cell = st.integers(0, WORST).map(float)
    one = cell | st.just(math.nan) if nan else cell
    rows = draw(st.lists(st.lists(one, min_size=m, max_size=m), max_size=12))
    maximize = draw(st.lists(st.booleans(), min_size=m, max_size=m))
    return np.array(rows, dtype=float).reshape(-1, m), maximize


def dominates(one, other, maximize):
    """By the definition; never true of NaN."""
    pairs = [(a, b) if more else (b, a) for a, b, more in zip(one, other, maximize, strict=True)]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def on_sphere(rng, n, m):
    """``(n, m)`` values to maximise, of which many do not dominate each other."""
    values = np.abs(rng.normal(size=(n, m)))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return values * rng.random((n, 1)) ** 0.1


@given(cases())
def test_the_front_is_what_nothing_dominates(case):
    values, maximize = case
    expected = [
        i
        for i, one in enumerate(values)
        if not np.isnan(one).any()
        and not any(
            dominates(other, one, maximize) for other in values if not np.isnan(other).any()
        )
    ]
    assert pareto_front(values, maximize).tolist() == expected


@pytest.mark.parametrize("decimals", [1, 2, 15])
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_the_front_is_that_of_pymoo(m, decimals):
    values = np.random.default_rng(m).random((400, m)).round(decimals)
    theirs = NonDominatedSorting().do(values, only_non_dominated_front=True)
    assert pareto_front(values, [False] * m).tolist() == sorted(theirs.tolist())


def test_the_front_of_infinite_values():
    inf = math.inf
    values = np.array([[1, 1], [inf, 0], [inf, 0], [0, inf], [-inf, 1], [-inf, -inf]])
    assert pareto_front(values, [True, True]).tolist() == [0, 1, 2, 3]
    assert pareto_front(values, [False, False]).tolist() == [5]
    assert pareto_front(values, [False, True]).tolist() == [3, 4]
    assert pareto_front(np.full((3, 2), inf), [False, False]).tolist() == [0, 1, 2]


@given(cases())
def test_hypervolume_counts_the_cells_of_a_grid(case):
    values, maximize = case
    reference = [-1.0 if more else WORST + 1.0 for more in maximize]
    # How many steps each value is better than the reference.
    steps = np.abs(values - reference)
    steps = steps[~np.isnan(steps).any(axis=1)]
    cells = itertools.product(range(WORST + 1), repeat=len(maximize))
    covered = sum(any(all(c < s) for s in steps) for c in map(np.array, cells))
    assert hypervolume(values, reference, maximize) == covered


@given(cases(nan=False))
def test_what_is_no_better_than_the_reference_adds_nothing(case):
    values, maximize = case
    reference = [2.0] * len(maximize)
    better = [
        all(v > 2 if more else v < 2 for v, more in zip(one, maximize, strict=True))
        for one in values
    ]
    assert hypervolume(values, reference, maximize) == hypervolume(
        values[better], reference, maximize
    )


@pytest.mark.parametrize("decimals", [1, 15])
@pytest.mark.parametrize(("n", "m"), [(200, 2), (100, 3), (40, 4), (25, 5)])
def test_hypervolume_is_that_of_pymoo(n, m, decimals):
    values = on_sphere(np.random.default_rng(m), n, m).round(decimals)
    theirs = HV(ref_point=np.zeros(m))(-values)
    assert hypervolume(values, [0.0] * m, [True] * m) == pytest.approx(theirs, rel=1e-12)
    assert hypervolume(-values, [0.0] * m, [False] * m) == pytest.approx(theirs, rel=1e-12)


def test_nothing_has_an_empty_front_and_no_volume():
    for m in (1, 2, 3):
        nothing = np.full((4, m), math.nan)
        for values in (nothing, nothing[:0]):
            assert pareto_front(values, [True] * m).tolist() == []
            assert hypervolume(values, [0.0] * m, [True] * m) == 0.0
            curve = hypervolume_curve(values, np.ones((1, m)), [True] * m)
            assert curve.tolist() == [0.0] * len(values)


@pytest.mark.parametrize("m", [2, 3])
def test_the_curve_is_the_hypervolume_of_each_prefix(m):
    rng = np.random.default_rng(m)
    maximize = [True, False, True][:m]
    # Objectives in units that differ, and some failures.
    values = on_sphere(rng, 200, m) * [100.0, -0.001, 7.0][:m]
    front = values[pareto_front(values, maximize)]
    values[rng.random(200) < 0.1] = math.nan
    signs = np.where(maximize, -1.0, 1.0)
    ideal, nadir = (signs * front).min(axis=0), (signs * front).max(axis=0)
    scaled = (signs * values - ideal) / (nadir - ideal)
    reference = [1.1] * m
    total = HV(ref_point=np.array(reference))((signs * front - ideal) / (nadir - ideal))
    curve = hypervolume_curve(values, front, maximize)
    for i in (0, 1, 5, 20, 77, 199):
        assert curve[i] == pytest.approx(
            hypervolume(scaled[: i + 1], reference, [False] * m) / total, abs=1e-9
        )
    assert (np.diff(curve) >= 0).all()


@pytest.mark.parametrize("m", [2, 3, 4])
def test_the_curve_ends_at_1_when_the_front_is_found(m):
    rng = np.random.default_rng(m)
    values = on_sphere(rng, 150, m)
    front = values[pareto_front(values, [True] * m)]
    for _ in range(5):
        rng.shuffle(values)
        curve = hypervolume_curve(values, front, [True] * m)
        assert curve[-1] == 1.0
        complete = max(
            min(i for i, one in enumerate(values) if (one == best).all()) for best in front
        )
        assert (curve[:complete] < 1.0).all()


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_a_front_of_one_point_is_scaled_by_its_size(unit):
    front = np.array([[90.0, 2.0 * unit], [90.0, 2.0 * unit]])
    values = np.array([[90.0, 5.0 * unit], [45.0, 3.0 * unit], [90.0, 2.0 * unit]])
    curve = hypervolume_curve(values, front, [True, False])
    # Half the accuracy is 0.5 from the ideal, and half as much again 0.5; all else is beyond 1.1.
    assert curve == pytest.approx([0.0, 0.6 * 0.6 / 1.1**2, 1.0])


def test_an_objective_that_is_zero_on_the_front_keeps_its_unit():
    curve = hypervolume_curve(
        np.array([[0.5, 1.0], [0.0, 1.0]]), np.array([[0.0, 1.0]]), [False] * 2
    )
    assert curve == pytest.approx([0.6 / 1.1, 1.0])

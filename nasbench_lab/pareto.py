"""Several objectives at once: the Pareto front, and the hypervolume as its measure.

Zitzler and Thiele, "Multiobjective evolutionary algorithms: a comparative case study and the
strength Pareto approach", IEEE Transactions on Evolutionary Computation 3(4), 1999. All values are
``(n, m)``: one row per architecture, one column per objective; rows with NaN are passed over.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REFERENCE = 1.1
"""The reference point of ``hypervolume_curve`` in each objective, if the front is from 0 to 1."""


def pareto_front(values: Floats, maximize: Sequence[bool]) -> NDArray[np.int64]:
    """Finds what is not dominated.

    A row dominates another if it is at least as good in every objective, and better in one.

    Args:
        values: ``(n, m)`` values.
        maximize: Whether more is better, for each objective.

    Returns:
        ``(k,)`` positions in ascending order. Equal rows are all there, or none of them.
    """
    costs = _costs(values, maximize)
    rows = np.flatnonzero(~np.isnan(costs).any(axis=1))
    # By the first objective, then the second, and so on: no row dominates one before it.
    rows = rows[np.lexsort(costs[rows].T[::-1])]
    costs = costs[rows]
    front = _front_of_two(*costs.T) if costs.shape[1] == 2 else _front_of_any(costs)
    return np.sort(rows[front])


def _front_of_two(first: Floats, second: Floats) -> NDArray[np.bool_]:
    """Of sorted rows, those whose second cost is below that of all before, and their equals."""
    lowest = np.concatenate([[np.inf], np.minimum.accumulate(second)[:-1]])
    new = np.ones(len(first), dtype=np.bool_)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    front = second < lowest
    front[:1] = True
    result: NDArray[np.bool_] = front[new][np.cumsum(new) - 1]
    return result


def _front_of_any(costs: Floats) -> NDArray[np.int64]:
    rest, front = np.arange(len(costs)), []
    while len(rest):
        best, others = costs[rest[0]], costs[rest]
        front.append(rest[(others == best).all(axis=1)])
        rest = rest[(others < best).any(axis=1)]
    return np.concatenate([*front, rest])


def hypervolume(values: Floats, reference: Sequence[float], maximize: Sequence[bool]) -> float:
    """The volume that is dominated, as far as a reference point.

    Computed exactly: two objectives by a sweep, more of them by the exclusive volumes of While,
    Bradstreet and Barone, "A fast way of calculating exact hypervolumes", IEEE Transactions on
    Evolutionary Computation 16(1), 2012.

    Args:
        values: ``(n, m)`` values. Rows not better than the reference in every objective add nothing.
        reference: ``(m,)`` values of the reference point.
        maximize: Whether more is better, for each objective.

    Returns:
        The volume, in the product of the objectives' units.
    """
    extents = _costs([reference], maximize) - _costs(values, maximize)
    return _volume(extents[(extents > 0).all(axis=1)])


def hypervolume_curve(values: Floats, front: Floats, maximize: Sequence[bool]) -> Floats:
    """What share of the hypervolume of the exact front the first rows dominate.

    Objectives are scaled by the front, which then has its ideal point at 0 and its nadir point at
    1, and the reference point is 1.1 in each: Ishibuchi, Imada, Setoguchi and Nojima, "How to
    specify a reference point in hypervolume calculation for fair performance comparison",
    Evolutionary Computation 26(3), 2018. An objective that does not vary on the front is scaled by
    its size.

    Args:
        values: ``(n, m)`` values in the order in which they were found.
        front: ``(k, m)`` values of the exact front, at least one.
        maximize: Whether more is better, for each objective.

    Returns:
        ``(n,)`` shares from 0 to 1; above 1 only where values lie beyond the front.
    """
    costs, exact = _costs(values, maximize), _costs(front, maximize)
    ideal = exact.min(axis=0)
    scale = exact.max(axis=0) - ideal
    scale = np.where(scale > 0, scale, np.abs(ideal))
    scale[scale == 0] = 1.0
    extents = REFERENCE - (costs - ideal) / scale
    added, archive = np.zeros(len(extents)), extents[:0]
    for i in np.flatnonzero((extents > 0).all(axis=1)):
        one = extents[i]
        if (archive >= one).all(axis=1).any():
            continue
        added[i] = _exclusive(one, archive)
        archive = np.concatenate([archive[(archive > one).any(axis=1)], [one]])
    # Rounded, so that the whole front is 1 in whatever order it was found.
    shares: Floats = np.round(np.cumsum(added) / _volume(REFERENCE - (exact - ideal) / scale), 12)
    return shares


def _costs(values: Floats | Sequence[Sequence[float]], maximize: Sequence[bool]) -> Floats:
    """The values turned so that less is better."""
    return np.where(maximize, -1.0, 1.0) * np.asarray(values, dtype=np.float64)


def _exclusive(one: Floats, others: Floats) -> float:
    """The volume of a box of ``(m,)`` extents outside those of ``(n, m)`` others."""
    return float(one.prod()) - _volume(np.minimum(one, others))


def _volume(extents: Floats) -> float:
    """The volume of the union of boxes that have a corner in common, of ``(n, m)`` extents."""
    m = extents.shape[1]
    if m == 1:
        return float(extents.max(initial=0.0))
    if m > 2:
        extents = extents[pareto_front(extents, (True,) * m)]
    extents = extents[np.argsort(-extents[:, -1], kind="stable")]
    if m == 2:
        widest = np.maximum.accumulate(extents[:, 0])
        return float(np.diff(widest, prepend=0.0) @ extents[:, 1])
    # All before a box extend at least as far in the last objective, so the others tell what is new.
    return sum(
        float(one[-1]) * _exclusive(one[:-1], extents[:i, :-1]) for i, one in enumerate(extents)
    )

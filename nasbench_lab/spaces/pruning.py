"""Narrowing a space to the options that good architectures have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import SpaceError, UnknownNameError
from nasbench_lab.spaces.base import Architecture, Architectures, SearchSpace
from nasbench_lab.spaces.decisions import Decision, Option

CRITERIA = {
    "best": "how often the best of a quarter of the evaluations, drawn at random, has the option",
    "mean": "the mean rank of the evaluations that have the option",
}
"""By what options are kept, in words."""

SUBSET = 0.25
"""The share of the evaluations whose best counts (Radosavovic et al. 2020, section 3.2)."""

Floats = NDArray[np.float64]


class Evaluations(Protocol):
    """What a trace has: what was evaluated, and how good it was."""

    @property
    def architecture(self) -> Architectures:
        """``(n, d)`` architectures."""

    def scores(self) -> Floats:
        """``(n,)`` scores, more is better; minus infinity for failed evaluations."""


@dataclass(frozen=True)
class Narrowed:
    """A part of a space: for each decision some of its options.

    Args:
        whole: The space.
        kept: For each decision the numbers of the options that are kept, in ascending order. Of a
            decision that exists with options only that are not kept, all.
    """

    whole: SearchSpace
    kept: tuple[tuple[int, ...], ...]

    @classmethod
    def whole_of(cls, space: SearchSpace) -> Narrowed:
        """All of a space."""
        return cls(space, tuple(tuple(range(n)) for n in space.n_options))

    @cached_property
    def space(self) -> SearchSpace:
        """The part as a space of its own, with fewer options, which are numbered anew."""
        decisions: list[Decision] = []
        left: dict[str, tuple[Option, ...]] = {}
        for i in self._existing:
            decision = self.whole.decisions[i]
            options = tuple(decision.options[k] for k in self.kept[i])
            conditions = [
                (name, tuple(option for option in allowed if option in left[name]))
                for name, allowed in decision.conditions
            ]
            left[decision.name] = options
            decisions.append(Decision(decision.name, options, decision.ordered, tuple(conditions)))
        return SearchSpace(self.whole.name, decisions)

    @cached_property
    def _existing(self) -> tuple[int, ...]:
        """The numbers of the decisions that some architecture of the part has."""
        existing: dict[str, set[Any]] = {}
        numbers = []
        for i, decision in enumerate(self.whole.decisions):
            if all(existing.get(name, set()) & set(ok) for name, ok in decision.conditions):
                existing[decision.name] = {decision.options[k] for k in self.kept[i]}
                numbers.append(i)
        return tuple(numbers)

    def restore(self, architecture: Architecture) -> Architecture:
        """The architecture of the whole space that one of ``space`` stands for."""
        options = [0] * len(self.kept)
        for i, option in zip(self._existing, architecture, strict=True):
            options[i] = self.kept[i][option]
        return self.whole.nearest(options)

    def within(self, part: Narrowed) -> Narrowed:
        """A part of ``space``, as a part of the whole."""
        kept = list(self.kept)
        for i, options in zip(self._existing, part.kept, strict=True):
            kept[i] = tuple(self.kept[i][k] for k in options)
        return Narrowed(self.whole, tuple(kept))

    def narrow(self, architecture: Architecture) -> Architecture | None:
        """The architecture of ``space`` that stands for one of the whole space; None if none does."""
        active = self.whole.active(np.array([architecture]))[0].tolist()
        options = []
        for i, option in enumerate(architecture):
            if active[i] and (i not in self._existing or option not in self.kept[i]):
                return None
            if i in self._existing:
                options.append(self.kept[i].index(option) if active[i] else 0)
        return tuple(options)


def prune(
    space: SearchSpace,
    evaluations: Evaluations | tuple[Architectures, Sequence[float] | Floats],
    *,
    keep: float = 0.1,
    by: str = "best",
) -> Narrowed:
    """Narrows a space by what was seen of it.

    Options are dropped one at a time, the worst first, until the space has the size that is asked
    for. A decision keeps at least one option, and of an ordered decision only the first and the last
    are dropped, so that a range remains. An option that no evaluation has is the worst.

    ``best`` is the empirical bootstrap of Radosavovic et al., "Designing network design spaces", CVPR
    2020 (arXiv 2003.13678, section 3.2), in closed form, so nothing is drawn. ``mean`` scores options
    as Hu et al., "Angle-based search space shrinking", ECCV 2020 (arXiv 2004.13431, equation 3), with
    the rank of an evaluation as its score.

    Args:
        space: The space.
        evaluations: A trace; or ``(n, d)`` architectures and ``(n,)`` scores, more is better. NaN and
            minus infinity are failures, which rank last.
        keep: The greatest size of the narrowed space, as a share of the whole; it has two
            architectures at least.
        by: One of ``CRITERIA``.

    Raises:
        SpaceError: There are no evaluations, or ``keep`` is not above 0 and at most 1.
        UnknownNameError: There is no such criterion.
        InvalidArchitectureError: An architecture is not of the space.

    Example:
        >>> import nasbench_lab as lab
        >>> trace = lab.run("random_search", "nas-bench-graph/cora", budget=100, seed=0)
        >>> narrowed = lab.prune(trace.space, trace, keep=0.05)
        >>> narrowed.space.size <= 0.05 * trace.space.size
        True
    """
    if by not in CRITERIA:
        raise UnknownNameError("criterion", by, CRITERIA)
    if not 0 < keep <= 1:
        raise SpaceError(f"Expected a share above 0 and at most 1 to keep but got {keep!r}.")
    if isinstance(evaluations, tuple):
        architectures, scores = evaluations
    else:
        architectures, scores = evaluations.architecture, evaluations.scores()
    values = np.nan_to_num(np.asarray(scores, np.float64), nan=-np.inf)
    known = space._validate_many(np.asarray(architectures))
    if not len(values) or len(values) != len(known):
        raise SpaceError(
            f"Expected evaluations, a score for each architecture, but got {len(known)} "
            f"architectures and {len(values)} scores."
        )
    scores_of = _scores_of_options(space, known, values, by)
    narrowed = Narrowed.whole_of(space)
    while narrowed.space.size > max(keep * space.size, 2):
        worst = [
            (scores_of[i][option], i, option)
            for i in narrowed._existing
            for option in _droppable(narrowed, i)
        ]
        for _, i, option in sorted(worst):
            kept = list(narrowed.kept)
            kept[i] = tuple(k for k in kept[i] if k != option)
            fewer = Narrowed(space, tuple(kept))
            if fewer.space.size > 1:
                narrowed = fewer
                break
        else:
            break
    return narrowed


def _droppable(narrowed: Narrowed, i: int) -> tuple[int, ...]:
    """The options of a decision that may be dropped."""
    kept = narrowed.kept[i]
    if len(kept) == 1:
        return ()
    return (kept[0], kept[-1]) if narrowed.whole.decisions[i].ordered else kept


def _scores_of_options(
    space: SearchSpace, architectures: Architectures, values: Floats, by: str
) -> list[list[float]]:
    """The score of each option of each decision; more is better."""
    n = len(values)
    better = np.sort(-values)
    # Equal values share their ranks, so that the order of evaluations does not matter.
    first = np.searchsorted(better, -values)
    last = np.searchsorted(better, -values, side="right")
    if by == "best":
        chances = best_of_subset(n, max(1, round(SUBSET * n)))
        summed = np.concatenate([[0.0], np.cumsum(chances)])
        of_each = (summed[last] - summed[first]) / (last - first)
    else:
        of_each = -(first + last - 1) / 2.0
    active = space.active(architectures)
    result = []
    for i, n_options in enumerate(space.n_options):
        rows = active[:, i]
        chosen, weights = architectures[rows, i], of_each[rows]
        sums = np.bincount(chosen, weights, minlength=n_options)
        if by == "mean":
            counts = np.bincount(chosen, minlength=n_options)
            sums = np.where(counts > 0, sums / np.maximum(counts, 1), -np.inf)
        result.append(sums.tolist())
    return result


def best_of_subset(n: int, k: int) -> Floats:
    """``(n,)`` chances that the first, second, … of ``n`` values is the best of ``k`` drawn of them."""
    # All k - 1 others are among the n - 1 - i values after it: C(n - 1 - i, k - 1) / C(n, k). The
    # ratio of two that follow each other is (n - k - i) / (n - 1 - i).
    steps = np.arange(n - 1)
    ratios = np.maximum(n - k - steps, 0) / (n - 1 - steps)
    chances: Floats = (k / n) * np.concatenate([[1.0], np.cumprod(ratios)])
    return chances

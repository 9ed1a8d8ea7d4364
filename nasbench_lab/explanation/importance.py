"""Which decisions matter: functional analysis of variance, and permutation importance.

Functional ANOVA (Hutter, Hoos and Leyton-Brown, "An efficient approach for assessing hyperparameter
importance", ICML 2014) draws all decisions independently and uniformly. The variance of the values is
then the sum of what each decision explains alone, what each pair explains beyond that, and so on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.explanation.known import Floats, Known
from nasbench_lab.landscape.landscape import LIMIT
from nasbench_lab.spaces import Architectures, SearchSpace
from nasbench_lab.tables.coverage import ALL_BUT

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["fanova", "permutation"]

TREES = 32

SAMPLE = 3_000
"""The most architectures that a forest learns."""

GOOD = 0.25
"""The share of the best that ``among_good`` tells apart."""

_REPEATS = 10
"""How often a decision is permuted."""


@dataclass(frozen=True)
class Importance:
    """How much each decision, and each pair, matters.

    Args:
        method: ``exact`` (functional ANOVA of all architectures), ``forest`` (of a random forest's
            trees) or ``permutation``.
        decisions: A line per decision: ``importance``, and of a forest or of permutations its
            standard deviation ``std``. By ANOVA: the share of the variance that the decision explains
            alone, and ``among_good``, the same if all values worse than those of the best quarter
            count as the worst of these. By permutation: by how much R² drops if the decision is
            permuted.
        pairs: A line per pair: ``importance``, the share of the variance that the two explain beyond
            what each explains alone; None by permutation.
        fit: R² of the forest on architectures that it did not learn; NaN if ``exact``.
    """

    method: str
    decisions: pd.DataFrame
    pairs: pd.DataFrame | None
    fit: float

    @property
    def alone(self) -> float:
        """The share of the variance that single decisions explain."""
        return float(self.decisions["importance"].sum())

    @property
    def together(self) -> float:
        """The share that pairs explain beyond that; NaN by permutation."""
        return math.nan if self.pairs is None else float(self.pairs["importance"].sum())


def importance(known: Known, method: Method = "fanova", seed: int = 0) -> Importance:
    """Measures how much each decision matters.

    Functional ANOVA is exact if the value of every architecture is known; where a few are not
    (1 % of all combinations of options at most), means are over those that are. Else a random forest
    learns the known ones; each of its trees is decomposed exactly, and shares are means over the
    trees.

    A decision that does not exist changes nothing. Where all values are equal, shares are NaN.

    Args:
        known: The architectures.
        method: ``fanova`` or ``permutation``.
        seed: Of the forest, and of what it learns.
    """
    if method == "permutation":
        return _by_permutation(known, seed)
    limit = float(np.quantile(known.scores, 1 - GOOD))
    space, at = known.space, _all_combinations(known)
    if at is not None:
        every = np.where(at >= 0, known.scores[at], np.nan)
        alone, pairs = _decomposed(space, *_marginals(space, every))
        among_good, _ = _decomposed(space, *_marginals(space, np.maximum(every, limit)))
        lines = _lines(space, {"importance": alone, "among_good": among_good})
        return Importance("exact", lines, _pairs(space, pairs), math.nan)
    kept = _sampled(known, seed)
    columns, scores = _Columns(space), known.scores[kept]
    if not np.ptp(scores):
        nothing = np.full(len(space.decisions), np.nan)
        lines = _lines(space, {"importance": nothing, "std": nothing, "among_good": nothing})
        return Importance("forest", lines, None, math.nan)
    forest = _forest(seed, oob_score=True).fit(columns.of(known.architectures[kept]), scores)
    alone, std, pairs, pairs_std = _of_trees(forest, columns)
    among_good = _of_trees(forest, columns, limit)[0]
    lines = _lines(space, {"importance": alone, "std": std, "among_good": among_good})
    return Importance("forest", lines, _pairs(space, pairs, pairs_std), float(forest.oob_score_))


def _lines(space: SearchSpace, shares: dict[str, Floats]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"decision": [one.name for one in space.decisions], **shares})


def _pairs(space: SearchSpace, shares: Floats, std: Floats | None = None) -> pd.DataFrame:
    """The pairs from most to least important."""
    import pandas as pd

    first, second = np.triu_indices(len(space.decisions), 1)
    names = np.array([one.name for one in space.decisions], dtype=object)
    columns = {"first": names[first], "second": names[second], "importance": shares[first, second]}
    if std is not None:
        columns["std"] = std[first, second]
    frame = pd.DataFrame(columns)
    return frame.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


# Exactly


def _all_combinations(known: Known) -> NDArray[np.int64] | None:
    """``(N,)`` which known architecture each combination of options stands for, -1 for one unknown.

    The combinations are all of the product, the last decision changing fastest. None if they are too
    many, or more than 1 % of them are unknown.
    """
    space = known.space
    n = math.prod(space.n_options)
    if n > LIMIT or len(known.values) < ALL_BUT * space.size:
        return None
    places = [math.prod(space.n_options[i + 1 :]) for i in range(len(space.n_options))]
    options = np.arange(n)[:, None] // np.array(places) % np.array(space.n_options)
    try:
        wanted = space.index(np.where(space.active(options), options, 0))
        held = space.index(known.architectures)
    except InvalidArchitectureError:  # not every combination is an architecture
        return None
    order = np.argsort(held)
    found = order[np.minimum(np.searchsorted(held[order], wanted), len(held) - 1)]
    found = np.where(held[found] == wanted, found, -1)
    return found if (found >= 0).mean() >= ALL_BUT else None


def _marginals(space: SearchSpace, values: Floats) -> tuple[float, float, Floats]:
    """Mean, variance, and ``(k, k)`` means of all combinations with two options.

    Args:
        space: The space, of ``k`` options in all.
        values: ``(N,)`` the value of each combination of options, the last decision fastest; NaN for
            one that is unknown and does not count.
    """
    offsets = np.cumsum([0, *space.n_options])
    means = np.zeros((offsets[-1], offsets[-1]))
    free = [i for i, n in enumerate(space.n_options) if n > 1]
    grid = values.reshape([space.n_options[i] for i in free])
    valued = ~np.isnan(grid)
    filled = np.where(valued, grid, 0.0)
    places = {i: place for place, i in enumerate(free)}
    for i, n in enumerate(space.n_options):
        for j in range(i, len(space.n_options)):
            kept = sorted({places[one] for one in (i, j) if one in places})
            others = tuple(axis for axis in range(grid.ndim) if axis not in kept)
            counts = valued.sum(axis=others)
            mean = filled.sum(axis=others) / np.maximum(counts, 1)
            mean = np.where(counts > 0, mean, np.nan)
            block = np.diag(mean) if i == j and n > 1 else mean.reshape(n, space.n_options[j])
            means[offsets[i] : offsets[i + 1], offsets[j] : offsets[j + 1]] = block
            means[offsets[j] : offsets[j + 1], offsets[i] : offsets[i + 1]] = block.T
    return float(np.nanmean(values)), float(np.nanvar(values)), means


def _decomposed(
    space: SearchSpace, mean: float, variance: float, means: Floats
) -> tuple[Floats, Floats]:
    """``(d,)`` shares of the variance that decisions explain, and ``(d, d)`` those of pairs beyond.

    Args:
        space: The space, of ``d`` decisions and ``k`` options in all.
        mean: The mean of all combinations.
        variance: Their variance.
        means: ``(k, k)`` the mean with each two options; the diagonal has those with one.
    """
    d = len(space.decisions)
    if not variance > 1e-20 * mean**2:
        return np.full(d, np.nan), np.full((d, d), np.nan)
    offsets = np.cumsum([0, *space.n_options])
    effects = means.diagonal() - mean  # Hutter et al., equation 3
    parts = [slice(offsets[i], offsets[i + 1]) for i in range(d)]
    alone = np.array([np.mean(effects[part] ** 2) for part in parts])
    pairs = np.zeros((d, d))
    for i in range(d):
        for j in range(i + 1, d):
            # What remains of a pair beyond its decisions.
            beyond = means[parts[i], parts[j]] - mean - effects[parts[i], None] - effects[parts[j]]
            # Two options that are never known together show no interaction.
            pairs[i, j] = pairs[j, i] = np.mean(np.nan_to_num(beyond) ** 2)
    return alone / variance, pairs / variance


# By a forest


class _Columns:
    """Architectures as columns of numbers for trees.

    An ordered decision is one column, its option's number; any other has a column per option. A
    decision that does not exist has -1, or no option.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.offsets = np.cumsum([0, *space.n_options])
        low: list[Floats] = []
        high: list[Floats] = []
        for i, decision in enumerate(space.decisions):
            n = len(decision.options)
            for column in [np.arange(n)] if decision.ordered else np.eye(n):
                for sides, beyond in ((low, -np.inf), (high, np.inf)):
                    side = np.full(self.offsets[-1], beyond)
                    side[self.offsets[i] : self.offsets[i + 1]] = column
                    sides.append(side)
        self.low, self.high = np.array(low), np.array(high)
        """``(columns, k)`` the number of each option in each column; infinite in other decisions."""

    def of(self, architectures: Architectures) -> Floats:
        """``(n, columns)`` numbers of ``(n, d)`` combinations of options."""
        active = self.space.active(architectures)
        parts = []
        for i, decision in enumerate(self.space.decisions):
            options = np.where(active[:, i], architectures[:, i], -1)
            chosen = options[:, None] == np.arange(len(decision.options))
            parts.append(options[:, None] if decision.ordered else chosen)
        return np.concatenate(parts, axis=1).astype(np.float64)


def _forest(seed: int, **settings: Any) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(TREES, random_state=seed, n_jobs=1, **settings)


def _sampled(known: Known, seed: int) -> NDArray[np.int64]:
    """Positions of at most ``SAMPLE`` architectures."""
    return np.random.default_rng([seed, 3]).permutation(len(known.values))[:SAMPLE]


def _of_trees(
    forest: Any, columns: _Columns, limit: float = -math.inf
) -> tuple[Floats, Floats, Floats, Floats]:
    """Means and standard deviations over a forest's trees: ``(d,)`` of decisions, ``(d, d)`` of pairs.

    What a tree predicts below the limit counts as the limit. Trees that then predict one value
    everywhere explain nothing, and are left out.
    """
    shares = [
        _decomposed(columns.space, *_tree_marginals(one.tree_, columns, limit))
        for one in forest.estimators_
    ]
    alone, pairs = (np.array(part) for part in zip(*shares, strict=True))
    if (varies := np.isfinite(alone).all(axis=1)).any():
        alone, pairs = alone[varies], pairs[varies]
    return alone.mean(axis=0), alone.std(axis=0), pairs.mean(axis=0), pairs.std(axis=0)


def _tree_marginals(
    tree: Any, columns: _Columns, limit: float = -math.inf
) -> tuple[float, float, Floats]:
    """Mean, variance, and ``(k, k)`` means with two options, of a tree over all combinations.

    A leaf is a box: of each decision, it has some options. So a tree's means are sums over its leaves
    (Hutter et al., algorithm 2). What it predicts below the limit counts as the limit.
    """
    boxes = np.ones((tree.node_count, columns.offsets[-1]), dtype=np.bool_)
    front = np.zeros(1, dtype=np.int64)
    while (front := front[tree.children_left[front] >= 0]).size:
        left, right = tree.children_left[front], tree.children_right[front]
        column, threshold = tree.feature[front], tree.threshold[front, None]
        boxes[left] = boxes[front] & (columns.low[column] <= threshold)
        boxes[right] = boxes[front] & (columns.high[column] > threshold)
        front = np.concatenate([left, right])
    leaves = tree.children_left < 0
    boxes, values = boxes[leaves].astype(np.float64), np.maximum(tree.value[leaves, 0, 0], limit)
    counts = np.diff(columns.offsets)
    parts = np.add.reduceat(boxes, columns.offsets[:-1], axis=1) / counts
    weights = parts.prod(axis=1)
    mean = float(weights @ values)
    variance = float(weights @ (values - mean) ** 2)
    # Given an option, a leaf weighs more by the inverse of its decision's part.
    odds = boxes / np.repeat(np.where(parts > 0, parts, 1.0), counts, axis=1)
    means = odds.T @ ((weights * values)[:, None] * odds)
    np.fill_diagonal(means, (weights * values) @ odds)
    return mean, variance, means


# By permutation


def _encoded(architectures: Any, columns: _Columns) -> Floats:
    return columns.of(np.asarray(architectures))


def _by_permutation(known: Known, seed: int) -> Importance:
    """Breiman's permutation importance on a quarter that the forest did not learn (2001)."""
    from sklearn.inspection import permutation_importance
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    kept = _sampled(known, seed)
    held_out, learnt = np.split(kept, [max(2, len(kept) // 4)])
    encode = FunctionTransformer(partial(_encoded, columns=_Columns(known.space)))
    model = make_pipeline(encode, _forest(seed))
    architectures, scores = known.architectures, known.scores
    if not np.ptp(scores[held_out]):
        nothing = np.full(len(known.space.decisions), np.nan)
        lines = _lines(known.space, {"importance": nothing, "std": nothing})
        return Importance("permutation", lines, None, math.nan)
    model.fit(architectures[learnt], scores[learnt])
    fit = float(model.score(architectures[held_out], scores[held_out]))
    found = permutation_importance(
        model,
        architectures[held_out],
        scores[held_out],
        n_repeats=_REPEATS,
        random_state=seed,
    )
    shares = {"importance": found.importances_mean, "std": found.importances_std}
    return Importance("permutation", _lines(known.space, shares), None, fit)

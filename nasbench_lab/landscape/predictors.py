"""How well predictors rank the architectures of a table, by how many they learn from.

The study of White, Zela, Ru, Liu and Hutter, "How powerful are performance predictors in neural
architecture search?", NeurIPS 2021 (arXiv 2104.01177), on any table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from nasbench_lab.errors import MissingPackageError, QueryError, UnsuitedError
from nasbench_lab.landscape.reliability import rank_correlation
from nasbench_lab.predictors import PREDICTORS, Predictor, make_predictor
from nasbench_lab.tables.columns import Column, Query
from nasbench_lab.tables.proxies import held_proxies, score_column
from nasbench_lab.tables.table import Table
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

SIZES = (10, 40, 100, 400)
"""Numbers of architectures to learn from, by default."""

METRICS = {
    "kendall": "Kendall's τ",
    "spearman": "Spearman's ρ",
    "precision": "precision of the top",
    "regret": "regret of the best predicted",
    "fit_s": "fit, s",
    "query_ms": "query, ms",
}
"""What is measured; the last two are times on the machine at hand."""


@dataclass(frozen=True)
class PredictorStudy:
    """What predictors learned of a table, made by ``study_predictors``.

    Args:
        table: The table's name.
        column: The column that was predicted.
        test: How many architectures were predicted that were not learned from.
        top: How many of these the top has.
        left_out: Why predictors were left out, by name.
        frame: A line per predictor, number of learned architectures (``architectures``) and
            ``seed``, with ``METRICS``: rank correlations with the values of the test architectures,
            positive if what is predicted to be more is more, and 0 if all predictions are equal; the
            share of the best ``top`` by prediction that are among the best ``top`` by value; by how
            much the value of the best by prediction is worse than the best value, in the column's
            unit; the seconds of a fit, and the milliseconds that a prediction takes for each
            architecture.
    """

    table: str
    column: Column
    test: int
    top: int
    left_out: Mapping[str, str]
    frame: pd.DataFrame


def study_predictors(
    table: Table,
    objective: str | None = None,
    predictors: Mapping[str, tuple[str | type[Predictor], Mapping[str, Any]]] | None = None,
    *,
    sizes: Sequence[int] | None = None,
    seeds: int = 10,
    test: int = 1000,
    top: int = 10,
    early: int | None = None,
    one_trial: bool = False,
    leave_out: bool | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> PredictorStudy:
    """Lets predictors learn from random architectures of a table, and predict others.

    All predictors see the same architectures. With the same seed, those of a smaller number are among
    those of a larger one, and the test architectures are the same. Values are means over the trials of
    the table, after the last epoch.

    Args:
        table: The table.
        objective: The column to predict; the table's own objective by default.
        predictors: Predictor and settings by the name to show; by default all that can learn from the
            table with what is installed.
        sizes: How many architectures to learn from; by default those of ``SIZES`` that are at most
            half of the table.
        seeds: How many draws of architectures.
        test: How many architectures to predict, or fewer if the table has no more.
        top: How many architectures the top has.
        early: How many of the column's epochs ``learning_curve`` sees; a quarter by default.
        one_trial: Whether predictors learn the value of one random trial of each architecture, which
            is what a search sees, and not the mean. They are judged by means all the same.
        leave_out: Whether a predictor that cannot learn from the table, or whose package is not
            installed, is left out and not an error; by default only if no predictors are named.
        progress: Called with the number of finished fits, that of all, and what is going on.

    Raises:
        QueryError: The table is too small for the numbers, names no objective, or has no columns for
            a named predictor.
        UnknownNameError: There is no such predictor or setting.
        UnsuitedError: A predictor cannot learn from the table, and is not to be left out.
        MissingPackageError: A predictor needs a package that is not installed, likewise.
    """
    import pandas as pd

    name = objective or table.info.objective
    if not name:
        raise QueryError(f"Table {table.name!r} names no objective to predict. Name a column.")
    column, values = table.column(name), table.values(name)
    rows = np.flatnonzero(np.isfinite(values))
    learned = _sizes(sizes, len(rows))
    n_test = min(test, len(rows) - learned[-1])
    for what, number, least in (("seeds", seeds, 1), ("top", top, 1), ("test", n_test, top + 1)):
        if number < least:
            raise QueryError(
                f"Expected at least {least} for {what} but got {number}, as {table.name!r} has values "
                f"of {counted(len(rows), 'row')} in {name}. Learn from fewer, or make the top smaller."
            )
    early_epochs = _early(column, early)
    chosen, left_out = _chosen(
        *(table, column, predictors, early_epochs),
        leave_out=predictors is None if leave_out is None else leave_out,
    )
    more = {label: _columns(table, column, early_epochs, one) for label, one in chosen.items()}
    lines: list[dict[str, Any]] = []
    total = len(chosen) * len(learned) * seeds
    for label, (kind, settings) in chosen.items():
        # The first fit imports libraries; it is not measured.
        _measured(
            make_predictor(kind, table.space, **settings),
            *(table, values, values, more[label], rows[:5], rows[:5], 1, column),
        )
        for n in learned:
            for seed in range(seeds):
                if progress is not None:
                    progress(len(lines), total, f"{label}, {n}")
                order = np.random.default_rng(seed).permutation(rows)
                train, new = order[:n], order[learned[-1] : learned[-1] + n_test]
                seen = _of_one_trial(table, column, values, seed) if one_trial else values
                predictor = make_predictor(kind, table.space, seed, **settings)
                measured = _measured(
                    predictor, table, seen, values, more[label], train, new, top, column
                )
                line = {"predictor": label, "architectures": n, "seed": seed}
                lines.append({**line, **measured})
    if progress is not None:
        progress(total, total, "done")
    return PredictorStudy(table.name, column, n_test, top, left_out, pd.DataFrame(lines))


def _sizes(sizes: Sequence[int] | None, n_rows: int) -> list[int]:
    """The numbers of architectures to learn from, ascending."""
    if sizes is None:
        sizes = [n for n in SIZES if n <= n_rows // 2]
    result = sorted(set(sizes))
    if not result or result[0] < 1 or result[-1] >= n_rows:
        raise QueryError(
            f"Expected numbers of architectures from 1 to {n_rows - 1}, so that one at least remains "
            f"to be predicted, but got {', '.join(map(str, sizes)) or 'none'}."
        )
    return result


def _early(column: Column, early: int | None) -> tuple[int, ...]:
    """The epochs that ``learning_curve`` sees, none if the column has too few."""
    epochs = column.epochs or ()
    n = max(2, len(epochs) // 4) if early is None else early
    if n < len(epochs):
        return tuple(epochs[:n])
    if early is not None:
        raise QueryError(
            f"Expected fewer early epochs than the {len(epochs)} of {column.name} but got {early}."
        )
    return ()


_Chosen = dict[str, tuple[str | type[Predictor], Mapping[str, Any]]]


def _chosen(
    table: Table,
    column: Column,
    predictors: Mapping[str, tuple[str | type[Predictor], Mapping[str, Any]]] | None,
    early: tuple[int, ...],
    leave_out: bool,
) -> tuple[_Chosen, dict[str, str]]:
    """The predictors with their settings, and why others were left out."""
    given = predictors or {name: (name, {}) for name in PREDICTORS}
    chosen: _Chosen = {}
    left_out: dict[str, str] = {}
    for label, (kind, settings) in given.items():
        settings = dict(settings)
        if kind == "learning_curve" and column.epochs and early:
            settings.setdefault("epochs", (*early, column.epochs[-1]))
        try:
            make_predictor(kind, table.space, **settings)
            if kind == "learning_curve" and not early:
                raise UnsuitedError(f"{column.name} has no early epochs to extrapolate.")
            if kind == "zero_cost" and not held_proxies(table):
                raise UnsuitedError(f"Table {table.name!r} holds no scores by zero-cost proxies.")
        except (MissingPackageError, UnsuitedError) as error:
            if not leave_out:
                raise
            left_out[label] = str(error)
            continue
        chosen[label] = kind, settings
    return chosen, left_out


def _columns(
    table: Table,
    column: Column,
    early: tuple[int, ...],
    predictor: tuple[str | type[Predictor], Mapping[str, Any]],
) -> Floats | None:
    """``(rows, k)`` columns that a predictor learns from; None for most."""
    kind, _ = predictor
    if kind == "learning_curve":
        return np.column_stack([table.values(Query(column.name, epoch=epoch)) for epoch in early])
    if kind == "zero_cost":
        return np.column_stack([table.values(score_column(one)) for one in held_proxies(table)])
    return None


def _of_one_trial(table: Table, column: Column, means: Floats, seed: int) -> Floats:
    """``(rows,)`` values of a random trial of each row, among those that it has."""
    trials = np.asarray(table.trials(column.name), np.float64)
    order = np.random.default_rng([seed, 1]).random(trials.shape)
    first = np.where(np.isfinite(trials), order, 2.0).argmin(axis=1)
    chosen = np.take_along_axis(trials, first[:, None], axis=1)[:, 0]
    return np.where(np.isfinite(chosen), chosen, means)


def _measured(
    predictor: Predictor,
    table: Table,
    seen: Floats,
    values: Floats,
    columns: Floats | None,
    train: NDArray[np.int64],
    new: NDArray[np.int64],
    top: int,
    column: Column,
) -> dict[str, float]:
    """``METRICS`` of one predictor that learns what is seen once, judged by values."""
    more = (None, None) if columns is None else (columns[train], columns[new])
    with threadpool_limits(1):
        start = time.perf_counter()
        predictor.fit(table.architectures[train], seen[train], more[0])
        fitted = time.perf_counter()
        predicted, _ = predictor.predict(table.architectures[new], more[1])
        ended = time.perf_counter()
    sign = 1.0 if column.maximize else -1.0
    # The rows are in random order, so that chance decides between equal predictions.
    guess, truth = sign * predicted, sign * values[new]
    spearman, kendall = rank_correlation(guess, truth)
    best = np.argsort(-guess, kind="stable")[:top]
    least = np.sort(truth)[-top]
    return {
        "kendall": 0.0 if np.ptp(guess) == 0 else kendall,
        "spearman": 0.0 if np.ptp(guess) == 0 else spearman,
        "precision": float((truth[best] >= least).mean()),
        "regret": float(truth.max() - truth[best[0]]),
        "fit_s": fitted - start,
        "query_ms": 1000.0 * (ended - fitted) / len(new),
    }

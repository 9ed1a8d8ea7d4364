"""How well predictors rank the architectures of a result's tables, for the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab.algorithm.hyperparameters import all_hyperparameters
from nasbench_lab.errors import NasbenchLabError
from nasbench_lab.figures.predictors import predictors_figure
from nasbench_lab.landscape.predictors import study_predictors
from nasbench_lab.predictors import PREDICTORS
from nasbench_lab.registry import (
    algorithm_class,
    algorithm_modules,
    make_algorithm,
    parse_algorithm,
)
from nasbench_lab.report.contents import as_image
from nasbench_lab.stats.predictions import interval_of, prediction_frame, prediction_lines
from nasbench_lab.words import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.landscape.predictors import PredictorStudy
    from nasbench_lab.results.result import Result

MOST = 2
"""The most tables whose predictors a report judges; each takes about two seconds per predictor."""

SIZES, SEEDS, TEST = (10, 40, 100), 5, 500
"""How many architectures are learned from, how often, and how many others are predicted."""

Settings = tuple[str, Mapping[str, Any]]
"""A predictor's name, and its settings."""


def predictions(result: Result, given: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What predictors achieve, for the first ``MOST`` tables that have enough values.

    Args:
        result: The result; the predictors of its searches are judged.
        given: More predictors, each as ``name`` or ``name(setting=value, …)``.

    Returns:
        For each table its ``benchmark``, ``lines`` (sentences), ``image`` and its size, ``sizes``, the
        ``rows`` of a table (predictor, its searches, Kendall's tau for each size) and ``left_out``
        (predictor and reason).

    Raises:
        UnknownNameError: There is no such predictor or setting.
        HyperparameterError: What is given is no predictor with settings.
    """
    more = {text: parse_algorithm(text) for text in given}
    found: list[dict[str, Any]] = []
    for name in result.tables_with_runs:
        if result.experiment.benchmark(name).program is None and len(found) < MOST:
            one = _of_table(result, name, more)
            found += [] if one is None else [one]
    return found


def _of_table(result: Result, name: str, given: Mapping[str, Settings]) -> dict[str, Any] | None:
    """What predictors achieve on one table; None without predictors that suit it, or enough values."""
    benchmark = result.benchmark(name)
    table = benchmark.table
    objective = table.column(benchmark.first_objective).name
    n_known = int(np.isfinite(table.values(objective)).sum())
    sizes = [n for n in SIZES if n <= n_known // 2]
    searches = _of_searches(result, benchmark)
    chosen = {label: settings for label, (settings, _) in searches.items()} | {**given}
    if not sizes or not chosen:
        return None
    study = study_predictors(
        *(table, objective, chosen),
        sizes=sizes,
        seeds=SEEDS,
        test=TEST,
        top=1,
        one_trial=benchmark.noisy,
        leave_out=True,
    )
    if not len(study.frame):
        return None
    cells: dict[str, list[str]] = {}
    for line in prediction_frame(study.frame, ["kendall"]).to_dict(orient="records"):
        cells.setdefault(line["predictor"], []).append(interval_of(line, "kendall"))
    return {
        "benchmark": name,
        "lines": prediction_lines(study.frame, study.column.unit),
        "sizes": sizes,
        "seeds": SEEDS,
        "rows": [
            {
                "predictor": label,
                "searches": listed(searches[label][1]) if label in searches else "",
                "cells": row,
            }
            for label, row in cells.items()
        ],
        "left_out": study.left_out,
        **as_image(_figure, study),
    }


def _of_searches(
    result: Result, benchmark: TableBenchmark
) -> dict[str, tuple[Settings, list[str]]]:
    """The predictors of installed algorithms by what to show, with the algorithms that have them."""
    found: dict[str, tuple[Settings, list[str]]] = {}
    for setting in result.experiment.algorithms:
        try:
            name, hyperparameters = parse_algorithm(setting.algorithm)
            if (
                name not in algorithm_modules()  # a result must not make us load other code
                or "predictor" not in all_hyperparameters(algorithm_class(name))
            ):
                continue
            maximize = [objective.maximize for objective in benchmark.objectives]
            algorithm = make_algorithm(name, benchmark.space, maximize=maximize, **hyperparameters)
        except NasbenchLabError:  # a result of another version may have settings that are no more
            continue
        kind = getattr(algorithm, "predictor", None)
        settings = dict(getattr(algorithm, "predictor_settings", {}))
        if isinstance(kind, str) and kind in PREDICTORS:
            values = ", ".join(f"{key}={value}" for key, value in settings.items())
            label = f"{kind}({values})" if values else kind
            found.setdefault(label, ((kind, settings), []))[1].append(setting.name)
    return found


def _figure(study: PredictorStudy) -> Figure:
    return predictors_figure(study, ("kendall", "regret"))

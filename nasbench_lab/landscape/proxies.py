"""How well zero-cost proxies rank the architectures of a table, beside published correlations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import QueryError
from nasbench_lab.landscape.reliability import TOP, rank_correlation, top_rows
from nasbench_lab.tables.columns import Column
from nasbench_lab.tables.proxies import PROXIES, held_proxies, score_column, seconds_column
from nasbench_lab.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

BASELINE = "params"
"""The proxy that others are to beat: counting parameters takes no network at all."""

SETS = {
    "cells": "9,445 cells, validation after 200 epochs, by scores of NAS-Bench-Suite-Zero",
    "suite_zero": "200 random cells and 5 seeds, logs of NAS-Bench-Suite-Zero (arXiv 2210.03230)",
    "abdelfattah": "all 15,625 cells, Abdelfattah et al. 2021 (arXiv 2101.08134)",
}
"""What published correlations are of, all on NAS-Bench-201 and CIFAR-10."""

PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "jacov": {"cells": 0.830, "suite_zero": 0.738, "abdelfattah": 0.731},
    "epe_nas": {"cells": 0.796, "suite_zero": 0.732},
    "naswot": {"cells": 0.794},
    "params": {"cells": 0.741, "suite_zero": 0.710},
    "synflow": {"cells": 0.734, "suite_zero": 0.753, "abdelfattah": 0.737},
    "l2_norm": {"cells": 0.720, "suite_zero": 0.665},
    "flops": {"cells": 0.707, "suite_zero": 0.684},
    "snip": {"cells": 0.545, "suite_zero": 0.591, "abdelfattah": 0.596},
    "grad_norm": {"cells": 0.543, "suite_zero": 0.588, "abdelfattah": 0.594},
    "fisher": {"cells": 0.493, "suite_zero": 0.488, "abdelfattah": 0.360},
    "grasp": {"cells": 0.489, "suite_zero": 0.444, "abdelfattah": 0.514},
    "plain": {"cells": -0.369, "suite_zero": -0.317},
    "zen": {"cells": 0.101},
}
"""Published Spearman correlations with the final accuracy, by proxy and by set of ``SETS``."""


@dataclass(frozen=True)
class ProxyStudy:
    """Rank correlations of proxies with the end of training, made by ``study_proxies``.

    Args:
        table: The table's name.
        columns: The columns that proxies are compared with: the objective of searches, and what
            results are reported in.
        rows: How many rows of the table have scores.
        of: How many rows the table has.
        frame: A line per proxy, the best by the first column first, with the proxy's name and:

            - ``better``, ``"more"`` or ``"less"``, as its authors say. Correlations are positive if
              what they call better is better;
            - ``spearman_C``, ``kendall_C``, ``top_spearman_C`` and ``top_kendall_C`` for each column
              C: over all rows, and over the share ``TOP`` that is best by that column;
            - ``values``, how many different scores there are;
            - ``beats_params`` and ``top_beats_params``: whether both correlations with the first column
              are larger than those of the number of parameters;
            - ``seconds``, the median of one network;
            - ``published_S``, Spearman's correlation of each set S of ``SETS``.
    """

    table: str
    columns: tuple[Column, ...]
    rows: int
    of: int
    frame: pd.DataFrame


def study_proxies(
    table: Table,
    objective: str | None = None,
    report: str | None = None,
    scores: Mapping[str, Floats] | None = None,
    seconds: Mapping[str, Floats] | None = None,
) -> ProxyStudy:
    """Correlates proxies with what came of training.

    Args:
        table: The table.
        objective: The column that searches see; the table's own by default.
        report: The column that results are reported in; the table's own by default.
        scores: ``(rows,)`` scores by proxy, NaN where there is none; the table's columns by default.
        seconds: ``(rows,)`` seconds by proxy; the table's columns by default.

    Raises:
        QueryError: There are no scores, or the table names no objective.
    """
    import pandas as pd

    if scores is None:
        held = held_proxies(table)
        scores = {name: table.values(score_column(name)) for name in held}
        times = {name: seconds_column(name) for name in held}
        seconds = {n: table.values(c) for n, c in times.items() if c in table.columns}
    if not scores:
        raise QueryError(f"Table {table.name!r} holds no scores by zero-cost proxies.")
    names = dict.fromkeys([objective or table.info.objective, report or table.info.report])
    columns = tuple(table.column(name) for name in names if name)
    if not columns:
        raise QueryError(f"Table {table.name!r} names no objective to compare proxies with.")
    lines = [_line(table, columns, name, values) for name, values in scores.items()]
    frame = pd.DataFrame(lines)
    first = columns[0].name
    for top in ("", "top_"):
        found = frame.set_index("proxy")[[f"{top}{kind}_{first}" for kind in _KINDS]]
        least = found.reindex([BASELINE]).to_numpy()
        frame[f"{top}beats_params"] = (found.to_numpy() > least).all(axis=1)
    frame["seconds"] = [_median((seconds or {}).get(name)) for name in frame["proxy"]]
    for key in SETS:
        frame[f"published_{key}"] = [PUBLISHED.get(n, {}).get(key, np.nan) for n in frame["proxy"]]
    frame = frame.sort_values(f"spearman_{first}", ascending=False, kind="stable")
    scored = int((~np.isnan(np.array(list(scores.values())))).any(axis=0).sum())
    return ProxyStudy(table.name, columns, scored, len(table), frame.reset_index(drop=True))


def _line(table: Table, columns: tuple[Column, ...], name: str, values: Floats) -> dict[str, Any]:
    maximize = PROXIES[name].maximize
    signed = values if maximize else -values
    line: dict[str, Any] = {"proxy": name, "better": "more" if maximize else "less"}
    for column in columns:
        target = table.values(column.name)
        fitness = np.where(np.isnan(signed), np.nan, target if column.maximize else -target)
        best = top_rows(np.nan_to_num(fitness, nan=-np.inf), TOP)
        for top, rows in (("", slice(None)), ("top_", best)):
            found = rank_correlation(signed[rows], fitness[rows])
            line |= dict(zip((f"{top}{k}_{column.name}" for k in _KINDS), found, strict=True))
    return line | {"values": len(np.unique(values[~np.isnan(values)]))}


_KINDS = ("spearman", "kendall")


def _median(seconds: Floats | None) -> float:
    if seconds is None or np.isnan(seconds).all():
        return float("nan")
    return float(np.nanmedian(seconds))

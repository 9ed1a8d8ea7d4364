"""The command that judges predictors: ``predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from nasbench_lab.cli.console import Json, console, print_json, print_rows, progress
from nasbench_lab.cli.results import NoTitle
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.landscape.predictors import PredictorStudy

NAMES = (
    "random_forest, gradient_boosting, xgboost, lightgbm, ngboost, ridge, bayesian_ridge, gp, "
    "mlp_ensemble, gcn, learning_curve and zero_cost"
)

PREDICT_EXAMPLES = """Examples:\n
    nasbench-lab predict nb201-digits --predictor random_forest --predictor "gp(kernel=wl)"\n
    nasbench-lab predict nas-bench-graph/cora --size 20 --size 200 --seeds 30"""


def predict(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="Such as nas-bench-graph/cora, or table/task.")
    ],
    predictor: Annotated[
        list[str] | None,
        typer.Option(
            "--predictor",
            "-p",
            help="Name, or name(setting=value, …), several times; all that can learn from the table "
            f"if unset. There are {NAMES}.",
        ),
    ] = None,
    size: Annotated[
        list[int] | None,
        typer.Option(
            "--size",
            "-n",
            min=1,
            help="How many architectures to learn from, several times; 10, 40, 100 and 400 if unset.",
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="The column to predict; the table's objective by default.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many draws of architectures.")] = 10,
    test: Annotated[int, typer.Option(min=2, help="How many others to predict.")] = 1000,
    top: Annotated[int, typer.Option(min=1, help="How many the top has.")] = 10,
    early: Annotated[
        int | None,
        typer.Option(min=1, help="Epochs that learning_curve sees; a quarter of all if unset."),
    ] = None,
    one_trial: Annotated[
        bool,
        typer.Option(
            "--one-trial",
            help="Learn the value of one random trial, which is what a search sees, not the mean.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Where to put it; results, as predict-TABLE, if unset."
        ),
    ] = None,
    no_title: NoTitle = False,
    as_json: Json = False,
) -> None:
    """Let predictors learn from some architectures of a table, and judge what they say of others.

    Rank correlations, the share of the top that is found, the regret of the best predicted, and times;
    means over seeds with 95 % intervals. Leaves predictors.csv, runs.csv and a figure in a folder.
    """
    from nasbench_lab.csv_files import write_csv
    from nasbench_lab.figures.predictors import predictors_figure
    from nasbench_lab.figures.saving import save_figure
    from nasbench_lab.files import atomic_file
    from nasbench_lab.landscape.predictors import METRICS, study_predictors
    from nasbench_lab.registry import open_task
    from nasbench_lab.stats.predictions import prediction_frame, prediction_lines

    chosen = _parsed(predictor)
    opened, task = open_task(table)
    with progress("fits") as advance:
        study = study_predictors(
            opened,
            by or task.objective,
            chosen,
            sizes=size,
            seeds=seeds,
            test=test,
            top=top,
            early=early,
            one_trial=one_trial,
            progress=advance,
        )
    means = prediction_frame(study.frame, list(METRICS))
    folder = output or Path("results") / f"predict-{table.replace('/', '-')}"
    figure = predictors_figure(study, title=not no_title)
    files = save_figure(figure, folder / "predictors", data=means)
    files.append(folder / "runs.csv")
    with atomic_file(files[-1]) as path:
        write_csv(study.frame, path)
    if as_json:
        print_json(
            {
                "table": study.table,
                "column": study.column.name,
                "test": study.test,
                "top": study.top,
                "predictors": means.to_dict(orient="records"),
                "words": prediction_lines(study.frame, study.column.unit),
                "left_out": dict(study.left_out),
                "files": [str(file) for file in files],
            }
        )
        return
    _show(study, means)
    names = ", ".join(file.name for file in files)
    console.print(f"In {folder}: {names}.", soft_wrap=True, markup=False, highlight=False)


def _parsed(given: list[str] | None) -> dict[str, tuple[str, dict[str, Any]]] | None:
    """Names and settings, by what was given."""
    from nasbench_lab.registry.algorithms import parse_algorithm

    if not given:
        return None
    chosen = {text: parse_algorithm(text) for text in given}
    if len(chosen) < len(given):
        raise HyperparameterError(f"Expected different predictors but got {', '.join(given)}.")
    return chosen


def _show(study: PredictorStudy, means: pd.DataFrame) -> None:
    from nasbench_lab.stats.predictions import prediction_lines

    unit = "" if study.column.unit == "1" else f" in {study.column.unit}"
    console.print(
        f"[bold]{escape(study.table)}[/bold], {escape(study.column.name)}: predictions of "
        f"{counted(study.test, 'architecture')}, {counted(int(means['seeds'].min()), 'seed')}; mean "
        f"and 95 % interval; regret{escape(unit)}",
        highlight=False,
        soft_wrap=True,
    )
    print_rows(
        [
            {
                "predictor": line["predictor"],
                "of": line["architectures"],
                "Kendall's τ": _interval(line, "kendall"),
                "Spearman's ρ": f"{line['spearman']:.2f}",
                f"top {study.top}": _interval(line, "precision"),
                "regret": _interval(line, "regret", ".3g"),
                "fit s": f"{line['fit_s']:.2g}",
                "query ms": f"{line['query_ms']:.2g}",
            }
            for line in means.to_dict(orient="records")
        ],
        False,
    )
    for line in prediction_lines(study.frame, study.column.unit):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for name, reason in study.left_out.items():
        console.print(f"Left out {name}: {reason}", style="dim", highlight=False, markup=False)


def _interval(line: dict[str, Any], metric: str, form: str = ".2f") -> str:
    low, high = (format(line[f"{metric}_{end}"], form) for end in ("low", "high"))
    return f"{line[metric]:{form}} [{low},{high}]"

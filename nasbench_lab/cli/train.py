"""The commands that train: ``build-table`` and ``validate``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from nasbench_lab.cli.console import (
    Json,
    console,
    continued_when_repeated,
    errors,
    print_json,
    print_rows,
    progress,
)
from nasbench_lab.cli.execution import algorithms_at_work
from nasbench_lab.errors import ExperimentError, UnknownNameError
from nasbench_lab.trainer import need_torch
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from nasbench_lab.spaces import Architecture
    from nasbench_lab.tables.columns import Column
    from nasbench_lab.tables.table import Table
    from nasbench_lab.validation import Validation

VALIDATE_EXAMPLES = """Examples:\n
    nasbench-lab validate results/my-run --top 3\n
    nasbench-lab validate results/my-run --device cuda --epochs 12 --data-folder ~/cifar\n
    nasbench-lab validate nb201-digits --table-seeds --architecture "|nor_conv_3x3~0|+…" """

BUILD_EXAMPLES = """Examples:\n
    nasbench-lab build-table tabular_data/recipes/nb201-digits.toml\n
    nasbench-lab build-table my.toml --output tables/mine --proxies-only"""

DataFolder = Annotated[
    Path | None, typer.Option(help="Where the data set's files are; the digits need none.")
]
Jobs = Annotated[int, typer.Option(help="Processes; -1 for one per core.")]


def build_table(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="What is built, and how.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The table's folder; in the data folder if unset."),
    ] = None,
    data_folder: DataFolder = None,
    jobs: Jobs = -1,
    proxies_only: Annotated[
        bool,
        typer.Option(
            "--proxies-only",
            help="Train nothing: add the recipe's proxies to the table that it has made.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train every network of a space, and make a table of what comes of it.

    A build that was stopped goes on where it was when the command is given again. After training,
    the time of an epoch is measured, one network after the other: leave the machine alone then.
    Last, networks are scored by the zero-cost proxies that the recipe names, if any.
    """
    need_torch()
    from nasbench_lab.registry import table_folder
    from nasbench_lab.trainer import build
    from nasbench_lab.trainer.table_recipe import read_recipe

    folder = output or table_folder(read_recipe(recipe).name)
    with continued_when_repeated(), progress("networks") as advance:
        make = build.add_proxies if proxies_only else build.build_table
        table = make(recipe, folder, data_folder=data_folder, n_jobs=jobs, progress=advance)
    summary = table.info.details["build"]
    assert isinstance(summary, dict)
    scored = table.info.details.get("proxies")
    if as_json:
        of_scores = {"scoring_wall_s": scored["wall_s"]} if isinstance(scored, dict) else {}
        print_json({"table": table.name, "folder": str(folder), **summary, **of_scores})
        return
    console.print(
        f"{table.name}: {counted(summary['networks'], 'network')} trained in "
        f"{summary['training_wall_s'] / 60:.1f} min ({summary['network_s'] / 60:.1f} min of one "
        f"process), their times measured in {summary['measuring_wall_s'] / 60:.1f} min"
        + (f", scored in {scored['wall_s'] / 60:.1f} min" if isinstance(scored, dict) else "")
        + f". {folder}",
        soft_wrap=True,
        markup=False,
    )


def validate(
    what: Annotated[
        str, typer.Argument(metavar="RESULT", help="A result folder, or a table's name.")
    ],
    top: Annotated[int, typer.Option(min=1, help="How many of the best are trained.")] = 3,
    architecture: Annotated[
        list[str] | None,
        typer.Option("--architecture", help="Train this one instead of the best; may be repeated."),
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option("--benchmark", "-b", help="Which, if the result has several.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many, other than the table's own.")] = 3,
    table_seeds: Annotated[
        bool, typer.Option("--table-seeds", help="Train the table's own seeds, to check entries.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of the training; the table's own if unset.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
    data_folder: DataFolder = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The folder of the outcome; that of the result if unset. watch shows it.",
        ),
    ] = None,
    jobs: Jobs = -1,
    as_json: Json = False,
) -> None:
    """Train the best architectures that a comparison found, and compare with the table.

    Of searches by real training, it compares with the trainings of the search itself.

    The test accuracy comes first: no search saw it. The validation accuracy is what the search
    chose by, so the table's is too good on average. Both are tested with Student's t, the variance
    pooled over the best architectures, or Welch's for those named with --architecture, and the
    p-values by Holm; beside "agree" stands how far from the table the truth may still be. The
    outcome is added to the result folder. nasbench-lab watch shows the folder meanwhile.
    """
    need_torch()
    from nasbench_lab.validation import (
        new_seeds,
        recipe_of,
        table_trials,
    )
    from nasbench_lab.validation import validate as run_validation

    folder = Path(what) if Path(what, "manifest.json").is_file() else None
    if folder is not None and (name := _that_trains(folder, benchmark)) is not None:
        if epochs is not None:
            raise ExperimentError(
                "What a search trained says for how many epochs; leave --epochs out."
            )
        validation = _validate_search(
            *(folder, name, architecture, top, seeds, table_seeds, device, data_folder, jobs),
            output or folder,
        )
        files = validation.save(output or folder)
        _show(validation, as_json)
        if not as_json:
            _tell_files(files)
        return
    table, column, found = _chosen(what, folder, benchmark, architecture, top)
    recipe = recipe_of(table, column, epochs)
    if table_seeds and epochs is not None:
        raise ExperimentError("--table-seeds checks the table's own training; leave --epochs out.")
    if epochs is None and not any(table_trials(table, recipe, a) for a, _ in found):
        raise ExperimentError(
            f"{table.name!r} does not say what came of {counted(recipe.epochs, 'epoch')} on "
            f"{recipe.data} by "
            f"split, so there would be nothing to compare with. To train nevertheless, say for how "
            f"long: --epochs."
        )
    if not as_json:
        whose = "its own recipe" if "recipe" in table.info.details else "the published recipe"
        errors.print(
            f"Training {counted(len(found), 'architecture')} of {table.name} on {recipe.data} for "
            f"{counted(recipe.epochs, 'epoch')} by {whose}.",
            highlight=False,
        )
    place = output or folder
    with progress("epochs") as advance:
        validation = run_validation(
            table,
            found,
            recipe,
            seeds=None if table_seeds else new_seeds(table, seeds),
            pooled=not architecture,
            device=device,
            files=data_folder,
            n_jobs=jobs,
            folder=place,
            progress=advance,
        )
    # First what is to be kept: the output may be closed.
    files = [] if place is None else validation.save(place)
    _show(validation, as_json)
    if files and not as_json:
        _tell_files(files)


def _tell_files(files: list[Path]) -> None:
    console.print(f"The outcome is in {', '.join(map(str, files))}", soft_wrap=True, markup=False)


def _that_trains(folder: Path, name: str | None) -> str | None:
    """The benchmark of a result, if it is no table."""
    from nasbench_lab.results.result import Result

    experiment = Result.open(folder).experiment
    names = [one.name for one in experiment.benchmarks if one.program is not None]
    if name is None and len(experiment.benchmarks) == 1:
        return names[0] if names else None
    return name if name in names else None


def _validate_search(
    folder: Path,
    name: str,
    architectures: list[str] | None,
    top: int,
    seeds: int,
    own_seeds: bool,
    device: str,
    data_folder: Path | None,
    jobs: int,
    output: Path,
) -> Validation:
    """Validates what searches by real training found."""
    from nasbench_lab.cli.training import noted_benchmark
    from nasbench_lab.results.result import Result
    from nasbench_lab.validation import top_architectures, validate_search

    result = Result.open(folder)
    with algorithms_at_work():
        benchmark = noted_benchmark(folder, result, name, device, data_folder)
    found = [(benchmark.space.from_string(text), dict[str, int]()) for text in architectures or ()]
    last = max(benchmark.seeds) + 1
    with continued_when_repeated(), progress("epochs") as advance:
        return validate_search(
            benchmark,
            found or top_architectures(result, name, top),
            seeds=None if own_seeds else range(last, last + seeds),
            pooled=not architectures,
            n_jobs=jobs,
            folder=output,
            progress=advance,
        )


def _chosen(
    what: str, folder: Path | None, name: str | None, architectures: list[str] | None, top: int
) -> tuple[Table, Column, list[tuple[Architecture, dict[str, int]]]]:
    """The table, the column that results are reported in, and what is to be trained."""
    from nasbench_lab.registry import load_benchmark
    from nasbench_lab.results.result import Result
    from nasbench_lab.validation import top_architectures

    result = Result.open(Path(what)) if folder or Path(what).exists() else None
    if result is None:
        opened = load_benchmark(what)
    else:
        names = result.benchmarks
        if name is None and len(names) > 1:
            raise ExperimentError(
                f"The result has several benchmarks; name one with --benchmark: {', '.join(names)}."
            )
        if name is not None and name not in names:
            raise UnknownNameError("benchmark of this result", name, names)
        opened = result.benchmark(name or names[0])
    table, space = opened.table, opened.space
    column = table.column(opened.report)
    if architectures:
        return table, column, [(space.from_string(text), {}) for text in architectures]
    if result is not None:
        return table, column, top_architectures(result, opened.name, top)
    rows = table.ranking(opened.first_objective)[:top]
    return table, column, [(tuple(a), {}) for a in table.architectures[rows].tolist()]


def _show(validation: Validation, as_json: bool) -> None:
    from nasbench_lab.tables.columns import ranges

    frame = validation.to_frame()
    rows = frame.to_dict(orient="records")
    if as_json:
        print_json(rows)
        return
    seeds = ranges(validation.seeds)
    console.print(
        f"{validation.table}: {counted(len(validation.entries), 'architecture')}, "
        f"{counted(validation.epochs, 'epoch')}, seed{'s' * (len(validation.seeds) != 1)} "
        f"{seeds}, on {validation.device}",
        highlight=False,
        markup=False,
    )
    for number, entry in enumerate(validation.entries, start=1):
        found = ", ".join(f"{n} of {k}" for k, n in entry.found_by.items())
        ends = f": where runs ended, {found}" if found else ""
        console.print(
            f"{number}: {escape(entry.architecture)}{ends}", highlight=False, soft_wrap=True
        )
    order = {entry.architecture: i for i, entry in enumerate(validation.entries, start=1)}
    shown = [
        {
            "accuracy (%)": f"{row['split']}, {order[row['architecture']]}",
            validation.known: _spread(row["table"], row["table_sd"], row["table_n"]),
            "trained": _spread(row["trained"], row["trained_sd"], row["trained_n"]),
            "difference": _signed(row["difference"], row["half_width"]),
            "p": "" if math.isnan(row["p"]) else f"{row['p']:.2g}",
            "": {None: "cannot say", True: "agree", False: "differ"}[row["agree"]],
        }
        for row in rows
    ]
    print_rows(shown, False)
    console.print(_meaning(validation), highlight=False)


def _meaning(validation: Validation) -> str:
    """What the lines above say and what not."""
    if all(entry.same is not None for entry in validation.entries):
        if all(entry.same for entry in validation.entries):
            return (
                f"With the {validation.known}'s own seeds: the same accuracies and losses after every "
                f"epoch, to the bit."
            )
        return (
            f"With the {validation.known}'s own seeds, not all accuracies and losses came out again. "
            "Other processors and versions of PyTorch round otherwise; the means should still be close."
        )
    if not any(entry.table for entry in validation.entries):
        return (
            f"The table holds no training of {counted(validation.epochs, 'epoch')} of this data "
            f"set, so there is "
            f"nothing to compare with: each schedule is a training of its own."
        )
    words = (
        f"Mean ± standard deviation (trials). Difference ± half of its 95 % interval: so far from the "
        f"{validation.known} may the truth be. Searches chose by the {validation.known}'s valid, so it "
        "is too good on average. Its test is of the same trainings, and too good as far as these were "
        "lucky."
    )
    if validation.other_images:
        words += (
            f" Our {' and '.join(validation.other_images)} images are others than the table's: the "
            f"split file of NAS-Bench-201 is not in the data folder."
        )
    return words


def _spread(mean: float, deviation: float, n: int) -> str:
    if not n:
        return "none"
    spread = "" if math.isnan(deviation) else f" ± {deviation:.2f}"
    return f"{mean:.2f}{spread} ({n})"


def _signed(difference: float, half_width: float) -> str:
    if math.isnan(difference):
        return ""
    return f"{difference:+.2f}" + ("" if math.isnan(half_width) else f" ± {half_width:.2f}")

"""The commands that look at results: ``plot``, ``report``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from nasbench_lab.cli.console import Json, console, errors, print_json
from nasbench_lab.cli.options import AxisOption, MetricOption, ReferenceOption, StatisticOption
from nasbench_lab.cli.summary import print_summary, summary_of
from nasbench_lab.errors import BudgetError, ExperimentError, QueryError

if TYPE_CHECKING:
    from nasbench_lab.figures.layout import Look
    from nasbench_lab.results.result import Result
    from nasbench_lab.stats import Axis

PLOT_EXAMPLES = """Examples:\n
    nasbench-lab plot results/my-run --metric valid_regret --statistic median\n
    nasbench-lab plot results/my-run --ranks --critical-difference --width page\n
    nasbench-lab plot results/my-run --schedule --seed 3\n
    nasbench-lab plot results/my-run --no-title --highlight gp_bo --limits 0.1,10 --log\n
    nasbench-lab plot results/my-run --all --output paper/figures"""


NoTitle = Annotated[
    bool,
    typer.Option(
        "--no-title", help="Leave the titles out; of several panels, short ones tell them apart."
    ),
]


def _limits(text: str) -> tuple[float, float]:
    """The limits of an axis that an option names."""
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"Expected the lower and the upper limit, such as 0.1,10, but got {text!r}.",
            param_hint="limits",
        ) from None
    return low, high


def _colours(text: str) -> str | list[str]:
    """The colours, or the colormap, that an option names."""
    names = [name.strip() for name in text.split(",")]
    return names[0] if len(names) == 1 else names


def _inches(width: str) -> float:
    """The width of a figure that an option names."""
    from nasbench_lab.figures import WIDTHS

    try:
        inches = WIDTHS[width] if width in WIDTHS else float(width)
    except ValueError:
        inches = math.nan
    if not 2.5 <= inches <= 50:
        raise typer.BadParameter(
            f"Expected {', '.join(WIDTHS)} or inches from 2.5 to 50, but got {width!r}."
        )
    return inches


def plot(
    folder: Annotated[Path, typer.Argument(metavar="RESULT", help="A result folder.")],
    metric: MetricOption = None,
    axis: AxisOption = None,
    statistic: StatisticOption = "mean",
    ranks: Annotated[
        bool, typer.Option("--ranks", help="Draw mean ranks over time instead.")
    ] = False,
    ecdf: Annotated[
        bool, typer.Option("--ecdf", help="Draw how many targets were reached over time instead.")
    ] = False,
    critical_difference: Annotated[
        bool,
        typer.Option(
            "--critical-difference",
            help="Draw mean ranks over tables, and which differ by Nemenyi's test, instead.",
        ),
    ] = False,
    final: Annotated[
        bool, typer.Option("--final", help="Draw what each run came to at its end instead.")
    ] = False,
    pareto: Annotated[
        bool,
        typer.Option("--pareto", help="Draw Pareto fronts and hypervolume over time instead."),
    ] = False,
    schedule: Annotated[
        bool, typer.Option("--schedule", help="Draw the workers' Gantt chart of one seed instead.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="The seed whose schedule is drawn; the first if unset.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Draw every figure that the result allows.")
    ] = False,
    width: Annotated[
        float,
        typer.Option(
            parser=_inches,
            metavar="WIDTH",
            help="Of the figures: column (3.35 inches) or page (7 inches) of a paper, or inches.",
        ),
    ] = "column",  # type: ignore[assignment]  # typer parses it
    no_title: NoTitle = False,
    limits: Annotated[
        str | None, typer.Option(metavar="LIMITS", help="Of the axis of values, such as 0.1,10.")
    ] = None,
    log: Annotated[
        bool,
        typer.Option(
            "--log",
            help="Make the axis of values logarithmic, as it is anyhow where regrets differ much.",
        ),
    ] = False,
    linear: Annotated[bool, typer.Option("--linear", help="Make it linear.")] = False,
    colors: Annotated[
        str | None,
        typer.Option(
            parser=_colours,
            metavar="COLORS",
            help="Of the algorithms, such as black,red,blue; or one of the colormaps of matplotlib, "
            "such as viridis.",
        ),
    ] = None,
    highlight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Draw this algorithm in colour before the others, which are grey; may be repeated.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to put it; with the result if unset."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw figures of a result for a paper: PNG, SVG and PDF, with the data beside them as CSV.

    Without options: the anytime figure. The summary is printed by compare and run, and is in the
    report.
    """
    from nasbench_lab.figures.layout import Look
    from nasbench_lab.results.result import Result

    flags = {
        "ranks": ranks,
        "ecdf": ecdf,
        "critical difference": critical_difference,
        "final": final,
        "pareto": pareto,
        "schedule": schedule,
    }
    kinds = [kind for kind, flag in flags.items() if flag or everything]
    if seed is not None and "schedule" not in kinds:
        raise typer.BadParameter(
            "It says which schedule is drawn: give --schedule.", param_hint="seed"
        )
    if metric is not None and kinds and not set(kinds) - {"pareto", "schedule"}:
        raise typer.BadParameter("These figures have no metric.", param_hint="metric")
    if log and linear:
        raise typer.BadParameter("It is either --log or --linear.", param_hint="linear")
    scale = {"limits": limits, "log": log, "linear": linear}
    if kinds and not set(kinds) - {"critical difference", "schedule"}:
        for hint in filter(scale.get, scale):
            raise typer.BadParameter("These figures have no axis of values.", param_hint=hint)
    look = Look(
        title=not no_title,
        limits=None if limits is None else _limits(limits),
        log=log if log or linear else None,
        highlight=tuple(highlight or ()),
    )
    if colors is not None:
        look = replace(look, colours=colors)
    result, where, files = Result.open(folder), output or folder, []
    look.lines(result.algorithms)
    if everything or not kinds:
        files.append(draw_anytime(result, where, metric, axis, statistic, width, look))
    left_out = []
    for kind in kinds:
        asked = flags[kind] or (kind == "schedule" and seed is not None)
        if kind == "schedule" and not asked and result.experiment.workers.count == 1:
            left_out.append(
                "No figure of schedule: one worker does one thing after the other; --schedule draws it."
            )
            continue
        try:
            files.append(_draw(kind, result, where, metric, axis, seed, width, look))
        except (BudgetError, ExperimentError, QueryError) as error:
            if kinds == [kind]:
                raise
            left_out.append(f"No figure of {kind}: {error}")
    # Where figures were asked for by name, one that cannot be drawn is an error.
    failed = bool(left_out) and not everything
    notes = result.notes_on_origin()
    if as_json:
        said: dict[str, Any] = {"left_out": left_out} if everything or failed else {}
        said |= {"notes": notes} if notes else {}
        print_json({**said, "figures": [str(file) for some in files for file in some]})
    for note in [] if as_json else notes:
        console.print(f"Note: {note}", markup=False, highlight=False, soft_wrap=True)
    for line in [] if as_json else left_out:
        (errors if failed else console).print(line, markup=False, highlight=False, soft_wrap=True)
    for first, *others in [] if as_json else files:
        endings = ", ".join(file.suffix for file in others)
        console.print(f"Figure: {first}, {endings}", markup=False, highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _draw(
    kind: str,
    result: Result,
    folder: Path,
    metric: str | None,
    axis: str | None,
    seed: int | None,
    width: float,
    look: Look,
) -> list[Path]:
    """Writes one of the figures that have a flag, and its data; returns the files."""
    from nasbench_lab.figures import comparison, save_figure
    from nasbench_lab.figures.layout import PAPER
    from nasbench_lab.figures.pareto import pareto_data, pareto_figure
    from nasbench_lab.figures.schedule import schedule_data, schedule_figure

    along = cast("Axis", axis or result.axis)
    best = metric or ("hypervolume" if _several_objectives(result) else "test_regret")
    sought = metric or ("hypervolume" if _several_objectives(result) else "valid_regret")
    # Of each figure the file's name, the data, the figure, and what both are made from.
    drawings: dict[str, tuple[str, Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
        "ranks": (
            f"ranks_{best}_{along}",
            comparison.rank_data,
            comparison.rank_figure,
            (best, along),
        ),
        "ecdf": (
            f"ecdf_{sought}_{along}",
            comparison.ecdf_data,
            comparison.ecdf_figure,
            (sought, along),
        ),
        "critical difference": (
            f"critical_difference_{best}",
            comparison.critical_difference_data,
            comparison.critical_difference_figure,
            (best,),
        ),
        "final": (f"final_{best}", comparison.final_data, comparison.final_figure, (best,)),
        "pareto": ("pareto", pareto_data, pareto_figure, (along,)),
        "schedule": (
            "schedule" if seed is None else f"schedule_{seed}",
            schedule_data,
            schedule_figure,
            (seed,),
        ),
    }
    stem, data_of, figure_of, arguments = drawings[kind]
    data = data_of(result, *arguments)
    figure = figure_of(result, *arguments, width=width, data=data, look=look)
    return save_figure(figure, folder / stem, PAPER, data)


def show(
    result: Result,
    folder: Path,
    metric: str | None,
    axis: str | None,
    statistic: str,
    reference: str | None,
    as_json: bool,
) -> list[Path]:
    """Prints the summary and writes the anytime figure for the screen; returns its files."""
    files = draw_anytime(result, folder, metric, axis, statistic)
    if as_json:
        print_json({**summary_of(result, reference), "figures": [str(file) for file in files]})
    else:
        print_summary(result, reference)
    return files


def draw_anytime(
    result: Result,
    folder: Path,
    metric: str | None,
    axis: str | None,
    statistic: str,
    width: float | None = None,
    look: Look | None = None,
) -> list[Path]:
    """Writes the anytime figure: for the screen, or so wide, with its data, for a paper."""
    from nasbench_lab.figures import anytime_data, anytime_figure, save_figure
    from nasbench_lab.figures.layout import DEFAULT, PAPER

    if not result.runs:
        raise ExperimentError("No run was finished, so there is nothing to show.")
    if not any(len(run.trace) for run in result.runs):
        idle = all(not run.trace.cut_off or not len(run.trace.cut_off) for run in result.runs)
        ended = "" if idle else " that ended within the budget"
        raise ExperimentError(
            f"There is nothing to show: {', '.join(result.algorithms)} asked for no evaluation{ended}."
        )
    along = cast("Axis", axis or result.axis)
    several = _several_objectives(result)
    shown = metric or _panels(result)
    stem = f"anytime_{metric or ('objectives' if several else 'regret')}_{along}_{statistic}"
    data = anytime_data(result, shown, along, statistic=statistic)
    look = look or DEFAULT
    figure = anytime_figure(
        result, shown, along, statistic=statistic, width=width, data=data, look=look
    )
    if width is None:
        return save_figure(figure, folder / stem)
    return save_figure(figure, folder / stem, PAPER, data)


def _panels(result: Result) -> list[str]:
    """The metrics of the anytime figure: what searches saw, and what that is worth."""
    from nasbench_lab import stats

    if _several_objectives(result):
        return ["hypervolume", "test_regret"]
    benchmarks = [result.benchmark(name) for name in result.benchmarks]
    if all(map(stats.sees_trials, benchmarks)):
        return ["seen_regret", "test_regret"]
    programs = [benchmark.program for benchmark in result.experiment.benchmarks]
    if all(programs) and stats.judged_by(result) == ["valid_regret"]:
        return ["valid_regret"]  # no table says more of what was found
    return ["valid_regret", "test_regret"]


def _several_objectives(result: Result) -> bool:
    """Whether every benchmark has several, so that the hypervolume can be drawn of all."""
    return all(len(benchmark.objectives) > 1 for benchmark in result.experiment.benchmarks)


REPORT_EXAMPLES = """Examples:\n
    nasbench-lab report results/my-run\n
    nasbench-lab report results/my-run --predictor random_forest --predictor "gp(kernel=wl)"\n
    nasbench-lab report results/my-run --output report.html --open"""


def report(
    folder: Annotated[Path, typer.Argument(metavar="RESULT", help="A result folder.")],
    reference: ReferenceOption = None,
    predictor: Annotated[
        list[str] | None,
        typer.Option(
            "--predictor",
            "-p",
            help="Name, or name(setting=value, …), several times: show how well it ranks the tables' "
            "architectures, beside the predictors of the searches. Each takes seconds.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page; report.html in the folder if unset."),
    ] = None,
    show_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write one HTML page that shows a result: figures, tables, methods, citations. Works offline."""
    from nasbench_lab.report import write_report
    from nasbench_lab.results.result import Result

    page = write_report(
        *(Result.open(folder), output or folder / "report.html", reference), predictor or ()
    )
    console.print(f"Report: {page}", soft_wrap=True, markup=False, highlight=False)
    if show_it:
        typer.launch(page.absolute().as_uri())

"""The command that searches by real training, in real time: ``search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from nasbench_lab.cli.console import (
    Json,
    console,
    continued_when_repeated,
    print_json,
    print_rows,
    progress,
)
from nasbench_lab.cli.models import can_keep_models, kept_model
from nasbench_lab.cli.options import (
    BuildOption,
    DataFolderOption,
    DataOption,
    DeviceOption,
    EpochsOption,
    ExecutorOption,
    SchedulerOption,
    TrialsOption,
)
from nasbench_lab.cli.results import draw_anytime
from nasbench_lab.cli.training import DEFAULT_DATA, TrainingOptions
from nasbench_lab.cli.watching import search_watched
from nasbench_lab.trainer import need_torch
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from nasbench_lab.processes import Executor

SEARCH_EXAMPLES = """Examples:\n
    nasbench-lab search --space chain --data digits --budget 20\n
    nasbench-lab search -a asha --space nb201 --data mnist1d --budget 10min --workers 4\n
    nasbench-lab search -a gp_bo --space nb201 --data cifar10 --data-folder ~/cifar --epochs 12\n
    nasbench-lab search -a nsga2 --objective valid_accuracy --objective latency --budget 100\n
    nasbench-lab search --budget 200 --workers 16 --executor dask --scheduler tcp://HOST:8786\n
    nasbench-lab search --space my.py:space --build my.py:build --data my.npz --budget 50"""


def search(
    space: Annotated[
        str,
        typer.Option(
            metavar="SPACE",
            help="One whose networks are known here, such as chain, chain-signals and nb201; or "
            "FILE.py:NAME of your own, with --build.",
        ),
    ] = "chain",
    data: DataOption = DEFAULT_DATA,
    build: BuildOption = None,
    algorithm: Annotated[
        str,
        typer.Option(
            "--algorithm", "-a", metavar="NAME", help="Its name, or name(key=value), or your own."
        ),
    ] = "regularized_evolution",
    budget: Annotated[
        str,
        typer.Option(metavar="BUDGET", help="Evaluations, or such as 600s, 500epochs or 200,600s."),
    ] = "20",
    epochs: EpochsOption = None,
    trials: TrialsOption = 1,
    final_seeds: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Trainings of the best at the end, in full, with seeds that the search did not use; "
            "they are kept as a model. 0 leaves that out.",
        ),
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 0,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Trainings at once; -1 for one on each GPU, or on the CPU one on each core.",
        ),
    ] = 1,
    executor: ExecutorOption = "processes",
    scheduler: SchedulerOption = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC",
            help="What the search sees, such as valid_macro_f1, parameters and latency; may be "
            "repeated, for several objectives. The validation accuracy if unset.",
        ),
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BOUND",
            help="What networks must keep to, such as parameters<=0.5; may be repeated.",
        ),
    ] = None,
    evaluation_limit: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Of real time, for each evaluation; one that takes longer has failed, the search "
            "goes on.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The result folder; that of the same search in results if unset. Searches by other "
            "algorithms or seeds may join.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    data_folder: DataFolderOption = None,
    as_json: Json = False,
) -> None:
    """Search for a network by training, with its hyperparameters if the space has them.

    Workers train at once, and the algorithm is asked as they fall free. What comes of each training
    is kept in the result folder, which can be looked at meanwhile (report, plot), and trainings in the
    data folder. So a command that was stopped or killed goes on when it is given again, also in the
    middle of trainings. The search sees validation accuracies; the test accuracy of what it found is
    shown at the end. There the best is trained anew with other seeds, and kept as a model: weights,
    summary, drawing and confusion matrix, in the folder models of the result. nasbench_lab.load_model
    loads it.

    A Dask cluster runs whatever it is sent, by whomever: keep it in a network that you trust. Its
    workers need nasbench-lab and the same data folder, and one thread each (--nthreads 1).
    """
    need_torch()
    if final_seeds and not can_keep_models():
        final_seeds = 0
    from nasbench_lab.errors import BudgetError, TrainingError
    from nasbench_lab.results.result import Result
    from nasbench_lab.running.pools import workers_of
    from nasbench_lab.trainer.training import trained_as

    options = TrainingOptions(space, data, build, epochs, trials, data_folder)
    benchmark = options.benchmark(device, objective=objective or None, constraints=constraint or ())
    searched = benchmark.space
    count = workers_of(benchmark, workers)
    trace, folder = search_watched(
        algorithm,
        benchmark,
        budget,
        seed,
        count,
        cast("Executor", executor),
        scheduler,
        output,
        evaluation_limit,
    )
    options.note(folder, benchmark.name)
    if not len(trace):
        raise BudgetError(f"The budget {budget} did not suffice for one training. Give more.")
    last = int(trace.incumbents()[-1])
    if last < 0:
        for reason in trace.reasons.values():
            raise TrainingError(f"No training succeeded. The first that failed: {reason}")
        bounds = ", ".join(map(str, benchmark.constraints))
        raise TrainingError(
            f"No network that was found keeps to {bounds}. Allow more, or search on."
        )
    seen = dict(
        zip((one.name for one in trace.objectives), trace.values[last].tolist(), strict=True)
    )
    evaluations = int((~trace.derived).sum())
    chosen = searched.from_string(trace.best())
    best = searched.to_string(trained_as(searched, chosen, benchmark.recipe, benchmark.build))
    with continued_when_repeated(), progress("epochs") as advance:
        benchmark.progress = lambda done, total: advance(done, total, "training the best in full")
        found = benchmark.training(chosen)
    result = Result.open(folder)
    files = draw_anytime(result, folder, None, "seconds", "mean")
    new_seeds = range(trials, trials + final_seeds)
    at_once = count if executor == "processes" else 1
    model = (
        kept_model(benchmark, chosen, trace, result, folder, new_seeds, at_once)
        if final_seeds
        else None
    )
    ends = {name: float(values[:, -1].mean()) for name, values in found.curves.items()}
    if as_json:
        about = {
            "space": searched.name,
            "data": benchmark.dataset,
            "algorithm": algorithm,
            "seed": seed,
        }
        print_json(
            {
                **about,
                "evaluations": evaluations,
                "epochs": found.epochs,
                "best": best,
                "seen": seen,
                "valid_accuracy": ends["valid_accuracy"],
                "test_accuracy": ends.get("test_accuracy"),
                "parameters": found.parameters,
                "flops": found.flops,
                "failed": len(trace.reasons),
                "seconds": float(trace.end[-1]),
                "folder": str(folder),
                "model": None if model is None else model.to_json(),
                "random_search": None if model is None else model.cost.to_json(),
            }
        )
        return
    failed = f", of which {len(trace.reasons)} failed" if trace.reasons else ""
    console.print(
        f"{algorithm} on {benchmark.name}: {counted(evaluations, 'evaluation')}{failed}, in "
        f"{trace.end[-1]:.0f} s by {counted(count, 'worker')}, on {benchmark.device}. The best"
        f"{f' by {trace.objectives[0].name}' if len(seen) > 1 else ''}:",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    console.print(best, soft_wrap=True, highlight=False, markup=False)
    print_rows(
        [
            {
                "valid (%)": f"{ends['valid_accuracy']:.2f}",
                "test (%)": f"{ends['test_accuracy']:.2f}" if "test_accuracy" in ends else "none",
                "parameters": f"{found.parameters * 1e6:,.0f}",
                "multiply-adds (M)": f"{found.flops:.3g}",
                **{
                    f"{one.name} ({one.unit})": f"{seen[one.name]:.4g}"
                    for one in trace.objectives
                    if one.name not in ("valid_accuracy", "parameters", "flops")
                },
            }
        ],
        False,
    )
    if model is not None:
        model.show()
    console.print(
        f"Figure: {' and '.join(map(str, files))}\nAll of it on one page: nasbench-lab report {folder}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )

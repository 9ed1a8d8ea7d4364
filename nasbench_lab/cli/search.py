"""The command that searches by real training: ``search``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_lab.cli.console import (
    Json,
    console,
    continued_when_repeated,
    one_of,
    print_json,
    print_rows,
    progress,
)
from nasbench_lab.clock import CLOCKS
from nasbench_lab.trainer import need_torch
from nasbench_lab.words import counted

SEARCH_EXAMPLES = """Examples:\n
    nasbench-lab search --space chain --data digits --budget 20\n
    nasbench-lab search -a gp_bo --space nb201 --data cifar10 --data-folder ~/cifar --epochs 12\n
    nasbench-lab search --space my.py:space --build my.py:build --data my.npz --budget 50"""


def search(
    space: Annotated[
        str,
        typer.Option(
            metavar="SPACE",
            help="One whose networks are known here, such as chain, chain-signals and nb201; or "
            "path/to/file.py:NAME of your own, with --build.",
        ),
    ] = "chain",
    data: Annotated[
        str,
        typer.Option(
            metavar="DATA",
            help="A data set, such as digits, mnist1d and cifar10; an .npz file with x_train, y_train "
            "and if there are any x_valid, y_valid, x_test, y_test; or path/to/file.py:NAME of a "
            "function that returns such arrays.",
        ),
    ] = "digits",
    build: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:NAME",
            help="Your function that makes a torch.nn.Module of an architecture.",
        ),
    ] = None,
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
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of a training; those of the data's recipe if unset.")
    ] = None,
    trials: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Trainings of an architecture, whose mean counts."),
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 0,
    clock: Annotated[
        str | None,
        typer.Option(
            parser=one_of("clock", lambda: CLOCKS),
            metavar="CLOCK",
            help="What an evaluation costs; measured seconds (official) if the budget has some, else "
            "1 each.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
    data_folder: Annotated[
        Path | None, typer.Option(help="Where the files of a data set such as cifar10 are.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Search for a network by training, with its hyperparameters if the space has them.

    Trainings are kept in the data folder, so a command that was stopped goes on when it is given
    again, also in the middle of a training. The search sees validation accuracies; the test accuracy
    of what it found is shown at the end.
    """
    need_torch()
    from nasbench_lab.budget import Budget
    from nasbench_lab.errors import BudgetError
    from nasbench_lab.registry import find_space
    from nasbench_lab.running.search import run
    from nasbench_lab.trainer.benchmark import TrainingBenchmark
    from nasbench_lab.trainer.data import image_data
    from nasbench_lab.trainer.recipe import usual_recipe

    searched = find_space(space)
    images = image_data(data, data_folder)
    recipe = usual_recipe(images.name)
    begun = 0
    with continued_when_repeated(), progress("epochs") as advance:

        def show(done: int, total: int) -> None:
            nonlocal begun
            begun += done == 0
            advance(done, total, f"training {max(begun, 1)}")

        benchmark = TrainingBenchmark(
            searched,
            recipe if epochs is None else recipe.replace(epochs=epochs),
            data=images,
            build=build,
            seeds=range(trials),
            device=device,
            clock=clock or ("official" if Budget.of(budget).seconds is not None else "evaluations"),
            progress=show,
        )
        trace = run(algorithm, benchmark, budget, seed=seed)
        if not len(trace):
            raise BudgetError(f"The budget {budget} did not suffice for one training. Give more.")
        best = trace.best()
        found = benchmark.training(benchmark.space.from_string(best))
    ends = {name: float(values[:, -1].mean()) for name, values in found.curves.items()}
    if as_json:
        about = {"space": searched.name, "data": images.name, "algorithm": algorithm, "seed": seed}
        print_json(
            {
                **about,
                "evaluations": len(trace),
                "epochs": found.epochs,
                "best": best,
                "valid_accuracy": ends["valid_accuracy"],
                "test_accuracy": ends.get("test_accuracy"),
                "parameters": found.parameters,
                "flops": found.flops,
            }
        )
        return
    console.print(
        f"{algorithm} on {benchmark.name}: {counted(len(trace), 'evaluation')} of "
        f"{counted(benchmark.epochs or 0, 'epoch')}, on {benchmark.device}. The best:",
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
            }
        ],
        False,
    )

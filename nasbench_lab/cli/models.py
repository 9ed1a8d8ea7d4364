"""How a search in real time ends: its best as a trained model, and what is shown of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nasbench_lab.algorithm.needs import installing
from nasbench_lab.cli.console import console, continued_when_repeated, errors, print_rows, progress
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from nasbench_lab.results.result import Result
    from nasbench_lab.running.model import KeptModel
    from nasbench_lab.spaces import Architecture
    from nasbench_lab.stats.random_cost import RandomCost
    from nasbench_lab.trace import Trace
    from nasbench_lab.trainer.benchmark import TrainingBenchmark


class Found(NamedTuple):
    """What a search found.

    Args:
        model: The model.
        cost: What random search needs for one as good.
    """

    model: KeptModel
    cost: RandomCost

    def to_json(self) -> dict[str, Any]:
        """What ``--json`` says of it."""
        about = self.model.about
        return {
            "folder": str(self.model.folder),
            "seeds": [seed.seed for seed in about.seeds],
            "chosen_seed": about.chosen,
            "confusion_split": self.model.split,
            **{
                f"{split}_accuracy": [seed.accuracies[split] for seed in about.seeds]
                for split in about.seeds[0].accuracies
            },
        }

    def show(self) -> None:
        """Prints it."""
        about, model = self.model.about, self.model
        seeds = [seed.seed for seed in about.seeds]
        splits = [split for split in ("valid", "test") if split in about.seeds[0].accuracies]
        console.print(
            f"Trained anew in full with {counted(len(seeds), 'seed')} that the search did not use "
            f"({', '.join(map(str, seeds))}), so that its luck does not count:",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
        print_rows([{f"{split} (%)": model.accuracy(split) for split in splits}], False)
        code = ", run_code=True" if about.build is not None else ""
        for line in (
            str(self.cost),
            f"Model, with its summary, drawing and confusion matrix ({model.split} images): "
            f"{model.folder}",
            f"In Python: nasbench_lab.load_model({str(model.folder)!r}{code}).predict(images)",
        ):
            console.print(line, soft_wrap=True, highlight=False, markup=False)


def can_keep_models() -> bool:
    """Whether models can be saved here; says so if not."""
    if find_spec("safetensors") is not None:
        return True
    errors.print(
        f"safetensors is not installed, so the search will end without a model: {installing('train')}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    return False


def kept_model(
    benchmark: TrainingBenchmark,
    architecture: Architecture,
    trace: Trace,
    result: Result,
    folder: Path,
    seeds: Sequence[int],
    n_jobs: int,
) -> Found:
    """Trains the best of a search in full and keeps it in the search's folder.

    Args:
        benchmark: What the search trained on.
        architecture: Its best.
        trace: The search.
        result: The result in the folder, with the search and those that joined it.
        folder: The folder.
        seeds: Of the trainings.
        n_jobs: How many train at once.
    """
    from nasbench_lab.files import atomic_file
    from nasbench_lab.running.model import keep_model
    from nasbench_lab.stats.random_cost import random_cost

    settings = trace.settings
    name = f"{settings['algorithm']} on {benchmark.name} seed {settings['seed']}"
    place = folder / "models" / re.sub(r"\W+", "-", name).strip("-")
    with continued_when_repeated(), progress("epochs") as advance:
        model = keep_model(benchmark, architecture, seeds, place, n_jobs=n_jobs, progress=advance)
    value = benchmark.evaluate(architecture).values[0]
    cost = random_cost(result, benchmark.name, trace, value)
    with atomic_file(place / "random_search.json") as path:
        path.write_text(json.dumps(cost.to_json(), indent=1) + "\n")
    return Found(model, cost)

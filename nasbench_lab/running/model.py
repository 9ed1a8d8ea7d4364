"""From search to model: the best architecture trained anew with several seeds, and kept as a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.drawing import Drawing
from nasbench_lab.errors import MissingSourceError, TableFileError
from nasbench_lab.figures import save_figure
from nasbench_lab.figures.confusion import confusion_data, confusion_figure
from nasbench_lab.files import atomic_folder
from nasbench_lab.processes import in_processes
from nasbench_lab.spaces import Architecture
from nasbench_lab.tables.sources import silent
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from nasbench_lab.trainer.benchmark import TrainingBenchmark
    from nasbench_lab.trainer.model_file import About
    from nasbench_lab.trainer.saved_models import SavedModel
    from nasbench_lab.trainer.training import Training

CHECKPOINT_S = 10.0
"""The least seconds between two checkpoints of a training."""


@dataclass(frozen=True)
class KeptModel:
    """A model in its folder.

    Args:
        folder: The folder.
        about: What is known of it.
    """

    folder: Path
    about: About

    @property
    def split(self) -> str:
        """The split of the confusion matrix: test if there are test images, else valid."""
        return judged_on(self.about)

    def spread(self, split: str) -> tuple[float, float]:
        """The mean of the seeds' accuracies on a split in per cent, and their standard deviation.

        The deviation is NaN with one seed.
        """
        values = np.array([seed.accuracies[split] for seed in self.about.seeds])
        return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")

    def accuracy(self, split: str) -> str:
        """Mean ± standard deviation of the seeds on a split, in words."""
        mean, deviation = self.spread(split)
        return f"{mean:.2f}" + (f" ± {deviation:.2f}" if len(self.about.seeds) > 1 else "")


def judged_on(about: About) -> str:
    """The best split that a model was evaluated on: test if there are test images, else valid."""
    return "test" if "test" in about.seeds[0].accuracies else "valid"


def keep_model(
    benchmark: TrainingBenchmark,
    architecture: Architecture,
    seeds: Sequence[int],
    folder: Path,
    *,
    n_jobs: int = 1,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> KeptModel:
    """Trains an architecture with several seeds in full, and keeps what comes of it as a folder.

    The folder has the weights of each seed, see ``load_model``; ``summary.txt``, with the layers and
    the accuracies; the drawing of the architecture; and the confusion matrix of the seed with the best
    validation accuracy, as figure and as CSV. If it is there already, nothing is trained. A call that
    was killed goes on in the middle of trainings when it is repeated.

    Args:
        benchmark: What trains.
        architecture: The architecture.
        seeds: The seeds. The search has not seen them if they are not the benchmark's, so their
            validation accuracies are not those that it chose by.
        folder: The folder.
        n_jobs: How many processes train, if it is on the CPU; -1 for one per core.
        progress: Called with (epochs done, all epochs, what is done).

    Raises:
        TrainingError: Memory runs out, or a user's network fails or cannot be saved.
        DataFolderError: Something cannot be written.
    """
    from nasbench_lab.trainer.model_file import read_about
    from nasbench_lab.trainer.saved_models import (
        checkpoint_file,
        load_model,
        model_key,
        write_model,
    )
    from nasbench_lab.trainer.training import train

    checkpoints = [checkpoint_file(benchmark, architecture, seed) for seed in seeds]
    about = None
    try:
        if read_about(folder).key == model_key(benchmark, architecture, seeds):
            for seed in seeds:
                about = load_model(folder, seed=seed, build=benchmark.build).about
    except (MissingSourceError, TableFileError):  # then it is made, or made anew
        about = None
    if about is None:
        epochs = benchmark.recipe.epochs
        what, steps = f"training the best with {counted(len(seeds), 'seed')}", len(seeds) * epochs
        done: dict[int, Training] = {}
        if benchmark.device != "cpu":
            n_jobs = 1

        def advance(epoch: int, _: int) -> None:
            progress(len(done) * epochs + epoch, steps, what)

        here = n_jobs == 1 or len(seeds) == 1
        tasks: list[Callable[[], Training]] = [
            partial(
                train,
                benchmark.space,
                architecture,
                benchmark.recipe,
                benchmark.data,
                build=benchmark.build,
                seeds=(seed,),
                device=benchmark.device,
                checkpoint=checkpoint,
                checkpoint_every_s=CHECKPOINT_S,
                progress=advance if here else silent,
            )
            for seed, checkpoint in zip(seeds, checkpoints, strict=True)
        ]
        progress(0, steps, what)
        for number, training in in_processes(tasks, 1 if here else n_jobs):
            done[number] = training
            progress(len(done) * epochs, steps, what)
        with atomic_folder(folder, replace=True) as new:
            about = write_model(
                new, benchmark, architecture, [done[number] for number in range(len(seeds))]
            )
            # The network is built by what made the trainings, so no code is run that was not before.
            model = load_model(new, build=benchmark.build, device=benchmark.device)
            _describe(new, model, benchmark)
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    return KeptModel(folder, about)


def confusion_of(model: SavedModel, images: Any, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """``(classes, classes)`` how many examples of each true class got which answer."""
    n = model.about.images.classes
    counts: NDArray[np.int64] = np.bincount(labels * n + model.predict(images), minlength=n * n)
    return counts.reshape(n, n)


def _describe(folder: Path, model: SavedModel, benchmark: TrainingBenchmark) -> None:
    """Adds the summary, the drawing and the confusion matrix to the folder of a model."""
    about = model.about
    split = judged_on(about)
    data = benchmark.data
    confusion = confusion_of(model, data.images[split], data.labels[split])
    share = 100.0 * np.trace(confusion) / confusion.sum()
    title = f"{split} images of {about.images.name}, seed {model.seed}: {share:.2f} % right"
    save_figure(
        confusion_figure(confusion, title),
        folder / f"confusion_{split}",
        data=confusion_data(confusion),
    )
    drawing = Drawing(benchmark.space, about.architecture)
    for ending in ("svg", "png"):
        drawing.save(folder / f"architecture.{ending}")
    (folder / "summary.txt").write_text(summary_of(model), "utf-8")


def summary_of(model: SavedModel) -> str:
    """Layers, shapes, parameters, multiply-adds and accuracies of a model, as text."""
    from nasbench_lab.trainer.saved_models import layers_of

    about = model.about
    kept = KeptModel(Path(), about)
    rows = [("layer", "kind", "output for one image", "parameters")]
    rows += [
        (layer.name, layer.kind, " x ".join(map(str, layer.shape)), f"{layer.parameters:,}")
        for layer in layers_of(model)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    splits = [split for split in ("train", "valid", "test") if split in about.seeds[0].accuracies]
    accuracies = [
        f"{split}: {kept.accuracy(split)}  ("
        + ", ".join(f"seed {seed.seed}: {seed.accuracies[split]:.2f}" for seed in about.seeds)
        + ")"
        for split in splits
    ]
    code = ""
    if about.build is not None:
        code = ", run_code=True" if about.build.module else f", build={about.build.function}"
    lines = [
        f"{about.text} of {about.space}, trained on {about.images.name} for "
        f"{counted(about.recipe.epochs, 'epoch')}, on {about.device}",
        "",
        *table,
        "",
        f"Parameters: {about.parameters * 1e6:,.0f}",
        f"Multiply-adds for one image: {about.flops * 1e6:,.0f}",
        "",
        "Accuracy in per cent (mean ± standard deviation of the seeds):",
        *accuracies,
        "The search chose the architecture by validation data, and the seed whose weights are loaded "
        "is the best on them. "
        + (
            "Nothing was chosen by the test data."
            if "test" in splits
            else "There are no test data: what the model is worth on new data is not known."
        ),
        "",
        f"Load it: nasbench_lab.load_model(FOLDER{code}).predict(images)",
    ]
    return "\n".join(lines) + "\n"

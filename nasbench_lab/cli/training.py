"""What the options of commands that train say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_lab.trainer import need_torch

if TYPE_CHECKING:
    from nasbench_lab.trainer.benchmark import TrainingBenchmark

CHECKPOINT_S = 10.0
"""The least seconds between two checkpoints of a training: so much is lost if it is killed."""


def training_benchmark(
    space: str,
    data: str,
    build: str | None,
    epochs: int | None,
    trials: int,
    device: str,
    data_folder: Path | None,
    **more: Any,
) -> TrainingBenchmark:
    """The benchmark that trains what options say; ``more`` as of ``TrainingBenchmark``.

    Raises:
        MissingPackageError: PyTorch is not installed.
        NasbenchLabError: Of the kind that fits, if an option names what is not there.
    """
    need_torch()
    from nasbench_lab.registry import find_space
    from nasbench_lab.trainer.benchmark import TrainingBenchmark
    from nasbench_lab.trainer.data import image_data
    from nasbench_lab.trainer.recipe import usual_recipe

    searched = find_space(space)
    images = image_data(data, data_folder)
    recipe = usual_recipe(images.name)
    return TrainingBenchmark(
        searched,
        recipe if epochs is None else recipe.replace(epochs=epochs),
        data=images,
        build=build,
        seeds=range(trials),
        device=device,
        checkpoint_every_s=CHECKPOINT_S,
        **more,
    )

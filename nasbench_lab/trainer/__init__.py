"""Real training of the spaces' networks.

>>> from nasbench_lab.trainer import RECIPES, load_data
>>> load_data("digits").shape, RECIPES["digits"].epochs
((8, 8, 1), 12)
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nasbench_lab.algorithm import installing
from nasbench_lab.errors import MissingPackageError

if TYPE_CHECKING:
    from nasbench_lab.trainer.benchmark import TrainingBenchmark
    from nasbench_lab.trainer.build import build_table
    from nasbench_lab.trainer.data import image_data
    from nasbench_lab.trainer.datasets import ImageData, check_files, load_data
    from nasbench_lab.trainer.networks import build_network
    from nasbench_lab.trainer.recipe import NORMALISATIONS, RECIPES, Recipe
    from nasbench_lab.trainer.saved_models import SavedModel, load_model
    from nasbench_lab.trainer.training import Training, train

_WITHOUT_TORCH = {
    "ImageData": "datasets",
    "check_files": "datasets",
    "image_data": "data",
    "load_data": "datasets",
    "NORMALISATIONS": "recipe",
    "RECIPES": "recipe",
    "Recipe": "recipe",
}
_WITH_TORCH = {
    "TrainingBenchmark": "benchmark",
    "build_table": "build",
    "build_network": "networks",
    "Training": "training",
    "train": "training",
}
_WITH_SAFETENSORS = {"SavedModel": "saved_models", "load_model": "saved_models"}

__all__ = [
    "NORMALISATIONS",
    "RECIPES",
    "ImageData",
    "Recipe",
    "SavedModel",
    "Training",
    "TrainingBenchmark",
    "build_network",
    "build_table",
    "check_files",
    "image_data",
    "load_data",
    "load_model",
    "train",
]


def need_torch() -> None:
    """Refuses to go on without PyTorch, before any work is done.

    Raises:
        MissingPackageError: PyTorch is not installed.
    """
    if find_spec("torch") is None:
        raise MissingPackageError(f"This needs PyTorch: {installing('train')}")


def need_safetensors() -> None:
    """Refuses to go on without what saves and loads models, before any work is done.

    Raises:
        MissingPackageError: PyTorch or safetensors is not installed.
    """
    need_torch()
    if find_spec("safetensors") is None:
        raise MissingPackageError(f"Models need safetensors: {installing('train')}")


def __getattr__(name: str) -> Any:
    if name in _WITH_TORCH:
        need_torch()
    if name in _WITH_SAFETENSORS:
        need_safetensors()
    if home := (_WITH_TORCH | _WITH_SAFETENSORS | _WITHOUT_TORCH).get(name):
        return getattr(import_module(f"nasbench_lab.trainer.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

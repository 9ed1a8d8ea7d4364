"""What a comparison is: a class, and its form as a file."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_lab.experiment.experiment import Experiment
    from nasbench_lab.experiment.toml import read_experiment, to_toml

DEFAULT_SEEDS = 100
"""How many seeds a comparison has if nothing else is said."""

_HOME = {"Experiment": "experiment", "read_experiment": "toml", "to_toml": "toml"}

__all__ = ["DEFAULT_SEEDS", "Experiment", "read_experiment", "to_toml"]


def __getattr__(name: str) -> Any:
    # Imported when first used, as the command line needs the number of seeds at once.
    if name in _HOME:
        return getattr(import_module(f"nasbench_lab.experiment.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""One-shot methods with settings so small that a run takes a fraction of a second."""

from importlib.util import find_spec

from nasbench_lab.algorithm import hyperparameters_of
from nasbench_lab.registry import algorithm_class, algorithm_modules

_SMALL = {
    "epochs": 2,
    "images": 32,
    "batch_size": 16,
    "candidates": 2,
    "final_candidates": 3,
    "controller_steps": 2,
    "population_size": 4,
    "generations": 2,
}


def is_one_shot(name):
    """Whether an algorithm trains a supernet. It then recommends cells, and evaluates the last."""
    from algorithms._one_shot import OneShot

    return issubclass(algorithm_class(name), OneShot)


def small(name):
    """Hyperparameters of a short run; the algorithm's own ones if it trains no supernet."""
    cls = algorithm_class(name)
    if not is_one_shot(name):
        return {}
    known = {key for base in cls.__mro__[:-2] for key in hyperparameters_of(base)}
    return {key: value for key, value in _SMALL.items() if key in known}


ONE_SHOT = [name for name in algorithm_modules() if is_one_shot(name)]
"""The one-shot methods."""

EVALUATING = [name for name in algorithm_modules() if not is_one_shot(name)]
"""All others: those that evaluate architectures for as long as there is budget."""

RUNNABLE_ONE_SHOT = ONE_SHOT if find_spec("torch") else []
"""The one-shot methods that can run here: a supernet needs PyTorch."""

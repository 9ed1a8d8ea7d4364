"""Algorithms that suit some benchmarks only, with settings so small that a run takes little time."""

from importlib.util import find_spec

from nasbench_lab.algorithm import Trial, all_hyperparameters
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


_FEW_EPOCHS = {"predictor_settings": {"epochs": 2, "n_layers": 2}}

_SMALL_PREDICTORS = {
    "bananas": _FEW_EPOCHS,
    "npenas": _FEW_EPOCHS,
    "pnas": _FEW_EPOCHS,
    "predictor_search": {"predictor_settings": {"n_trees": 2}, "n_candidates": 50},
}


def is_one_shot(name):
    """Whether an algorithm trains a supernet. It then recommends cells, and evaluates the last."""
    from algorithms._one_shot import OneShot

    return issubclass(algorithm_class(name), OneShot)


def run(algorithm):
    """The work of a search by weight sharing, and the trial that it ends with."""
    works = []
    while not isinstance(work := algorithm.ask(), Trial):
        works.append(work)
    return works, work


_SMALL_AGENT = {"batch_size": 8, "hidden": 4, "layers": 1, "updates": 1}
"""Agents with networks so small that a step takes little time."""


def small(name):
    """Hyperparameters of a short run; the algorithm's own ones if it neither trains nor scores.

    A predictor that takes long to learn learns little.
    """
    cls = algorithm_class(name)
    if cls.needs_torch and not is_one_shot(name):
        known = all_hyperparameters(cls)
        return {key: value for key, value in _SMALL_AGENT.items() if key in known}
    if not is_one_shot(name):
        return {"pool_size": 20} if name in BY_PROXIES else _SMALL_PREDICTORS.get(name, {})
    known = all_hyperparameters(cls)
    return {key: value for key, value in _SMALL.items() if key in known}


ONE_SHOT = [name for name in algorithm_modules() if is_one_shot(name)]
"""The one-shot methods."""

BY_PROXIES = ["zero_cost_search"]
"""The algorithms that need scores by zero-cost proxies."""

BY_HISTORY = ["quantile_transfer", "rgpe", "transfer_bounding_box", "transfer_zero_shot"]
"""The algorithms that need what is known of other tasks."""

BY_PREDICTORS = list(_SMALL_PREDICTORS)
"""The algorithms that learn a predictor."""

PEERS = [name for name in algorithm_modules() if algorithm_class(name).needs]
"""The algorithms that other packages propose for; what they ask changes with those."""

EVALUATING = [
    name
    for name in algorithm_modules()
    if not is_one_shot(name)
    and name not in (*BY_PROXIES, *BY_HISTORY, *PEERS)
    and (find_spec("torch") or not algorithm_class(name).needs_torch)
]
"""All others that can run here: they search any benchmark, for as long as there is budget."""

RUNNABLE_BY_PROXIES = BY_PROXIES if find_spec("torch") else []
"""Those that can run here on a table without columns of scores."""

RUNNABLE_ONE_SHOT = ONE_SHOT if find_spec("torch") else []
"""The one-shot methods that can run here: a supernet needs PyTorch."""

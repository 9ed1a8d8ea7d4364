"""Models that predict what an architecture is worth.

>>> from nasbench_lab.predictors import make_predictor
>>> from nasbench_lab.spaces import get_space
>>> forest = make_predictor("random_forest", get_space("nb201"), n_trees=10)
"""

from __future__ import annotations

import inspect
from typing import Any

from nasbench_lab.errors import UnknownNameError
from nasbench_lab.predictors.gp import GaussianProcess
from nasbench_lab.predictors.graph_convolution import GraphConvolution
from nasbench_lab.predictors.learning_curve import LearningCurve
from nasbench_lab.predictors.linear import BayesianRidge, Ridge
from nasbench_lab.predictors.mlp_ensemble import MLPEnsemble
from nasbench_lab.predictors.predictor import Predictor
from nasbench_lab.predictors.trees import (
    GradientBoosting,
    LightGBM,
    NGBoost,
    RandomForest,
    XGBoost,
    ZeroCostForest,
)
from nasbench_lab.spaces import SearchSpace

PREDICTORS: dict[str, type[Predictor]] = {
    "random_forest": RandomForest,
    "gradient_boosting": GradientBoosting,
    "xgboost": XGBoost,
    "lightgbm": LightGBM,
    "ngboost": NGBoost,
    "ridge": Ridge,
    "bayesian_ridge": BayesianRidge,
    "gp": GaussianProcess,
    "mlp_ensemble": MLPEnsemble,
    "gcn": GraphConvolution,
    "learning_curve": LearningCurve,
    "zero_cost": ZeroCostForest,
}
"""The predictors, by name."""

__all__ = ["PREDICTORS", "Predictor", "make_predictor", "settings_of"]


def settings_of(cls: type[Predictor]) -> dict[str, Any]:
    """Names and defaults of a predictor's settings, its own first, without the space and the seed."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if "__init__" in vars(base) and base is not object:
            for name, parameter in inspect.signature(base).parameters.items():
                if parameter.kind is parameter.KEYWORD_ONLY and name != "seed":
                    found.setdefault(name, parameter.default)
    return found


def make_predictor(
    name: str | type[Predictor], space: SearchSpace, seed: int = 0, **settings: Any
) -> Predictor:
    """Builds a predictor.

    Args:
        name: One of ``PREDICTORS``, or a class of your own.
        space: The space of the architectures.
        seed: Seed of what is random in the model.
        **settings: The predictor's settings.

    Raises:
        UnknownNameError: There is no such predictor or setting.
        HyperparameterError: A setting's value does not fit.
        UnsuitedError: The predictor needs graphs, and the space has none.
        MissingPackageError: It needs a package that is not installed.
    """
    if isinstance(name, str):
        if name not in PREDICTORS:
            raise UnknownNameError("predictor", name, PREDICTORS)
        cls = PREDICTORS[name]
    else:
        cls = name
    known = settings_of(cls)
    for setting in settings:
        if setting not in known:
            raise UnknownNameError(f"setting of {cls.__name__}", setting, known)
    return cls(space, seed=seed, **settings)

"""Builds the search algorithm that another one works with."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nasbench_lab.algorithm import SearchAlgorithm, Seed, build, check_choice
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.spaces import SearchSpace


def make_base(
    base: str | type[SearchAlgorithm],
    space: SearchSpace,
    seed: Seed,
    maximize: bool | Sequence[bool],
    fidelities: Sequence[int],
    **hyperparameters: Any,
) -> SearchAlgorithm:
    """Builds the algorithm that another one is built on.

    Args:
        base: The name of a file beside this one, such as ``"random_search"``, or a class.
        space: As in ``SearchAlgorithm``.
        seed: As in ``SearchAlgorithm``; a generator is shared, which pickling keeps.
        maximize: As in ``SearchAlgorithm``.
        fidelities: As in ``SearchAlgorithm``; with none, a base of many fidelities asks for full
            trainings only.
        **hyperparameters: Of the base.

    Raises:
        UnknownNameError: It has no such hyperparameter.
        HyperparameterError: There is no such algorithm, it is built on another one itself, or it
            stops trials, which cannot be passed on to it.
    """
    if isinstance(base, type) and issubclass(base, SearchAlgorithm):
        cls = base
    else:
        folder = str(Path(__file__).parent)
        names = [m.name for m in pkgutil.iter_modules([folder]) if not m.name.startswith("_")]
        check_choice("base", base, names)
        module = importlib.import_module(f"algorithms.{base}")
        cls = next(
            one
            for one in vars(module).values()
            if inspect.isclass(one)
            and issubclass(one, SearchAlgorithm)
            and one.__module__ == module.__name__
        )
    if "base" in inspect.signature(cls).parameters:
        raise HyperparameterError(
            f"Expected for base an algorithm of its own but got {cls.__name__}, which is built on "
            f"another one."
        )
    if cls.should_stop is not SearchAlgorithm.should_stop:
        raise HyperparameterError(
            f"Expected for base an algorithm that stops no trials but got {cls.__name__}."
        )
    return build(cls, space, seed=seed, maximize=maximize, fidelities=fidelities, **hyperparameters)

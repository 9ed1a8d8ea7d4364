"""Builds the base algorithm of an algorithm that works on top of another."""

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
    """Builds the base algorithm of an algorithm that works on top of another.

    Args:
        base: The name of a file beside this one, such as ``"random_search"``, or a class. A class
            that does not override ``observe`` learns from its own trials only.
        space: As in ``SearchAlgorithm``.
        seed: As in ``SearchAlgorithm``; a generator is shared, and stays so in a pickled copy.
        maximize: As in ``SearchAlgorithm``.
        fidelities: As in ``SearchAlgorithm``; without any, a multi-fidelity algorithm asks for full
            trainings only.
        **hyperparameters: The base algorithm's hyperparameters.

    Raises:
        UnknownNameError: The base algorithm has no such hyperparameter.
        HyperparameterError: There is no such algorithm, or it has a base algorithm itself, or it
            stops trials: it would not see their epochs.
    """
    if isinstance(base, type) and issubclass(base, SearchAlgorithm):
        cls = base
    else:
        folder = str(Path(__file__).parent)
        names = [m.name for m in pkgutil.iter_modules([folder]) if not m.name.startswith("_")]
        check_choice("base", base, names)
        module = importlib.import_module(f"algorithms.{base}")
        cls = next(
            member
            for member in vars(module).values()
            if inspect.isclass(member)
            and issubclass(member, SearchAlgorithm)
            and member.__module__ == module.__name__
        )
    if "base" in inspect.signature(cls).parameters:
        raise HyperparameterError(
            f"Expected for base an algorithm of its own but got {cls.__name__}, which is built on "
            f"another one."
        )
    search = build(
        cls, space, seed=seed, maximize=maximize, fidelities=fidelities, **hyperparameters
    )
    if search.watches_epochs:
        raise HyperparameterError(
            f"Expected for base an algorithm that stops no trials but got {cls.__name__}."
        )
    return search

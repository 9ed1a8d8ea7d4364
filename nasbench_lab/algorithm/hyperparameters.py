"""Hyperparameters of algorithms, and how an algorithm is built with them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nasbench_lab.algorithm.algorithm import SearchAlgorithm, Seed
from nasbench_lab.algorithm.given import History, Proxies
from nasbench_lab.errors import HyperparameterError, NasbenchLabError, UnknownNameError
from nasbench_lab.mistakes import told
from nasbench_lab.spaces import SearchSpace


def hyperparameters_of(cls: type[SearchAlgorithm]) -> dict[str, Any]:
    """Names and defaults of an algorithm's own hyperparameters, without those that it inherits."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(cls).parameters.items()
        if name not in GIVEN
        and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }


def all_hyperparameters(cls: type[SearchAlgorithm]) -> dict[str, Any]:
    """Names and defaults of an algorithm's hyperparameters, its own first, then inherited ones.

    ``weights``, which every algorithm has, is left out.
    """
    result: dict[str, Any] = {}
    for base in _built_by(cls):
        if issubclass(base, SearchAlgorithm) and base is not SearchAlgorithm:
            result = {**result, **hyperparameters_of(base), **result}
    return result


def takes_history(cls: type[SearchAlgorithm]) -> bool:
    """Whether an algorithm can learn from other tasks: an ``__init__`` of it names ``history``."""
    return any("history" in inspect.signature(base).parameters for base in _built_by(cls))


def _built_by(cls: type) -> Iterator[type]:
    """The classes whose ``__init__`` take part in building one; ``**kwargs`` lead to the next."""
    for base in cls.__mro__:
        if "__init__" in vars(base):
            yield base
            parameters = inspect.signature(base).parameters.values()
            if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
                return


GIVEN = ("space", "seed", "maximize", "fidelities", "data", "proxies", "history")
"""The parameters that the experiment sets; they are no hyperparameters.

An algorithm gets the last four only if an ``__init__`` of it names them: ``fidelities``; ``data``, the
name of the images that the benchmark trains on, None if nasbench-lab has none of that name;
``proxies``, see ``Proxies``; and ``history``, see ``History``. A hyperparameter ``files`` beside
``data`` is the folder with the files of these images; it is the benchmark's, if that has one, where it
is not set.
"""


def build(
    cls: type[SearchAlgorithm],
    space: SearchSpace,
    /,
    *,
    seed: Seed,
    maximize: bool | Sequence[bool],
    fidelities: Sequence[int],
    data: str | Callable[[], str | None] | None = None,
    data_files: Path | None = None,
    proxies: Proxies | None = None,
    history: History | None = None,
    **hyperparameters: Any,
) -> SearchAlgorithm:
    """Builds an algorithm, with a helpful error for a hyperparameter that it does not have.

    Args:
        cls: The algorithm.
        space: As in ``SearchAlgorithm``.
        seed: As in ``SearchAlgorithm``.
        maximize: As in ``SearchAlgorithm``.
        fidelities: As in ``SearchAlgorithm``.
        data: The name of the benchmark's images, or a function that finds it.
        data_files: The folder with their files, if the benchmark has one.
        proxies: The benchmark's scores.
        history: What is known of other tasks.
        **hyperparameters: The algorithm's hyperparameters.

    Raises:
        UnknownNameError: There is no such hyperparameter.
        HyperparameterError: A value does not fit, or ``__init__`` does not take what all algorithms
            take.
    """
    defaults = dict(hyperparameters_of(cls))
    settings: dict[str, Any] = {"seed": seed, "maximize": maximize}
    for base in _built_by(cls):
        if issubclass(base, SearchAlgorithm):
            defaults = {**hyperparameters_of(base), **defaults}
        parameters = inspect.signature(base).parameters
        if "fidelities" in parameters:
            settings["fidelities"] = fidelities
        if "data" in parameters:
            settings["data"] = data() if callable(data) else data
            if "files" in parameters and data_files is not None and "files" not in hyperparameters:
                settings["files"] = data_files
        if "proxies" in parameters:
            settings["proxies"] = proxies
        if "history" in parameters:
            settings["history"] = history
    for name in hyperparameters:
        if name not in defaults:
            raise UnknownNameError(f"hyperparameter of {cls.__name__}", name, defaults)
    try:
        inspect.signature(cls).bind(space, **settings, **hyperparameters)
        return cls(space, **settings, **hyperparameters)
    except NasbenchLabError:
        raise
    except (Exception, SystemExit) as error:
        raise HyperparameterError(
            f"{cls.__name__} cannot be built: {told(error)}. Its __init__ must "
            f"take space, seed and maximize (pass **kwargs on to super().__init__), and have a "
            f"default for each hyperparameter."
        ) from error

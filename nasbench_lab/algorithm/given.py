"""What an experiment gives to algorithms that ask for it: scores by proxies, and other tasks."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.algorithm.work import Work
from nasbench_lab.errors import UnknownNameError, UnsuitedError
from nasbench_lab.spaces import Architectures


class Proxies(ABC):
    """Scores of architectures that were not trained, by zero-cost proxies.

    A benchmark gives them to each algorithm whose ``__init__`` has the parameter ``proxies``.
    """

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """The proxies that there are."""

    @abstractmethod
    def score(
        self, names: Sequence[str], architectures: Architectures
    ) -> tuple[NDArray[np.float64], Work]:
        """Scores architectures.

        Args:
            names: ``k`` of ``names``.
            architectures: ``(n, d)`` architectures.

        Returns:
            ``(k, n)`` scores, turned so that more is better by what the proxy's authors say, NaN where
            there is none; and the work of it, for ``ask`` to return. What was scored before takes no
            time again.

        Raises:
            UnknownNameError: There is no such proxy.
        """


def check_proxies(proxies: Proxies | None, names: Sequence[str]) -> Proxies:
    """The proxies of a benchmark, if it has those that an algorithm needs.

    Args:
        proxies: What the benchmark gave.
        names: What the algorithm needs.

    Raises:
        UnsuitedError: The benchmark has no proxies.
        UnknownNameError: It has others.
    """
    if proxies is None or not proxies.names:
        raise UnsuitedError(
            "The benchmark has no scores by zero-cost proxies: its table has no such columns, and "
            "nasbench-lab has no networks of its space or no images to compute them. Search on "
            "nb201-digits, for example."
        )
    for name in names:
        if name not in proxies.names:
            raise UnknownNameError("zero-cost proxy", str(name), proxies.names)
    return proxies


class OtherTask(NamedTuple):
    """What other searches, or a table, say of another task. It never holds a test metric.

    Args:
        name: The task.
        architectures: ``(n, d)`` architectures of the space that is searched, each class once, in its
            canonical form, in ascending order of their options.
        scores: ``(n,)`` values of the task's first objective after full trainings, turned so that
            more is better; all finite.
    """

    name: str
    architectures: Architectures
    scores: NDArray[np.float64]


class History:
    """What is known of other tasks, one at least.

    An experiment gives it to each algorithm whose ``__init__`` has the parameter ``history``, if its
    warm start is a prior; else they get None. Histories of the same content are equal.

    Args:
        tasks: The other tasks, each with one architecture at least.
    """

    def __init__(self, tasks: Sequence[OtherTask]) -> None:
        self.tasks = tuple(tasks)

    @cached_property
    def _checksum(self) -> str:
        digest = hashlib.sha256()
        for task in self.tasks:
            digest.update(repr((task.name, task.architectures.shape)).encode())
            digest.update(np.ascontiguousarray(task.architectures, np.int64).data)
            digest.update(np.ascontiguousarray(task.scores, np.float64).data)
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self._checksum == other._checksum

    def __hash__(self) -> int:
        return hash(self._checksum)


def check_history(history: History | None) -> History:
    """The history, for an algorithm that cannot do without.

    Raises:
        UnsuitedError: There is none.
    """
    if history is None:
        raise UnsuitedError(
            "This algorithm learns from other tasks, and was given none. Name results or tables of "
            "other tasks of the same space: history=[…] in Python, --warm-start on the command line."
        )
    return history

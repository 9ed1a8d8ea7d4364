"""The interface of a search algorithm: ``ask`` for a trial, ``tell`` its result.

An algorithm may also work itself, such as train a supernet; ``ask`` then returns ``Work``.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import (
    AlgorithmError,
    HyperparameterError,
    InvalidArchitectureError,
    NasbenchLabError,
    UnknownNameError,
    UnsuitedError,
)
from nasbench_lab.mistakes import told
from nasbench_lab.spaces import Architecture, Architectures, SearchSpace
from nasbench_lab.words import counted

Seed = int | np.random.SeedSequence | np.random.Generator


class Trial(NamedTuple):
    """An evaluation that an algorithm asks for.

    Args:
        number: Counts the algorithm's trials from 0. A trial that continues to a later epoch keeps
            its number: ``trial._replace(epoch=later)``.
        architecture: The architecture to evaluate.
        epoch: The epoch of training to evaluate it after, or None for the last.
    """

    number: int
    architecture: Architecture
    epoch: int | None = None


class Evaluation(NamedTuple):
    """The answer of a benchmark. It never holds a test metric.

    Args:
        values: One value per objective, in the benchmark's units; NaN where the evaluation failed.
        cost: The cost of the evaluation, in the unit of the benchmark's clock.
        epoch: The epoch that was evaluated, or None where the benchmark does not know.
        row: The entry of the benchmark's table, or -1.
        violation: By how much the benchmark's constraints are violated; 0 where they hold, NaN where
            only a full training will tell.
    """

    values: tuple[float, ...]
    cost: float
    epoch: int | None = None
    row: int = -1
    violation: float = 0.0

    @property
    def feasible(self) -> bool:
        """Whether no constraint is violated, as far as the benchmark knows."""
        return not self.violation > 0


class Work(NamedTuple):
    """Work of an algorithm itself, which takes time: training a supernet, scoring without training.

    The algorithm does it before ``ask`` returns this. In simulated time it occupies one worker for
    what the benchmark charges (``Benchmark.charge``), and nothing more is asked until its end.

    Args:
        passes: ``(decisions, options)`` how often each option of each decision was trained, in passes
            over the benchmark's training set; a forward pass alone counts a third. The second
            dimension is the largest number of options of a decision; what is no option is 0.
        seconds: Seconds that were measured or looked up. They are charged where there are no
            ``passes``, or where the benchmark measures its own times as well.
        architecture: What the algorithm recommends once this work is done; None for no change.
        shared: How often the parts that all architectures share were trained, such as the first and
            the last layer, in the unit of ``passes``. By default as often as all options of a decision
            together, which is right where one path is trained at a time. For a mixture that trains all
            options in one pass it is 1.
    """

    passes: NDArray[np.float64] | None = None
    seconds: float = 0.0
    architecture: Architecture | None = None
    shared: float | None = None

    @property
    def epochs(self) -> float:
        """How many epochs of one architecture it is worth: a mixture counts each of its options."""
        return 0.0 if self.passes is None else float(np.sum(self.passes, axis=1).mean())

    def checked(self, space: SearchSpace, who: str) -> Work:
        """This work, with numbers as they should be.

        Args:
            space: The space of the passes and of the architecture.
            who: The algorithm, for the message.

        Raises:
            AlgorithmError: It cannot be; the message says what was expected.
        """
        passes, shared = self.passes, self.shared
        if passes is not None:
            passes = _checked_passes(passes, space, who)
        elif shared is not None:
            raise AlgorithmError(
                f"{who} returned Work with shared={shared!r}, but without passes. Give both."
            )
        for name in ("seconds", "shared"):
            value = getattr(self, name)
            if not _is_amount(value) and (value is not None or name == "seconds"):
                raise AlgorithmError(
                    f"Expected a number of at least 0 for {name} of the Work that {who} returned, "
                    f"but got {value!r}."
                )
        architecture = self.architecture
        if architecture is not None:
            try:
                architecture = space.validate(architecture)
            except (InvalidArchitectureError, TypeError) as error:
                raise AlgorithmError(
                    f"{who} recommends an architecture that is not of the space: {error}"
                ) from error
        return Work(
            passes, float(self.seconds), architecture, None if shared is None else float(shared)
        )


def _checked_passes(passes: object, space: SearchSpace, who: str) -> NDArray[np.float64]:
    """The passes of an algorithm's work, as an array of their own.

    Raises:
        AlgorithmError: They are none.
    """
    expected = len(space.n_options), max(space.n_options)
    numbers: NDArray[np.float64] | None = None
    with contextlib.suppress(TypeError, ValueError):
        numbers = np.array(passes, dtype=np.float64)
    got = f"{passes!r:.200}"
    if numbers is not None and numbers.shape == expected:
        absent = np.arange(expected[1]) >= np.array(space.n_options)[:, None]
        wrong = ~np.isfinite(numbers) | (numbers < 0) | (absent & (numbers != 0))
        if not wrong.any():
            return numbers
        decision, option = np.argwhere(wrong)[0].tolist()
        got = f"{numbers[decision, option]} for option {option} of decision {decision}"
        got += ", which is no option" if absent[decision, option] else ""
    elif numbers is not None:
        got = f"the shape {numbers.shape}"
    raise AlgorithmError(
        f"Expected passes of shape {expected} in the Work that {who} returned, one number of at least "
        f"0 for each option of each decision of {space.name!r}, and 0 for what is no option; but got "
        f"{got}."
    )


def _is_amount(value: object) -> bool:
    """Whether something is a finite number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(0 <= value < math.inf)


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


class SearchAlgorithm(ABC):
    """Base of all search algorithms.

    A child overrides ``ask`` and, to learn from results, ``tell``. It may override ``observe`` to
    learn from results of other searches, and ``should_stop`` to end trials early. It may work itself
    in ``ask``, and return ``Work`` that says how much. Any number of trials may be outstanding, and
    their results may come in any order. All randomness comes from ``self.rng``; an algorithm holds no
    table and knows no time. A copy that is pickled in mid-run continues with the same run.

    Args:
        space: The space to search.
        seed: Seed of the algorithm's only random generator.
        maximize: Whether more is better, for the one objective or for each of several.
        fidelities: The epochs after which an architecture can be evaluated, in ascending order. The
            last is a full training. Empty where the benchmark knows the end of training only.
        weights: One weight per objective; ``score`` is then the weighted sum of the objectives in
            their own units, each turned so that more is better. By default only the first counts.
    """

    citation: ClassVar[str] = ""
    """BibTeX of the papers that define the algorithm; a child without its own cites its parent's.

    An algorithm of one file assigns it at the end of the file, after the class.
    """

    needs_torch: ClassVar[bool] = False
    """Whether it searches only where PyTorch is installed; it is listed everywhere."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: Seed = 0,
        maximize: bool | Sequence[bool] = True,
        fidelities: Sequence[int] = (),
        weights: Sequence[float] | None = None,
    ) -> None:
        self.space = space
        self.rng = np.random.default_rng(seed)
        directions = [maximize] if isinstance(maximize, bool | np.bool_) else maximize
        self.maximize = tuple(map(bool, directions))
        self.fidelities = tuple(map(int, fidelities))
        self._signs = tuple(1.0 if more else -1.0 for more in self.maximize)
        self._weights = None if weights is None else self._signed(weights)
        self._n_trials = 0
        self._worst_score = math.inf

    def reweigh(self, weights: Sequence[float]) -> None:
        """Changes the weights of the objectives in ``score``, for results that are told from now on.

        Raises:
            HyperparameterError: There is not one finite weight for each objective.
        """
        self._weights = self._signed(weights)

    @abstractmethod
    def ask(self) -> Trial | Work | None:
        """The next trial, or work that was done here, or None while the algorithm waits.

        A search that answers None with nothing outstanding is over. Work occupies a worker too, and
        ``ask`` is not called again before it has ended.
        """

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:  # noqa: B027 (optional)
        """Learns the result of a trial that ``ask`` gave. By default nothing is learned.

        A trial that continues to a later epoch is told once for each epoch it was asked for.
        """

    def observe(  # noqa: B027 (optional)
        self, architecture: Architecture, evaluation: Evaluation
    ) -> None:
        """Learns a result that this algorithm did not ask for: of another search, or of a warm start.

        It may come before the first ``ask`` and between any two calls, and its architecture may be
        one that was asked. By default nothing is learned, because ``tell`` may look for what ``ask``
        noted of a trial; an algorithm that only knows ``ask`` and ``tell`` searches as if nothing
        had been observed. An algorithm that compares full trainings passes over others, see
        ``is_final``.

        Args:
            architecture: The architecture that was evaluated, one of ``space``.
            evaluation: Its result.
        """

    def should_stop(self, trial: Trial, evaluation: Evaluation) -> bool:
        """Whether a running trial stops at this epoch, which is before the one it was asked for.

        An algorithm that overrides this sees every epoch of ``fidelities`` as it happens. When it
        stops a trial it is told the result of that epoch, as if it had asked for it. The validation
        passes after these epochs are charged by the clock ``every_epoch`` only.
        """
        return False

    def trial(self, architecture: Architecture, epoch: int | None = None) -> Trial:
        """A new trial of an architecture, with the next number."""
        number = self._n_trials
        self._n_trials = number + 1
        return Trial(number, architecture, epoch)

    def is_final(self, evaluation: Evaluation) -> bool:
        """Whether an evaluation is that of a full training."""
        return not self.fidelities or evaluation.epoch in (None, self.fidelities[-1])

    def score(self, evaluation: Evaluation) -> float:
        """The first objective, or the weighted sum of all, turned so that more is better.

        Minus infinity if the evaluation failed or is infeasible.
        """
        if self._weights is None:
            value = self._signs[0] * evaluation.values[0]
        else:
            value = sum(w * v for w, v in zip(self._weights, evaluation.values, strict=True))
            if not math.isfinite(value) and all(map(math.isfinite, evaluation.values)):
                value = self._large_sum(evaluation.values)
        return value if evaluation.feasible and not math.isnan(value) else -math.inf

    def penalised_score(self, evaluation: Evaluation) -> float:
        """The score, but for an infeasible evaluation the worst finite score before it.

        A model that learns from finite numbers only would learn nothing from minus infinity, and
        propose infeasible architectures again. Call this once for each result, in their order.

        Returns:
            Minus infinity if the evaluation failed, or is infeasible and has no finite score before.
        """
        score = self.score(evaluation)
        if not evaluation.feasible:
            return self._worst_score if math.isfinite(self._worst_score) else -math.inf
        if math.isfinite(score):
            self._worst_score = min(self._worst_score, score)
        return score

    def _large_sum(self, values: Sequence[float]) -> float:
        """The weighted sum where it overflows: at most the largest number, of its sign."""
        assert self._weights is not None
        part = sum(w * (v / 2.0**64) for w, v in zip(self._weights, values, strict=True))
        return max(-sys.float_info.max, min(part * 2.0**64, sys.float_info.max))

    def _signed(self, weights: Sequence[float]) -> tuple[float, ...]:
        """One weight per objective, negative where less is better."""
        numbers = tuple(weights) if isinstance(weights, Iterable) else ()
        if len(numbers) != len(self.maximize):
            raise HyperparameterError(
                f"Expected one weight for each of {counted(len(self.maximize), 'objective')} "
                f"but got {weights!r}."
            )
        for weight in numbers:
            check_number("weights", weight)
        return tuple(float(w) * sign for w, sign in zip(numbers, self._signs, strict=True))


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
``proxies``, see ``Proxies``; and ``history``, see ``History``.
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


def check_number(
    name: str,
    value: object,
    *,
    whole: bool = False,
    low: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> None:
    """Refuses a hyperparameter that is no finite number within bounds.

    Args:
        name: The hyperparameter.
        value: Its value.
        whole: Whether it must be an int.
        low: The smallest value allowed.
        above: A lower bound that is not allowed itself.
        below: An upper bound that is not allowed itself.

    Raises:
        HyperparameterError: The value is no such number; the message says what was expected.
    """
    kinds = int | np.integer if whole else int | float | np.integer | np.floating
    fits = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    if not (fits and value >= low and above < value < below):  # type: ignore[operator]
        bounds = {"of at least": low, "above": above, "below": below}
        limits = [f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound)]
        wanted = " ".join(
            filter(None, ["whole number" if whole else "number", " and ".join(limits)])
        )
        raise HyperparameterError(f"Expected a {wanted} for {name} but got {value!r}.")


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuses a hyperparameter that is none of the choices.

    Raises:
        HyperparameterError: The value is none of them; the message lists the choices.
    """
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        raise HyperparameterError(
            f"Expected one of {', '.join(map(str, choices))} for {name} but got {value!r}."
        )

"""Crossover and mutation: how genetic algorithms make new architectures of old ones.

Crossover at one point: Holland, "Adaptation in natural and artificial systems", 1975; at several: De
Jong, "An analysis of the behavior of a class of genetic adaptive systems", 1975; uniform: Syswerda,
"Uniform crossover in genetic algorithms", ICGA 1989. Mutation as in Goldberg, "Genetic algorithms in
search, optimization, and machine learning", 1989.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nasbench_lab.algorithm import check_number
from nasbench_lab.errors import HyperparameterError, InvalidArchitectureError
from nasbench_lab.spaces import Architecture, SearchSpace

Pair = tuple[Architecture, Architecture]

MOST_TRIES = 100
"""Crossover and mutation give up after so many results that are no architectures of the space."""


def uniform(one: Architecture, other: Architecture, rng: np.random.Generator, _: int) -> Pair:
    """Exchanges each decision with chance 1/2."""
    pairs = [
        (a, b) if u < 0.5 else (b, a)
        for a, b, u in zip(one, other, rng.random(len(one)).tolist(), strict=True)
    ]
    return tuple([a for a, _ in pairs]), tuple([b for _, b in pairs])


def single_point(one: Architecture, other: Architecture, rng: np.random.Generator, _: int) -> Pair:
    """Cuts between two decisions, at each place with the same chance, and exchanges the tails."""
    return multi_point(one, other, rng, 1)


def multi_point(
    one: Architecture, other: Architecture, rng: np.random.Generator, n_points: int
) -> Pair:
    """Cuts at ``n_points`` places, or all if there are fewer, and exchanges every second part."""
    first, second = list(one), list(other)
    for cut in rng.permutation(len(one) - 1)[:n_points].tolist():
        # Exchanging the tails after each cut, in any order, exchanges every second part.
        first[cut + 1 :], second[cut + 1 :] = second[cut + 1 :], first[cut + 1 :]
    return tuple(first), tuple(second)


CROSSOVERS: dict[str, Callable[[Architecture, Architecture, np.random.Generator, int], Pair]] = {
    "uniform": uniform,
    "single_point": single_point,
    "multi_point": multi_point,
}
"""Each takes two parents, the generator and a number of points, and returns two children.

The children need not be architectures of the space; ``cross`` checks that.
"""


def cross(
    space: SearchSpace,
    one: Architecture,
    other: Architecture,
    crossover: str,
    rng: np.random.Generator,
    n_points: int = 2,
) -> Pair:
    """Two children of two parents; the parents themselves after ``MOST_TRIES`` invalid pairs.

    Where a decision exists in one parent only, both give that parent's option; where it exists in
    neither but in a child, its option is drawn uniformly.

    Args:
        space: The space that the children must belong to.
        one: The first parent.
        other: The second parent.
        crossover: One of ``CROSSOVERS``.
        rng: The generator.
        n_points: At how many places ``multi_point`` cuts.
    """
    for _ in range(MOST_TRIES):
        pair = one, other
        if space.conditional:
            pair = _filled(space, one, other, rng), _filled(space, other, one, rng)
        first, second = CROSSOVERS[crossover](*pair, rng, n_points)
        children = valid_child(space, first), valid_child(space, second)
        if children[0] is not None and children[1] is not None:
            return children[0], children[1]
    return one, other


def _filled(
    space: SearchSpace, architecture: Architecture, other: Architecture, rng: np.random.Generator
) -> Architecture:
    """The options of an architecture, with those of another, or random ones, where it has none."""
    own, others = space.active(np.array([architecture, other])).tolist()
    drawn = rng.random(len(architecture)).tolist()
    return tuple(
        [
            a if here else b if there else int(u * n)
            for a, b, here, there, u, n in zip(
                architecture, other, own, others, drawn, space.n_options, strict=True
            )
        ]
    )


def mutate_genes(
    space: SearchSpace, architecture: Architecture, rate: float, rng: np.random.Generator
) -> Architecture:
    """Changes each decision with chance ``rate``, to each of its other options with the same chance.

    Decisions with a single option stay as they are. The options of decisions that come to exist are
    drawn uniformly. A result that is no architecture of the space is drawn again, and so are changes
    that stand for the architecture itself, as may be where few architectures were measured; after
    ``MOST_TRIES`` of them the space's own mutation is used.
    """
    for _ in range(MOST_TRIES):
        before = architecture
        if space.conditional:
            before = _filled(space, architecture, architecture, rng)
        draws = rng.random(len(architecture)).tolist()
        # If u is below the rate, u / rate is again uniform from 0 to 1: it chooses the option.
        options = [
            (option + 1 + int(u / rate * (n - 1))) % n if u < rate and n > 1 else option
            for option, n, u in zip(before, space.n_options, draws, strict=True)
        ]
        child = valid_child(space, options)
        if child is not None and not (child == architecture and _changed(space, before, options)):
            return child
    return space.mutate(architecture, rng)


def _changed(space: SearchSpace, before: Architecture, options: Sequence[int]) -> bool:
    """Whether options differ from those before in a decision that exists."""
    different = np.array(before) != options
    return bool((different & space.active(np.array([before]))[0]).any())


def valid_child(space: SearchSpace, options: Sequence[int]) -> Architecture | None:
    """The options as an architecture, or None if the space has no such architecture."""
    try:
        return space.nearest(options)
    except InvalidArchitectureError:
        return None


def one_change(space: SearchSpace) -> float:
    """The rate at which ``mutate_genes`` changes one decision on average."""
    return 1 / max(1, sum(n > 1 for n in space.n_options))


def check_rate(name: str, value: float) -> None:
    """Refuses a hyperparameter that is no number from 0 to 1.

    Raises:
        HyperparameterError: The value is no such number.
    """
    check_number(name, value, low=0)
    if value > 1:
        raise HyperparameterError(f"Expected a number from 0 to 1 for {name} but got {value!r}.")

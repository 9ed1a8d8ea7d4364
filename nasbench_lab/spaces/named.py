"""Spaces as other packages have them: values by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nasbench_lab.spaces.base import SearchSpace
from nasbench_lab.spaces.decisions import Decision

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

Value = str | int
"""The text of an option, or its number where options are ordered."""


def names_of(space: SearchSpace) -> list[str]:
    """A name for each decision, all different: its own, with its number where two have the same."""
    names = [decision.name for decision in space.decisions]
    return [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names)]


def values_of(decision: Decision) -> tuple[Value, ...]:
    """The values of a decision in the order of its options: numbers if it is ordered, else texts."""
    if decision.ordered:
        return tuple(range(len(decision.options)))
    return tuple(map(str, decision.options))


def configspace_of(space: SearchSpace, seed: int) -> ConfigurationSpace:
    """The space as the package ConfigSpace has it, with its conditions.

    An ordered decision is an ``OrdinalHyperparameter``, and any other a ``CategoricalHyperparameter``,
    as is a decision with a single option.

    Args:
        space: The space.
        seed: Of the draws from it.
    """
    import ConfigSpace as Config

    result = Config.ConfigurationSpace(seed=seed)
    numbers = {decision.name: i for i, decision in enumerate(space.decisions)}
    parameters: list[Any] = []
    for name, decision in zip(names_of(space), space.decisions, strict=True):
        values = values_of(decision)
        ordered = decision.ordered and len(values) > 1
        kind = Config.OrdinalHyperparameter if ordered else Config.CategoricalHyperparameter
        parameters.append(kind(name, values))
    result.add(*parameters)
    for parameter, decision in zip(parameters, space.decisions, strict=True):
        conditions = []
        for on, allowed in decision.conditions:
            earlier = space.decisions[numbers[on]]
            places = map(earlier.position, allowed)
            values = tuple(values_of(earlier)[place] for place in places if place is not None)
            conditions.append(Config.InCondition(parameter, parameters[numbers[on]], values))
        if len(conditions) > 1:
            result.add(Config.AndConjunction(*conditions))
        elif conditions:
            result.add(conditions[0])
    return result


def syne_tune_space_of(space: SearchSpace) -> dict[str, Any]:
    """The space as Syne Tune has it, which knows no conditions.

    An ordered decision is ``ordinal``, and any other a ``choice``, as is a decision with a single
    option.
    """
    from syne_tune.config_space import choice, ordinal

    return {
        name: ordinal(list(values), kind="equal")
        if decision.ordered and len(values) > 1
        else choice(list(values))
        for name, decision, values in zip(
            names_of(space), space.decisions, map(values_of, space.decisions), strict=True
        )
    }

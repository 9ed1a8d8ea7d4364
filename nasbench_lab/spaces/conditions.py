"""Decisions that exist only under conditions: which do, and what that makes of a space.

In an architecture, a decision that does not exist holds 0. Such architectures are counted, numbered
and drawn by a walk through the decisions. On the way it is enough to know which of the later
decisions are already known not to exist, and this is the *state* of the walk.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import InvalidArchitectureError, SpaceError, quoted, short
from nasbench_lab.spaces.decisions import Decision, other_option, other_options
from nasbench_lab.words import listed

Ints = NDArray[np.int64]
Rules = tuple[tuple[int, frozenset[int]], ...]
"""Numbers of earlier decisions, and for each the numbers of the options that are asked for."""

MOST_STATES = 20_000
"""The most states of all steps of a walk; spaces of practice have a few for each decision."""

MOST_WAYS = 5_000_000
"""The most ways from a state to the next, in all steps of a walk."""

MOST_NEIGHBOURS = 1 << 16
"""The most neighbours of an architecture that are listed."""


class _Step(NamedTuple):
    """One decision of the walk.

    Args:
        decision: The decision's number.
        following: The state after each option, by the state before; a single one where the decision
            does not exist.
        before: How many ways through this and the later decisions begin with a smaller option, with
            their whole number at the end; by state.
    """

    decision: int
    following: list[list[int]]
    before: list[list[int]]


class Conditions:
    """The conditions of a space's decisions.

    Args:
        space: The name of the space, for errors.
        decisions: The decisions, some of which have conditions.

    Raises:
        SpaceError: A condition names no earlier decision, or an option that this does not have; or a
            decision can never exist.
    """

    def __init__(self, space: str, decisions: Sequence[Decision]) -> None:
        self.space, self.decisions = space, tuple(decisions)
        self.n_options = [len(decision.options) for decision in decisions]
        self._check_texts()
        self.rules: list[Rules] = [self._rules(i) for i in range(len(decisions))]
        self._dependants = [
            [j for j, rules in enumerate(self.rules) if any(i == on for on, _ in rules)]
            for i in range(len(decisions))
        ]
        self._steps = self._walk()
        self.size = self._steps[0].before[0][-1]

    def _check_texts(self) -> None:
        names = [decision.name for decision in self.decisions]
        for name in names:
            if names.count(name) > 1:
                raise SpaceError(
                    f"Two decisions of space {self.space!r} have the name {quoted(name)}; "
                    f"conditions need different names."
                )
        for decision in self.decisions:
            if not all(str(option).strip() for option in decision.options):
                raise SpaceError(
                    f"{quoted(decision.name)} of space {self.space!r} has a blank option; a blank "
                    f"stands for decisions that do not exist."
                )

    def _rules(self, i: int) -> Rules:
        """The conditions of a decision as numbers."""
        decision = self.decisions[i]
        earlier = {one.name: number for number, one in enumerate(self.decisions[:i])}
        rules = []
        for name, options in decision.conditions:
            where = f"Condition of {quoted(decision.name)} in space {self.space!r}"
            if name not in earlier:
                later = any(name == one.name for one in self.decisions[i:])
                raise SpaceError(
                    f"{where}: expected the name of an earlier decision but got {quoted(name)}"
                    f"{', which comes later' if later else ''}. Earlier are: "
                    f"{short(', '.join(earlier)) or 'none'}."
                )
            on = self.decisions[earlier[name]]
            numbers = [on.position(option) for option in options]
            if None in numbers or not numbers:
                wrong = options[numbers.index(None)] if numbers else None
                raise SpaceError(
                    f"{where}: expected options of {quoted(name)} but got "
                    f"{quoted(wrong) if numbers else 'none'}; options are "
                    f"{short(', '.join(map(str, on.options)))}."
                )
            rules.append((earlier[name], frozenset(n for n in numbers if n is not None)))
        return tuple(rules)

    # Counting

    def _order(self) -> Iterator[int]:
        """The order of the walk: each decision with conditions right behind the last of them."""
        missing = [len({on for on, _ in rules}) for rules in self.rules]
        for root in range(len(missing)):
            if self.rules[root]:
                continue
            ready = [root]
            while ready:
                i = ready.pop()
                yield i
                for j in reversed(self._dependants[i]):
                    missing[j] -= 1
                    if not missing[j]:
                        ready.append(j)

    def _walk(self) -> list[_Step]:
        order = list(self._order())
        states: dict[frozenset[int], int] = {frozenset(): 0}
        followings, existing = [], set()
        n_states = n_ways = 0
        for i in order:
            n_states += len(states)
            n_ways += self.n_options[i] * max(len(states), len(self._dependants[i]))
            if n_states > MOST_STATES or n_ways > MOST_WAYS:
                raise SpaceError(
                    f"Conditions of space {self.space!r} depend on each other in more than "
                    f"{MOST_STATES:,} ways; expected fewer decisions between a decision and those "
                    f"that exist because of it."
                )
            allowed = [
                (j, frozenset.intersection(*(o for on, o in self.rules[j] if on == i)))
                for j in self._dependants[i]
            ]
            everyone = frozenset(self._dependants[i])
            absent = [
                frozenset(j for j, options in allowed if option not in options)
                for option in range(self.n_options[i])
            ]
            after: dict[frozenset[int], int] = {}
            following = []
            for state in states:
                known = state - {i}
                if i in state:
                    sets = [known | everyone]
                else:
                    existing.add(i)
                    sets = [known | new for new in absent]
                following.append([after.setdefault(one, len(after)) for one in sets])
            followings.append(following)
            states = after
        if len(existing) < len(order):
            never = next(d for i, d in enumerate(self.decisions) if i not in existing)
            raise SpaceError(
                f"{quoted(never.name)} of space {self.space!r} can never exist: its conditions "
                f"{in_words(never)} never hold together. Change them, or leave it out."
            )
        ways = [1] * len(states)
        steps: list[_Step] = []
        for i, following in zip(reversed(order), reversed(followings), strict=True):
            before = []
            for one in following:
                sums = [0]
                for state_after in one:
                    sums.append(sums[-1] + ways[state_after])
                before.append(sums)
            ways = [sums[-1] for sums in before]
            steps.append(_Step(i, following, before))
        return steps[::-1]

    # Numbering

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for name in ("_tables", "_masks", "_chances"):
            state.pop(name, None)
        return state

    @cached_property
    def _chances(self) -> list[list[list[float]]]:
        """The chances of all options up to each, by step and state, in a uniform draw."""
        # Python divides whole numbers of any size.
        return [
            [[end / sums[-1] for end in sums[1:]] for sums in step.before] for step in self._steps
        ]

    @cached_property
    def _tables(self) -> list[tuple[Ints, NDArray[np.float64], Ints, Ints]]:
        """The steps as arrays: state after, chances up to an option, ways before, last option.

        Rows are states and columns options; ways are those of ``_Step.before``, or all 0 in a space
        that is too large for 64 bits.
        """
        small = self.size <= np.iinfo(np.int64).max
        tables = []
        for (i, following, before), chances_up_to in zip(self._steps, self._chances, strict=True):
            shape = len(following), self.n_options[i]
            after, ways = np.zeros(shape, np.int64), np.full(shape, self.size if small else 0)
            chances = np.ones(shape)
            for state, (one, sums) in enumerate(zip(following, before, strict=True)):
                after[state, : len(one)] = one
                chances[state, : len(one)] = chances_up_to[state]
                if small:
                    ways[state, : len(one)] = sums[:-1]
            last = np.array([len(one) - 1 for one in following])
            tables.append((after, chances, ways, last))
        return tables

    def index(self, architecture: Sequence[int]) -> int:
        """The number of an architecture of the space."""
        state = index = 0
        for i, following, before in self._steps:
            option = architecture[i]
            index += before[state][option]
            state = following[state][option]
        return index

    def index_many(self, architectures: Ints) -> Ints:
        """``(n,)`` numbers of ``(n, d)`` architectures of the space."""
        state = np.zeros(len(architectures), dtype=np.int64)
        index = np.zeros(len(architectures), dtype=np.int64)
        for (i, _, _), (after, _, ways, _) in zip(self._steps, self._tables, strict=True):
            option = architectures[:, i]
            index += ways[state, option]
            state = after[state, option]
        return index

    def at(self, index: int) -> tuple[int, ...]:
        """The architecture with a number."""
        result, state = [0] * len(self.decisions), 0
        for i, following, before in self._steps:
            sums = before[state]
            option = next(o for o in range(len(sums) - 1) if index < sums[o + 1])
            index -= sums[option]
            result[i], state = option, following[state][option]
        return tuple(result)

    def at_many(self, index: Ints) -> Ints:
        """``(n, d)`` architectures with ``(n,)`` numbers."""
        result = np.zeros((len(index), len(self.decisions)), dtype=np.int64)
        state, rest = np.zeros(len(index), dtype=np.int64), index.copy()
        for (i, _, _), (after, _, ways, _) in zip(self._steps, self._tables, strict=True):
            option = (rest[:, None] >= ways[state, 1:]).sum(axis=1)
            rest -= ways[state, option]
            result[:, i], state = option, after[state, option]
        return result

    def sample(self, rng: np.random.Generator) -> tuple[int, ...]:
        """An architecture; all are equally likely."""
        result, state = [0] * len(self.decisions), 0
        draws = rng.random(len(self._steps)).tolist()
        for step, chances, u in zip(self._steps, self._chances, draws, strict=True):
            following = step.following[state]
            # Chances may end a rounding error below 1.
            option = min(bisect(chances[state], u), len(following) - 1)
            result[step.decision], state = option, following[option]
        return tuple(result)

    def sample_many(self, rng: np.random.Generator, n: int) -> Ints:
        """``(n, d)`` architectures, all equally likely."""
        result = np.zeros((n, len(self.decisions)), dtype=np.int64)
        state, draws = np.zeros(n, dtype=np.int64), rng.random((len(self._steps), n))
        for (i, _, _), (after, chances, _, last), u in zip(
            self._steps, self._tables, draws, strict=True
        ):
            option = (chances[state] <= u[:, None]).sum(axis=1)
            option = np.minimum(option, last[state])
            result[:, i], state = option, after[state, option]
        return result

    # Which decisions exist

    @cached_property
    def _masks(self) -> list[list[tuple[int, NDArray[np.bool_]]]]:
        """The rules as masks over the options."""
        return [
            [(on, np.isin(np.arange(self.n_options[on]), list(options))) for on, options in rules]
            for rules in self.rules
        ]

    def active(self, options: Ints) -> NDArray[np.bool_]:
        """``(n, d)``: which decisions exist in ``(n, d)`` combinations of options."""
        result = np.ones(options.shape, dtype=np.bool_)
        for i, masks in enumerate(self._masks):
            for on, mask in masks:
                result[:, i] &= result[:, on] & mask[options[:, on]]
        return result

    def active_one(self, options: Sequence[int]) -> list[bool]:
        """Which decisions exist in one combination of options."""
        result: list[bool] = []
        for i in range(len(self.rules)):
            result.append(self.exists(i, options, result))
        return result

    def exists(self, i: int, options: Sequence[int], active: Sequence[bool]) -> bool:
        """Whether decision ``i`` exists, by the options and the existence of the earlier ones."""
        return all(active[on] and options[on] in allowed for on, allowed in self.rules[i])

    def check(self, architecture: tuple[int, ...]) -> None:
        """Refuses a combination of options in which a decision that does not exist has one.

        Raises:
            InvalidArchitectureError: There is such a decision; the message names it.
        """
        active = self.active_one(architecture)
        for decision, option, exists in zip(self.decisions, architecture, active, strict=True):
            if option and not exists:
                raise InvalidArchitectureError(
                    f"Expected 0 for {decision.name!r} of {self.space!r}, which exists only if "
                    f"{in_words(decision)}, but got {option} in {architecture}; "
                    f"space.nearest(options) leaves such options out."
                )

    def blanked(self, options: Sequence[int]) -> tuple[int, ...]:
        """A combination of options with 0 for each decision that does not exist."""
        active = self.active_one(options)
        return tuple(
            [option if exists else 0 for option, exists in zip(options, active, strict=True)]
        )

    # Moves

    def mutate(
        self, architecture: tuple[int, ...], rng: np.random.Generator, near: float
    ) -> tuple[int, ...]:
        """An architecture with one decision changed; the argument must be of the space."""
        before = self.active_one(architecture)
        free = [i for i, n in enumerate(self.n_options) if n > 1 and before[i]]
        if not free:
            return architecture
        u, v = rng.random(2).tolist()
        i = free[int(u * len(free))]
        result = list(architecture)
        result[i] = other_option(self.decisions[i], result[i], v, near)
        if self._dependants[i]:
            active: list[bool] = []
            for j in range(len(result)):
                active.append(self.exists(j, result, active))
                if not active[j]:
                    result[j] = 0
                elif not before[j]:
                    result[j] = int(rng.random() * self.n_options[j])
        return tuple(result)

    def mutate_many(self, architectures: Ints, rng: np.random.Generator, near: float) -> Ints:
        """``(n, d)`` architectures, each with one decision changed."""
        result, radices = architectures.copy(), np.array(self.n_options)
        before = self.active(architectures)
        free = before & (radices > 1)
        places = free.cumsum(axis=1)
        draws = rng.random((3, len(result)))
        which = (places <= np.floor(draws[0] * places[:, -1])[:, None]).sum(axis=1)
        rows = np.flatnonzero(places[:, -1])  # all, or none in a space of one architecture
        which = which[rows]
        options = result[rows, which]
        u = draws[1][rows]
        result[rows, which] = other_options(self.decisions, which, options, u, near)
        active = np.ones(result.shape, dtype=np.bool_)
        for i, masks in enumerate(self._masks):
            for on, mask in masks:
                active[:, i] &= active[:, on] & mask[result[:, on]]
            if masks:
                new = np.flatnonzero(active[:, i] & ~before[:, i])
                result[new, i] = rng.integers(self.n_options[i], size=len(new))
                result[~active[:, i], i] = 0
        return result

    def neighbours(self, architecture: tuple[int, ...]) -> list[tuple[int, ...]]:
        """All architectures that ``mutate`` may make of one.

        Raises:
            InvalidArchitectureError: There are more than ``MOST_NEIGHBOURS``.
        """
        active = self.active_one(architecture)
        result: list[tuple[int, ...]] = []
        for i, n in enumerate(self.n_options):
            for step in range(1, n if active[i] else 0):
                option = (architecture[i] + step) % n
                changed = (*architecture[:i], option, *architecture[i + 1 :])
                if not self._dependants[i]:
                    result.append(changed)
                    continue
                result += self._completed(changed, active, MOST_NEIGHBOURS - len(result))
        return result

    def _completed(
        self, changed: tuple[int, ...], active: list[bool], most: int
    ) -> list[tuple[int, ...]]:
        """The architectures that a change leads to: all options of the decisions that are new."""
        result = np.array([changed])
        exists = np.ones(result.shape, dtype=np.bool_)
        for i, masks in enumerate(self._masks):
            if not masks:
                continue
            here = np.ones(len(result), dtype=np.bool_)
            for on, mask in masks:
                here &= exists[:, on] & mask[result[:, on]]
            if active[i]:
                result[~here, i] = 0
            elif here.any():
                counts = np.where(here, self.n_options[i], 1)
                total = int(counts.sum())
                if total > most:
                    raise InvalidArchitectureError(
                        f"{changed} of {self.space!r} has decisions that a change brings into being, "
                        f"and with their options more than {MOST_NEIGHBOURS:,} neighbours. "
                        f"Draw some with space.mutate."
                    )
                result, exists = result.repeat(counts, axis=0), exists.repeat(counts, axis=0)
                here = here.repeat(counts)
                result[:, i] = np.arange(total) - (np.cumsum(counts) - counts).repeat(counts)
            exists[:, i] = here
        return list(map(tuple, result.tolist()))


def in_words(decision: Decision) -> str:
    """``layers is 3 or 4 and kind is conv``."""
    return listed(
        [
            f"{name} is {' or '.join(short(str(option), 40) for option in options[:9])}"
            f"{' or …' if options[9:] else ''}"
            for name, options in decision.conditions
        ]
    )

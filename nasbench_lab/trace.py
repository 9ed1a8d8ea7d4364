"""The trace of one run: what was evaluated, when, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.benchmark import Objective
from nasbench_lab.clock import resumes
from nasbench_lab.spaces import SearchSpace
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd


STATUSES = ("done", "stopped", "failed", "cut off", "derived", "known")
"""What can become of an evaluation: an algorithm may stop it, a worker fail, the budget end.

``derived`` is no evaluation, but work of the algorithm itself, with what it recommends after it.
``known`` is an evaluation of an earlier search on the same data, which the run began with.
"""
_DERIVED, _KNOWN = STATUSES.index("derived"), STATUSES.index("known")

SLACK = 1e-6
"""By how much a sum of fractions of epochs may exceed a whole number through rounding."""


@dataclass(frozen=True, eq=False)
class Trace:
    """One run as columns, one entry per evaluation in the order of their ends.

    Evaluations that the budget cut off are kept apart, in ``cut_off``. A trial that was continued
    has one entry for each time. Work of the algorithm itself (``Work``) has an entry too, of the
    status ``derived``: its architecture is what the algorithm recommends, and its values are NaN.

    Args:
        trial: ``(n,)`` number of the trial; -1 for own work and for what was known before, and from -2
            downwards for other tasks' best, which the run began with.
        architecture: ``(n, d)`` option numbers; all -1 for own work that recommends nothing new.
        row: ``(n,)`` entry of the benchmark's table, -1 without one.
        since: ``(n,)`` the epoch that the trial had been trained to before, 0 for a new one.
        epoch: ``(n,)`` epochs trained in all, -1 where the benchmark does not know, and for own work.
        values: ``(n, m)`` objective values, NaN where the evaluation failed, and for own work.
        violation: ``(n,)`` by how much the constraints were violated, 0 where they held, NaN where
            only a full training would have told, or the table lacks what own work led to.
        cost: ``(n,)`` what each evaluation took, in the unit of the clock.
        start: ``(n,)`` when it began, on the simulated clock, or in real time.
        end: ``(n,)`` when it ended.
        worker: ``(n,)`` which worker did it.
        charged: ``(n,)`` whether it counted as an evaluation for the budget: all but free repeats,
            free evaluations of architectures that the table lacks, own work, and what was known.
        status: ``(n,)`` what became of it, as a position in ``STATUSES``.
        space: The space of the architectures.
        objectives: What the columns of ``values`` are.
        settings: What the run was: algorithm, benchmark, seed, budget, clock, policies.
        cut_off: The evaluations that the budget did not suffice for, with the end that they would
            have had; their values and violations are NaN, as nobody saw them.
        passes: ``(n,)`` how many epochs own work is worth (``Work.epochs``); 0 for evaluations, and
            by default.
        reasons: Why evaluations failed, by their position, as far as somebody said.
    """

    trial: NDArray[np.int64]
    architecture: NDArray[np.int64]
    row: NDArray[np.int64]
    since: NDArray[np.int64]
    epoch: NDArray[np.int64]
    values: NDArray[np.float64]
    violation: NDArray[np.float64]
    cost: NDArray[np.float64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    worker: NDArray[np.int64]
    charged: NDArray[np.bool_]
    status: NDArray[np.int8]
    space: SearchSpace
    objectives: tuple[Objective, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    cut_off: Trace | None = None
    passes: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    reasons: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.trial)
        if not len(self.passes):
            object.__setattr__(self, "passes", np.zeros(n))
        for name in COLUMNS:
            if len(getattr(self, name)) != n:
                raise ValueError(
                    f"Expected {counted(n, 'entry')} in {name} but got {len(getattr(self, name))}."
                )
        if np.any(np.diff(self.end) < 0) or np.any(self.start > self.end):
            raise ValueError("A trace's evaluations must end after they start, in order of ends.")

    def __len__(self) -> int:
        return len(self.trial)

    def __repr__(self) -> str:
        what = ", ".join(f"{key}={value!r}" for key, value in self.settings.items())
        return f"<Trace of {counted(len(self), 'evaluation')}: {what}>"

    def equals(self, other: Trace) -> bool:
        """Whether all columns are the same to the bit (NaN equal to NaN)."""
        if (self.cut_off is None) != (other.cut_off is None):
            return False
        if self.cut_off and other.cut_off and not self.cut_off.equals(other.cut_off):
            return False
        return all(
            np.array_equal(
                getattr(self, name),
                getattr(other, name),
                equal_nan=getattr(self, name).dtype.kind == "f",
            )
            for name in COLUMNS
        )

    def evaluations(self) -> NDArray[np.int64]:
        """``(n,)`` how many evaluations have counted up to and including each."""
        return np.cumsum(self.charged)

    def epochs(self) -> NDArray[np.int64]:
        """``(n,)`` how many epochs have counted up to and including each, as a budget counts them."""
        resumed = self.since if resumes(self.settings.get("clock", "")) else 0
        trained = np.cumsum(np.where(self.charged, np.maximum(self.epoch, 0) - resumed, 0))
        worth: NDArray[np.int64] = np.ceil(np.cumsum(self.passes) - SLACK).astype(np.int64)
        return trained + worth

    @property
    def derived(self) -> NDArray[np.bool_]:
        """``(n,)`` whether an entry is the algorithm's own work, and no evaluation."""
        return np.equal(self.status, _DERIVED)

    @property
    def known(self) -> NDArray[np.bool_]:
        """``(n,)`` whether an entry is of an earlier search; these come first, and cost nothing."""
        return np.equal(self.status, _KNOWN)

    def scores(self, objective: int = 0) -> NDArray[np.float64]:
        """``(n,)`` values of one objective, turned so that more is better.

        Minus infinity where the evaluation failed, or is not known to keep to the constraints.
        """
        values = self.values[:, objective]
        sign = 1.0 if self.objectives[objective].maximize else -1.0
        return np.where(np.isnan(values) | (self.violation != 0), -np.inf, sign * values)

    def incumbents(self) -> NDArray[np.int64]:
        """``(n,)`` position of the best evaluation so far by the first objective.

        Of evaluations after different epochs, those after most decide, as values after few say
        little about these (HpBandSter, the code of Falkner et al. 2018, does the same). The first of
        equals stays. Before the first evaluation that succeeded and keeps to the constraints, it is
        what own work recommended last, if that is known to keep to them; and -1 before that.
        """
        return self._incumbents

    @cached_property
    def _incumbents(self) -> NDArray[np.int64]:
        # Every curve and statistic of a run asks for them.
        scores = self.scores()
        scored = scores > -np.inf
        epochs = self.epoch[scored]
        if len(epochs) and epochs.min() < epochs.max():
            # Ranks by epoch, then by score.
            keys = np.stack([epochs, scores[scored]], axis=1)
            scores = np.full(len(scores), -np.inf)
            scores[scored] = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
        best = np.maximum.accumulate(scores)
        new = np.flatnonzero(scores > np.concatenate([[-np.inf], best[:-1]]))
        # What own work recommended stands until the first evaluation.
        recommended = self.derived & (self.architecture >= 0).all(axis=1) & (self.violation == 0)
        positions = np.where(recommended, np.arange(len(scores)), -1)
        result: NDArray[np.int64] = np.maximum.accumulate(positions)
        if new.size:
            result[new[0] :] = new[
                np.searchsorted(new, np.arange(new[0], len(scores)), "right") - 1
            ]
        result.flags.writeable = False
        return result

    def best(self) -> str:
        """The incumbent at the end, in the benchmark's syntax.

        Raises:
            ValueError: No evaluation succeeded and is known to keep to the constraints.
        """
        position = self.incumbents()[-1] if len(self) else -1
        if position < 0:
            kept = " and kept to the constraints" if self.settings.get("constraints") else ""
            raise ValueError(f"No evaluation of this run succeeded{kept}, so there is no best one.")
        return self.space.to_string(tuple(self.architecture[position].tolist()))

    def texts(self) -> list[str]:
        """The architectures in the benchmark's syntax, empty where own work recommended none."""
        return architecture_texts(self.space, self.architecture)

    def to_frame(self) -> pd.DataFrame:
        """One line per evaluation, with the architecture in the benchmark's syntax."""
        import pandas as pd

        columns: dict[str, Any] = {
            "trial": self.trial,
            "architecture": self.texts(),
            "row": self.row,
            "since": self.since,
            "epoch": self.epoch,
        }
        for i, objective in enumerate(self.objectives):
            columns[objective.name] = self.values[:, i]
        columns |= {
            name: getattr(self, name)
            for name in ("violation", "cost", "start", "end", "worker", "charged", "passes")
        }
        columns["status"] = np.array(STATUSES)[self.status]
        if self.reasons:
            columns["reason"] = [self.reasons.get(i, "") for i in range(len(self))]
        return pd.DataFrame(columns)


def architecture_texts(space: SearchSpace, architectures: NDArray[np.int64]) -> list[str]:
    """``(n, d)`` option numbers in the syntax of their space; empty for those that are all -1."""
    known = (architectures >= 0).all(axis=1)
    texts = [""] * len(architectures)
    for i, text in zip(np.flatnonzero(known), space.to_string(architectures[known]), strict=True):
        texts[i] = text
    return texts


_NO_COLUMNS = ("space", "objectives", "settings", "cut_off", "reasons")
COLUMNS = tuple(f.name for f in fields(Trace) if f.name not in _NO_COLUMNS)
"""The names of a trace's columns."""

"""The price of an algorithm's own passes over the training data, from a table's times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.algorithm import Work
from nasbench_lab.errors import BenchmarkError
from nasbench_lab.spaces import Architectures, SearchSpace

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PassTimes:
    """What an epoch of training takes, as a sum over the options of an architecture.

    A supernet trains options in mixtures that no table has. So the times of a table's architectures
    are fitted, by least squares, by a constant and one term for each option of each decision.

    Args:
        shared_s: Seconds of the parts that all architectures share, and of the cheapest option of
            each decision.
        option_s: ``(decisions, options)`` seconds that each option takes beyond the cheapest one of
            its decision; 0 for what is no option.
    """

    shared_s: float
    option_s: Floats

    @classmethod
    def fitted(cls, space: SearchSpace, architectures: Architectures, seconds: Floats) -> PassTimes:
        """Fits the times of architectures.

        Args:
            space: Their space.
            architectures: ``(n, d)`` architectures.
            seconds: ``(n,)`` what an epoch of each takes, NaN if unknown.

        Raises:
            BenchmarkError: No time is known.
        """
        known = np.isfinite(seconds) & (architectures >= 0).all(axis=1)
        if not known.any():
            raise BenchmarkError(
                f"No architecture of {space.name!r} has a known time, so a pass has no price."
            )
        chosen = architectures[known]
        d, most = chosen.shape[1], max(space.n_options)
        # One column per option, and one for what is shared.
        indicators = np.zeros((len(chosen), d * most + 1))
        indicators[:, -1] = 1.0
        indicators[np.arange(len(chosen))[:, None], np.arange(d) * most + chosen] = 1.0
        fit = np.linalg.lstsq(indicators, seconds[known], rcond=None)[0]
        terms = fit[:-1].reshape(d, most)
        shared = fit[-1]
        seen = indicators[:, :-1].any(axis=0).reshape(d, most)
        option_s = np.zeros((d, most))
        for i, n in enumerate(space.n_options):
            # An option that no architecture has is taken for a middling one.
            of = np.where(seen[i, :n], terms[i, :n], terms[i, :n][seen[i, :n]].mean())
            shared += of.min()
            option_s[i, :n] = of - of.min()
        # Six digits are the same on every machine, whatever its linear algebra.
        digits = np.vectorize(lambda value: float(f"{value:.6g}"), otypes=[np.float64])
        return cls(
            float(digits(max(shared, 0.0))), digits(np.where(option_s > 1e-9, option_s, 0.0))
        )

    def price(self, work: Work) -> float:
        """Seconds of the passes of some work.

        One pass along one path takes what an epoch of that architecture takes, up to the fit. A
        mixture pays for all of its options, and once for what they share.
        """
        shared = work.epochs if work.shared is None else work.shared
        options = 0.0 if work.passes is None else float((work.passes * self.option_s).sum())
        return self.shared_s * shared + options

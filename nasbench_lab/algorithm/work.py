"""The work of an algorithm itself, such as training a supernet."""

from __future__ import annotations

import contextlib
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import AlgorithmError, InvalidArchitectureError
from nasbench_lab.spaces import Architecture, SearchSpace


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

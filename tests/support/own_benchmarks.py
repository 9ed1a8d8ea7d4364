"""Benchmarks that are no tables, for tests."""

import numpy as np

from nasbench_lab.algorithm import Evaluation
from nasbench_lab.benchmark import Benchmark, Objective
from nasbench_lab.spaces import Decision, SearchSpace

CUBE = SearchSpace("cube", [Decision(name, tuple(range(9)), True) for name in "xyz"])


def height(architecture):
    x, y, z = architecture
    return 10.0 - (x - 6) ** 2 - (y - 2) ** 2 - abs(z - 4)


class Hill(Benchmark):
    """The README's example: a quadratic over three numbers, best at (6, 2, 4)."""

    name = "hill"
    space = CUBE
    objectives = (Objective("height", "m"),)

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        return Evaluation((height(architecture),), cost=1.0)


class KnownHill(Hill):
    """It knows its best value."""

    name, best_value = "known hill", 10.0


class Valley(Hill):
    """Less is better, and what is reported is something else."""

    name = "valley"
    objectives = (Objective("depth", "m", maximize=False),)
    reported = Objective("test_depth", "m", maximize=False)

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        return Evaluation((-height(architecture),), cost=1.0)

    def report_value(self, architecture):
        return float(architecture[2]) - height(architecture)


class NoisyHill(Hill):
    """Evaluations have noise of their own."""

    name, noisy = "noisy hill", True

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        return Evaluation((height(architecture) + rng.normal(),), cost=1.0)


class TrainedHill(Hill):
    """It climbs over nine epochs of two seconds each."""

    name, clock, epochs, fidelities = "trained hill", "resume", 9, (1, 3, 9)

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        epoch = self.epochs if epoch is None else epoch
        value = height(architecture) * epoch / self.epochs
        return Evaluation((value,), 2.0 * (epoch - (since or 0)), epoch)


class FragileHill(Hill):
    """Nothing comes of some architectures, and some are not allowed."""

    name = "fragile hill"

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        value = np.nan if architecture[0] % 2 else height(architecture)
        return Evaluation((value,), 1.0, violation=float(architecture[1] > 5))


class DeadHill(Hill):
    """Nothing ever comes of an evaluation."""

    name = "dead hill"

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        return Evaluation((np.nan,), 1.0)


class TwoHills(Hill):
    """Two objectives that contradict each other."""

    name = "two hills"
    objectives = (Objective("height", "m"), Objective("weight", "kg", maximize=False))

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        return Evaluation((height(architecture), float(sum(architecture))), cost=1.0)

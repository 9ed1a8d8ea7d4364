"""Single-path one-shot: a supernet trained along uniform paths, and then evolution.

Guo, Zhang, Mu, Heng, Liu, Wei and Sun, "Single path one-shot neural architecture search with uniform
sampling", ECCV 2020 (arXiv 1904.00420), sections 3.2 and 3.4 and Algorithm 1. Sizes of the evolution
are those of the paper's section 4.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from algorithms._paths import Paths
from algorithms._variation import check_rate, cross, mutate_genes
from nasbench_lab.algorithm import check_number
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.spaces import Architecture, SearchSpace

if TYPE_CHECKING:
    from nasbench_lab.trainer.supernet_training import SupernetTraining

MOST_TRIES = 10
"""So many times as many children are drawn as are needed, as many were evaluated before."""


class SPOS(Paths):
    """Trains a uniform path in each step; then a population evolves, whose fitness is the accuracy.

    The weights are fixed while the population evolves. Each generation counts as one more epoch.
    Before a path is evaluated, its statistics of batch normalisation are computed anew, on the images
    that the weights are trained on. Results of other searches teach nothing.

    Args:
        space: The space to search.
        population_size: P of Algorithm 1; half of it are children of crossover, half of mutation.
        generations: T of Algorithm 1.
        parents: k of Algorithm 1: how many of the best so far have children.
        mutation_rate: The chance that a mutation changes a decision.
        normalisation: As in ``OneShot``.
        **kwargs: Those of ``Paths``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        population_size: int = 50,
        generations: int = 20,
        parents: int = 10,
        mutation_rate: float = 0.1,
        normalisation: str = "recalibrated",
        **kwargs: Any,
    ) -> None:
        super().__init__(space, normalisation=normalisation, **kwargs)
        check_number("population_size", population_size, whole=True, low=2)
        check_number("generations", generations, whole=True, low=1)
        check_number("parents", parents, whole=True, low=1)
        check_rate("mutation_rate", mutation_rate)
        if mutation_rate == 0:
            raise HyperparameterError("Expected a number above 0 for mutation_rate but got 0.")
        self.population_size, self.generations = population_size, generations
        self.parents, self.mutation_rate = parents, mutation_rate
        self.normalisation = normalisation
        self.training_epochs = self.epochs
        self.epochs += generations
        self.evolution = Evolution()

    def prepare(self, training: SupernetTraining) -> None:
        training.states["evolution"] = self.evolution

    def train_epoch(
        self, training: SupernetTraining, rng: np.random.Generator
    ) -> tuple[Architecture, NDArray[np.float64]]:
        if len(training.epochs_done) >= self.training_epochs:
            return self.evolve(training, rng)
        # Equation 7: each architecture of the supernet is drawn with the same chance.
        for x, y in training.batches("weights", rng):
            training.weights_step(x, y, self.space.sample(rng))
        paths = [self.space.sample(rng) for _ in range(self.candidates)]
        return self.best(training, paths), self.uniform()

    def evolve(
        self, training: SupernetTraining, rng: np.random.Generator
    ) -> tuple[Architecture, NDArray[np.float64]]:
        """A generation (Algorithm 1): evaluates the population, and lets the best have children."""
        known = self.evolution.accuracies
        population = self.evolution.population or self.new_paths([], rng)
        # ACC = Inference(…): a path is evaluated once, as the weights stay as they are.
        known |= self.accuracies(training, [path for path in population if path not in known])
        # Topk = Update_Topk(…)
        top = sorted(known, key=known.__getitem__, reverse=True)[: self.parents]
        self.evolution.population = self.children(top, rng)
        return top[0], self.shares(np.array(top))

    def children(self, top: list[Architecture], rng: np.random.Generator) -> list[Architecture]:
        """A population of children of the best, none of which was evaluated before.

        Where too few new children are found, random paths take their place, as in the authors' code.
        """
        half = self.population_size // 2
        children: list[Architecture] = []
        for wanted, vary in ((half, self.crossed), (self.population_size, self.mutated)):
            for _ in range(MOST_TRIES * self.population_size):
                if len(children) == wanted:
                    break
                child = self.pruned(vary(top, rng))
                if child not in self.evolution.accuracies and child not in children:
                    children.append(child)
        return self.new_paths(children, rng)

    def crossed(self, top: list[Architecture], rng: np.random.Generator) -> Architecture:
        """A child of two of the best: each decision is that of one of them, by chance."""
        one, other = (top[int(i)] for i in rng.integers(len(top), size=2))
        return cross(self.space, one, other, "uniform", rng)[0]

    def mutated(self, top: list[Architecture], rng: np.random.Generator) -> Architecture:
        """A child of one of the best: each decision changes with chance ``mutation_rate``."""
        parent = top[int(rng.integers(len(top)))]
        return mutate_genes(self.space, parent, self.mutation_rate, rng)

    def new_paths(
        self, population: list[Architecture], rng: np.random.Generator
    ) -> list[Architecture]:
        """The population, filled with random paths."""
        missing = self.population_size - len(population)
        drawn = (self.space.sample(rng) for _ in range(missing))
        return [*population, *map(self.pruned, drawn)]


class Evolution:
    """What an evolution has come to: the accuracies so far, and the next population."""

    def __init__(self) -> None:
        self.accuracies: dict[Architecture, float] = {}
        self.population: list[Architecture] = []

    def state_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        known = [(list(path), accuracy) for path, accuracy in self.accuracies.items()]
        return {"accuracies": known, "population": [list(path) for path in self.population]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what ``state_dict`` gave."""
        self.accuracies = {tuple(path): accuracy for path, accuracy in state["accuracies"]}
        self.population = [tuple(path) for path in state["population"]]


SPOS.citation = """@inproceedings{guo2020single,
  title = {Single Path One-Shot Neural Architecture Search with Uniform Sampling},
  author = {Guo, Zichao and Zhang, Xiangyu and Mu, Haoyuan and Heng, Wen and Liu, Zechun and Wei,
            Yichen and Sun, Jian},
  booktitle = {European Conference on Computer Vision},
  year = {2020}
}"""

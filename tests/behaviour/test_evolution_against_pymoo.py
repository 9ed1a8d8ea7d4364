"""genetic_algorithm finds what pymoo's genetic algorithm finds when it is set up alike."""

import numpy as np
import pytest
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.survival import Survival
from pymoo.core.variable import Choice
from pymoo.operators.crossover.pntx import PointCrossover
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.rm import ChoiceRandomMutation
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.operators.selection.tournament import TournamentSelection
from pymoo.optimize import minimize

from nasbench_lab.registry import load_benchmark
from nasbench_lab.running.search import run

TABLES = ("nb201-digits", "analognas-bench/cifar10")
POPULATION = 20
BUDGET = 210  # the first generation, and ten of one elite and 19 children


class Cells(Problem):
    """Validation regrets of cells, whose decisions are integer variables."""

    def __init__(self, benchmark):
        n_options = benchmark.space.n_options
        super().__init__(n_var=len(n_options), n_obj=1, xl=0, xu=np.array(n_options) - 1, vtype=int)
        self.vars = {i: Choice(options=list(range(n))) for i, n in enumerate(n_options)}
        self.benchmark = benchmark

    def _evaluate(self, x, out, *args, **kwargs):
        table, objective = self.benchmark.table, self.benchmark.first_objective
        rows = table.row(x.astype(np.int64))
        out["F"] = (table.optimum(objective) - table.values(objective)[rows])[:, None]


class Generational(Survival):
    """All children survive, and the best of their elders; pymoo itself keeps the best of all."""

    def _do(self, problem, pop, *args, **kwargs):
        elders, children = pop[:POPULATION], pop[POPULATION:]
        return Population.merge(elders[[elders.get("F")[:, 0].argmin()]], children)


def best_of(pop, drawn, *, random_state, **kwargs):
    """Tournaments of parents that are drawn with replacement, where pymoo deals them out."""
    drawn = random_state.integers(len(pop), size=drawn.shape)
    return drawn[np.arange(len(drawn)), pop.get("F")[drawn, 0].argmin(axis=1)][:, None]


def pymoo_regret(benchmark, seed, crossover):
    operator = {
        "uniform": UniformCrossover(prob=0.9),
        "single_point": PointCrossover(n_points=1, prob=0.9),
        "multi_point": PointCrossover(n_points=2, prob=0.9),
    }[crossover]
    n_options = benchmark.space.n_options
    # This mutation also draws the option that is there, so that the rate has to be higher.
    rate = 1 / len(n_options) * n_options[0] / (n_options[0] - 1)
    algorithm = GA(
        pop_size=POPULATION,
        n_offsprings=POPULATION - 1,
        sampling=IntegerRandomSampling(),
        selection=TournamentSelection(best_of, pressure=3),
        crossover=operator,
        mutation=ChoiceRandomMutation(prob_var=rate),
        survival=Generational(),
        eliminate_duplicates=False,
    )
    result = minimize(Cells(benchmark), algorithm, ("n_eval", BUDGET), seed=seed)
    assert result.algorithm.evaluator.n_eval == BUDGET
    return result.F[0]


def our_regret(benchmark, seed, crossover):
    rows = run(f"genetic_algorithm(crossover={crossover})", benchmark, BUDGET, seed).row
    values = benchmark.table.values(benchmark.first_objective)
    return values.max() - values[rows].max()


def compare(table, crossover, seeds):
    """Mean regrets of both, and the standard error of their difference."""
    benchmark = load_benchmark(table)
    ours = np.array([our_regret(benchmark, seed, crossover) for seed in range(seeds)])
    theirs = np.array([pymoo_regret(benchmark, seed, crossover) for seed in range(seeds)])
    error = np.hypot(ours.std(ddof=1), theirs.std(ddof=1)) / seeds**0.5
    print(f"{table}, {crossover}: {ours.mean():.4f}, pymoo {theirs.mean():.4f}, error {error:.4f}")
    return ours.mean(), theirs.mean(), error


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("crossover", ["uniform", "single_point", "multi_point"])
def test_mean_regret_is_that_of_pymoo(table, crossover):
    ours, theirs, error = compare(table, crossover, seeds=400)
    assert abs(ours - theirs) < 3 * error


@pytest.mark.parametrize("table", TABLES)
def test_short_form(table):
    ours, theirs, error = compare(table, "uniform", seeds=50)
    assert abs(ours - theirs) < 3 * error

"""Every registered algorithm keeps the contract, on every space and table."""

import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nasbench_lab.algorithm import SearchAlgorithm, Trial, hyperparameters_of
from nasbench_lab.registry import (
    algorithm_class,
    algorithm_modules,
    make_algorithm,
    table_sources,
)
from nasbench_lab.running.search import run
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import get_space
from nasbench_lab.testing import ALGORITHM_CHECKS, ContractError, check_algorithm
from nasbench_lab.testing.contract import _Huge

VARIANTS = {
    **{name: (name, {}) for name in algorithm_modules()},
    "random_search without replacement": ("random_search", {"replacement": False}),
    "regularized_evolution of one": ("regularized_evolution", {"population_size": 1}),
    "successive_halving of two": ("successive_halving", {"n_configurations": 20, "eta": 2}),
    "hyperband by halves": ("hyperband", {"eta": 2}),
    "asha from the second rung": ("asha", {"eta": 2, "early_stopping_rate": 1}),
    "bohb without repeats": ("bohb", {"avoid_repeats": True}),
    "bohb by the model alone": ("bohb", {"random_fraction": 0.0}),
    "last values": ("learning_curve_stopping", {"extrapolation": "last_value"}),
    "stopped evolution": ("learning_curve_stopping", {"base": "regularized_evolution"}),
    "roulette, single point": (
        "genetic_algorithm",
        {"selection": "roulette", "crossover": "single_point", "mutation": "random", "elitism": 0},
    ),
    "genetic_algorithm of several points": ("genetic_algorithm", {"crossover": "multi_point"}),
    "steepest local_search": ("local_search", {"strategy": "best", "n_initial": 1}),
    "nsga2 of seven": ("nsga2", {"population_size": 7, "crossover": "multi_point"}),
    "scalarized gp_bo": ("random_scalarization", {"base": "gp_bo", "n_weights": 3}),
    "scalarized bohb, linear": (
        "random_scalarization",
        {"base": "bohb", "n_weights": 2, "scalarization": "linear"},
    ),
    "gp_bo matern": ("gp_bo", {"kernel": "matern"}),
    "gp_bo ucb": ("gp_bo", {"acquisition": "ucb"}),
    "gp_bo thompson": ("gp_bo", {"acquisition": "thompson"}),
}


@pytest.mark.parametrize("check", ALGORITHM_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("variant", VARIANTS)
def test_contract(variant, check):
    name, hyperparameters = VARIANTS[variant]
    check(lambda *a, **k: make_algorithm(name, *a, **hyperparameters, **k))


@pytest.mark.parametrize("weights", [None, (1.0, 100.0)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_algorithm_overflows(variant, weights):
    # The contract passes over warnings; here, as in all tests, they are errors.
    name, hyperparameters = VARIANTS[variant]
    if weights and name in ("nsga2", "random_scalarization"):
        return  # they take none
    space = get_space("nb201")
    several = (True, False) if weights or name == "nsga2" else (True,)
    for epochs in (None, 9):
        benchmark = _Huge(space, maximize=several, epochs=epochs)
        algorithm = make_algorithm(
            *(name, space),
            seed=1,
            maximize=several,
            fidelities=benchmark.fidelities,
            **(hyperparameters if weights is None else {**hyperparameters, "weights": weights}),
        )
        assert len(simulate(algorithm, benchmark, 60, workers=2)) == 60


@pytest.mark.parametrize("table", sorted(table_sources()))
@pytest.mark.parametrize("algorithm", algorithm_modules())
def test_every_algorithm_on_every_table(algorithm, table):
    trace = run(algorithm, table, budget=25, seed=3)
    assert len(trace) == 25
    assert len(set(trace.row.tolist())) > 5


def test_all_algorithms_are_registered():
    expected = {
        *("random_search", "regularized_evolution", "reinforce", "gp_bo", "successive_halving"),
        *("hyperband", "asha", "bohb", "learning_curve_stopping", "genetic_algorithm"),
        *("local_search", "nsga2", "random_scalarization"),
    }
    assert expected <= set(algorithm_modules())


def test_every_algorithm_file_is_registered():
    import algorithms

    files = {path.stem for path in Path(algorithms.__path__[0]).glob("[!_]*.py")}
    assert files == {n for n, m in algorithm_modules().items() if m.startswith("algorithms.")}


def bibtex_entries(text):
    """Key and fields of each entry; fails on whatever else there is between entries."""
    entries = []
    while text := text.lstrip():
        start = re.match(r"@(\w+)\{(\w+),", text)
        assert start, f"no BibTeX entry: {text[:60]!r}"
        depth, end = 1, start.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)  # IndexError: never closed
            end += 1
        fields = re.findall(r"^  (\w+) = \{", text[start.end() : end], re.MULTILINE)
        entries.append((start[2], {"kind": start[1], **dict.fromkeys(fields)}))
        text = text[end:]
    return entries


def test_every_algorithm_cites_its_papers_and_none_twice():
    places = {"article": "journal", "inproceedings": "booktitle", "book": "publisher"}
    keys = Counter()
    for name in algorithm_modules():
        cls = algorithm_class(name)
        assert "citation" in vars(cls), f"{name} cites only what its parent does"
        entries = bibtex_entries(cls.citation)
        assert entries, name
        for key, fields in entries:
            assert {"title", "author", "year", places[fields["kind"]]} <= set(fields), key
            assert key.rstrip("abcdefghijklmnopqrstuvwxyz")[-4:].isdigit(), key
            keys[key] += 1
        assert "citation" not in hyperparameters_of(cls)
    assert set(keys.values()) == {1}, keys


@pytest.mark.parametrize("broken", ["Real et al., 2019", "@article{a2019b, title = {open}", "@x"])
def test_what_is_no_bibtex_is_noticed(broken):
    with pytest.raises((AssertionError, IndexError)):
        bibtex_entries(broken)


# Algorithms that each break one rule, and the check that must notice.


class OneNumber(SearchAlgorithm):
    def ask(self):
        return Trial(0, self.space.sample(self.rng))


class SameTwice(SearchAlgorithm):
    def ask(self):
        return Trial(0, (0,) * len(self.space.decisions))


class NoSuchEpoch(SearchAlgorithm):
    def ask(self):
        epoch = self.fidelities[-1] + 1 if self.fidelities else None
        return self.trial(self.space.sample(self.rng), epoch)


class NeverTrained(SearchAlgorithm):
    def ask(self):
        epoch = self.fidelities[0] if self.fidelities else None
        return self.trial(self.space.sample(self.rng), epoch)


class Unseeded(SearchAlgorithm):
    def ask(self):
        return self.trial(self.space.sample(np.random.default_rng()))


class GlobalGenerator(SearchAlgorithm):
    def ask(self):
        import random

        random.random()
        return self.trial(self.space.sample(self.rng))


class IgnoresSeed(SearchAlgorithm):
    def ask(self):
        self.asked = getattr(self, "asked", 0) + 1
        return self.trial(self.space.sample(np.random.default_rng(self.asked)))


class OnlyMaximises(SearchAlgorithm):
    best, best_value = None, -math.inf

    def ask(self):
        if self.best is None:
            return self.trial(self.space.sample(self.rng))
        return self.trial(self.space.mutate(self.best, self.rng))

    def tell(self, trial, evaluation):
        if evaluation.values[0] > self.best_value:
            self.best, self.best_value = trial.architecture, evaluation.values[0]


class Stalls(SearchAlgorithm):
    def ask(self):
        return None


class GivesUp(SearchAlgorithm):
    failed = False

    def ask(self):
        return None if self.failed else self.trial(self.space.sample(self.rng))

    def tell(self, trial, evaluation):
        self.failed |= math.isnan(evaluation.values[0])


class ForgetsItsState(SearchAlgorithm):
    count = 0

    def ask(self):
        self.count += 1
        architecture = self.space.sample(self.rng)
        same = self.space.sample(np.random.default_rng(0))
        return self.trial(architecture if self.count % 2 else same)

    def __getstate__(self):
        state = self.__dict__.copy()
        state["count"] = 1
        return state


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (OneNumber, "trial 0 with another architecture"),
        (SameTwice, "same number"),
        (NoSuchEpoch, "none of self.fidelities"),
        (NeverTrained, "never trained anything to the end"),
        (Unseeded, "with one seed"),
        (GlobalGenerator, "global random generator"),
        (IgnoresSeed, "same run for two seeds"),
        (OnlyMaximises, "minimised"),
        (Stalls, "asked nothing"),
        (GivesUp, "gave up"),
        (ForgetsItsState, "pickled"),
    ],
)
def test_the_contract_notices_a_broken_rule(broken, words):
    with pytest.raises(ContractError, match=words):
        check_algorithm(broken)

"""Every registered algorithm keeps the contract, on every space and table."""

import functools
import math
import pickle
import re
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from all_tables import tables
from one_shot import (
    BY_HISTORY,
    BY_PREDICTORS,
    BY_PROXIES,
    EVALUATING,
    ONE_SHOT,
    RUNNABLE_ONE_SHOT,
    small,
)

from nasbench_lab.algorithm import SearchAlgorithm, Trial, hyperparameters_of
from nasbench_lab.errors import UnsuitedError
from nasbench_lab.registry import (
    algorithm_class,
    algorithm_modules,
    make_algorithm,
)
from nasbench_lab.running.search import run
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import PoolSpace, get_space
from nasbench_lab.testing import (
    ALGORITHM_CHECKS,
    ContractError,
    SyntheticBenchmark,
    check_algorithm,
)
from nasbench_lab.testing.contract import _MIXED, _Huge, _search, _with_given
from nasbench_lab.testing.repeats import in_other_processes

VARIANTS = {
    **{name: (name, small(name)) for name in EVALUATING},
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


LONG = {
    *("gp_bo thompson", "gp_bo matern", "gp_bo ucb"),
    *("scalarized gp_bo", "scalarized bohb, linear"),
}
"""Variants whose checks take longest; they are among those of the slow test below."""


variants = pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=[pytest.mark.slow] * (v == "gp_bo thompson")) for v in VARIANTS],
)
"""All, of which one takes several times as long as any other."""

HISTORY_LONG = {
    (name, f"check_{what}")
    for name in ("quantile_transfer", "rgpe", "transfer_bounding_box")
    for what in ("asks_trials_of_the_space", "learning_curves", "outstanding_asks")
}
"""Checks on large spaces, where an ask takes long: of the slow tests."""


@pytest.fixture
def in_this_process(monkeypatch):
    """Takes other processes for ones that give the same, as starting them takes a second."""
    monkeypatch.setattr("nasbench_lab.testing.contract.differs_elsewhere", lambda *_: False)


OTHER_NETWORKS = {"dqn", "ppo_controller"}
"""Agents that differ from q_learning and lstm_controller in what they train only."""
ASKING = {
    *("check_asks_trials_of_the_space", "check_learning_curves", "check_outstanding_asks"),
    *("check_tiny_spaces", "check_several_objectives", "check_unreliable_workers"),
}
"""Checks of how it is asked, which OTHER_NETWORKS have from their parents: the slow test has them."""


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(name, check, id=f"{name}-{check.__name__}")
        for name in [*EVALUATING, *BY_PROXIES]
        for check in ALGORITHM_CHECKS
        if name not in OTHER_NETWORKS or check.__name__ not in ASKING
    ],
)
def test_contract(in_this_process, name, check):
    hyperparameters = VARIANTS[name][1] if name in VARIANTS else {}
    check(lambda *a, **k: make_algorithm(name, *a, **hyperparameters, **k))


def test_every_algorithm_gives_the_same_run_in_other_processes():
    """All in the same processes, as starting one takes longer than all searches."""
    names = [*EVALUATING, *BY_PROXIES, *BY_HISTORY]
    makers = [partial(make_algorithm, name, **small(name)) for name in names]

    def searches():
        return [_search(partial(_with_given, make), 1) for make in makers]

    here = searches()
    for there in in_other_processes(searches, ("1", "2")):
        for name, one, other in zip(names, here, there, strict=True):
            assert one.equals(other), name


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(
            name,
            check,
            id=f"{name}-{check.__name__}",
            marks=pytest.mark.slow if (name, check.__name__) in HISTORY_LONG else (),
        )
        for name in BY_HISTORY
        for check in ALGORITHM_CHECKS
    ],
)
def test_contract_of_transfer(in_this_process, name, check):
    check(lambda *a, **k: make_algorithm(name, *a, **k))


ONE_SHOT_LONG = {
    *("check_survives_failures", "check_constant_objective", "check_huge_values"),
    *("check_minimises_and_maximises", "check_outstanding_asks"),
}
"""Checks of what all one-shot methods have from one class: here of one, of all by the slow test."""


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(name, check, id=f"{name}-{check.__name__}")
        for name in RUNNABLE_ONE_SHOT
        for check in ALGORITHM_CHECKS
        if name == "spos" or check.__name__ not in ONE_SHOT_LONG
    ],
)
def test_contract_of_one_shot_methods(in_this_process, name, check):
    check(lambda *a, **k: make_algorithm(name, *a, **small(name), **k))


@pytest.mark.parametrize("check", ALGORITHM_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - set(algorithm_modules()) - LONG))
def test_contract_of_variants(in_this_process, variant, check):
    name, hyperparameters = VARIANTS[variant]
    check(lambda *a, **k: make_algorithm(name, *a, **hyperparameters, **k))


ON_POOLS = {"regularized_evolution", "bohb", "gp_bo", "local_search"}
"""One algorithm of each way to move: the others are checked by the slow tests."""

OF_VALUES = {
    *("check_learning_curves", "check_huge_values", "check_constant_objective"),
    *("check_minimises_and_maximises", "check_several_objectives", "check_unreliable_workers"),
}
"""Checks of what an algorithm does with values, which a pool does not change."""


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(
            *(name, check),
            id=f"{name}-{check.__name__}",
            marks=[pytest.mark.slow] * (name not in ON_POOLS or check.__name__ in OF_VALUES),
        )
        for name in EVALUATING
        for check in ALGORITHM_CHECKS
    ],
)
def test_contract_on_pools(in_this_process, monkeypatch, name, check):
    monkeypatch.setattr("nasbench_lab.testing.contract.get_space", pool_of)
    check(lambda *a, **k: make_algorithm(name, *a, **small(name), **k))


@functools.cache
def pool_of(space):
    """The space of 400 architectures of the space of a name."""
    return PoolSpace(get_space(space), get_space(space).sample(np.random.default_rng(1), 400))


BASES = (
    *("regularized_evolution", "random_search", "reinforce", "nsga2"),
    *("genetic_algorithm", "local_search", "asha", "hyperband"),
)
MORE_VARIANTS = [
    ("bohb", {"random_fraction": 1.0}),
    ("bohb", {"eta": 2, "n_samples": 1}),
    ("bohb", {"good_fraction": 0.5, "bandwidth_factor": 1.0, "min_bandwidth": 0.3}),
    (
        "learning_curve_stopping",
        {"extrapolation": "last_value", "min_epochs": 1, "n_initial": 2},
    ),
    ("learning_curve_stopping", {"base": "regularized_evolution", "threshold": 0.5}),
    ("learning_curve_stopping", {"base": "reinforce"}),
    ("learning_curve_stopping", {"base": "bohb"}),
    (
        "learning_curve_stopping",
        {"base": "random_search", "base_hyperparameters": {"replacement": False}},
    ),
    ("genetic_algorithm", {"selection": "roulette"}),
    ("genetic_algorithm", {"crossover": "single_point"}),
    ("genetic_algorithm", {"crossover": "multi_point", "n_points": 3}),
    ("genetic_algorithm", {"mutation": "random"}),
    ("genetic_algorithm", {"mutation_rate": 1}),
    ("genetic_algorithm", {"mutation_rate": 0, "crossover_rate": 1}),
    ("genetic_algorithm", {"population_size": 1, "elitism": 0}),
    ("genetic_algorithm", {"population_size": 5, "elitism": 4, "selection": "roulette"}),
    ("local_search", {"strategy": "best"}),
    ("local_search", {"n_initial": 1}),
    ("nsga2", {"population_size": 1}),
    ("nsga2", {"crossover": "single_point", "mutation_rate": 0.5}),
    *(("random_scalarization", {"base": base}) for base in BASES),
    ("random_scalarization", {"scalarization": "linear"}),
    ("random_scalarization", {"n_initial": 1, "n_weights": 1}),
    *((name, small(name)) for name in RUNNABLE_ONE_SHOT),
    ("q_learning", {"schedule": 10, "learning_rate": 0.1, "replays": 1}),
    *(
        (name, {**small(name), **changed})
        for name, changed in (
            ("lstm_controller", {"batch_size": 1, "layers": 2, "entropy_weight": 0.0}),
            ("ppo_controller", {"batch_size": 3, "updates": 4, "clip": 1.0}),
            ("dqn", {"batch_size": 1, "target_every": 1, "schedule": 10}),
        )
        if name in EVALUATING
    ),
    ("gp_bo", {"kernel": "wl"}),
    ("bananas", {"predictor": "gp"}),
    (
        "npenas",
        {
            "predictor": "gcn",
            "predictor_settings": {"loss": "pairwise", "epochs": 2, "width": 8},
        },
    ),
    ("npenas", {"predictor": "random_forest", "predictor_settings": {"n_trees": 2}}),
    ("pnas", {"predictor": "ridge", "beam_size": 3}),
    *(("predictor_search", {"predictor": name}) for name in ("gradient_boosting", "ridge")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "hyperparameters"), [*VARIANTS.values(), *MORE_VARIANTS], ids=str)
def test_every_variant_keeps_the_whole_contract(name, hyperparameters):
    check_algorithm(name, **hyperparameters)


@pytest.mark.parametrize("weights", [None, (1.0, 100.0)])
@variants
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


@pytest.mark.parametrize("table", tables("nas-bench-graph/cora", "nas-bench-graph/proteins"))
@pytest.mark.parametrize("algorithm", [name for name in EVALUATING if name not in OTHER_NETWORKS])
def test_every_algorithm_on_every_table(algorithm, table):
    trace = run(algorithm, table, budget=25, seed=3, **small(algorithm))
    assert len(trace) == 25
    assert len(set(trace.row.tolist())) > 5


@pytest.mark.parametrize("table", ["nas-bench-graph/cora", "nas-bench-201-final", "mlp/car"])
@pytest.mark.parametrize("algorithm", ONE_SHOT)
def test_one_shot_methods_say_which_tables_do_not_suit_them(algorithm, table):
    with pytest.raises(UnsuitedError, match="Search on the table nb201-digits"):
        run(algorithm, table, budget=25, seed=3)


# Results of other searches

UNTAUGHT = {
    *("random_search", "reinforce", "successive_halving", "hyperband", "asha"),
    *("lstm_controller", "ppo_controller"),
}
"""The algorithms that learn nothing from results of other searches, as their docstrings say."""


def make_variant(variant, benchmark, seed=1):
    name, hyperparameters = VARIANTS[variant]
    fidelities = benchmark.fidelities
    return make_algorithm(
        name, benchmark.space, seed=seed, fidelities=fidelities, **hyperparameters
    )


def observe(algorithm, benchmark, n=40):
    """Lets an algorithm observe good, middling and failed results, some of each epoch."""
    architectures = map(tuple, benchmark.space.sample(np.random.default_rng(5), 20 * n).tolist())
    results = [(a, benchmark.evaluate(a)) for a in architectures]
    results.sort(key=lambda result: -np.nan_to_num(result[1].values[0], nan=-math.inf))
    for i, (architecture, _) in enumerate([*results[: n // 2], *results[-n // 2 :]]):
        epoch = benchmark.fidelities[-1 - i % 3] if benchmark.fidelities else None
        algorithm.observe(architecture, benchmark.evaluate(architecture, epoch))
    return algorithm


def asked(trace):
    return list(zip(trace.architecture.tolist(), trace.epoch.tolist(), strict=True))


@pytest.mark.parametrize("epochs", [9, pytest.param(None, marks=pytest.mark.slow)])
@variants
def test_what_is_observed_first_teaches_and_breaks_nothing(variant, epochs):
    benchmark = SyntheticBenchmark(get_space("nb201"), failing=0.1, epochs=epochs)
    first, again = (observe(make_variant(variant, benchmark), benchmark) for _ in range(2))
    copy = pickle.loads(pickle.dumps(first))
    taught, *same = (asked(simulate(a, benchmark, 60, workers=3)) for a in (first, again, copy))
    assert len(taught) == 60
    assert same == [taught, taught]
    alone = asked(simulate(make_variant(variant, benchmark), benchmark, 60, workers=3))
    name, hyperparameters = VARIANTS[variant]
    untaught = name in UNTAUGHT or (
        # It compares with the best that it observed, but stops nothing where there are no epochs.
        name == "learning_curve_stopping" and epochs is None and "base" not in hyperparameters
    )
    assert (taught == alone) == untaught


@pytest.mark.parametrize("epochs", [None, 9])
@variants
def test_results_may_be_observed_at_any_time_also_of_running_trials(variant, epochs):
    benchmark = SyntheticBenchmark(get_space("nb201"), failing=0.3, epochs=epochs)
    algorithm, running = make_variant(variant, benchmark), []
    for i in range(80):
        trial = algorithm.ask()
        if trial is not None:
            running.append(trial)
            if i % 3 == 0:
                algorithm.observe(trial.architecture, benchmark.evaluate(trial.architecture))
        while len(running) > i % 5 or (trial is None and running):
            ended = running.pop(0)
            algorithm.tell(ended, benchmark.evaluate(ended.architecture, ended.epoch))
            if i % 4 == 0:
                observe(algorithm, benchmark, 2)
    assert algorithm._n_trials > 40


@pytest.mark.parametrize("failing", [0.0, 1.0])
@variants
def test_a_space_may_be_observed_whole(variant, failing):
    benchmark = SyntheticBenchmark(_MIXED, failing=failing)
    algorithm = make_variant(variant, benchmark)
    for i in range(_MIXED.size):
        algorithm.observe(_MIXED.at(i), benchmark.evaluate(_MIXED.at(i)))
    trace = simulate(algorithm, benchmark, 20)
    # Some algorithms ask for nothing that they know. A scalarization starts them after a success.
    name, base = VARIANTS[variant][0], VARIANTS[variant][1].get("base")
    knows = name in ("gp_bo", "local_search", *BY_PREDICTORS) or (base == "gp_bo" and failing == 0)
    assert len(trace) == (0 if knows else 20)


@variants
def test_only_algorithms_that_train_partially_learn_from_partial_trainings(variant):
    benchmark = SyntheticBenchmark(get_space("nb201"), epochs=9)
    algorithm, alone = (make_variant(variant, benchmark) for _ in range(2))
    for architecture in map(tuple, benchmark.space.sample(np.random.default_rng(5), 30).tolist()):
        # Values that no full training reaches.
        partial = benchmark.evaluate(architecture, 3)
        algorithm.observe(architecture, partial._replace(values=(partial.values[0] + 100,)))
    partially = VARIANTS[variant][0] == "bohb"
    same = simulate(algorithm, benchmark, 40).equals(simulate(alone, benchmark, 40))
    assert same != partially


class Strict(SearchAlgorithm):
    """An algorithm that knows ask and tell only, and looks for what it noted of each trial."""

    def __init__(self, space, **kwargs):
        super().__init__(space, **kwargs)
        self.running, self.scores = {}, []

    def ask(self):
        best = max(self.scores, default=None)
        new = self.space.sample(self.rng) if best is None else self.space.mutate(best[1], self.rng)
        trial = self.trial(new)
        self.running[trial.number] = new
        return trial

    def tell(self, trial, evaluation):
        self.scores.append((self.score(evaluation), self.running.pop(trial.number)))


def test_an_algorithm_that_does_not_know_of_observations_searches_as_before():
    benchmark = SyntheticBenchmark(get_space("nb201"))
    alone = simulate(Strict(benchmark.space, seed=1), benchmark, 50, workers=3)
    algorithm = observe(Strict(benchmark.space, seed=1), benchmark)
    assert simulate(algorithm, benchmark, 50, workers=3).equals(alone)


@pytest.mark.parametrize("name", ["random_scalarization", "learning_curve_stopping"])
def test_an_algorithm_that_does_not_know_of_observations_can_be_a_base(name):
    benchmark = SyntheticBenchmark(get_space("nb201"), epochs=9)
    algorithm = make_algorithm(name, benchmark.space, base=Strict, fidelities=benchmark.fidelities)
    assert len(simulate(observe(algorithm, benchmark), benchmark, 60)) == 60


def test_all_algorithms_are_registered():
    expected = {
        *("random_search", "regularized_evolution", "reinforce", "gp_bo", "successive_halving"),
        *("hyperband", "asha", "bohb", "learning_curve_stopping", "genetic_algorithm"),
        *("local_search", "nsga2", "random_scalarization", "q_learning", "dqn"),
        *("lstm_controller", "ppo_controller"),
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


def test_every_algorithm_cites_its_papers_and_each_paper_in_the_same_words():
    places = {"article": "journal", "inproceedings": "booktitle", "book": "publisher"}
    # The report merges entries that are equal; a paper may define two algorithms.
    texts = defaultdict(set)
    for name in algorithm_modules():
        cls = algorithm_class(name)
        assert "citation" in vars(cls), f"{name} cites only what its parent does"
        entries = bibtex_entries(cls.citation)
        assert entries, name
        own = re.split(r"\n(?=@)", cls.citation)
        for (key, fields), text in zip(entries, own, strict=True):
            assert {"title", "author", "year", places[fields["kind"]]} <= set(fields), key
            assert key.rstrip("abcdefghijklmnopqrstuvwxyz")[-4:].isdigit(), key
            texts[key].add(text.strip())
        assert "citation" not in hyperparameters_of(cls)
    assert [key for key, several in texts.items() if len(several) > 1] == []


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
def test_the_contract_notices_a_broken_rule(in_this_process, broken, words):
    with pytest.raises(ContractError, match=words):
        check_algorithm(broken)

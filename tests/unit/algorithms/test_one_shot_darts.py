"""One-shot methods on supernets of ``darts``."""

import numpy as np
import pandas as pd
import pytest

import nasbench_lab as lab
from nasbench_lab.errors import HyperparameterError, UnsuitedError
from nasbench_lab.registry import algorithm_class
from nasbench_lab.spaces import PoolSpace, get_space
from nasbench_lab.tables.columns import Column
from nasbench_lab.tables.table import Table

torch = pytest.importorskip("torch", reason="one-shot methods need PyTorch")
from one_shot import run

from nasbench_lab.landscape.surrogate import Surrogate
from nasbench_lab.running.search import run as search
from nasbench_lab.running.supernet import study_supernets
from nasbench_lab.trainer import supernet_training

pytestmark = pytest.mark.long

SPACE = get_space("darts")
# One cell reduces; where both kinds matter, there are three.
TINY = {"data": "digits", "epochs": 1, "images": 16, "batch_size": 8, "cells": 1}
FEW = {"candidates": 2, "final_candidates": 3}
METHODS = {
    "darts": ("darts", {}),
    "second order": ("darts", {"order": 2}),
    "pc_darts": ("pc_darts", {"warm_up": 0.5}),
    "gdas": ("gdas", {}),
    "random_search_ws": ("random_search_ws", FEW),
    "spos": ("spos", {"epochs": 1, "generations": 1, "population_size": 4, "candidates": 2}),
    "enas": ("enas", {"controller_steps": 2, **FEW}),
}
DIFFERENTIABLE = ("darts", "second order", "pc_darts", "gdas")


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    """A data folder of its own."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))


def make(method, seed=0, **settings):
    name, own = METHODS[method]
    return algorithm_class(name)(SPACE, seed=seed, **{**TINY, **own, **settings})


@pytest.mark.parametrize("method", METHODS)
def test_a_search_recommends_architectures_of_the_space_and_says_what_it_trained(method):
    algorithm = make(method)
    works, trial = run(algorithm)
    assert trial.architecture == works[-1].architecture == SPACE.validate(trial.architecture)
    shape = algorithm.training.supernet.mixture_shape if method in DIFFERENTIABLE else (22, 10)
    options = np.array(SPACE.n_options)
    for work, epoch in zip(works, algorithm.history, strict=True):
        assert epoch.probabilities.shape == shape
        np.testing.assert_allclose(epoch.probabilities.sum(axis=1), 1)
        # As what a search returns is checked: no passes of what is no option.
        assert work.checked(SPACE, method).passes is not work.passes
        assert (work.passes[np.arange(10) >= options[:, None]] == 0).all()
        assert work.shared > 0
    if method not in ("pc_darts", "enas"):  # one of each kind is enough
        return
    again = make(method)
    assert run(again)[1].architecture == trial.architecture
    for one, other in zip(algorithm.history, again.history, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


def test_the_derived_architecture_has_the_strongest_operations():
    algorithm = make("darts")
    run(algorithm)
    with torch.no_grad():
        algorithm.alphas.zero_()
        # In the normal cell, node 4 (edges 5 to 8) is reached best from 1 and 3.
        algorithm.alphas[6, 4], algorithm.alphas[8, 7], algorithm.alphas[7, 0] = 2.0, 1.0, 9.0
    architecture, _ = algorithm.derived(algorithm.training)
    normal, reduction = SPACE.cells(architecture)
    assert normal[2] == ((1, 3), (3, 6))  # options without none
    assert normal[0] == reduction[0] == ((0, 0), (1, 0))


def test_the_betas_of_pc_darts_decide_on_inputs():
    algorithm = make("pc_darts", cells=3)
    run(algorithm)
    with torch.no_grad():
        algorithm.alphas.zero_()
        algorithm.betas.zero_()
        algorithm.betas[[16, 18]] = 1.0  # of the reduction cell's second node, inputs 0 and 2
    _, reduction = SPACE.cells(algorithm.derived(algorithm.training)[0])
    assert [source for source, _ in reduction[1]] == [0, 2]
    shares = algorithm.edge_weights(algorithm.training).detach()
    assert [float(shares[list(e)].sum()) for e in algorithm.training.supernet.into] == (
        pytest.approx([1.0] * 8)
    )


def test_the_gradient_of_the_alphas_is_that_of_finite_differences():
    algorithm = make("darts", cells=3)
    run(algorithm)
    training = algorithm.training
    training.supernet.double()
    x, y = next(training.batches("alphas", np.random.default_rng(0)))
    alphas = algorithm.alphas.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a: training.loss("alphas", x[:4].double(), y[:4], a.softmax(1)),
        (alphas,),
        fast_mode=True,
    )


def test_a_run_that_was_killed_continues_with_the_same_result(monkeypatch):
    settings = {"method": "gdas", "epochs": 2}
    whole = make(**settings)
    run(whole)
    monkeypatch.setattr(supernet_training, "CHECKPOINT_EVERY_S", 0.0)
    killed = make(**settings)
    killed.ask()
    continued = make(**settings)
    run(continued)
    assert len(continued.history) == 2
    assert continued.history[0].seconds == killed.history[0].seconds  # it was not trained again
    assert [e.derived for e in continued.history] == [e.derived for e in whole.history]
    # Another skeleton is another run.
    other = make(**settings, channels=8)
    other.ask()
    assert other.history[0].seconds != killed.history[0].seconds


def test_what_does_not_fit_is_refused():
    pool = PoolSpace(SPACE, SPACE.sample(np.random.default_rng(0), 5))
    with pytest.raises(UnsuitedError, match="a part of darts"):
        algorithm_class("darts")(pool, seed=0, data="digits")
    with pytest.raises(HyperparameterError, match="Expected a multiple of 4 for channels"):
        make("pc_darts", channels=6)
    with pytest.raises(HyperparameterError, match="Expected"):
        make("darts", cells=0)
    with pytest.raises(HyperparameterError, match="only supernets of darts let you choose"):
        algorithm_class("darts")(get_space("nb201"), seed=0, data="digits", channels=8)


def table(n=14):
    """A table of some architectures on the digits, with made-up accuracies."""
    architectures = SPACE.sample(np.random.default_rng(0), n)
    texts = SPACE.to_string(architectures)
    value = np.array([80.0 + text.count("sep_conv") for text in texts])
    columns = [
        Column(f"{split}_accuracy", "accuracy", "%", True, split, dataset="digits", schedule="2")
        for split in ("valid", "test")
    ]
    columns.append(Column("train_time", "train_time", "s", False, dataset="digits", schedule="2"))
    frame = pd.DataFrame(
        {
            "genotype": texts,
            "valid_accuracy": value,
            "test_accuracy": value + 1,
            "train_time": value - 70,
        }
    )
    return Table.from_frame(frame, "my-darts", columns, space="darts", architecture="genotype")


WS = "random_search_ws(epochs=2, images=16, cells=1, candidates=2, final_candidates=3)"


def test_a_study_ranks_the_architectures_of_a_sample(tmp_path):
    found = study_supernets(table().name, [WS], ranked=5, folder=tmp_path / "study")
    frame, end = found.epochs, found.ends().iloc[0]
    assert frame["ranked"].tolist() == [5, 14]
    assert len(found.architectures) == 14
    assert not found.architectures["derived"].any()
    # What is derived is of the whole space, and the table has no value of it.
    assert frame["test_regret"].isna().all()
    derived = frame["derived"][0]
    assert frame["skip_connect"][0] == derived.count("skip_connect") / 16
    assert -1 <= end["kendall_test"] <= 1
    assert (frame["seconds"].diff()[1:] > 0).all()
    assert {file.name for file in found.save(tmp_path)} >= {"supernet.png", "ranking.csv"}


def test_a_search_on_a_surrogate_pays_what_the_table_says():
    table()
    surrogate = Surrogate("my-darts", "random_forest", {"n_trees": 5}, noise=False)
    trace = search(WS, surrogate, "1e9s", seed=1)
    assert trace.derived.tolist() == [True, True, False]
    assert trace.architecture[-1].tolist() == trace.architecture[1].tolist()
    benchmark = lab.load_benchmark("my-darts", missing="fail")
    assert trace.end[1] > 0
    passes = np.zeros((22, 10))
    passes[range(22), SPACE.sample(np.random.default_rng(1))] = 1.0
    assert surrogate.charge(lab.Work(passes)) == benchmark.charge(lab.Work(passes)) > 0

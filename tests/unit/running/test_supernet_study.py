"""Following supernets: the same runs as searches, ranked and resumed as they should be."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from nasbench_lab.errors import AlgorithmError, UnknownNameError, UnsuitedError
from nasbench_lab.registry import load_benchmark

torch = pytest.importorskip("torch", reason="supernets need PyTorch")
from nasbench_lab.running import supernet as module
from nasbench_lab.running.search import run
from nasbench_lab.running.supernet import study_supernets
from nasbench_lab.trainer import progress, ranking, supernet_training
from nasbench_lab.watch.studies import WatchedStudy

pytestmark = pytest.mark.long

TABLE = "nb201-digits"
SMALL = "epochs=3, images=32, batch_size=16, candidates=2"
WS = f"random_search_ws({SMALL}, final_candidates=3)"
EVOLUTION = f"spos({SMALL}, generations=2, population_size=4, normalisation=batch)"


@pytest.fixture(autouse=True)
def counted(monkeypatch, tmp_path):
    """A data folder of its own; ranks all architectures by a made-up accuracy, as that takes long."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    original, calls = ranking.one_shot_accuracies, []

    def quick(supernet, images, cells):
        calls.append(len(cells))
        if len(cells) > 100:
            return np.array([np.sum(np.array(cell) ** 1.5) for cell in cells])
        return original(supernet, images, cells)

    monkeypatch.setattr(ranking, "one_shot_accuracies", quick)
    return calls


def study(folder, *algorithms, **settings):
    return study_supernets(TABLE, algorithms or [WS], folder=folder, ranked=12, **settings)


def test_a_study_follows_the_search_of_the_same_seed(tmp_path, counted):
    found = study(tmp_path, seeds=2)
    frame = found.epochs
    assert frame["epoch"].tolist() == [1, 2, 3] * 2
    assert counted == [12, 12, 12, 5260] * 2
    benchmark = load_benchmark(TABLE)
    for seed in (0, 1):
        own = frame[frame["seed"] == seed]
        trace = run(WS, TABLE, "1e9s", seed=seed)
        assert trace.derived.tolist() == [True] * 3 + [False]
        assert own["derived"].tolist() == benchmark.space.to_string(trace.architecture[:3])
        np.testing.assert_allclose(own["seconds"], trace.end[:3])
        regrets = [
            98.5245 - benchmark.table.query(tuple(a), "test_accuracy")
            for a in trace.architecture[:3]
        ]
        np.testing.assert_allclose(own["test_regret"], regrets, atol=1e-4)
    skips = [text.count("skip_connect") / 6 for text in frame["derived"]]
    np.testing.assert_allclose(frame["skip_connect"], skips)
    operations = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    np.testing.assert_allclose(frame[operations].sum(axis=1), 1)


def test_correlations_are_those_of_the_table(tmp_path):
    found = study(tmp_path)
    ends, all_ = found.ends(), found.architectures
    assert len(all_) == 5260
    assert all_["derived"].sum() == 1
    line = ends.iloc[0]
    derived = all_[all_["derived"]].iloc[0]
    space = load_benchmark(TABLE).space
    assert space.from_string(derived["architecture"]) == space.canonical(
        space.from_string(line["derived"])
    )
    assert line["ranked"] == 5260
    for split in ("valid", "test"):
        tau = kendalltau(all_["one_shot"], all_[split]).statistic
        assert line[f"kendall_{split}"] == pytest.approx(tau)
    top = all_.sort_values("test", ascending=False, kind="stable").head(526)
    assert line["top_kendall_test"] == pytest.approx(
        kendalltau(top["one_shot"], top["test"]).statistic
    )
    assert found.epochs["ranked"].tolist() == [12, 12, 5260]


def test_while_the_weights_stay_the_ranking_stays(tmp_path, counted):
    frame = study(tmp_path, EVOLUTION).epochs
    assert frame["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert counted == [12, 12, 12, 5260]
    assert frame["kendall_test"][2] == frame["kendall_test"][3] != frame["kendall_test"][0]


class Killed(BaseException):
    """As by a signal."""


def killed_at(monkeypatch, epoch):
    original = module._Run.line

    def line(self, number, *rest):
        if number == epoch:
            raise Killed
        return original(self, number, *rest)

    monkeypatch.setattr(module._Run, "line", line)


@pytest.mark.parametrize(
    ("algorithm", "every_s"),
    [
        (WS, 0.0),
        (EVOLUTION, 60.0),
        pytest.param(WS, 60.0, marks=pytest.mark.slow),
        pytest.param(EVOLUTION, 0.0, marks=pytest.mark.slow),
    ],
)
def test_a_study_that_was_killed_goes_on(tmp_path, monkeypatch, counted, algorithm, every_s):
    whole = study(tmp_path / "whole", algorithm)
    monkeypatch.setattr(supernet_training, "CHECKPOINT_EVERY_S", every_s)
    with monkeypatch.context() as context:
        killed_at(context, 3)
        with pytest.raises(Killed):
            study(tmp_path / "killed", algorithm)
    counted.clear()
    trained = []
    original = supernet_training.SupernetTraining.train_epoch
    monkeypatch.setattr(
        supernet_training.SupernetTraining,
        "train_epoch",
        lambda self, train: trained.append(1) or original(self, train),
    )
    again = study(tmp_path / "killed", algorithm)
    pd.testing.assert_frame_equal(again.epochs, whole.epochs)
    assert counted == [12, 5260]  # epochs 1 and 2 were kept
    # Checkpoints after each epoch let it go on; without one, it trains again.
    assert len(trained) == len(whole.epochs) - (3 if every_s == 0 else 0)
    assert not list((tmp_path / "data" / "supernets").glob("*.pt"))
    # What is finished is read.
    trained.clear()
    pd.testing.assert_frame_equal(study(tmp_path / "killed", algorithm).epochs, whole.epochs)
    assert trained == []
    # Other settings are other runs.
    study_supernets(TABLE, [algorithm], folder=tmp_path / "killed", ranked=5)
    assert trained


def test_a_checkpoint_of_a_search_does_not_hide_its_first_epochs(tmp_path, monkeypatch):
    whole = study(tmp_path / "whole")
    monkeypatch.setattr(supernet_training, "CHECKPOINT_EVERY_S", 0.0)
    with monkeypatch.context() as context:
        killed_at(context, 3)
        with pytest.raises(Killed):
            study(tmp_path / "lost")
    again = study(tmp_path / "other folder")
    pd.testing.assert_frame_equal(again.epochs, whole.epochs)


def test_a_damaged_run_begins_anew(tmp_path, caplog):
    whole = study(tmp_path)
    (file,) = (tmp_path / "runs").iterdir()
    content = json.loads(file.read_text())
    content["epochs"][0]["test_regret"] = 0.0
    file.write_text(json.dumps(content))
    pd.testing.assert_frame_equal(study(tmp_path).epochs, whole.epochs)
    assert "begins anew" in caplog.text


def test_runs_in_processes_are_the_same(tmp_path):
    done = []
    here = study(tmp_path / "here", seeds=2, progress=lambda *told: done.append(told))
    assert [told[:2] for told in done] == [
        (1, 6),
        (2, 6),
        (3, 6),
        (3, 6),
        (4, 6),
        (5, 6),
        (6, 6),
        (6, 6),
    ]
    assert done[3][2].endswith("seed 0, ranks 5,260 networks")
    # Those that are finished are only read there.
    done.clear()
    there = study(tmp_path / "here", seeds=2, n_jobs=2, progress=lambda *told: done.append(told))
    pd.testing.assert_frame_equal(there.epochs, here.epochs)
    assert done == [(1, 2, "runs"), (2, 2, "runs")]
    # Both say how far they are.
    view = WatchedStudy(tmp_path / "here").view()
    assert (view.state, view.done, view.total) == ("finished", 8, 8)
    assert [row[0] for row in view.grid.rows] == [f"{WS}, seed 0", f"{WS}, seed 1"]
    begun = progress.read_plan(tmp_path / "here" / "progress" / "plan.json")
    told = progress.read_standing(tmp_path / "here" / "progress" / "0001.json", begun.session)
    own = here.epochs[here.epochs["seed"] == 1]
    assert set(told.curves) == {"weights_accuracy", "kendall_test", "test_regret"}
    for name, values in told.curves.items():
        assert values == own[name].tolist()


def test_what_cannot_be_followed_is_refused(tmp_path):
    with pytest.raises(AlgorithmError, match="trains a supernet, such as darts or spos, but got"):
        study(tmp_path, "random_search")
    with pytest.raises(UnsuitedError, match="Search on the table nb201-digits"):
        study_supernets("nas-bench-graph/cora", ["spos"], folder=tmp_path)
    with pytest.raises(UnknownNameError):
        study(tmp_path, "spos(epoch=3)")


# The command


def test_the_command_prints_and_leaves_figures_and_data(lab, tmp_path):
    outcome = lab("supernet", TABLE, "-a", WS, "-a", EVOLUTION, "--architectures", 12, "-o", "out")
    assert outcome.code == 0, outcome.err
    assert "nb201-digits: after the last epoch, all 5,260 networks ranked; 1 seed." in outcome.words
    assert "In out: supernet.png, supernet.csv, ranking.png, ranking.csv" in outcome.words
    frame = pd.read_csv("out/supernet.csv")
    assert frame["algorithm"].unique().tolist() == [WS, EVOLUTION]
    ends = frame.groupby("algorithm").tail(1)
    for regret in ends["test_regret"]:
        assert f"{regret:.2f}" in outcome.words
    again = lab(
        *(
            "supernet",
            TABLE,
            "-a",
            WS,
            "-a",
            EVOLUTION,
            "--architectures",
            12,
            "-o",
            "out",
            "--json",
        )
    )
    told = json.loads(again.out)
    assert [line["test_regret"] for line in told["ends"]] == ends["test_regret"].tolist()
    assert all((tmp_path / file).exists() for file in told["files"])


def test_the_command_says_what_does_not_suit(lab):
    outcome = lab("supernet", TABLE, "-a", "random_search")
    assert outcome.code == 1
    assert "Expected a method that trains a supernet" in outcome.err


def test_without_pytorch_the_command_says_what_to_install(lab, monkeypatch):
    monkeypatch.setattr("nasbench_lab.trainer.find_spec", lambda name: None)
    outcome = lab("supernet", TABLE)
    assert outcome.code == 1
    assert "pip install 'nasbench-lab[train]'" in outcome.err

"""How a search ends: its best as a model, what it says of it, and what it would have cost at random."""

import json

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
pytest.importorskip("safetensors", reason="models need safetensors")
from small_data import short, small_digits

from nasbench_lab import load_model
from nasbench_lab.cli import models
from nasbench_lab.running.comparison import compare
from nasbench_lab.spaces import ChainSpace
from nasbench_lab.trainer.benchmark import TrainingBenchmark

pytestmark = pytest.mark.long

SPACE = ChainSpace("narrow", filters=(2, 4), units=(5, 8))


def test_a_search_ends_with_a_model(tmp_path, capsys):
    recipe, data = short(epochs=1), small_digits()
    kept = tmp_path / "kept"
    benchmark = TrainingBenchmark(SPACE, recipe, data=data, device="cpu", folder=kept)
    algorithms = ["random_search", "local_search"]
    result = compare(algorithms, benchmark, budget=3, seeds=1, n_jobs=1)
    (trace,) = result.traces(benchmark.name, "local_search")
    best = SPACE.from_string(trace.best())
    found = models.kept_model(benchmark, best, trace, result, tmp_path / "r", (1, 2), 1)
    folder = tmp_path / "r" / "models" / "local_search-on-training-narrow-on-digits-seed-0"
    said = found.to_json()
    model = load_model(folder)
    assert said["folder"] == str(folder)
    assert (said["seeds"], said["chosen_seed"]) == ([1, 2], model.seed)
    assert said["test_accuracy"] == [seed.accuracies["test"] for seed in model.about.seeds]
    assert found.cost.drawn == 3
    assert found.cost.target == benchmark.evaluate(best).values[0]
    noted = json.loads((folder / "random_search.json").read_text())
    assert (noted["drawn"], noted["reached"]) == (3, found.cost.reached)
    found.show()
    told = " ".join(capsys.readouterr().out.split())
    assert "Trained anew in full with 2 seeds that the search did not use (1, 2)" in told
    assert found.model.accuracy("test") in told
    assert "of 3 random evaluations in the folder" in told


def test_without_safetensors_it_says_that_there_will_be_no_model(monkeypatch, capsys):
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    assert not models.can_keep_models()
    told = " ".join(capsys.readouterr().err.split())
    assert "safetensors is not installed, so the search will end without a model" in told

"""The command explain: what it prints, the files it leaves, and its errors."""

import json
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.long

OF_BOTH = {"importance.csv", "interactions.csv", "winners.csv", "path.csv", "summary.json"}
FIGURES = {"importance", "winners", "path"}


def names(folder):
    return {file.name for file in Path(folder).iterdir()}


def pictures(figures):
    return {f"{name}.{ending}" for name in figures for ending in ("png", "svg")}


def test_a_table_is_explained(lab, undrawn):
    done = lab("explain", "nb201-digits", "--seed", 1)
    folder = Path("results/explanation-nb201-digits")
    assert done.code == 0, done.err
    assert names(folder) == OF_BOTH | pictures(FIGURES)
    for question in ("Which decisions matter?", "in common?", "How far is it to the best?"):
        assert question in done.words
    path, summary = (
        pd.read_csv(folder / "path.csv"),
        json.loads(Path(folder, "summary.json").read_text()),
    )
    assert summary["path"]["changes"] == len(path) - 1 > 0
    assert summary["importance"]["method"] == "exact"
    assert path["gain"][1:].sum() == pytest.approx(path["value"].iloc[-1] - path["value"][0])
    # The same options again leave the same files; others take away what does not apply.
    lab(
        "explain",
        "nb201-digits",
        "--method",
        "permutation",
        "--start",
        path["architecture"].iloc[-1],
    )
    assert names(folder) == OF_BOTH - {"interactions.csv"} | pictures(FIGURES - {"path"})


def test_a_result_is_explained(lab, undrawn):
    algorithms = ("-a", "random_search", "-a", "regularized_evolution(population_size=5)")
    lab("compare", "-b", "nb201-digits", *algorithms, "--budget", 40, "--seeds", 2, "-o", "run")
    told = lab("explain", "run", "--algorithm", "random_search", "--seed", 1, "--json").data
    assert (told["run"]["algorithm"], told["run"]["seed"]) == ("random_search", 1)
    folder = Path("run/explanation-nb201-digits")
    assert names(folder) == OF_BOTH | {"incumbents.csv"} | pictures(FIGURES | {"incumbents"})
    incumbents = pd.read_csv(folder / "incumbents.csv")
    assert set(incumbents["algorithm"]) == {"random_search"}
    assert set(incumbents["seed"]) == {0, 1}
    assert len(told["run"]["incumbents"]) == (incumbents["seed"] == 1).sum()
    page = lab("report", "run")
    assert page.code == 0, page.err
    assert "What was found, explained" in Path("run/report.html").read_text()
    wrong = {
        ("--algorithm", "nothing"): "nothing",
        ("--seed", 7): "Expected the seed of a run that found something",
        ("--best", 3): "between 0 and 1",
        ("--benchmark", "nb201"): "nb201-digits",
        ("--start", "a"): "for a table, not a result",
    }
    for options, said in wrong.items():
        failed = lab("explain", "run", *options)
        assert failed.code
        assert said in " ".join(failed.err.split())


def test_what_is_neither_is_refused(lab):
    failed = lab("explain", "nb201-digit")
    assert failed.code == 1
    assert "nb201-digits" in failed.err
    assert lab("explain", "results/none").code == 1
    failed = lab("explain", "nb201-digits", "--algorithm", "gp_bo")
    assert "for a result, not a table" in " ".join(failed.err.replace("│", " ").split())

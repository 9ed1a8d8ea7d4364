"""The report's section on predictors: whose they are, and that its numbers are those of the study."""

from pathlib import Path

import numpy as np
import pytest
from own_benchmarks import Hill
from reports import CITESEER, CORA, DIGITS, Page

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import HyperparameterError, UnknownNameError
from nasbench_lab.landscape.predictors import study_predictors
from nasbench_lab.registry import load_benchmark
from nasbench_lab.report import predicted, render
from nasbench_lab.report.predicted import predictions
from nasbench_lab.running.comparison import compare
from nasbench_lab.stats.predictions import prediction_frame

BY_RIDGE = "predictor_search(predictor=ridge)"
FOREST = "predictor_search(predictor_settings={'n_trees': 2})"


@pytest.fixture(scope="module")
def result():
    """Two searches by one predictor, one by another, and one without, on four tables."""
    algorithms = {
        "first": BY_RIDGE,
        "second": "npenas(predictor=ridge)",
        FOREST: FOREST,
        "random_search": "random_search",
    }
    return compare(algorithms, [CORA, DIGITS, CITESEER, "mlp/car"], budget=3, seeds=1, n_jobs=1)


@pytest.fixture(scope="module")
def found(result):
    return predictions(result)


def test_the_predictors_of_searches_are_judged_on_the_first_tables(found):
    assert [one["benchmark"] for one in found] == [CORA, DIGITS]
    for one in found:
        assert [(row["predictor"], row["searches"]) for row in one["rows"]] == [
            ("ridge", "first and second"),
            ("random_forest(n_trees=2)", FOREST),
        ]
        assert one["sizes"] == [10, 40, 100]
        assert one["image"].startswith("data:image/svg+xml")


def test_numbers_are_those_of_a_study(found):
    for one in found:
        benchmark = load_benchmark(one["benchmark"])
        study = study_predictors(
            *(benchmark.table, benchmark.objectives[0].name, {"ridge": ("ridge", {})}),
            sizes=[10, 40, 100],
            seeds=5,
            test=500,
        )
        lines = prediction_frame(study.frame, ["kendall"]).to_dict(orient="records")
        assert one["rows"][0]["cells"] == [
            f"{x['kendall']:.2f} [{x['kendall_low']:.2f}, {x['kendall_high']:.2f}]".replace(
                "-", "−"
            )
            for x in lines
        ]


def test_a_search_sees_one_training_and_so_does_a_predictor(monkeypatch):
    asked = []

    def study(*_, one_trial, **__):
        asked.append(one_trial)
        raise RuntimeError

    monkeypatch.setattr(predicted, "study_predictors", study)
    for name in ("mlp/car", CORA):
        result = compare([BY_RIDGE], name, budget=2, seeds=1, n_jobs=1)
        with pytest.raises(RuntimeError):
            predictions(result)
    assert asked == [True, False]


def test_the_page_has_the_section_its_method_and_its_source(result, found):
    text = render(result)
    page = Page(text)
    assert ("a", {"href": "#predictors"}) in page.elements
    for one in found:
        assert " ".join(one["lines"]) in page.words
        assert all(cell in page.words for cell in one["rows"][0]["cells"])
    images = [attributes["alt"] for tag, attributes in page.elements if tag == "img"]
    assert len([alt for alt in images if alt.startswith("Rank correlation")]) == 2
    assert "Predictors are judged as by White et al. (2021)" in page.words
    # Once, though it is the source of one of the searches too.
    assert text.count("@inproceedings{white2021powerful,") == 1
    assert predictions(result) == found  # the same result gives the same page


def test_without_such_searches_there_is_no_section_unless_it_is_asked_for(result):
    plain = compare(["random_search", "local_search"], CORA, budget=3, seeds=1, n_jobs=1)
    assert predictions(plain) == []
    (one,) = predictions(plain, ["gp(kernel=wl)"])
    (row,) = one["rows"]
    assert (row["predictor"], row["searches"]) == ("gp(kernel=wl)", "")
    for given, error in (("rigde", UnknownNameError), ("ridge(", HyperparameterError)):
        with pytest.raises(error):
            predictions(plain, [given])


def test_of_several_objectives_the_first_is_predicted():
    benchmark = load_benchmark(CORA, objective=["valid_accuracy", "latency"])
    weighted = "predictor_search(predictor=ridge, weights=(1, 100))"
    result = compare([weighted], benchmark, budget=2, seeds=1, n_jobs=1)
    (one,) = predictions(result)
    (alone,) = predictions(compare([BY_RIDGE], CORA, budget=2, seeds=1, n_jobs=1))
    assert one["lines"] == alone["lines"]


def test_what_does_not_suit_a_table_is_left_out_with_the_reason():
    result = compare([BY_RIDGE], "mlp/car", budget=2, seeds=1, n_jobs=1)
    (one,) = predictions(result, ["gp(kernel=wl)", "learning_curve"])
    assert [row["predictor"] for row in one["rows"]] == ["ridge"]
    assert set(one["left_out"]) == {"gp(kernel=wl)", "learning_curve"}
    assert "are none" in one["left_out"]["gp(kernel=wl)"]


def test_small_tables_and_programs_have_no_section(make_table):
    few = TableBenchmark(make_table())
    assert np.isfinite(few.table.values("valid_accuracy")).sum() < 20
    for benchmark in (few, Hill()):
        result = compare([BY_RIDGE], benchmark, budget=2, seeds=1, n_jobs=1)
        assert predictions(result) == []


def test_the_command_judges_more_predictors(lab, result):
    result.of([CORA]).save("r")
    assert lab("report", "r", "-p", "gp(kernel=hamming)").code == 0
    words = Page(Path("r/report.html").read_text("utf-8")).words
    assert "gp(kernel=hamming)" in words
    assert "random_forest(n_trees=2)" in words
    assert "Did you mean 'ridge'" in lab("report", "r", "-p", "rigde").err

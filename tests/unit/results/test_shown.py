"""What a notebook shows of a result."""

import pytest

from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare

TABLES = ["nas-bench-graph/cora", "nb201-digits"]
WICKED = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def result():
    labels = {"random_search": "random_search", WICKED: "local_search"}
    return compare(labels, TABLES, budget=10, seeds=3, n_jobs=1)


def test_a_notebook_shows_a_table_for_each_benchmark_and_the_verdict(result):
    html = result._repr_html_()
    assert html.count("<table") == html.count("</table>") == 2
    for name in TABLES:
        assert f"<b>{name}</b>" in html
    means = result.summary().set_index(["benchmark", "algorithm"])["test_regret"]
    for value in means:
        assert f"<td>{value:.2f} [" in html
    assert "12 of 12 runs, 10 evaluations each." in html
    assert "Regret at the end: mean [95 % bootstrap interval]." in html
    assert result.verdict()[0].partition(":")[0] in html


def test_a_label_is_no_element(result):
    html = result._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_a_result_without_runs_is_shown_too(result):
    assert "0 of 12 runs" in Result(result.experiment, [])._repr_html_()

"""``draw`` and ``export``."""

import json
from pathlib import Path

import pytest

from nasbench_lab.drawing.drawing import draw
from nasbench_lab.spaces import get_space

pytestmark = pytest.mark.long

CELL = "Arch([0, 1, 2, 1], ['gcn', 'gin', 'fc', 'cheb'])"


# draw


def test_draw_leaves_an_svg_and_says_what_it_shows(lab):
    outcome = lab("draw", CELL)
    assert outcome.code == 0
    assert outcome.words == f"{draw(CELL).describe()} Drawn in architecture.svg."
    assert Path("architecture.svg").read_text() == draw(CELL).svg() + "\n"


@pytest.mark.parametrize(("file", "start"), [("a.png", b"\x89PNG"), ("new/folder/b.pdf", b"%PDF")])
def test_draw_writes_what_the_ending_says(lab, file, start):
    assert lab("draw", "8:8:8:8:8", "--space", "nats-sss", "-o", file).code == 0
    assert Path(file).read_bytes().startswith(start)


def test_draw_refuses_what_it_cannot_draw(lab):
    outcome = lab("draw", "conv3x3")
    assert outcome.code == 1
    assert (
        "Expected an architecture in the syntax of a known space but got 'conv3x3'" in outcome.err
    )
    example = outcome.err.split("nb201: ")[1].split()[0]
    assert get_space("nb201").from_string(example)
    assert (
        "Unknown space 'nb2O1'. Did you mean 'nb201'?" in lab("draw", CELL, "--space", "nb2O1").err
    )
    assert "Expected |op~0|" in lab("draw", CELL, "--space", "nb201").err
    assert "Known: pdf, png, svg" in lab("draw", CELL, "-o", "cell.jpeg").err
    assert not list(Path().iterdir())


def test_draw_prints_markup_as_it_is(lab):
    outcome = lab("draw", "[bold]8:8")
    assert outcome.code == 1
    assert "'[bold]8:8'" in outcome.err


# export


@pytest.fixture
def compared(lab, undrawn):
    return lab(
        *("compare", "-b", "nas-bench-graph/cora", "-a", "random_search", "-a", "asha"),
        *("--budget", 10, "--seeds", 2, "--jobs", 1, "-o", "results/r"),
    )


def test_export_to_csv_beside_the_result(lab, compared):
    assert compared.code == 0, compared.err
    assert lab("export", "results/r", "--format", "csv").words == (
        "Exported to results/r-csv: 3 files."
    )
    lines = Path("results/r-csv/evaluations.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 2 * 10
    assert len(Path("results/r-csv/summary.csv").read_text().splitlines()) == 3


def test_export_to_iohprofiler_in_a_named_folder(lab, compared):
    assert lab("export", "results/r", "--format", "ioh", "-o", "ioh").words == (
        "Exported to ioh: 4 files."
    )
    indexes = [json.loads(file.read_text()) for file in sorted(Path("ioh").rglob("*.json"))]
    assert [index["algorithm"]["name"] for index in indexes] == ["random_search", "asha"]
    assert {index["function_name"] for index in indexes} == {"nas-bench-graph/cora"}


def test_export_refuses_what_it_cannot_do(lab, compared):
    assert lab("export", "results/r", "--format", "csv").code == 0
    again = lab("export", "results/r", "--format", "csv")
    assert again.code == 1
    assert "results/r-csv exists already. Name a new folder" in again.err
    assert lab("export", "results/r", "--format", "xls").code == 2
    assert lab("export", "results/r").code == 2
    nothing = lab("export", "results", "--format", "csv")
    assert nothing.code == 1
    assert "Error: " in nothing.err
    assert not Path("results-csv").exists()


def test_help_has_examples(lab):
    assert "nasbench-lab draw 8:16:32:48:64 --space nats-sss" in lab("draw", "--help").words
    assert "nasbench-lab export results/my-run --format csv" in lab("export", "--help").words

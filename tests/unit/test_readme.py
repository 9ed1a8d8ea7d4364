"""What the README shows works."""

import re
import runpy
from pathlib import Path

import pytest

from nasbench_lab.experiment import compare
from nasbench_lab.testing import check_algorithm

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_search.py"
    (source,) = (block for block in BLOCKS if "class HillClimbing" in block)
    path.write_text(source)
    return path


def test_the_algorithm_is_complete_in_fifteen_lines(file):
    assert len([line for line in file.read_text().splitlines() if line.strip()]) <= 15
    check_algorithm(f"{file}:HillClimbing")


def test_the_algorithm_plugs_in(file):
    result = compare([f"{file}:HillClimbing"], "nas-bench-graph/proteins", budget=20, seeds=2)
    assert result.algorithms == ["HillClimbing"]
    assert len(result.runs) == 2


def test_the_python_example_runs(tmp_path):
    (source,) = (block for block in BLOCKS if "lab.compare" in block)
    path = tmp_path / "example.py"
    path.write_text(source.replace("seeds=30", "seeds=2").replace("budget=100", "budget=15"))
    names = runpy.run_path(str(path))
    assert len(names["trace"]) == 15
    assert names["trace"].best().startswith("Arch(")
    assert len(names["result"].summary()) == 3


def test_both_commands_are_named():
    assert "make compare" in README
    assert "make test" in README
    assert "@@" not in README

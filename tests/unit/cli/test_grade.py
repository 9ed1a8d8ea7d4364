import json

import pytest
from classes import CLIMBER, MISTAKES, hand_in

pytestmark = pytest.mark.long

CORA = "nas-bench-graph/cora"


@pytest.fixture
def commands(lab, tmp_path):
    folder = hand_in(tmp_path / "in", {"ada": CLIMBER, "syntax": MISTAKES["syntax"]})
    command = ("grade", folder, "-a", "random_search", "-b", CORA, "--budget", 5, "--seeds", 2)
    return command, ("--output", tmp_path / "out", "--wall-limit", 100_000, "--jobs", 1)


def test_grade_prints_the_table_and_writes_it(lab, commands, tmp_path):
    command, more = commands
    done = lab(*command, *more)
    assert done.code == 0
    assert "ada" in done.words
    assert "syntax.py, line 7" in done.words
    assert (tmp_path / "out" / "grades.csv").exists()
    assert (tmp_path / "out" / "leaderboard.html").exists()
    assert {file.stem for file in (tmp_path / "out" / "notes").iterdir()} == {"ada", "syntax"}
    again = lab(*command, *more, "--json")
    by_name = {row["name"]: row for row in json.loads(again.out)}
    assert by_name["ada"]["runs"] == 2
    assert by_name["syntax"][f"mean {CORA}"] is None
    other = lab(*command, *more, "--metric", "test_regret")
    assert other.code == 1
    assert "holds another grading" in other.err

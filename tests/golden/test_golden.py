"""Every algorithm asks what it has always asked.

``python tests/golden/test_golden.py`` writes the traces anew, after a change that is meant to change
them; say in the commit why they changed. They are row numbers and epochs, which survive a change of
processor.
"""

import json
from pathlib import Path

import pytest

from nasbench_lab.registry import algorithm_modules
from nasbench_lab.running.search import run

FILE = Path(__file__).with_name("traces.json")
TABLES = {"nas-bench-graph/cora": 60, "nas-bench-graph/proteins": 40, "nb201-digits": 60}


def trace_of(algorithm: str, table: str) -> list[list[int]]:
    """Rows and epochs."""
    trace = run(algorithm, table, budget=TABLES[table], seed=0)
    return [trace.row.tolist(), trace.epoch.tolist()]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("algorithm", algorithm_modules())
def test_trace_is_the_golden_one(algorithm, table):
    assert trace_of(algorithm, table) == json.loads(FILE.read_text())[algorithm][table]


def test_no_algorithm_lacks_a_golden_trace():
    assert set(json.loads(FILE.read_text())) == set(algorithm_modules())


if __name__ == "__main__":
    golden = {a: {t: trace_of(a, t) for t in TABLES} for a in sorted(algorithm_modules())}
    FILE.write_text(json.dumps(golden) + "\n")

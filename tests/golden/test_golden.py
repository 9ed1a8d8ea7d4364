"""Every algorithm asks what it has always asked.

``python tests/golden/test_golden.py`` writes the traces anew, after a change that is meant to change
them; say in the commit why they changed. They are row numbers and epochs, which survive a change of
processor.
"""

import json
import sys
from pathlib import Path

import pytest

from nasbench_lab.registry import algorithm_modules
from nasbench_lab.running.search import run

sys.path.append(str(Path(__file__).parents[1] / "support"))  # where this is run as a program
from one_shot import (
    BY_HISTORY,
    BY_PROXIES,
    EVALUATING,
    PEERS,
    RUNNABLE_BY_PROXIES,
    RUNNABLE_ONE_SHOT,
    is_one_shot,
    small,
)

FILE = Path(__file__).with_name("traces.json")
TABLES = {"nas-bench-graph/cora": 60, "nas-bench-graph/proteins": 40, "nb201-digits": 60}


OTHERS = {
    "nas-bench-graph/cora": ["nas-bench-graph/citeseer", "nas-bench-graph/proteins"],
    "nas-bench-graph/proteins": ["nas-bench-graph/cora"],
}
"""What algorithms that need other tasks are given."""


def trace_of(algorithm: str, table: str) -> list[list[int]]:
    """Rows and epochs; of a one-shot method, also those of what it recommends."""
    history = OTHERS[table] if algorithm in BY_HISTORY else None
    settings = small(algorithm)
    trace = run(algorithm, table, budget=TABLES[table], seed=0, history=history, **settings)
    return [trace.row.tolist(), trace.epoch.tolist()]


def tables_of(algorithm: str) -> list[str]:
    """The tables that an algorithm can search."""
    some = is_one_shot(algorithm) or algorithm in BY_PROXIES
    return ["nb201-digits"] if some else list(OTHERS if algorithm in BY_HISTORY else TABLES)


@pytest.mark.parametrize(
    ("algorithm", "table"),
    [
        (name, table)
        for name in (*EVALUATING, *BY_HISTORY, *RUNNABLE_ONE_SHOT, *RUNNABLE_BY_PROXIES)
        for table in tables_of(name)
    ],
)
def test_trace_is_the_golden_one(algorithm, table):
    assert trace_of(algorithm, table) == json.loads(FILE.read_text())[algorithm][table]


def test_no_algorithm_lacks_a_golden_trace():
    # What an optimiser of another package asks changes with the version of that package.
    assert set(json.loads(FILE.read_text())) == set(algorithm_modules()) - set(PEERS)


if __name__ == "__main__":
    names = sorted(set(algorithm_modules()) - set(PEERS))
    golden = {name: {table: trace_of(name, table) for table in tables_of(name)} for name in names}
    FILE.write_text(json.dumps(golden) + "\n")

"""What several tests use: a small table with epochs, trials and times, and the command line."""

import json
import re
import sys
from typing import NamedTuple

import numpy as np
import pytest

from nasbench_lab import figures
from nasbench_lab.cli import app as cli
from nasbench_lab.cli import console
from nasbench_lab.csv_files import write_csv
from nasbench_lab.files import atomic_file
from nasbench_lab.spaces import SPACES, Decision, SearchSpace, get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.table import Table

NAN = float("nan")
EPOCHS = (1, 2, 4)
SEEDS = (777, 888)
FAILED = 5
"""The row whose evaluation fails: all its accuracies are NaN."""
HALF = 3
"""The row that lacks the second trial."""


def toy_space():
    """12 architectures; the last is not in the table."""
    return SearchSpace("toy", [Decision("a", "xyz"), Decision("b", "uv"), Decision("c", "pq")])


def times():
    """(11, 1, 3) seconds of training up to the epoch, and of one validation pass."""
    rows = np.arange(11)
    train = (10.0 + rows)[:, None, None] * np.array(EPOCHS)
    return train, np.broadcast_to(1.0 + rows[:, None, None] % 3, train.shape)


def accuracies(seed):
    """(11, 2, 3) per cent."""
    values = np.random.default_rng(seed).integers(500, 950, size=(11, 2, 3)) / 10
    values[FAILED] = NAN
    values[HALF, 1] = NAN
    return values


@pytest.fixture(scope="session")
def make_table(tmp_path_factory):
    """Makes a table over the space ``toy``; its accuracies and their direction can be given."""
    # Known by name from here on, but not listed among the spaces.
    SPACES["toy"] = toy_space
    get_space("toy")
    del SPACES["toy"]
    folder = tmp_path_factory.mktemp("toy-tables")

    def make(name="toy/timed", valid=None, test=None, maximize=True, without=()):
        train_time, valid_time = times()
        shared = {"dataset": "toy", "epochs": EPOCHS}
        seeds = {"trials": SEEDS, **shared}
        columns = {
            Column("valid_accuracy", "accuracy", "%", maximize, "valid", **seeds): (
                accuracies(1) if valid is None else valid
            ),
            Column("test_accuracy", "accuracy", "%", maximize, "test", **seeds): (
                accuracies(2) if test is None else test
            ),
            Column("train_time", "train_time", "s", False, **shared): train_time,
            Column("valid_time", "valid_time", "s", False, "valid", **shared): valid_time,
        }
        info = TableInfo(
            name=name,
            space="toy",
            description="Made up.",
            citation="@misc{toy}",
            licence="CC0-1.0",
            objective="valid_accuracy",
            report="test_accuracy",
            source={"version": "toy 1"},
        )
        row_of_index = np.append(np.arange(11), -1)
        return Table.create(
            folder / str(len(list(folder.iterdir()))),
            info,
            {column: values for column, values in columns.items() if column.name not in without},
            row_of_index,
        )

    return make


@pytest.fixture(scope="session")
def timed(make_table):
    """The table with its usual values."""
    return make_table()


# The command line


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def words(self):
        """Standard output without line breaks, frames and colours."""
        return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", " ", self.out).split())

    @property
    def data(self):
        """Standard output as strict JSON."""

        def refuse(constant):
            raise AssertionError(f"{constant} is no JSON")

        assert self.code == 0, self.err
        return json.loads(self.out, parse_constant=refuse)


@pytest.fixture
def lab(monkeypatch, capsys, tmp_path):
    """Runs the command line in this process and an empty folder, as the console script does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console.console, "width", 200)
    monkeypatch.setattr(console.errors, "width", 200)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["nasbench-lab", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        return Outcome(exit_.value.code or 0, *capsys.readouterr())

    return call


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are made but not drawn: their files hold no picture. Their data are written."""

    def save(figure, stem, formats=("png", "svg"), data=None):
        files = [stem.with_name(f"{stem.name}.{ending}") for ending in formats]
        for file in files:
            with atomic_file(file) as path:
                path.write_text("not drawn")
        if data is not None:
            files.append(stem.with_name(f"{stem.name}.csv"))
            with atomic_file(files[-1]) as path:
                write_csv(data, path)
        return files

    for module in (figures, figures.saving):
        monkeypatch.setattr(module, "save_figure", save)

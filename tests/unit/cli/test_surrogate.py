"""The command ``fit-surrogate``."""

import runpy

import numpy as np
import pandas as pd

from nasbench_lab.landscape.surrogate import Surrogate
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column
from nasbench_lab.tables.table import Table

SPACE = get_space("nb-macro")


def test_it_writes_a_file_that_makes_the_same_surrogate(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    networks = SPACE.sample(np.random.default_rng(0), 40)
    frame = pd.DataFrame(
        {"network": SPACE.to_string(networks), "accuracy": 80.0 + networks.sum(axis=1)}
    ).drop_duplicates()
    column = Column("accuracy", "accuracy", "%", True, split="valid")
    Table.from_frame(frame, "mine", [column], space="nb-macro", architecture="network")
    command = "fit-surrogate", "mine", "-p", "random_forest(n_trees=5)"
    told = " ".join(lab(*command).out.split())
    assert "Held-out error, of " in told
    assert "--benchmark surrogate_mine.py:SURROGATE" in told
    file = tmp_path / "surrogate_mine.py"
    assert "Held-out error, of " in file.read_text()
    made = runpy.run_path(str(file))["SURROGATE"]
    one = SPACE.from_string("01201201")
    same = Surrogate("mine", "random_forest", {"n_trees": 5})
    assert made.report_value(one) == same.report_value(one)
    assert made.fingerprint == same.fingerprint
    assert "surrogate_mine.py is there already" in " ".join(lab(*command).err.split())
    assert '"rmse"' in lab(*command, "--output", "other.py", "--json").out
    # Results say what they are: nobody has tested anything.
    run = lab(
        *("compare", "--benchmark", f"{file.name}:SURROGATE", "-a", "random_search"),
        *("--budget", 4, "--seeds", 2, "--jobs", 1, "--output", "out"),
    )
    assert run.code == 0, run.err
    assert "predicted accuracy regret" in run.words
    assert "test regret" not in run.words

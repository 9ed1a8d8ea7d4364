"""What there is, as data frames: tables, search algorithms and spaces."""

import inspect
import json

import pytest
from typer.testing import CliRunner

import nasbench_lab as lab
from nasbench_lab import registry
from nasbench_lab.cli.app import app
from nasbench_lab.errors import UnknownNameError
from nasbench_lab.registry import algorithm_class, listing, make_algorithm
from nasbench_lab.spaces import Decision, SearchSpace, get_space


def printed(kind):
    """What the command ``list`` prints for programs."""
    return json.loads(CliRunner().invoke(app, ["list", kind, "--json"]).stdout)


def test_lists_hold_what_the_commands_print():
    for kind, frame in {"tables": lab.list_tables(), "algorithms": lab.list_algorithms()}.items():
        assert frame.to_dict(orient="records") == printed(kind)
    spaces = lab.list_spaces().to_dict(orient="records")
    assert printed("spaces") == [
        {key: value for key, value in row.items() if key != "tables" or value} for row in spaces
    ]


def test_a_table_is_ready_once_it_has_been_opened():
    lab.open_table("nb201-digits")
    states = lab.list_tables().set_index("table")["state"]
    assert states["nb201-digits"] == "ready"
    assert states["nats-sss"].startswith(("ready", "absent, needs NATS-sss"))
    with pytest.raises(UnknownNameError):
        lab.open_table("nb201-digit")


def test_hyperparameters_are_those_that_an_algorithm_takes():
    frame = lab.list_algorithms().set_index("algorithm")
    known = frame.loc["gp_bo", "hyperparameters"]
    taken = inspect.signature(algorithm_class("gp_bo").__init__).parameters
    assert known == {key: one.default for key, one in taken.items() if key in known}
    make_algorithm("gp_bo", get_space("nb201"), **known)
    assert frame.loc["gp_bo", "what"].startswith("Bayesian optimisation")
    known["kernel"] = "none"  # what is listed is the caller's own
    assert lab.list_algorithms().set_index("algorithm").loc["gp_bo", "hyperparameters"] != known


def test_what_is_absent_is_told(monkeypatch):
    monkeypatch.setattr(listing, "find_spec", lambda name: None)
    needs = lab.list_algorithms().set_index("algorithm")["needs"]
    assert needs["random_search"] == ""
    assert needs["optuna"] == "pip install 'nasbench-lab[optuna]'"
    assert needs["darts"] == "pip install 'nasbench-lab[train]'"


def test_an_algorithm_that_cannot_be_imported_is_left_out_with_a_warning(monkeypatch):
    known = {"bad": "no_such_module", "gp_bo": "algorithms.gp_bo"}
    for module in (listing, registry.algorithms):
        monkeypatch.setattr(module, "algorithm_modules", lambda: known)
    with pytest.warns(UserWarning, match="'bad' cannot be imported") as told:
        assert list(lab.list_algorithms()["algorithm"]) == ["gp_bo"]
    assert told[0].filename == __file__


def test_spaces_that_tables_keep_are_listed_last(monkeypatch):
    own = SearchSpace("nets", [Decision("depth", (1, 2), ordered=True), Decision("width", "ab")])
    monkeypatch.setattr(listing, "own_spaces", lambda: {own: ["mine/nets", "mine/more"]})
    last = lab.list_spaces().iloc[-1]
    assert (last["space"], last["architectures"], last["decisions"]) == ("nets", 4, 2)
    assert last["tables"] == ["mine/nets", "mine/more"]
    assert lab.list_spaces().set_index("space").loc["nb201", "architectures"] == 15_625

"""Tables of data frames, and the spaces that tables keep."""

import json
import pickle
import shutil

import measured_networks
import numpy as np
import pandas as pd
import pytest

import nasbench_lab as lab
from nasbench_lab.errors import (
    NasbenchLabError,
    QueryError,
    SpaceError,
    TableFileError,
    UnknownNameError,
)
from nasbench_lab.files import content_checksum
from nasbench_lab.landscape import analyse
from nasbench_lab.registry import find_space, load_benchmark, own_spaces, table_folder
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.tables.columns import Column
from nasbench_lab.tables.rows import DecisionColumn
from nasbench_lab.tables.table import Table

VALID = Column("acc", "accuracy", "%", True, split="valid")
TEST = Column("test", "accuracy", "%", True, split="test")
DECISIONS = (
    Decision("layers", (1, 2), ordered=True),
    Decision("width", (16, 32), active_if={"layers": 2}),
    Decision("rate", (0.1, 0.25)),
)
FRAME = pd.DataFrame(
    {
        "layers": np.array([1, 2, 2], dtype=np.int8),
        "width": [np.nan, 16.0, 32.0],
        "rate": np.array([0.1, 0.1, 0.25], dtype=np.float32),
        "acc": [50.0, 60.0, np.nan],
        "test": [49, 61, 70],
    }
)


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))


def test_a_frame_becomes_a_table_in_the_data_folder():
    before = FRAME.copy()
    table = Table.from_frame(FRAME, "mine/frame", [VALID, TEST], decisions=DECISIONS, report="test")
    pd.testing.assert_frame_equal(FRAME, before)
    assert table.folder == table_folder("mine/frame")
    assert table.space == SearchSpace("mine/frame", DECISIONS)
    assert table.space.to_string(table.architectures) == ["1::0.1", "2:16:0.1", "2:32:0.25"]
    np.testing.assert_array_equal(table.values("acc"), [50, 60, np.nan])
    assert (table.info.objective, table.info.report) == ("acc", "test")
    again = lab.open_table("mine/frame")
    assert (again.space, again.fingerprint()) == (table.space, table.fingerprint())
    assert pickle.loads(pickle.dumps(table)).space == table.space
    benchmark = lab.load_benchmark("mine/frame")
    assert len(lab.run("random_search", benchmark, budget=3, seed=0)) == 3


def test_columns_for_trials_epochs_and_other_names(tmp_path):
    frame = pd.DataFrame(
        {"op": ["a", "b"], "s1e1": [1, 2], "s1e2": [3, 4], "s2e1": [5, 6], "s2e2": [7, None]}
    )
    column = Column("acc", "accuracy", "%", True, trials=(1, 2), epochs=(1, 2))
    one = Column("one", "accuracy", "%", True)
    table = Table.from_frame(
        frame,
        "mine",
        {column: [["s1e1", "s1e2"], ["s2e1", "s2e2"]], one: "s1e1"},
        decisions=[DecisionColumn(Decision("operation", ("a", "b", "c")), "op")],
        folder=tmp_path / "here",
    )
    assert table.folder == tmp_path / "here"
    assert table.values("one").tolist() == [1, 2]
    assert table.query(table.space.from_string("b"), lab.Query("acc", epoch=1)) == 4
    assert table.query(table.space.from_string("b"), lab.Query("acc", epoch=2)) == 4


def test_bins_and_repeated_rows():
    frame = pd.DataFrame({"rate": [0.0, 0.9, 4.0], "acc": [1.0, 3.0, 5.0]})
    columns = [DecisionColumn(Decision("rate", ()), "rate", bins=4)]
    table = Table.from_frame(frame, "binned", [VALID], decisions=columns)
    assert table.space.decisions[0].options == (0.5, 1.5, 2.5, 3.5)
    assert table.values("acc").tolist() == [2, 5]
    with pytest.raises(TableFileError, match="row 0 and row 1 are the same architecture"):
        Table.from_frame(frame, "binned", [VALID], decisions=columns, repeats=False)


def test_a_space_may_be_given_by_itself_or_by_name():
    space = SearchSpace("made", DECISIONS)
    frame = pd.DataFrame({"arch": ["1::0.1", "2:16:1e-1"], "acc": [1, 2]})
    table = Table.from_frame(frame, "one", [VALID], space=space, architecture="arch")
    assert table.space == space
    assert table.values("acc").tolist() == [1, 2]
    frame = pd.DataFrame({"arch": ["8:8:8:8:8", "8:8:8:8:64"], "acc": [1, 2]})
    table = Table.from_frame(frame, "two", [VALID], space="nats-sss", architecture="arch")
    assert table.info.decisions == ()
    assert table.space is get_space("nats-sss")


class Own(SearchSpace):
    """A class of one's own, which a table cannot keep."""


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"decisions": None}, SpaceError, "either decisions, .* or a space .* but got neither"),
        ({"space": "nb201"}, SpaceError, "got both"),
        ({"decisions": None, "space": 3}, SpaceError, "a SearchSpace or the name of one but got 3"),
        ({"decisions": None, "space": Own("own", DECISIONS)}, SpaceError, "of a class of its own"),
        (
            {"decisions": None, "space": SearchSpace("mlp", DECISIONS)},
            SpaceError,
            "name of another",
        ),
        ({"name": "fcnet"}, SpaceError, "'fcnet' is the name of another space"),
        ({"decisions": None, "space": "nb102"}, UnknownNameError, "Unknown space 'nb102'"),
        ({"decisions": DECISIONS[:1]}, TableFileError, "row 1 and row 2 are the same architecture"),
        ({"decisions": [*DECISIONS, Decision("x", "ab")]}, UnknownNameError, "column 'x'"),
        ({"columns": [Column("y", "loss", "1", False)]}, UnknownNameError, "column 'y'"),
        ({"columns": {VALID: ["acc", "test"]}}, TableFileError, "needs 1 columns .* but got 2"),
        ({"columns": {VALID: "text"}}, TableFileError, "Expected numbers in the column 'text'"),
        ({"objective": "tast"}, UnknownNameError, "column 'tast'"),
        ({"objective": "test"}, QueryError, "'test' is measured on test data"),
        ({"name": "../up"}, TableFileError, "name of a table letters"),
        ({"name": "nb201-digits"}, TableFileError, "a name that no other table"),
        ({"name": "nats-tss"}, TableFileError, "a name that no other table"),
        ({"frame": FRAME[:0]}, TableFileError, "no rows"),
        ({"frame": FRAME.assign(width=16)}, TableFileError, "row 0: Expected a blank for 'width'"),
        ({"frame": FRAME.assign(width=np.nan)}, TableFileError, "row 1: .* but got a blank"),
        ({"frame": FRAME.assign(acc=101)}, TableFileError, "row 0: expected a value of accuracy"),
        ({"frame": FRAME.assign(layers=[[1], 2, 2])}, TableFileError, "row 0: Expected an option"),
        ({"frame": pd.concat([FRAME, FRAME], axis=1)}, TableFileError, "two columns 'layers'"),
    ],
)
def test_frames_that_make_no_table_are_refused(changes, error, message):
    given = {
        "frame": FRAME.assign(text="x"), "name": "mine", "columns": [VALID, TEST],
        "decisions": DECISIONS, **changes,
    }  # fmt: skip
    with pytest.raises(error, match=message) as caught:
        Table.from_frame(given.pop("frame"), given.pop("name"), given.pop("columns"), **given)
    assert isinstance(caught.value, NasbenchLabError)
    assert lab.registry.kept_tables() == []


# What a table keeps


def test_tables_with_a_space_of_their_own_open_elsewhere(tmp_path):
    table = Table.from_frame(FRAME, "mine", [VALID], decisions=DECISIONS)
    shutil.copytree(table.folder, tmp_path / "elsewhere")
    shutil.rmtree(table.folder)
    assert Table.open(tmp_path / "elsewhere").space == SearchSpace("mine", DECISIONS)


def test_manifests_without_a_space_of_their_own_are_as_they_were(timed):
    manifest = json.loads((timed.folder / "manifest.json").read_text())
    assert "decisions" not in manifest["info"]


def test_the_fingerprint_says_what_the_options_are(tmp_path):
    def fingerprint(rates):
        frame = FRAME.assign(rate=[rates[0], rates[0], rates[1]])
        decisions = (*DECISIONS[:2], Decision("rate", rates))
        folder = tmp_path / str(rates[0])
        return Table.from_frame(
            frame, "x", [VALID], decisions=decisions, folder=folder
        ).fingerprint()

    assert fingerprint((0.1, 0.25)) != fingerprint((0.2, 0.25))


def test_tables_with_different_spaces_of_one_name_are_told_apart(tmp_path):
    one = Table.from_frame(FRAME, "one", [VALID], space=SearchSpace("net", DECISIONS))
    plain = SearchSpace("net", [Decision("layers", (1, 2)), Decision("rate", (0.1, 0.25))])
    two = Table.from_frame(FRAME[:2], "two", [VALID], space=plain)
    assert one.space != two.space
    assert one.space.name == two.space.name == "net"
    assert own_spaces() == {one.space: ["one"], plain: ["two"]}
    with pytest.raises(SpaceError, match="different spaces of the name 'net': one and two"):
        find_space("net")
    with pytest.raises(TableFileError, match="cannot join"):
        one.check_join(two)
    result = lab.compare(["random_search"], ["one", "two"], budget=5, seeds=6, n_jobs=1)
    for table in (one, two):
        assert {trace.space for trace in result.traces(table.name, "random_search")} == {
            table.space
        }


DAMAGE = {
    "no list": lambda d: 7,
    "many decisions": lambda d: [{**d[0], "name": str(i)} for i in range(1001)],
    "many options": lambda d: [{**d[0], "options": list(range(100_001))}],
    "a long option": lambda d: [{**d[0], "options": ["x" * 1001]}],
    "a name that is no text": lambda d: [{**d[0], "name": 3}],
    "an option that is no option": lambda d: [{**d[0], "options": [[1], 2]}],
    "a number without end": lambda d: [{**d[0], "options": [float("inf"), 2]}],
    "no options": lambda d: [{**d[0], "options": []}],
    "an unknown key": lambda d: [{**d[0], "code": "import os"}],
    "a lacking key": lambda d: [{"name": "a", "options": [1]}],
    "order that is no truth": lambda d: [{**d[0], "ordered": 1}],
    "a condition on nothing": lambda d: [d[0], {**d[1], "active_if": [["depth", [2]]]}],
    "a condition that is none": lambda d: [d[0], {**d[1], "active_if": [3]}],
    "equal options": lambda d: [{**d[0], "options": ["a", "a"]}],
    "a space without end": lambda d: [
        {**d[0], "name": f"d{i}", "options": [1, 2]} for i in range(70)
    ],
    "conditions without end": lambda d: [
        *({**d[0], "name": f"use {i}", "options": [0, 1]} for i in range(40)),
        {**d[0], "name": "last", "active_if": [[f"use {i}", [1]] for i in range(40)]},
        *(
            {**d[0], "name": f"how {i}", "active_if": [["last", [1]], [f"use {i}", [1]]]}
            for i in range(40)
        ),
    ],
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_hostile_space_in_a_manifest_is_refused(what):
    table = Table.from_frame(FRAME, "mine", [VALID], decisions=DECISIONS)
    file = table.folder / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["checksum"]
    manifest["info"]["decisions"] = DAMAGE[what](manifest["info"]["decisions"])
    manifest["checksum"] = content_checksum(json.loads(json.dumps(manifest)))
    file.write_text(json.dumps(manifest))
    with pytest.raises(TableFileError, match="json is damaged"):
        Table.open(table.folder)


# Searches, in this process and in others


@pytest.mark.long
def test_searches_in_other_processes_have_the_space_too():
    frame = pd.DataFrame(measured_networks.rows(1_500)).replace("", np.nan)
    columns = [Column("val_acc", "accuracy", "1", True, "valid")]
    decisions = measured_networks.space().decisions
    table = Table.from_frame(frame, "networks", columns, decisions=decisions)
    settings = {"budget": 15, "seeds": 4}
    frames = [
        lab.compare(["random_search", "bohb"], "networks", n_jobs=jobs, **settings).to_frame()
        for jobs in (1, 2)
    ]
    pd.testing.assert_frame_equal(*(f.drop(columns="wall_s", errors="ignore") for f in frames))
    for text in frames[0]["architecture"]:
        assert table.space.from_string(text) in set(map(tuple, table.architectures.tolist()))


@pytest.mark.long
def test_a_landscape_with_decisions_that_do_not_always_exist():
    space = SearchSpace("net", DECISIONS)
    every = space.at(np.arange(space.size))
    frame = pd.DataFrame({"arch": space.to_string(every), "acc": [1.0, 2.0, 3.0, 5.0, 4.0, 6.0]})
    table = Table.from_frame(frame, "full", [VALID], space=space, architecture="arch")
    analysis = analyse(table)
    effects = analysis.marginal_effects.set_index(["decision", "option"])
    exists = space.active(every)[:, 1]
    assert effects.loc[("width", 16), "architectures"] == 2
    values = table.values("acc")
    chosen = exists & (every[:, 1] == 0)
    assert effects.loc[("width", 16), "effect"] == pytest.approx(
        values[chosen].mean() - values[exists].mean()
    )
    # By least squares with a level for networks without the decision.
    levels = np.column_stack([every[:, 0], every[:, 2], exists & (every[:, 1] == 1), np.ones(6)])
    residual = values - levels @ np.linalg.lstsq(levels, values, rcond=None)[0]
    r2 = 1 - (residual**2).sum() / ((values - values.mean()) ** 2).sum()
    shares, fitted = lab.landscape.analysis.importance(analysis.landscape)
    assert fitted == pytest.approx(r2)
    within = sum(
        (exists & (every[:, 1] == o)).sum()
        * (values[exists & (every[:, 1] == o)].mean() - values[exists].mean()) ** 2
        for o in (0, 1)
    )
    share = shares.set_index("decision").loc["width", "share"]
    assert share == pytest.approx(within / ((values - values.mean()) ** 2).sum())
    assert load_benchmark("full").space == space

"""Tables with a space of one's own by the commands, from file to report."""

import json

import measured_networks
import pytest

from nasbench_lab import Result

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))


@pytest.fixture
def networks(tmp_path):
    """The engineer's file, in the folder where the commands run."""
    path = tmp_path / "networks.csv"
    measured_networks.write_csv(path, measured_networks.rows(5_000))
    return path.name


def test_from_a_file_of_measured_networks_to_the_report(lab, networks, tmp_path, undrawn):
    told = lab("import", networks, "--draft")
    assert told.code == 0, told.err
    assert "11 decisions and 4 columns of measurements" in told.words
    assert "# CHECK: what a search sees" in told.words
    drafted = (tmp_path / "networks.toml").read_text()
    told = lab("import", networks)
    assert told.code == 0, told.err
    assert "networks: 5,000 entries for 27,972 architectures of networks, 4 columns." in told.words
    described = lab("describe", "networks").words
    assert "width_3 16, 32, 64 (ordered) layers is 3 or 4" in described
    assert "activation gelu, tanh, relu always" in described
    told = lab(
        *("compare", "--benchmark", "networks", "--algorithm", "random_search", "--jobs", "1"),
        *("--algorithm", "regularized_evolution", "--algorithm", "gp_bo", "--budget", "60"),
        *("--seeds", "6", "--output", "results/mine"),
    )
    assert told.code == 0, told.err
    assert "Verdict networks:" in told.words
    told = lab("report", "results/mine")
    assert told.code == 0, told.err
    page = (tmp_path / "results/mine/report.html").read_text()
    assert "gelu:0.003" in page  # the best networks have these
    assert lab("verify", "results/mine").code == 0
    # The result is read without the table, and without the mapping file.
    told = lab("remove", "networks", "--yes")
    assert told.code == 0, told.err
    trace = Result.open("results/mine").traces("networks", "gp_bo")[0]
    assert trace.space.size == measured_networks.SIZE
    assert trace.space.decisions[3].conditions == (("layers", (2, 3, 4)),)
    assert (tmp_path / "networks.toml").read_text() == drafted


def test_a_draft_never_overwrites(lab, networks, tmp_path):
    mapping = tmp_path / "networks.toml"
    mapping.write_text("mine")
    told = lab("import", networks, "--draft")
    assert told.code == 1
    assert "networks.toml is there already, and stays as it is" in told.err
    assert mapping.read_text() == "mine"
    told = lab("import", networks, "--draft", "--mapping", "other.toml", "--json")
    assert told.data["mapping"].endswith("other.toml")
    assert len(told.data["checks"]) == 2
    assert lab("import", networks, "--mapping", "other.toml").code == 0
    assert lab("import", networks, "--draft", "--mapping", "no/folder.toml").code == 1


def test_only_one_file_of_a_fitting_format_is_drafted(lab, networks, tmp_path):
    assert (
        "Expected one CSV, JSON or Parquet file for --draft but got none"
        in lab("import", "--draft").err
    )
    assert "but got 2" in lab("import", "--draft", networks, networks).err
    (tmp_path / "x.bin").write_bytes(b"\0\1\2")
    assert "none of the files that can be imported" in lab("import", "x.bin", "--draft").err
    assert "There is no file" in lab("import", "absent.csv", "--draft").err


SPACES = """
from nasbench_lab import Decision, SearchSpace

NETS = SearchSpace("nets", [
    Decision("layers", (1, 2)),
    Decision("width", (8, 16), ordered=True, active_if={"layers": 2}),
])
OTHER = SearchSpace("nets", [Decision("layers", (1, 2, 3))])

def made():
    return NETS

def broken():
    raise RuntimeError("no space today")

NUMBER = 7
"""

MAPPING = """
[table]
name = "mine/nets"
architecture = ["depth", "width"]
objective = "acc"

[[columns]]
name = "acc"
from = "acc"
unit = "%"
maximize = true
"""


@pytest.fixture
def nets(tmp_path):
    (tmp_path / "spaces.py").write_text(SPACES)
    (tmp_path / "nets.csv").write_text("depth,width,acc\n1,,1\n2,16,2\n")
    (tmp_path / "nets.toml").write_text(MAPPING)


@pytest.mark.parametrize("name", ["NETS", "made"])
def test_a_space_of_a_file_backs_a_table(lab, nets, tmp_path, name):
    told = lab("import", "nets.csv", "--space", f"spaces.py:{name}")
    assert told.code == 0, told.err
    (tmp_path / "spaces.py").unlink()  # the table keeps the space
    told = lab("best", "mine/nets", "--json")
    assert [line["architecture"] for line in told.data] == ["2:16", "1:"]
    line = next(one for one in lab("list", "spaces", "--json").data if one["space"] == "nets")
    assert (line["architectures"], line["decisions"], line["tables"]) == (3, 2, ["mine/nets"])
    assert "nets 3 2 one_hot mine/nets" in lab("list", "spaces").words
    told = lab("draw", "1:", "--space", "nets")
    assert told.words.startswith("layers: 1. Drawn in")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("spaces.py", "Name the space too. In that file: spaces.py:NETS, spaces.py:OTHER"),
        ("spaces.py:NUMBER", "Expected spaces.py to define a SearchSpace 'NUMBER'"),
        ("spaces.py:absent", "Spaces in it: spaces.py:NETS, spaces.py:OTHER"),
        ("spaces.py:broken", "broken of spaces.py cannot be made without arguments: "),
        ("absent.py:NETS", "absent.py"),
        ("nts", "Unknown space 'nts'"),
        ("spaces.py:OTHER", "expected one column for each of the 1 decisions of 'nets'"),
    ],
)
def test_spaces_that_are_none_are_refused(lab, nets, space, message):
    told = lab("import", "nets.csv", "--space", space)
    assert told.code == 1
    assert message in told.err


def test_draw_takes_a_space_of_a_file(lab, nets, tmp_path):
    told = lab("draw", "2:16", "--space", "spaces.py:NETS", "--output", "two.svg")
    assert told.words.startswith("layers: 2, width: 16. Drawn in two.svg")
    assert "Expected a blank" in lab("draw", "1:16", "--space", "spaces.py:NETS").err
    assert "layers" in (tmp_path / "two.svg").read_text()


def test_describe_lists_the_decisions_as_json_too(lab, nets):
    lab("import", "nets.csv", "--space", "spaces.py:NETS")
    decisions = lab("describe", "mine/nets", "--json").data["decisions"]
    assert decisions[1] == {
        "name": "width",
        "options": [8, 16],
        "ordered": True,
        "active_if": [["layers", [2]]],
    }
    json.dumps(decisions)

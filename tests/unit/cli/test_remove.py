"""Tables are taken out of the data folder, by the command and from Python."""

import json
import os
import subprocess
import sys

import nats_files as files
import pytest

import nasbench_lab as nas
from nasbench_lab.errors import DataFolderError, UnknownNameError
from nasbench_lab.files import remove_folder
from nasbench_lab.registry import kept_tables, open_table, table_folder

CORA = "nas-bench-graph/cora"


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(folder))
    return folder


@pytest.fixture
def own(tmp_path):
    """Two imported tables of one group."""
    rows = [f"{text},{50 + i}" for i, text in enumerate(files.cells(40))]
    (tmp_path / "own.csv").write_text("arch,valid\n" + "\n".join(rows))
    (tmp_path / "own.toml").write_text(
        '[table]\nname = "own"\nspace = "nb201"\narchitecture = "arch"\nobjective = "valid"\n'
        '[[columns]]\nname = "valid"\nfrom = "valid"\nunit = "%"\nmaximize = true\nsplit = "valid"\n'
    )
    for name in ("mine/a", "mine/b"):
        nas.import_file(tmp_path / "own.csv", name=name)
    return "mine/a"


def answering(answer, *arguments):
    """The command in a process of its own, which is given an answer."""
    program = [sys.executable, "-m", "nasbench_lab.cli", *arguments]
    return subprocess.run(program, input=answer, capture_output=True, text=True, check=False)


def test_an_imported_table_goes_with_all_its_files_and_says_what_is_free(lab, own):
    size = sum(file.stat().st_size for file in table_folder(own).iterdir())
    said = json.loads(lab("remove", own, "--yes", "--json").out)
    assert said == {"table": own, "bytes": size, "made_again": False}
    assert kept_tables() == ["mine/b"]
    assert [path.name for path in table_folder("mine").iterdir()] == ["b"]
    with pytest.raises(UnknownNameError):
        open_table(own)
    lab("remove", "mine/b", "--yes")
    assert not table_folder("mine").exists()  # the group was empty


def test_it_asks_first_and_takes_only_yes(own):
    for answer in ("n\n", "\n", ""):
        refused = answering(answer, "remove", own)
        assert refused.returncode == 1
        assert "MB in" in refused.stderr
        assert own in kept_tables()
    assert answering("y\n", "remove", own).returncode == 0
    assert own not in kept_tables()


def test_a_table_of_an_installed_package_is_made_again(lab):
    before = open_table(CORA).fingerprint()
    said = lab("remove", CORA, "--yes")
    assert "made again at its next use, from the package nas-bench-graph" in said.out
    assert not table_folder("nas-bench-graph").exists()
    assert open_table(CORA).fingerprint() == before


def test_the_table_that_comes_with_us_stays(lab):
    open_table("nb201-digits")
    said = lab("remove", "nb201-digits", "--yes")
    assert said.code == 1
    assert "comes with nasbench-lab" in said.err
    assert "nb201-digits" in kept_tables()


@pytest.mark.parametrize("damaged", ["manifest.json", "valid.npy"])
@pytest.mark.parametrize("harm", ["emptied", "gone"])
def test_a_damaged_table_can_be_removed(own, damaged, harm):
    file = table_folder(own) / damaged
    file.unlink() if harm == "gone" else file.write_bytes(b"")
    assert nas.remove_table(own) > 0
    assert not table_folder(own).exists()


def test_unknown_names_get_the_nearest_and_tasks_their_table(lab, own):
    said = lab("remove", "mine/aa", "--yes")
    assert said.code == 1
    assert "Did you mean 'mine/a'?" in said.err
    assert "mine/a" in kept_tables()
    with pytest.raises(UnknownNameError, match="all of its tasks"):
        nas.remove_table(f"{own}/cifar10")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../elsewhere", "mine/..", "mine/../../elsewhere", "mine", "mine/", "/tmp"],
)
def test_no_name_leads_out_of_the_data_folder_or_to_a_group(data_folder, own, name):
    elsewhere = data_folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "manifest.json").write_text("{}")
    (elsewhere / "valid.npy").write_text("")
    with pytest.raises(UnknownNameError):
        nas.remove_table(name)
    assert sorted(kept_tables()) == ["mine/a", "mine/b"]
    assert len(list(elsewhere.iterdir())) == 2


def test_a_link_goes_and_what_it_leads_to_stays(data_folder, own, tmp_path):
    target = tmp_path / "target"
    os.rename(table_folder(own), target)
    table_folder(own).symlink_to(target, target_is_directory=True)
    assert nas.remove_table(own) == 0
    assert not table_folder(own).exists()
    assert (target / "manifest.json").exists()


def test_a_folder_that_cannot_be_moved_stays_as_it_is(own, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(DataFolderError, match="Permission denied"):
        remove_folder(table_folder(own))
    assert own in kept_tables()
    assert len(open_table(own)) == 40

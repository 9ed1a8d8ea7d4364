"""What a live view says of a table that is built, in whatever state the build is."""

import pytest

from nasbench_lab.files import content_checksum
from nasbench_lab.trainer.entries import write_entry
from nasbench_lab.watch.page import Pages

RECIPE = {
    "space": "nb201",
    "seeds": [4, 7],
    "architectures": 3,
    "training": {"data": "digits", "skeleton": "tiny", "epochs": 2},
}
FILE = """
name = "mine/few"
space = "nb201"
seeds = [4]
architectures = 2
licence = "MIT"
[training]
data = "digits"
skeleton = "tiny"
epochs = 1
"""


@pytest.fixture
def begun(tmp_path):
    """A build of three networks that has just begun: its folder, and what writes an entry."""
    folder, origin = tmp_path / "t.build", {"recipe": RECIPE, "data": "x", "format": 1}
    of = content_checksum(origin)
    write_entry(folder / "build.json", "build", origin)

    def write(part, index, **entry):
        write_entry(folder / part / f"{index:08d}.json", f"{of} {part} {index}", entry)

    write.times = lambda **times: write_entry(folder / "times.json", f"{of} times", times)
    return folder, write


def test_a_build_is_watched_by_the_name_of_its_table_or_its_own(begun, tmp_path):
    folder, write = begun
    pages = Pages(tmp_path / "t")
    assert "0 of 3 networks trained" in pages.state()["html"]
    curves = {"valid_accuracy": [[10.0, 20.0], [30.0, 40.0]]}
    write("trained", 5, curves=curves)
    write.times(training=1e6)
    for watched in (pages, Pages(folder)):
        state = watched.state()
        assert state["state"] == "running"
        assert "1 of 3 networks trained" in state["html"]
        # Two more, at a million seconds each.
        assert "about 23.1 days left" in state["html"]
    drawn = pages.plots()
    assert drawn["data"] is None
    assert "1 network; each is the mean of its trials" in drawn["html"]
    write("trained", 6, curves=curves)
    assert "2 networks" in pages.plots()["html"]
    write.times(training=1e-3)
    assert "about 1 s left" in Pages(folder).state()["html"]
    write("trained", 7, curves=curves)
    assert "0 of 3 networks timed" in pages.state()["html"]
    write("timed", 5)
    assert "1 of 3 networks timed" in pages.state()["html"]


def test_files_that_are_damaged_or_being_written_break_nothing(begun, tmp_path):
    folder, write = begun
    pages = Pages(tmp_path / "t")
    write("trained", 5, curves={"test_accuracy": [10.0, 20.0]})
    (folder / "trained" / "00000006.json").write_text('{"curves": ')
    (folder / "trained" / ".nasbench-lab-x").mkdir()
    (folder / "times.json").write_text("")
    assert "2 of 3 networks trained" in pages.state()["html"]
    assert "left" not in pages.state()["html"]
    assert "1 network;" in pages.plots()["html"]
    sound = (folder / "build.json").read_text()
    for text in ("", "{}", sound.replace("nb201", "nb301")):
        (folder / "build.json").write_text(text)
        assert pages.state()["state"] == "unreadable", text
    (folder / "build.json").write_text(sound)
    assert pages.state()["state"] == "running"


def test_a_build_of_another_version_is_said_to_be_that(tmp_path):
    write_entry(tmp_path / "t.build" / "build.json", "build", {"recipe": {"space": "nb401"}})
    state = Pages(tmp_path / "t").state()
    assert state["state"] == "unreadable"
    assert "of another version of nasbench-lab" in state["html"]


@pytest.mark.slow  # the tests above are the short form, without trainings
def test_a_real_build_is_watched_to_its_end(tmp_path):
    pytest.importorskip("torch", reason="building needs PyTorch")
    from nasbench_lab.trainer.build import build_table

    def look(done, total, what):
        if what == "training" and done == 1:
            seen.append(pages.state())

    pages, seen = Pages(tmp_path / "t"), []
    (tmp_path / "recipe.toml").write_text(FILE)
    assert pages.state()["state"] == "waiting"
    build_table(tmp_path / "recipe.toml", tmp_path / "t", n_jobs=1, progress=look)
    (state,) = seen
    assert "1 of 2 networks trained" in state["html"]
    state = pages.state()
    assert (state["state"], state["report"]) == ("finished", False)
    assert "the table mine/few is in" in state["html"]
    assert pages.plots()["html"] == ""

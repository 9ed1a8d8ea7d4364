"""What a live view says of studies of several trainings, in whatever state they are."""

import json
import os
from types import SimpleNamespace

import pytest

from nasbench_lab.errors import TrainingError
from nasbench_lab.trainer import progress
from nasbench_lab.trainer.progress import Plan, Task, Teller, under_way
from nasbench_lab.watch import at_work
from nasbench_lab.watch.page import Pages
from nasbench_lab.watch.studies import WatchedStudy

AXES = {"test_accuracy": "test accuracy (%)", "loss": "loss"}
TASKS = [Task("darts, seed 0", 4, "darts"), Task("darts, seed 1", 4, "darts"), Task("spos", 8)]
PLAN = Plan("Supernets on mine", "run", [("Seeds", "0, 1")], TASKS, AXES, 1)


@pytest.fixture
def clock(monkeypatch):
    """The seconds since the beginning, which the test tells, and which are written at once."""
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(progress, "WRITE_S", 0.0)
    return now


@pytest.fixture
def told(tmp_path):
    """Whether the system says who works on a folder."""
    with under_way(tmp_path / "other", PLAN):
        if not at_work.at_work(tmp_path / "other" / progress.FOLDER):
            pytest.skip("the system does not say who works on a folder")


def courses(*values):
    return {"test_accuracy": list(values)}


def study(folder, work, error):
    """A study that ends by an error, after some work on its first task."""
    with under_way(folder, PLAN) as (first, *_):
        work(first)
        raise error


def test_a_study_is_watched_from_its_plan_to_its_end(tmp_path, clock, told):
    pages, watched = Pages(tmp_path / "s"), WatchedStudy(tmp_path / "s")
    assert watched.view() is None
    assert pages.state()["state"] == "waiting"
    with under_way(tmp_path / "s", PLAN) as (first, second, third):
        view = watched.view()
        assert (view.state, view.done, view.total) == ("running", 0, 19)
        assert view.headline == "Supernets on mine: 0 of 3 runs finished."
        assert f"process {os.getpid()}: " in dict(view.facts)["At work here"]
        assert dict(view.facts)["Seeds"] == "0, 1"
        assert view.workers == ()
        assert pages.plots()["html"] == ""
        first(0, {})
        clock[0] = 30.0
        first(1, courses(50.0), rest_s=7.0)
        view = watched.view()
        assert view.workers == ("darts, seed 0: epoch 2 of 4",)
        assert [(name, *map(tuple, shares)) for name, shares in view.grid.rows] == [
            ("darts, seed 0", (1, 4, 0)),
            ("darts, seed 1", (0, 4, 0)),
            ("spos", (0, 8, 0)),
        ]
        # 15 more epochs of 30 s, and what comes last of each of the three.
        assert view.left_s == pytest.approx(15 * 30 + 3 * 7, abs=5)
        assert "1 run, by epoch" in pages.plots()["html"]
        first(4, courses(50.0, 60.0, 61.0, 62.0), doing="ranks 5 networks")
        view = watched.view()
        assert view.workers == ("darts, seed 0: ranks 5 networks",)
        assert view.done / view.total == 4 / 19
        for teller, epochs in ((first, 4), (second, 4), (third, 8)):
            teller(epochs, courses(*range(epochs)), ended=True)
        view = watched.view()
        assert (view.done, view.total, view.left_s) == (19, 19, 0)
    state = pages.state()
    assert (state["state"], state["report"]) == ("finished", False)
    assert "Supernets on mine: 3 of 3 runs finished." in state["html"]
    assert "3 runs, by epoch" in pages.plots()["html"]


def test_epochs_that_were_kept_do_not_count_as_fast_ones(tmp_path, clock):
    with under_way(tmp_path, PLAN) as (first, second, _):
        first(3, courses(1, 2, 3))
        clock[0] = 20.0
        first(3, courses(1, 2, 3))  # it has gone back to its checkpoint
        clock[0] = 30.0
        first(4, courses(1, 2, 3, 4))
        clock[0] = 50.0
        first(4, courses(1, 2, 3, 4), ended=True)
        second(4, courses(1, 2, 3, 4), ended=True)
        entries = [json.loads(file.read_text()) for file in sorted(tmp_path.rglob("0*.json"))]
        assert [entry["epoch_s"] for entry in entries] == [10.0, None]


def test_a_task_in_mid_work_is_written_once_a_second_at_most(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(progress, "WRITE_S", 1.0)
    with under_way(tmp_path, PLAN) as (first, *_):
        first(0, {})
        (file,) = tmp_path.rglob("0*.json")
        for at, done in ((0.5, 0), (0.99, 0), (1.5, 3)):
            clock[0] = at
            first(int(2 * at), courses(*range(int(2 * at))))
            assert json.loads(file.read_text())["done"] == done


def test_a_study_that_stands_still_or_failed_is_said_to(tmp_path, told):
    pages = Pages(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path, lambda first: first(2, courses(50.0, 60.0)), KeyboardInterrupt())
    state = pages.state()
    assert state["state"] == "stopped"
    assert "The same command goes on with it." in state["html"]
    assert " left" not in state["html"]
    assert "1 run, by epoch" in pages.plots()["html"]
    # What another session has told is not mixed with that of this one.
    seen = []
    with pytest.raises(TrainingError):
        study(
            tmp_path,
            lambda _: seen.append(WatchedStudy(tmp_path).view()),
            TrainingError("Memory ran out on <cpu>."),
        )
    assert [(view.state, view.done) for view in seen] == [("running", 0)]
    state = pages.state()
    assert state["state"] == "stopped"
    assert "Memory ran out on &lt;cpu&gt;." in state["html"]


def test_where_the_system_does_not_say_who_is_at_work_it_does_not_guess(tmp_path, monkeypatch):
    monkeypatch.setattr(at_work, "_LOCKS", tmp_path / "no such file")
    with under_way(tmp_path, PLAN):
        pass
    (tmp_path / "progress" / "plan.json").unlink()
    with pytest.raises(KeyboardInterrupt), under_way(tmp_path, PLAN):
        raise KeyboardInterrupt
    view = WatchedStudy(tmp_path).view()
    assert view.state == "running"
    assert "does not say" in view.headline


def test_a_second_study_in_the_folder_keeps_silent(tmp_path):
    if progress.sys.platform == "win32":
        pytest.skip("a folder cannot be locked there")
    with under_way(tmp_path, PLAN) as (first, *_):
        first(1, courses(50.0))
        other = Plan("Validation of mine", "training", [], [Task("a", 1)], AXES, 1)
        with under_way(tmp_path, other) as (silent,):
            silent(1, courses(10.0), ended=True)
        assert WatchedStudy(tmp_path).view().headline.startswith("Supernets on mine: ")
        assert WatchedStudy(tmp_path).view().done == 1
    with under_way(tmp_path, other):
        assert WatchedStudy(tmp_path).view().headline.startswith("Validation of mine: ")


def test_what_cannot_be_written_does_not_end_a_training(tmp_path):
    (tmp_path / "file").write_text("")
    Teller(tmp_path / "file" / "0000.json", "session")(1, courses(50.0))


def test_files_that_are_damaged_or_of_another_version_break_nothing(tmp_path):
    pages, folder = Pages(tmp_path), tmp_path / "progress"
    with under_way(tmp_path, PLAN) as (first, second, _):
        first(1, courses(50.0))
        second(1, courses(50.0))
        (folder / "0001.json").write_text('{"done": ')
        assert "is damaged" in pages.state()["html"]
        assert "1 run, by epoch" in pages.plots()["html"]
        sound = (folder / "plan.json").read_text()
        for text in ("", "{}", sound.replace("Supernets", "Superb nets")):
            (folder / "plan.json").write_text(text)
            assert pages.state()["state"] == "unreadable", text
        progress.write_entry(folder / "plan.json", "plan", {"session": "x"})
        assert "of another version of nasbench-lab" in pages.state()["html"]
        (folder / "plan.json").write_text(sound)
        progress.write_entry(folder / "0001.json", json.loads(sound)["session"], {"far": 1})
        assert "of another version of nasbench-lab" in pages.state()["html"]

"""What is being written, by whom, and what becomes of it when its process is killed."""

import os
import subprocess
import sys
import threading

import pytest

from nasbench_lab import files
from nasbench_lab.files import atomic_file, atomic_folder, folders_with, settle, tidy

pytestmark = pytest.mark.long

AT_WORK = """
import os, sys
from pathlib import Path
from nasbench_lab import files
kind, target = sys.argv[1], Path(sys.argv[2])
if kind == "between":  # the two renames that replace a folder
    rename = os.rename
    def stop(old, new):
        rename(old, new)
        print("at work", os.getpid(), flush=True)
        sys.stdin.readline()
    os.rename = stop
    with files.atomic_folder(target, replace=True) as new:
        (new / "manifest.json").write_text("new")
else:
    with getattr(files, kind)(target) as new:
        (new if kind == "atomic_file" else new / "manifest.json").write_text("new")
        print("at work", os.getpid(), flush=True)
        sys.stdin.readline()
"""


def container():
    """The beginning of a command in which process numbers begin anew, where that is allowed."""
    command = ["unshare", "--pid", "--fork", "--kill-child"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return command


@pytest.fixture
def at_work():
    begun = []

    def begin(kind, target, prefix=()):
        process = subprocess.Popen(
            [*prefix, sys.executable, "-c", AT_WORK, kind, str(target)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        assert process.stdout.readline().startswith("at work")
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", ["atomic_file", "atomic_folder"])
def test_containers_on_one_folder_leave_each_other_what_they_write(tmp_path, at_work, kind):
    first = at_work(kind, tmp_path / "a", container())
    tidy(tmp_path)
    second = at_work(kind, tmp_path / "b", container())
    for process in (first, second):
        process.communicate("go on\n", timeout=600)
        assert process.returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.parametrize("kind", ["atomic_file", "atomic_folder"])
@pytest.mark.parametrize("writing", ["file", "folder"])
def test_what_a_killed_process_was_writing_goes_when_its_folder_is_written_to(
    tmp_path, at_work, kind, writing, monkeypatch
):
    monkeypatch.setattr(files, "_tidied", set())
    killed, alive = at_work(kind, tmp_path / "a"), at_work(kind, tmp_path / "b")
    killed.kill()
    killed.wait()
    assert len(list(tmp_path.iterdir())) == 2
    if writing == "file":
        with atomic_file(tmp_path / "c") as path:
            path.write_text("c")
    else:
        with atomic_folder(tmp_path / "c"):
            pass
    assert len(list(tmp_path.iterdir())) == 2  # c, and what the other process is at
    alive.communicate("go on\n", timeout=600)
    assert {path.name for path in tmp_path.iterdir()} == {"b", "c"}


def test_hidden_files_of_others_stay(tmp_path):
    for name in (".a", ".a-b-c-d", ".nasbench-lab", "nasbench-lab-x"):
        (tmp_path / name).mkdir()
    (tmp_path / ".nasbench-lab-file").write_text("a file")
    before = below(tmp_path)
    tidy(tmp_path)
    assert below(tmp_path) == before


def test_a_folder_that_is_just_being_replaced_is_waited_for(tmp_path, at_work):
    table = tmp_path / "group" / "table"
    with atomic_folder(table) as new:
        (new / "manifest.json").write_text("old")
    process = at_work("between", table)
    assert not table.exists()
    assert folders_with("manifest.json", tmp_path) == {"group/table"}
    assert folders_with("manifest.json", table.parent) == {"table"}
    go_on = threading.Timer(0.1, lambda: process.communicate("go\ngo\n", timeout=600))
    go_on.start()
    settle(table)
    assert (table / "manifest.json").read_text() == "new"
    go_on.join()


def test_what_a_killed_process_moved_away_is_put_back_where_it_was(tmp_path, at_work):
    with atomic_folder(tmp_path / "a") as new:
        (new / "manifest.json").write_text("old")
    process = at_work("between", tmp_path / "a")
    process.kill()
    process.wait()
    settle(tmp_path / "b")
    assert not (tmp_path / "a").exists()
    settle(tmp_path / "a")
    assert below(tmp_path) == ["a", "a/manifest.json"]


def test_a_file_system_without_locks_is_written_to_and_nothing_is_tidied(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(37, os.strerror(37))

    monkeypatch.setattr("fcntl.flock", refuse)
    with atomic_folder(tmp_path / "a") as new:
        (new / "file").touch()
        before = below(tmp_path)
        tidy(tmp_path)
        assert below(tmp_path) == before
    assert below(tmp_path) == ["a", "a/file"]

"""What a live view says of a result folder, in whatever state that is."""

import json
import math
import os
import re
import shutil
from dataclasses import replace

import pytest
from live_searches import Gated
from watched import tells_locks, write

import nasbench_lab as lab
from nasbench_lab.results.folder import working_on
from nasbench_lab.results.manifest import checksum
from nasbench_lab.running import live
from nasbench_lab.running.comparison import compare
from nasbench_lab.trainer.progress import Plan, Task, under_way
from nasbench_lab.watch import at_work
from nasbench_lab.watch.page import Pages
from nasbench_lab.watch.results import SHOWN, WatchedResult
from nasbench_lab.watch.view import in_words

CORA = "nas-bench-graph/cora"
ALGORITHMS = ["random_search", "local_search"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished result of 2 algorithms with 2 seeds, in memory and in a folder."""
    folder = tmp_path_factory.mktemp("results") / "r"
    return compare(ALGORITHMS, CORA, budget=5, seeds=2, n_jobs=1, folder=folder), folder


@pytest.fixture
def unfinished(finished, tmp_path):
    """The folder of a result of which three of four runs are finished, while somebody is at work."""
    result, _ = finished
    with working_on(tmp_path / "r", result.experiment):
        write(tmp_path / "r", result, result.runs[:3])
        yield tmp_path / "r"


@pytest.fixture
def told(finished):
    if not tells_locks(finished[0].experiment):
        pytest.skip("the system does not say who works on a folder")


def files(folder):
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def test_it_counts_runs_and_names_who_is_at_work(unfinished, told):
    view = WatchedResult(unfinished).view()
    assert (view.state, view.done, view.total) == ("running", 3, 4)
    assert view.headline == "3 of 4 runs finished."
    assert view.grid.columns == [CORA]
    assert [(name, *map(tuple, shares)) for name, shares in view.grid.rows] == [
        ("random_search", (2, 2, 0)),
        ("local_search", (1, 2, 0)),
    ]
    assert f"process {os.getpid()}: " in dict(view.facts)["At work here"]
    assert view.failures == view.problems == ()


def test_it_only_reads(unfinished):
    before, names = files(unfinished), sorted(unfinished.rglob("*"))
    pages = Pages(unfinished)
    for _ in range(2):
        pages.page(), pages.state(), pages.plots()
    assert files(unfinished) == before
    assert sorted(unfinished.rglob("*")) == names


def test_a_result_at_which_nobody_works_is_said_to_stand_still(unfinished, told, tmp_path):
    shutil.copytree(unfinished, tmp_path / "left")
    view = WatchedResult(tmp_path / "left").view()
    assert view.state == "stopped"
    assert "3 of 4 runs finished" in view.headline
    assert "The command that made the result goes on with it" in view.headline
    assert dict(view.facts)["At work here"] == "nobody"


def test_where_the_system_does_not_say_who_is_at_work_it_does_not_guess(unfinished, monkeypatch):
    monkeypatch.setattr(at_work, "_LOCKS", unfinished / "no such file")
    view = WatchedResult(unfinished).view()
    assert view.state == "running"
    assert "does not say" in view.headline
    assert "At work here" not in dict(view.facts)


def test_a_finished_result_is_shown_as_its_report(finished):
    pages = Pages(finished[1])
    state = pages.state()
    assert (state["state"], state["report"]) == ("finished", True)
    page = pages.page()
    assert "nasbench-lab report</title>" in page
    assert f'const shown = "{state["version"]}"' in page
    assert "connect-src 'self'" in page.replace("&#39;", "'")


def test_a_validation_is_shown_in_place_of_the_report_until_it_has_ended(
    unfinished, told, finished
):
    plan, pages = Plan("Validation", "training", [], [Task("a", 2)], {}, 1), Pages(unfinished)
    with pytest.raises(KeyboardInterrupt), under_way(unfinished, plan):
        raise KeyboardInterrupt
    assert "3 of 4 runs finished." in pages.state()["html"], "its runs go on"
    write(unfinished, finished[0], finished[0].runs[3:])
    state = pages.state()
    assert (state["state"], state["report"]) == ("stopped", False)
    assert "nasbench-lab report writes its report" in state["html"]
    assert "nasbench-lab watch</title>" in pages.page()
    with under_way(unfinished, plan) as (first,):
        first(1, {})
        assert "epoch 2 of 2" in pages.state()["html"]
        assert pages.state()["state"] == "running"
    assert pages.state()["report"]


def test_a_report_that_cannot_be_made_leaves_the_live_page(finished, monkeypatch):
    def broken(*_, **__):
        raise ValueError("no such thing")

    monkeypatch.setattr("nasbench_lab.watch.page.render", broken)
    pages = Pages(finished[1])
    assert pages.state()["report"]
    assert "nasbench-lab watch</title>" in pages.page()
    assert not pages.state()["report"], "else the page would be loaded again for ever"


def test_what_is_not_there_yet_is_waited_for(finished, tmp_path):
    result, _ = finished
    watched = WatchedResult(tmp_path / "r")
    assert watched.view().state == "waiting"
    assert "is not there yet" in watched.view().headline
    assert watched.result() is None
    (tmp_path / "r").mkdir()
    assert "There is no result in" in watched.view().headline
    (tmp_path / "r").rmdir()
    result.save(tmp_path / "r")
    assert watched.view().state == "finished"


def test_a_folder_that_vanishes_and_another_result_in_its_place_are_said_to_be_that(
    finished, tmp_path
):
    result, _ = finished
    result.save(tmp_path / "r")
    watched = WatchedResult(tmp_path / "r")
    assert watched.view().problems == ()
    shutil.rmtree(tmp_path / "r")
    assert watched.view().state == "waiting"
    assert "is gone" in watched.view().headline
    assert watched.result() is None
    # The same experiment once more is nothing to tell.
    result.save(tmp_path / "r")
    assert watched.view().problems == ()
    shutil.rmtree(tmp_path / "r")
    compare(ALGORITHMS, CORA, budget=4, seeds=1, n_jobs=1, folder=tmp_path / "r")
    view = watched.view()
    assert (view.state, view.total) == ("finished", 2)
    assert "Another result has taken the place" in view.problems[0]
    assert len(watched.result().runs) == 2


def test_an_experiment_that_grows_is_the_same_one(finished, tmp_path):
    shutil.copytree(finished[1], tmp_path / "r")
    watched = WatchedResult(tmp_path / "r")
    before = watched.view().version
    compare(ALGORITHMS, CORA, budget=5, seeds=3, n_jobs=1, folder=tmp_path / "r")
    view = watched.view()
    assert (view.done, view.total, view.problems) == (6, 6, ())
    assert view.version != before


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", None])
def test_a_part_that_is_damaged_is_named_and_the_others_are_shown(finished, tmp_path, content):
    shutil.copytree(finished[1], tmp_path / "r")
    part = min((tmp_path / "r" / "runs").glob("*.parquet"))
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2] if content is None else content)
    watched = WatchedResult(tmp_path / "r")
    view = watched.view()
    assert view.state in ("running", "stopped")
    assert str(part) in view.problems[0]
    assert "damaged" in view.problems[0]
    assert 0 < view.done < 4
    assert len(watched.result().runs) == view.done
    part.write_bytes(whole)
    assert watched.view().state == "finished"
    assert watched.view().problems == ()


def test_a_part_that_does_not_hold_what_it_says_is_named_in_place_of_the_report(finished, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    shutil.copytree(finished[1], tmp_path / "r")
    part = min((tmp_path / "r" / "runs").glob("*.parquet"))
    whole, table = part.read_bytes(), pq.read_table(part)
    at = table.column_names.index("cost")
    costs = pa.chunked_array([pa.array(table.column("cost").to_numpy() + 1.0)])
    pq.write_table(table.set_column(at, "cost", costs), part)
    pages = Pages(tmp_path / "r")
    assert pages.state()["report"]
    assert "nasbench-lab watch</title>" in pages.page()
    state = pages.state()
    assert not state["report"]
    assert str(part) in state["html"]
    part.write_bytes(whole)
    assert pages.state()["report"]
    assert "nasbench-lab report</title>" in pages.page()
    assert "What cannot be read" not in pages.state()["html"]


def test_what_may_not_be_read_and_what_is_no_folder_are_said_to_be_that(
    finished, tmp_path, monkeypatch
):
    def forbidden(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    manifest = finished[1] / "manifest.json"
    state = Pages(manifest).state()
    assert state["state"] == "unreadable"
    assert "is a file. Expected a result folder." in state["html"]
    monkeypatch.setattr("nasbench_lab.watch.results.shards_in", forbidden)
    state = Pages(finished[1]).state()
    assert state["state"] == "unreadable"
    assert "Permission denied" in state["html"]


def test_what_is_being_written_is_not_looked_at(unfinished):
    watched, before = WatchedResult(unfinished), None
    before = watched.view()
    (unfinished / "runs" / ".nasbench-lab-x").mkdir()
    (unfinished / "runs" / ".nasbench-lab-x" / "a.parquet").write_bytes(b"PAR1")
    after = watched.view()
    assert (after.done, after.version, after.problems) == (before.done, before.version, ())


def test_results_of_other_versions_and_what_is_none_are_said_to_be_that(finished, tmp_path):
    shutil.copytree(finished[1], tmp_path / "r")
    manifest = tmp_path / "r" / "manifest.json"
    sound = manifest.read_text()
    content = json.loads(sound)
    content.pop("sha256")
    content["format"] += 1
    content["sha256"] = checksum(content)
    manifest.write_text(json.dumps(content))
    watched = WatchedResult(tmp_path / "r")
    assert watched.view().state == "unreadable"
    assert "this version reads" in watched.view().headline
    for text in ("", "{", "[]", sound.replace("local_search", "my_search"), "\udcff"):
        manifest.write_text(text, errors="surrogateescape")
        assert watched.view().state == "unreadable", text
        assert watched.result() is None
        pages = Pages(tmp_path / "r")
        assert pages.state()["state"] == "unreadable"
        assert pages.plots()["html"] == ""
    manifest.write_text(sound)
    assert watched.view().state == "finished"


def test_plots_that_cannot_be_drawn_say_why(finished, monkeypatch):
    def broken(result):
        raise ValueError("no such thing")

    monkeypatch.setattr("nasbench_lab.watch.page.plots", broken)
    told = Pages(finished[1]).plots()
    assert told["problem"] == "ValueError: no such thing"
    assert told["html"] == ""


def test_plots_are_those_of_the_report_and_made_again_only_when_something_is_new(
    finished, unfinished, monkeypatch
):
    result, _ = finished
    pages = Pages(unfinished)
    first = pages.plots()
    assert first["data"]["algorithms"] == ALGORITHMS
    assert 'id="plot-curves"' in first["html"]
    assert pages.plots() is first
    write(unfinished, result, result.runs[3:])
    second = pages.plots()
    assert second["version"] == pages.state()["version"] != first["version"]
    assert len(second["data"]["tables"][0]["finals"]["test"][1]) == 2


# Failures and time


def test_failures_are_told_with_their_reasons_the_last_ones(finished, tmp_path):
    result, _ = finished
    first, second = result.runs[:2]
    failed = replace(first, trace=first.trace, error="ValueError: <b>no</b>\nTraceback …")
    reasons = {position: f"reason {position}" for position in range(SHOWN + 1)}
    second = replace(second, trace=replace(second.trace, reasons=reasons))
    with working_on(tmp_path / "r", result.experiment):
        write(tmp_path / "r", result, [failed])
        view = WatchedResult(tmp_path / "r").view()
        where = f"{first.algorithm} on {CORA} with seed {first.seed}"
        assert view.failures == (f"{where}: ValueError: <b>no</b>",)
        assert view.grid.rows[0][1][0] == (1, 2, 1)
        assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in Pages(tmp_path / "r").state()["html"]
        write(tmp_path / "r", result, [second])
        view = WatchedResult(tmp_path / "r").view()
        assert len(view.failures) == SHOWN + 1
        assert view.failures[0] == f"{SHOWN + 2} failures, of which these are the last {SHOWN}:"
        assert f"evaluation {SHOWN + 1}: reason {SHOWN}" in view.failures[-1]


def test_the_time_left_is_what_similar_runs_took_shared_by_as_many_as_were_at_work(
    finished, tmp_path, monkeypatch
):
    result, _ = finished
    monkeypatch.setattr("nasbench_lab.watch.results.at_work", lambda runs: None)
    runs = [
        replace(run, wall_s=wall_s)
        for run, wall_s in zip(result.runs, (10, 10, 30, 30), strict=True)
    ]
    with working_on(tmp_path / "r", result.experiment):
        watched = WatchedResult(tmp_path / "r")
        assert math.isnan(watched.view().left_s)
        write(tmp_path / "r", result, runs[:1])
        for part in (tmp_path / "r" / "runs").glob("*.parquet"):
            os.utime(part, (1000, 1000))
        # One more of 10 s, and two that are taken to be like it.
        assert watched.view().left_s == pytest.approx(30)
        for run in runs[1:3]:
            write(tmp_path / "r", result, [run])
        ends = {10.0: 1000, 30.0: 1010}
        for part in (tmp_path / "r" / "runs").glob("*.parquet"):
            wall_s = watched._heads(part)["runs"][0]["wall_s"]
            os.utime(part, (ends[wall_s], ends[wall_s]))
        # From 980 to 1010, 50 s of runs: 30 s are left for one like the last, at 5/3 at once.
        assert watched.view().left_s == pytest.approx(18)
        assert dict(watched.view().facts)["Runs at once, on average"] == "1.7"
        write(tmp_path / "r", result, runs[3:])
        assert watched.view().left_s == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "less than a second"),
        (1, "1 s"),
        (59.4, "59 s"),
        (59.7, "1:00 min"),
        (3599.7, "1:00 h"),
        (3 * 3600 + 300, "3:05 h"),
        (60 * 3600, "2.5 days"),
    ],
)
def test_times_in_words(seconds, text):
    assert in_words(seconds) == text


# Searches in real time


@pytest.mark.long
def test_a_search_in_real_time_is_watched_while_it_runs(tmp_path, monkeypatch):
    def look(standing):
        if standing.finished == 2 and not views:
            views.append(watched.view())
            drawn.append(Pages(tmp_path / "r").plots())
            (tmp_path / "go").touch()

    monkeypatch.setattr(live, "WRITE_S", 0.0)
    views, drawn, watched = [], [], WatchedResult(tmp_path / "r")
    benchmark = Gated(tmp_path, 2)
    lab.run("random_search", benchmark, 4, folder=tmp_path / "r", executor="processes", watch=look)
    (view,), (plots,) = views, drawn
    assert (view.state, view.done, view.total) == ("running", 0.5, 1)
    assert view.headline == "0 of 1 run finished."
    (failure,) = view.failures
    assert failure.startswith(f"random_search on {benchmark.name} with seed 0, evaluation 1: ")
    assert "no room for that many filters" in failure
    assert plots["data"]["tables"][0]["name"] == benchmark.name
    # By now the third waits at the gate, or is about to be asked.
    for text in view.workers:
        assert re.fullmatch(r"worker 0: .+, epoch \d of 9, for .+", text)
    assert watched.view().state == "finished"
    assert watched.view().workers == ()
    assert [file.suffix for file in (tmp_path / "r" / "live").iterdir()] == [".jsonl"]


@pytest.mark.parametrize(
    ("said", "texts"),
    [
        (
            {"worker": 1, "architecture": "1,2", "epoch": None, "last_epoch": 9, "start": 3.0},
            ("worker 1: 1,2, epoch 0 of 9, for 7 s",),
        ),
        (
            {"worker": 0, "architecture": "<b>", "epoch": None, "last_epoch": None, "start": 10.0},
            ("worker 0: <b>, for less than a second",),
        ),
        ({"worker": 0}, ()),
        ([], ()),
    ],
)
def test_workers_of_a_search_are_shown_with_what_they_are_at(unfinished, said, texts):
    (unfinished / "live").mkdir()
    file = unfinished / "live" / f"live-1{live.AT_WORK}"
    file.write_text(json.dumps({"seconds": 10.0, "at_work": [said]}))
    assert WatchedResult(unfinished).view().workers == texts
    file.write_text("{")
    assert WatchedResult(unfinished).view().workers == ()

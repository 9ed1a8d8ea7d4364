"""The live view in a real browser, while a comparison runs, is killed, and has ended."""

import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from report_pages import CHROMIUM, DESKTOP, PHONE, started
from waiting import MINUTES, wait_for
from watched import serving, tells_locks, write

from nasbench_lab.results.folder import working_on
from nasbench_lab.running.comparison import compare

api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium: install it, or name its program in $CHROMIUM"
)

SCRIPT = Path(sys.executable).with_name("nasbench-lab")
TABLES = ["nb201-digits", "nas-bench-graph/cora"]
LABELS = {"random_search": "random_search", "<b onload=x>": "local_search"}
PATIENCE = {"timeout": 1000 * MINUTES}


@pytest.fixture(scope="module")
def browser():
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def finished():
    return compare(LABELS, TABLES, budget=10, seeds=2, n_jobs=1)


@contextmanager
def opened(browser, url, size=DESKTOP, **options):
    """A page, and all that it complained of."""
    context, heard = browser.new_context(viewport=size, **options), []
    page = context.new_page()
    page.set_default_timeout(PATIENCE["timeout"])
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto(url)
    yield page, heard
    context.close()


def says(page, text):
    api.expect(page.locator("#state")).to_contain_text(text, **PATIENCE)


def test_what_is_finished_streams_in_and_the_report_comes_at_the_end(browser, finished, tmp_path):
    folder = tmp_path / "r"
    with serving(folder) as server, opened(browser, server.url) as (page, heard):
        says(page, "is not there yet")
        with working_on(folder, finished.experiment):
            says(page, "0 of 8 runs finished")
            # Of one table, by one algorithm.
            write(folder, finished, finished.runs[:2])
            says(page, "2 of 8 runs finished")
            line = page.locator("#plot-curves svg.canvas path.line")
            api.expect(line).to_have_count(1, **PATIENCE)
            assert page.locator("select[name=table] option").count() == 1
            page.locator("input[name=metric][value='test:value']").check()
            page.locator("input[name=logx]").uncheck()
            # The other one, whose name is no element.
            write(folder, finished, finished.runs[2:4])
            api.expect(line).to_have_count(2, **PATIENCE)
            assert LABELS.keys() < {*page.locator(".grid tbody th").all_inner_texts(), ""}
            assert page.locator("b").count() == 0
            assert page.locator("input[name=metric][value='test:value']").is_checked()
            write(folder, finished, finished.runs[4:7])
            says(page, "7 of 8 runs finished")
            # Another table joins: new frames, and what was chosen stays chosen.
            option = page.locator("select[name=table] option")
            api.expect(option).to_have_count(2, **PATIENCE)
            assert page.locator("input[name=metric][value='test:value']").is_checked()
            assert not page.locator("input[name=logx]").is_checked()
            assert page.title() == "88% · r"
        if tells_locks(finished.experiment):
            says(page, "Nothing on this machine works here: 7 of 8 runs finished")
        write(folder, finished, finished.runs[7:])
        api.expect(page).to_have_title(re.compile("nasbench-lab report$"), **PATIENCE)
        api.expect(page.locator("#verdict")).to_contain_text("8 of 8, finished", **PATIENCE)
        # What is taken away is no report any more.
        shutil.rmtree(folder)
        says(page, "is gone: it was deleted or moved")
        assert heard == []


@pytest.mark.parametrize(("size", "theme"), [(PHONE, "dark"), (DESKTOP, "light")])
def test_it_fits_and_axe_finds_nothing(browser, finished, tmp_path, size, theme):
    pytest.importorskip("axe_playwright_python", reason="needs the package axe-playwright-python")
    from dataclasses import replace

    from axe_playwright_python.sync_playwright import Axe

    folder = tmp_path / "r"
    with working_on(folder, finished.experiment):
        write(folder, finished, finished.runs[:5])
        write(folder, finished, [replace(finished.runs[5], error="ValueError: " + "long" * 100)])
        (folder / "runs" / "damaged.parquet").write_bytes(b"PAR1")
        with (
            serving(folder) as server,
            opened(browser, server.url, size, color_scheme=theme, bypass_csp=True) as (page, _),
        ):
            says(page, "6 of 8 runs finished")
            says(page, "damaged.parquet")
            page.locator("#plot-curves svg.canvas path.line").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
            found = Axe().run(page).response["violations"]
            assert [(one["id"], one["nodes"][0]["html"][:120]) for one in found] == []


def test_a_server_that_has_ended_is_said_to_have(browser, finished, tmp_path):
    with serving(tmp_path / "r") as server, opened(browser, server.url) as (page, _):
        says(page, "is not there yet")
        server.shutdown()
        server.server_close()
        api.expect(page.locator("#lost")).to_contain_text("does not answer", **PATIENCE)
        assert "is not there yet" in page.locator("#state").inner_text()


GATED = """
import os, time
from nasbench_lab import SearchAlgorithm

class Gated(SearchAlgorithm):
    def ask(self):
        while not os.path.exists(os.environ["GATE"]):
            time.sleep(0.01)
        return self.trial(self.space.sample(self.rng))
"""


@pytest.mark.slow  # the first test above is the short form, without processes
def test_a_real_comparison_is_watched_while_it_runs_and_while_it_is_killed(
    browser, finished, tmp_path, monkeypatch
):
    if not tells_locks(finished.experiment):
        pytest.skip("the system does not say who works on a folder")

    def start():
        return subprocess.Popen(
            [
                *(SCRIPT, "compare", "-a", "random_search", "-a", own, "-b", TABLES[1]),
                *("--budget", "5", "--seeds", "4", "--jobs", "2", "-o", folder),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    (tmp_path / "own.py").write_text(GATED)
    own, folder, gate = f"{tmp_path / 'own.py'}:Gated", tmp_path / "r", tmp_path / "go"
    monkeypatch.setenv("GATE", str(gate))
    with serving(folder) as server, opened(browser, server.url) as (page, heard):
        process = start()
        says(page, "4 of 8 runs finished")
        says(page, f"process {process.pid}: nasbench-lab compare -a random_search")
        api.expect(page.locator("#plot-curves svg.canvas path.line")).to_have_count(1, **PATIENCE)
        process.send_signal(signal.SIGKILL)
        process.wait()
        says(page, "Nothing on this machine works here: 4 of 8 runs finished")
        process = start()
        says(page, f"process {process.pid}: ")
        gate.touch()
        wait_for(lambda: process.poll() is not None)
        assert process.returncode == 0
        api.expect(page).to_have_title(re.compile("nasbench-lab report$"), **PATIENCE)
        api.expect(page.locator("#verdict")).to_contain_text("8 of 8, finished", **PATIENCE)
        assert heard == []

"""Pages in a browser: how one is started, and pictures of them.

``python tests/support/report_pages.py`` takes the pictures that the README and the site show.
"""

import io
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from classes import class_of_thirty, hand_in
from reports import CORA, DIGITS
from watched import serving, write

from nasbench_lab.classroom.grading import grade
from nasbench_lab.report import write_report
from nasbench_lab.results.folder import working_on
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
SIZES = {"desktop": DESKTOP, "phone": PHONE}
PICTURES = Path(__file__).parents[1] / "browser"
SITE = Path(__file__).parents[2] / "docs" / "_static"

PARTS = (
    ".head, .nav, main, section, .controls, .plot, svg.canvas, .results, .results > .scroll, "
    ".diagram, .cells, .cell, .picture, pre"
)
"""What the layout is judged by."""


@contextmanager
def started():
    """A browser; playwright and Chromium have to be there."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def write_pictures(folder):
    """Takes the pictures of a report: its top on a desk, its plots on a phone; and two for the site."""
    algorithms = ["random_search", "regularized_evolution", "local_search", "reinforce", "gp_bo"]
    result = compare(algorithms, [DIGITS, CORA, "nas-bench-graph/arxiv"], budget=100, seeds=20)
    # Of which machine, does not matter here.
    result = Result(result.experiment, [replace(run, made_with={}) for run in result.runs])
    page = write_report(result, folder / "report.html").as_uri()
    with started() as browser:
        for name, size in SIZES.items():
            opened = browser.new_page(viewport=size)
            opened.goto(page)
            top = opened.locator("#plot-curves").bounding_box()["y"] if name == "phone" else 0
            save(opened, PICTURES / f"report_{name}.png", top, 1600)
        write_live_view(browser, folder / "mine", result)
        write_leaderboard(browser, folder)


def write_live_view(browser, folder, result):
    """Takes the picture of a comparison in mid-run."""
    with working_on(folder, result.experiment), serving(folder) as server:
        write(folder, result, result.runs[: len(result.runs) // 2])
        opened = browser.new_page(viewport=DESKTOP)
        opened.goto(server.url)
        opened.locator("#plot-curves svg.canvas path.line").first.wait_for()
        save(opened, SITE / "live_view.png", 0, 1350)


def write_leaderboard(browser, folder):
    """Takes the picture of a class in which some made mistakes."""
    handed_in = hand_in(folder / "handed_in", dict(list(class_of_thirty().items())[:14]))
    output = folder / "grades"
    grade(handed_in, ["random_search", "regularized_evolution"], [DIGITS], output=output)
    opened = browser.new_page(viewport=DESKTOP)
    opened.goto((output / "leaderboard.html").as_uri())
    save(opened, SITE / "leaderboard.png", 0, 1000)


def save(opened, path, top, height):
    """Saves a page from a place on, at most so many pixels of it."""
    from PIL import Image

    image = Image.open(io.BytesIO(opened.screenshot(full_page=True))).convert("RGB")
    image.crop((0, int(top), image.width, min(int(top) + height, image.height))).save(
        path, optimize=True
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        write_pictures(Path(temporary))

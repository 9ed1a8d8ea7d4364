"""Reports in a browser: how one is started, and pictures of a page.

``python tests/support/report_pages.py`` takes the pictures that the README shows.
"""

import io
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from reports import CORA, DIGITS

from nasbench_lab.report import write_report
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
SIZES = {"desktop": DESKTOP, "phone": PHONE}
PICTURES = Path(__file__).parents[1] / "browser"

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
    """Takes the README's pictures of a report: its top on a desk, its plots on a phone."""
    from PIL import Image

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
            image = Image.open(io.BytesIO(opened.screenshot(full_page=True))).convert("RGB")
            image = image.crop((0, int(top), image.width, int(top) + 1600))
            image.save(PICTURES / f"report_{name}.png", optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        write_pictures(Path(temporary))

"""Reports in a browser: how one is started, what the layout of a page is, and pictures of it.

``python tests/support/report_pages.py`` writes the layout that the tests expect, and the pictures
that the README shows.
"""

import io
import json
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from reports import CORA, DIGITS, plain

from nasbench_lab.report import write_report
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
SIZES = {"desktop": DESKTOP, "phone": PHONE}
LAYOUT = Path(__file__).parents[1] / "browser" / "report_layout.json"

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


def layout_of(page):
    """Headings, and what stands where: left edge and width of the parts; of plots the height too."""
    return page.evaluate(
        """(parts) => ({
          headings: [...document.querySelectorAll("h1, h2, h3, h4")]
            .map((h) => `${h.tagName} ${h.textContent.trim()}`),
          landmarks: [...document.querySelectorAll("header, nav, main, section[aria-labelledby], form")]
            .map((e) => `${e.tagName.toLowerCase()} ${e.id}`.trim()),
          boxes: [...document.querySelectorAll(parts)].map((e) => {
            const box = e.getBoundingClientRect();
            const name = [e.tagName.toLowerCase(), e.id && `#${e.id}`,
              e.classList[0] && `.${e.classList[0]}`];
            return [name.filter(Boolean).join(""), Math.round(box.left), Math.round(box.width),
              e.matches("svg.canvas") ? Math.round(box.height) : 0];
          }),
        })""",
        PARTS,
    )


def write_layout(folder):
    """Writes the layout that is found now."""
    page = write_report(plain(), folder / "plain.html").as_uri()
    layouts = {}
    with started() as browser:
        for name, size in SIZES.items():
            opened = browser.new_page(viewport=size)
            opened.goto(page)
            layouts[name] = layout_of(opened)
    lines = json.dumps(layouts, indent=1, ensure_ascii=False)
    # A box on a line.
    lines = re.sub(r"\[\s+(\".*\"),\s+(-?\d+),\s+(\d+),\s+(\d+)\s+\]", r"[\1, \2, \3, \4]", lines)
    LAYOUT.write_text(lines + "\n", "utf-8")


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
            image.save(LAYOUT.with_name(f"report_{name}.png"), optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        write_layout(Path(temporary))
        write_pictures(Path(temporary))

"""The report in a real browser: it opens quietly, can be used by all, and keeps its layout.

``python tests/support/report_pages.py`` takes the pictures that the README shows.
"""

import io
import itertools
import json
import re
from itertools import pairwise

import numpy as np
import pytest
from report_pages import CHROMIUM, DESKTOP, PARTS, PHONE, SIZES, started
from reports import CORA, DIGITS, LONG, WICKED, plain, several_objectives, unfinished

from nasbench_lab import stats
from nasbench_lab.report import write_report

api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium: install it, or name its program in $CHROMIUM"
)


def slow(*values):
    """A parameter of which `make test` has a like."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def browser():
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def result():
    return plain()


@pytest.fixture(scope="module")
def pages(result, tmp_path_factory):
    """Addresses of reports by name."""
    folder = tmp_path_factory.mktemp("reports")
    files = {
        "plain": write_report(result, folder / "plain.html"),
        "several": write_report(several_objectives(), folder / "several.html"),
        "unfinished": write_report(unfinished(), folder / "unfinished.html"),
    }
    return {name: file.as_uri() for name, file in files.items()}


@pytest.fixture
def open_page(browser, pages):
    """Opens a report, by default on a desk in light."""
    contexts = []

    def open_(name="plain", size=DESKTOP, **options):
        contexts.append(browser.new_context(viewport=size, **options))
        page = contexts[-1].new_page()
        page.goto(pages[name])
        return page

    yield open_
    for context in contexts:
        context.close()


def curve(page, algorithm=0, plot="curves"):
    """The path of a line, None if there is none."""
    line = page.locator(f"#plot-{plot} path.line[data-algorithm='{algorithm}']")
    return line.get_attribute("d") if line.count() else None


def label_texts(page, plot="curves"):
    return page.locator(f"#plot-{plot} svg.canvas text").all_text_contents()


def reading(page, algorithm=0, plot="curves"):
    row = page.locator(f"#plot-{plot} .values tbody tr").nth(algorithm)
    return row.locator("td").all_text_contents()


# It opens


@pytest.mark.parametrize("name", ["several", slow("plain")])
@pytest.mark.parametrize("size", SIZES)
def test_it_opens_without_a_word_and_asks_nothing_of_others(browser, pages, name, size):
    context = browser.new_context(viewport=SIZES[size])
    page, heard, asked = context.new_page(), [], []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(pages[name])
    page.wait_for_timeout(100)
    assert heard == []
    assert [url for url in asked if not url.startswith("data:")] == [pages[name]]
    assert "nasbench-lab report" in page.title(), "the label's script was not run"
    context.close()


def test_the_policy_is_in_force(open_page):
    page = open_page()
    page.evaluate(
        """() => { const s = document.createElement("script"); s.textContent = "window.ran = 1";
        document.body.append(s); }"""
    )
    assert page.evaluate("window.ran") is None
    refused = "() => fetch('https://example.org').then(() => 'came', () => 'refused')"
    assert page.evaluate(refused) == "refused"


def test_without_scripts_the_contents_are_there(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator("noscript p").is_visible()
    assert not page.locator("#controls").is_visible()
    for section in ("results", "targets", "tables", "architectures", "methods", "citations"):
        assert page.locator(f"#{section}").is_visible()


# Toggles


def test_an_algorithm_can_be_hidden_and_shown_again(open_page):
    page = open_page()
    box = page.locator("input[name=algorithm]").nth(1)
    every = page.locator("input[name=all]")
    for plot in ("curves", "ranks", "ecdf", "all-ranks", "all-ecdf"):
        assert curve(page, 1, plot)
    box.uncheck()
    for plot in ("curves", "ranks", "ecdf", "all-ranks", "all-ecdf"):
        assert curve(page, 1, plot) is None
        assert curve(page, 0, plot)
        assert reading(page, 1, plot)[0] == "–"
    assert page.locator("#plot-finals .dot.colour-1").count() == 0
    assert every.evaluate("box => box.indeterminate")
    every.check()
    assert curve(page, 1)
    every.uncheck()
    assert curve(page, 0) is None
    assert "No algorithm is chosen that has runs here." in label_texts(page)


def test_axes_metrics_intervals_and_tables_change_what_is_drawn(open_page):
    page = open_page()
    before = curve(page)

    def choose(name, value):
        nonlocal before
        page.locator(f"input[name={name}][value='{value}']").check()
        after = curve(page)
        assert after != before, value
        before = after

    assert "evaluations" in label_texts(page)
    choose("axis", "seconds")
    assert "simulated seconds" in label_texts(page)
    choose("metric", "valid:distance")
    assert "valid accuracy regret (percentage points)" in label_texts(page)
    assert "Validation regret" in page.locator("#plot-curves figcaption").inner_text()
    choose("metric", "valid:value")
    assert "valid accuracy (%)" in label_texts(page)
    assert page.locator("input[name=logy]").is_disabled()
    choose("statistic", "median")
    assert "median and quartiles" in page.locator("#plot-curves figcaption").inner_text()
    page.locator("input[name=statistic][value=median_interval]").check()
    assert "exact 95 %" in page.locator("#plot-curves figcaption").inner_text()
    before = curve(page)
    page.locator("select[name=table]").select_option(label=CORA)
    assert curve(page) != before
    assert page.locator("input[name=axis][value=seconds]").is_disabled()
    assert page.locator("input[name=axis][value=evaluations]").is_checked()
    assert CORA in page.locator("#plot-curves figcaption").inner_text()


def test_bands_and_scales(open_page):
    page = open_page()
    assert page.locator("#plot-curves .band").count() == 3
    page.locator("input[name=bands]").uncheck()
    assert page.locator("#plot-curves .band").count() == 0
    for name in ("logx", "logy"):
        before = curve(page)
        page.locator(f"input[name={name}]").uncheck()
        assert curve(page) != before


def test_what_is_read_are_the_numbers_of_the_frame(open_page, result):
    page = open_page()
    frame = stats.curve_frame(result, "test_regret", "evaluations", "mean", n=30)
    lines = frame[(frame["benchmark"] == DIGITS) & (frame["algorithm"] == WICKED)]
    place = page.locator("#plot-curves .reader input")
    for i in (29, 0, 11):
        place.evaluate(
            "(range, i) => { range.value = i; range.dispatchEvent(new Event('input')); }", i
        )
        line = lines.iloc[i]
        assert page.locator("#plot-curves output").inner_text() == f"At {i + 1} evaluations."
        centre, band = reading(page, 1)
        low, high = json.loads(band)
        # Of four significant digits, half of the last is 5e-4 of 1.000.
        got = [float(centre), low, high]
        assert got == pytest.approx([line.centre, line.low, line.high], rel=6e-4)


def test_values_are_the_best_less_the_regret(open_page, result):
    page = open_page()
    page.locator("input[name=metric][value='test:value']").check()
    page.locator("input[name=statistic][value=median]").check()
    frame = stats.curve_frame(result, "test", "evaluations", "median")
    line = frame[(frame["benchmark"] == DIGITS) & (frame["algorithm"] == WICKED)].iloc[-1]
    centre, band = reading(page, 1)
    low, high = json.loads(band)
    assert low <= float(centre) <= high
    # Four digits of a percentage.
    assert [float(centre), low, high] == pytest.approx([line.centre, line.low, line.high], abs=0.01)


def test_the_pointer_reads_what_is_under_it(open_page):
    page = open_page()
    canvas = page.locator("#plot-curves svg.canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 100)
    assert page.locator("#plot-curves output").inner_text() == "At 1 evaluations."
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 100)
    assert page.locator("#plot-curves output").inner_text() == "At 30 evaluations."


def test_several_objectives_are_shown_by_what_is_missing(open_page):
    page = open_page("several")
    assert "missing hypervolume (share of the table's)" in label_texts(page)
    missing = float(reading(page)[0])
    page.locator("input[name=metric][value='hypervolume:value']").check()
    assert float(reading(page)[0]) == pytest.approx(1 - missing, abs=1e-4)


def test_tables_are_sorted_by_any_column(open_page):
    page = open_page()
    table = page.locator("table.sortable").first
    means = "td:nth-child(3)"

    def column():
        texts = table.locator(f"tbody {means}").all_text_contents()
        return [float(re.match(r"[\d.]+", text)[0]) for text in texts]

    before = column()
    button = table.get_by_role("button", name="Mean")
    button.click()
    assert column() == sorted(before)
    assert table.locator("th[aria-sort=ascending]").inner_text().startswith("Mean")
    button.click()
    assert column() == sorted(before, reverse=True)
    table.get_by_role("button", name="Algorithm").click()
    names = table.locator("tbody th").all_text_contents()
    assert [name.split()[0] for name in names][-1] == "random_search"


def test_text_is_copied(open_page):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    button = page.locator("[data-copies=command]")
    button.click()
    api.expect(button).to_have_text(re.compile("Copied|Selected"))
    assert page.evaluate("navigator.clipboard.readText()") == "nasbench-lab run experiment.toml"


def test_captions_say_on_how_many_seeds_ranks_rest_if_not_on_all(open_page):
    page = open_page("unfinished")
    one, every = (page.locator(f"#plot-{plot} figcaption") for plot in ("ranks", "all-ranks"))
    assert "within each seed; 95 %" in one.inner_text()
    assert "within each seed (2 of 3) and table; 95 %" in every.inner_text()
    page.locator("select[name=table]").select_option(label=CORA)
    assert "within each seed (2 of 3); 95 %" in one.inner_text()


# Keyboard


def test_all_can_be_done_from_the_keyboard(open_page):
    page = open_page()
    focused = "document.activeElement"
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(f"{focused}.name || {focused}.className || {focused}.id"))
        if seen[-1] == "algorithm":
            break
    # One stop for each group of radio buttons, as browsers have it.
    wanted = ["table", "metric", "axis", "statistic", "bands", "logx", "logy", "all", "algorithm"]
    assert [name for name in seen if name in wanted] == wanted
    outline = page.evaluate(f"getComputedStyle({focused}).outlineStyle")
    assert outline != "none", "what is focused is seen to be"
    assert curve(page, 0)
    page.keyboard.press("Space")
    assert curve(page, 0) is None
    page.keyboard.press("Space")
    page.locator("input[name=metric]:checked").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("input[name=metric][value='test:value']").is_checked()
    assert "test accuracy (%)" in label_texts(page)
    page.locator("#plot-curves .reader input").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#plot-curves output").inner_text() == "At 29 evaluations."
    page.keyboard.press("Home")
    assert page.locator("#plot-curves output").inner_text() == "At 1 evaluations."


# Themes


def test_light_and_dark(open_page):
    ground = "getComputedStyle(document.body).backgroundColor"
    page = open_page(color_scheme="dark")
    assert page.evaluate(ground) == "rgb(21, 24, 28)"
    page.locator("#theme").select_option("light")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    page.locator("#theme").select_option("")
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    page.locator("#theme").select_option("dark")
    assert page.evaluate(ground) == "rgb(21, 24, 28)"


# Layout


@pytest.mark.parametrize("name", [slow("plain"), "several"])
def test_a_phone_shows_it_all_without_scrolling_sideways(open_page, name):
    page = open_page(name, PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    for box in page.evaluate(
        """() => [...document.querySelectorAll("section, .plot, .controls, .cell, .scroll, pre, p, h2")]
        .map((e) => e.getBoundingClientRect()).map((b) => [b.left, b.right])"""
    ):
        assert box[0] >= 0
        assert box[1] <= PHONE["width"]


@pytest.mark.parametrize("name", [slow("plain"), "unfinished"])
def test_critical_difference_diagrams_hold_all_that_they_draw(open_page, name):
    page = open_page(name)
    found = page.locator("svg.diagram").evaluate_all(
        """(all) => all.map((svg) => {
          const { width, height } = svg.viewBox.baseVal;
          const boxes = [...svg.querySelectorAll("text, path, foreignObject")].map((e) => e.getBBox());
          const inside = (a, b) => a.left >= b.left && a.right <= b.right + 0.1;
          return {
            beyond: boxes.filter((b) =>
              b.x < 0 || b.y < 0 || b.x + b.width > width || b.y + b.height > height).length,
            // A name may be cut; its rank must not be.
            names: [...svg.querySelectorAll(".name")].map((name) => {
              const [label, rank] = name.children;
              const [a, b, box] = [label, rank, name.parentElement]
                .map((e) => e.getBoundingClientRect());
              return [label.textContent, label.scrollWidth > label.clientWidth,
                inside(a, box) && inside(b, box)];
            }),
          };
        })"""
    )
    assert len(found) == 2
    for diagram in found:
        assert diagram["beyond"] == 0
        assert all(inside for _, _, inside in diagram["names"])
        if name == "unfinished":
            cut = {label: is_cut for label, is_cut, _ in diagram["names"]}
            assert cut == dict(zip(LONG, [False, True, True, cut[LONG[3]]], strict=True))


@pytest.mark.parametrize("size", [slow("desktop"), "phone"])
@pytest.mark.parametrize("name", ["several", slow("plain"), slow("unfinished")])
def test_nothing_jumps_when_it_opens(browser, pages, name, size):
    context = browser.new_context(viewport=SIZES[size])
    context.add_init_script(
        """window.shifts = []; new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.shifts.push(entry.value);
        }).observe({ type: "layout-shift", buffered: true });"""
    )
    page = context.new_page()
    page.goto(pages[name])
    page.evaluate("document.querySelector('#search').scrollIntoView({ behavior: 'instant' })")
    page.wait_for_timeout(300)
    # On a busy machine a page may be painted before its style is whole, once. Chromium calls a sum
    # below 0.1 good; a line of text that moves what is below it on a phone is more than 0.01.
    assert sum(page.evaluate("window.shifts")) < 0.01
    # Nor do toggles move what is beside them, such as the button that was pressed.
    before = page.locator("#controls").bounding_box()["height"]
    heights = "() => [...document.querySelectorAll('.plot')].map((p) => p.offsetHeight)"
    plots = page.evaluate(heights)
    for value in ("valid:distance", "valid:value"):
        page.locator(f"input[name=metric][value='{value}']").check()
        assert page.evaluate(heights) == plots
    assert page.locator("#controls").bounding_box()["height"] == before
    context.close()


@pytest.mark.parametrize(
    ("size", "name"),
    [
        *(("phone", "several"), ("desktop", "unfinished")),
        *(slow("phone", "plain"), slow("phone", "unfinished")),
        *(slow("desktop", "plain"), slow("desktop", "several")),
    ],
)
def test_nothing_overlaps_and_nothing_sticks_out(open_page, name, size):
    page = open_page(name, SIZES[size])
    wrong = page.evaluate(
        """(parts) => {
          // What is wide may scroll in a box of its own.
          const scrolls = (e) => e && e !== document.documentElement
            && (["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX)
              || scrolls(e.parentElement));
          const all = [...document.querySelectorAll(parts)]
            .filter((e) => e.checkVisibility() && !scrolls(e.parentElement));
          const named = (e) => `${e.tagName.toLowerCase()}#${e.id}.${e.classList[0] ?? ""}`;
          const wrong = [];
          for (const [i, one] of all.entries()) {
            const a = one.getBoundingClientRect();
            if (a.left < -0.5 || a.right > document.documentElement.clientWidth + 0.5)
              wrong.push(`${named(one)} sticks out of the page`);
            for (const other of all.slice(i + 1)) {
              const b = other.getBoundingClientRect();
              if (one.contains(other)) {
                if (b.left < a.left - 0.5 || b.right > a.right + 0.5 || b.bottom > a.bottom + 0.5)
                  wrong.push(`${named(other)} sticks out of ${named(one)}`);
              } else if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5
                  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.5)
                wrong.push(`${named(one)} overlaps ${named(other)}`);
            }
          }
          return wrong;
        }""",
        PARTS,
    )
    assert wrong == []


@pytest.mark.parametrize("size", SIZES)
def test_plots_fill_their_columns(open_page, size):
    page = open_page(size=SIZES[size])
    for plot in ("curves", "finals", "ecdf", "ranks"):
        canvas = page.locator(f"#plot-{plot} svg.canvas").bounding_box()
        assert canvas["width"] > 280
        assert canvas["height"] > 150
        # A phone has one column, a desk two beside the controls.
        assert (canvas["width"] > 0.8 * SIZES[size]["width"]) == (size == "phone")


def test_sections_and_headings_are_in_order(open_page):
    page = open_page()
    ids = page.locator("main section[aria-labelledby]").evaluate_all("all => all.map((e) => e.id)")
    assert ids == [
        *("verdict", "search", "results", "targets", "tables", "architectures"),
        *("explained", "experiment", "methods", "citations"),
    ]
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map((h) => +h.tagName[1])")
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels


@pytest.mark.parametrize("theme", ["light", slow("dark")])
@pytest.mark.parametrize("size", ["desktop", slow("phone")])
def test_plots_have_every_algorithm_in_its_colour(open_page, size, theme):
    from matplotlib.image import imread

    page = open_page(size=SIZES[size], color_scheme=theme)
    page.locator("input[name=bands]").uncheck()
    for plot in ("curves", "finals", "ecdf", "ranks", "all-ecdf", "all-ranks"):
        canvas = page.locator(f"#plot-{plot} svg.canvas")
        picture = imread(io.BytesIO(canvas.screenshot()))[..., :3] * 255
        for algorithm in range(3):
            drawn = canvas.locator(f".colour-{algorithm}").first
            stroke = drawn.evaluate("e => getComputedStyle(e).getPropertyValue('--colour')")
            colour = np.array([int(stroke.strip()[i : i + 2], 16) for i in (1, 3, 5)])
            near = np.abs(picture - colour).max(axis=-1) < 40
            # A line of 2 pixels across a tenth of the plot, at least.
            assert near.sum() > 0.2 * picture.shape[1] / 2, (plot, algorithm)


# Print


def test_it_prints_all_on_paper(open_page):
    page = open_page(color_scheme="dark", size={"width": 680, "height": 960})
    page.emulate_media(media="print")
    page.wait_for_timeout(100)
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    for hidden in ("#controls", ".nav", ".copy", ".theme", ".reader input"):
        assert not page.locator(hidden).first.is_visible()
    for shown in ("#plot-curves svg.canvas", "#results", "#toml", "#methods", "#bibtex"):
        assert page.locator(shown).first.is_visible(), shown
    edges = page.evaluate(
        "() => [...document.querySelectorAll('.plot, .plot svg, .cell, pre, p, .diagram')]"
        ".map((e) => e.getBoundingClientRect().right)"
    )
    assert max(edges) <= 681
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 4


def test_printing_opens_what_is_folded_and_folds_it_again(open_page):
    page = open_page()
    folded = "document.querySelectorAll('details:not([open])').length"
    before = page.evaluate(folded)
    assert before > 0
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(folded) == 0
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(folded) == before


# Accessibility


AXE = [("plain", "phone", "dark"), ("several", "desktop", "light")]
"""Pages that `make test` looks at; `make test-slow` looks at all."""


@pytest.mark.parametrize(
    ("name", "size", "theme"),
    [
        pytest.param(*page, marks=() if page in AXE else pytest.mark.slow)
        for page in itertools.product(["plain", "several"], SIZES, ["light", "dark"])
    ],
)
def test_axe_finds_nothing(open_page, name, size, theme):
    pytest.importorskip("axe_playwright_python", reason="needs the package axe-playwright-python")
    from axe_playwright_python.sync_playwright import Axe

    # The page's own policy would not let the check in.
    page = open_page(name, SIZES[size], color_scheme=theme, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"], one["nodes"][0]["html"][:120]) for one in found] == []

"""Results that reports are made of in tests, and what a report's page holds."""

import json
import re
from html import unescape
from html.parser import HTMLParser

from nasbench_lab.registry import load_benchmark
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare
from nasbench_lab.workers import Workers

DIGITS, CORA, ARXIV = "nb201-digits", "nas-bench-graph/cora", "nas-bench-graph/arxiv"
CITESEER = "nas-bench-graph/citeseer"
WICKED = "</script><img src=x onerror=\"document.title='gone'\"> $\\frac{ü}$ & 'x' __"
"""A label that would do something, were it not escaped."""


def plain(seeds=8, budget=30):
    """Three algorithms, one of a wicked name, on three tables."""
    algorithms = {
        "random_search": "random_search",
        WICKED: "regularized_evolution",
        "local_search": "local_search",
    }
    return compare(algorithms, [DIGITS, CORA, CITESEER], budget=budget, seeds=seeds, n_jobs=1)


def several_objectives(seeds=3):
    """Two objectives, four workers that fail, and a constraint."""
    benchmark = load_benchmark(
        DIGITS, objective=["valid_accuracy", "parameters"], constraints="parameters<=0.05"
    )
    workers = Workers(4, fail=0.1, straggle=0.1)
    algorithms = {"random_search": "random_search", WICKED: "nsga2"}
    return compare(algorithms, [benchmark], budget=30, seeds=seeds, workers=workers, n_jobs=1)


LONG = ["gp_bo(kernel='matern')", "W" * 60, "長い名前" * 12, "regularized_evolution on two lines"]
"""Labels that need much room."""


def unfinished():
    """Labels that are long, one seed missing on a table, and an algorithm on another."""
    tables = [DIGITS, CORA, ARXIV, CITESEER]
    made = compare(dict.fromkeys(LONG, "random_search"), tables, budget=5, seeds=3, n_jobs=1)
    missing = {(CORA, LONG[0], 2), *((ARXIV, LONG[1], seed) for seed in range(3))}
    return Result(made.experiment, [run for run in made.runs if run.cell not in missing])


class Page(HTMLParser):
    """What a page is made of.

    Attributes:
        elements: Names and attributes of all elements.
        words: The text between them, without scripts and styles, with single spaces.
        data: What the page's script draws from.
    """

    def __init__(self, text):
        super().__init__()
        self.elements, self._words, self._inside = [], [], ""
        self.feed(text)
        self.close()
        self.words = " ".join("".join(self._words).split())
        (found,) = re.findall(
            r'<script type="application/json" id="data">(.*?)</script>', text, re.S
        )
        self.data = json.loads(found)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self._inside = tag
        if tag != "wbr":
            self._words.append(" ")

    def handle_endtag(self, tag):
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, text):
        if not self._inside:
            self._words.append(text)


def tables_of(text):
    """Rows of cells of each table that can be sorted, by the label of the box around it."""
    found = {}
    for label, table in re.findall(
        r'aria-label="([^"]*)">\s*<table class="sortable">(.*?)</table>', text, re.S
    ):
        body = table.partition("<tbody>")[2].replace("<wbr>", "")
        found[unescape(label)] = [
            [
                " ".join(unescape(re.sub(r"<[^>]*>", "\0", cell)).replace("\0", " ").split())
                for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.S)
            ]
            for row in re.findall(r"<tr.*?</tr>", body, re.S)
        ]
    return found


def bibtex_entries(text):
    """Type, key and fields of each entry, by a reader of its own: braces are counted.

    Raises:
        ValueError: The text is no BibTeX.
    """
    entries, rest = [], text.strip()
    while rest:
        head = re.match(r"@(\w+)\{([\w:-]+)\s*(?:,|(?=\}))", rest)
        if not head:
            raise ValueError(f"no entry: {rest[:60]!r}")
        fields, rest = {}, rest[head.end() :].lstrip()
        while not rest.startswith("}"):
            field = re.match(r"(\w+)\s*=\s*\{", rest)
            if not field:
                raise ValueError(f"no field: {rest[:60]!r}")
            depth, end = 1, field.end()
            while depth:
                depth += {"{": 1, "}": -1}.get(rest[end], 0)
                end += 1
            fields[field[1]] = rest[field.end() : end - 1]
            rest = rest[end:].lstrip().removeprefix(",").lstrip()
        entries.append((head[1], head[2], fields))
        rest = rest[1:].lstrip()
    return entries

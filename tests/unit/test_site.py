"""The pages of the site that are made of the code, and the checks of the built pages."""

import re
import shlex

import pytest
import site_checks
import site_pages

from nasbench_lab.registry import algorithm_modules, needed_files, table_names
from nasbench_lab.spaces import space_names


def test_every_algorithm_has_a_page_with_its_file_and_papers():
    made = site_pages.algorithm_pages()
    assert {*made} == {"index.md", *(f"{name}.md" for name in algorithm_modules())}
    for name in algorithm_modules():
        assert f"({name}.md)" in made["index.md"]
    assert "[arXiv 1810.05934]" in made["asha.md"]
    assert "class ASHA(SearchAlgorithm):" in made["asha.md"]
    assert "eta=3" in made["asha.md"]
    assert "@inproceedings{li2020system" in made["asha.md"]
    assert "extra `train`" in made["darts.md"]


def test_every_space_has_a_page_with_its_decisions_and_a_picture():
    made = site_pages.space_pages()
    assert {*made} == {"index.md", *(f"{name}.md" for name in space_names())}
    assert "15,625 architectures, 6 decisions" in made["nb201.md"]
    assert "nor\\_conv\\_3x3" in made["nb201.md"]
    assert "<svg" in made["nb201.md"]


def test_every_table_has_a_page(monkeypatch):
    known = [*needed_files(), "nb201-digits", "nb201-mnist1d"]  # those that are there at once
    assert {*known} <= {*table_names()}
    monkeypatch.setattr(site_pages, "table_names", lambda: known)
    made = site_pages.table_pages()
    assert {*made} == {"index.md", *(f"{name}.md" for name in known)}
    for name, file in needed_files().items():
        assert site_pages.escaped(file) in made[f"{name}.md"]
    digits = made["nb201-digits.md"]
    assert "| `valid_accuracy` | % | valid | more | 0 to 2 | 1 to 12 |" in digits
    assert "## What it holds" in digits  # the data card


def test_every_command_has_a_page_with_its_options_and_examples():
    made = site_pages.command_pages()
    names = [name.replace(" ", "-") for name in site_pages.commands()]
    assert "list-tables" in names
    assert {*made} == {"index.md", *(f"{name}.md" for name in names)}
    assert "`--budget` (default: 200)\n: Of each run" in made["compare.md"]
    assert "`RESULT`\n: A result folder." in made["report.md"]


@pytest.mark.parametrize("name", site_pages.commands())
def test_help_has_examples_that_are_read(name):
    shown = set()
    for example in site_pages.examples_of(site_pages.commands()[name]):
        line = re.split(r"\s{2,}\(", example)[0]  # what is in parentheses behind it is for people
        program, *arguments = shlex.split(line)
        assert program == "nasbench-lab"
        words = 2 if arguments[0] == "list" else 1
        named = " ".join(arguments[:words])
        site_pages.commands()[named].make_context(named, arguments[words:])
        shown.add(named)
    assert name in shown


def test_every_module_of_the_reference_has_a_page():
    made = site_pages.python_pages()
    assert ".. autoclass:: nasbench_lab.SearchAlgorithm" in made["nasbench_lab.md"]
    assert ".. autofunction:: nasbench_lab.compare" in made["nasbench_lab.md"]
    assert {*made} == {"index.md", *(f"{name}.md" for name in site_pages.PYTHON)}


def test_lessons_are_shown_as_they_are():
    made = site_pages.lesson_pages()
    assert (
        "[2. Write your own search algorithm](02_write_your_own_algorithm.md)" in made["index.md"]
    )
    cells = [
        {"cell_type": "markdown", "source": ["# 9. Lines\n", "\n", r"$$a_\textrm{b} = 1.$$"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "x = 1\n"]},
        {"cell_type": "markdown", "source": ["[Lesson 2](02_write.ipynb)"]},
        {"cell_type": "code", "source": ["..."], "metadata": {"tags": ["exercise"]}},
    ]
    files = site_pages.lesson(site_pages.ROOT / "09_lines.ipynb", cells)
    assert files["09_lines.md"].split("\n\n") == [
        "# 9. Lines",
        r"![a\_\\textrm\{b\} = 1.](09_lines_0.svg)",
        "*The notebook is `notebooks/09_lines.ipynb`.*",
        "```python\nx = 1\n```",
        "[Lesson 2](02_write.md)",
        "**Your turn:**",
        "```python\n...\n```\n",
    ]
    assert "<svg" in files["09_lines_0.svg"]


def test_pages_of_what_is_gone_are_removed(tmp_path, monkeypatch):
    old = tmp_path / "reference" / "algorithms" / "gone.md"
    old.parent.mkdir(parents=True)
    old.touch()
    monkeypatch.setattr(
        site_pages, "pages", lambda: {"reference/algorithms/here.md": "# here", "lessons/1.md": ""}
    )
    site_pages.write(tmp_path)
    assert [path.name for path in old.parent.iterdir()] == ["here.md"]


WHOLE = """
<link rel="stylesheet" href="look.css"><link rel="canonical" href="https://example.org/a.html">
<h1 id="top">A</h1><a href="#top">up</a> <a href="b/c.html#there">C</a>
<a href="https://arxiv.org/abs/1802.07191">a paper</a> <img src="data:image/png;base64,">
"""


@pytest.fixture
def site(tmp_path):
    """A site of two pages without problems."""
    (tmp_path / "b").mkdir()
    (tmp_path / "a.html").write_text(WHOLE)
    (tmp_path / "b" / "c.html").write_text('<h2 id="there">C</h2> <a href="../a.html">A</a>')
    (tmp_path / "look.css").write_text("h1 { background: url(data:image/png;base64,) }")
    return tmp_path


def test_a_whole_site_has_no_problems(site):
    assert site_checks.problems(site) == []


@pytest.mark.parametrize(
    ("file", "added", "problem"),
    [
        ("a.html", '<a href="b/d.html">D</a>', "b/d.html, which is not there"),
        ("a.html", '<a href="b">B</a>', "b, which is not there"),
        ("a.html", '<a href="b/c.html#here">C</a>', "c.html#here, where no such heading is"),
        ("a.html", '<a href="#bottom">down</a>', "#bottom, where no such heading is"),
        ("a.html", '<img src="picture.png">', "picture.png, which is not there"),
        ("a.html", '<script src="https://cdn.example.org/x.js"></script>', "from another host"),
        ("a.html", '<script src="//cdn.example.org/x.js"></script>', "from another host"),
        ("a.html", '<link rel="stylesheet" href="https://fonts.example.org/">', "another host"),
        ("a.html", '<link rel="preload" href="https://fonts.example.org/f">', "another host"),
        ("a.html", '<p style="background: url(https://example.org/p.png)">', "another host"),
        ("a.html", "<style>@import 'https://example.org/f.css';</style>", "another host"),
        ("a.html", '<img srcset="https://example.org/p.png 2x">', "another host"),
        ("look.css", "@import 'https://example.org/f.css';", "another host"),
        ("look.css", "@font-face { src: url('//example.org/f.woff2') }", "another host"),
    ],
)  # fmt: skip
def test_problems_are_found(site, file, added, problem):
    path = site / file
    path.write_text(path.read_text() + added)
    (found,) = site_checks.problems(site)
    assert found.startswith(file)
    assert problem in found

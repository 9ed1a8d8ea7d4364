"""Writes the pages that are made from the code: the reference from the registry, and the lessons.

They lie in ``reference/algorithms``, ``reference/tables``, … and ``lessons``; git ignores them.
"""

import inspect
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import typer
from matplotlib.mathtext import math_to_image

import nasbench_lab as lab
from nasbench_lab.algorithm import all_hyperparameters, packages_of
from nasbench_lab.cli.app import app
from nasbench_lab.registry import (
    algorithm_class,
    algorithm_modules,
    file_formats,
    needed_files,
    open_table,
    table_names,
    table_sources,
)
from nasbench_lab.spaces import get_space, space_names
from nasbench_lab.tables.columns import ranges
from nasbench_lab.tables.proxies import OF_PROXIES
from nasbench_lab.words import counted

ROOT = Path(__file__).parents[1]

PYTHON = {
    "nasbench_lab": "What most programs need",
    "nasbench_lab.stats": "Statistics of results, and of your own numbers",
    "nasbench_lab.figures": "Figures",
    "nasbench_lab.spaces": "Search spaces",
    "nasbench_lab.predictors": "Predictors of what an architecture is worth",
    "nasbench_lab.trainer": "Networks and their training",
    "nasbench_lab.testing": "Checks of algorithms, and exercises",
    "nasbench_lab.landscape": "Studies of tables",
    "nasbench_lab.clock": "Clocks",
    "nasbench_lab.errors": "All errors",
    "nasbench_lab.bridges.optuna": "Tables for Optuna",
    "nasbench_lab.bridges.syne_tune": "Tables for Syne Tune",
    "nasbench_lab.bridges.ioh": "Tables for IOH",
    "nasbench_lab.bridges.carps": "Tables for CARP-S",
    "nasbench_lab.compat.nats_bench": "Drop-in for nats_bench",
    "nasbench_lab.compat.nas_201_api": "Drop-in for nas_201_api",
    "nasbench_lab.compat.nasbench.api": "Drop-in for nasbench (NAS-Bench-101)",
    "nasbench_lab.compat.nasbench301": "Drop-in for nasbench301",
    "nasbench_lab.compat.hw_nas_bench_api": "Drop-in for hw_nas_bench_api",
}
"""The modules of the Python reference, and what they hold."""


def pages():
    """The text of each generated page, by its path from ``docs``."""
    made = {}
    for folder, make in {
        "reference/algorithms": algorithm_pages,
        "reference/tables": table_pages,
        "reference/spaces": space_pages,
        "reference/commands": command_pages,
        "reference/python": python_pages,
        "lessons": lesson_pages,
    }.items():
        made |= {f"{folder}/{name}": text for name, text in make().items()}
    return made


def write(docs):
    """Writes all pages under a folder; one that has not changed is not touched."""
    made = {docs / path: content for path, content in pages().items()}
    for folder in ("algorithms", "tables", "spaces", "commands", "python"):
        _forget(docs / "reference" / folder, made)
    _forget(docs / "lessons", made)
    for path, content in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != content:
            path.write_text(content, "utf-8")


def _forget(folder, made):
    """Removes pages of what there is no more."""
    for path in folder.glob("*"):
        if path not in made:
            path.unlink()


# Parts of pages


def escaped(text):
    """Text that Markdown shows as it is, also in a table."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", str(text))


def table(header, rows):
    """A Markdown table; the cells are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(str(c).split()) for c in line) + " |" for line in lines
    )


def listing(entries):
    """A hidden list of the pages of a folder, for the navigation."""
    return "```{toctree}\n:hidden:\n:maxdepth: 1\n\n" + "\n".join(entries) + "\n```\n"


def prose(text):
    """A docstring in Markdown: double backticks stay, numbers of arXiv become links."""
    text = inspect.cleandoc(text or "")
    return re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)


def what(module):
    """The first sentence of a module's docstring, without its full stop."""
    first = inspect.cleandoc(module.__doc__ or "").partition("\n\n")[0]
    return " ".join(first.split()).rstrip(".")


# The reference


def algorithm_pages():
    """A page for each algorithm, and their list."""
    made, rows = {}, []
    for name, place in sorted(algorithm_modules().items()):
        cls = algorithm_class(name)
        module = sys.modules[cls.__module__]
        path = Path(module.__file__)
        extras = ", ".join(f"`{extra}`" for extra in packages_of(cls).values())
        rows.append((f"[`{name}`]({name}.md)", escaped(what(module)), extras))
        title, _, papers = inspect.cleandoc(module.__doc__ or "").partition("\n\n")
        known = ", ".join(f"{key}={value!r}" for key, value in all_hyperparameters(cls).items())
        made[f"{name}.md"] = "\n\n".join(
            [
                f"# {name}",
                prose(title),
                prose(papers),
                f"It needs the extra {extras}: see [Start](../../start.md)." if extras else "",
                f"[Compare it](../../guides/compare.md) by its name. Hyperparameters go into "
                f"parentheses, here with their defaults: `{name}({known})`."
                if known
                else "[Compare it](../../guides/compare.md) by its name. It has no hyperparameters.",
                f"```{{eval-rst}}\n.. autoclass:: {place}.{cls.__name__}\n   :no-index:\n```",
                f"## The file\n\n`{path.parent.name}/{path.name}`, to be read beside its paper:\n\n"
                f"```python\n{path.read_text('utf-8').strip()}\n```",
                f"## To cite\n\n```bibtex\n{(cls.citation or '').strip()}\n```"
                if cls.citation
                else "",
            ]
        )
    made["index.md"] = (
        "# Algorithms\n\nEach is one file. `nasbench-lab list algorithms` prints them with their "
        "hyperparameters, which go into parentheses: "
        '`--algorithm "genetic_algorithm(crossover=single_point, elitism=2)"`.\n\n'
        + table(("algorithm", "what it is", "extra"), rows)
        + "\n\n"
        + listing(sorted(algorithm_modules()))
    )
    return made


def table_pages():
    """A page for each group of tables of the same kind, and the list of all tables."""
    groups = {}
    for name in table_names():
        groups.setdefault(name.partition("/")[0], []).append(name)
    made, rows = {}, []
    for group, names in sorted(groups.items()):
        if names[0] in needed_files():
            made[f"{group}.md"], space = _file_table(names[0])
            comes = f"your file: {needed_files()[names[0]]}"
        else:
            opened = {name: open_table(name) for name in _examples(names)}
            made[f"{group}.md"] = _package_table(group, names, opened)
            space = " and ".join(dict.fromkeys(f"`{one.info.space}`" for one in opened.values()))
            source = table_sources()[names[0]]
            comes = "nasbench-lab" if source.shipped else f"the package {escaped(source.needs)}"
        rows.append((f"[`{group}`]({group}.md)", len(names), space, comes))
    made["index.md"] = (
        "# Tables\n\n`nasbench-lab list tables` prints them, and what absent ones need; "
        "`nasbench-lab describe TABLE` prints units, splits, licence and citation.\n\n"
        + table(("tables", "number", "space", "made from"), rows)
        + "\n\nAny other table is made from [your own measurements](../../guides/own_data.md).\n\n"
        + listing(sorted(groups))
    )
    return made


def _examples(names):
    """Of the tables of a group, one of each space: the others hold the same of other data."""
    return [names[0], *(name for name in names[1:] if name == "nas-bench-graph/proteins")]


def _file_table(name):
    (file_format,) = (one for one in file_formats() if name in one.tables)
    module = sys.modules[file_format.convert.__module__]
    text = (
        f"# {name}\n\n{prose(module.__doc__)}\n\nThis table is made from the file that the "
        f"benchmark's authors publish: {escaped(file_format.tables[name])}. "
        f"[Official files](../../guides/official_files.md) says how.\n\n"
        f"```sh\nnasbench-lab import PATH\nnasbench-lab describe {name}\n```\n"
    )
    return text, ""


def _package_table(group, names, opened):
    source = table_sources()[names[0]]
    parts = [f"# {group}"]
    if len(names) > 1:
        parts.append("Tables: " + ", ".join(f"`{name}`" for name in names) + ".")
    parts.append(
        "It comes with nasbench-lab."
        if source.shipped
        else f"It is made at first use from the package {escaped(source.needs)}."
    )
    for name, one in opened.items():
        info = one.info
        rows = [
            (
                f"`{c.name}`",
                escaped(c.unit),
                c.split or "",
                "more" if c.maximize else "less",
                escaped(ranges(c.trials)),
                ranges(c.epochs) if c.epochs else "the end",
            )
            for c in one.columns.values()
            if c.quantity not in OF_PROXIES
        ]
        tasks = "".join(
            f"\n- `{name}/{key}`: {task.objective}, reported in {task.report}"
            for key, task in info.tasks.items()
        )
        missing = "".join(
            f"\n- Missing: {escaped(sentence.rstrip('.'))}." for sentence in info.missing
        )
        one_training = "one training of " if info.trial == "random" else ""
        parts += [
            f"## {name}" if len(opened) > 1 or name != group else "",
            escaped(info.description),
            f"{len(one):,} entries of {one.space.size:,} architectures of the space "
            f"[`{info.space}`](../spaces/{info.space}.md). A search sees "
            f"{one_training}`{info.objective}`; results are reported in `{info.report}`."
            f"\n{tasks}{missing}",
            table(("column", "unit", "split", "better", "trials", "epochs"), rows),
            f"Licence: {escaped(info.licence)}.",
            f"```bibtex\n{info.citation.strip()}\n```",
        ]
        card = ROOT / "tabular_data" / f"{name.replace('-', '_')}.md"
        if card.exists():
            parts.append(_data_card(card))
    return "\n\n".join(parts) + "\n"


def _data_card(path):
    """A data card below a heading of its page; its pictures stay where they are."""
    text = re.sub(r"^#(?=#* )", "##", path.read_text("utf-8"), flags=re.M)
    return text.replace(f"]({path.stem}_", f"](../../../tabular_data/{path.stem}_")


def space_pages():
    """A page for each space, with a picture of an architecture, and their list."""
    made, rows = {}, []
    for name in sorted(space_names()):
        space = get_space(name)
        first = inspect.cleandoc(type(space).__doc__ or "").partition("\n\n")[0]
        own = prose(first) if type(space) is not lab.SearchSpace else ""
        example = space.to_string(space.sample(np.random.default_rng(0)))
        decisions = [
            (f"`{d.name}`", escaped(", ".join(map(str, d.options))), "yes" if d.ordered else "")
            for d in space.decisions
        ]
        rows.append((f"[`{name}`]({name}.md)", f"{space.size:,}", len(space.decisions)))
        made[f"{name}.md"] = (
            f"# {name}\n\n{own}\n\n{space.size:,} architectures, "
            f"{len(space.decisions)} decisions; encodings: "
            f"{', '.join(f'`{one}`' for one in space.encodings)}.\n\n"
            f"An architecture drawn at random:\n\n```text\n{example}\n```\n\n"
            f"```{{raw}} html\n{lab.draw(example, space=name).svg()}\n```\n\n"
            f"## Decisions\n\n" + table(("decision", "options", "ordered"), decisions) + "\n"
        )
    made["index.md"] = (
        "# Spaces\n\nA space is a list of decisions, each with its options. A space of your own "
        "takes [a few lines](../../guides/own_data.md).\n\n"
        + table(("space", "architectures", "decisions"), rows)
        + "\n\n"
        + listing([name.removesuffix(".md") for name in made])
    )
    return made


def commands():
    """Each command of the command line by its name, such as ``list tables``."""
    found = {}
    for name, command in sorted(typer.main.get_command(app).commands.items()):
        for inner, one in sorted(getattr(command, "commands", {"": command}).items()):
            found[f"{name} {inner}".strip()] = one
    return found


def command_pages():
    """A page for each command, and their list."""
    made, rows = {}, []
    for name, command in commands().items():
        page = name.replace(" ", "-")
        about = " ".join((command.help or "").split())
        rows.append((f"[`{name}`]({page}.md)", escaped(about)))
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
        usage = " ".join(["nasbench-lab", name, *map(_metavar, arguments)])
        parts = [f"# {name}", escaped(about), f"```text\n{usage} [OPTIONS]\n```"]
        if examples := examples_of(command):
            parts += ["```sh\n" + "\n".join(examples) + "\n```"]
        parts += [f"`{_metavar(one)}`\n: {escaped(one.help or '')}" for one in arguments]
        parts += [_option(one) for one in options]
        made[f"{page}.md"] = "\n\n".join(parts) + "\n"
    made["index.md"] = (
        "# Commands\n\nEach has `--help` with examples; those with output for programs have "
        "`--json`.\n\n"
        + table(("command", "what it does"), rows)
        + "\n\n"
        + listing([name.removesuffix(".md") for name in made])
    )
    return made


def examples_of(command):
    """The command lines in the examples of a command's help."""
    lines = (line.strip() for line in (command.epilog or "").splitlines())
    return [line for line in lines if line.startswith("nasbench-lab ")]


def _metavar(argument):
    return argument.metavar or argument.name.upper()


def _option(option):
    """An option, its default if it has one, and what it does."""
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    default = option.default
    shown = default not in (None, False, []) and not callable(default)
    return f"{names}{f' (default: {default})' if shown else ''}\n: {escaped(option.help or '')}"


def python_pages():
    """A page for each public module, and their list."""
    made, rows = {}, []
    for name, about in PYTHON.items():
        rows.append((f"[`{name}`]({name}.md)", about))
        if name == "nasbench_lab":  # its names are imported when they are first used
            parts = [_documented(f"{name}.{one}") for one in lab.__all__]
        else:
            elsewhere = ", ".join(lab.__all__)  # those are on the page of nasbench_lab
            parts = [f".. automodule:: {name}\n   :members:\n   :exclude-members: {elsewhere}"]
        made[f"{name}.md"] = (
            f"# {name}\n\n{about}.\n\n```{{eval-rst}}\n" + "\n\n".join(parts) + "\n```\n"
        )
    made["index.md"] = (
        "# Python\n\nWhat is not on these pages may change without notice.\n\n"
        + table(("module", "what it holds"), rows)
        + "\n\n"
        + listing([name.removesuffix(".md") for name in made])
    )
    return made


def _documented(name):
    """What Sphinx makes of a name; it is not imported here, as it may need PyTorch."""
    if name.rpartition(".")[2][0].isupper():
        return f".. autoclass:: {name}\n   :members:"
    return f".. autofunction:: {name}"


# The lessons


def lesson_pages():
    """A page for each lesson, and their list. Lessons are kept without outputs."""
    made, rows = {}, []
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        made |= lesson(path, cells)
        title = re.match(r"#\s*(.*)", "".join(cells[0]["source"]))[1]
        exercises = sum("exercise" in cell["metadata"].get("tags", []) for cell in cells)
        told = f" ({counted(exercises, 'exercise')})" if exercises else ""
        rows.append(f"- [{title}]({path.stem}.md){told}")
    made["index.md"] = (
        "# Lessons\n\n"
        "Notebooks of 30 to 60 minutes. Exercises tell you whether they are solved. The lessons are "
        "shown here without outputs: run them to see what comes of them.\n\n"
        "```sh\n.venv/bin/python -m pip install jupyterlab\n.venv/bin/jupyter lab notebooks\n```\n\n"
        + "\n".join(rows)
        + "\n\n"
        + listing([name.removesuffix(".md") for name in made if name.endswith(".md")])
    )
    return made


def lesson(path, cells):
    """A notebook in Markdown: text as it is, code as code, formulas as pictures beside the page."""
    files = {}

    def picture(match):
        files[f"{path.stem}_{len(files)}.svg"] = _formula(match[1])
        return f"![{escaped(match[1])}]({path.stem}_{len(files) - 1}.svg)"

    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            source = re.sub(r"^%.*\n", "", source, flags=re.M)  # is for notebooks only
            tags = cell.get("metadata", {}).get("tags", [])
            parts += ["**Your turn:**"] if "exercise" in tags else []
            parts.append(f"```python\n{source.strip()}\n```")
        else:
            source = re.sub(r"\$\$(.*?)\$\$", picture, source, flags=re.S)
            parts.append(re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.md)", source.strip()))
    parts.insert(1, f"*The notebook is `notebooks/{path.name}`.*")
    files[f"{path.stem}.md"] = "\n\n".join(parts) + "\n"
    return files


def _formula(text):
    """A formula as SVG."""
    target, known = io.BytesIO(), text.replace(r"\textrm", r"\text").strip().rstrip(".")
    math_to_image(f"${known}$", target, format="svg")
    return target.getvalue().decode()

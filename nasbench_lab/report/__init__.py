"""A report: one HTML page of a result, which works offline and loads nothing from elsewhere.

The template, its style and its script are in this folder. The page holds the data of its plots as
JSON, and the script draws them. Its Content-Security-Policy allows only this script and this style.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from nasbench_lab.errors import ExperimentError
from nasbench_lab.files import atomic_file
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from nasbench_lab.results.result import Result

__all__ = [
    "LIVE",
    "filled",
    "fragment",
    "page_environment",
    "plots",
    "policy",
    "render",
    "style",
    "write_report",
]

_HERE = Path(__file__).parent

LIVE = _HERE / "live.js"
"""The script of pages that a server changes."""


def write_report(
    result: Result,
    path: Path | str,
    reference: str | None = None,
    predictors: Sequence[str] = (),
) -> Path:
    """Writes the report of a result as one HTML file, all or nothing.

    Args:
        result: The finished runs of the experiment.
        path: The file.
        reference: The algorithm that the others are tested against; by default the best.
        predictors: Predictors that are judged on the tables beside those of the searches, each as
            ``name`` or ``name(setting=value, …)``.

    Returns:
        The file.

    Raises:
        ExperimentError: No run is finished.
        UnknownNameError: There is no such reference or predictor.
        HyperparameterError: A predictor's settings do not fit.
        DataFolderError: The file cannot be written.
    """
    path, page = Path(path), render(result, reference, predictors)
    with atomic_file(path) as new:
        new.write_text(page, encoding="utf-8", newline="\n")
    return path


def render(
    result: Result,
    reference: str | None = None,
    predictors: Sequence[str] = (),
    script: str = "",
) -> str:
    """The report of a result as HTML; the same result gives the same text.

    See ``write_report``.

    Args:
        result: As there.
        reference: As there.
        predictors: As there.
        script: More that the page runs. It may ask the server that the page comes from.
    """
    return filled("page.html", script, **_contents(result, reference, predictors))


def filled(template: str, script: str = "", **contents: Any) -> str:
    """A page of this folder as HTML, with the report's style and script.

    Args:
        template: The name of its template.
        script: More that the page runs. It may ask the server that the page comes from.
        contents: What the template shows; all text is escaped.
    """
    from markupsafe import Markup

    sheet = style()
    scripts = Markup((_HERE / "report.js").read_text("utf-8") + script)
    return fragment(
        template,
        style=sheet,
        script=scripts,
        policy=policy(sheet, scripts, asks=bool(script)),
        **contents,
    )


def fragment(template: str, **contents: Any) -> str:
    """A part of a page as HTML; arguments as for ``filled``."""
    return str(_environment().get_template(template).render(**contents))


@cache
def _environment() -> Environment:
    environment = page_environment(_HERE)
    environment.filters["breakable"] = _breakable
    return environment


def page_environment(folder: Path) -> Environment:
    """What fills the templates of a folder and the report's; whatever is put into one is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader([folder, _HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def style() -> Markup:
    """The style of pages; it is ours, and goes into a page unchanged."""
    from markupsafe import Markup

    return Markup((_HERE / "report.css").read_text("utf-8"))


def policy(style: str, script: str | None = None, *, asks: bool = False) -> str:
    """The Content-Security-Policy of a page with this style and this script, and no other.

    Args:
        style: The style.
        script: The script.
        asks: Whether the script may ask the server that the page comes from.
    """
    scripts = "" if script is None else f"script-src '{_sum(script)}'; "
    asked = "connect-src 'self'; " if asks else ""
    return (
        f"default-src 'none'; style-src '{_sum(style)}'; {scripts}{asked}"
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def plots(result: Result) -> dict[str, Any]:
    """What ``plots.html`` shows: the controls and frames of the plots, and the data of their lines."""
    from nasbench_lab.report import contents
    from nasbench_lab.report.data import page_data
    from nasbench_lab.stats import Axis

    data = page_data(result)
    return {
        "result": result,
        "data": data,
        "axes": {a: any(a in t["axes"] for t in data["tables"]) for a in get_args(Axis)},
        "goal_words": contents.goal_words(result),
    }


def _breakable(text: str) -> Markup:
    """A text that may break between the parts of a name."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([_/|(+,])(?=\S)", r"\1<wbr>", str(escape(text))))


def _sum(text: str) -> str:
    """The sum of an inline script or style, as a Content-Security-Policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _contents(result: Result, reference: str | None, predictors: Sequence[str]) -> dict[str, Any]:
    from markupsafe import Markup

    from nasbench_lab.experiment.toml import to_toml
    from nasbench_lab.report import contents, methods
    from nasbench_lab.report.citations import citations
    from nasbench_lab.report.data import to_json
    from nasbench_lab.report.explained import explanations
    from nasbench_lab.report.predicted import predictions

    if not result.tables_with_runs:
        raise ExperimentError("There are no finished runs to report.")
    drawn = plots(result)
    diagrams = contents.friedman_diagrams(result)
    explained = explanations(result)
    predicted = predictions(result, predictors)
    statistics = methods.statistics_used(result, bool(diagrams), bool(explained), bool(predicted))
    ranked_on = diagrams[0]["friedman"].tables if diagrams else []
    return {
        "title": f"{counted(len(result.algorithms), 'algorithm')} on "
        f"{counted(len(result.benchmarks), 'table')}",
        **drawn,
        "json": Markup(to_json(drawn["data"])),
        "budget": str(result.experiment.budget),
        "seeds": methods.seeds_in_words(result.experiment.seeds),
        "described_tables": contents.described_tables(result),
        "platforms": contents.platforms(result),
        "toml": to_toml(result.experiment),
        "notes": [*result.notes_on_origin(), *result.notes()],
        "result_tables": contents.result_tables(result, reference),
        "reference": reference,
        "verdict": result.verdict(reference),
        "target_tables": contents.target_tables(result),
        "diagrams": diagrams,
        "best": contents.best_architectures(result),
        "explained": explained,
        "predicted": predicted,
        "figures": contents.static_figures(result),
        "methods": methods.methods(result, ranked_on, reference, bool(explained), bool(predicted)),
        "citations": citations(result, statistics),
    }

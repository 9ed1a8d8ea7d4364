"""What was found, explained, for the template."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nasbench_lab.errors import QueryError
from nasbench_lab.explanation import explain_result
from nasbench_lab.explanation.sentences import QUESTIONS, number, sentences

if TYPE_CHECKING:
    from nasbench_lab.explanation import Explanation
    from nasbench_lab.results.result import Result

MOST = 4
"""The most benchmarks that a report explains; each takes seconds."""


def explanations(result: Result) -> list[dict[str, Any]]:
    """Answers by benchmark, for the first ``MOST`` on which enough was evaluated.

    Each has its ``benchmark``, ``answers`` (question and answer), and the lines of two tables:
    ``decisions`` and ``incumbents``.
    """
    found = []
    for name in result.tables_with_runs[:MOST]:
        try:
            one = explain_result(result, name)
        except QueryError:  # too little was evaluated, or nothing was found
            continue
        answers = sentences(one)
        found.append(
            {
                "benchmark": name,
                "answers": [(QUESTIONS[key], answers[key]) for key in answers],
                "run": f"{one.algorithm}, seed {one.seed}",
                "decisions": _decisions(one),
                "incumbents": _incumbents(one),
            }
        )
    return found


def _decisions(one: Explanation) -> list[dict[str, str]]:
    """A line per decision, with the options that are more frequent among the best."""
    options = one.winners.options
    more = options[options["outcome"] == "more"]
    return [
        {
            "decision": str(line["decision"]),
            "alone": _percent(line["importance"]),
            "among_good": _percent(line["among_good"]),
            "more": ", ".join(
                f"{option.option} ({option.best_share:.0%}, else {option.rest_share:.0%})"
                for option in more[more["decision"] == line["decision"]].itertuples()
            ),
        }
        for line in one.importance.decisions.to_dict(orient="records")
    ]


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:.0%}"


def _incumbents(one: Explanation) -> list[dict[str, str]]:
    objective, chain = one.known.objective, one.chain
    return [
        {
            "evaluation": str(line["evaluation"]),
            "value": "–" if math.isnan(line["value"]) else number(line["value"], objective),
            "nearest": ""
            if math.isnan(line["from_evaluation"])
            else f"{line['from_evaluation']:.0f}",
            "changed": line["changed"] or line["origin"],
        }
        for line in ([] if chain is None else chain.to_dict(orient="records"))
    ]

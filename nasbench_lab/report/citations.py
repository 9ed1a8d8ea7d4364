"""The citations of a paper that shows these results, in BibTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from nasbench_lab.errors import AlgorithmFileError, NasbenchLabError
from nasbench_lab.registry import algorithm_class, algorithm_modules, parse_algorithm
from nasbench_lab.results.result import Result


class Citation(NamedTuple):
    """A BibTeX entry and its uses.

    Args:
        key: The key of the entry.
        bibtex: The entry.
        used_for: Names of tables, algorithms or methods.
    """

    key: str
    bibtex: str
    used_for: list[str]


STATISTICS = {
    "efron1993bootstrap": """@book{efron1993bootstrap,
  title = {An Introduction to the Bootstrap},
  author = {Efron, Bradley and Tibshirani, Robert J.},
  publisher = {Chapman \\& Hall},
  year = {1993}
}""",
    "hesterberg2015bootstrap": """@article{hesterberg2015bootstrap,
  title = {What Teachers Should Know About the Bootstrap: Resampling in the Undergraduate Statistics
           Curriculum},
  author = {Hesterberg, Tim C.},
  journal = {The American Statistician},
  volume = {69},
  number = {4},
  pages = {371--386},
  year = {2015}
}""",
    "vargha2000critique": """@article{vargha2000critique,
  title = {A Critique and Improvement of the {CL} Common Language Effect Size Statistics of
           {McGraw} and {Wong}},
  author = {Vargha, Andr{\\'a}s and Delaney, Harold D.},
  journal = {Journal of Educational and Behavioral Statistics},
  volume = {25},
  number = {2},
  pages = {101--132},
  year = {2000}
}""",
    "hansen2021coco": """@article{hansen2021coco,
  title = {{COCO}: A Platform for Comparing Continuous Optimizers in a Black-Box Setting},
  author = {Hansen, Nikolaus and Auger, Anne and Ros, Raymond and Mersmann, Olaf and
            Tu{\\v{s}}ar, Tea and Brockhoff, Dimo},
  journal = {Optimization Methods and Software},
  volume = {36},
  number = {1},
  pages = {114--144},
  year = {2021}
}""",
    "hutter2014efficient": """@inproceedings{hutter2014efficient,
  title = {An Efficient Approach for Assessing Hyperparameter Importance},
  author = {Hutter, Frank and Hoos, Holger H. and Leyton-Brown, Kevin},
  booktitle = {Proceedings of the 31st International Conference on Machine Learning},
  year = {2014}
}""",
    "white2021powerful": """@inproceedings{white2021powerful,
  title = {How Powerful are Performance Predictors in Neural Architecture Search?},
  author = {White, Colin and Zela, Arber and Ru, Robin and Liu, Yang and Hutter, Frank},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2021}
}""",
    "demsar2006statistical": """@article{demsar2006statistical,
  title = {Statistical Comparisons of Classifiers over Multiple Data Sets},
  author = {Dem{\\v{s}}ar, Janez},
  journal = {Journal of Machine Learning Research},
  volume = {7},
  pages = {1--30},
  year = {2006}
}""",
}
"""Sources of the statistics, by key."""

_SOFTWARE = """@misc{nasbenchlab,
  title = {nasbench-lab: a testbed for neural architecture search},
  author = {{The nasbench-lab developers}},
  year = {2026}
}"""


def citations(result: Result, statistics: dict[str, str]) -> list[Citation]:
    """Entries for the software, the tables, the algorithms and the statistics, each key once.

    Args:
        result: The result.
        statistics: The used keys of ``STATISTICS``, and their uses.
    """
    entries = [(_SOFTWARE, "nasbench-lab")]
    for name in result.benchmarks:
        entries += [
            (text, name) for text in _entries(result.benchmark(name).table.info.citation, name)
        ]
    for algorithm in result.experiment.algorithms:
        citation = _citation_of(algorithm.algorithm)
        entries += [(text, algorithm.name) for text in _entries(citation, algorithm.name)]
    entries += [(STATISTICS[key], use) for key, use in statistics.items()]
    return _distinct(entries)


def _citation_of(algorithm: str) -> str:
    """The citation of an installed algorithm; a result must not make us load other code."""
    try:
        name, _ = parse_algorithm(algorithm)
    except NasbenchLabError:
        return ""
    try:
        return algorithm_class(name).citation if name in algorithm_modules() else ""
    except AlgorithmFileError:  # a broken plug-in
        return ""


def _entries(citation: str, name: str) -> list[str]:
    """The BibTeX entries of a text; any other text becomes the title of an entry."""
    text = citation.strip()
    if not text:
        return []
    entries = [entry.strip() for entry in re.split(r"\n(?=@)", text)]
    if all(is_bibtex(entry) for entry in entries):
        return entries
    key = re.sub(r"\W+", "", name, flags=re.ASCII).lower() or "source"
    note = re.sub(r"([%#&_$])", r"\\\1", re.sub(r"[\\{}]", "", " ".join(text.split())))
    return [f"@misc{{{key},\n  title = {{{{{note}}}}}\n}}"]


def is_bibtex(entry: str) -> bool:
    """Whether a text is one entry: a type, a key, and braces that close at its end."""
    if not re.match(r"@\w+\{[^\s,{}]+\s*[,}]", entry):
        return False
    depth = 0
    for i, letter in enumerate(entry):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "}" and depth == 0:
            return i == len(entry) - 1
    return False


def _distinct(entries: Iterable[tuple[str, str]]) -> list[Citation]:
    """Each entry once, with all its uses; different entries of the same key get different keys."""
    by_text: dict[str, list[str]] = {}
    for text, use in entries:
        uses = by_text.setdefault(text, [])
        if use not in uses:
            uses.append(use)
    keys: set[str] = set()
    result = []
    for text, uses in by_text.items():
        head = re.match(r"(@\w+\{)([^\s,{}]+)", text)
        assert head is not None  # _entries lets nothing else pass
        key, number = head[2], 2
        while key in keys:
            key, number = f"{head[2]}-{number}", number + 1
        keys.add(key)
        result.append(Citation(key, head[1] + key + text[head.end() :], uses))
    return result

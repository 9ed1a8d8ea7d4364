"""Files that students hand in: searches that work, and one of each kind of mistake."""

from __future__ import annotations

from pathlib import Path

CLIMBER = """\
from nasbench_lab import SearchAlgorithm


class Climber(SearchAlgorithm):
    best, best_score = None, float("-inf")

    def ask(self):
        if self.best is None:
            return self.trial(self.space.sample(self.rng))
        return self.trial(self.space.mutate(self.best, self.rng))

    def tell(self, trial, evaluation):
        if self.score(evaluation) > self.best_score:
            self.best, self.best_score = trial.architecture, self.score(evaluation)
"""

SAMPLER = """\
from nasbench_lab import SearchAlgorithm


class Sampler(SearchAlgorithm):
    def ask(self):
        return self.trial(self.space.sample(self.rng))
"""


def with_line(line: str, module: str = "os") -> str:
    """A search with a line of its own, the seventh, in ``ask``."""
    inserted = SAMPLER.replace("        return", f"        {line}\n        return")
    return f"import {module}\n{inserted}"


LINE = 7

MISTAKES = {
    "syntax": with_line("if os"),
    "raises": with_line("{}['missing']"),
    "endless": with_line("while True: pass"),
    "prints": with_line("print('sampling')"),
    "reads_table": with_line("nasbench_lab.load_benchmark('nb201-digits')", "nasbench_lab"),
    "global_draw": with_line("random.random()", "random"),
}
"""By the student's name, a file with each mistake in line ``LINE``."""


def hand_in(folder: Path, files: dict[str, str]) -> Path:
    """Writes files into a folder, by the names of the students."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def class_of_thirty() -> dict[str, str]:
    """Thirty files: those with mistakes, two classes of one name, and others that work."""
    files = {"ada": CLIMBER, "ben": CLIMBER, **MISTAKES}
    for i in range(30 - len(files)):
        text, name = (CLIMBER, "Climber") if i % 2 else (SAMPLER, "Sampler")
        files[f"student_{i:02d}"] = text.replace(name, f"{name}{i}")
    return files

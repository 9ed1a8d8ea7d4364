"""A small table with scores by zero-cost proxies."""

import numpy as np
import pandas as pd

import nasbench_lab as lab
from nasbench_lab.spaces import Decision, SearchSpace
from nasbench_lab.tables.proxies import proxy_columns

SPACE = SearchSpace(
    "scored", [Decision(name, tuple("pqrst"), ordered=False) for name in ("a", "b", "c", "d")]
)
"""625 architectures, of which the table lacks the last."""
SECONDS = 0.25
"""What a score takes."""
LESS_IS_BETTER = "ntk"


def scored_table(folder, proxies=("synflow", "jacov", "snip", "params", LESS_IS_BETTER)):
    """A table in which ``synflow`` says most of the accuracy, and the other proxies say less."""
    rng = np.random.default_rng(0)
    n = SPACE.size - 1
    architectures = SPACE.at(np.arange(n))
    weights = [np.random.default_rng(i).normal(size=5) for i in range(4)]
    true = sum(w[o] for w, o in zip(weights, architectures.T, strict=True))
    frame = pd.DataFrame(
        {
            d.name: np.array(d.options)[o]
            for d, o in zip(SPACE.decisions, architectures.T, strict=True)
        }
    )
    frame["valid_accuracy"] = 80 + true + 0.3 * rng.normal(size=n)
    frame["test_accuracy"] = 79 + true + 0.3 * rng.normal(size=n)
    frame["train_time"] = 100.0
    columns = [
        lab.Column("valid_accuracy", "accuracy", "%", True, "valid", dataset="digits"),
        lab.Column("test_accuracy", "accuracy", "%", True, "test", dataset="digits"),
        lab.Column("train_time", "train_time", "s", False, dataset="digits"),
    ]
    for i, name in enumerate(proxies):
        scores, seconds = proxy_columns(name, "digits", 0, "a batch")
        frame[scores.name] = (-1 if name == LESS_IS_BETTER else 1) * (
            true + (0.2 + 0.8 * i) * rng.normal(size=n)
        )
        frame[seconds.name] = SECONDS
        columns += [scores, seconds]
    return lab.Table.from_frame(
        frame,
        "scored",
        columns,
        decisions=SPACE.decisions,
        objective="valid_accuracy",
        report="test_accuracy",
        folder=folder / "scored",
    )

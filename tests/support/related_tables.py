"""Small tables of one space whose tasks resemble each other."""

import numpy as np
import pandas as pd

import nasbench_lab as lab
from nasbench_lab.spaces import Decision, SearchSpace

SPACE = SearchSpace(
    "related",
    [
        Decision("width", (8, 16, 32, 64, 128), ordered=True),
        Decision("depth", (1, 2, 3, 4), ordered=True),
        Decision("operation", ("conv", "pool", "skip")),
        Decision("rate", (0.1, 0.03, 0.01, 0.003), ordered=True),
    ],
)
"""240 architectures."""
OTHER_OPTIONS = SearchSpace(
    "related-less",
    [Decision("width", (8, 64, 256), ordered=True), *SPACE.decisions[1:]],
)
"""The same decisions, with two widths that the others have and one that they lack."""


def related_table(folder, task, *, space=SPACE, maximize=True, contrary=False):
    """A table of a task, a number: all tasks want much width and depth, each a rate of its own.

    It is kept in the data folder, as ``related/TASK``, if the folder is None.
    """
    rng = np.random.default_rng([9, task])
    architectures = space.at(np.arange(space.size))
    options = [
        np.array(d.options, object)[o]
        for d, o in zip(space.decisions, architectures.T, strict=True)
    ]
    rate = np.log(options[3].astype(float))
    true = np.log2(options[0].astype(float)) + options[1].astype(float)
    true = true + (options[2] == "conv") - np.abs(rate - np.log((0.1, 0.03, 0.01)[task % 3]))
    accuracy = 70 + (-true if contrary else true) + 0.3 * rng.normal(size=space.size)
    frame = pd.DataFrame({d.name: o for d, o in zip(space.decisions, options, strict=True)})
    frame["valid"] = accuracy if maximize else 100 - accuracy
    # The test says the contrary, so that whoever learned from it would be found out.
    frame["test"] = 100 - frame["valid"]
    columns = [
        lab.Column("valid", "accuracy", "%", maximize, "valid", dataset=f"task {task}"),
        lab.Column("test", "accuracy", "%", maximize, "test", dataset=f"task {task}"),
    ]
    return lab.Table.from_frame(
        frame,
        f"related/{task}",
        columns,
        folder=folder and folder / f"task-{task}-{space.name}-{maximize}",
        decisions=space.decisions,
        objective="valid",
        report="test",
    )

"""Measured networks as an engineer has them: a CSV file with a line for each.

A network has one to four layers, and each layer a width and a kernel of its own. All have an activation
and a learning rate. Of ``SIZE`` such networks, 5,000 are measured.
"""

import csv
import math

import numpy as np

from nasbench_lab.spaces import Decision, SearchSpace

LAYERS = (1, 2, 3, 4)
WIDTHS = (16, 32, 64)
KERNELS = (3, 5)
ACTIVATIONS = ("relu", "gelu", "tanh")
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
SIZE = len(ACTIVATIONS) * len(RATES) * sum(6**layers for layers in LAYERS)


def space(name="networks"):
    """The space of the networks, as it is to be found in the file."""
    decisions = [Decision("layers", LAYERS, ordered=True)]
    for layer in LAYERS:
        exists = {} if layer == 1 else {"layers": LAYERS[layer - 1 :]}
        decisions += [
            Decision(f"width_{layer}", WIDTHS, ordered=True, active_if=exists),
            Decision(f"kernel_{layer}", KERNELS, ordered=True, active_if=exists),
        ]
    decisions += [
        Decision("activation", ACTIVATIONS),
        Decision("learning_rate", RATES, ordered=True),
    ]
    return SearchSpace(name, decisions)


def rows(n=5_000, seed=0, drawn=False):
    """Dictionaries of cells, as Python's ``csv`` writes them.

    Args:
        n: How many different networks.
        seed: Seeds everything.
        drawn: Whether the learning rate is drawn log-uniformly, not from ``RATES``.
    """
    rng = np.random.default_rng(seed)
    known, result = set(), []
    while len(result) < n:
        layers = int(rng.choice(LAYERS, p=[0.1, 0.2, 0.3, 0.4]))
        row = {"id": len(result), "layers": layers}
        quality = -0.5 * abs(layers - 3)
        for layer in LAYERS:
            there = layer <= layers
            width, kernel = int(rng.choice(WIDTHS)), int(rng.choice(KERNELS))
            row[f"width_{layer}"] = f"{width}.0" if there and layer > 1 else width if there else ""
            row[f"kernel_{layer}"] = (
                f"{kernel}.0" if there and layer > 1 else kernel if there else ""
            )
            quality += there * (0.4 * math.log2(width / 16) / layers + 0.2 * (kernel == 3))
        row["activation"] = str(rng.choice(ACTIVATIONS))
        rate = float(10 ** rng.uniform(-4, -1.5)) if drawn else float(rng.choice(RATES))
        row["learning_rate"] = rate
        key = tuple(row[name] for name in row if name != "id")
        if key in known:
            continue
        known.add(key)
        quality += 0.3 * (row["activation"] == "gelu") - abs(math.log10(rate) + 2.5)
        accuracy = 0.6 + 0.1 * math.tanh(quality / 2) + 0.1
        row["val_acc"] = round(accuracy + rng.normal(0, 0.002), 5)
        row["test_acc"] = round(accuracy - 0.01 + rng.normal(0, 0.002), 5)
        row["train_time"] = round(60 * layers + rng.uniform(0, 5), 2)
        row["params"] = int(1e4 * layers**2)
        result.append(row)
    return result


def write_csv(path, rows_of_file):
    """Writes the file."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows_of_file[0]))
        writer.writeheader()
        writer.writerows(rows_of_file)

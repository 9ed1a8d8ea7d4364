"""Writes files in the formats of NAS-Bench-201 and NATS-Bench with made-up content."""

import bz2
import pickle
import tarfile
from collections import OrderedDict

import numpy as np

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
CHANNELS = (8, 16, 24, 32, 40, 48, 56, 64)
DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
SPLITS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
SEEDS = {
    "12": {"cifar10-valid": (111, 777), **dict.fromkeys(DATASETS[1:], (111,))},
    "200": dict.fromkeys(DATASETS, (777, 888, 999)),
    "01": dict.fromkeys(DATASETS, (777,)),
    "90": dict.fromkeys(DATASETS, (777,)),
}
SEEDS_OF_SIZES = {**SEEDS, "12": dict.fromkeys(DATASETS, (777, 888, 999))}


def cells(n, seed=0):
    """N different strings of NAS-Bench-201 in no order."""
    rng = np.random.default_rng(seed)
    found = {}
    while len(found) < n:
        a, b, c, d, e, f = (OPERATIONS[i] for i in rng.integers(5, size=6))
        found[f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"] = None
    return list(found)


def sizes(n, seed=0):
    """N different strings of the size space in no order."""
    rng = np.random.default_rng(seed)
    found = {}
    while len(found) < n:
        found[":".join(str(CHANNELS[i]) for i in rng.integers(8, size=5))] = None
    return list(found)


def result(rng, dataset, seed, epochs, last_only=(), scalars=False):
    """The state of one training. Splits in last_only are evaluated after the last epoch only."""
    number = np.float64 if scalars else float
    times = {name: float(rng.uniform(0.1, 30)) for name in ("train", *SPLITS[dataset])}
    values = {"acc": {}, "loss": {}, "time": {}}
    for split in SPLITS[dataset]:
        first = epochs - 1 if split in last_only else 0
        for epoch, accuracy in enumerate(rng.uniform(1, 99, epochs - first).tolist(), first):
            values["acc"][f"{split}@{epoch}"] = accuracy
            values["loss"][f"{split}@{epoch}"] = accuracy / 17
        for epoch in range(epochs):
            values["time"][f"{split}@{epoch}"] = times[split]
    accuracies = rng.uniform(1, 99, epochs).tolist()
    return {
        "name": dataset,
        "net_state_dict": None,
        "train_acc1es": dict(enumerate(accuracies)),
        "train_acc5es": None,
        "train_losses": dict(enumerate(rng.uniform(0, 5, epochs).tolist())),
        "train_times": OrderedDict((epoch, times["train"]) for epoch in range(epochs)),
        "arch_config": None,
        "params": number(rng.uniform(0.1, 2)),
        "flop": float(rng.uniform(1, 300)),
        "seed": f"{seed:04d}",
        "epochs": epochs,
        "latency": [number(rng.uniform(0.001, 0.1))],
        "eval_names": list(SPLITS[dataset]),
        "eval_acc1es": values["acc"],
        "eval_times": values["time"],
        "eval_losses": values["loss"],
    }


def information(index, text, rng, schedule, epochs=None, seeds=SEEDS, scalars=False):
    """The state of an ``ArchResults``: one schedule of one architecture, 200 epochs as there."""
    epochs = epochs or int(schedule)
    long = schedule == "200"
    held = {dataset: list(found) for dataset, found in seeds[schedule].items()}
    last_only = {
        "cifar10-valid": ("ori-test",),
        "cifar100": ("x-valid", "x-test"),
        "ImageNet16-120": ("x-valid", "x-test"),
    }
    return {
        "arch_index": index,
        "arch_str": text,
        "all_results": {
            (dataset, seed): result(
                rng, dataset, seed, epochs, last_only.get(dataset, ()) if long else (), scalars
            )
            for dataset, found in held.items()
            for seed in found
        },
        "dataset_seed": held,
        "clear_net_done": True,
    }


def record(index, text, schedules=("12", "200"), epochs=None, seeds=SEEDS, scalars=True):
    """All schedules of one architecture; ``epochs`` shortens them."""
    rng = np.random.default_rng(index)
    made = OrderedDict(
        (name, information(index, text, rng, name, (epochs or {}).get(name), seeds, scalars))
        for name in schedules
    )
    for one in made.values():
        for trained in one["all_results"].values():
            trained["arch_config"] = configuration(text)
    return made


def configuration(text):
    """What the network is built from; in the size space that includes the string of its cell."""
    if ":" in text:
        return {
            "name": "infer.shape.tiny",
            "channels": text,
            "arch_str": text,
            "genotype": cells(1)[0],
            "class_num": 10,
        }
    return {"channel": 16, "num_cells": 5, "arch_str": text, "class_num": 10}


def dump(data, path, protocol=4):
    path.write_bytes(bz2.compress(pickle.dumps(data, protocol=protocol)))


def write_simple(folder, texts, records):
    """A "simple" archive: a folder with meta and one file per record."""
    folder.mkdir()
    meta = {
        "meta_archs": list(texts),
        "total_archs": len(texts),
        "arch2infos": None,
        "evaluated_indexes": set(),
    }
    dump(meta, folder / "meta.pickle.pbz2")
    for index, one in records.items():
        dump(one, folder / f"{index:06d}.pickle.pbz2")
    return folder


def write_one(folder, index, text, epochs):
    """Adds a record to such a folder; here, as worker processes know no test's module by name."""
    dump(record(index, text, epochs=epochs), folder / f"{index:06d}.pickle.pbz2")


def write_tar(path, folder):
    with tarfile.open(path, "w") as archive:
        archive.add(folder, arcname=folder.name)
    return path


def whole(texts, records):
    """What a single file holds."""
    return {
        "meta_archs": list(texts),
        "total_archs": len(texts),
        "arch2infos": dict(records),
        "evaluated_indexes": set(records),
    }

"""Official files of random content, by the official packages' own classes; how APIs are compared.

The content has the shape of the real files, and their gaps: trials, data sets, schedules and whole
architectures that are missing, splits measured at the end only, epochs without a value, losses that
are not a number, times that were never taken, costs that differ between trials.
"""

import itertools
import math
import random
from pathlib import Path
from types import SimpleNamespace

import pytest

DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
CLASSES = {"cifar10-valid": 10, "cifar10": 10, "cifar100": 100, "ImageNet16-120": 120}
SPLITS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
# Schedule: epochs, seeds. Long ones are shortened: the records say how many epochs they have.
TSS = {"12": (12, (111, 777)), "200": (16, (777, 888, 999))}
SSS = {"01": (1, (777,)), "12": (12, (777,)), "90": (14, (777, 888, 999))}
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
GENOTYPE = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
    "|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)


def strings(kind, n, draw):
    """Architectures in an order of their own."""
    if kind == "sss":
        all_ = itertools.product(range(8, 65, 8), repeat=5)
        return draw.sample([":".join(map(str, channels)) for channels in all_], n)
    cells = itertools.product(OPERATIONS, repeat=6)
    return draw.sample(["|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*cell) for cell in cells], n)


def config(kind, text, dataset):
    if kind == "sss":
        return {
            "name": "infer.shape.tiny",
            "channels": text,
            "arch_str": text,
            "genotype": GENOTYPE,
            "class_num": CLASSES[dataset],
        }
    return {"channel": 16, "num_cells": 5, "arch_str": text, "class_num": CLASSES[dataset]}


class Tidy(random.Random):
    """Random content without gaps: what happens with a probability of 10 % or less, never does."""

    def random(self):
        return 0.11 + 0.89 * super().random()


def trial(classes, kind, text, dataset, hp, n_epochs, seed, draw):
    """One ``ResultsCount``."""

    def curve(low, high):
        return {i: draw.uniform(low, high) for i in range(n_epochs)}

    costs = (draw.uniform(0.1, 1.5), draw.uniform(5, 200))
    if draw.random() > 0.1:  # else they differ between trials, as a migration left them officially
        costs = (0.3 + len(text) / 100, 50.0 + len(text))
    latency = draw.choice([[0.01], [0.02, 0.03], None]) if draw.random() < 0.3 else [0.015]
    losses = curve(0, 5)
    if draw.random() < 0.05:
        losses.update(dict.fromkeys(range(n_epochs // 2, n_epochs), float("nan")))
    result = classes.ResultsCount(
        dataset,
        None,
        {},
        {},
        *costs,
        config(kind, text, dataset),
        f"{seed:04d}",
        n_epochs,
        latency,
    )
    result.update_train_info(curve(1, 100), None, losses, None)
    # The official class for sizes fails where there are no times.
    if draw.random() > 0.03 or kind == "sss":
        result.reset_pseudo_train_times(draw.uniform(1, 100))
        if dataset == "cifar100" and draw.random() < 0.1:
            result.train_times = curve(1, 9)
    timed = draw.random() > 0.03 or kind == "sss"
    # As in the real files, the order is the same in all records of a data set and schedule.
    splits = SPLITS[dataset] if hp in ("12", "01") else SPLITS[dataset][::-1]
    for split in splits:
        accuracies, losses = curve(1, 100), curve(0, 5)
        at_end = split != ("x-valid" if dataset == "cifar10-valid" else "ori-test")
        if at_end and hp in ("200", "90"):
            accuracies = {n_epochs - 1: accuracies[n_epochs - 1]}
        elif draw.random() < 0.05 and n_epochs > 1:
            accuracies.pop(n_epochs // 2)
        result.update_OLD_eval(split, accuracies, losses)
        if timed:
            result.reset_pseudo_eval_times(split, draw.uniform(0.1, 5))
            if draw.random() < 0.02 and dataset == "cifar100":
                result.eval_times[f"{split}@{n_epochs - 1}"] = draw.uniform(5, 9)
            if draw.random() < 0.02 and dataset == "cifar100":
                del result.eval_times[f"{split}@{n_epochs // 2}"]
    return result


def arch_results(classes, kind, index, text, hp, draw):
    """The state of one ``ArchResults``."""
    results = classes.ArchResults(index, text)
    n_epochs, seeds = (SSS if kind == "sss" else TSS)[hp]
    for dataset in DATASETS:
        if draw.random() < 0.02:
            continue
        held = [seed for seed in seeds if seed != 999 or draw.random() < 0.5]
        if hp == "12" and dataset != "cifar10-valid":
            held = held[:1]
        elif len(held) > 1 and draw.random() < 0.1:
            held = held[1:]
        for seed in held:
            result = trial(classes, kind, text, dataset, hp, n_epochs, seed, draw)
            results.update(dataset, seed, result)
        if draw.random() < 0.2:
            results.dataset_seed[dataset].reverse()
    results.clear_params()
    return results.state_dict()


def content(classes, kind, n, absent=10, seed=1, names=None, tidy=False):
    """A whole file in the official form, ``absent`` of whose ``n`` architectures have no record.

    Args:
        classes: The official package.
        kind: ``"tss"`` or ``"sss"``.
        n: How many architectures are listed.
        absent: How many of them have no record.
        seed: Of the content.
        names: The schedules and their names, where the form always has all of them.
        tidy: Whether the records have no gaps but the third trial.
    """
    draw = Tidy(seed) if tidy else random.Random(seed)
    texts = strings(kind, n, draw)
    held = sorted(draw.sample(range(n), n - absent))
    schedules = names or {hp: hp for hp in (SSS if kind == "sss" else TSS)}
    infos = {}
    for place, index in enumerate(held):
        infos[index] = {
            name: arch_results(classes, kind, index, texts[index], hp, draw)
            for hp, name in schedules.items()
            if names or place == 0 or draw.random() > 0.03
        }
    infos = {index: info or None for index, info in infos.items()}
    infos = {index: info for index, info in infos.items() if info}
    return {
        "meta_archs": texts,
        "total_archs": n,
        "arch2infos": infos,
        "evaluated_indexes": sorted(infos),
    }


def trials(api, index, dataset, hp):
    """The seeds of an architecture, in the order of its record."""
    try:
        return api.arch2infos_dict[index][hp].get_dataset_seeds(dataset)
    except KeyError:
        return []


def outcome(call):
    """What a call gives, or the error that it raises."""
    try:
        return call(), None
    except Exception as error:
        return None, error


def check_same(found, expected, where):
    """Equal in values, types and the order of keys; NaN is like NaN."""
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        for key, value in expected.items():
            check_same(found[key], value, (*where, key))
    elif isinstance(expected, list | tuple):
        assert type(found) is type(expected), where
        assert len(found) == len(expected), where
        for i, value in enumerate(expected):
            check_same(found[i], value, (*where, i))
    elif isinstance(expected, float):
        assert type(found) is type(expected), (where, found, expected)
        assert found == expected or (math.isnan(found) and math.isnan(expected)), (
            where,
            found,
            expected,
        )
    else:
        assert found == expected, where


def check_call(ours, official, call, where):
    """Both give the same, or raise errors of which ours is also of the official type."""
    found, error = outcome(lambda: call(ours))
    expected, official_error = outcome(lambda: call(official))
    if official_error is not None:
        assert isinstance(error, type(official_error)), (where, error, official_error)
    else:
        assert error is None, (where, repr(error))
        check_same(found, expected, where)


def drawn(api, n_calls, calls, seed):
    """What a sequence of random calls gives, each drawn from Python's global ``random``."""
    random.seed(seed)
    choose = random.Random(seed)
    result = []
    for _ in range(n_calls):
        call = choose.choice(calls)
        value, error = outcome(lambda call=call: call(api, choose))
        result.append((value, error, api.used_time, random.getstate()[1][-1]))
    return result


def check_sequences(ours, official, calls, n_calls=600, seed=5):
    """Random calls give the same, use up the same random numbers and charge the same time."""
    pairs = zip(
        drawn(ours, n_calls, calls, seed), drawn(official, n_calls, calls, seed), strict=True
    )
    for i, (
        (a, error, time, state),
        (b, official_error, official_time, official_state),
    ) in enumerate(pairs):
        assert state == official_state, (i, error, official_error)
        assert time == official_time, i
        if official_error is not None:
            assert isinstance(error, type(official_error)), (i, error, official_error)
            continue
        assert error is None, (i, repr(error))
        check_same(a, b, (i,))


@pytest.fixture(scope="session")
def official():
    """Everything above."""
    return SimpleNamespace(
        content=content,
        trials=trials,
        check_same=check_same,
        check_call=check_call,
        check_sequences=check_sequences,
        datasets=DATASETS,
        splits=SPLITS,
        schedules={"tss": TSS, "sss": SSS},
    )


@pytest.fixture(scope="session")
def samples():
    """The folder with real records of NATS-Bench."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "nats_bench_samples"
    if not folder.is_dir():
        pytest.skip(f"the real NATS-Bench samples are not in {folder}")
    return folder

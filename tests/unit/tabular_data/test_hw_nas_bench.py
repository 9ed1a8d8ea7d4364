"""HW-NAS-Bench: files written by the tests, in the form of the official one."""

import copy
import os
import pickle
import random
from collections import OrderedDict

import numpy as np
import pytest

from nasbench_lab.errors import TableFileError, UnsafeFileError
from nasbench_lab.files import atomic_folder, sha256
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.sources import ImportOptions
from nasbench_lab.tables.table import Table
from tabular_data.hw_nas_bench import DATASETS, FORMAT, METRICS, NAME, convert, recognise

pytestmark = pytest.mark.long

CLASSES = {"cifar10": 10, "cifar100": 100, "ImageNet16-120": 120}

# What the benchmark's README prints of index 0.
INDEX_0 = (
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+"
    "|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
)
OF_INDEX_0 = {
    "edgegpu_latency": 5.807418537139893,
    "edgegpu_energy": 24.226614330768584,
    "raspi4_latency": 10.481976820010459,
    "edgetpu_latency": 0.9571811309997429,
    "pixel3_latency": 3.6058499999999998,
    "eyeriss_latency": 3.645620000000001,
    "eyeriss_energy": 0.6872827644999999,
    "fpga_latency": 2.57296,
    "fpga_energy": 18.01072,
}


def content(n, number=float, seed=1):
    """A file of ``n`` cells in an order of its own, the first of which is the official first."""
    space = get_space("nb201")
    first = space.index(space.from_string(INDEX_0))
    order = np.random.default_rng(seed).permutation(np.delete(np.arange(space.size), first))
    texts = space.to_string(space.at(np.insert(order, 0, first)[:n]))
    values = np.random.default_rng(seed + 1).random((len(DATASETS), len(METRICS), n)) + 0.5
    part = {}
    for d, dataset in enumerate(DATASETS):
        part[dataset] = {
            metric: [number(v) for v in values[d, m]] for m, metric in enumerate(METRICS)
        }
        part[dataset]["config"] = [
            {"name": "infer.tiny", "C": 16, "N": 5, "arch_str": t, "num_classes": CLASSES[dataset]}
            for t in texts
        ]
    for metric, value in OF_INDEX_0.items():
        part["cifar10"][metric][0] = number(value)
    layers = {f"Skip_H32_W32_Cin16_Cout{c}_stride1": number(c / 7) for c in range(9)}
    fbnet = {metric: OrderedDict(layers) for metric in METRICS}
    return {"nasbench201": part, "fbnet": {**fbnet, "other": [1, (2, "x"), None, b"y", {3}]}}


SMALL = content(7)


@pytest.fixture
def imported(tmp_path):
    """Imports what it is given as a file, and opens the table."""

    def imported(data, protocol=4, name=None):
        path, folder = tmp_path / "file.pickle", tmp_path / "table"
        path.write_bytes(data if isinstance(data, bytes) else pickle.dumps(data, protocol))
        with atomic_folder(folder, replace=True) as new:
            convert(path, new, ImportOptions(name=name))
        return Table.open(folder)

    return imported


def changed(*keys, to):
    """The small file with one place changed; ``KeyError`` as value takes the key away."""
    data = copy.deepcopy(SMALL)
    place = data
    for key in keys[:-1]:
        place = place[key]
    if to is KeyError:
        del place[keys[-1]]
    else:
        place[keys[-1]] = to
    return data


# Sound files


@pytest.mark.parametrize(
    ("number", "protocol"),
    [
        (float, 2),
        *(pytest.param(*p, marks=pytest.mark.slow) for p in ((np.float64, 3), (np.float32, 4))),
    ],
)
def test_all_cells_and_values_are_read(imported, tmp_path, number, protocol):
    data = content(15_625, number)
    table = imported(data, protocol)
    assert table.name == NAME
    assert table.space.name == "nb201"
    assert len(table) == 15_625
    assert table.info.missing == ()
    assert table.info.joins == ("nats-tss", "nas-bench-201")
    path = tmp_path / "file.pickle"
    assert table.info.source == {
        "version": f"file.pickle {sha256(path)[:8]}",
        "file": "file.pickle",
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
    }
    assert set(table.columns) == {f"{d}.{m}" for d in DATASETS for m in METRICS}
    configs = data["nasbench201"]["cifar10"]["config"]
    architectures = table.space.from_string([config["arch_str"] for config in configs])
    order = table.extra("official_order")
    assert order.tolist() == table.space.index(architectures).tolist()
    for dataset in DATASETS:
        for metric in METRICS:
            expected = [float(v) for v in data["nasbench201"][dataset][metric]]
            assert table.query(architectures, f"{dataset}.{metric}").tolist() == expected
    if number is not np.float32:
        for metric, value in OF_INDEX_0.items():
            cell = table.space.from_string(INDEX_0)
            assert table.query(cell, f"cifar10.{metric}") == value
        assert order[0] == table.space.index(table.space.from_string(INDEX_0))


def test_the_columns_say_what_they_are(imported):
    columns = imported(SMALL).columns
    for name, column in columns.items():
        dataset, metric = name.split(".")
        assert (column.dataset, column.quantity) == (dataset, metric)
        assert column.maximize == (metric == "eyeriss_arithmetic_intensity")
        assert column.trials == (("estimated" if "eyeriss" in metric else "measured"),)
        assert (column.split, column.epochs, column.schedule) == (None, None, None)
        unit = {"latency": "ms", "energy": "mJ", "intensity": "ops/byte"}
        assert column.unit == unit[metric.split("_")[-1]]


def test_a_file_of_fewer_cells_says_how_many_are_missing(imported):
    table = imported(SMALL)
    assert len(table) == 7
    assert table.info.missing == ("15,618 of the 15,625 cells are not in the file.",)
    assert (table.row(table.space.at(np.arange(15_625))) >= 0).sum() == 7


def test_another_name_can_be_given(imported):
    assert imported(SMALL, name="mine").name == "mine"


def test_no_number_is_no_value(imported):
    data = changed("nasbench201", "cifar100", "fpga_energy", to=[None, float("nan"), *range(5)])
    # The Edge TPU's compiler refuses some networks, which the authors write as -1.
    data["nasbench201"]["cifar10"]["edgetpu_latency"][2] = -1
    data["nasbench201"]["cifar10"]["edgetpu_latency"][3] = -1.0
    table = imported(data)
    assert np.isnan(table.values("cifar100.fpga_energy")).tolist() == [True] * 2 + [False] * 5
    assert np.isnan(table.values("cifar10.edgetpu_latency")).nonzero()[0].tolist() == [2, 3]
    assert table.info.missing[1:] == (
        "cifar10.edgetpu_latency has no value for 2 of the 7 cells.",
        "cifar100.fpga_energy has no value for 2 of the 7 cells.",
    )


def test_a_metric_that_a_file_lacks_is_named(imported):
    metric = "eyeriss_arithmetic_intensity"
    table = imported(changed("nasbench201", "cifar100", metric, to=KeyError))
    assert f"cifar100.{metric}" not in table.columns
    assert table.info.missing[1:] == (f"The file has no {metric} for cifar100.",)


def test_the_file_may_lack_the_other_space_or_be_ordered(imported):
    assert len(imported({"nasbench201": SMALL["nasbench201"]})) == 7
    part = OrderedDict((d, OrderedDict(SMALL["nasbench201"][d])) for d in DATASETS)
    assert len(imported(OrderedDict(nasbench201=part))) == 7


def test_progress_is_told(tmp_path):
    path, told = tmp_path / "file.pickle", []
    path.write_bytes(pickle.dumps(SMALL))
    with atomic_folder(tmp_path / "table") as new:
        convert(path, new, ImportOptions(progress=lambda *numbers: told.append(numbers)))
    assert told == [(i, 30) for i in range(1, 31)]


# Wrong files


def swapped():
    data = copy.deepcopy(SMALL)
    configs = data["nasbench201"]["ImageNet16-120"]["config"]
    configs[3], configs[5] = configs[5], configs[3]
    return data


def twice():
    data = copy.deepcopy(SMALL)
    for dataset in DATASETS:
        configs = data["nasbench201"][dataset]["config"]
        configs[6]["arch_str"] = configs[2]["arch_str"]
    return data


def no_cell(text):
    data = copy.deepcopy(SMALL)
    for dataset in DATASETS:
        data["nasbench201"][dataset]["config"][4]["arch_str"] = text
    return data


PART = "nasbench201"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1], r"expected a dict with the key 'nasbench201'.* but got \[1\] \(list\)"),
        ({}, r"expected a dict with the key 'nasbench201'.* but got {}"),
        ({"fbnet": SMALL["fbnet"]}, "expected a dict with the key 'nasbench201'"),
        ({PART: [SMALL[PART]]}, "expected a dict with the key 'nasbench201'"),
        (changed(PART, "cifar100", to=KeyError), "dict of metrics for 'cifar100' .*None"),
        (changed(PART, "cifar10", to=[1, 2]), r"dict of metrics for 'cifar10' .*\[1, 2\] \(list\)"),
        (changed(PART, "cifar10", "config", to=KeyError), "networks as 'config' of 'cifar10'"),
        (changed(PART, "cifar10", "config", to={}), "networks as 'config' of 'cifar10'"),
        (changed(PART, "cifar10", "config", to=[]), "networks as 'config' of 'cifar10'"),
        (changed(PART, "cifar10", "config", 3, to=None), "as record 3 of 'config' of 'cifar10'"),
        (changed(PART, "cifar100", "config", 3, to={}), "as record 3 of 'config' of 'cifar100'"),
        (
            changed(PART, "cifar10", "config", 3, "arch_str", to=7),
            "the text 'arch_str' as record 3",
        ),
        (
            changed(PART, "cifar100", "config", 6, to=KeyError),
            "'config' has 7 records for 'cifar10' but 6 for 'cifar100'",
        ),
        (swapped(), r"record 3 of 'config' is '.*' for 'cifar10' but '.*' for 'ImageNet16-120'"),
        (twice(), r"records 2 and 6 of 'config' are both \|"),
        (no_cell("nonsense"), "record 4 of 'config' of 'cifar10' is no cell: Expected"),
        (no_cell(""), "record 4 of 'config' of 'cifar10' is no cell: Expected"),
        (no_cell(INDEX_0.replace("nor", "new")), "record 4 .*is no cell: Expected an option"),
        (no_cell("|" * 100_000), "record 4 of 'config' of 'cifar10' is no cell: Expected"),
        (changed(PART, "cifar10", "edgegpu_latency", to=KeyError), "has no edgegpu_latency"),
        (changed(PART, "cifar10", "fpga_latency", to=None), "'fpga_latency' of 'cifar10' .*None"),
        (
            changed(PART, "cifar10", "fpga_latency", to={0: 1.0}),
            "list of numbers as 'fpga_latency'",
        ),
        (
            changed(PART, "cifar10", "fpga_latency", 6, to=KeyError),
            "'fpga_latency' of 'cifar10' has 6 records for 7 networks",
        ),
        *[
            (
                changed(PART, "cifar100", "fpga_energy", 5, to=value),
                "not negative, as record 5 of 'fpga_energy' of 'cifar100' but got",
            )
            for value in ("1.0", [1.0], {}, True, -0.5, -1, float("inf"), 10**400, np.inf, b"1")
        ],
        *[
            (
                changed(PART, "cifar100", "edgetpu_latency", 5, to=value),
                "not negative, as record 5 of 'edgetpu_latency' of 'cifar100' but got",
            )
            for value in (-2, -0.5, float("-inf"), "-1")
        ],
    ],
)
def test_a_wrong_file_is_refused(imported, tmp_path, data, message):
    with pytest.raises(TableFileError, match=message) as caught:
        imported(data)
    assert str(tmp_path / "file.pickle") in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file.pickle"]


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_file_truncated_anywhere_is_refused(imported, tmp_path, protocol):
    data = pickle.dumps(SMALL, protocol)
    for place in [0, 1, 2, len(data) - 1, *random.Random(1).sample(range(len(data)), 100)]:
        with pytest.raises(TableFileError, match=r"file\.pickle"):
            imported(data[:place])
        recognise(tmp_path / "file.pickle")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file.pickle"]


class Calls:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "keys",
    [
        ("fbnet",),
        ("fbnet", "other"),
        (PART, "cifar100", "fpga_energy", 5),
        (PART, "cifar10", "config", 2, "arch_str"),
    ],
)
def test_a_hostile_file_runs_nothing(imported, tmp_path, protocol, keys):
    marker = tmp_path / "marker"
    data = pickle.dumps(changed(*keys, to=Calls(f"touch {marker}")), protocol)
    # Protocols 0 and 1 are refused one way or the other; no file of the benchmark has them.
    with pytest.raises(UnsafeFileError if protocol > 1 else TableFileError, match=r"file\.pickle"):
        imported(data)
    assert not marker.exists()
    pickle.loads(data)  # the attack is one: Python's own reader falls for it
    assert marker.exists()


# Recognising


def test_the_format_is_told_by_content(tmp_path):
    path = tmp_path / "any.name"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps(SMALL, protocol))
        assert FORMAT.recognise(path) == NAME
    # The other space first, and large.
    data = {"fbnet": {"edgegpu_latency": "x" * 3_000_000}, PART: SMALL[PART]}
    path.write_bytes(pickle.dumps(data))
    assert recognise(path) == NAME


def test_a_key_across_two_chunks_is_seen(tmp_path):
    path = tmp_path / "file"
    for before in range((1 << 20) - 14, (1 << 20) + 2):
        path.write_bytes(b"\x80" + b"x" * (before - 1) + b"nasbench201 edgegpu_latency")
        assert recognise(path) == NAME


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"nasbench201 edgegpu_latency",
        b"BZh9" + b"nasbench201 edgegpu_latency",
        pickle.dumps({"nasbench201": 1}),
        pickle.dumps({"edgegpu_latency": 1}),
        pickle.dumps({"meta_archs": []}),
    ],
)
def test_other_files_are_not_claimed(tmp_path, data):
    path = tmp_path / "file"
    path.write_bytes(data)
    assert recognise(path) is None


def test_what_is_no_file_is_not_claimed(tmp_path):
    assert recognise(tmp_path) is None
    assert recognise(tmp_path / "absent") is None
    assert recognise(tmp_path / "a\0b") is None

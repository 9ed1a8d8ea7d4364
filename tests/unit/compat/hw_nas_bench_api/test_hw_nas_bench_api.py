"""``nasbench_lab.compat.hw_nas_bench_api`` against what the official class says of the same file.

The official class is not in an index of packages. What it gives was read from
``hw_nas_bench_api/hw_nas_bench_api.py`` of GATECH-EIC/HW-NAS-Bench: ``float`` of the entry of each
metric, and the product of nine of them.
"""

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hardware_metrics import METRICS

from nasbench_lab import open_table
from nasbench_lab.compat import OfficialBehaviourWarning
from nasbench_lab.compat.hw_nas_bench_api import HWNASBenchAPI
from nasbench_lab.errors import NasbenchLabError, TableFileError
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.table import Table

DATASETS = {"cifar10": 10, "cifar100": 100, "ImageNet16-120": 120}
N = 9


@pytest.fixture(scope="module")
def content():
    space, rng = get_space("nb201"), np.random.default_rng(1)
    texts = space.to_string(space.sample(rng, 4 * N))
    texts = list(dict.fromkeys(texts))[:N]
    part = {}
    for dataset, classes in DATASETS.items():
        part[dataset] = {metric: (rng.random(N) * 40).tolist() for metric in METRICS}
        part[dataset]["config"] = [
            {"name": "infer.tiny", "C": 16, "N": 5, "arch_str": text, "num_classes": classes}
            for text in texts
        ]
    part["cifar10"]["edgetpu_latency"][3] = -1
    return {"nasbench201": part, "fbnet": {}}


@pytest.fixture(scope="module")
def path(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("hw") / "HW-NAS-Bench-v1_0.pickle"
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.fixture(scope="module")
def api(path):
    return HWNASBenchAPI(str(path), search_space="nasbench201")


def test_costs_are_the_official_ones(api, content):
    for dataset, metrics in content["nasbench201"].items():
        for index in range(N):
            expected = {metric: float(metrics[metric][index]) for metric in METRICS}
            product = 1.0
            for metric in METRICS:
                if metric != "eyeriss_arithmetic_intensity":
                    product *= expected[metric]
            expected["average_hw_metric"] = product
            found = api.query_by_index(index, dataset)
            assert list(found) == list(expected)
            assert found == expected
            assert {type(value) for value in found.values()} == {float}
    refused = api.query_by_index(3, "cifar10")
    assert refused["edgetpu_latency"] == -1.0
    assert refused["average_hw_metric"] < 0


def test_configurations_and_lists_are_the_official_ones(api, content):
    for dataset, metrics in content["nasbench201"].items():
        for index in range(N):
            config = api.get_net_config(index, dataset)
            assert list(config.items()) == list(metrics["config"][index].items())
            config.clear()
        assert api.HW_metrics["nasbench201"][dataset] == metrics


def test_other_networks_are_kept_too(content, tmp_path):
    other = pickle.loads(pickle.dumps(content))
    for config in other["nasbench201"]["cifar10"]["config"]:
        config["C"], config["depth"] = 8, 2
    (tmp_path / "other.pickle").write_bytes(pickle.dumps(other))
    found = HWNASBenchAPI(tmp_path / "other.pickle").get_net_config(2, "cifar10")
    assert found == other["nasbench201"]["cifar10"]["config"][2]


def test_table_of_an_earlier_version(api, content, tmp_path):
    table = api._table
    old = Table.create(
        tmp_path / "old",
        replace(table.info, details={}),
        {column: np.array(table._arrays[name]) for name, column in table.columns.items()},
        np.array(table.extra("row_of_index")),
        extra={"official_order": np.array(table.extra("official_order"))},
    )
    again = HWNASBenchAPI(old)
    for dataset, metrics in content["nasbench201"].items():
        assert again.query_by_index(2, dataset) == api.query_by_index(2, dataset)
        assert again.get_net_config(2, dataset) == metrics["config"][2]


def test_what_is_refused(api, path, tmp_path):
    with pytest.raises(KeyError, match="nonsense") as error:
        api.query_by_index(0, "nonsense")
    assert isinstance(error.value, NasbenchLabError)
    for index in (N, -N - 1):
        for call in (api.query_by_index, api.get_net_config):
            with pytest.raises(IndexError, match="Expected an index") as error:
                call(index, "cifar10")
            assert isinstance(error.value, NasbenchLabError)
    with pytest.raises(ValueError, match="fbnet"):
        HWNASBenchAPI(path, search_space="fbnet")
    with pytest.raises(NotImplementedError, match="fbnet"):
        api.get_op_lookup_tables()
    with pytest.raises(FileNotFoundError):
        HWNASBenchAPI(tmp_path / "nowhere.pickle")
    with pytest.raises(TableFileError, match="no costs"):
        HWNASBenchAPI(open_table("nb201-digits"))


def test_index_from_the_end_warns_once(path):
    api = HWNASBenchAPI(path)
    with pytest.warns(OfficialBehaviourWarning, match="unknown architecture"):
        assert api.query_by_index(-1, "cifar10") == api.query_by_index(N - 1, "cifar10")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert api.get_net_config(-2, "cifar10") == api.get_net_config(N - 2, "cifar10")

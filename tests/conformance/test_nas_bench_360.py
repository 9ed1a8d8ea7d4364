"""Files of NAS-Bench-360, made up, and written by the official classes as its authors write theirs.

rtu715/NAS-Bench-360, ``precompute/*/benchmark/tss-collect.py``: one schedule and seed, ``ori-test``
alone, times of evaluations that are the mean of nothing, no latency. Darcy flow has 1 minus the
relative L2 error in place of accuracies, which is below 0 at first.
"""

import contextlib
import io
import math

import pytest

nats_bench = pytest.importorskip("nats_bench", reason="needs nasbench-lab[official]")
from nats_bench.api_utils import ArchResults, ResultsCount, pickle_save
from nats_files import cells

import nasbench_lab as lab
from nasbench_lab.compat import nats_bench as drop_in
from nasbench_lab.errors import NasbenchLabError
from nasbench_lab.registry import import_file, kept_tables, load_benchmark

N, EPOCHS = 6, 3
FORMS = ("NATS-tss-v1_0-48858.pickle.pbz2", "NATS-tss-v1_0-1f481-simple")
CLASSES = {"darcyflow": 1, "ninapro": 18}


def losses(index):
    """Losses after each epoch; the fourth architecture has the smallest in the end."""
    end = 0.1 + 0.07 * abs(index - 3)
    return {epoch: end + 1.7 * math.exp(-epoch) for epoch in range(EPOCHS)}


def record(index, text, dataset):
    accuracy = (lambda loss: 1 - loss) if dataset == "darcyflow" else (lambda loss: 90 - 40 * loss)
    trained = losses(index)
    accuracies = {epoch: accuracy(loss) for epoch, loss in trained.items()}
    config = {
        "channel": 16,
        "num_cells": 5,
        "arch_str": text,
        "class_num": CLASSES[dataset],
    }
    result = ResultsCount(
        dataset, None, accuracies, trained, 0.3 + index, 40.0, config, "0777", EPOCHS, None
    )
    top_5 = dict.fromkeys(trained, 0)
    result.update_train_info(accuracies, top_5, trained, dict.fromkeys(trained, 20.0))
    tested = {f"ori-test@{epoch}": 1.1 * loss for epoch, loss in trained.items()}
    result.update_eval(
        {key: accuracy(loss) for key, loss in tested.items()}, tested, dict.fromkeys(tested, 1.0)
    )
    information = ArchResults(index, text)
    information.update(dataset, 777, result)
    information.reset_pseudo_train_times(dataset, None, 20.0 / 25_000 * 1000)
    information.reset_pseudo_eval_times(dataset, None, "ori-test", math.nan)
    information.clear_params()
    return {"12": information.state_dict()}


@pytest.fixture
def write(monkeypatch, tmp_path):
    """Writes the single file and the folder of a data set; the data folder is one of its own."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))

    def written(dataset):
        texts = cells(N)
        records = {index: record(index, text, dataset) for index, text in enumerate(texts)}
        whole = {
            "meta_archs": texts,
            "total_archs": N,
            "arch2infos": records,
            "evaluated_indexes": set(records),
        }
        single, folder = (tmp_path / dataset / form for form in FORMS)
        folder.mkdir(parents=True)
        pickle_save(whole, str(single).removesuffix(".pbz2"))
        meta = {**whole, "arch2infos": None, "evaluated_indexes": set()}
        pickle_save(meta, str(folder / "meta.pickle"))
        for index, one in records.items():
            pickle_save(one, str(folder / f"{index:06d}.pickle"))
        return single, folder

    return written


@pytest.mark.parametrize("dataset", CLASSES)
def test_the_drop_in_answers_as_the_official_class(write, official, dataset):
    for path in write(dataset):
        fast = path.is_dir()
        with contextlib.redirect_stdout(io.StringIO()):
            ours = drop_in.create(str(path), "tss", fast_mode=fast, verbose=False)
        theirs = nats_bench.create(str(path), "tss", fast_mode=fast, verbose=False)
        for call in (
            lambda api: [api.get_more_info(i, dataset, hp="12") for i in range(N)],
            lambda api: api.get_more_info(2, dataset, iepoch=1, hp="12", is_random=777),
            lambda api: api.get_more_info(2, dataset, iepoch=0, hp="12", is_random=False),
            lambda api: api.get_cost_info(4, dataset, hp="12"),
            lambda api: api.get_net_config(4, dataset),
            lambda api: api.get_latency(4, dataset, hp="12"),
            lambda api: api.find_best(dataset, "ori-test", hp="12"),
            lambda api: api.query_meta_info_by_index(1, "12").get_metrics(dataset, "ori-test"),
            lambda api: api.query_meta_info_by_index(1, "12").query(dataset, 777).eval_times,
            lambda api: api.simulate_train_eval(1, dataset, iepoch=11, hp="12"),
            lambda api: api.get_more_info(1, dataset, hp="200"),
        ):
            official.check_call(ours, theirs, call, (dataset, fast))
        assert ours.find_best(dataset, "ori-test", hp="12")[0] == 3


@pytest.mark.parametrize("dataset", CLASSES)
def test_a_table_knows_what_is_better_and_a_search_says_that_it_sees_what_is_reported(
    write, dataset
):
    single, folder = write(dataset)
    name = f"nas-bench-360-{dataset}"
    assert import_file(single).name == name
    table = import_file(folder, jobs=1)
    assert table.name == name
    assert kept_tables() == [name]  # an imported nats-tss would not have been replaced
    assert "CIFAR" not in table.info.description
    loss = table.columns[f"{dataset}.12.ori-test.loss"]
    accuracy = table.columns[f"{dataset}.12.ori-test.accuracy"]
    assert (loss.maximize, accuracy.maximize, accuracy.on_test_data) == (False, True, True)
    expected = ("score", "1") if dataset == "darcyflow" else ("accuracy", "%")
    assert (accuracy.quantity, accuracy.unit) == expected
    architecture = table.space.from_string(cells(N)[5])
    assert table.query(architecture, f"{dataset}.12.ori-test.loss") == 1.1 * losses(5)[EPOCHS - 1]
    if dataset == "darcyflow":
        first = lab.Query(f"{dataset}.12.ori-test.accuracy", epoch=1)
        assert table.query(architecture, first) == 1 - 1.1 * losses(5)[0] < 0
    with pytest.raises(NasbenchLabError, match="has no objective of its own"):
        load_benchmark(name)
    benchmark = load_benchmark(f"{name}/{dataset}-search-on-test")
    assert benchmark.objectives[0].maximize == (dataset == "ninapro")
    trace = lab.run("random_search", benchmark, 40, seed=0)
    assert trace.best() == cells(N)[3]

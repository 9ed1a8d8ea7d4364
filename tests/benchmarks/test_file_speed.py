"""Speeds of importing benchmark files, and of queries beside the official packages."""

import itertools
import subprocess
import sys

import nas_bench_101_files
import nats_files
import numpy as np
import pytest
from joblib import Parallel, delayed

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.registry import import_file, table_folder
from nasbench_lab.tables.table import Table

HP = {"12": "12-epoch", "200": "200-epoch"}


@pytest.fixture(scope="module")
def enabled(request):
    """Whether something is measured; otherwise all is small."""
    option = request.config.getoption
    return option("benchmark_enable") or not option("benchmark_disable")


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("data")
        patch.setenv("NASBENCH_LAB_DATA", str(folder))
        yield folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory, enabled, data_folder):
    """A NATS-Bench archive with records of the real size: 2,000 of them when measuring."""
    n = 2_000 if enabled else 6
    epochs = None if enabled else {"12": 3, "200": 5}
    texts = nats_files.cells(n)
    folder = tmp_path_factory.mktemp("nats") / "NATS-tss-v1_0-3ffb9-simple"
    nats_files.write_simple(folder, texts, {})
    Parallel(n_jobs=-1 if enabled else 1)(
        delayed(nats_files.write_one)(folder, i, text, epochs) for i, text in enumerate(texts)
    )
    return folder


@pytest.fixture(scope="module")
def table(archive):
    return import_file(archive)


def test_import_throughput(measure, archive, benchmark, note):
    n = len(list(archive.iterdir())) - 1
    measure(
        f"import {n:,} NATS-Bench records on one core, per record",
        lambda: import_file(archive, name="one", jobs=1),
        per=n,
        limit=38.4,  # 15,625 records in 5 minutes on two cores
        rounds=1,
    )
    if benchmark.stats:
        note(
            f"import throughput: {n / benchmark.stats.stats.median:.0f} records per second and core"
        )


def test_import_on_all_cores(measure, archive):
    n = len(list(archive.iterdir())) - 1
    measure(
        "the same on all cores, per record",
        lambda: import_file(archive, name="all"),
        per=n,
        limit=19.2,
        rounds=1,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("form", ["folder", "tar"])
def test_import_in_little_memory(archive, form, tmp_path, data_folder, measure, note):
    path = archive
    if form == "tar":
        path = nats_files.write_tar(tmp_path / "archive.tar", archive)
    code = (
        "import sys; from nasbench_lab.registry import import_file; "
        "import_file(sys.argv[1], name='little', jobs=1); print(open('/proc/self/status').read())"
    )
    command = [sys.executable, "-c", code, str(path)]
    outputs = []

    def run():
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        outputs.append(done.stdout)

    measure(f"import a {form} in a process of its own", run, unit="s", rounds=1)
    megabytes = int(outputs[-1].partition("VmHWM:")[2].split()[0]) / 1024
    note(f"peak memory of importing a {form}: {megabytes:.0f} MB, limit 1,000 MB")
    assert megabytes < 1000


def test_open_imported(measure, table):
    folder = table_folder(table.name)
    measure("open a table with all learning curves", lambda: Table.open(folder), limit=20)


def test_open_and_evaluate(measure, table):
    folder, architecture = table_folder(table.name), tuple(table.architectures[0].tolist())
    measure(
        "open it as a benchmark and evaluate once",
        lambda: TableBenchmark(Table.open(folder)).evaluate(architecture),
    )


# Beside the official package, warm: each architecture has been asked for before.


@pytest.fixture(scope="module")
def official(archive):
    nats_bench = pytest.importorskip("nats_bench", reason="the official package is the peer")
    return warmed(nats_bench.create(str(archive), "tss", fast_mode=True, verbose=False))


@pytest.fixture(scope="module")
def ours(table):
    from nasbench_lab.compat.nats_bench import create

    return warmed(create(table.name, "tss", fast_mode=True, verbose=False))


def warmed(api):
    for index, dataset, hp in asked():
        api.get_more_info(index, dataset, hp=hp)
        api.simulate_train_eval(index, dataset.removesuffix("-valid"), hp=hp)
    return api


def asked():
    return list(itertools.product(range(6), ("cifar10-valid", "cifar100", "ImageNet16-120"), HP))


def calls(api, method, hp):
    """One pass over the architectures and data sets."""
    function = getattr(api, method)
    keys = [(i, d) for i, d, schedule in asked() if schedule == hp]
    if method == "simulate_train_eval":
        keys = [(i, d.removesuffix("-valid")) for i, d in keys]

    def run(times=1):
        for _ in range(times):
            for index, dataset in keys:
                function(index, dataset, hp=hp)

    return run, len(keys)


@pytest.mark.parametrize("hp", HP)
@pytest.mark.parametrize("method", ["simulate_train_eval", "get_more_info"])
def test_beside_the_official_package(measure, official, ours, method, hp, enabled):
    run, n = calls(ours, method, hp)
    times = 500 if enabled else 1
    measure(f"{method}, {HP[hp]}", lambda: run(times), per=n * times, unit="µs")


@pytest.mark.parametrize("hp", HP)
@pytest.mark.parametrize("method", ["simulate_train_eval", "get_more_info"])
def test_peer_official(measure, official, method, hp):
    run, n = calls(official, method, hp)
    measure(
        f"peer: official {method}, {HP[hp]}", run, per=n, unit="µs", beside=f"{method}, {HP[hp]}"
    )


# NAS-Bench-101


@pytest.fixture(scope="module")
def tfrecord(tmp_path_factory, enabled, data_folder):
    made = nas_bench_101_files.trainings(2_000 if enabled else 10)
    return nas_bench_101_files.write(
        tmp_path_factory.mktemp("nb101") / "nasbench_full.tfrecord", made
    )


def test_import_nas_bench_101(measure, tfrecord, enabled):
    n = (2_000 if enabled else 10) * 4 * 3
    measure(
        "import NAS-Bench-101 on one core, per record",
        lambda: import_file(tfrecord, jobs=1),
        per=n,
        unit="µs",
        rounds=1,
    )


def test_query_nas_bench_101(measure, tfrecord):
    table = import_file(tfrecord, jobs=1)
    architectures = [tuple(a) for a in table.architectures.tolist()]

    def fresh():
        benchmark = TableBenchmark(table)
        benchmark.evaluate(architectures[0])
        return (benchmark,), {}

    def every(benchmark):
        for architecture in architectures:
            benchmark.evaluate(architecture)

    n = len(architectures)
    measure("query one cell of NAS-Bench-101", every, per=n, unit="µs", setup=fresh)
    known = TableBenchmark(table)
    assert not np.isnan([known.evaluate(a).values[0] for a in architectures]).any()

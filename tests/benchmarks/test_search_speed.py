"""Speeds that the design promises. ``make bench`` prints them beside their limits and a peer."""

import os
import re
import shlex
import subprocess
import sys
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from algorithms.random_search import RandomSearch
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.registry import load_benchmark, make_algorithm, open_table, table_folder
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.tables.table import Table
from nasbench_lab.testing import SyntheticBenchmark

TABLE = "nas-bench-graph/cora"

# As large as the NAS-Bench-201 space, but with no two architectures isomorphic: gp_bo scores all of
# them, as its peers do.
PLAIN = SearchSpace("plain", [Decision(f"edge {i}", "abcde") for i in range(6)])


@pytest.fixture(scope="module")
def architectures():
    benchmark = load_benchmark(TABLE)
    drawn = benchmark.space.sample(np.random.default_rng(0), 20_000)
    return [tuple(a) for a in np.unique(drawn, axis=0).tolist()]


def test_import(measure):
    command = [sys.executable, "-c", "import nasbench_lab"]
    empty = [sys.executable, "-c", ""]
    measure("start Python and import nasbench_lab", lambda: subprocess.run(command, check=True))
    assert subprocess.run(empty, check=True).returncode == 0


def test_open(measure):
    open_table(TABLE)
    folder = table_folder(TABLE)
    measure("open a table", lambda: Table.open(folder), limit=20)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_open_and_query_in_little_memory(measure, note):
    code = (
        f"from nasbench_lab import load_benchmark; b = load_benchmark({TABLE!r}); "
        "b.evaluate(b.space.at(5)); print(open('/proc/self/status').read())"
    )
    open_table(TABLE)
    command = [sys.executable, "-c", code]
    outputs = []

    def run():
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        outputs.append(done.stdout)

    measure("start Python, open a table and query it", run, rounds=1)
    # Not ru_maxrss, which a process inherits from the one that starts it.
    megabytes = int(outputs[-1].partition("VmHWM:")[2].split()[0]) / 1024
    note(f"resident after opening a table and a query: {megabytes:.0f} MB, limit 100 MB")
    assert megabytes < 100


def test_query_one_never_asked_before(measure, architectures):
    table = open_table(TABLE)

    def all_of_them(benchmark):
        for architecture in architectures:
            benchmark.evaluate(architecture)

    def fresh():
        benchmark = TableBenchmark(table)
        benchmark.evaluate(architectures[0])
        return (benchmark,), {}

    n = len(architectures)
    measure("query one architecture", all_of_them, per=n, unit="µs", limit=2, setup=fresh)


def test_query_one_again(measure, architectures):
    benchmark = load_benchmark(TABLE)

    def all_of_them():
        for architecture in architectures:
            benchmark.evaluate(architecture)

    n = len(architectures)
    measure("query one architecture again", all_of_them, per=n, unit="µs", limit=2)


def test_query_batch(measure):
    benchmark = load_benchmark(TABLE)
    many = benchmark.space.sample(np.random.default_rng(0), 100_000)
    measure(
        "query in a batch of 100,000, per architecture",
        lambda: benchmark.evaluate_many(many), per=len(many), unit="ns", limit=50,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["random_search", "regularized_evolution"])
def test_simulator(measure, name):
    benchmark, n = load_benchmark(TABLE), 5000
    measure(
        f"simulator and {name}, per trial",
        lambda algorithm: simulate(algorithm, benchmark, n), per=n, unit="µs", limit=20,
        setup=lambda: ((make_algorithm(name, benchmark.space, seed=1),), {}),
    )  # fmt: skip


class Watching(RandomSearch):
    """Random search that looks at every epoch, and never stops anything."""

    def should_stop(self, trial, evaluation):
        return False


@pytest.mark.parametrize("workers", [1, 8])
def test_epoch_events(measure, workers):
    n, epochs = 2000, 12
    measure(
        f"simulator, random search, {workers} worker{'s'[: workers - 1]}, per epoch that is shown",
        lambda algorithm, benchmark: simulate(algorithm, benchmark, n, workers=workers),
        per=n * epochs, unit="µs", limit=5,
        setup=lambda: (
            (Watching(get_space("nb201"), seed=1), load_benchmark("nb201-digits")), {},
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("peer", "ours"),
    [("random", "random_search"), ("random", Watching), ("rea", "regularized_evolution")],
)
def test_syne_tune_peer(benchmark, note, peer, ours):
    """Both simulate as many trials of 12 epochs on 15,625 cells, one after the other, in one run.

    Syne Tune's simulator reports every epoch; ours only to those who look at them.
    """
    command = os.environ.get("SYNE_TUNE")
    if command is None or benchmark.disabled:
        pytest.skip("set SYNE_TUNE to 'PYTHON SCRIPT', a Python that has Syne Tune and its script")
    n = 1000
    done = subprocess.run(
        [*shlex.split(command), peer, str(n)], capture_output=True, check=True, text=True
    )
    theirs = float(re.search(r"wall=([\d.]+)s", done.stdout)[1]) / n
    opened = load_benchmark("nb201-digits")
    benchmark.pedantic(
        lambda algorithm: simulate(algorithm, opened, n),
        setup=lambda: ((make_algorithm(ours, opened.space, seed=1),), {}),
        rounds=5, warmup_rounds=1,
    )  # fmt: skip
    taken = benchmark.stats.stats.median / n
    what = "random_search that sees every epoch" if ours is Watching else ours
    note(
        f"{what}: Syne Tune {theirs * 1e3:.2f} ms per trial, we {taken * 1e6:.1f} µs: "
        f"{theirs / taken:,.0f} times as fast"
    )


@pytest.mark.parametrize("space", [PLAIN, get_space("nb201")], ids=["15,625", "5,260"])
def test_gp_bo(measure, space, request):
    benchmark = SyntheticBenchmark(space)
    candidates = request.node.callspec.id
    measure(
        f"gp_bo, 100 evaluations, {candidates} candidates, per evaluation",
        lambda algorithm: simulate(algorithm, benchmark, 100), per=100, limit=2,
        setup=lambda: ((make_algorithm("gp_bo", space, seed=1),), {}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("table", "n", "workers", "limit"),
    [
        ("nb201-digits", 100, 1, 0.5),
        ("nas-bench-graph/cora", 100, 1, 1),
        ("nas-bench-graph/cora", 100, 8, 1),
        ("fcnet/protein_structure", 1000, 1, 3),
    ],
)
def test_gp_bo_on_tables(measure, request, table, n, workers, limit):
    benchmark = load_benchmark(table)
    maximize = [objective.maximize for objective in benchmark.objectives]
    enabled = not request.config.getoption("benchmark_disable") or request.config.getoption(
        "benchmark_enable"
    )
    budget = n if enabled else 30
    measure(
        f"gp_bo on {table}, {n:,} evaluations, {workers} worker{'s'[: workers - 1]}, per evaluation",
        lambda algorithm: simulate(
            algorithm, benchmark, budget, workers=workers, noise=np.random.default_rng(1)
        ),
        per=budget, limit=limit,
        setup=lambda: ((make_algorithm("gp_bo", benchmark.space, seed=1, maximize=maximize),), {}),
    )  # fmt: skip


def test_gp_bo_peer(measure, request):
    """The plain scikit-learn loop over the same candidates, in the same run."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    every = PLAIN.at(np.arange(PLAIN.size))
    onehot, rng = PLAIN.encode(every), np.random.default_rng(0)
    benchmark = SyntheticBenchmark(PLAIN)
    y = np.array([benchmark.evaluate(tuple(a)).values[0] for a in every.tolist()])
    enabled = not request.config.getoption("benchmark_disable") or request.config.getoption(
        "benchmark_enable"
    )
    n = 100 if enabled else 12

    @threadpool_limits.wrap(limits=1)  # as ours; on more threads it is slower
    def loop():
        rows = rng.choice(len(every), 10, replace=False).tolist()
        kernel = ConstantKernel(1.0) * Matern(nu=2.5) + WhiteKernel(1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            while len(rows) < n:
                model = GaussianProcessRegressor(kernel, normalize_y=True).fit(
                    onehot[rows], y[rows]
                )
                mean, sd = model.predict(onehot, return_std=True)
                bound = mean + 2 * sd
                bound[rows] = -np.inf
                rows.append(int(bound.argmax()))

    measure("peer: scikit-learn in a loop, per evaluation", loop, per=n, rounds=1)

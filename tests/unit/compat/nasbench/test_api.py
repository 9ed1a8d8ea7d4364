"""``nasbench_lab.compat.nasbench`` against what the official class makes of the same records.

The official class needs TensorFlow; what it answers to a small file is in ``test_official_file.py``.
What it keeps of a file was read from ``nasbench/api.py`` of google-research/nasbench: the first record
of a hash gives matrix, operations and parameters; each record adds a training to the list of its number
of epochs.
"""

import copy
import itertools
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
from nas_bench_101_files import SPACE, trainings, write

from nasbench_lab.compat.nasbench import api
from nasbench_lab.compat.nasbench.lib import config, graph_util, model_spec
from nasbench_lab.errors import NasbenchLabError, TableFileError
from nasbench_lab.spaces.nb101 import OPERATIONS
from nasbench_lab.tables.sources import ImportOptions
from nasbench_lab.tables.table import Table
from tabular_data.nas_bench_101 import FORMAT

pytestmark = pytest.mark.long

NAMES = ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")


def relabelled(one, rng):
    """The same cell with its inner nodes in another order, if another one is possible."""
    matrix = np.array(list(one.adjacency), dtype=int).reshape(-1, len(one.operations.split(",")))
    names = one.operations.split(",")
    orders = [
        (0, *inner, len(names) - 1) for inner in itertools.permutations(range(1, len(names) - 1))
    ]
    orders = [o for o in orders if not np.tril(matrix[np.ix_(o, o)]).any()]
    order = orders[rng.integers(len(orders))]
    one.adjacency = "".join(map(str, matrix[np.ix_(order, order)].flat))
    one.operations = ",".join(names[i] for i in order)


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(3)
    made = trainings(40, seed=5)
    for one in made:
        relabelled(one, rng)
    # Some trainings are missing, and others were computed in single precision.
    made = [one for i, one in enumerate(made) if i % 17]
    for one in made[::2]:
        for numbers in (one.half, one.full):
            numbers[1:] = np.float32(numbers[1:]).astype(float).tolist()
    return made


def imported(path, folder, **options):
    folder.mkdir()
    FORMAT.convert(path, folder, ImportOptions(jobs=1, **options))
    return Table.open(folder)


@pytest.fixture(scope="module")
def table(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nasbench")
    return imported(write(folder / "nasbench_full.tfrecord", made), folder / "table")


@pytest.fixture(scope="module")
def bench(table):
    return api.NASBench(table, seed=1)


@pytest.fixture(scope="module")
def expected(made):
    """Fixed and computed statistics of the official class."""
    fixed, computed = {}, {}
    for one in made:
        operations = one.operations.split(",")
        matrix = np.array(list(one.adjacency), dtype=np.int8).reshape(len(operations), -1)
        if one.hash not in fixed:
            fixed[one.hash] = {
                "module_adjacency": matrix,
                "module_operations": operations,
                "trainable_parameters": one.parameters,
            }
        values = {}
        for moment, numbers in (("halfway", one.half), ("final", one.full)):
            values |= {
                f"{moment}_{name}": x for name, x in zip(NAMES, map(float, numbers), strict=True)
            }
        computed.setdefault(one.hash, {}).setdefault(one.epochs, []).append(values)
    return fixed, computed


def spec(fixed):
    return api.ModelSpec(fixed["module_adjacency"], fixed["module_operations"])


def same(found, wanted):
    """Equal, also in types and in the order of keys."""
    assert list(found) == list(wanted)
    for key, value in wanted.items():
        assert type(found[key]) is type(value)
        if isinstance(value, np.ndarray):
            assert found[key].dtype == value.dtype
            assert np.array_equal(found[key], value)
        else:
            assert found[key] == value


def test_statistics_are_those_of_the_file_to_the_bit(bench, expected):
    fixed, computed = expected
    assert list(bench.hash_iterator()) == list(fixed)  # in the order of the file
    assert list(bench.computed_statistics) == list(fixed)
    assert len(bench.fixed_statistics) == len(fixed)
    for module_hash, wanted in fixed.items():
        same(bench.fixed_statistics[module_hash], wanted)
        found = bench.computed_statistics[module_hash]
        assert list(found) == list(computed[module_hash])
        for epochs, some in computed[module_hash].items():
            assert len(found[epochs]) == len(some)
            for one, other in zip(found[epochs], some, strict=True):
                same(one, other)
        by_hash = bench.get_metrics_from_hash(module_hash)
        by_spec = bench.get_metrics_from_spec(spec(wanted))
        for some in (by_hash, by_spec):
            same(some[0], wanted)
            assert some[1] == computed[module_hash]
    assert bench.valid_epochs == {4, 12, 36, 108}


def official_query(expected, spec_hash, epochs, stop_halfway):
    fixed, computed = expected
    training = computed[spec_hash][epochs][random.randint(0, 2)]
    moment = "halfway" if stop_halfway else "final"
    return {**fixed[spec_hash], **{name: training[f"{moment}_{name}"] for name in NAMES}}


def test_seeded_queries_draw_and_charge_as_officially(table, expected):
    hashes = list(expected[0])
    choose = random.Random(0)
    asked = [
        (choose.choice(hashes), choose.choice([4, 12, 36, 108, 7]), choose.random() < 0.3)
        for _ in range(400)
    ]
    random.seed(9)
    answers, time, epochs_spent = [], 0.0, 0
    for module_hash, epochs, half in asked:
        try:
            if epochs == 7:
                raise ValueError
            answers.append(official_query(expected, module_hash, epochs, half))
        except (ValueError, KeyError, IndexError) as error:
            answers.append(type(error))
            continue
        time += answers[-1]["training_time"]
        epochs_spent += epochs // 2 if half else epochs
    state = random.getstate()
    bench = api.NASBench(table, seed=9)
    for (module_hash, epochs, half), answer in zip(asked, answers, strict=True):
        cell = spec(expected[0][module_hash])
        if isinstance(answer, type):
            with pytest.raises(answer):
                bench.query(cell, epochs, half)
        else:
            same(bench.query(cell, epochs=epochs, stop_halfway=half), answer)
    assert random.getstate() == state
    assert bench.get_budget_counters() == (time, epochs_spent)
    assert (bench.training_time_spent, bench.total_epochs_spent) == (time, epochs_spent)
    bench.reset_budget_counters()
    assert bench.get_budget_counters() == (0.0, 0)


def test_answers_are_new_objects(bench, expected):
    module_hash = next(iter(expected[0]))
    for _ in range(2):
        fixed, computed = bench.get_metrics_from_hash(module_hash)
        same(fixed, expected[0][module_hash])
        assert computed == expected[1][module_hash]
        fixed["module_adjacency"][:] = 9
        fixed["module_operations"].clear()
        for some in computed.values():
            some[0].clear()


def test_isomorphic_cells_are_one(bench, expected, made):
    for one in made[:60]:
        names = one.operations.split(",")
        matrix = np.array(list(one.adjacency), dtype=int).reshape(len(names), -1)
        cell = api.ModelSpec(matrix.tolist(), names)
        same(bench.get_metrics_from_spec(cell)[0], expected[0][one.hash])
        assert bench.get_module_hash(cell) == one.hash == cell.hash_spec(list(OPERATIONS))


CHAIN = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]


def test_cells_outside_of_the_space(bench):
    one = ["input", "conv3x3-bn-relu", "output"]
    assert bench.is_valid(api.ModelSpec(CHAIN, one))
    full = np.triu(np.ones((6, 6), dtype=int), 1)  # 15 edges
    long = np.eye(8, k=1, dtype=int)
    for wrong in (
        api.ModelSpec(np.zeros((3, 3), dtype=int), one),
        api.ModelSpec(CHAIN, ["input", "conv7x7", "output"]),
        api.ModelSpec(CHAIN, ["output", "conv3x3-bn-relu", "output"]),
        api.ModelSpec(CHAIN, ["input", "conv3x3-bn-relu", "input"]),
        api.ModelSpec(full, ["input", *["maxpool3x3"] * 4, "output"]),
        api.ModelSpec(long, ["input", *["maxpool3x3"] * 6, "output"]),
    ):
        assert not bench.is_valid(wrong)
        for call in (bench.query, bench.get_metrics_from_spec, bench.get_module_hash):
            with pytest.raises(api.OutOfDomainError, match="Expected a cell of NAS-Bench-101"):
                call(wrong)
    with pytest.raises(api.OutOfDomainError, match="4 or 12 or 36 or 108 epochs"):
        bench.query(api.ModelSpec(CHAIN, one), epochs=7)
    assert bench.get_budget_counters() == (0.0, 0)
    with pytest.raises(KeyError, match="no record of this cell"):
        bench.query(api.ModelSpec([[0, 1], [0, 0]], ["input", "output"]))
    for unknown in ("0" * 32, "x" * 32, "", None, b"0" * 32):
        assert unknown not in bench.fixed_statistics
        with pytest.raises(KeyError, match="module hash"):
            bench.computed_statistics[unknown]


def test_nothing_is_trained(bench):
    with pytest.raises(NotImplementedError, match="TensorFlow"):
        bench.evaluate(api.ModelSpec(CHAIN, ["input", "maxpool3x3", "output"]), "model")


def test_smaller_file_has_one_schedule(made, tmp_path):
    some = [one for one in made if one.epochs == 108]
    path = write(tmp_path / "nasbench_only108.tfrecord", some)
    bench = api.NASBench(path)
    assert bench.valid_epochs == {108}
    assert list(bench.hash_iterator()) == list(dict.fromkeys(one.hash for one in some))
    with pytest.raises(api.OutOfDomainError):
        bench.query(api.ModelSpec(CHAIN, ["input", "maxpool3x3", "output"]), epochs=4)


def test_table_without_curves(made, expected, tmp_path):
    path = write(tmp_path / "nasbench_full.tfrecord", made)
    bench = api.NASBench(imported(path, tmp_path / "table", curves=False))
    for module_hash, some in expected[1].items():
        found = bench.get_metrics_from_hash(module_hash)[1]
        finals = {
            epochs: [
                {name: value for name, value in one.items() if name.startswith("final")}
                for one in ones
            ]
            for epochs, ones in some.items()
        }
        assert found == finals
    module_hash = next(h for h, some in expected[1].items() if len(some.get(108, ())) == 3)
    with pytest.raises(ValueError, match="without curves"):
        bench.query(spec(expected[0][module_hash]), stop_halfway=True)


def test_table_of_an_earlier_version(table, expected, tmp_path, capsys):
    names = {"own_cell", "own_nodes", "file_order", "schedule_order"}
    names |= {name for name in table._checksums if name.endswith(".steps")}
    extra = {"module_hash": np.array(table.extra("module_hash"))}
    columns = {c: np.array(table._arrays[c.name]) for c in table.columns.values()}
    old = Table.create(
        tmp_path / "old", table.info, columns, keys=np.array(table.extra("keys")), extra=extra
    )
    assert names.isdisjoint(old._checksums)
    bench = api.NASBench(old, seed=0)
    assert "earlier version" in capsys.readouterr().out
    assert set(bench.hash_iterator()) == set(expected[0])
    for module_hash, wanted in expected[0].items():
        fixed, computed = bench.get_metrics_from_spec(spec(wanted))
        assert spec(fixed).hash_spec(list(OPERATIONS)) == module_hash
        assert fixed["trainable_parameters"] == wanted["trainable_parameters"]
        for epochs, ones in expected[1][module_hash].items():
            for found, one in zip(computed[epochs], ones, strict=True):
                assert found == pytest.approx(one, rel=1e-15)


def test_sources(table, made, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no imported table"):
        api.NASBench(str(tmp_path / "nowhere.tfrecord"))
    with pytest.raises(ValueError, match="nas-bench-101"):
        api.NASBench()
    assert len(api.NASBench(str(table.folder)).fixed_statistics) == len(table)
    from nasbench_lab import open_table

    with pytest.raises(TableFileError, match="not imported from a file of NAS-Bench-101"):
        api.NASBench(open_table("nb201-digits"))


def test_pickled_and_copied(bench, expected):
    cell = spec(next(iter(expected[0].values())))
    for again in (pickle.loads(pickle.dumps(bench)), copy.deepcopy(bench)):
        same(again.get_metrics_from_spec(cell)[0], bench.get_metrics_from_spec(cell)[0])
        assert again.get_budget_counters() == bench.get_budget_counters()


def test_needs_no_tensorflow():
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'torch', 'absl', 'nasbench'): sys.modules[name] = None\n"
        "import nasbench_lab.compat.nasbench.api\n"
        "from nasbench_lab.compat.nasbench.lib import config, graph_util, model_spec"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# The modules that scripts import


def test_model_spec_prunes_and_keeps_copies():
    matrix = np.array([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    names = ["input", "conv3x3-bn-relu", "maxpool3x3", "output"]
    cell = model_spec.ModelSpec(matrix, names)
    assert cell.matrix.tolist() == CHAIN
    assert cell.ops == ["input", "conv3x3-bn-relu", "output"]
    matrix[:] = 7
    names.clear()
    assert cell.original_matrix.tolist()[0] == [0, 1, 1, 0]
    assert len(cell.original_ops) == 4
    assert cell.valid_spec
    assert cell.data_format == "channels_last"
    apart = model_spec.ModelSpec(np.zeros((3, 3), dtype=int), ["input", "maxpool3x3", "output"])
    assert (apart.matrix, apart.ops, apart.valid_spec) == (None, None, False)
    assert api.ModelSpec is model_spec.ModelSpec


@pytest.mark.parametrize(
    ("matrix", "ops", "problem"),
    [
        ([0, 1], ["input", "output"], "square"),
        ([[0, 1, 0], [0, 0, 1]], ["input", "output"], "square"),
        (CHAIN, ["input", "output"], "as many operations"),
        ([[0, 1], [1, 0]], ["input", "output"], "diagonal"),
        ([[1, 1], [0, 0]], ["input", "output"], "diagonal"),
    ],
)
def test_wrong_specs(matrix, ops, problem):
    with pytest.raises(ValueError, match=problem) as error:
        model_spec.ModelSpec(matrix, ops)
    assert isinstance(error.value, NasbenchLabError)


def test_graph_util_is_the_official_one():
    # The authors' module, as ported to PyTorch without a change of these functions.
    pytest.importorskip("nasbench_pytorch")
    from nasbench_pytorch.model import graph_util as official

    rng = np.random.default_rng(0)
    for _ in range(20):
        n = int(rng.integers(2, 5))
        bits = int(rng.integers(1 << n * (n - 1) // 2))
        graphs = []
        for module in (graph_util, official):
            graphs.append(np.fromfunction(module.gen_is_edge_fn(bits), (n, n), dtype=np.int8))
        assert graphs[0].tolist() == graphs[1].tolist()
        matrix = graphs[0].astype(int)
        labels = rng.integers(3, size=n).tolist()
        order = rng.permutation(n).tolist()
        moved, names = graph_util.permute_graph(matrix, labels, order)
        expected = official.permute_graph(matrix, labels, order)
        assert (moved.tolist(), names) == (expected[0].tolist(), expected[1])
        for call in ("is_full_dag", "num_edges"):
            assert getattr(graph_util, call)(matrix) == getattr(official, call)(matrix)
        assert graph_util.hash_module(matrix, labels) == official.hash_module(matrix, labels)
        for other in (moved.astype(int), matrix, matrix[::-1]):
            pair = (matrix, labels), (other, names)
            assert graph_util.is_isomorphic(*pair) == official.is_isomorphic(*pair)


def test_graph_util_refuses_what_does_not_fit():
    with pytest.raises(AssertionError):
        graph_util.is_isomorphic((CHAIN, ["a", "b", "c"]), ([[0, 1], [0, 0]], ["a", "b"]))
    with pytest.raises(AssertionError):
        graph_util.hash_module(np.array(CHAIN), [-1, -2])


def test_hashes_are_those_of_the_space():
    # The space's own are compared with published ones in its tests.
    for cell in SPACE.sample(np.random.default_rng(2), 20).tolist():
        graph = SPACE.graph(tuple(cell))
        matrix = np.zeros((7, 7), dtype=int)
        for edge in graph.edges:
            matrix[edge.source, edge.target] = 1
        found = api.ModelSpec(matrix, list(graph.nodes)).hash_spec(list(OPERATIONS))
        assert found == SPACE.module_hash(tuple(cell))


def test_configuration():
    found = config.build_config()
    assert found["available_ops"] == list(OPERATIONS)
    sizes = ("module_vertices", "max_edges", "num_repeats", "num_stacks", "train_epochs")
    assert [found[name] for name in sizes] == [7, 9, 3, 3, 108]
    found.clear()
    assert config.build_config()["stem_filter_size"] == 128

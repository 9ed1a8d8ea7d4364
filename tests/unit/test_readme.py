"""What the README shows works."""

import re
import runpy
from pathlib import Path

import nats_files
import pytest

from nasbench_lab import stats
from nasbench_lab.experiment.toml import read_experiment
from nasbench_lab.registry import import_file
from nasbench_lab.running.comparison import compare
from nasbench_lab.testing import check_algorithm
from nasbench_lab.workers import Workers

pytestmark = pytest.mark.long

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
TOML = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_search.py"
    (source,) = (block for block in BLOCKS if "class HillClimbing" in block)
    path.write_text(source)
    return path


def test_the_algorithm_is_complete_in_fifteen_lines(file):
    assert len([line for line in file.read_text().splitlines() if line.strip()]) <= 15
    check_algorithm(f"{file}:HillClimbing")


def test_the_algorithm_plugs_in(file):
    result = compare([f"{file}:HillClimbing"], "nas-bench-graph/proteins", budget=20, seeds=2)
    assert result.algorithms == ["HillClimbing"]
    assert len(result.runs) == 2


def test_the_python_example_runs(tmp_path):
    (source,) = (block for block in BLOCKS if "result.to_frame" in block)
    path = tmp_path / "example.py"
    path.write_text(source.replace("seeds=30", "seeds=2").replace("budget=100", "budget=15"))
    names = runpy.run_path(str(path))
    assert len(names["trace"]) == 15
    assert names["trace"].best().startswith("Arch(")
    assert len(names["result"].summary()) == 3


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """The table ``nats-tss``, made of a few made-up records, in the folder where examples run."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (cell,) = set(re.findall(r'from_string\(\s*"(.*?)"', README))
    texts = [text for text in nats_files.cells(12) if text != cell][:11]
    texts.append(cell)
    records = {11: nats_files.record(11, cell, epochs={"200": 20})}
    folder = nats_files.write_simple(Path("NATS-tss-v1_0-3ffb9-simple"), texts, records)
    import_file(folder)
    return records[11]


def test_the_questions_to_a_table_are_answered(imported):
    (source,) = (block for block in BLOCKS if "TableBenchmark(" in block)
    names = {}
    exec(source, names)
    trials = imported["12"]["all_results"]
    finals = [trials["cifar10-valid", seed]["eval_acc1es"]["x-valid@11"] for seed in (111, 777)]
    assert names["table"].query(names["cell"], names["valid"]) == pytest.approx(sum(finals) / 2)
    assert names["benchmark"].evaluate(names["cell"]).cost > 0


def test_the_drop_in_is_dropped_in(imported):
    (source,) = (block for block in BLOCKS if "compat.nats_bench" in block)
    names = {}
    exec(source, names)
    assert names["api"].used_time > 0


def test_the_mapping_file_maps(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    (mapping,) = (block for block in TOML if "[table]" in block)
    (tmp_path / "my_results.toml").write_text(mapping)
    cell = nats_files.cells(1)[0]
    (tmp_path / "my_results.csv").write_text(f"arch,valid_111,valid_777,test\n{cell},80,82,79.5\n")
    table = import_file(tmp_path / "my_results.csv")
    assert table.name == "mine/nb201"
    assert table.query(table.space.from_string(cell), "valid_accuracy") == 81.0


def test_a_space_of_ones_own_is_mapped(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    (decisions,) = (block for block in TOML if "[[decisions]]" in block)
    (tmp_path / "networks.toml").write_text(
        '[table]\nname = "networks"\nobjective = "accuracy"\n'
        f'{decisions}\n[[columns]]\nname = "accuracy"\nfrom = "accuracy"\nunit = "%"\n'
        f'maximize = true\nsplit = "valid"\n'
    )
    rows = ["layers,width_3,learning_rate,accuracy"]
    rows += [
        f"{1 + i % 4},{'32' if i % 4 > 1 else ''},{10 ** (-4 + i / 8)},{50 + i}" for i in range(24)
    ]
    (tmp_path / "networks.csv").write_text("\n".join(rows))
    table = import_file(tmp_path / "networks.csv")
    assert [decision.name for decision in table.space.decisions] == [
        "layers",
        "width_3",
        "learning_rate",
    ]
    assert table.space.size == 8 * (1 + 1 + 3 + 3)


def test_a_table_is_made_of_a_data_frame(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    (source,) = (block for block in BLOCKS if "from_frame" in block)
    names = {}
    exec(source, names)
    table = names["table"]
    assert table.space.size == 3
    assert table.query(table.space.from_string("2:32"), "accuracy") == 86.0


def test_a_benchmark_of_ones_own_is_compared_on(tmp_path):
    (source,) = (block for block in BLOCKS if "class Hill(" in block)
    path = tmp_path / "my_benchmark.py"
    path.write_text(source)
    result = compare(["random_search", "gp_bo"], f"{path}:Hill", budget=30, seeds=3)
    assert len(result.runs) == 6
    summary = result.summary().set_index("algorithm")
    assert summary.loc["gp_bo", "valid_regret"] == 0


def test_both_commands_are_named():
    assert "make compare" in README
    assert "make test" in README
    assert "@@" not in README


def test_the_training_example_runs(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="training needs PyTorch")
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    (source,) = (block for block in BLOCKS if "TrainingBenchmark(" in block)
    path = tmp_path / "example.py"
    path.write_text(source.replace("budget=10", "budget=3"))
    names = runpy.run_path(str(path))
    assert len(names["trace"]) == 3
    assert len(list((tmp_path / "data" / "trainings").glob("*.json"))) == 3


def test_the_example_of_workers_runs(tmp_path):
    (source,) = (block for block in BLOCKS if "lab.Workers" in block)
    path = tmp_path / "example.py"
    path.write_text(source)
    trace = runpy.run_path(str(path))["trace"]
    assert trace.settings["workers"] == {"count": 4, "fail": 0.05, "straggle": 0.1}
    assert (trace.since > 0).any()
    assert (trace.violation > 0).any()
    assert len(trace.cut_off)
    described = re.search(r"trace.to_frame\(\)  # (.*), …", source)[1].split(", ")
    assert set(described) - {"value"} <= set(trace.to_frame())


def test_the_statistics_are_made(tmp_path):
    (source,) = (block for block in BLOCKS if "stats.table_frame" in block)
    path = tmp_path / "example.py"
    lines = source.replace("budget=100, seeds=20", "budget=20, seeds=3").splitlines()
    shown = [
        f"shown_{i} = {line}" if line.startswith("stats.") else line for i, line in enumerate(lines)
    ]
    path.write_text("\n".join(shown))
    names = runpy.run_path(str(path))
    table, targets, test, seeds = (
        value for key, value in names.items() if key.startswith("shown_")
    )
    assert list(table["algorithm"]) == ["random_search", "local_search"]
    assert set(targets["target"]) == {"top 10", "best 1 %", "regret <= 0.5"}
    assert 0 < test[0] < 1
    assert test[1] < 0.5
    assert seeds > 5


def test_each_function_that_answers_a_question_is_there():
    (table,) = re.findall(r"\| question \| function \|\n(.*?)\n\n", README, re.DOTALL)
    names = re.findall(r"`(\w+)`", table)
    assert len(names) >= 7
    assert all(callable(getattr(stats, name)) for name in names)


def test_the_experiment_file_is_read(tmp_path):
    (source,) = (block for block in TOML if "algorithms =" in block)
    (tmp_path / "my_experiment.toml").write_text(source)
    experiment = read_experiment(tmp_path / "my_experiment.toml")
    assert experiment.labels == ["random_search", "gp_bo(kernel='matern')"]
    assert experiment.workers == Workers(4, fail=0.05)
    assert str(experiment.benchmarks[1].constraints[0]) == "parameters<=0.5"

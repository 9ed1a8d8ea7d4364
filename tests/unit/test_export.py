"""Exports: read back by pandas, and by iohinspector, the Python reader of IOHprofiler's format."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nasbench_lab.export
from nasbench_lab import stats
from nasbench_lab.errors import DataFolderError, ExperimentError
from nasbench_lab.export import IOH_VERSION, to_csv, to_ioh
from nasbench_lab.registry import load_benchmark
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare

pytestmark = pytest.mark.long

DIGITS, CORA, PROTEINS = "nb201-digits", "nas-bench-graph/cora", "nas-bench-graph/proteins"


def run(algorithms, benchmarks, budget=40, **more):
    return compare(algorithms, benchmarks, budget=budget, n_jobs=1, **{"seeds": 4} | more)


@pytest.fixture(scope="module")
def result():
    """Two tables whose objectives have different names, one of them without epochs."""
    return run(["random_search", "regularized_evolution"], [CORA, PROTEINS, DIGITS])


@pytest.fixture(scope="module")
def multi_fidelity():
    """Trainings of different lengths, of which the longest decide."""
    return run(["hyperband", "asha"], DIGITS, budget="150 epochs")


@pytest.fixture(scope="module")
def constrained():
    """Of most runs the first evaluations are not allowed, so that there is no incumbent at first."""
    benchmark = load_benchmark(DIGITS, constraints=["parameters<=0.012"])
    return run(["random_search"], benchmark, budget=30, seeds=8)


# CSV


def test_csv_files_are_the_frames_of_the_result(result, tmp_path):
    files = to_csv(result, tmp_path / "csv")
    assert [file.name for file in files] == ["evaluations.csv", "runs.csv", "summary.csv"]
    for file, frame in (files[0], result.to_frame()), (files[2], result.summary()):
        # Some versions of pandas read numbers with an error in the last digit.
        pd.testing.assert_frame_equal(pd.read_csv(file), frame, check_dtype=False, rtol=1e-14)


def test_csv_has_a_line_per_run_with_its_end(result, tmp_path):
    to_csv(result, tmp_path / "csv")
    lines = pd.read_csv(tmp_path / "csv" / "runs.csv")
    assert len(lines) == len(result.runs)
    for line, one in zip(lines.itertuples(), result.runs, strict=True):
        assert (line.benchmark, line.algorithm, line.seed) == (
            one.benchmark,
            one.algorithm,
            one.seed,
        )
        assert line.evaluations == 40
        assert line.best == one.trace.best()
        benchmark = result.benchmark(one.benchmark)
        for metric in ("valid", "valid_regret", "test", "test_regret"):
            end = stats.anytime(one.trace, benchmark, metric)[-1]
            assert getattr(line, metric) == pytest.approx(end, rel=1e-14)  # see above
        assert np.isnan(line.epochs) == (one.benchmark != DIGITS)


def test_runs_that_found_nothing_have_no_incumbent_and_infinite_regrets(tmp_path):
    benchmark = load_benchmark(DIGITS, constraints=["parameters<=0.012"])
    to_csv(run(["random_search"], benchmark, budget=1, seeds=6), tmp_path / "csv")
    lines = pd.read_csv(tmp_path / "csv" / "runs.csv")
    assert 0 < (~lines["found"]).sum() < len(lines)
    for column in ("best", "valid", "test"):
        assert (lines[column].isna() == ~lines["found"]).all()
    # Whoever averages these does not average the survivors.
    for column in ("valid_regret", "test_regret"):
        assert (np.isinf(lines[column]) == ~lines["found"]).all()


@pytest.mark.parametrize("export", [to_csv, to_ioh])
def test_an_export_is_the_same_each_time(result, export, tmp_path):
    one, other = (export(result, tmp_path / name) for name in "ab")
    assert [file.relative_to(tmp_path / "a") for file in one] == [
        file.relative_to(tmp_path / "b") for file in other
    ]
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in other]


@pytest.mark.parametrize("export", [to_csv, to_ioh])
def test_an_export_needs_a_new_folder_and_runs(result, export, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(DataFolderError, match=r"there exists already\. Name a new folder"):
        export(result, tmp_path / "there")
    with pytest.raises(ExperimentError, match="no finished run"):
        export(Result(result.experiment, []), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_export_that_fails_leaves_nothing(result, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nasbench_lab.export, "_entry", fail)
    with pytest.raises(DataFolderError, match="No space left"):
        to_ioh(result, tmp_path / "new")
    assert not list(tmp_path.iterdir())


# IOHprofiler


def test_an_index_has_the_keys_that_ioh_writes(result, tmp_path):
    # As the logger Analyzer of ioh 0.3.22 wrote them for a problem of one's own.
    to_ioh(result, tmp_path / "ioh")
    folder = tmp_path / "ioh" / "01-random_search"
    index = json.loads((folder / "IOHprofiler_f1_nas-bench-graph-cora.json").read_text())
    assert list(index) == [
        *("version", "suite", "function_id", "function_name", "maximization", "algorithm"),
        *("experiment_attributes", "run_attributes", "attributes", "scenarios"),
    ]
    assert index["version"] == IOH_VERSION == "1.0.0"  # by which IOHanalyzer tells the layout
    assert list(index["algorithm"]) == ["name", "info"]
    assert index["algorithm"]["name"] == "random_search"
    assert index["maximization"] is False
    assert index["attributes"] == ["evaluations", "raw_y", "test_regret"]
    assert index["run_attributes"] == ["seed"]
    (scenario,) = index["scenarios"]
    assert list(scenario) == ["dimension", "path", "runs"]
    assert scenario["dimension"] == 5
    data = Path("data_f1_nas-bench-graph-cora") / "IOHprofiler_f1_DIM5.dat"
    assert scenario["path"] == data.as_posix()
    assert [one["seed"] for one in scenario["runs"]] == [0, 1, 2, 3]
    for one in scenario["runs"]:
        assert list(one) == ["instance", "evals", "best", "seed"]
        assert list(one["best"]) == ["evals", "y", "x"]
    lines = (folder / data).read_text().splitlines()
    assert lines.count("evaluations raw_y test_regret") == 4
    assert sum(line.startswith("1 ") for line in lines) == 4


def test_the_best_of_an_index_is_in_the_table(result, tmp_path):
    to_ioh(result, tmp_path / "ioh")
    benchmark = result.benchmark(CORA)
    path = tmp_path / "ioh" / "02-regularized_evolution"
    index = json.loads((path / "IOHprofiler_f1_nas-bench-graph-cora.json").read_text())
    for one in index["scenarios"][0]["runs"]:
        value = benchmark.table.query(tuple(one["best"]["x"]), benchmark.first_objective.metric)
        regret = abs(benchmark.optimum(benchmark.first_objective) - value)
        assert one["best"]["y"] == pytest.approx(regret, abs=1e-12)  # rounding of a difference


def read_by_iohinspector(folder, monotonic=False):
    """The lines of all runs with what they are of, as iohinspector reads them."""
    inspector = pytest.importorskip("iohinspector", reason="the reader of IOHprofiler's format")
    manager = inspector.DataManager()
    manager.add_folder(str(folder))
    return manager, manager.load(monotonic=monotonic, include_meta_data=True).to_pandas()


def check_curves(result, lines, metrics):
    """Whether the lines say of each evaluation count what our own curves say."""
    seeds = sorted(result.experiment.seeds)
    seen = 0
    for (name, algorithm, run_id), own in lines.groupby(
        ["function_name", "algorithm_name", "run_id"]
    ):
        benchmark = result.benchmark(name)
        trace = result.traces(name, algorithm)[run_id - 1]
        assert trace.settings["seed"] == seeds[run_id - 1]
        own = own.sort_values("evaluations")
        counts = np.arange(1, trace.evaluations()[-1] + 1)
        assert own["evaluations"].max() == counts[-1]
        at = np.searchsorted(own["evaluations"].to_numpy(), counts, side="right") - 1
        for column, metric in metrics.items():
            (curve,) = stats.curves([trace], benchmark, counts.astype(float), metric)
            known = ~np.isnan(curve)
            assert known.any()
            # Written with all digits, so what is read is the same to the bit.
            np.testing.assert_array_equal(own[column].to_numpy()[at][known], curve[known])
        seen += 1
    assert seen == len(result.runs)


REGRETS = {"raw_y": "valid_regret", "test_regret": "test_regret"}


def test_iohinspector_reads_the_curves_that_we_have(result, tmp_path):
    to_ioh(result, tmp_path / "ioh")
    manager, lines = read_by_iohinspector(tmp_path / "ioh")
    assert set(lines["function_name"]) == {CORA, PROTEINS, DIGITS}
    assert set(lines["algorithm_name"]) == {"random_search", "regularized_evolution"}
    assert set(lines["dimension"]) == {5, 6}
    assert manager.n_runs == len(result.runs) == 24
    check_curves(result, lines, REGRETS)


def test_iohinspector_reads_multi_fidelity_runs_with_their_epochs(multi_fidelity, tmp_path):
    to_ioh(multi_fidelity, tmp_path / "ioh")
    _, lines = read_by_iohinspector(tmp_path / "ioh")
    check_curves(multi_fidelity, lines, REGRETS)
    ends = lines[lines["evaluations"] == lines["evals"]]
    assert len(ends) == len(multi_fidelity.runs)
    for line in ends.itertuples():
        trace = multi_fidelity.traces(DIGITS, line.algorithm_name)[line.run_id - 1]
        assert line.epochs == trace.epochs()[-1]
        assert line.simulated_seconds == trace.end[-1]
    assert (ends["budget_epochs"] == 150).all()


def test_before_the_first_incumbent_stands_more_than_any_entry_can_have(constrained, tmp_path):
    to_ioh(constrained, tmp_path / "ioh")
    _, lines = read_by_iohinspector(tmp_path / "ioh")
    (name,) = constrained.benchmarks
    benchmark = constrained.benchmark(name)
    values = benchmark.table.values(benchmark.first_objective)
    largest = np.abs(benchmark.optimum(benchmark.first_objective) - values).max()
    first = lines[lines["evaluations"] == 1]
    assert len(first) == 8
    late = [
        np.isnan(stats.anytime(t, benchmark)[0]) for t in constrained.traces(name, "random_search")
    ]
    assert 0 < sum(late) < 8
    written = first.sort_values("run_id")["raw_y"][late]
    np.testing.assert_allclose(written, 2 * largest, rtol=1e-12)
    assert (first["raw_y_without_incumbent"] == written.iloc[0]).all()
    check_curves(constrained, lines, REGRETS)


@pytest.mark.parametrize("limit", ["valid_accuracy>=98.5", "parameters<=0.0022"])
def test_a_run_that_found_nothing_reaches_no_target(limit, tmp_path):
    benchmark = load_benchmark(DIGITS, constraints=limit)
    result = run(["random_search"], benchmark, budget=5, seeds=3)
    assert all(map(stats.found_nothing, result.traces(DIGITS, "random_search")))
    to_ioh(result, tmp_path / "ioh")
    _, lines = read_by_iohinspector(tmp_path / "ioh")
    values = benchmark.table.values(benchmark.first_objective)
    assert (lines["raw_y"] > np.ptp(values)).all()
    index = json.loads(next((tmp_path / "ioh").rglob("*.json")).read_text())
    for one in index["scenarios"][0]["runs"]:
        assert one["best"]["evals"] == one["evals"] == 5  # nothing at evaluation 1


def test_a_run_without_any_evaluation_is_not_missing(tmp_path):
    result = run(["random_search"], DIGITS, budget="0.4s", seeds=12)
    empty = [not len(one.trace) for one in result.runs]
    assert 0 < sum(empty) < 12
    to_ioh(result, tmp_path / "ioh")
    manager, lines = read_by_iohinspector(tmp_path / "ioh")
    assert manager.n_runs == 12
    without = lines["raw_y"] == lines["raw_y_without_incumbent"]
    assert without.sum() == sum(empty)
    assert (lines["evaluations"][without] == 1).all()


def test_free_repeats_are_not_counted(tmp_path):
    result = run(["local_search", "regularized_evolution"], DIGITS, budget=60, charge_repeats=False)
    assert any((~one.trace.charged).any() for one in result.runs)
    to_ioh(result, tmp_path / "ioh")
    _, lines = read_by_iohinspector(tmp_path / "ioh")
    grouped = lines.groupby(["algorithm_name", "run_id"])["evaluations"]
    assert all((np.diff(counts.astype(int)) > 0).all() for _, counts in grouped)
    check_curves(result, lines, REGRETS)


def test_expected_running_times_of_iohinspector_are_ours(result, tmp_path):
    to_ioh(result, tmp_path / "ioh")
    manager, _ = read_by_iohinspector(tmp_path / "ioh")
    import iohinspector
    import polars as pl

    data = manager.load(monotonic=True, include_meta_data=True)
    data = data.filter(pl.col("function_name") == DIGITS)
    found = iohinspector.metrics.aggregate_running_time(
        data, free_vars=["algorithm_name"], f_min=0.05, f_max=20.0, eval_max=40
    )
    finite = 0
    for line in found.itertuples():
        traces = result.traces(DIGITS, line.algorithm_name)
        benchmark = result.benchmark(DIGITS)
        times = [stats.spent_to_target(t, benchmark, line.raw_y) for t in traces]
        ours = stats.expected_running_time(times, 40)
        assert line.success_count == np.isfinite(times).sum()
        assert pytest.approx(ours, rel=1e-12) == line.ERT
        finite += 0 < line.success_count < 4
    assert finite > 0, "no target that some runs reach and others do not"


def test_any_label_makes_a_folder_of_its_own(tmp_path):
    labels = ["../../../x", "a/b", "a b", "größe <b>", "exit()"]
    result = run(dict.fromkeys(labels, "random_search"), CORA, budget=3, seeds=1)
    files = to_ioh(result, tmp_path / "ioh")
    folders = {file.relative_to(tmp_path / "ioh").parts[0] for file in files}
    assert len(folders) == 5
    assert folders == {"01-x", "02-a-b", "03-a-b", "04-gr-e-b", "05-exit"}
    _, lines = read_by_iohinspector(tmp_path / "ioh")
    assert set(lines["algorithm_name"]) == set(labels)


def test_what_an_unfinished_result_lacks_is_left_out(result, tmp_path):
    runs = [r for r in result.runs if r.benchmark != CORA or r.algorithm == "random_search"]
    files = to_ioh(Result(result.experiment, runs[1:]), tmp_path / "ioh")
    names = [file.relative_to(tmp_path / "ioh").as_posix() for file in files]
    assert "01-random_search/IOHprofiler_f1_nas-bench-graph-cora.json" in names
    assert "02-regularized_evolution/IOHprofiler_f1_nas-bench-graph-cora.json" not in names
    index = json.loads(files[0].read_text())
    assert [one["seed"] for one in index["scenarios"][0]["runs"]] == [1, 2, 3]
    # IOHanalyzer takes any CSV or text file in a folder for data of another format.
    assert {file.suffix for file in files} == {".json", ".dat"}

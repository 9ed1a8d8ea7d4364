"""Comparisons on benchmarks that are no tables."""

import itertools
import json
import pickle
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from own_benchmarks import (
    CUBE,
    DeadHill,
    FragileHill,
    Hill,
    KnownHill,
    NoisyHill,
    TrainedHill,
    TwoHills,
    Valley,
    height,
)

from nasbench_lab import stats
from nasbench_lab.algorithm import Evaluation
from nasbench_lab.benchmark import Benchmark, Objective, TableBenchmark
from nasbench_lab.errors import BenchmarkError, ExperimentError, NasbenchLabError, QueryError
from nasbench_lab.export import to_csv, to_ioh
from nasbench_lab.registry import load_benchmark, open_table
from nasbench_lab.report import write_report
from nasbench_lab.results.result import Result, merged
from nasbench_lab.running.comparison import compare
from nasbench_lab.running.search import run
from nasbench_lab.spaces import Decision, SearchSpace

PAIR = ["random_search", "regularized_evolution"]


def compared(benchmark, algorithms=PAIR, budget=30, seeds=6, **options):
    return compare(algorithms, benchmark, budget=budget, seeds=seeds, n_jobs=1, **options)


def found(trace):
    return max(map(height, trace.architecture.tolist()))


# By what it is judged


def test_without_a_table_regrets_are_to_the_best_that_any_run_found():
    result = compared(Hill())
    best = {run.cell: found(run.trace) for run in result.runs}
    final = stats.final_frame(result, "valid_regret").set_index(["benchmark", "algorithm", "seed"])
    for cell, value in best.items():
        assert final.loc[cell, "value"] == max(best.values()) - value
    assert stats.judged_by(result) == ["valid_regret"]
    distinct = {tuple(a) for run in result.runs for a in run.trace.architecture.tolist()}
    benchmark = result.benchmark("hill")
    assert len(benchmark.table) == len(distinct)
    assert stats.metric_label(benchmark, "valid_regret") == "height regret to the best found (m)"
    assert any("nobody knows its best value" in note for note in result.notes())


def test_targets_and_ranks_are_among_all_that_was_evaluated():
    result = compared(Hill())
    values = sorted(
        (height(a) for a in {tuple(a) for r in result.runs for a in r.trace.architecture.tolist()}),
        reverse=True,
    )
    frame = stats.target_frame(result, targets=["top 10", 0.0, 2.0])
    tenth = values[0] - values[9]
    for algorithm in PAIR:
        regrets = [values[0] - found(t) for t in result.traces("hill", algorithm)]
        lines = frame[frame["algorithm"] == algorithm].set_index("target")
        assert lines.loc["top 10", "value"] == tenth
        for target, value in ("top 10", tenth), ("regret <= 0", 0), ("regret <= 2", 2):
            assert lines.loc[target, "successes"] == sum(r <= value for r in regrets)


def test_a_known_best_value_is_what_regrets_are_to():
    result = compared(KnownHill(), budget=5)
    final = stats.final_frame(result, "valid_regret")
    expected = [10.0 - found(run.trace) for run in result.runs]
    assert final["value"].tolist() == expected
    assert min(expected) > 0  # or this shows nothing
    assert stats.metric_label(result.benchmark("known hill"), "valid_regret") == "height regret (m)"
    assert not any("nobody knows" in note for note in result.notes())


def test_a_best_value_that_a_run_surpasses_is_noted():
    wrong = KnownHill()
    wrong.best_value = 0.0
    result = compared(wrong)
    assert (stats.final_frame(result, "valid_regret")["value"] >= 0).all()
    assert any("better than the 0 that the benchmark calls" in note for note in result.notes())


def test_what_is_reported_is_asked_after_the_run_and_only_of_incumbents():
    result = compared(Valley())
    assert stats.judged_by(result) == ["valid_regret", "test_regret"]
    for one in result.runs:
        incumbents = one.trace.incumbents()
        told = ~np.isnan(one.reported)
        assert set(np.flatnonzero(told)) == set(incumbents)
        for position in incumbents:
            architecture = one.trace.architecture[position]
            assert one.reported[position] == Valley().report_value(architecture)
    final = stats.final_frame(result, "test")
    ends = [
        Valley().report_value(r.trace.architecture[r.trace.incumbents()[-1]]) for r in result.runs
    ]
    assert final["value"].tolist() == ends


def test_an_architecture_of_a_noisy_benchmark_is_worth_the_mean_of_its_evaluations():
    result = compared(NoisyHill(), budget=200)
    seen = {}
    for one in result.runs:
        pairs = zip(one.trace.architecture.tolist(), one.trace.values[:, 0], strict=True)
        for architecture, value in pairs:
            seen.setdefault(tuple(architecture), []).append(value)
    assert max(map(len, seen.values())) > 1  # or this shows nothing
    table = result.benchmark("noisy hill").table
    values = table.values("height")
    for architecture, drawn in seen.items():
        assert values[table.row(architecture)] == pytest.approx(np.mean(drawn), rel=1e-12)
    assert any("evaluations are noisy" in note for note in result.notes())
    assert compared(NoisyHill(), budget=200).runs[0].trace.equals(result.runs[0].trace)


def test_of_evaluations_after_different_epochs_those_after_most_count():
    result = compared(TrainedHill(), ["hyperband", "random_search"], budget="400s")
    table = result.benchmark("trained hill").table
    most = {}
    for one in result.runs:
        for architecture, epoch in zip(
            one.trace.architecture.tolist(), one.trace.epoch.tolist(), strict=True
        ):
            most[tuple(architecture)] = max(most.get(tuple(architecture), 0), epoch)
    assert set(most.values()) == {1, 3, 9}
    for architecture, epoch in most.items():
        value = table.values("height")[table.row(architecture)]
        assert value == height(architecture) * epoch / 9
    assert result.axis == "seconds"
    assert all(run.trace.end[-1] <= 400 for run in result.runs)


def test_failures_and_violations_count_as_they_do_on_a_table():
    result = compared(FragileHill())
    summary = result.summary()
    assert (summary["failed"] > 0).all()
    assert (summary["missing"] == 0).all()
    for one in result.runs:
        allowed = [a for a in one.trace.architecture.tolist() if a[0] % 2 == 0 and a[1] <= 5]
        best = result.benchmark("fragile hill").optimum("height")
        regret = stats.final_value(one.trace, result.benchmark("fragile hill"), "valid_regret")
        assert regret == best - max(map(height, allowed))


def test_several_objectives_have_the_front_of_all_runs():
    result = compared(TwoHills(), ["random_search", "nsga2"])
    assert "hypervolume" in stats.judged_by(result)
    summary = result.summary()
    assert ((summary["hypervolume"] > 0) & (summary["hypervolume"] <= 1)).all()
    points = {tuple(a) for one in result.runs for a in one.trace.architecture.tolist()}
    both = [(height(a), sum(a)) for a in points]
    front = {
        (h, w) for h, w in both if not any(h <= H and w >= W and (h, w) != (H, W) for H, W in both)
    }
    from nasbench_lab.figures.pareto import pareto_data

    drawn = pareto_data(result)
    drawn = drawn[drawn["curve"] == "front of the table"]
    assert set(zip(drawn["y"], drawn["x"], strict=True)) == front


@pytest.mark.parametrize(
    "kind", [Hill, KnownHill, Valley, NoisyHill, TrainedHill, FragileHill, DeadHill, TwoHills]
)
def test_every_kind_is_saved_opened_reported_drawn_and_exported(kind, tmp_path):
    result = compared(
        kind(), ["random_search", "nsga2" if kind is TwoHills else "local_search"], budget=20
    )
    result.save(tmp_path / "r")
    opened = Result.open(tmp_path / "r")
    assert opened.summary().drop(columns="wall_s").equals(result.summary().drop(columns="wall_s"))
    assert opened.verdict() == result.verdict()
    assert opened.notes() == result.notes()
    page = write_report(opened, tmp_path / "report.html", None).read_text()
    assert kind.name in page
    assert "the table lacks" not in page
    to_csv(opened, tmp_path / "csv")
    to_ioh(opened, tmp_path / "ioh")
    if kind is not DeadHill:
        opened.plot("valid_regret")
    for metric in stats.judged_by(opened):
        for frame in stats.curve_frame, stats.rank_frame, stats.ecdf_frame, stats.table_frame:
            assert len(frame(opened, metric))


def test_benchmarks_with_and_without_a_report_stand_side_by_side():
    result = compared([Hill(), Valley()])
    hill, valley, _ = result.verdict()
    assert (hill.count("In height regret"), hill.count("regret")) == (1, 1)
    assert valley.count("In ") == 2


def test_what_judges_evaluates_nothing_and_can_be_sent():
    judge = compared(Hill(), budget=5).benchmark("hill")
    with pytest.raises(QueryError, match="evaluates nothing"):
        run("random_search", judge, 5)
    copy = pickle.loads(pickle.dumps(judge))
    assert copy.optimum("height") == judge.optimum("height")
    assert np.array_equal(copy.table.architectures, judge.table.architectures)


def test_a_benchmark_and_a_table_stand_side_by_side():
    result = compared([Hill(), "nas-bench-graph/cora"])
    assert list(result.summary()["benchmark"].unique()) == ["hill", "nas-bench-graph/cora"]
    alone = compared("nas-bench-graph/cora")
    for one, other in zip(result.of(["nas-bench-graph/cora"]).runs, alone.runs, strict=True):
        assert one.trace.equals(other.trace)
    assert stats.friedman_of(
        compared([Hill(), KnownHill(), Valley()], [*PAIR, "gp_bo"]), "valid_regret"
    )


# A table that falls back


class Outside(Benchmark):
    """Stands in for a table."""

    name = "outside"
    objectives = (Objective("valid_accuracy", "%"),)

    def __init__(self, table):
        self.space, self.clock, self.epochs = table.space, table.clock, table.epochs
        self.dataset = table.dataset

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        return Evaluation((50.0 + sum(architecture) / 10,), 1.0, self.epochs)


@pytest.fixture
def sparse(tmp_path):
    """A table of every third cell, which falls back to something else."""
    from nasbench_lab.spaces import get_space
    from nasbench_lab.tables.columns import Column, TableInfo
    from nasbench_lab.tables.table import Table

    space = get_space("nb201")
    keys = np.arange(0, space.size, 3)
    keys = keys[(space.canonical(space.at(keys)) == space.at(keys)).all(axis=1)]
    columns = {
        Column("valid_accuracy", "accuracy", "%", True, "valid"): np.linspace(10, 60, len(keys)),
        Column("test_accuracy", "accuracy", "%", True, "test"): np.linspace(60, 10, len(keys)),
    }
    info = TableInfo("sparse", "nb201", "", "", "", "valid_accuracy", "test_accuracy")
    table = Table.create(tmp_path / "sparse", info, columns, keys=keys)
    inner = TableBenchmark(table)
    return TableBenchmark(table, fallback=Outside(inner))


def test_a_table_with_fallback_is_judged_by_what_all_architectures_have(sparse):
    result = compared(sparse)
    rows = np.concatenate([one.trace.row for one in result.runs])
    assert 0.05 < (rows < 0).mean() < 0.95  # or this shows nothing
    judge = result.benchmark("sparse")
    best = max(60.0, *(one.trace.values.max() for one in result.runs))
    assert judge.optimum("valid_accuracy") == best
    for one in result.runs:
        regret = stats.final_value(one.trace, judge, "valid_regret")
        assert regret == best - one.trace.values.max()
    assert stats.judged_by(result) == ["valid_regret"]
    share = f"({(rows < 0).mean():.0%})"
    (note,) = [note for note in result.notes() if "that the table lacks" in note]
    assert share in note
    assert "no test value, so all are judged by valid_accuracy" in note


# Where it runs


def test_processes_give_what_this_one_gives(tmp_path):
    here = compared(Hill(), seeds=10)
    there = compare(PAIR, Hill(), budget=30, seeds=10, n_jobs=2, folder=tmp_path / "r")
    for one, other in zip(here.runs, there.runs, strict=True):
        assert one.trace.equals(other.trace)


OWN = """
    from nasbench_lab import Benchmark, Evaluation, Objective, SearchSpace
    from nasbench_lab.spaces import Decision
    from slope import slope


    class Hill(Benchmark):
        name = "own hill"
        space = SearchSpace("plane", [Decision(name, tuple(range(9)), True) for name in "xy"])
        objectives = (Objective("height", "m"),)

        def __init__(self, top=10.0):
            self.top = top

        def evaluate(self, architecture, epoch=None, rng=None, since=None):
            x, y = architecture
            return Evaluation((self.top - slope(x - 6) - slope(y - 2),), cost=1.0)


    def steep():
        return Hill(20.0)


    at_hand = Hill()
    number = 3
"""

SLOPE = "def slope(x):\n    return x * x\n"


@pytest.fixture
def own_file(tmp_path):
    folder = tmp_path / "user"
    folder.mkdir()
    (folder / "my_bench.py").write_text(textwrap.dedent(OWN))
    (folder / "slope.py").write_text(SLOPE)
    return folder / "my_bench.py"


def in_python(script, folder):
    # Oldest dependencies use what newer ones call deprecated.
    strict = ("-W", "error", "-W", "ignore::DeprecationWarning")
    program = [sys.executable, *strict, "-c", textwrap.dedent(script)]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fifteen_lines_of_ones_own_are_compared_in_processes_saved_and_reported_elsewhere(
    own_file, tmp_path, lab, undrawn
):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    result = folder / "r"
    said = lab(
        "compare", "-a", "random_search", "-a", "regularized_evolution", "--seeds", 10, "--budget", 30,
        "--benchmark", f"{own_file}:Hill", "--output", result, "--jobs", 2, "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    before = json.loads(said.out)["summary"]
    for file in own_file.parent.iterdir():
        if file.is_file():
            file.unlink()
    shown = in_python(
        f"""
        import json
        from nasbench_lab import Result
        from nasbench_lab.report import write_report
        result = Result.open({str(result)!r})
        write_report(result, {str(folder / "report.html")!r}, None)
        print(result.summary().to_json(orient="records"))
        """,
        folder,
    )
    after = json.loads(shown)
    assert [line["valid_regret"] for line in after] == [line["valid_regret"] for line in before]
    page = (folder / "report.html").read_text()
    assert "own hill" in page
    assert "height regret to the best found" in page
    assert lab("plot", result, "--all").code == 0
    assert lab("verify", result).code == 0
    with pytest.raises(BenchmarkError, match="not at hand"):
        Result.open(result).experiment.benchmark("own hill").benchmark  # noqa: B018 (opening it is tested)


def test_a_class_of_a_module_of_the_users_goes_to_processes(own_file):
    script = """
        import nasbench_lab as lab
        from my_bench import Hill
        for n in (1, 2):
            pair = ["random_search", "local_search"]
            result = lab.compare(pair, Hill(5.0), budget=20, seeds=8, n_jobs=n)
            print([run.trace.values.sum() for run in result.runs])
        entry = result.experiment.benchmarks[0].program
        print(entry.attributes, sorted(entry.code))
    """
    one, two, noted = in_python(script, own_file.parent).splitlines()
    assert one == two
    assert noted == "{'top': 5.0} ['Hill', 'my_bench.py', 'slope.py']"


def test_a_class_of_a_notebook_goes_to_processes(own_file):
    script = (
        OWN
        + """
    import nasbench_lab as lab
    for n in (1, 2):
        result = lab.compare(["random_search", "local_search"], Hill(5.0), budget=20, seeds=8, n_jobs=n)
        print([run.trace.values.sum() for run in result.runs])
    """
    )
    one, two = in_python(script, own_file.parent).splitlines()
    assert one == two


@pytest.mark.parametrize("name", ["Hill", "steep", "at_hand"])
def test_a_file_gives_a_class_a_function_or_an_object(own_file, name):
    result = compared(f"{own_file}:{name}", budget=10, seeds=2)
    assert result.benchmarks == ["own hill"]
    top = max(one.trace.values.max() for one in result.runs)
    assert (top > 10) == (name == "steep")
    assert len(run("random_search", f"{own_file}:{name}", 10)) == 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Name the benchmark too. In that file: .*:Hill, .*:at_hand"),
        (":Hil", "define a benchmark 'Hil', but such there are: Hill, at_hand"),
        (":number", "Expected number of .* to be a Benchmark, a class"),
        (":slope", r"slope of .* cannot be made without arguments: TypeError: slope\(\) missing"),
    ],
)
def test_what_a_file_does_not_have_is_named(own_file, name, message):
    with pytest.raises(BenchmarkError, match=message):
        compared(f"{own_file}{name}")


def test_a_comparison_goes_on_until_the_code_changes(own_file, tmp_path, lab):
    command = ["compare", "-a", "random_search", "--budget", 10, "--benchmark", f"{own_file}:Hill"]
    command += ["--output", tmp_path / "r", "--jobs", 1]
    assert lab(*command, "--seeds", 2).code == 0
    again = lab(*command, "--seeds", 4)
    assert "2 of 4 runs are finished" in again.err
    assert lab("run", tmp_path / "r" / "experiment.toml").code == 0
    (own_file.parent / "slope.py").write_text(SLOPE.replace("x * x", "abs(x)"))
    refused = lab(*command, "--seeds", 6)
    assert refused.code == 1
    assert "slope.py has changed" in refused.err


def test_another_object_is_another_experiment(tmp_path):
    compared(Hill(), budget=10, seeds=2, folder=tmp_path / "r")
    other = Hill()
    other.top = 3.0
    with pytest.raises(ExperimentError, match=r"attributes top not given there, 3\.0 here"):
        compared(other, budget=10, seeds=2, folder=tmp_path / "r")


def test_an_experiment_file_names_a_file_beside_it(own_file, lab):
    toml = own_file.parent / "e.toml"
    toml.write_text(
        'budget = 10\nseeds = 2\nalgorithms = ["random_search"]\nbenchmarks = ["my_bench.py:steep"]\n'
    )
    assert lab("run", toml, "--output", own_file.parent / "r").code == 0
    toml.write_text(
        toml.read_text().replace(
            '["my_bench.py:steep"]', '[{ table = "my_bench.py:steep", clock = "resume" }]'
        )
    )
    refused = lab("run", toml)
    assert "line 4, benchmarks[0]: Expected no clock of" in refused.err


class Conditional(Hill):
    """Its space has decisions that exist only sometimes, and options that are truth values."""

    name = "conditional"
    space = SearchSpace(
        "tree",
        [
            Decision("layers", (1, 2), True),
            Decision("skip", (True, False)),
            Decision("width", (8, 16.5, "wide:r"), active_if={"layers": (2,)}),
        ],
    )

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        return Evaluation((float(sum(architecture)),), 1.0)


def test_a_space_of_ones_own_is_kept_with_the_result(tmp_path):
    benchmark = Conditional()
    benchmark.rate, benchmark.limit = float("nan"), (1, float("inf"))
    folder = tmp_path / "r"
    result = compared(benchmark, budget=10, folder=folder)
    opened = Result.open(folder)
    for one, other in zip(result.runs, opened.runs, strict=True):
        assert one.trace.equals(other.trace)
        assert one.trace.best() == other.trace.best()
    assert opened.runs[0].trace.space.decisions == Conditional.space.decisions
    before = (folder / "manifest.json").stat().st_ino
    compared(benchmark, budget=10, folder=folder)  # all is there, and nothing differs
    assert (folder / "manifest.json").stat().st_ino == before


def test_results_join(tmp_path):
    first = compared(Hill(), seeds=[0, 1])
    second = compared(Hill(), seeds=[2, 3])
    joined = merged({"a": first, "b": second})
    whole = compared(Hill(), seeds=4)
    assert joined.summary().drop(columns="wall_s").equals(whole.summary().drop(columns="wall_s"))


def test_what_cannot_be_sent_says_what_to_do():
    locked = Hill()
    locked.lock = threading.Lock()
    assert len(compared(locked, budget=5).runs) == 12
    with pytest.raises(
        ExperimentError, match=r"cannot be sent .*n_jobs=1.*path/to/file.py:FUNCTION"
    ):
        compare(PAIR, locked, budget=5, seeds=8, n_jobs=2)


def test_runs_repeat_or_say_why_they_cannot(own_file, tmp_path, lab):
    same = lab(
        "compare", "-a", "random_search", "--budget", 10, "--seeds", 2, "--jobs", 1, "--check-repeat",
        "--benchmark", f"{own_file}:Hill", "--output", tmp_path / "r",
    )  # fmt: skip
    assert "1 runs, of which 1 came out the same" in same.err
    text = own_file.read_text().replace(
        "objectives = (", 'clock, measured = "official", True\n    objectives = ('
    )
    own_file.write_text(text)
    timed = lab(
        "compare", "-a", "random_search", "--budget", 10, "--seeds", 2, "--jobs", 1, "--check-repeat",
        "--benchmark", f"{own_file}:Hill", "--output", tmp_path / "s",
    )  # fmt: skip
    assert timed.code == 0
    assert "own hill are not repeated: its costs are measured seconds" in timed.err
    assert "no run repeats to the bit" in timed.out.replace("\n", " ")


def test_options_of_tables_and_studies_of_tables_are_refused(own_file, lab):
    for option in ("--clock", "resume"), ("--objective", "a"), ("--constraint", "a<=1"):
        refused = lab("compare", "--benchmark", f"{own_file}:Hill", *option)
        assert refused.code == 1
        assert "are about tables" in refused.err
    assert "is no table" in lab("analyze", f"{own_file}:Hill").err


# What is no benchmark


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"name": " "}, "Expected name of the benchmark Hill to be a text"),
        ({"space": "cube"}, "Expected space of .* to be a SearchSpace but got 'cube'"),
        ({"objectives": ()}, "a tuple of at least one Objective"),
        ({"objectives": Objective("a", "")}, "a tuple of at least one Objective"),
        ({"clock": "sun"}, "Expected clock of .* one of evaluations"),
        ({"epochs": 0}, "Expected epochs"),
        ({"epochs": 9, "fidelities": (3, 1)}, "ascending epochs that end with 9"),
        ({"best_value": float("inf")}, "Expected best_value"),
        ({"reported": Objective("b", "")}, "has no report_value"),
        ({"reported": Objective("height", "m")}, "different names"),
    ],
)
def test_a_benchmark_that_lacks_something_is_told_before_any_run(attributes, message):
    benchmark = Hill()
    for name, value in attributes.items():
        setattr(benchmark, name, value)
    with pytest.raises(BenchmarkError, match=message):
        compared(benchmark)


def test_what_is_no_benchmark_at_all_is_refused():
    for wrong in (3, Hill, object()):
        with pytest.raises(ExperimentError, match="Expected as benchmark a table's name"):
            compared(wrong)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (3.0, r"return an Evaluation but it returned 3\.0"),
        (Evaluation((1.0, 2.0), 1.0), "return 1 value, one for each objective"),
        (Evaluation(1.0, 1.0), "return 1 value, one for each objective"),
        (Evaluation(("high",), 1.0), "return numbers"),
        (Evaluation((1.0,), float("nan")), "cost of at least 0"),
    ],
)
def test_an_answer_that_is_none_is_told_as_the_benchmarks_mistake(answer, message):
    benchmark = Hill()
    benchmark.evaluate = lambda *_, **__: answer
    with pytest.raises(NasbenchLabError, match=message):
        compared(benchmark)


def test_an_error_in_evaluate_names_its_place_and_can_be_passed_over():
    class Broken(Hill):
        name = "broken"

        def evaluate(self, architecture, epoch=None, rng=None, since=None):
            raise ZeroDivisionError("no such hill")

    with pytest.raises(NasbenchLabError, match=r"no such hill.*test_own_benchmarks\.py, line"):
        compared(Broken())
    with pytest.warns(UserWarning, match="failed in 6 of 6 runs"):
        result = compared(Broken(), keep_going=True)
    assert result.summary()["without"].tolist() == [6, 6]


def test_tables_are_noted_as_ever():
    setting = compared(load_benchmark("nas-bench-graph/cora"), budget=5, seeds=1).experiment
    assert "program" not in setting.benchmarks[0].to_json()
    assert open_table("nas-bench-graph/cora").name == "nas-bench-graph/cora"
    assert len(list(itertools.product(*(d.options for d in CUBE.decisions)))) == CUBE.size

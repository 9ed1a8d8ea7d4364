"""``plot``: which figures it draws, into which files, and what it says of those it does not draw."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from figure_checks import holds_all_of
from matplotlib.colors import to_rgb
from matplotlib.image import imread

import nasbench_lab.figures
from nasbench_lab import stats
from nasbench_lab.registry import load_benchmark
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare

pytestmark = pytest.mark.long

CORA, PROTEINS, DIGITS = "nas-bench-graph/cora", "nas-bench-graph/proteins", "nb201-digits"
CITESEER = "nas-bench-graph/citeseer"
ALGORITHMS = ["random_search", "regularized_evolution", "local_search"]
PAPER = [".png", ".svg", ".pdf", ".csv"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three algorithms on three tables, with one objective and one worker."""
    folder = tmp_path_factory.mktemp("plots") / "result"
    compare(ALGORITHMS, [CORA, PROTEINS, CITESEER], budget=12, seeds=3, n_jobs=1, folder=folder)
    return folder


@pytest.fixture(scope="module")
def two_objectives(tmp_path_factory):
    """On one table, with two workers."""
    folder = tmp_path_factory.mktemp("plots") / "two"
    benchmark = load_benchmark(DIGITS, objective=["valid_accuracy", "parameters"])
    compare(["random_search"], benchmark, budget=12, seeds=2, workers=2, n_jobs=1, folder=folder)
    return folder


def inches(png):
    return imread(png).shape[1] / 200


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("flags", "stems"),
    [
        (["--ranks", "--metric", "valid"], ["ranks_valid_evaluations"]),
        (["--ecdf"], ["ecdf_valid_regret_evaluations"]),
        (
            ["--critical-difference", "--final"],
            ["critical_difference_test_regret", "final_test_regret"],
        ),
        (["--schedule", "--seed", "1"], ["schedule_1"]),
    ],
)
def test_flags_name_the_figures(lab, folder, flags, stems):
    done = lab("plot", folder, *flags, "-o", "f")
    assert done.out.splitlines() == [f"Figure: f/{stem}.png, .svg, .pdf, .csv" for stem in stems]
    assert sorted(file.name for file in Path("f").iterdir()) == sorted(
        f"{stem}{ending}" for stem in stems for ending in PAPER
    )


@pytest.mark.usefixtures("undrawn")
def test_without_flags_the_anytime_figure_and_no_summary(lab, folder):
    done = lab("plot", folder, "--statistic", "median_interval", "-o", "f")
    stem = "f/anytime_regret_evaluations_median_interval"
    assert done.out.splitlines() == [f"Figure: {stem}.png, .svg, .pdf, .csv"]
    assert set(lab("plot", folder, "-o", "g", "--json").data) == {"figures"}
    result = Result.open(folder)
    frame = stats.curve_frame(result, "valid_regret", statistic="median_interval")
    (written,) = Path("f").glob("*.csv")
    head, *lines = written.read_text().splitlines()
    first = [line for line in lines if line.startswith("valid_regret,")]
    # Behind the columns that say what it is of.
    Path("first.csv").write_text("\n".join(line.split(",", 2)[2] for line in [head, *first]) + "\n")
    holds_all_of("first.csv", frame)


@pytest.mark.usefixtures("undrawn")
def test_all_says_what_cannot_be_drawn(lab, folder, two_objectives):
    done = lab("plot", folder, "--all", "-o", "f")
    assert done.code == 0, done.err
    *_, left_out, single = [line for line in done.out.splitlines() if line.startswith("No figure")]
    assert left_out.startswith("No figure of pareto: ")
    assert "one objective, valid_accuracy; a Pareto front needs several" in left_out
    assert single.startswith("No figure of schedule: one worker")
    stems = [
        "anytime_regret_evaluations_mean",
        "ranks_test_regret_evaluations",
        "ecdf_valid_regret_evaluations",
        "critical_difference_test_regret",
        "final_test_regret",
    ]
    assert {file.stem for file in Path("f").iterdir()} == set(stems)
    assert len(list(Path("f").iterdir())) == 4 * len(stems)

    data = lab("plot", two_objectives, "--all", "-o", "g", "--json").data
    assert data["figures"][:4] == [
        f"g/anytime_objectives_evaluations_mean{ending}" for ending in PAPER
    ]
    assert {Path(file).stem for file in data["figures"]} == {
        "anytime_objectives_evaluations_mean",
        "ranks_hypervolume_evaluations",
        "ecdf_hypervolume_evaluations",
        "final_hypervolume",
        "pareto",
        "schedule",
    }
    (left_out,) = data["left_out"]
    assert left_out.startswith("No figure of critical difference: ")
    assert "needs at least 3 algorithms" in left_out


def test_the_same_command_writes_the_same_bytes(lab, folder):
    for where in ("f", "g"):
        assert lab("plot", folder, "--ranks", "-o", where).code == 0
    files = sorted(Path("f").iterdir())
    assert len(files) == 4
    for file in files:
        assert file.read_bytes() == (Path("g") / file.name).read_bytes()


@pytest.mark.parametrize(
    ("given", "width"),
    [(None, 3.35), ("page", 7.0), pytest.param("5", 5.0, marks=pytest.mark.slow)],
)
def test_the_width_is_that_of_a_paper(lab, folder, given, width):
    options = [] if given is None else ["--width", given]
    assert lab("plot", folder, "--final", *options, "-o", "f").code == 0
    assert inches("f/final_test_regret.png") == pytest.approx(width, abs=0.005)
    pdf = Path("f/final_test_regret.pdf").read_bytes()
    (points,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ", pdf)
    assert float(points) == pytest.approx(72 * width)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--width", "wide"], "Expected column, page or inches from 2.5 to 50, but got 'wide'"),
        (["--width", "1"], "from 2.5 to 50, but got '1'"),
        (["--width", "nan"], "but got 'nan'"),
        (["--pareto", "--metric", "test"], "no metric"),
        (["--ranks", "--seed", "1"], "give --schedule"),
        (["--ranks", "--axis", "seconds"], "Use the axis 'evaluations'"),
        (["--all", "--axis", "seconds"], "Use the axis 'evaluations'"),
        (["--pareto"], "a Pareto front needs several"),
        (["--metric", "hypervolume", "--all"], "a Pareto front needs several"),
        (["--schedule", "--seed", "9"], "no runs of seed 9"),
    ],
)
def test_what_cannot_be_drawn_is_refused(lab, folder, arguments, words):
    done = lab("plot", folder, *arguments, "-o", "f")
    assert done.code != 0
    assert words in " ".join(re.sub("[│╭╮╰╯─]", " ", done.err).split())
    assert not Path("f").exists()


def test_a_diagram_needs_two_tables(lab, two_objectives):
    done = lab("plot", two_objectives, "--critical-difference", "-o", "f")
    assert done.code == 1
    assert "needs at least 3 algorithms" in done.err


@pytest.mark.usefixtures("undrawn")
def test_one_impossible_figure_does_not_cost_the_others(lab, two_objectives):
    flags = ["--ranks", "--critical-difference", "--final"]
    done = lab("plot", two_objectives, *flags, "-o", "f")
    assert done.code == 1
    assert done.err.startswith("No figure of critical difference: Friedman's test needs at least 3")
    stems = ["ranks_hypervolume_evaluations", "final_hypervolume"]
    assert done.out.splitlines() == [f"Figure: f/{stem}.png, .svg, .pdf, .csv" for stem in stems]
    assert {file.stem for file in Path("f").iterdir()} == set(stems)
    done = lab("plot", two_objectives, *flags, "-o", "f", "--json")
    assert done.code == 1
    data = json.loads(done.out)
    assert len(data["figures"]) == 8
    assert "needs at least 3" in data["left_out"][0]


@pytest.mark.usefixtures("undrawn")
def test_one_and_several_objectives_in_one_result(lab):
    Path("mixed.toml").write_text(
        'budget = 8\nseeds = 2\nalgorithms = ["random_search", "local_search"]\n'
        f'benchmarks = ["{PROTEINS}", '
        f'{{ table = "{CORA}", objectives = ["valid_accuracy", "parameters"] }}]\n'
    )
    done = lab("run", "mixed.toml", "--jobs", 1, "-o", "r")
    assert done.code == 0, done.err
    assert Path("r/anytime_regret_evaluations_mean.png").exists()
    # Each table has the columns of its objectives.
    one, several = re.split(rf"\n{CORA},", done.out)
    assert "top 10" in one
    assert "hypervolume" not in one
    assert "hypervolume" in several.splitlines()[1]
    assert "top 10" not in several.partition("\n\n")[0]
    assert "Hypervolume at the end: share of" in done.words
    assert "Top: median evaluations" in done.words
    assert "nan" not in done.out
    summary = Result.open("r").summary()
    assert summary["hypervolume"].isna().tolist() == [True, True, False, False]
    data = lab("plot", "r", "--all", "-o", "f", "--json").data
    assert {Path(file).stem for file in data["figures"]} == {
        "anytime_regret_evaluations_mean",
        "ranks_test_regret_evaluations",
        "ecdf_valid_regret_evaluations",
        "final_test_regret",
    }


@pytest.mark.usefixtures("undrawn")
def test_missing_runs_and_different_versions_are_noted(lab, folder):
    result = Result.open(folder)
    runs = [replace(run) for run in result.runs[1:]]
    runs[0] = replace(runs[0], made_with={**runs[0].made_with, "versions": {"numpy": "1.0"}})
    Result(result.experiment, runs).save("part")
    data = lab("plot", "part", "-o", "f", "--json").data
    missing, versions = data["notes"][:2]
    assert missing == "1 of the 27 runs are missing."
    assert versions.startswith("The runs were made with different versions: ")
    done = lab("plot", "part", "-o", "f")
    assert f"Note: {missing}" in done.words
    assert f"Note: {versions}" in done.words


@pytest.fixture
def drawn(monkeypatch, undrawn):
    """The figures that would be written, by the name of their files."""
    figures = {}
    save = nasbench_lab.figures.save_figure

    def keep(figure, stem, *arguments):
        figures[stem.name] = figure
        return save(figure, stem, *arguments)

    monkeypatch.setattr(nasbench_lab.figures, "save_figure", keep)
    return figures


def test_a_figure_for_a_paper_looks_as_asked(lab, folder, drawn):
    names = Result.open(folder).algorithms
    flags = ["--metric", "valid_regret", "--limits", "0.5,20", "--log", "--no-title"]
    flags += ["--highlight", names[1], "--colors", "black,red,#00ff00"]
    done = lab("plot", folder, *flags, "-o", "f")
    assert done.code == 0, done.err
    (figure,) = drawn.values()
    panels = [panel for panel in figure.axes if panel.get_visible()]
    for panel in panels:
        assert panel.get_ylim() == (0.5, 20.0)
        assert panel.get_yscale() == "log"
        # Of several panels, titles tell the tables apart.
        assert len(panels) == 1 or panel.get_title(loc="left") in Result.open(folder).benchmarks
    lines = {line.get_label(): line for line in panels[0].get_lines()}
    assert lines[names[1]].get_color() == "red"
    assert lines[names[1]].get_zorder() > lines[names[0]].get_zorder()
    assert len(set(to_rgb(lines[names[0]].get_color()))) == 1  # grey


def test_a_linear_axis_is_linear(lab, folder, drawn):
    lab("plot", folder, "--metric", "valid_regret", "--linear", "-o", "f")
    lab("plot", folder, "--final", "--log", "-o", "f")
    anytime, final = drawn.values()
    assert anytime.axes[0].get_yscale() == "linear"
    assert final.axes[0].get_xscale() in ("log", "symlog")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--limits", "5"], "Expected the lower and the upper limit"),
        (["--limits", "a,b"], "Expected the lower and the upper limit"),
        (["--limits", "5,1"], "Expected limits such as 0.1, 10 but got 5, 1"),
        (["--limits", "0,inf"], "Expected limits"),
        (["--limits", "0,1", "--log"], "A logarithmic axis has no place for 0"),
        (["--log", "--linear"], "either --log or --linear"),
        (["--schedule", "--limits", "1,2"], "no axis of values"),
        (["--colors", "bleu,red"], "Did you mean 'blue'?"),
        (["--colors", "virids"], "Did you mean 'viridis'?"),
        (["--colors", ""], "Expected colours"),
        (["--highlight", "random_serch"], "Did you mean 'random_search'?"),
        (["--metric", "valid_regrett"], "Did you mean 'valid_regret'?"),
        (["--axis", "epoch"], "Did you mean 'epochs'?"),
    ],
)
def test_a_look_that_cannot_be_is_refused(lab, folder, flags, words):
    done = lab("plot", folder, *flags, "-o", "f")
    assert done.code in (1, 2)
    assert words in " ".join(re.sub("[│╭╮╰╯─]", " ", done.out + done.err).split())
    assert not Path("f").exists()


def test_a_file_that_cannot_be_written_is_an_error_for_all_too(lab, folder):
    Path("f/ranks_test_regret_evaluations.png").mkdir(parents=True)
    done = lab("plot", folder, "--all", "-o", "f")
    assert done.code == 1
    assert "Cannot write to" in done.err

"""The report: its numbers are those of the frames, its words fit the experiment, and it is safe."""

import base64
import hashlib
import re
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from reports import (
    ARXIV,
    CITESEER,
    CORA,
    DIGITS,
    WICKED,
    Page,
    bibtex_entries,
    plain,
    several_objectives,
    tables_of,
    unfinished,
)

from nasbench_lab import stats
from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import DataFolderError, ExperimentError
from nasbench_lab.experiment.settings import AlgorithmSetting
from nasbench_lab.figures.comparison import ecdf_figure, rank_figure
from nasbench_lab.figures.layout import PALETTE
from nasbench_lab.report import render, write_report
from nasbench_lab.report.citations import STATISTICS, _distinct, _entries
from nasbench_lab.report.contents import best_architectures, fixed, number
from nasbench_lab.report.data import BEYOND, json_numbers, page_data
from nasbench_lab.report.methods import listed, methods, seeds_in_words
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare
from nasbench_lab.tables.columns import Column
from nasbench_lab.tables.table import Table

pytestmark = pytest.mark.long

FOUR_DIGITS = 6e-4
"""Numbers that are drawn have four significant digits: half of the last is 5e-4 of 1.000."""


class AsksNothing(SearchAlgorithm):
    def ask(self):
        return None


@pytest.fixture(scope="module")
def result():
    return plain()


@pytest.fixture(scope="module")
def text(result):
    return render(result)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


@pytest.fixture(scope="module")
def multi():
    return several_objectives()


@pytest.fixture(scope="module")
def multi_text(multi):
    return render(multi)


def part_of(result, keep):
    return Result(result.experiment, [run for run in result.runs if keep(run)])


def as_floats(values):
    return np.array([np.nan if value is None else value for value in values], dtype=float)


# Numbers


@pytest.mark.parametrize("metric", ["test_regret", "valid_regret"])
def test_tables_hold_the_numbers_of_the_frame(result, text, metric):
    tables, frame = tables_of(text), stats.table_frame(result, metric)
    for name in result.benchmarks:
        title = f"{stats.metric_label(result.benchmark(name), metric)} on {name}"
        rows = tables[title]
        lines = frame[frame["benchmark"] == name]
        assert len(rows) == len(lines) == 3
        for row, line in zip(rows, lines.itertuples(), strict=True):
            label, runs, mean, median, rank, p, a12 = row
            assert label.startswith(" ".join(line.algorithm.split()))
            assert runs == "8"
            assert mean == f"{line.mean:.2f} [{line.low:.2f}, {line.high:.2f}]"
            assert median == f"{line.median:.2f} [{line.q25:.2f}, {line.q75:.2f}]"
            assert rank == f"{line.rank:g}"
            assert p == ("–" if np.isnan(line.p) else f"{line.p:.3f}")
            assert a12 == f"{line.a12:.2f}"
            assert label.endswith(" best") == line.best
            assert ("significantly worse" in label) == line.significant


def test_what_is_significantly_worse_than_the_best_is_marked(make_table):
    # Of 10 pairs that all differ in one direction, the test has p = 2 / 2**10.
    class Best(SearchAlgorithm):
        row = 9

        def ask(self):
            return self.trial(self.space.at(self.row))

    class Worst(Best):
        row = 0

    valid = np.full((11, 2, 3), 50.0)
    valid[9] = 90.0
    benchmark = TableBenchmark(make_table(name="toy/marked", valid=valid, test=valid))
    made = compare({"Best": Best, "Worst": Worst}, [benchmark], budget=2, seeds=10, n_jobs=1)
    rows = tables_of(render(made))["valid accuracy regret (percentage points) on toy/marked"]
    assert rows[0][0] == "Best best"
    assert rows[1][0] == "Worst ▼ significantly worse"
    assert rows[1][2:] == ["40.00 [40.00, 40.00]", "40.00 [40.00, 40.00]", "2", "0.002", "0.00"]


def test_targets_are_those_of_the_frame(result, text):
    tables, frame = tables_of(text), stats.target_frame(result)
    for name in result.benchmarks:
        rows = {row[0]: row[1:] for row in tables[f"Targets on {name}"]}
        for algorithm in result.algorithms:
            lines = frame[(frame["benchmark"] == name) & (frame["algorithm"] == algorithm)]
            cells = rows[" ".join(algorithm.split())]
            for cell, line in zip(cells, lines.itertuples(), strict=True):
                share = f"{100 * line.success:.0f}%"
                low, high = 100 * line.success_low, 100 * line.success_high
                assert cell.endswith(f"{share} [{low:.0f}, {high:.0f}]")
                assert cell.startswith("∞" if np.isinf(line.ert) else f"{line.ert:.3g}")


@pytest.mark.parametrize("axis", ["evaluations", "seconds"])
@pytest.mark.parametrize("goal", ["test", "valid"])
def test_curves_are_those_of_the_frame(result, page, goal, axis):
    table = page.data["tables"][0]
    drawn = table["curves"][axis]
    benchmark = result.benchmark(table["name"])
    for statistic in stats.STATISTICS:
        for algorithm, line in zip(result.algorithms, drawn[goal], strict=True):
            traces = result.traces(table["name"], algorithm)
            # At the points of the page, which lie more densely at the start.
            points = np.array(drawn["points"], dtype=float)
            samples = stats.run_curves(traces, benchmark, points, f"{goal}_regret", axis)
            for got, wanted in zip(
                line[statistic], stats.summarise(samples, statistic), strict=True
            ):
                wanted = np.where(np.isinf(wanted), np.copysign(BEYOND, wanted), wanted)
                # A point is rounded too: a step right beside it may fall to the other side.
                near = np.isclose(as_floats(got), wanted, rtol=FOUR_DIGITS, equal_nan=True)
                assert near.mean() > (0.999 if axis == "evaluations" else 0.9)
                assert near[-1]


def test_curves_end_where_the_curve_frame_does(result, page):
    frame = stats.curve_frame(result, "test_regret", "evaluations", "median", n=30)
    for table in page.data["tables"]:
        drawn = table["curves"]["evaluations"]
        for algorithm, line in zip(result.algorithms, drawn["test"], strict=True):
            wanted = frame[
                (frame["benchmark"] == table["name"]) & (frame["algorithm"] == algorithm)
            ]
            # Of up to 80 evaluations all are there.
            assert drawn["points"] == wanted["point"].tolist() == list(range(1, 31))
            np.testing.assert_allclose(
                as_floats(line["median"][0]), wanted["centre"], rtol=FOUR_DIGITS
            )


@pytest.mark.parametrize("goal", ["test", "valid"])
def test_ranks_distributions_and_ends_are_those_of_the_frames(result, page, goal):
    metric = f"{goal}_regret"
    ranks = stats.rank_frame(result, metric, "evaluations", n=80)
    ecdf = stats.ecdf_frame(result, metric, "evaluations", n=80)
    finals = stats.final_frame(result, metric)
    places = {table["name"]: table for table in page.data["tables"]} | {"all": page.data["all"]}
    for name, place in places.items():
        for i, algorithm in enumerate(result.algorithms):
            for frame, kind, columns in (
                (ranks, "ranks", ["rank", "low", "high"]),
                (ecdf, "ecdf", ["share"]),
            ):
                wanted = frame[(frame["benchmark"] == name) & (frame["algorithm"] == algorithm)]
                got = place[kind]["evaluations"][goal]["lines"][i]
                for values, column in zip(got, columns, strict=True):
                    np.testing.assert_allclose(values, wanted[column], rtol=FOUR_DIGITS)
            if name != "all":
                mine = (finals["benchmark"] == name) & (finals["algorithm"] == algorithm)
                wanted = np.sort(finals.loc[mine, "value"])
                np.testing.assert_allclose(place["finals"][goal][i], wanted, rtol=FOUR_DIGITS)
    assert "seconds" not in page.data["all"]["ranks"], "not all tables have seconds"
    assert "seconds" in page.data["tables"][0]["ranks"]


def test_long_curves_are_thinned_and_keep_their_end(result):
    long = compare(["random_search"], [CORA], budget=700, seeds=2, n_jobs=1)
    points = page_data(long)["tables"][0]["curves"]["evaluations"]["points"]
    assert len(points) <= 80
    assert points[0] == 1
    assert points[-1] == 700
    # Both close to the start and in the middle there are enough to see steps.
    assert sum(point <= 20 for point in points) >= 10
    assert max(b - a for a, b in pairwise(points)) <= 20


def test_numbers_that_json_cannot_hold_become_ones_that_it_can():
    nan, inf = float("nan"), float("inf")
    assert json_numbers([nan, inf, -inf, 3.0, 0.123456, 0.0]) == [
        None,
        BEYOND,
        -BEYOND,
        3,
        0.1235,
        0,
    ]
    assert isinstance(json_numbers([3.0])[0], int)


@pytest.mark.parametrize(
    ("value", "text"),
    [(float("nan"), "–"), (float("inf"), "∞"), (1234.5, "1234"), (0.01234, "0.0123"), (-2.0, "−2")],
)
def test_numbers_are_written_for_people(value, text):
    assert number(value) == text


def test_a_small_negative_number_is_no_minus_zero():
    assert fixed(-0.001) == "0.00"
    assert fixed(-0.01) == "−0.01"


def test_critical_differences_are_drawn_to_scale(result, text):
    friedman = stats.friedman_of(result, "test_regret")
    (first, *_) = re.findall(r'<svg class="diagram".*?</svg>', text, re.S)
    ticks = re.findall(r'd="M([\d.]+) 52.0v-6"', first)
    assert len(ticks) == 3
    one, three = float(ticks[0]), float(ticks[2])
    (length,) = re.findall(r'd="M220.0 14h([\d.]+)', first)
    assert float(length) == pytest.approx(friedman.critical_difference * (three - one) / 2, abs=0.1)
    places = re.findall(r'd="M([\d.]+) 52.0V', first)
    wanted = [one + (three - one) * (rank - 1) / 2 for rank in sorted(friedman.ranks)]
    assert [float(x) for x in places] == pytest.approx(wanted, abs=0.1)


def test_best_architectures_are_found_by_brute_force(result):
    for found in best_architectures(result):
        name = found["benchmark"]
        benchmark, ends = result.benchmark(name), []
        for run in result.runs:
            if run.benchmark == name:
                values = run.trace.values[:, 0]
                ends.append(int(run.trace.row[np.flatnonzero(values == values.max())[0]]))
        values = benchmark.table.values(benchmark.first_objective)
        best = sorted({values[row] for row in ends}, reverse=True)[:3]
        shown = found["architectures"]
        assert shown[0]["main"][0]["value"] == f"{best[0]:.5g}"
        for one in shown:
            row = benchmark.table.row(benchmark.space.from_string(one["text"]))
            assert one["runs"] == ends.count(row)
            assert one["place"] >= 1 + (values > values[row]).sum()
            columns = {line["name"] for line in one["main"] + one["others"]}
            assert columns == set(benchmark.table.columns)
            unseen = {line["name"] for line in one["main"] if line["note"].startswith("never")}
            assert unseen == {"test_accuracy"}


# Words


def methods_of(result):
    return " ".join(methods(result, []))


def test_methods_say_what_was_done_and_nothing_else(result, page):
    said = " ".join(methods(result, result.benchmarks))
    assert f"random_search, {WICKED} and local_search" in said
    assert f"Here {WICKED} is regularized_evolution" in said
    assert "8 runs of each algorithm on each benchmark (seeds 0 to 7)" in said
    assert "a budget of 30 evaluations per run" in said
    assert f"On the simulated clock on {DIGITS}, an evaluation takes the training time" in said
    assert "valid_accuracy (%, split valid)" in said
    assert "test_accuracy (%, split test) is looked up after the run" in said
    for absent in (
        "constraint",
        "workers",
        "hypervolume",
        "fails",
        "epochs, those",
        "finished and",
    ):
        assert absent not in said
    assert " ".join(said.split())[:300] in page.words
    assert "Demšar" in said
    assert "Demšar" not in methods_of(result)


def test_methods_name_objectives_constraints_and_workers(multi):
    said = methods_of(multi)
    assert "valid_accuracy (%, split valid) and parameters (M)" in said
    assert "have to keep to parameters<=0.05" in said
    assert "the best of the table among the architectures that are allowed" in said
    assert "4 simulated workers evaluate asynchronously" in said
    assert "fails with a chance of 0.1" in said
    assert "takes 3 times as long" in said
    assert "hypervolume is the share" in said
    assert "3 runs of each algorithm (seeds 0 to 2)" in said


def test_methods_of_other_settings():
    made = compare(
        ["hyperband"], [DIGITS], budget="60epochs", seeds=[5], charge_repeats=False, n_jobs=1
    )
    said = methods_of(made)
    assert "We ran the search algorithm hyperband" in said
    assert "There is 1 run (seed 5), with a budget of 60 epochs" in said
    assert "again costs nothing" in said
    assert "different numbers of epochs, those after most decide" in said
    assert "Wilcoxon" not in said


def test_methods_of_one_column_that_is_searched_and_reported(make_table):
    table = make_table(name="toy/only", without=())
    benchmark = TableBenchmark(table, report="valid_accuracy")
    made = compare(["random_search"], [benchmark], budget=3, seeds=2, n_jobs=1)
    assert "one measurement only" in methods_of(made)
    assert list(page_data(made)["tables"][0]["goals"]) == ["valid"]


@pytest.mark.parametrize(
    ("label", "written", "said"),
    [
        ("gp_bo", "gp_bo", "All hyperparameters have their defaults. An"),
        ("mine", "gp_bo", "Here mine is gp_bo. All hyperparameters have their defaults. An"),
        (
            "gp_bo(kernel='matern')",
            "gp_bo(kernel='matern')",
            "Hyperparameters are set as in gp_bo(kernel='matern'); all others have their defaults.",
        ),
        (
            "gp_bo(kernel=matern)",
            "gp_bo(kernel='matern')",
            "Hyperparameters are set as in gp_bo(kernel='matern'); all others have their defaults.",
        ),
        (
            "mine (matern)",
            "gp_bo(kernel='matern')",
            "Here mine (matern) is gp_bo(kernel='matern'). Hyperparameters are set as in "
            "gp_bo(kernel='matern'); all others have their defaults.",
        ),
    ],
)
def test_methods_say_which_hyperparameters_are_set(result, label, written, said):
    algorithms = AlgorithmSetting(label, written), AlgorithmSetting("b", "b")
    (compared, *_) = methods(Result(replace(result.experiment, algorithms=algorithms), []), [])
    before, _, after = compared.partition(". ")
    assert before.startswith("We compared the search algorithms")
    assert after.startswith(said)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([3], "seed 3"),
        ([0, 1, 2], "seeds 0 to 2"),
        ([4, 9], "seeds 4 and 9"),
        ([0, 1], "seeds 0 and 1"),
    ],
)
def test_seeds_in_words(seeds, words):
    assert seeds_in_words(seeds) == words


def test_lists_in_words():
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]


def test_the_page_says_what_was_run(result, page):
    assert "36 of 36 runs" not in page.words
    assert "72 of 72, finished" in page.words
    for benchmark in result.experiment.benchmarks:
        assert benchmark.table in page.words
    for one in result.made_with:
        assert one["platform"] in page.words
        assert f"numpy {one['versions']['numpy']}" in page.words
    assert "nasbench-lab run experiment.toml" in page.words


# Citations


def test_citations_are_bibtex_of_all_that_was_used(text):
    (shown,) = re.findall(r'<pre tabindex="0" id="bibtex">(.*?)</pre>', text, re.S)
    entries = bibtex_entries(shown.replace("&amp;", "&").replace("&#39;", "'"))
    keys = [key for _, key, _ in entries]
    assert len(set(keys)) == len(keys)
    assert keys.count("nasbenchlab") == 1, "the table of digits and the software have one source"
    used = {*STATISTICS} - {"white2021powerful"}  # no search here learns with a predictor
    assert {"qin2022nasbenchgraph", *used} <= set(keys)
    algorithm_keys = set(keys) - {"nasbenchlab", "qin2022nasbenchgraph", *STATISTICS}
    assert algorithm_keys
    for kind, key, fields in entries:
        assert fields["title"], key
        assert kind in {"misc", "article", "inproceedings", "book", "incollection"}


def test_a_citation_that_is_no_bibtex_becomes_one():
    (entry,) = _entries("Müller {et al.}, 50 % of it, 2020", "my table/1")
    ((kind, key, fields),) = bibtex_entries(entry)
    assert (kind, key) == ("misc", "mytable1")
    assert fields == {"title": r"{Müller et al., 50 \% of it, 2020}"}
    assert _entries("  ", "x") == []


def test_a_result_cannot_make_a_report_run_code(result, tmp_path):
    marker = tmp_path / "was here"
    (tmp_path / "evil.py").write_text(
        f"open({str(marker)!r}, 'w')\nclass Evil:\n    citation = 'x'\n"
    )
    first, *others = result.experiment.algorithms
    evil = replace(first, algorithm=f"{tmp_path / 'evil.py'}:Evil")
    render(Result(replace(result.experiment, algorithms=(evil, *others)), result.runs))
    assert not marker.exists()


def test_several_entries_and_equal_keys_are_told_apart():
    both = _entries("@misc{a, title = {x}}\n\n@misc{b, title = {y}}", "t")
    assert len(both) == 2
    cited = _distinct([(both[0], "t"), (both[0], "u"), ("@misc{a, title = {z}}", "v")])
    assert [(one.key, one.used_for) for one in cited] == [("a", ["t", "u"]), ("a-2", ["v"])]
    assert bibtex_entries(cited[1].bibtex)[0][1] == "a-2"


# Safety


def test_labels_are_text_and_nothing_else(text, page):
    assert "<img src=x" not in text
    assert "onerror" not in {name for _, attributes in page.elements for name in attributes}
    assert page.data["algorithms"][1] == WICKED
    assert " ".join(WICKED.split()) in page.words
    assert [tag for tag, _ in page.elements].count("script") == 2


def test_nothing_is_loaded_from_anywhere(text, multi_text):
    for one in (text, multi_text):
        for tag, attributes in Page(one).elements:
            for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
                value = attributes.get(name) or ""
                assert value == "" or value.startswith(("#", "data:image/svg+xml;base64,")), tag
            # The policy allows neither.
            assert "style" not in attributes, tag
            assert not any(name.startswith("on") for name in attributes), tag
        style, script = own(one)
        assert not re.search(r"url\(|@import|https?:|//\w", style)
        for word in ("fetch(", "XMLHttpRequest", "import(", "eval(", "innerHTML", "WebSocket"):
            assert word not in script


def own(text):
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    return style, script


def test_the_policy_allows_the_pages_own_style_and_script_alone(text):
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)
    policy = policy.replace("&#39;", "'")
    for kind, content in zip(("style", "script"), own(text), strict=True):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_the_same_result_gives_the_same_page_from_memory_and_from_disk(result, text, tmp_path):
    result.save(tmp_path / "run")
    assert render(Result.open(tmp_path / "run")) == text


def test_ids_are_there_once(text, multi_text):
    for one in (text, multi_text):
        ids = [attributes["id"] for _, attributes in Page(one).elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        targets = {(attributes.get("href") or "#main")[1:] for _, attributes in Page(one).elements}
        assert targets <= set(ids)


def luminance(colour):
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_are_told_from_the_ground(text, theme):
    style, _ = own(text)
    colours = {}
    for name, value in re.findall(r"--([\w-]+): (#\w{6}|light-dark\(.*?\));", style):
        found = re.findall(r"#\w{6}", value)
        colours[name] = found[min(theme, len(found) - 1)]
    # WCAG 2.2: 3:1 for graphics, 4.5:1 for text.
    for i, original in enumerate(PALETTE):
        assert contrast(colours[f"colour-{i}"], colours["ground"]) >= 3.0
        if contrast(original.lower(), colours["ground"]) >= 3.0:
            assert colours[f"colour-{i}"] == original.lower()
    for name in ("text", "quiet", "accent"):
        for ground in ("ground", "raised"):
            assert contrast(colours[name], colours[ground]) >= 4.5


# Unfinished, tiny and odd results


def test_unfinished_results_say_so(result):
    some = part_of(
        result, lambda r: r.seed < 3 and (r.algorithm, r.benchmark) != ("local_search", CORA)
    )
    page = Page(render(some))
    assert "Unfinished: 24 of 72 runs are here" in page.words
    assert "Of these 72 runs, 24 are finished and shown here." in page.words
    assert page.data["tables"][1]["curves"]["evaluations"]["test"][2] is None
    assert page.data["tables"][1]["finals"]["test"][2] == []


def test_what_ranks_rest_on_is_said_where_it_is_less_than_all(result, page):
    made = unfinished()
    less = Page(render(made))
    names = f"{DIGITS}, {CORA}, {CITESEER}"
    said = f"3 of 4 tables, on which every algorithm has finished runs: {names}. Friedman"
    assert less.words.count(said) == 2
    names = f"{DIGITS}, {CORA} and {CITESEER}"
    said = f"Over the benchmarks on which every algorithm has finished runs ({names}), "
    assert f"{said}algorithms are ranked" in less.words
    ranks = {
        t["name"]: t["ranks"] for t in [*less.data["tables"], {**less.data["all"], "name": "all"}]
    }
    assert less.data["seeds"] == 3
    seeds = {name: kind["evaluations"]["test"]["seeds"] for name, kind in ranks.items()}
    assert seeds == {DIGITS: 3, CORA: 2, ARXIV: 3, CITESEER: 3, "all": 2}
    assert "on which every algorithm" not in page.words
    assert "3 tables. Friedman" in page.words


def test_a_table_without_runs_is_left_out(result):
    page = Page(render(part_of(result, lambda r: r.benchmark == CORA)))
    assert [table["name"] for table in page.data["tables"]] == [CORA]
    assert "Critical-difference" not in page.words


def test_one_algorithm_one_seed_one_table():
    made = compare(["random_search"], [CORA], budget=5, seeds=1, n_jobs=1)
    text = render(made)
    page = Page(text)
    assert "plot-ranks" not in text
    assert "1 algorithm on 1 table" in page.words
    title = f"test accuracy regret (percentage points) on {CORA}"
    assert tables_of(text)[title][0][0] == "random_search"


def test_runs_in_which_nothing_was_evaluated_are_no_obstacle(timed):
    made = compare(
        {"nothing": AsksNothing, "random_search": "random_search"},
        [TableBenchmark(timed)],
        budget=4,
        seeds=2,
        n_jobs=1,
    )
    page = Page(render(made))
    table = page.data["tables"][0]
    assert table["finals"]["test"][0] == [BEYOND, BEYOND]
    assert table["medians"] == ["test", "valid"]
    assert "nothing never asked for an evaluation in 2 of 2 runs" in page.words
    assert "0% found something" in page.words
    assert "(no means, as some runs found nothing)" in page.words
    assert "A run that found nothing counts as worse than every run" in page.words


def test_no_runs_are_refused(result, timed):
    with pytest.raises(ExperimentError, match="no finished runs"):
        render(part_of(result, lambda run: False))
    made = compare({"nothing": AsksNothing}, [TableBenchmark(timed)], budget=4, seeds=1, n_jobs=1)
    with pytest.raises(ExperimentError, match="no finished runs"):
        render(made)


def test_several_objectives_have_fronts_and_workers_a_schedule(multi, multi_text, text):
    ids = {attributes.get("id") for _, attributes in Page(multi_text).elements}
    assert {"pareto", "schedule"} <= ids
    assert not {"pareto", "schedule"} & {a.get("id") for _, a in Page(text).elements}
    goals = Page(multi_text).data["tables"][0]["goals"]
    assert list(goals) == ["hypervolume", "test", "valid"]
    assert goals["hypervolume"]["best"] == 1.0
    # What is drawn is what is missing.
    found = stats.final_frame(multi, "hypervolume")
    mine = found[found["algorithm"] == WICKED]["value"]
    drawn = Page(multi_text).data["tables"][0]["finals"]["hypervolume"][1]
    np.testing.assert_allclose(drawn, np.sort(1 - mine), rtol=FOUR_DIGITS)


@pytest.mark.parametrize(
    "seconds", [0.0, 5e-324, pytest.param(1e-300, marks=pytest.mark.slow), 1e300]
)
@pytest.mark.parametrize("budget", [pytest.param(1, marks=pytest.mark.slow), 6])
def test_runs_that_spent_no_second_or_few_or_many_are_reported(tmp_path, timed, seconds, budget):
    columns = {
        Column("valid_accuracy", "accuracy", "%", True, "valid", epochs=(1, 2)): np.ones(
            (12, 1, 2)
        ),
        Column("train_time", "train_time", "s", False): np.full(12, seconds),
    }
    info = replace(timed.info, objective="valid_accuracy", report="valid_accuracy")
    benchmark = TableBenchmark(Table.create(tmp_path / "table", info, columns))
    made = compare(["random_search", "hyperband"], benchmark, budget=budget, seeds=3, n_jobs=1)
    assert all(run.trace.end[-1] == pytest.approx(seconds * budget) for run in made.runs)
    assert write_report(made, tmp_path / "report.html").is_file()
    for axis, part in page_data(made)["tables"][0]["curves"].items():
        points = part["points"]
        assert points == sorted(points), axis
        assert points[-1] > 0
    for axis in get_args(stats.Axis):
        for draw in (made.plot, partial(ecdf_figure, made), partial(rank_figure, made)):
            draw("valid_regret", axis=axis).draw_without_rendering()


def test_a_smaller_objective_is_better_turns_values_the_other_way(make_table):
    benchmark = TableBenchmark(make_table(name="toy/less", maximize=False))
    made = compare(["random_search"], [benchmark], budget=6, seeds=2, n_jobs=1)
    goal = page_data(made)["tables"][0]["goals"]["valid"]
    values = benchmark.table.values(benchmark.first_objective)
    assert goal["maximize"] is False
    assert goal["best"] == np.nanmin(values)


# The file and the command


def test_the_file_is_written_whole_or_not_at_all(result, text, tmp_path):
    assert write_report(result, tmp_path / "new" / "report.html").read_text("utf-8") == text
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFolderError, match="Cannot write"):
        write_report(result, tmp_path / "file" / "report.html")


def test_the_command_writes_the_page_beside_the_result(lab, result, text, tmp_path):
    result.save(tmp_path / "run")
    outcome = lab("report", "run")
    assert outcome.code == 0, outcome.err
    assert "run/report.html" in outcome.words
    assert (tmp_path / "run" / "report.html").read_text("utf-8") == text
    assert lab("report", "run", "--output", "elsewhere/mine.html").code == 0
    assert (tmp_path / "elsewhere" / "mine.html").exists()
    assert Result.open(tmp_path / "run").n_expected == 72, "the page does not disturb the result"


def test_the_command_opens_the_page_if_it_is_asked_to(lab, result, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("typer.launch", opened.append)
    result.save(tmp_path / "run")
    assert lab("report", "run", "--open").code == 0
    assert opened == [(tmp_path / "run" / "report.html").as_uri()]


def test_a_page_of_other_versions_lists_them_all(result):
    runs = [
        replace(run, made_with={**run.made_with, "python": f"3.1{run.seed % 2}"})
        for run in result.runs
    ]
    page = Page(render(Result(result.experiment, runs)))
    assert "Python 3.10" in page.words
    assert "Python 3.11" in page.words

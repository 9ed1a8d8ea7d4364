"""Verdicts: nobody is crowned who did not win, and what is said is what the frames have."""

import math
import re

import numpy as np
import pytest

from nasbench_lab import SearchAlgorithm, stats
from nasbench_lab.benchmark import TableBenchmark, scarcity
from nasbench_lab.errors import QueryError, UnknownNameError
from nasbench_lab.registry import load_benchmark
from nasbench_lab.running.comparison import compare
from nasbench_lab.stats import verdict

DIGITS, CORA = "nb201-digits", "nas-bench-graph/cora"
RANKING = load_benchmark(DIGITS).ranking("valid_accuracy")
ARCHITECTURES = load_benchmark(DIGITS).table.architectures


def entry(place):
    """The entry of the table at a place of its ranking."""
    return tuple(ARCHITECTURES[RANKING[place]].tolist())


class Steady(SearchAlgorithm):
    """Always takes the 500th best."""

    def ask(self):
        return self.trial(entry(500))


class Lucky(SearchAlgorithm):
    """Takes the 20th best, and in one run of 15 the worst."""

    def ask(self):
        return self.trial(entry(-1 if self.rng.random() < 1 / 15 else 20))


class Idle(SearchAlgorithm):
    def ask(self):
        return None


def verdict_of(result, metric="valid_regret", benchmark=DIGITS, **more):
    (found,) = (
        v for v in stats.verdicts(result, **more) if (v.benchmark, v.metric) == (benchmark, metric)
    )
    return found


@pytest.fixture(scope="module")
def clear():
    """One algorithm is far ahead of two that hardly differ."""
    return compare(["gp_bo", "random_search", "reinforce"], DIGITS, budget=60, seeds=16, n_jobs=1)


def test_who_wins_is_better_than_every_other_by_mean_and_by_ranks(clear):
    found = verdict_of(clear)
    assert found.winner == "gp_bo"
    frame = stats.table_frame(clear, "valid_regret").set_index("algorithm")
    others = frame.drop("gp_bo")
    assert (others["outcome"] == "worse").all()
    assert (others["mean"] > frame["mean"]["gp_bo"]).all()
    second = others["rank"].idxmin()
    assert f"gp_bo wins: mean {frame['mean']['gp_bo']:.2g}" in found.text
    assert f"of {second}, the next best (p " in found.text


def test_what_hardly_differs_is_not_told_apart_and_how_many_seeds_it_would_take(clear):
    found = verdict_of(clear, "test_regret")
    assert found.winner is None
    frame = stats.table_frame(clear, "test_regret").set_index("algorithm")
    assert not (frame["outcome"] == "worse").all()
    best = frame["mean"].idxmin()
    assert f"{best} has the best mean ({frame['mean'][best]:.2f})" in found.text
    assert re.search(r"would take (about [\d,]+|more than 1,000) seeds\.", found.text)


def test_how_many_seeds_it_would_take_is_simulated_once(clear, monkeypatch):
    calls, simulate = [], verdict.seeds_needed
    monkeypatch.setattr(
        verdict, "seeds_needed", lambda *a, **k: (calls.append(a), simulate(*a, **k))[1]
    )
    verdict._seeds_needed.cache_clear()
    first = clear.verdict()
    assert len(calls) == 1
    assert clear.verdict() == first
    assert len(calls) == 1


def test_mean_and_ranks_that_contradict_crown_nobody():
    result = compare([Steady, Lucky], DIGITS, budget=1, seeds=60, n_jobs=1)
    frame = stats.table_frame(result, "valid_regret").set_index("algorithm")
    wide = result.to_frame().pivot(index="seed", columns="algorithm", values="valid_accuracy")
    assert (wide["Lucky"] > wide["Steady"]).sum() > 50
    assert frame["best"]["Steady"]
    assert frame["p"]["Lucky"] < 0.001
    assert frame["effect"]["Lucky"] > 0
    assert frame["outcome"]["Lucky"] == "mixed"
    assert not frame["significant"].any()
    found = verdict_of(result)
    assert found.winner is None
    assert "no algorithm wins: Steady has the best mean" in found.text
    assert re.search(r"Lucky \(.*p < 0\.001\) is better by ranks", found.text)
    assert (
        "better by the mean or by ranks, but not by both"
        in verdict_of(result, reference="Steady").text
    )


def test_survivors_are_not_crowned():
    benchmark = load_benchmark(CORA, constraints="parameters<=0.5")
    assert scarcity(benchmark) == [
        "only 4 of 26,206 entries keep to parameters<=0.5, so many runs may find none."
    ]
    result = compare(["random_search", "gp_bo"], benchmark, budget=100, seeds=12, n_jobs=1)
    summary = result.summary().set_index("algorithm")
    assert (summary["without"] > 0).all()
    assert summary[["test_regret", "valid_regret", "valid_regret_low"]].isna().all(axis=None)
    assert summary["evals_to_top_10"].isna().all()  # there are no ten
    assert summary["reached_top_10"].isna().all()
    notes = " ".join(result.notes(result.summary()))
    assert "only 4 of 26,206 entries" in notes
    assert f"{summary['without']['gp_bo']} of 12 runs of gp_bo found nothing that keeps to" in notes
    assert "ends best" not in notes
    text = verdict_of(result, benchmark=CORA).text
    assert f"{1 - summary['without']['random_search'] / 12:.0%} of runs found something" in text
    with pytest.raises(
        QueryError, match=r"no 'top 10' .* has 4 entries that its constraints allow"
    ):
        stats.target_frame(result, targets=["top 10"])


def test_a_table_of_a_few_architectures_is_warned_of(make_table):
    assert scarcity(load_benchmark(DIGITS)) == []
    assert scarcity(load_benchmark(CORA)) == []
    assert scarcity(TableBenchmark(make_table())) == []


def test_a_search_that_asks_for_nothing_is_told_so():
    result = compare([Idle, "random_search"], DIGITS, budget=5, seeds=3, n_jobs=1)
    assert f"{DIGITS}: Idle never asked for an evaluation in 3 of 3 runs." in result.notes()
    assert not any("random_search" in note for note in result.notes())
    short = compare(["random_search"], DIGITS, budget="0.001s", seeds=3, n_jobs=1)
    assert not any("never asked" in note for note in short.notes())


def test_failures_are_counted_with_their_share(make_table):
    valid = np.full((11, 2, 3), 50.0)
    valid[4:] = math.nan
    result = compare(
        ["random_search"], TableBenchmark(make_table(valid=valid)), budget=40, seeds=5, n_jobs=1
    )
    line = result.summary().iloc[0]
    rows = np.concatenate([run.trace.row for run in result.runs])
    assert line["missing_share"] == np.mean(rows < 0) > 0
    assert line["failed_share"] == np.mean((rows < 0) | (rows >= 4))
    assert line["failed"] == 40 * line["failed_share"]
    (note,) = (n for n in result.notes() if "failed" in n)
    assert f"{line['failed_share']:.0%} of random_search's evaluations failed" in note
    assert f"({line['missing_share']:.0%}: the table has no such architecture)" in note


def test_few_seeds_and_few_tables_say_what_they_lack(clear):
    few = compare(
        ["random_search", "reinforce", "gp_bo"], [DIGITS, CORA], budget=5, seeds=3, n_jobs=1
    )
    for found in stats.verdicts(few):
        assert found.winner is None
        if found.benchmark == stats.ALL:
            assert "over 2 tables: 3 algorithms need at least 3" in found.text
        else:
            assert (
                "There are 3 seeds, and fewer than 7 cannot tell any of 3 algorithms" in found.text
            )
    with pytest.raises(QueryError, match="needs at least 3 benchmarks"):
        stats.friedman_of(few)
    # 7 is the least number of seeds of which the smallest p, times 3 pairs, is below 0.05.
    assert 3 * 2 * 0.5**7 < 0.05 <= 3 * 2 * 0.5**6
    assert not any(v.benchmark == stats.ALL for v in stats.verdicts(clear))


def test_on_so_few_tables_no_critical_difference_is_within_reach():
    for k in (2, 3, 4, 5, 13, 30):
        n = stats.tables_needed(k)
        assert stats.critical_difference(k, n) <= k - 1 < stats.critical_difference(k, n - 1)


def test_two_algorithms_over_tables_are_told_apart_by_a_sign_test():
    tables = [
        f"nas-bench-graph/{n}" for n in ("cora", "citeseer", "pubmed", "cs", "physics", "photo")
    ]
    result = compare([*("local_search", "random_search")], tables, budget=40, seeds=4, n_jobs=1)
    found = verdict_of(result, benchmark=stats.ALL)
    ranks = stats.table_frame(result, "valid_regret")
    won = ranks[ranks["rank"] == 1]["algorithm"].eq("local_search").sum()
    assert f"local_search is better on {won} of 6 tables" in found.text
    # All six of six: 2 / 2^6 = 0.03.
    assert found.winner == ("local_search" if won == 6 else None)


def test_a_reference_is_tested_against_all(clear):
    text = verdict_of(clear, reference="random_search").text
    frame = stats.table_frame(clear, "valid_regret", "random_search").set_index("algorithm")
    assert frame["outcome"]["gp_bo"] == "better"
    assert re.search(r"against random_search \(.*\): better is gp_bo \(", text)
    with pytest.raises(UnknownNameError, match="Did you mean 'random_search'"):
        clear.verdict("random")


def test_one_answer_to_how_soon_the_top_is_reached(clear):
    summary = clear.summary().set_index("algorithm")
    targets = stats.target_frame(clear, axis="evaluations")
    for name, target in {"top_10": "top 10", "top_1pct": "best 1 %"}.items():
        lines = targets[targets["target"] == target].set_index("algorithm")
        assert summary[f"reached_{name}"].to_dict() == lines["success"].to_dict()
        assert summary[f"evals_to_{name}"].to_dict() == lines["median"].to_dict()


def test_one_algorithm_has_no_verdict(make_table):
    result = compare(["random_search"], TableBenchmark(make_table()), budget=5, seeds=3, n_jobs=1)
    assert result.verdict() == []

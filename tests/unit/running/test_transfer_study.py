"""Studies that leave one task out, and the command."""

import numpy as np
import pandas as pd
import pytest
from related_tables import related_table

from nasbench_lab.errors import ExperimentError, UnknownNameError, UnsuitedError
from nasbench_lab.figures.transfer import transfer_figure
from nasbench_lab.registry import load_benchmark, open_table
from nasbench_lab.running.transfer import agreement_of, study_transfer, tasks_of_family

ALGORITHMS = ["random_search", "regularized_evolution(population_size=5)", "transfer_zero_shot"]
TASKS = ["related/0", "related/1", "related/2"]


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """Three tables in a data folder of their own; the third is the contrary of the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_LAB_DATA", str(tmp_path_factory.mktemp("data")))
        for task in range(2):
            related_table(None, task)
        related_table(None, 2, maximize=False, contrary=True)
        yield


@pytest.fixture(scope="module")
def study(family, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    settings = {"budget": 12, "seeds": 8, "n_jobs": 1, "folder": folder}
    return study_transfer("related", ALGORITHMS, **settings), settings


def test_a_family_is_the_tables_of_a_name_or_the_tasks_of_a_table(family):
    assert tasks_of_family("related") == TASKS
    with pytest.raises(UnknownNameError, match="Did you mean 'related'"):
        tasks_of_family("relate")
    with pytest.raises(ExperimentError, match=r"at least two tasks.*one: nb201-digits"):
        tasks_of_family("nb201-digits")


def test_nas_bench_201_has_three_tasks():
    tasks = [f"nas-bench-201-final/{name}" for name in ("cifar10", "cifar100", "ImageNet16-120")]
    assert tasks_of_family("nas-bench-201-final") == tasks
    assert len(tasks_of_family("nas-bench-graph")) == 9


def test_each_variant_runs_on_each_task_without_that_task(study):
    study, _ = study
    assert [study.name(variant) for variant in study.variants] == [
        "random_search",
        "regularized_evolution(population_size=5)",
        "regularized_evolution(population_size=5) (transfer)",
        "transfer_zero_shot",
    ]
    # The first that zero-shot asks is a good one of the others, whatever is good here.
    zero_shot = study.variants[-1]
    tables = [load_benchmark(task) for task in TASKS]
    scores = [t.evaluate_many(t.table.architectures)[0][:, 0] for t in tables]
    scores[2] = -scores[2]
    scaled = [(s - s.min()) / np.ptp(s) for s in scores]
    for i, task in enumerate(TASKS):
        first = study.traces(task, zero_shot)[0].row[0]
        others = sum(scaled[j] for j in range(3) if j != i)
        assert first == others.argmax()


def test_the_table_of_tasks_says_what_came_of_the_runs(study):
    study, _ = study
    frame = study.per_task()
    assert len(frame) == 3 * 4
    for task in TASKS:
        benchmark = load_benchmark(task)
        best, sign = benchmark.optimum("valid"), -1 if task == "related/2" else 1
        ends = {
            study.name(v): [sign * (best - sign * t.scores().max()) for t in study.traces(task, v)]
            for v in study.variants
        }
        ranks = pd.DataFrame(ends).rank(axis=1).mean()
        lines = frame[frame["task"] == task].set_index("name")
        for name, values in ends.items():
            assert lines.loc[name, "regret"] == pytest.approx(np.mean(values), abs=1e-9)
            assert lines.loc[name, "rank"] == pytest.approx(ranks[name])
        zero_shot = lines.loc["transfer_zero_shot"]
        assert zero_shot["against"] == "random_search"  # as gp_bo is not among them
        without = lines.loc["random_search", "regret"]
        assert zero_shot["change"] == pytest.approx(zero_shot["regret"] - without)
        evolution = lines.loc["regularized_evolution(population_size=5) (transfer)"]
        assert evolution["against"] == "regularized_evolution(population_size=5)"
    # Two tasks agree, and the third is the contrary: what it teaches hurts.
    effects = frame[frame["name"] == "transfer_zero_shot"].set_index("task")["effect"]
    assert effects["related/2"] == "hurts"
    assert effects["related/0"] == "helps"
    overall = study.overall().set_index("name")
    assert overall["mean_rank"].is_monotonic_increasing
    assert overall.loc["transfer_zero_shot", "worst_task"] == "related/2"
    assert overall.loc["transfer_zero_shot", "hurts_on"] == "related/2"
    assert np.isnan(overall.loc["random_search", "helps"])
    of_ends = study.ranks().groupby("name", sort=False)["rank"].last()
    np.testing.assert_allclose(of_ends[overall.index], overall["mean_rank"])
    one, other, lowest = study.least_alike
    assert other == "related/2"
    assert lowest == study.agreement.loc[one, other] == study.agreement.min(axis=None)


def test_tasks_agree_as_their_values_do(family):
    from scipy.stats import spearmanr

    agreement = agreement_of(TASKS)
    first, second = (open_table(task).values("valid") for task in TASKS[:2])
    assert agreement.loc["related/0", "related/1"] == pytest.approx(spearmanr(first, second)[0])
    assert agreement.loc["related/0", "related/2"] < -0.5
    np.testing.assert_array_equal(agreement, agreement.T)
    assert (np.diag(agreement) == 1).all()


def test_a_study_goes_on_where_it_was(study, monkeypatch):
    study, settings = study
    monkeypatch.setattr("nasbench_lab.running.tasks.search", None)  # nothing is run again
    again = study_transfer("related", ALGORITHMS, **settings)
    pd.testing.assert_frame_equal(again.per_task(), study.per_task())


def test_the_figure_shows_ranks_changes_and_agreement(study):
    study, _ = study
    frames = study.per_task(), study.ranks(), study.agreement
    panels = transfer_figure(*frames, family="related").axes
    assert len(panels[0].lines) == 4
    texts = [text.get_text() for text in panels[1].texts]
    taught = frames[0][frames[0]["transfer"]]
    times = taught["regret"] / (taught["regret"] - taught["change"])
    assert texts == [f"{t:.2g}" for t in times.to_numpy().reshape(3, 2).T.ravel()]
    assert [tick.get_text() for tick in panels[2].get_xticklabels()] == ["0", "1", "2"]


def test_what_makes_no_study_is_refused(family, tmp_path):
    settings = {"budget": 3, "seeds": 1, "n_jobs": 1, "folder": tmp_path}
    with pytest.raises(UnsuitedError, match="None of these algorithms learns"):
        study_transfer("related", ["random_search"], **settings)
    with pytest.raises(UnsuitedError, match="darts can search none of related/0"):
        study_transfer("related", ["darts", "gp_bo"], **settings)
    with pytest.raises(UnknownNameError, match="use of other tasks"):
        study_transfer("related", ["gp_bo"], use="results", **settings)
    candidates = study_transfer("related", ["random_search"], use="candidates", **settings)
    (trace,) = candidates.taught.traces("related/0", "random_search")
    assert trace.trial.tolist() == [-2, -3, -4]


def test_the_command_leaves_tables_and_a_figure(family, lab, undrawn, tmp_path):
    folder = tmp_path / "study"
    command = ["transfer", "related", "-a", "transfer_zero_shot", "--budget", 4, "--seeds", 2]
    command += ["--jobs", 1, "-o", folder]
    assert "related: 3 tasks, each left out once" in lab(*command).words
    names = {"transfer.csv", "transfer.png", "transfer.svg", "ranks.csv", "agreement.csv"}
    assert names <= {path.name for path in folder.iterdir()}
    found = lab(*command, "--json").data
    assert {line["name"] for line in found["overall"]} == {"transfer_zero_shot", "random_search"}
    assert len(found["per_task"]) == len(pd.read_csv(folder / "transfer.csv")) == 6

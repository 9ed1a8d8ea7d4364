"""The command proxies, and how tables with scores are described and looked up."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasbench_lab.landscape.analysis import analyse
from nasbench_lab.registry import load_benchmark, table_folder
from nasbench_lab.spaces import Decision
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.proxies import proxy_columns
from nasbench_lab.tables.table import Table

pytestmark = pytest.mark.long


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """A table among those known by name: ``snip`` ranks as the accuracy does, ``ntk`` does not."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    accuracy, rng = np.arange(60) / 1.0, np.random.default_rng(0)
    columns = {
        Column(f"{split}_accuracy", "accuracy", "%", True, split): accuracy
        for split in ("valid", "test")
    }
    for name, values in (
        ("snip", accuracy**2),
        ("params", accuracy + rng.normal(scale=9, size=60)),
        ("ntk", rng.normal(size=60) ** 2),
    ):
        scores, seconds = proxy_columns(name, "toy", 0, "four images")
        columns |= {scores: values, seconds: np.full(60, 0.25)}
    decisions = (Decision("a", range(10)), Decision("b", range(6)))
    info = TableInfo(
        "scored", "own", "", "", "", "valid_accuracy", "test_accuracy", decisions=decisions
    )
    return Table.create(table_folder("scored"), info, columns)


def test_the_command(scored, lab):
    out = lab("proxies", "scored")
    assert out.code == 0, out.err
    assert "scored: 60 rows" in out.words
    assert "No better than counting parameters, over all rows: ntk." in out.words
    assert "beats params" in out.words
    folder = Path("results") / "proxies-scored"
    assert {file.name for file in folder.iterdir()} == {
        *(f"correlations.{ending}" for ending in ("csv", "png", "svg"))
    }
    frame = pd.read_csv(folder / "correlations.csv")
    assert list(frame["proxy"]) == ["snip", "params", "ntk"]
    assert frame["spearman_valid_accuracy"][0] == pytest.approx(1)
    lines = lab("proxies", "scored", "--json", "-o", "elsewhere").data["proxies"]
    assert [line["beats_params"] for line in lines] == [True, False, False]
    assert lines[0]["published_cells"] == 0.545
    assert lines[2]["published_cells"] is None
    assert Path("elsewhere", "correlations.csv").exists()


def test_scores_have_a_list_of_their_own(scored, lab):
    out = lab("describe", "scored")
    assert "score without training" in out.words
    assert "proxy_ntk less" in out.words
    assert "250 ms" in out.words
    assert "proxy_ntk_time" not in out.words
    shown = lab("query", "scored", scored.space.to_string((3, 2)))
    assert shown.code == 0, shown.err
    assert "proxy_snip" in shown.words
    assert "proxy_snip_time" not in shown.words
    values = lab("query", "scored", scored.space.to_string((3, 2)), "--json").data["values"]
    assert values["proxy_snip_time"] == 0.25


def test_analyses_treat_scores_as_no_costs(scored):
    study = analyse(scored, walks=5)
    assert list(study.distribution["column"]) == ["valid_accuracy", "test_accuracy"]
    assert analyse(scored, "proxy_ntk", walks=5).landscape.column.name == "proxy_ntk"


def test_a_search_by_a_proxy(scored):
    benchmark = load_benchmark("scored", objective="proxy_ntk", clock="evaluations")
    assert not benchmark.objectives[0].maximize
    values = scored.values("proxy_ntk")
    assert benchmark.evaluate((0, 0)).values == (values[0],)
    assert scored.optimum("proxy_ntk") == values.min()


def test_tables_without_scores(lab):
    out = lab("proxies", "nas-bench-graph/proteins")
    assert out.code == 1
    assert "nas-bench-graph/proteins' holds no scores" in " ".join(out.err.split())
    assert "nb201 and nats-sss only" in " ".join(out.err.split())
    out = lab("proxies", "nas-bench-201-final/cifar10")
    assert out.code == 1
    assert "--sample 200 --data-folder FOLDER" in " ".join(out.err.split())


def test_a_sample_that_is_scored_now(lab):
    pytest.importorskip("torch", reason="scores of networks need PyTorch")
    found = lab("proxies", "nb201-digits", "--sample", "3", "--json", "-o", "now").data
    assert found["rows"] == 3
    assert len(found["proxies"]) == 15
    assert all(line["seconds"] is not None for line in found["proxies"])

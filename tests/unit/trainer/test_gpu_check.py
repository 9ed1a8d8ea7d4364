"""The comparison of a GPU with the CPU, run on the CPU alone."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

pytestmark = pytest.mark.long


@pytest.fixture
def check(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    return importlib.import_module("gpu_check")


def test_a_cpu_agrees_with_itself(check, capsys, monkeypatch):
    monkeypatch.setattr(check, "live_searches", lambda *_: [])
    assert check.main(["--device", "cpu", "--short"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("all close")
    values = [re.search(r"\s{2,}(\S+)\s+(\S+)", line).groups() for line in lines[2:-1]]
    # To the bit, and compared with something above 0.
    assert len(values) == 44
    assert {difference for difference, _ in values} == {"0"}
    assert min(float(tolerance) for _, tolerance in values) > 0


@pytest.mark.slow  # four processes load PyTorch; in short in test_live_training
def test_a_live_search_on_a_cpu_agrees_with_itself(check):
    value, workers = check.live_searches("cpu", True)
    assert value.close
    assert value.difference == 0.0
    assert value.cpu > 0
    assert (workers.cpu, workers.other) == (2, 2)


def test_what_is_too_far_is_told(check, capsys, monkeypatch):
    def checks(device, short):
        yield check.Compared("near", [1.0, 2.0], [1.0, 2.1], 0.2)
        yield check.Compared("far", [1.0, 2.0], [1.0, 2.3], 0.2, (1.0, 2.0))
        yield check.Compared("not a number", 1.0, np.nan, 0.2)

    for name in ("networks", "chains", "supernets", "live_searches"):
        monkeypatch.setattr(check, name, lambda *_: [])
    monkeypatch.setattr(check, "trainings", checks)
    assert check.main(["--device", "cpu"]) == 1
    near, far, nan, total = capsys.readouterr().out.splitlines()[2:]
    assert "too far" not in near
    assert far.endswith("1.00    2.00  too far")
    assert nan.endswith("too far")
    assert total.startswith("2 too far")


def test_without_a_gpu_it_says_so(check, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert check.main([]) == 2
    assert "There is no GPU that PyTorch" in capsys.readouterr().out

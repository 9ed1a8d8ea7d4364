"""What networks cost the machine: against times, sizes and energies that are known."""

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
from energy_counter import Counter
from small_data import short, small_digits
from torch import nn

from nasbench_lab.errors import TrainingError
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.trainer import hardware
from nasbench_lab.trainer.hardware import EnergyMeter, measure_network, size_of
from nasbench_lab.trainer.training import train
from nasbench_lab.user_code.functions import taken_function

pytestmark = pytest.mark.long

DATA, CPU = small_digits(), torch.device("cpu")
SPACE = SearchSpace("wide", [Decision("width", (500, 1000), ordered=True)])


def build(architecture):
    width = SPACE.options(architecture)["width"]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, width, bias=False), nn.Linear(width, 10, bias=False)
    )


def peak_bytes(architecture, **recipe):
    measured = measure_network(
        SPACE, architecture, short(**recipe), DATA, taken_function(build), CPU
    )
    return 1e6 * measured["peak_memory"]


def test_the_latency_is_the_median_of_passes_after_warm_up(monkeypatch):
    took = [1000.0] * hardware.WARM_UP + [0.003] * 14 + [5.0] * 14 + [0.002, 0.004]
    times = iter(np.cumsum([[0.0, one] for one in took]).tolist())
    monkeypatch.setattr(hardware.time, "perf_counter", lambda: next(times))
    runs = []
    median = hardware._median_s(lambda: runs.append(1), CPU)
    assert median == pytest.approx(np.median(took[hardware.WARM_UP :]))
    assert len(runs) == hardware.WARM_UP + hardware.PASSES == len(took)


@pytest.mark.parametrize("name", ["nb201", "chain"])
def test_networks_are_measured(name):
    space = get_space(name)
    architecture = space.sample(np.random.default_rng(1))
    measured = measure_network(space, architecture, short(), DATA, None, CPU)
    assert set(measured) == {"latency", "peak_memory"}
    assert min(measured.values()) > 0
    training = train(space, architecture, short(), DATA, device="cpu", epochs=1)
    sizes = size_of(space, architecture, short(), DATA, None)
    assert sizes == {"parameters": training.parameters, "flops": training.flops}
    weights = 4e6 * training.parameters
    assert 1e6 * measured["peak_memory"] > 3 * weights  # and their gradients and momentum


def test_the_peak_memory_is_what_a_step_of_the_training_takes():
    """Weights, gradients and momentum, then for each image its values, and those of gradients."""
    weights = 4 * (64 + 10) * 500
    plain = peak_bytes((0,), batch_size=10)
    assert 3 * weights < plain < 3 * weights + 10 * 4 * (64 + 2 * 500 + 8 * 10) + 1000
    assert peak_bytes((0,), batch_size=10) == plain
    # Adam keeps two values of each weight; without momentum there is none.
    assert peak_bytes((0,), batch_size=10, optimizer="adam") - plain == pytest.approx(weights, 0.01)
    assert plain - peak_bytes((0,), batch_size=10, momentum=0.0) == pytest.approx(weights, 0.01)
    # Each further image takes the same.
    more = [peak_bytes((0,), batch_size=n) for n in (1000, 2000, 3000)]
    assert more[2] - more[1] == more[1] - more[0] > 1000 * 4 * (64 + 500)
    assert peak_bytes((1,), batch_size=10) == pytest.approx(2 * plain, 0.05)


def test_tensors_count_once_and_until_they_end():
    tensors = hardware._Tensors()
    tensors.alive = {}
    with tensors:
        first = torch.zeros(250_000)
        view = first.view(500, 500).T
        assert (tensors.now, tensors.most) == (1_000_000, 1_000_000)
        del first
        assert tensors.now == 1_000_000
        del view
        assert tensors.now == 0
        second = torch.zeros(10)
    assert (tensors.now, tensors.most) == (40, 1_000_000)
    del second


@pytest.mark.parametrize(("device", "joules"), [("cpu", 3.0), ("cuda:1", 30.0)])
def test_energy_is_that_of_the_device(monkeypatch, device, joules):
    counter = Counter(3.0).install(monkeypatch)
    meter = EnergyMeter(torch.device(device))
    assert counter.made == [([], None) if device == "cpu" else ([1], [])]
    done = []
    assert meter.joules(lambda: done.append(1)) == joules
    assert done == [1]

    def fails():
        raise ValueError("in training")

    with pytest.raises(ValueError, match="in training"):
        meter.joules(fails)
    assert counter.windows == ["closed", "closed", "cancelled"]
    assert meter.joules(lambda: None) == joules


def test_energy_that_is_not_told_is_never_a_number(monkeypatch):
    Counter(there=False).install(monkeypatch)
    with pytest.raises(TrainingError, match=r"not measured: this machine does not tell .* cpu"):
        EnergyMeter(CPU)
    monkeypatch.setitem(sys.modules, "zeus.monitor", None)
    with pytest.raises(TrainingError, match=r"pip install 'nasbench-lab\[energy\]'"):
        EnergyMeter(CPU)

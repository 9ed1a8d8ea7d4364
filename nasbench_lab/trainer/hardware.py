"""What a network costs the machine: latency, memory, and the energy of its training."""

from __future__ import annotations

import math
import statistics
import time
import warnings
import weakref
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nasbench_lab.errors import TrainingError
from nasbench_lab.spaces import Architecture, SearchSpace
from nasbench_lab.trainer.built import built_network, is_built, size
from nasbench_lab.trainer.datasets import ImageData
from nasbench_lab.trainer.memory import memory_errors
from nasbench_lab.trainer.networks import build_network, count, initialise
from nasbench_lab.trainer.recipe import Recipe, trained_by
from nasbench_lab.trainer.training import (
    WEIGHTS,
    mixed_on,
    one_thread,
    optimizer_of,
    stream_of,
)
from nasbench_lab.trainer.unfinished import processor
from nasbench_lab.user_code.functions import TakenFunction

WARM_UP, PASSES = 5, 30
"""Passes before those that are timed, and how many are timed."""

INSTALL_ENERGY = "pip install 'nasbench-lab[energy]'"


def hardware(device: torch.device) -> str:
    """What a device is, for those who read a measurement."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"one thread of {processor()}"


def network_of(
    space: SearchSpace,
    architecture: Architecture,
    recipe: Recipe,
    data: ImageData,
    build: TakenFunction | None,
    *,
    weights: bool = True,
) -> nn.Module:
    """The network of one seed, on the CPU; without weights it only has a size."""
    if is_built(space, build):
        return built_network(space, architecture, build, data, 0)
    with torch.device("cpu" if weights else "meta"), torch.random.fork_rng(devices=[]):
        network = build_network(
            space,
            architecture,
            classes=data.classes,
            image_channels=data.shape[2],
            skeleton=recipe.skeleton,
            signals=data.shape[0] == 1,
        )
    if weights:
        initialise(network, [stream_of(0, WEIGHTS)])
    return network


def size_of(
    space: SearchSpace,
    architecture: Architecture,
    recipe: Recipe,
    data: ImageData,
    build: TakenFunction | None,
) -> dict[str, float]:
    """Parameters and multiply-adds of a network, in millions, as its training tells them."""
    network = network_of(space, architecture, recipe, data, build, weights=False)
    if isinstance(network, nn.Sequential) and not is_built(space, build):
        parameters, flops = count(network, data.shape)
    else:
        parameters, flops = size(network, data.shape)
    return {"parameters": parameters, "flops": flops}


def measure_network(
    space: SearchSpace,
    architecture: Architecture,
    recipe: Recipe,
    data: ImageData,
    build: TakenFunction | None,
    device: torch.device,
) -> dict[str, float]:
    """The metrics of ``NETWORK`` of an architecture, on a device that should do nothing else.

    Latency is the median time of a pass over one image, in milliseconds, with the precision of the
    training. Peak memory is what the tensors of the network take at most in a step of its training,
    with the recipe's batch size, in megabytes: weights, gradients, the optimiser's state, the batch,
    and what is kept for the backward pass. On a GPU, CUDA's own counter says it. On the CPU the sizes
    of all tensors that are alive are added up, so what libraries take for a moment does not count.

    Raises:
        TrainingError: Memory runs out, or the user's function or network fails.
    """
    what = f"{space.to_string(architecture)} to measure it. Name another device."
    with memory_errors(device, what), one_thread(device):
        recipe = trained_by(space, architecture, recipe)
        network = network_of(space, architecture, recipe, data, build)
        height, width, channels = data.shape
        mixed = mixed_on(device)

        def passed(images: Tensor) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                scores: Tensor = network(images).float()
            return scores.view(len(images), -1)

        def steps(network: nn.Module) -> None:
            """Two steps, as the first makes the optimiser's state."""
            optimizer = optimizer_of(network, recipe)
            for _ in range(2):
                images = torch.zeros(recipe.batch_size, channels, height, width, device=device)
                images = images.contiguous(memory_format=torch.channels_last)
                labels = torch.zeros(recipe.batch_size, dtype=torch.int64, device=device)
                optimizer.zero_grad(set_to_none=True)
                loss = functional.cross_entropy(passed(images), labels)
                loss.backward()  # type: ignore[no-untyped-call] # PyTorch's stubs lack its types
                optimizer.step()

        peak = _peak_bytes(network, device, steps)
        network.eval()
        image = torch.zeros(1, channels, height, width, device=device)
        image = image.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            latency = _median_s(lambda: passed(image), device)
    return {"latency": 1e3 * latency, "peak_memory": peak / 1e6}


def _median_s(run: Callable[[], Any], device: torch.device) -> float:
    """The median time of a call in seconds, after some to warm up."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    taken = []
    for _ in range(WARM_UP + PASSES):
        wait()
        began = time.perf_counter()
        run()
        wait()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[WARM_UP:])


class _Tensors(TorchDispatchMode):
    """Adds up the sizes of the tensors that are made in a block of work on the CPU.

    Attributes:
        alive: What takes note of the end of each, by the address of its memory.
        now: Bytes of those that are alive.
        most: Bytes of those that were alive at once.
    """

    alive: dict[int, weakref.finalize[..., Any]]
    now = most = 0

    def count(self, tensors: Iterable[Tensor]) -> None:
        """Takes note of tensors, once of all that share their memory."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key not in self.alive:
                self.now += storage.nbytes()
                self.alive[key] = weakref.finalize(storage, self._freed, key, storage.nbytes())
        self.most = max(self.most, self.now)

    def _freed(self, key: int, size: int) -> None:
        self.now -= size
        del self.alive[key]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        self.count(one for one in tree_leaves(made) if isinstance(one, Tensor))
        return made


def _peak_bytes(network: nn.Module, device: torch.device, run: Callable[[nn.Module], None]) -> int:
    """What tensors take at most while a network is brought to a device and something is done there."""
    tensors = _Tensors()  # type: ignore[no-untyped-call] # as its base class has no types
    tensors.alive = {}
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    with nullcontext() if on_gpu else tensors:
        # PyTorch's stubs lack this overload.
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if not on_gpu:
            tensors.count([*network.parameters(), *network.buffers()])
        run(network)
    if on_gpu:
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    for one in tensors.alive.values():
        one.detach()
    return tensors.most


class EnergyMeter:
    """Tells the energy of what is done, by the counters of the machine: RAPL, or NVML of a GPU.

    RAPL counts all that a processor does, so nothing else should run there.

    Args:
        device: The device. On a GPU its own energy counts, without that of the processor.

    Raises:
        TrainingError: The machine does not tell it, or the library is not installed.
    """

    def __init__(self, device: torch.device) -> None:
        try:
            from zeus.monitor import ZeusMonitor
        except ImportError as error:
            raise TrainingError(
                f"Energy is not measured: that needs the library Zeus. {INSTALL_ENERGY}"
            ) from error
        gpu = device.type == "cuda"
        number = device.index or 0
        try:
            self._monitor = ZeusMonitor([number] if gpu else [], [] if gpu else None)
            self._gpu = gpu
            self.joules(lambda: None)
        except Exception as error:  # whatever comes of a machine without counters
            raise TrainingError(
                f"Energy is not measured: this machine does not tell what {device} takes "
                f"({error}). NVML tells it of NVIDIA's GPUs, and RAPL of processors, where "
                f"/sys/class/powercap can be read."
            ) from error

    def joules(self, run: Callable[[], Any]) -> float:
        """Does something, and tells its energy in joules.

        Raises:
            LookupError: The machine does not count it.
        """
        self._monitor.begin_window("run", sync_execution=self._gpu)
        try:
            run()
        except BaseException:
            with suppress(Exception):
                self._monitor.end_window("run", sync_execution=False, cancel=True)
            raise
        with warnings.catch_warnings():
            # An energy of 0, of work too short for the counter, is no surprise here.
            warnings.filterwarnings("ignore", "The energy consumption of one", UserWarning)
            told_of = self._monitor.end_window("run", sync_execution=self._gpu)
        parts = told_of.gpu_energy if self._gpu else told_of.cpu_energy
        if not parts:
            raise LookupError("it has no counter")
        return math.fsum(parts.values())

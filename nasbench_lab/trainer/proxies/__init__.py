"""Zero-cost proxies: scores of a network that is not trained.

Each proxy is a function of a network and a batch of images. It leaves the network as it was. The
networks are those of ``build_network`` with one group, or any others that are made of convolutions,
linear layers, batch normalisation and ReLU. Unless a proxy says otherwise, batch normalisation uses
the statistics of the batch, and the loss is the mean cross-entropy.

"Published scores" are those of NAS-Bench-Suite-Zero (Krishnakumar et al. 2022, arXiv 2210.03230).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nasbench_lab.errors import TrainingError, UnknownNameError
from nasbench_lab.tables.proxies import PROXIES
from nasbench_lab.trainer.proxies.activations import linear_regions, naswot, zen
from nasbench_lab.trainer.proxies.images import epe_nas, jacov
from nasbench_lab.trainer.proxies.running import Batch
from nasbench_lab.trainer.proxies.tangent_kernel import ntk
from nasbench_lab.trainer.proxies.weights import (
    fisher,
    flops,
    grad_norm,
    grasp,
    l2_norm,
    params,
    plain,
    snip,
    synflow,
)

__all__ = ["Batch", "Scores", "score", *PROXIES]


class Scores(NamedTuple):
    """Values by proxy, and the seconds that each took."""

    values: dict[str, float]
    seconds: dict[str, float]


def score(
    network: nn.Sequential, batch: Batch, names: Sequence[str] = tuple(PROXIES), *, seed: int = 0
) -> Scores:
    """Computes proxies of a network.

    Args:
        network: The network, with its initial weights.
        batch: The images and labels, on the network's device.
        names: The proxies.
        seed: The seed of what ``zen`` draws.

    Returns:
        The scores, which are finite, and the seconds: of the processor on the CPU, so that other
        work on the machine does not count, and of the clock on a GPU.

    Raises:
        UnknownNameError: There is no such proxy.
        TrainingError: The batch has fewer than two images, or several networks lie side by side.
    """
    for name in names:
        if name not in _FUNCTIONS:
            raise UnknownNameError("zero-cost proxy", name, _FUNCTIONS)
    if len(batch.images) < 2:
        raise TrainingError(f"Expected at least 2 images to score on but got {len(batch.images)}.")
    values, seconds = {}, {}
    for name in names:
        settings: dict[str, Any] = {"seed": seed} if name == "zen" else {}
        began = _now(batch.images)
        values[name] = float(_FUNCTIONS[name](network, batch, **settings))
        seconds[name] = _now(batch.images) - began
    return Scores(values, seconds)


def _now(images: Tensor) -> float:
    if images.device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(images.device)
    return time.perf_counter()


_FUNCTIONS: dict[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        *(params, flops, l2_norm, grad_norm, snip, grasp, synflow, fisher),
        *(jacov, naswot, epe_nas, zen, plain, ntk, linear_regions),
    )
}

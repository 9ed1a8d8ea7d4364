"""The official module ``nas_201_models``: the network of a configuration that ``get_net_config`` gives.

Of it, ``get_cell_based_tiny_net`` is here. It needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasbench_lab.errors import QueryError
from nasbench_lab.spaces import SearchSpace, get_space
from nasbench_lab.spaces.nats_sss import CELL
from nasbench_lab.trainer import need_torch

need_torch()

from torch import Tensor, nn  # noqa: E402 (the line above says what to install)

from nasbench_lab.trainer.networks import build_network  # noqa: E402 (as above)

_CELLS = {"name": "infer.tiny", "C": 16, "N": 5}
_CHANNELS = {"name": "infer.shape.tiny"}
"""What configurations have in common: of cells, and of the channels of NATS-Bench's size space."""


class Network(nn.Module):
    """The published network of a cell or of channels.

    Those are of Dong and Yang 2020 (arXiv 2001.00326, figure 1) and of Dong et al. 2021 (arXiv
    2009.00437, section 3.2).

    Args:
        space: ``nb201`` or ``nats-sss``.
        text: The cell or the channels as text.
        classes: The number of classes.

    Returns:
        Of ``(n, 3, height, width)`` images the ``(n, channels)`` features and ``(n, classes)`` scores.
    """

    def __init__(self, space: SearchSpace, text: str, classes: int) -> None:
        super().__init__()
        *layers, last = build_network(space, space.from_string(text), classes=classes)
        self.layers = nn.Sequential(*layers)
        # That of build_network has no weights yet; PyTorch draws all others as the official code does.
        self.classifier = nn.Linear(next(last.parameters()).shape[1], classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.layers(x)
        return features, self.classifier(features)


def get_cell_based_tiny_net(config: Mapping[str, Any] | Any) -> Network:
    """Builds the network of a configuration, with new weights from PyTorch's generator.

    Args:
        config: The mapping that ``get_net_config`` gives, of this drop-in, ``nats_bench`` or
            ``nas_201_api``, or an object with these names as attributes. A ``genotype`` with the
            method ``tostr`` may stand for ``arch_str``.

    Returns:
        The network. Its weights have other names than officially.

    Raises:
        QueryError: The configuration is that of another network.
        InvalidArchitectureError: The text is no cell, or these are no channels of the space.
    """
    values = dict(config) if isinstance(config, Mapping) else _attributes(config)
    cells, sizes = get_space("nb201"), get_space("nats-sss")
    cell: Any = values.get("genotype", values.get("arch_str"))
    cell = cell.tostr() if hasattr(cell, "tostr") else cell
    channels: Any = values.get("channels")
    classes: Any = values.get("num_classes")
    if None not in (cell, classes):
        if values.items() >= _CELLS.items():
            return Network(cells, cell, int(classes))
        # All networks of the size space have one cell.
        known = channels is not None and cell == cells.to_string(CELL)
        if known and values.items() >= _CHANNELS.items():
            return Network(sizes, channels, int(classes))
    raise QueryError(
        f"Expected a configuration as get_net_config gives it: num_classes, arch_str and {_CELLS}, or "
        f"num_classes, genotype, channels and {_CHANNELS}; but got {config!r}. Other networks are not "
        f"built here."
    )


def _attributes(config: Any) -> dict[str, Any]:
    names = (*_CELLS, "arch_str", "genotype", "channels", "num_classes")
    return {name: getattr(config, name) for name in names if hasattr(config, name)}

"""The official module ``nas_201_models``: the network of a configuration that ``get_net_config`` gives.

Of it, ``get_cell_based_tiny_net`` is here, for cells. It needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasbench_lab.errors import QueryError
from nasbench_lab.spaces import get_space
from nasbench_lab.trainer import need_torch

need_torch()

from torch import Tensor, nn  # noqa: E402 (the line above says what to install)

from nasbench_lab.trainer.networks import build_network  # noqa: E402 (as above)

_SIZE = {"name": "infer.tiny", "C": 16, "N": 5}
"""What the configurations of all cells have in common."""


class CellNetwork(nn.Module):
    """The published network of a cell, of Dong and Yang 2020 (arXiv 2001.00326, figure 1).

    Args:
        cell: The cell as text.
        classes: The number of classes.

    Returns:
        Of ``(n, 3, height, width)`` images the ``(n, 64)`` features and the ``(n, classes)`` scores.
    """

    def __init__(self, cell: str, classes: int) -> None:
        super().__init__()
        space = get_space("nb201")
        *layers, self.classifier = build_network(space, space.from_string(cell), classes=classes)
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.layers(x)
        return features, self.classifier(features)[0]


def get_cell_based_tiny_net(config: Mapping[str, Any] | Any) -> CellNetwork:
    """Builds the network of a cell, with new weights.

    Args:
        config: The mapping that ``get_net_config`` gives, or an object with these names as
            attributes. A ``genotype`` with the method ``tostr`` may stand for ``arch_str``.

    Returns:
        The network. Its weights have other names than officially.

    Raises:
        QueryError: The configuration is that of another network.
        InvalidArchitectureError: The text is no cell.
    """
    values = dict(config) if isinstance(config, Mapping) else _attributes(config)
    given = {name: values.get(name) for name in _SIZE}
    if given != _SIZE or "num_classes" not in values or not {"arch_str", "genotype"} & {*values}:
        raise QueryError(
            f"Expected the configuration of a cell, as get_net_config gives it, with {_SIZE}, "
            f"arch_str and num_classes, but got {config!r}. Other networks are not built here."
        )
    cell = values["genotype"].tostr() if "genotype" in values else values["arch_str"]
    return CellNetwork(cell, int(values["num_classes"]))


def _attributes(config: Any) -> dict[str, Any]:
    names = (*_SIZE, "arch_str", "genotype", "num_classes")
    return {name: getattr(config, name) for name in names if hasattr(config, name)}

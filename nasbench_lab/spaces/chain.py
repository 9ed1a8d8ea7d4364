"""The space of chains: small networks of layers, jointly with how they are trained.

Up to four blocks, each a convolution, a pooling or nothing, then up to two dense layers, as in the
networks that introductions to deep learning begin with. What is decided besides: the activation,
batch normalisation, dropout, and the optimiser with its learning rate, batch size and weight decay.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from nasbench_lab.errors import InvalidArchitectureError, short
from nasbench_lab.spaces.base import Architecture, Edge, Graph, SearchSpace
from nasbench_lab.spaces.decisions import Decision, Option

BLOCKS, DENSE_LAYERS = 4, 2
CONVOLUTION, MAX_POOLING, AVERAGE_POOLING, NOTHING = range(4)
KINDS = ("convolution", "max pooling", "average pooling", "nothing")
"""The kinds of blocks; the first block is never nothing."""

KERNELS = (3, 5)
ACTIVATIONS = ("relu", "gelu", "tanh", "sigmoid")
DROPOUT = (0.0, 0.2, 0.5)
OPTIMISERS = ("sgd", "adam")
LEARNING_RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
BATCH_SIZES = (32, 64, 128)
WEIGHT_DECAYS = (0.0, 0.0001, 0.001, 0.01)

_SYNTAX = "conv3-16+max+conv5-32+dense-64 gelu norm dropout=0.2 adam lr=0.01 batch=64 decay=0.0001"
_TEXT = re.compile(
    r"(\S+) (\w+)( norm)? dropout=(\S+) (\w+) lr=(\S+) batch=(\S+) decay=(\S+)", re.ASCII
)
_CONVOLUTION = re.compile(r"conv(\d+)-(\d+)", re.ASCII)
_DENSE = re.compile(r"dense-(\d+)", re.ASCII)
_NAMES = {"max": MAX_POOLING, "avg": AVERAGE_POOLING, "none": NOTHING}


class ChainSpace(SearchSpace):
    """Chains of layers with the settings of their training.

    Strings read ``conv3-16+max+conv5-32+dense-64 gelu norm dropout=0.2 adam lr=0.01 batch=64
    decay=0.0001``: the layers, of convolutions the kernel and the filters; the activation; ``norm``
    for batch normalisation; dropout; and the training. A block of nothing is ``none``; those behind
    the last other block may be left out.

    Blocks of nothing do nothing, wherever they are. The canonical chain has them behind all others.
    In a chain with neither convolutions nor dense layers, nothing is activated or normalised, so
    both decisions have no effect.

    Args:
        name: The space's name.
        filters: The numbers of filters of a convolution.
        units: The numbers of units of a dense layer.
    """

    def __init__(
        self,
        name: str = "chain",
        filters: tuple[int, ...] = (8, 16, 32),
        units: tuple[int, ...] = (32, 64, 128),
    ) -> None:
        decisions = []
        for i in range(1, BLOCKS + 1):
            kinds = KINDS if i > 1 else KINDS[:NOTHING]
            convolved = {f"block {i}": KINDS[CONVOLUTION]}
            decisions += [
                Decision(f"block {i}", kinds),
                Decision(f"kernel {i}", KERNELS, ordered=True, active_if=convolved),
                Decision(f"filters {i}", filters, ordered=True, active_if=convolved),
            ]
        decisions.append(Decision("dense layers", tuple(range(DENSE_LAYERS + 1)), ordered=True))
        for i in range(1, DENSE_LAYERS + 1):
            deep = {"dense layers": tuple(range(i, DENSE_LAYERS + 1))}
            decisions.append(Decision(f"units {i}", units, ordered=True, active_if=deep))
        decisions += [
            Decision("activation", ACTIVATIONS),
            Decision("batch normalisation", ("no", "yes")),
            Decision("dropout", DROPOUT, ordered=True),
            Decision("optimiser", OPTIMISERS),
            Decision("learning rate", LEARNING_RATES, ordered=True),
            Decision("batch size", BATCH_SIZES, ordered=True),
            Decision("weight decay", WEIGHT_DECAYS, ordered=True),
        ]
        super().__init__(name, decisions)
        self._place = {decision.name: i for i, decision in enumerate(decisions)}
        self._kinds = [self._place[f"block {i}"] for i in range(1, BLOCKS + 1)]
        convolutions = [f"conv{kernel}-{n}" for n in filters for kernel in KERNELS]
        self._operations = (*convolutions, "max", "avg", *(f"dense-{n}" for n in units))

    @classmethod
    def signals(cls) -> ChainSpace:
        """The preset for signals: a kernel has 5 weights, not 25, so layers are wider."""
        return cls("chain-signals", filters=(16, 32, 64), units=(32, 64, 128))

    def canonical(self, architecture: Any) -> Any:
        """The chain with its blocks of nothing behind all others, and no decisions without effect."""
        if not isinstance(architecture, np.ndarray):
            result = self.canonical(np.array([self.validate(architecture)]))[0]
            return tuple(result.tolist())
        many = self._validate_many(architecture).copy()
        blocks = many[:, : 3 * BLOCKS].reshape(len(many), BLOCKS, 3)
        order = np.argsort(blocks[:, :, 0] == NOTHING, axis=1, kind="stable")
        many[:, : 3 * BLOCKS] = np.take_along_axis(blocks, order[:, :, None], axis=1).reshape(
            len(many), 3 * BLOCKS
        )
        linear = (many[:, self._kinds] != CONVOLUTION).all(axis=1)
        linear &= many[:, self._place["dense layers"]] == 0
        for name in ("activation", "batch normalisation"):
            many[linear, self._place[name]] = 0
        return many

    def graph(self, architecture: Architecture) -> Graph:
        """Input, layers, output; blocks of nothing are left out."""
        layers = [text for text in self._layers(architecture) if text != "none"]
        edges = tuple(Edge(i, i + 1) for i in range(len(layers) + 1))
        besides = tuple(decision.name for decision in self.decisions[self._place["activation"] :])
        return Graph(("input", *layers, "output"), edges, self._operations, besides)

    def _layers(self, architecture: Architecture) -> list[str]:
        """The texts of the blocks and the dense layers."""
        chosen = self.options(architecture)
        words = {kind: name for name, kind in _NAMES.items()}
        layers = [
            words.get(architecture[place])
            or f"conv{chosen[f'kernel {i}']}-{chosen[f'filters {i}']}"
            for i, place in enumerate(self._kinds, start=1)
        ]
        while layers[-1] == "none":
            layers.pop()
        return layers + [
            f"dense-{chosen[name]}" for name in ("units 1", "units 2") if name in chosen
        ]

    def _format(self, architecture: Architecture) -> str:
        chosen = self.options(architecture)
        layers = "+".join(self._layers(architecture))
        norm = " norm" if chosen["batch normalisation"] == "yes" else ""
        return (
            f"{layers} {chosen['activation']}{norm} dropout={chosen['dropout']} "
            f"{chosen['optimiser']} lr={chosen['learning rate']} batch={chosen['batch size']} "
            f"decay={chosen['weight decay']}"
        )

    def _parse(self, text: str) -> Architecture:
        match = _TEXT.fullmatch(" ".join(text.split()))
        if not match:
            raise InvalidArchitectureError(f"Expected {_SYNTAX} but got {short(text)!r}.")
        layers, *settings = match.groups()
        names: list[Option | None] = []
        units: list[str] = []
        for layer in layers.split("+"):
            convolution, dense = _CONVOLUTION.fullmatch(layer), _DENSE.fullmatch(layer)
            if dense:
                units.append(dense[1])
            elif units or not (convolution or layer in _NAMES):
                raise InvalidArchitectureError(
                    f"Expected blocks conv3-16, max, avg or none, and then dense layers dense-64, but "
                    f"got {short(layer)!r} in {short(text)!r}; the syntax is {_SYNTAX}."
                )
            elif convolution:
                names += [KINDS[CONVOLUTION], *convolution.groups()]
            else:
                names += [KINDS[_NAMES[layer]], None, None]
        blocks = len(names) // 3
        if not 1 <= blocks <= BLOCKS or len(units) > DENSE_LAYERS:
            raise InvalidArchitectureError(
                f"Expected 1 to {BLOCKS} blocks and 0 to {DENSE_LAYERS} dense layers but got {blocks} "
                f"and {len(units)} in {short(text)!r}."
            )
        names += [KINDS[NOTHING], None, None] * (BLOCKS - blocks)
        names += [len(units), *units, *[None] * (DENSE_LAYERS - len(units))]
        activation, norm, *rest = settings
        names += [activation, "yes" if norm else "no", *rest]
        return self._options_from_names(names, text, _SYNTAX)

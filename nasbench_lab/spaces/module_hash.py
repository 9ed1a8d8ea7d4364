"""The hash by which NAS-Bench-101 names its cells, equal for isomorphic graphs."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import md5


def graph_hash(
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    labels: Sequence[object],
) -> str:
    """The official hash of a graph, as ``graph_util.hash_module`` of google-research/nasbench.

    The first hash of a node is of its label. Then each node hashes the sorted hashes of its
    neighbours, as many times as there are nodes.

    Args:
        sources: The nodes from which edges lead to each node.
        targets: The nodes to which edges lead from each node.
        labels: What is known of each node: officially its numbers of edges out and in, and the number
            of its operation.

    Returns:
        32 hexadecimal digits.
    """
    hashes = [_md5(str(label)) for label in labels]
    neighbours = list(zip(sources, targets, strict=True))
    for _ in labels:
        hashes = [
            _md5(
                "".join(sorted([hashes[s] for s in before]))
                + "|"
                + "".join(sorted([hashes[t] for t in after]))
                + "|"
                + own
            )
            for own, (before, after) in zip(hashes, neighbours, strict=True)
        ]
    return _md5(str(sorted(hashes)))


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()

"""Drop-in replacements for the official packages ``nats_bench`` and ``nas_201_api``.

Changing one import line is all that a script needs::

    from nasbench_lab.compat.nats_bench import create            # was: from nats_bench import create
    from nasbench_lab.compat.nas_201_api import NASBench201API   # was: from nas_201_api import …

An official file is converted once into a table that is then opened by memory map, so that an API is
there at once, takes little memory, and needs no PyTorch. Where the official behaviour is a trap, the
drop-in behaves the same and warns once with ``OfficialBehaviourWarning``; the project's own
interface refuses instead. Weights of networks and top-5 accuracies are not kept.
"""

from nasbench_lab.compat._api import OfficialBehaviourWarning, ReadOnlyError

__all__ = ["OfficialBehaviourWarning", "ReadOnlyError"]

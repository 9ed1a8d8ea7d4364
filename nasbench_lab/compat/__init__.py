"""Drop-in replacements for official packages, with their modules.

They are ``nats_bench``, ``nas_201_api``, ``nasbench`` (NAS-Bench-101) and ``hw_nas_bench_api``. A
script needs only another import line::

    from nasbench_lab.compat.nats_bench import create            # was: from nats_bench import create
    from nasbench_lab.compat.nas_201_api import NASBench201API   # was: from nas_201_api import …
    from nasbench_lab.compat.nasbench import api                 # was: from nasbench import api
    from nasbench_lab.compat.hw_nas_bench_api import HWNASBenchAPI

An official file is converted once into a table, which is opened by memory map. So an API opens
quickly, takes little memory, and needs neither PyTorch nor TensorFlow. If the official behaviour is a
trap, the drop-in behaves the same and warns once with ``OfficialBehaviourWarning``; the project's own
interface refuses instead. Weights of networks and top-5 accuracies are not kept.
"""

from nasbench_lab.compat._errors import OfficialBehaviourWarning, ReadOnlyError

__all__ = ["OfficialBehaviourWarning", "ReadOnlyError"]

"""What algorithms with small networks have in common."""

from contextlib import AbstractContextManager


def one_cpu_thread() -> AbstractContextManager[None]:
    """Uses one thread of PyTorch: small networks take far longer where threads wait for each other."""
    import torch

    from nasbench_lab.trainer.training import one_thread

    return one_thread(torch.device("cpu"))

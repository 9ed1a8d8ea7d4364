"""What is said when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nasbench_lab.errors import TrainingError

# Words in the errors of PyTorch and its libraries, of several types, when memory runs out.
_NO_MEMORY = ("out of memory", "alloc")


@contextmanager
def memory_errors(device: torch.device, what: str) -> Iterator[None]:
    """Says what to do when memory runs out.

    Args:
        device: Where it is trained.
        what: What is trained, and what to do, for the message.

    Raises:
        TrainingError: Memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        said = str(error).lower()
        if not isinstance(error, MemoryError) and not any(w in said for w in _NO_MEMORY):
            raise
        raise TrainingError(f"Memory ran out on {device} while training {what}") from error

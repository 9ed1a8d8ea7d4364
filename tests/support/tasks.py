"""Tasks for other processes, which import them by name."""

import os
import time


def grow(megabytes):
    """Takes memory and keeps it, as importing a large package does; says in which process."""
    global kept
    kept = b"x" * (megabytes * 2**20)
    time.sleep(1.1)  # the memory of a worker is looked at once in a second
    return os.getpid()

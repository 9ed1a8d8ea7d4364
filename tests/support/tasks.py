"""Tasks for other processes, which import them by name."""

import os
import threading
import time
from functools import partial


def grow(megabytes):
    """Takes memory and keeps it, as importing a large package does; says in which process."""
    global kept
    kept = b"x" * (megabytes * 2**20)
    time.sleep(1.1)  # the memory of a worker is looked at once in a second
    return os.getpid()


class HeldError(Exception):
    """Cannot be pickled, nor told."""

    def __init__(self):
        self.held = threading.Lock()

    def __str__(self):
        raise TypeError("no")


class DemandingError(Exception):
    """Can be pickled, but not be read again."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


class BurstingError(Exception):
    """Does what it should not when it is pickled."""

    def __reduce__(self):
        raise SystemExit(0)


def fail(name):
    """Raises the error of a name."""
    errors = (HeldError, partial(DemandingError, 1, 2), BurstingError, partial(SystemExit, 0))
    names = ("HeldError", "DemandingError", "BurstingError", "SystemExit")
    raise errors[names.index(name)]()


class Unreadable:
    """A task that can be sent, but not be read."""

    def __call__(self):
        pass

    def __reduce__(self):
        return fail, ("SystemExit",)

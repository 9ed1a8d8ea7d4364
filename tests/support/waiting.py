"""Waiting for what a test needs, however slow the machine is."""

import time

MINUTES = 600.0
"""Seconds after which something is taken to have gone wrong, not to be slow."""


def wait_for(condition, process=None):
    """Waits until a condition holds; fails when a process that is to bring it about has ended."""
    deadline = time.monotonic() + MINUTES
    while not condition():
        ended = process is not None and process.poll() is not None
        assert not ended or condition(), f"the process ended with {process.returncode}"
        assert time.monotonic() < deadline, f"not within {MINUTES:g} s"
        time.sleep(0.01)

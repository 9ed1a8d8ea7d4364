"""Algorithms and benchmarks that are not installed: a user's files, notebooks and modules."""


def is_in_file(name: str) -> bool:
    """Whether a name is ``path/to/file.py:NAME``, or a file's alone."""
    return name.endswith(".py") or ".py:" in name

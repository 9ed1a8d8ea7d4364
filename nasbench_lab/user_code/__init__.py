"""Algorithms that are not installed: a user's files, notebooks and modules."""

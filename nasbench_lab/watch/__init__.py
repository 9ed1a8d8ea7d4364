"""A live view: a page that shows a result, a search or a table while it is made.

What is watched is only read, and may be in whatever state. A server on this machine shows it.
"""

from nasbench_lab.watch.server import Server

__all__ = ["Server"]

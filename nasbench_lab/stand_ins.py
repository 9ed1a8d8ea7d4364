"""What stands in for the names that a pickle of data may ask for; nothing is ever imported."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, ClassVar

from nasbench_lab.errors import UnsafeFileError


class _Dtype:
    """Stands in for ``numpy.dtype``: one of a few numbers, little-endian."""

    _FORMATS: ClassVar = {
        "f8": "<d",
        "f4": "<f",
        "i8": "<q",
        "i4": "<i",
        "u8": "<Q",
        "u4": "<I",
        "f2": "<e",
        "i2": "<h",
        "u2": "<H",
        "i1": "<b",
        "u1": "<B",
        "b1": "<?",
    }

    def __init__(self, name: object = None, *_: object) -> None:
        if name not in self._FORMATS:
            raise UnsafeFileError(f"a NumPy value of type {name!r} where a number was expected")
        self.format = self._FORMATS[str(name)]

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", "|"):
            raise UnsafeFileError("a NumPy number in an unexpected byte order")


def _scalar(dtype: object, data: object) -> float | int:
    """Stands in for ``numpy.core.multiarray.scalar``: a Python number."""
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
        raise UnsafeFileError("a NumPy value that is no number")
    value: float | int = struct.unpack(dtype.format, data)[0]
    return value


def _encode(text: object, encoding: object) -> bytes:
    """Stands in for ``_codecs.encode``: how protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise UnsafeFileError("text in an encoding other than latin1")
    return text.encode("latin1")


def _ordered(pairs: object = ()) -> dict[Any, Any]:
    """Stands in for ``collections.OrderedDict``."""
    return dict(_items(pairs))


def _set(items: object = ()) -> set[Any]:
    """Stands in for ``set``."""
    return set(_items(items))


def _items(given: object) -> list[Any] | tuple[Any, ...]:
    if not isinstance(given, list | tuple):
        raise UnsafeFileError(f"a container made from {type(given).__name__}")
    return given


NUMBERS: Mapping[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encode,
}
"""Allows NumPy numbers, which are read as Python numbers."""

CONTAINERS: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _ordered,
    ("builtins", "set"): _set,
    ("__builtin__", "set"): _set,
}
"""Allows ordered dicts, which are read as dicts, and sets as old protocols write them."""


class Record:
    """What an object of a class that is not imported is read as: its attributes in ``fields``."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise UnsafeFileError(f"an object whose state is {type(state).__name__}, not a dict")
        self.fields = state

"""Stand-ins for the names that a pickle of data may ask for; nothing is ever imported."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

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


def _numpy_scalar(dtype: object, data: object) -> float | int:
    """The same, but numbers of 64 bits are NumPy's ``float64``."""
    value = _scalar(dtype, data)
    assert isinstance(dtype, _Dtype)
    return np.float64(value) if dtype.format == "<d" else value


def _encode(text: object, encoding: object) -> bytes:
    """Stands in for ``_codecs.encode``: how protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise UnsafeFileError("text in an encoding other than latin1")
    return text.encode("latin1")


def _ordered(pairs: object = ()) -> dict[Any, Any]:
    """Stands in for ``collections.OrderedDict``."""
    result: dict[Any, Any] = {}
    items = _items(pairs)
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in items):
        raise UnsafeFileError("an ordered dict made of other things than pairs")
    put(result, [key for key, _ in items], [value for _, value in items])
    return result


def _set(items: object = ()) -> set[Any]:
    """Stands in for ``set``."""
    result: set[Any] = set()
    fill(result, list(_items(items)))
    return result


def _items(items: object) -> list[Any] | tuple[Any, ...]:
    if not isinstance(items, list | tuple):
        raise UnsafeFileError(f"a container made from {type(items).__name__}")
    return items


_BLOCK = 1000
_WORDS = {str}
_SCALARS = {str, int, float, bool, bytes, type(None)}
_WIDEST_KEY = 1 << 60
"""Larger whole numbers may have equal hashes, and would make a dict slow without end."""
_MOST_WIDE = 16
_LONGEST_KEY = 16


def put(
    target: dict[Any, Any],
    keys: Sequence[Any],
    values: Sequence[Any],
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Sets items of a dict, in blocks, so that signals are answered in between.

    Args:
        target: The dict.
        keys: Its keys. Tuples of tuples and large numbers are refused, as their hashes may take very
            long or be equal.
        values: As many values.
        tick: Called now and then when the dict is large.

    Raises:
        UnsafeFileError: A key is not a word, a number, or a short tuple of these.
        ValueError: There are more keys than values.
    """
    if len(keys) <= _BLOCK and set(map(type, keys)) == _WORDS:  # most dicts
        target.update(zip(keys, values, strict=True))
        return
    check_keys(keys)
    for i in range(0, len(keys), _BLOCK):
        target.update(zip(keys[i : i + _BLOCK], values[i : i + _BLOCK], strict=True))
        if len(target) > _BLOCK:
            tick()


def fill(target: set[Any], items: Sequence[Any], tick: Callable[[], None] = lambda: None) -> None:
    """Adds items to a set, with the checks of ``put``."""
    check_keys(items)
    for i in range(0, len(items), _BLOCK):
        target.update(items[i : i + _BLOCK])
        if len(target) > _BLOCK:
            tick()


def check_keys(keys: Sequence[Any]) -> None:
    """Refuses keys that data does not need.

    Raises:
        UnsafeFileError: A key is not a word, a number, or a short tuple of these, or many keys are
            numbers that may have equal hashes.
    """
    kinds = set(map(type, keys))
    if kinds == _WORDS:
        return
    if kinds == {int} and min(keys) > -_WIDEST_KEY and max(keys) < _WIDEST_KEY:
        return
    if not kinds <= {*_SCALARS, tuple}:
        raise UnsafeFileError("a key that is neither a word, a number nor a short tuple of these")
    wide = 0
    for key in keys:
        parts = key if type(key) is tuple else (key,)
        if len(parts) > _LONGEST_KEY or not _SCALARS.issuperset(map(type, parts)):
            raise UnsafeFileError("a key that is a long tuple, or one of other things than words")
        wide += sum(type(part) is int and not -_WIDEST_KEY < part < _WIDEST_KEY for part in parts)
    if wide > _MOST_WIDE:
        raise UnsafeFileError(f"more than {_MOST_WIDE} keys that are numbers beyond 60 bits")


NUMBERS: Mapping[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encode,
}
"""Names of NumPy numbers, which are read as Python numbers."""

NUMPY_NUMBERS: Mapping[tuple[str, str], Any] = {
    name: _numpy_scalar if stand_in is _scalar else stand_in for name, stand_in in NUMBERS.items()
}
"""The same; numbers of 64 bits are read as ``float64``."""

CONTAINERS: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _ordered,
    ("builtins", "set"): _set,
    ("__builtin__", "set"): _set,
}
"""Names of ordered dicts, which are read as dicts, and of the sets of old protocols."""


class Array:
    """Stands in for a NumPy array of numbers.

    The numbers are made from the file's text or bytes on demand, so a file with many arrays of the
    same text takes no more memory than its size.
    """

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = (0,)
        self._dtype = np.dtype(np.uint8)
        self._order: Any = "C"
        self._data: str | bytes = b""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise UnsafeFileError("a NumPy array in an unexpected form")
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype) or not isinstance(data, str | bytes):
            raise UnsafeFileError("a NumPy array of other things than numbers")
        if (
            not isinstance(shape, tuple)
            or len(shape) > 32
            or any(type(n) is not int or n < 0 for n in shape)
        ):
            raise UnsafeFileError("a NumPy array of an unexpected shape")
        self._dtype = np.dtype(dtype.format)
        if math.prod(shape) * self._dtype.itemsize != len(data):
            raise ValueError(f"{len(data):,} bytes for an array of shape {str(shape)[:100]}")
        self._shape, self._order, self._data = shape, "F" if fortran else "C", data

    @property
    def values(self) -> NDArray[Any]:
        """The numbers, in the array's shape; not to be written to."""
        # Python 2 wrote bytes as text.
        data = self._data.encode("latin1") if isinstance(self._data, str) else self._data
        return np.frombuffer(data, self._dtype).reshape(self._shape, order=self._order)


_NDARRAY = "numpy.ndarray"


def _array(kind: object, *_: object) -> Array:
    """Stands in for ``numpy.core.multiarray._reconstruct``: an array that is still empty."""
    if kind != _NDARRAY:
        raise UnsafeFileError("a NumPy array of an unexpected class")
    return Array()


def _latin1(text: object, encoding: object) -> str:
    """Stands in for ``_codecs.encode`` if bytes may stay text, as protocol 2 writes them."""
    if not isinstance(text, str) or encoding != "latin1":
        raise UnsafeFileError("text in an encoding other than latin1")
    return text


ARRAYS: Mapping[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("_codecs", "encode"): _latin1,
}
"""Names of NumPy arrays of numbers, which are read as ``Array``."""


class Record:
    """Stands in for an object of a class that is not imported; ``fields`` has its attributes."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise UnsafeFileError(f"an object whose state is {type(state).__name__}, not a dict")
        self.fields = state

"""Reading pickles without running anything in them."""

from __future__ import annotations

import functools
import io
import pickle
import pickletools
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nasbench_lab.errors import TableFileError, UnsafeFileError


class _Dtype:
    """Stands in for ``numpy.dtype`` while a pickle is read: one of a few numbers, little-endian."""

    _FORMATS: ClassVar = {
        "f8": "<d",
        "f4": "<f",
        "i8": "<q",
        "i4": "<i",
        "u8": "<Q",
        "u4": "<I",
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


NUMBERS: Mapping[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
}
"""Allows NumPy numbers, which are read as Python numbers."""


class Record:
    """What an object of a class that is not imported is read as: its attributes in ``fields``."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise UnsafeFileError(f"an object whose state is {type(state).__name__}, not a dict")
        self.fields = state


class _AllowListUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, allowed: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        stand_in = self._allowed.get((module, name))
        if stand_in is None:
            raise UnsafeFileError(f"it asks for {module}.{name}, which data does not need")
        # A new one for each file: a pickle may set attributes even on a class or a function.
        if isinstance(stand_in, type):
            return type(stand_in.__name__, (stand_in,), {})
        return functools.partial(stand_in)


def read_pickle(path: Path, allowed: Mapping[tuple[str, str], Any] = NUMBERS) -> Any:
    """Reads a pickle of plain data. No code that the file names is run or imported.

    Args:
        path: The file.
        allowed: ``(module, name)`` to what stands in for it. Everything else is refused.

    Raises:
        UnsafeFileError: The file asks for something that is not allowed.
        TableFileError: The file is truncated or damaged.
    """
    try:
        data = path.read_bytes()
        _check_sizes(data)
        return _AllowListUnpickler(data, allowed).load()
    except UnsafeFileError as error:
        raise UnsafeFileError(
            f"{path} is not read: {error}. Nothing in it was run. Get the file anew from where the "
            f"benchmark's authors publish it."
        ) from error
    except OSError as error:
        raise TableFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # a damaged pickle may raise anything
        raise TableFileError(
            f"{path} is truncated or damaged ({type(error).__name__}: {error}). Get it anew."
        ) from error


_PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_DEEPEST = 100


def _check_sizes(data: bytes) -> None:
    """Refuses, and finds truncation, before the unpickler is let loose on the bytes.

    A few bytes can make it reserve gigabytes for its memo, and a tuple nested a million deep, used
    as a key, crashes the interpreter. So the stack is followed with nothing but depths on it.

    Raises:
        UnsafeFileError: A memo number or a depth is out of all proportion.
    """
    stack: list[int | None] = []  # depths of nested tuples, 0 for all else; None is a mark
    memo: dict[int, int] = {}
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in _PUTS:
            number = len(memo) if name == "MEMOIZE" else int(argument or 0)
            if not 0 <= number <= len(data):
                raise UnsafeFileError(f"it wants a memo of {number} entries")
            memo[number] = stack[-1] or 0
        elif name in _GETS:
            stack.append(memo[int(argument or 0)])
        elif name == "MARK":
            stack.append(None)
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            before = opcode.stack_before
            fixed = len(before)
            depths: list[int] = []
            if pickletools.markobject in before:
                fixed = before.index(pickletools.markobject)
                while (depth := stack.pop()) is not None:
                    depths.append(depth)
            for _ in range(fixed):
                depths.append(stack.pop() or 0)
            depth = 1 + max(depths, default=0) if name.startswith("TUPLE") else 0
            if depth > _DEEPEST:
                raise UnsafeFileError(f"it nests tuples deeper than {_DEEPEST}")
            stack.extend([depth] * len(opcode.stack_after))

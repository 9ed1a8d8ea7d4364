"""Reading pickles without running anything in them.

The reader interprets the opcodes that data needs. It imports nothing: a short list has the names
that are allowed, with a stand-in for each. Sizes are checked against the stream before memory is
taken for them, and the memory and time of the whole file are bounded. The reader can fold complete
containers into something smaller, so it can read a file that is larger than the memory.
"""

from __future__ import annotations

import reprlib
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from nasbench_lab.bounded_files import check_regular, errors_of, held_memory
from nasbench_lab.errors import UnsafeFileError
from nasbench_lab.tables.pickles.memo import RELEASED, Left
from nasbench_lab.tables.pickles.stand_ins import (
    ARRAYS,
    CONTAINERS,
    NUMBERS,
    NUMPY_NUMBERS,
    Array,
    Record,
    fill,
    put,
)

__all__ = [
    "ARRAYS",
    "CONTAINERS",
    "NUMBERS",
    "NUMPY_NUMBERS",
    "Array",
    "PickleReader",
    "Record",
    "SharedError",
    "errors_of",
    "read_pickle",
]


def read_pickle(path: Path, allowed: Mapping[tuple[str, str], Any] = NUMBERS) -> Any:
    """Reads a pickle of plain data. No code that the file names is run or imported.

    Args:
        path: The file.
        allowed: ``(module, name)`` to its stand-in. All other names are refused.

    Raises:
        UnsafeFileError: The file asks for something that is not allowed.
        TableFileError: The file is truncated or damaged.
    """
    with errors_of(path):
        memory = MEMORY + 8 * check_regular(path)
        with open(path, "rb") as stream:
            return PickleReader(stream, allowed, memory=memory).load()


MEMORY = 1 << 27
"""Bytes of memory that the values may take, besides a multiple of the file's size."""

_CHUNK = 1 << 20
_LARGEST = 1 << 28
"""The most bytes of a text."""
_WIDEST = 1024
"""The most bytes of a whole number."""
_DEEPEST = 100
"""How deep tuples may be nested; a deeper one, as a key, could crash the interpreter."""
_FLAT = 1, 8
_MOST_ITEMS = 100_000
"""How many items a tuple may have, with all nested items and repetitions."""

# Bytes of memory that an object of one byte of the file may take, with its first item and the
# reader's notes. Objects that are not listed take about ten times their bytes in the file.
_SET, _DICT, _LIST, _TUPLE, _OTHER = 256, 512, 288, 72, 512
_ITEM = 64
_STEP = 1 << 24
"""The process's memory is checked after so many of these bytes, if records are let go."""

_SECONDS, _SECONDS_PER_BYTE = 3.0, 2e-6
"""The CPU time that this thread may take; real files take a hundredth."""

_FLOAT = struct.Struct(">d").unpack_from
_INT = struct.Struct("<i").unpack_from
_UINT = struct.Struct("<I").unpack_from
_ULONG = struct.Struct("<Q").unpack_from


class SharedError(Exception):
    """The pickle refers again to a container that was let go; read it with ``release=False``."""


class PickleReader:
    """Reads pickles from a stream, one after the other.

    Args:
        stream: The stream to read from.
        allowed: ``(module, name)`` to its stand-in. All other names are refused.
        fold: Called with ``(key, value)`` for each complete dict or list that is the value of a dict;
            its result replaces the value.
        release: Whether the containers in a replaced value are let go, which saves memory. If the
            pickle refers to one of them again, ``SharedError`` is raised.
        persistent: Called with a persistent id; None refuses them.
        limit: Bytes that may be read, not counting folded ones.
        total: Bytes that may be read with folded ones; None for any number. It bounds the time that
            a compressed file takes.
        memory: Bytes of memory that the values may take. They are counted as containers are made, by
            an upper bound of each; with ``fold``, which lets much of it go, the memory of the process
            is measured instead.
    """

    def __init__(
        self,
        stream: IO[bytes],
        allowed: Mapping[tuple[str, str], Any] = NUMBERS,
        fold: Callable[[Any, Any], Any] | None = None,
        release: bool = True,
        persistent: Callable[[Any], Any] | None = None,
        limit: int = 1 << 28,
        total: int | None = None,
        memory: int = MEMORY,
    ) -> None:
        self._stream = stream
        self._allowed = allowed
        self._fold = fold
        self._release = release
        self._persistent = persistent
        self._limit = limit
        self._total = total
        self._memory = memory
        self._held = held_memory() if fold else 0
        self._started = time.thread_time()
        self._buffer = b""
        self._position = 0
        self._ended = False
        self._read = 0
        self._folded = 0
        self._tuples: dict[int, tuple[int, int]] = {}  # depth and items by id

    @property
    def consumed(self) -> int:
        """Bytes of the stream up to the end of what was loaded."""
        return self._read - len(self._buffer) + self._position

    def _more(self, position: int, n: int = 0, *, exactly: bool = True) -> None:
        """Reads on, so that ``n`` bytes and any short opcode follow ``position``."""
        if n > _LARGEST:
            raise UnsafeFileError(f"it announces {n:,} bytes in one piece")
        parts = [self._buffer[position:]]
        buffered = len(parts[0])
        while not self._ended and buffered < n + 1024:
            part = self._stream.read(_CHUNK)
            if not part:
                self._ended = True
            parts.append(part)
            buffered += len(part)
            self._read += len(part)
        if self._read - self._folded > self._limit + _CHUNK:
            raise UnsafeFileError(
                f"{self._read - self._folded:,} bytes of it hold no complete record"
            )
        if self._total is not None and self._read > self._total + _CHUNK:
            raise UnsafeFileError(f"it unpacks to more than {self._total:,} bytes")
        if self._fold is not None:
            self._look()
        self._tick()
        if buffered < n and exactly:
            raise EOFError(f"{n:,} bytes were to follow but {buffered:,} are left")
        self._buffer = b"".join(parts)
        self._position = 0

    def _look(self, spent: int = 0) -> int:
        """Refuses too much memory; returns how many bytes more may be taken before the next look."""
        if self._fold is None or held_memory() - self._held > self._memory:
            raise UnsafeFileError(
                f"what it holds takes more than {self._memory:,} bytes of memory, out of all "
                f"proportion to its size"
            )
        return spent + _STEP

    def _tick(self) -> None:
        """Refuses too long a time, which keys of equal hash or endless work would take."""
        seconds = _SECONDS + _SECONDS_PER_BYTE * self._read
        if time.thread_time() - self._started > seconds:
            raise UnsafeFileError(f"it takes more than {seconds:.0f} s to read")

    def load(self) -> Any:
        """The next pickle of the stream.

        Raises:
            UnsafeFileError: It asks for a name that is not allowed, or is out of all proportion.
            Exception: The stream ends early or is damaged; this may be any exception.
        """
        fold = self._fold
        buffer, position = self._buffer, self._position
        limit = len(buffer) - 512 if not self._ended else len(buffer)
        # The memo is this list, without what complete records have left.
        memo: list[Any] = []
        remember = memo.append
        left = Left()
        gone = left_end = 0  # how many entries are in left, and up to which number
        # For each container that fold may see, by its id: where its memo numbers and its bytes start,
        # and the number of bytes that had been folded by then.
        starts: dict[int, tuple[int, int, int]] = {}
        texts: dict[bytes, str] = {}  # equal texts are kept once
        stacks: list[list[Any]] = []  # below the marks
        stack: list[Any] = []
        push = stack.append
        frame_end = 0
        spent, most = 0, self._memory if fold is None else _STEP  # bytes of memory
        while True:
            if position >= limit:
                if not self._ended:
                    self._more(position)
                    buffer, position = self._buffer, 0
                    limit = len(buffer) - 512 if not self._ended else len(buffer)
                if position >= len(buffer):
                    raise EOFError("it ends before its end")
            op = buffer[position]
            position += 1
            if op == 0x47:  # BINFLOAT
                push(_FLOAT(buffer, position)[0])
                position += 8
            elif op == 0x94:  # MEMOIZE
                remember(stack[-1])
            elif op == 0x8C:  # SHORT_BINUNICODE
                end = position + 1 + buffer[position]
                data = buffer[position + 1 : end]
                if len(data) < buffer[position]:
                    raise EOFError("it ends within a text")
                text = texts.get(data)
                if text is None:
                    text = texts[data] = data.decode("utf-8", "surrogatepass")
                    spent += _OTHER + 2 * len(data)
                    if spent > most:
                        most = self._look(spent)
                push(text)
                position = end
            elif op == 0x4B:  # BININT1
                push(buffer[position])
                position += 1
            elif op == 0x6A:  # LONG_BINGET
                number = _UINT(buffer, position)[0]
                value = memo[number - gone] if number >= left_end else left.get(memo, number)
                if value is RELEASED:
                    raise SharedError
                push(value)
                position += 4
            elif op == 0x68:  # BINGET
                number = buffer[position]
                value = memo[number - gone] if number >= left_end else left.get(memo, number)
                if value is RELEASED:
                    raise SharedError
                push(value)
                position += 1
            elif op == 0x72 or op == 0x71:  # LONG_BINPUT, BINPUT
                number = _UINT(buffer, position)[0] if op == 0x72 else buffer[position]
                position += 4 if op == 0x72 else 1
                if number == len(memo) + gone:
                    remember(stack[-1])
                elif number < len(memo) + gone:
                    left.put(memo, number, stack[-1])
                elif number == 1:  # Python 2's cPickle counts from 1
                    memo += (RELEASED, stack[-1])
                else:
                    raise UnsafeFileError(f"it wants a memo of {number} entries")
            elif op == 0x58:  # BINUNICODE
                n = _UINT(buffer, position)[0]
                position += 4
                if position + n > len(buffer):
                    self._more(position, n)
                    buffer, position = self._buffer, 0
                    limit = len(buffer) - 512 if not self._ended else len(buffer)
                data = buffer[position : position + n]
                text = texts.get(data)
                if text is None:
                    text = data.decode("utf-8", "surrogatepass")
                    if n < 100:
                        texts[data] = text
                        spent += _OTHER
                        if spent > most:
                            most = self._look(spent)
                push(text)
                position += n
            elif op == 0x28:  # MARK
                stacks.append(stack)
                stack = []
                push = stack.append
            elif op == 0x75 or op == 0x73:  # SETITEMS, SETITEM
                if op == 0x75:
                    items = stack
                    stack = stacks.pop()
                    push = stack.append
                else:
                    items = stack[-2:]
                    del stack[-2:]
                container = stack[-1]
                if not isinstance(container, dict) or len(items) % 2:
                    raise UnsafeFileError("it sets items of what is no dict")
                if fold is not None:
                    for i in range(1, len(items), 2):
                        value = items[i]
                        if isinstance(value, dict | list):
                            items[i] = fold(items[i - 1], value)
                            start = starts.pop(id(value), None)
                            if items[i] is not value:
                                here = self._read - len(buffer) + position
                                most = self._look(spent)
                                self._tick()
                                if start is not None:
                                    folded = start[2] + here - start[1]
                                    self._folded = max(self._folded, folded)
                                # A range that holds others already is left as it is.
                                if start is not None and self._release and start[0] >= left_end:
                                    entries = memo[start[0] - gone :]
                                    del memo[start[0] - gone :]
                                    for entry in entries:
                                        if isinstance(entry, dict | list):
                                            starts.pop(id(entry), None)
                                    left.take(start[0], entries)
                                    gone, left_end = left.gone, left.end
                put(container, items[::2], items[1::2], self._tick)
            elif op == 0x7D:  # EMPTY_DICT
                value = {}
                push(value)
                spent += _DICT
                if spent > most:
                    most = self._look(spent)
                if fold is not None:
                    here = self._read - len(buffer) + position
                    starts[id(value)] = len(memo) + gone, here, self._folded
            elif op == 0x5D:  # EMPTY_LIST
                value = []
                push(value)
                spent += _LIST
                if spent > most:
                    most = self._look(spent)
                if fold is not None:
                    here = self._read - len(buffer) + position
                    starts[id(value)] = len(memo) + gone, here, self._folded
            elif op == 0x65:  # APPENDS
                items = stack
                stack = stacks.pop()
                push = stack.append
                _list(stack[-1]).extend(items)
            elif op == 0x61:  # APPEND
                value = stack.pop()
                _list(stack[-1]).append(value)
            elif op == 0x4D:  # BININT2
                push(buffer[position] + 256 * buffer[position + 1])
                position += 2
            elif op == 0x4A:  # BININT
                push(_INT(buffer, position)[0])
                position += 4
            elif op == 0x4E:  # NONE
                push(None)
            elif op == 0x88 or op == 0x89:  # NEWTRUE, NEWFALSE
                push(op == 0x88)
            elif op == 0x29:  # EMPTY_TUPLE
                push(())
            elif 0x85 <= op <= 0x87:  # TUPLE1, TUPLE2, TUPLE3
                n = op - 0x84
                spent += _TUPLE
                if spent > most:
                    most = self._look(spent)
                value = self._tuple(stack[-n:], n)
                del stack[-n:]
                push(value)
            elif op == 0x74:  # TUPLE
                spent += _OTHER
                if spent > most:
                    most = self._look(spent)
                value = self._tuple(stack, len(stack))
                stack = stacks.pop()
                push = stack.append
                push(value)
            elif op == 0x52 or op == 0x81:  # REDUCE, NEWOBJ
                arguments = stack.pop()
                value = _make(stack.pop(), arguments)
                push(value)
                if type(value) is not float:
                    spent += _OTHER + _size(value)
                    if spent > most:
                        most = self._look(spent)
                    self._tick()
                    if fold is not None and isinstance(value, dict):
                        here = self._read - len(buffer) + position
                        starts[id(value)] = len(memo) + gone, here, self._folded
            elif op == 0x43 or op == 0x55:  # SHORT_BINBYTES, SHORT_BINSTRING
                end = position + 1 + buffer[position]
                data = buffer[position + 1 : end]
                if len(data) < buffer[position]:
                    raise EOFError("it ends within a text")
                push(data if op == 0x43 else data.decode("latin1"))
                position = end
            elif op == 0x93:  # STACK_GLOBAL
                name = stack.pop()
                push(self._global(stack.pop(), name))
            elif op == 0x63:  # GLOBAL
                end = buffer.index(b"\n", position)  # names are short
                last = buffer.index(b"\n", end + 1)
                push(
                    self._global(
                        buffer[position:end].decode("latin1"),
                        buffer[end + 1 : last].decode("latin1"),
                    )
                )
                position = last + 1
            elif op == 0x62:  # BUILD
                state = stack.pop()
                if not hasattr(stack[-1], "__setstate__"):
                    raise UnsafeFileError(f"it sets a state on {type(stack[-1]).__name__}")
                stack[-1].__setstate__(state)
            elif op == 0x95:  # FRAME
                position += 8
                frame_end = self._read - len(buffer) + position + _ULONG(buffer, position - 8)[0]
            elif op == 0x80:  # PROTO
                if buffer[position] > 5:
                    raise UnsafeFileError(f"it is of pickle protocol {buffer[position]}")
                position += 1
            elif op in (0x42, 0x54, 0x8D, 0x8E, 0x8B, 0x96):
                # BINBYTES, BINSTRING, BINUNICODE8, BINBYTES8, LONG4, BYTEARRAY8
                wide = op in (0x8D, 0x8E, 0x96)
                n = (_ULONG if wide else _UINT)(buffer, position)[0]
                if op == 0x8B and n > _WIDEST:
                    raise UnsafeFileError(f"it holds a number of {n:,} bytes")
                position += 8 if wide else 4
                if position + n > len(buffer):
                    self._more(position, n)
                    buffer, position = self._buffer, 0
                    limit = len(buffer) - 512 if not self._ended else len(buffer)
                data = buffer[position : position + n]
                position += n
                if op == 0x8D:
                    push(data.decode("utf-8", "surrogatepass"))
                elif op == 0x54:
                    push(data.decode("latin1"))
                else:
                    push(int.from_bytes(data, "little", signed=True) if op == 0x8B else data)
            elif op == 0x8A:  # LONG1
                end = position + 1 + buffer[position]
                if buffer[position] > _WIDEST:
                    raise UnsafeFileError(f"it holds a number of {buffer[position]} bytes")
                push(int.from_bytes(buffer[position + 1 : end], "little", signed=True))
                position = end
            elif op in (0x49, 0x4C, 0x46, 0x56, 0x53, 0x67, 0x70):
                # INT, LONG, FLOAT, UNICODE, STRING, GET, PUT: lines of protocol 0
                while (end := buffer.find(b"\n", position)) < 0 and not self._ended:
                    self._more(position, 2 * (len(buffer) - position) + _CHUNK, exactly=False)
                    buffer, position = self._buffer, 0
                    limit = len(buffer) - 512 if not self._ended else len(buffer)
                if end < 0:
                    raise EOFError("it ends within a line")
                line = buffer[position:end].decode("latin1")
                position = end + 1
                if op == 0x67:
                    value = left.get(memo, _index(line))
                    if value is RELEASED:
                        raise SharedError
                    push(value)
                elif op == 0x70:
                    number = _index(line)
                    if number == 1 and not memo:
                        remember(RELEASED)
                    if number > len(memo) + gone:
                        raise UnsafeFileError(f"it wants a memo of {number} entries")
                    left.put(memo, number, stack[-1])
                else:
                    push(_line(op, line))
            elif op == 0x8F:  # EMPTY_SET
                spent += _SET
                if spent > most:
                    most = self._look(spent)
                push(set())
            elif op == 0x90:  # ADDITEMS
                items = stack
                stack = stacks.pop()
                push = stack.append
                if not isinstance(stack[-1], set):
                    raise UnsafeFileError("it adds items to what is no set")
                spent += _ITEM * len(items)
                if spent > most:
                    most = self._look(spent)
                fill(stack[-1], items, self._tick)
            elif op == 0x6C or op == 0x64:  # LIST, DICT
                items = stack
                stack = stacks.pop()
                push = stack.append
                spent += _DICT
                if spent > most:
                    most = self._look(spent)
                if op == 0x64:
                    value = {}
                    put(value, items[::2], items[1::2], self._tick)
                    push(value)
                else:
                    push(items)
            elif op == 0x30:  # POP
                stack.pop()
            elif op == 0x31:  # POP_MARK
                stack = stacks.pop()
                push = stack.append
            elif op == 0x32:  # DUP
                push(stack[-1])
            elif op == 0x51 and self._persistent is not None:  # BINPERSID
                push(self._persistent(stack.pop()))
            elif op == 0x2E:  # STOP
                self._buffer, self._position = buffer, position
                if self.consumed < frame_end:
                    raise EOFError("it ends within a frame")
                result = stack.pop()
                if stack or stacks:
                    raise ValueError("it ends with more than one object")
                return result
            else:
                raise UnsafeFileError(f"it holds the opcode {op:#04x}, which data does not need")

    def _tuple(self, items: list[Any], n: int) -> tuple[Any, ...]:
        if len(items) < n:
            raise ValueError("its stack is empty")
        value = tuple(items)
        inner = [self._tuples.get(id(item), _FLAT) for item in items if isinstance(item, tuple)]
        depth = 1 + max((d for d, _ in inner), default=0)
        size = len(items) + sum(size for _, size in inner)
        if depth > _DEEPEST or size > _MOST_ITEMS:
            raise UnsafeFileError(f"it nests tuples deeper than {_DEEPEST} or too widely")
        # Most tuples are short and flat, and need no account.
        if depth > 1 or size > _FLAT[1]:
            self._tuples[id(value)] = depth, size
        else:
            self._tuples.pop(id(value), None)  # an earlier one may have had this id
        return value

    def _global(self, module: object, name: object) -> Any:
        stand_in = self._allowed.get((str(module), str(name)))
        if stand_in is None:
            raise UnsafeFileError(
                f"it asks for {str(module)[:100]}.{str(name)[:100]}, which data does not need"
            )
        return stand_in


def _size(value: Any) -> int:
    """Bytes of memory that the items of a value take."""
    if isinstance(value, str | bytes):
        return len(value)
    return _ITEM * len(value) if isinstance(value, dict | set) else 0


def _make(stand_in: Any, arguments: Any) -> Any:
    """Calls the stand-in of a class or a function; nothing else is ever called."""
    if not callable(stand_in) or not isinstance(arguments, tuple):
        raise UnsafeFileError(f"it calls {type(stand_in).__name__}")
    return stand_in(*arguments)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UnsafeFileError("it appends to what is no list")
    return value


def _index(line: str) -> int:
    if not line.isdigit():
        raise ValueError(f"a memo number {reprlib.repr(line)}")
    return int(line)


def _line(op: int, line: str) -> Any:
    """The value of a line of protocol 0."""
    if op == 0x49:  # INT, also for booleans
        return line == "01" if line in ("00", "01") else int(line)
    if op == 0x4C:
        return int(line.rstrip("L"))
    if op == 0x46:
        return float(line)
    if op == 0x56:
        return line.encode("latin1").decode("raw-unicode-escape")
    if len(line) < 2 or line[0] != line[-1] or line[0] not in "'\"":
        raise ValueError("a text without quotes")
    return line[1:-1].encode("latin1").decode("unicode-escape")

"""Writes files of NAS-Bench-101, byte by byte, with made-up content."""

import base64
import json
import struct

import google_crc32c
import numpy as np

from nasbench_lab.spaces import get_space

SPACE = get_space("nb101")
SCHEDULES = (4, 12, 36, 108)


def masked(data):
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def framed(content):
    length = struct.pack("<Q", len(content))
    return length + masked(length) + content + masked(content)


def varint(number):
    number &= (1 << 64) - 1
    result = bytearray()
    while number > 0x7F:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*result, number])


def double(field, value):
    return varint(field << 3 | 1) + struct.pack("<d", value)


def text(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def evaluation(epoch, time, train, valid, test):
    numbers = [double(i, v) for i, v in enumerate((epoch, time, train, valid, test), start=1)]
    return b"".join(numbers) + text(6, b"/some/model.ckpt-1234")


def metrics(evaluations, parameters, total):
    parts = [text(1, evaluation(*one)) for one in evaluations]
    return b"".join(parts) + varint(2 << 3) + varint(parameters) + double(3, total)


class Training:
    """One record; what it says can be changed before it is written."""

    def __init__(self, cell, epochs, rng):
        self.cell, self.epochs = cell, epochs
        matrix, operations = SPACE.to_matrix(cell)
        self.adjacency = "".join(map(str, matrix.flat))
        self.operations = ",".join(operations)
        self.hash = SPACE.module_hash(cell)
        self.parameters = 1_000_000 + SPACE.index(SPACE.canonical(cell)) % 9_999
        half, full = sorted(rng.random(2) * 1000)
        self.half = [half, *rng.random(3)]
        self.full = [full, *rng.random(3)]
        self.total = full * 1.5

    def message(self):
        start = (0.0, 0.1, 0.1, 0.1, 0.1)
        entries = [start, (self.epochs / 2, *self.half), (self.epochs, *self.full)]
        return metrics(entries, self.parameters, self.total)

    def fields(self):
        packed = base64.b64encode(self.message()).decode()
        return [self.hash, self.epochs, self.adjacency, self.operations, packed]

    def record(self):
        return framed(json.dumps(self.fields()).encode())


def trainings(n_cells, schedules=SCHEDULES, repeats=3, seed=0):
    """All trainings of some cells that differ, in random order."""
    rng = np.random.default_rng(seed)
    cells = np.unique(SPACE.canonical(SPACE.sample(rng, 5 * n_cells)), axis=0)
    cells = rng.permutation(cells)[:n_cells]
    assert len(cells) == n_cells
    made = [
        Training(tuple(cell), epochs, rng)
        for cell in cells.tolist()
        for epochs in schedules
        for _ in range(repeats)
    ]
    return [made[i] for i in rng.permutation(len(made))]


def write(path, made):
    path.write_bytes(b"".join(one.record() for one in made))
    return path

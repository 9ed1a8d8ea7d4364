"""Writes the files of CIFAR and ImageNet16, with few and made-up images."""

import dataclasses
import hashlib
import io
import pickle
import struct
import tarfile

import numpy as np

from nasbench_lab.trainer.image_files import FILES

IMAGES = {"cifar10": 20, "cifar100": 200, "ImageNet16-120": 300}
"""How many images a file has."""


class _Python2:
    """What ``cPickle`` of Python 2 writes in protocol 2. It counts from 1 in its memo."""

    def __init__(self):
        self.out = bytearray(b"\x80\x02")
        self.memo = 0

    def put(self):
        self.memo += 1
        self.out += (
            b"q" + bytes([self.memo]) if self.memo < 256 else b"r" + struct.pack("<I", self.memo)
        )

    def text(self, data):
        short = len(data) < 256
        self.out += b"U" + bytes([len(data)]) if short else b"T" + struct.pack("<I", len(data))
        self.out += data

    def many(self, items, one, more):
        """Items of a container, 1,000 at a time."""
        for start in range(0, len(items), 1000):
            part = items[start : start + 1000]
            self.out += b"(" if len(part) > 1 else b""
            for item in part:
                for value in item:
                    self.write(value)
            self.out += more if len(part) > 1 else one

    def write(self, value):
        if isinstance(value, dict):
            self.out += b"}"
            self.put()
            self.many(list(value.items()), b"s", b"u")
        elif isinstance(value, list):
            self.out += b"]"
            self.put()
            self.many([(item,) for item in value], b"a", b"e")
        elif isinstance(value, str):
            self.text(value.encode("latin1"))
            self.put()
        elif isinstance(value, np.ndarray):
            self.array(value)
        elif 0 <= value < 256:
            self.out += b"K" + bytes([value])
        elif 0 <= value < 65536:
            self.out += b"M" + struct.pack("<H", value)
        else:
            self.out += b"J" + struct.pack("<i", value)

    def array(self, value):
        self.out += b"cnumpy.core.multiarray\n_reconstruct\n"
        self.put()
        self.out += b"cnumpy\nndarray\n"
        self.put()
        self.out += b"K\x00\x85U\x01b\x87R"
        self.put()
        self.out += b"(K\x01"
        for length in value.shape:
            self.write(length)
        self.out += b"\x86cnumpy\ndtype\n"
        self.put()
        self.text(value.dtype.str[1:].encode())
        self.out += b"K\x00K\x01\x87R"
        self.put()
        self.out += b"(K\x03"
        self.text(value.dtype.str[:1].encode())
        self.out += b"NNN" + 2 * b"J\xff\xff\xff\xff" + b"K\x00tb\x89"
        self.text(value.tobytes())
        self.out += b"tb"


def python_2(content):
    """Pickles dicts, lists, texts, numbers, and arrays of two dimensions."""
    writer = _Python2()
    writer.write(content)
    return bytes(writer.out) + b"."


def python_3(content):
    """Pickles as Python 3 with the NumPy of its time."""
    return pickle.dumps(content, 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def content(name, file):
    """What a file holds: pixels with all red ones first, labels, and what else there is."""
    source, n = FILES[name], IMAGES[name]
    index = list(source.files).index(file)
    rng = np.random.default_rng([n, index])
    low, high = source.label_range
    labels = rng.permutation(np.arange(n) % source.classes + low)
    if high >= source.classes + low:  # a part is left out
        labels[rng.permutation(n)[: n // 5]] = rng.integers(source.classes + low, high, n // 5)
        labels[:4] = low, source.classes, source.classes + 1, high
    data = rng.integers(0, 256, (n, 3 * source.size**2), dtype=np.uint8)
    result = {"data": data, source.labels: labels.tolist()}
    if name == "cifar100":
        result |= {"coarse_labels": (labels // 5).tolist()}
    if name.startswith("cifar"):
        result |= {"batch_label": file, "filenames": [f"image_{i:06d}.png" for i in range(n)]}
    elif file != "val_data":
        result |= {"mean": data.mean(axis=0)}
    return result


def write(name, folder, changed=()):
    """Writes all files into a folder; ``changed`` has other bytes, or None, for some."""
    folder.mkdir(parents=True, exist_ok=True)
    pickled = python_2 if name.startswith("cifar") else python_3
    files = {file: pickled(content(name, file)) for file in FILES[name].files}
    for file, data in (files | dict(changed)).items():
        if data is not None:
            (folder / file).write_bytes(data)


def write_archive(name, folder, changed=(), prefix=""):
    """Writes an archive; a changed file may also be a ``TarInfo``."""
    path = folder / next(iter(FILES[name].archive))
    files = {file: python_2(content(name, file)) for file in FILES[name].files}
    files = {"batches.meta": b"(dp1\n.", **dict(reversed((files | dict(changed)).items()))}
    with tarfile.open(path, "w:gz") as archive:
        inner = tarfile.TarInfo(f"{prefix}{FILES[name].folder}")
        inner.type = tarfile.DIRTYPE
        archive.addfile(inner)
        for file, data in files.items():
            member = tarfile.TarInfo(f"{inner.name}/{file}")
            if isinstance(data, bytes):
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
            elif data is not None:
                data.name = member.name
                archive.addfile(data)
    return path


def expected(name):
    """``(n, height, width, 3)`` bytes and ``(n,)`` labels of both sets, put together pixelwise."""
    source, result = FILES[name], {}
    size, low = source.size, source.label_range[0]
    for part, files in source.parts.items():
        images, labels = [], []
        for held in (content(name, file) for file in files):
            for row, label in zip(held["data"], held[source.labels], strict=True):
                if label - low < source.classes:
                    red, green, blue = np.split(row, 3)
                    images.append(np.stack([red, green, blue], axis=-1).reshape(size, size, 3))
                    labels.append(label - low)
        result[part] = np.array(images), np.array(labels)
    return result


def publish(monkeypatch, name, folder):
    """Makes what is in a folder the published files."""

    def md5(files):
        return {
            file: hashlib.md5((folder / file).read_bytes()).hexdigest()
            if (folder / file).exists()
            else published
            for file, published in files.items()
        }

    parts = {part: md5(files) for part, files in FILES[name].parts.items()}
    changed = dataclasses.replace(FILES[name], parts=parts, archive=md5(FILES[name].archive))
    monkeypatch.setitem(FILES, name, changed)

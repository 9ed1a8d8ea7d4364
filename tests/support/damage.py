"""Random damage to files, and changes that are none."""

import json

from nasbench_lab.files import content_checksum

KINDS = ("flip", "zero", "truncate", "swap", "insert")


def damage(rng, path, others=()):
    """Damages a file; returns how. ``swap`` exchanges it with one of the others."""
    content = bytearray(path.read_bytes())
    kind = rng.choice([k for k in KINDS if k != "swap" or others])
    at = rng.randrange(len(content))
    if kind == "flip":
        content[at] ^= 1 << rng.randrange(8)
    elif kind == "zero":
        n = rng.randrange(1, 65)
        content[at : at + n] = bytes(len(content[at : at + n]))
    elif kind == "truncate":
        del content[at:]
    elif kind == "insert":
        content[at:at] = rng.randbytes(rng.randrange(1, 9))
    else:
        other = rng.choice(list(others))
        theirs = other.read_bytes()
        other.write_bytes(content)
        content = theirs
    path.write_bytes(content)
    return kind


def write_sealed(path, content):
    """Writes JSON that has changed, with the checksum that belongs to it."""
    content = {key: value for key, value in content.items() if key != "checksum"}
    path.write_text(json.dumps({**content, "checksum": content_checksum(content)}))

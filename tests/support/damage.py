"""Random damage to files."""

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

"""Prints what was measured beside the limits that the design sets."""

import pytest

LIMITS = {}  # benchmark name -> (what, per how many, unit, limit in that unit or None, beside)

NOTES = []  # what else was seen, such as memory

_FACTORS = {"ns": 1e9, "µs": 1e6, "ms": 1e3, "s": 1.0}


@pytest.fixture
def measure(benchmark, request):
    """Times a function: measure(what, function, per=…, unit=…, limit=…).

    For a peer, ``beside`` names what of ours it is compared with.
    """

    def run(what, function, *, per=1, unit="ms", limit=None, setup=None, rounds=5, beside=None):
        LIMITS[request.node.nodeid] = (what, per, unit, limit, beside)
        return benchmark.pedantic(
            function, setup=setup, rounds=rounds, warmup_rounds=int(rounds > 1)
        )

    return run


@pytest.fixture
def note():
    """Adds a line below the times: note(text)."""
    return NOTES.append


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    timed = {b.fullname: b for b in (session.benchmarks if session else []) if b}
    if not timed or session.disabled:
        return
    write = terminalreporter.write_line
    write("")
    write(f"{'median of 5 rounds':62} {'measured':>12} {'limit':>10}")
    seconds = {}
    for name, (what, per, unit, limit, beside) in LIMITS.items():
        if name not in timed:
            continue
        seconds[what] = timed[name].stats.median / per
        value = seconds[what] * _FACTORS[unit]
        bound = f"{limit:g} {unit}" if limit is not None else ""
        if beside in seconds:
            ratio = seconds[what] / seconds[beside]
            bound = f"{ratio:,.{0 if ratio >= 10 else 1}f} x ours"
        write(f"{what:62} {value:9.3g} {unit} {bound:>10}")
    for line in NOTES:
        write(line)

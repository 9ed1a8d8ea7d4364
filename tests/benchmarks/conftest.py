"""Prints what was measured beside the limits that the design sets."""

import pytest

LIMITS = {}  # benchmark name -> (what, per how many, unit, limit in that unit or None)

_FACTORS = {"ns": 1e9, "µs": 1e6, "ms": 1e3, "s": 1.0}


@pytest.fixture
def measure(benchmark, request):
    """Times a function: measure(what, function, per=…, unit=…, limit=…)."""

    def run(what, function, *, per=1, unit="ms", limit=None, setup=None, rounds=5):
        LIMITS[request.node.nodeid] = (what, per, unit, limit)
        return benchmark.pedantic(
            function, setup=setup, rounds=rounds, warmup_rounds=int(rounds > 1)
        )

    return run


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    timed = {b.fullname: b for b in (session.benchmarks if session else []) if b}
    if not timed or session.disabled:
        return
    write = terminalreporter.write_line
    write("")
    write(f"{'median of 5 rounds':62} {'measured':>12} {'limit':>10}")
    for name, (what, per, unit, limit) in LIMITS.items():
        if name not in timed:
            continue
        value = timed[name].stats.median / per * _FACTORS[unit]
        bound = f"{limit:g} {unit}" if limit is not None else ""
        write(f"{what:62} {value:9.3g} {unit} {bound:>10}")

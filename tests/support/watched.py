"""Results that are watched while they are made, and servers that show them."""

import hashlib
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

from nasbench_lab.results.folder import working_on
from nasbench_lab.results.parts import write_shard
from nasbench_lab.watch import Server
from nasbench_lab.watch.at_work import at_work


def write(folder, result, runs):
    """Writes some runs of a result as a comparison does that has just finished them."""
    for run in runs:
        name = hashlib.sha256(repr(run.cell).encode()).hexdigest()
        write_shard(folder, result.experiment, name, [run])


def tells_locks(experiment):
    """Whether the system says who works on a folder; some containers do not."""
    with tempfile.TemporaryDirectory() as folder, working_on(Path(folder, "r"), experiment):
        return bool(at_work(Path(folder, "r", "runs")))


@contextmanager
def serving(folder):
    """A server that answers, at any port, until the block ends."""
    with Server(folder, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

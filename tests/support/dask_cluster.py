"""A Dask cluster on this machine: a scheduler and its workers, each a process."""

import json
import os
import subprocess
import sys

import distributed
from waiting import wait_for


class Cluster:
    """A scheduler without dashboard, and workers of one thread each."""

    def __init__(self, folder, **variables):
        self.folder, self.workers = folder, []
        self.file = folder / "scheduler.json"
        self.log = open(folder / "log.txt", "wb")  # noqa: SIM115 (closed with the cluster)
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0", **variables)
        wait_for(
            lambda: self.file.exists() and self.file.read_bytes().endswith(b"}"), self.scheduler
        )
        self.address = json.loads(self.file.read_text())["address"]

    def start(self, kind, *more, **variables):
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "distributed.cli.dask_" + kind, *more),
                *("--scheduler-file", self.file, "--no-dashboard"),
            ],
            stdout=self.log,
            stderr=self.log,
            cwd=self.folder,
            env={**os.environ, **variables},
        )

    def grow(self, count, **variables):
        """Starts workers until there are so many."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        for _ in range(count - len(self.workers)):
            more = ("--nthreads", "1", "--no-nanny", "--host", "127.0.0.1")
            self.workers.append(self.start("worker", *more, **variables))
        with self.client() as client:
            client.wait_for_workers(count, timeout=600)

    def client(self):
        return distributed.Client(self.address, set_as_default=False)

    def shrink(self):
        """Ends all workers, and waits until the scheduler knows."""
        for worker in self.workers:
            worker.kill()  # asked kindly, a worker may wait for others that are gone
            worker.wait(timeout=600)
        self.workers = []
        with self.client() as client:
            wait_for(lambda: not client.scheduler_info()["workers"])

    def close(self):
        for process in (*self.workers, self.scheduler):
            process.kill()
        for process in (*self.workers, self.scheduler):
            process.wait(timeout=600)
        self.log.close()

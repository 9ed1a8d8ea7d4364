"""Which processes work on a result folder, by the locks that they hold on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_LOCKS = Path("/proc/locks")


class Process(NamedTuple):
    """A process of this machine.

    Args:
        number: Its number.
        command: Its command line; empty if it is not told.
    """

    number: int
    command: str

    def __str__(self) -> str:
        return f"process {self.number}{f': {self.command}' * bool(self.command)}"


def at_work(runs: Path) -> list[Process] | None:
    """The processes of this machine that work on the folder of a result's runs.

    The system is asked for the locks that there are. To try a lock would be to take it for a moment.

    Returns:
        The processes; None where the system does not say.
    """
    try:
        inode = runs.stat().st_ino
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    numbers = set()
    for line in lines:
        # 1: FLOCK  ADVISORY  READ 31182 fe:00:2695569 0 EOF
        parts = line.split()
        if len(parts) > 5 and parts[1] == "FLOCK" and parts[5].rpartition(":")[2] == str(inode):
            numbers.add(int(parts[4]))
    return [
        Process(number, _command(number))
        for number in sorted(numbers)
        if number > 0 and _has_open(number, runs)
    ]


def _has_open(number: int, folder: Path) -> bool:
    """Whether a process has a folder open; also if it may not be asked.

    The number of a folder alone is that of folders on other disks too, and what the system calls a
    disk is not always what it says of a folder.
    """
    try:
        opened = os.listdir(f"/proc/{number}/fd")
        wanted = folder.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    for name in opened:
        try:
            if os.path.samestat(os.stat(f"/proc/{number}/fd/{name}"), wanted):
                return True
        except OSError:  # it has just been closed
            continue
    return False


def _command(number: int) -> str:
    try:
        text = Path(f"/proc/{number}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
    words = text.split("\0")
    # The interpreter and the folder of the program say nothing.
    start = next((i for i, word in enumerate(words) if word.endswith("nasbench-lab")), 0)
    return " ".join([Path(words[start]).name, *words[start + 1 :]]).strip()

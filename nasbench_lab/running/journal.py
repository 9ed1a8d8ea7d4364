"""The journal of a search in real time: a line for each outcome, written before the search learns it.

A search goes on from it whatever happened to its process. The last line may be torn; it is then as if
it had not been written.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nasbench_lab.algorithm import Evaluation, Trial
from nasbench_lab.errors import DataFolderError, ExperimentError, TableFileError
from nasbench_lab.experiment.differences import differences
from nasbench_lab.files import content_checksum, folder_errors
from nasbench_lab.simulator import Outcome

if sys.platform != "win32":
    import fcntl

FORMAT = 1
"""Version of the lines."""


class Journal:
    """The journal of one search, which no other process may write to meanwhile.

    Args:
        file: The file; it is made if it is not there.
        setting: All that the search depends on, as JSON has it.

    Attributes:
        outcomes: What the file held when it was opened.

    Raises:
        ExperimentError: It is the journal of another search, or another process writes to it.
        TableFileError: It is damaged.
        DataFolderError: It cannot be read or written.
    """

    def __init__(self, file: Path, setting: Mapping[str, Any]) -> None:
        self.path = file
        with folder_errors(file.parent):
            file.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(file, "a+b")  # noqa: SIM115 (closed by close)
        try:
            self._lock()
            with folder_errors(file.parent):
                self.file.seek(0)
                content = self.file.read()
                whole = content[: content.rfind(b"\n") + 1]
                self.file.truncate(len(whole))
            lines = [self._line(i, line) for i, line in enumerate(whole.splitlines(), start=1)]
            if lines:
                self._check(lines[0], setting)
            else:
                self._write([{"format": FORMAT, "search": setting}])
            self.outcomes = [self._outcome(i, line) for i, line in enumerate(lines[1:], start=2)]
        except BaseException:
            self.file.close()
            raise

    def close(self) -> None:
        self.file.close()

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Adds the outcomes of a moment.

        Raises:
            DataFolderError: They cannot be written.
        """
        self._write([_entry(outcome) for outcome in outcomes])

    def _write(self, entries: Sequence[Mapping[str, Any]]) -> None:
        lines = []
        for entry in entries:
            content = json.loads(json.dumps(entry))
            lines.append(json.dumps({**content, "checksum": content_checksum(content)}) + "\n")
        with folder_errors(self.path.parent):
            self.file.write("".join(lines).encode())
            self.file.flush()
            os.fsync(self.file.fileno())

    def _lock(self) -> None:
        """Keeps other processes from the file; it ends with this one, however that ends."""
        if sys.platform == "win32":
            return
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ExperimentError(
                f"Another process is at this search in {self.path.parent.parent}. Wait for it, or "
                f"name another folder."
            ) from error
        except OSError:  # a file system that knows no locks
            pass

    def _line(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(line)
            checksum = content.pop("checksum")
            if checksum != content_checksum(content):
                raise ValueError("it has changed since it was written")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._damaged(number, error) from error
        return content

    def _outcome(self, number: int, line: Mapping[str, Any]) -> Outcome:
        try:
            evaluation = None
            if line["values"] is not None:
                values = tuple(math.nan if value is None else value for value in line["values"])
                at = line["evaluated_epoch"]
                violation = math.nan if line["violation"] is None else line["violation"]
                evaluation = Evaluation(values, 0.0, at, line["row"], violation)
            trial = Trial(line["trial"], tuple(line["architecture"]), line["epoch"])
            return Outcome(line["moment"], line["ask"], trial, evaluation, line["reason"])
        except (KeyError, TypeError) as error:
            raise self._damaged(number, error) from error

    def _damaged(self, number: int, error: Exception) -> TableFileError:
        return TableFileError(
            f"{self.path} is damaged in line {number} ({type(error).__name__}: {error}). Put back a "
            f"copy; or take away this line and all after it, and the search goes on from there."
        )

    def _check(self, head: Mapping[str, Any], setting: Mapping[str, Any]) -> None:
        if head.get("format") != FORMAT:
            raise DataFolderError(
                f"{self.path} is of another version of nasbench-lab. Install that, or name another "
                f"folder."
            )
        if changes := differences(head["search"], json.loads(json.dumps(setting))):
            raise ExperimentError(
                f"{self.path.parent.parent} holds another search, so it cannot go on there: "
                f"{'; '.join(changes)}. Give the same settings to go on, or name another folder."
            )


def _entry(outcome: Outcome) -> dict[str, Any]:
    evaluation, trial = outcome.evaluation, outcome.trial
    values = None
    if evaluation is not None:
        values = [None if math.isnan(value) else float(value) for value in evaluation.values]
    entry: dict[str, Any] = {
        "moment": outcome.moment,
        "ask": outcome.ask,
        "trial": trial.number,
        "architecture": [int(option) for option in trial.architecture],
        "epoch": None if trial.epoch is None else int(trial.epoch),
        "values": values,
        "reason": outcome.reason,
    }
    if evaluation is not None:
        violation = float(evaluation.violation)
        entry |= {
            "evaluated_epoch": None if evaluation.epoch is None else int(evaluation.epoch),
            "row": int(evaluation.row),
            "violation": None if math.isnan(violation) else violation,
        }
    return entry

"""The page of a live view, and what streams into it."""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasbench_lab.errors import NasbenchLabError
from nasbench_lab.report import LIVE, filled, fragment, plots, render
from nasbench_lab.results.result import Result
from nasbench_lab.watch.builds import WatchedBuild
from nasbench_lab.watch.results import WatchedResult
from nasbench_lab.watch.studies import WatchedStudy
from nasbench_lab.watch.view import View, in_words


class Pages:
    """What a server answers; threads may ask at once.

    Args:
        folder: What is watched.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._result, self._build = WatchedResult(folder), WatchedBuild(folder)
        self._study = WatchedStudy(folder)
        self._looking, self._drawing = threading.Lock(), threading.Lock()
        # Each with the version that it is of.
        self._report: tuple[str | None, str] = None, ""
        self._plots: tuple[str | None, dict[str, Any]] = None, {}

    def page(self) -> str:
        """The page: the report of a finished result, or else the live one."""
        view, watched = self._look()
        if watched is self._result and view.state == "finished":
            with self._drawing:
                if report := self._reported(view.version):
                    return report
        name = self.folder.name or str(self.folder)
        return filled("live.html", _script(None), title=name, folder=str(self.folder))

    def state(self) -> dict[str, Any]:
        """How the folder stands: HTML of that, and which plots and which report there are."""
        view, watched = self._look()
        share = view.done / view.total if view.total else None
        done = f"{share:.0%}" if share is not None else ""
        known = view.state == "running" and not math.isnan(view.left_s)
        left = in_words(max(view.left_s, 1.0)) if known else ""
        return {
            "state": view.state,
            "title": f"{done or view.state} · {self.folder.name}",
            "html": fragment("state.html", view=view, share=share, left=left),
            "version": view.version,
            "report": watched is self._result
            and view.state == "finished"
            and self._report != (view.version, ""),
        }

    def plots(self) -> dict[str, Any]:
        """The plots of what is there: their frames as HTML, and the data of their lines.

        Whatever keeps them from being drawn is told in their place.
        """
        with self._drawing:
            view, watched = self._look()
            version = view.version
            if version != self._plots[0]:
                began = time.thread_time()
                drawn: dict[str, Any] = {"version": version, "html": "", "data": None}
                try:
                    if not isinstance(watched, WatchedResult):
                        drawn["html"] = watched.plots()
                    elif (result := self._read()) is not None:
                        contents = plots(result)
                        drawn["html"] = fragment("plots.html", **contents)
                        drawn["data"] = contents["data"]
                except Exception as error:  # such as of a table that is another now
                    drawn["problem"] = _told(error)
                drawn["took_s"] = time.thread_time() - began
                self._plots = version, drawn
            return self._plots[1]

    def _look(self) -> tuple[View, WatchedResult | WatchedStudy | WatchedBuild]:
        """What is there, and whose view that is.

        It is a result; a validation of a finished result, until that has ended; or, where there is no
        result, another study or a table that is built.
        """
        with self._looking:
            try:
                view, study = self._result.view(), self._study.view()
                if view.state in ("waiting", "unreadable"):
                    if study is not None:
                        return study, self._study
                    if (built := self._build.view()) is not None:
                        return built, self._build
                elif view.state == "finished" and study and study.state in ("running", "stopped"):
                    fact = "Result", "finished; nasbench-lab report writes its report"
                    return replace(study, facts=(*study.facts, fact)), self._study
            except OSError as error:  # such as for want of permissions
                view = View("unreadable", f"{self.folder} cannot be read: {error}")
            return view, self._result

    def _read(self) -> Result | None:
        with self._looking:
            return self._result.result()

    def _reported(self, version: str) -> str:
        """The report of a finished result; empty if it cannot be made."""
        if version != self._report[0]:
            result = self._read()
            try:
                text = ""
                if result is not None and not self._result.unread:
                    text = render(result, script=_script(version))
            except Exception:  # the live page stays, and says what it can
                text = ""
            self._report = version, text
        return self._report[1]


def _script(shown: str | None) -> str:
    """What follows the server; ``shown`` is the version that a report is of."""
    return f"\nconst shown = {json.dumps(shown)};\n{LIVE.read_text('utf-8')}"


def _told(error: Exception) -> str:
    if isinstance(error, NasbenchLabError):
        return str(error)
    return f"{type(error).__name__}: {error}"

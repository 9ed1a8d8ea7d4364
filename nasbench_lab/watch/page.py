"""The page of a live view, and what streams into it."""

from __future__ import annotations

import json
import math
import threading
import time
from pathlib import Path
from typing import Any

from nasbench_lab.errors import NasbenchLabError
from nasbench_lab.report import LIVE, filled, fragment, plots, render
from nasbench_lab.watch.builds import WatchedBuild
from nasbench_lab.watch.results import WatchedResult
from nasbench_lab.watch.view import View, in_words


class Pages:
    """What a server answers; threads may ask at once.

    Args:
        folder: What is watched.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._watched, self._build = WatchedResult(folder), WatchedBuild(folder)
        self._looking, self._drawing = threading.Lock(), threading.Lock()
        # Each with the version that it is of.
        self._report: tuple[str | None, str] = None, ""
        self._plots: tuple[str | None, dict[str, Any]] = None, {}

    def page(self) -> str:
        """The page: the report of a finished result, or else the live one."""
        view = self._view()
        if view.state == "finished" and view.version:
            with self._drawing:
                if report := self._reported(view.version):
                    return report
        name = self.folder.name or str(self.folder)
        return filled("live.html", _script(None), title=name, folder=str(self.folder))

    def state(self) -> dict[str, Any]:
        """How the folder stands: HTML of that, and which plots and which report there are."""
        view = self._view()
        share = view.done / view.total if view.total else None
        done = f"{share:.0%}" if share is not None else ""
        left = "" if math.isnan(view.left_s) or view.state != "running" else in_words(view.left_s)
        return {
            "state": view.state,
            "title": f"{done or view.state} · {self.folder.name}",
            "html": fragment("state.html", view=view, share=share, left=left),
            "version": view.version,
            "report": view.state == "finished"
            and view.version != ""
            and self._report != (view.version, ""),
        }

    def plots(self) -> dict[str, Any]:
        """The plots of what is there: their frames as HTML, and the data of their lines.

        Whatever keeps them from being drawn is told in their place.
        """
        with self._drawing:
            version = self._view().version
            if version != self._plots[0]:
                began = time.thread_time()
                drawn: dict[str, Any] = {"version": version, "html": "", "data": None}
                try:
                    with self._looking:
                        result = self._watched.result()
                    if result is None:
                        drawn["html"] = self._build.plots()
                    else:
                        contents = plots(result)
                        drawn["html"] = fragment("plots.html", **contents)
                        drawn["data"] = contents["data"]
                except Exception as error:  # such as of a table that is another now
                    drawn["problem"] = _told(error)
                drawn["took_s"] = time.thread_time() - began
                self._plots = version, drawn
            return self._plots[1]

    def _view(self) -> View:
        """What is there: a table that is built or, as long as it is none, a result."""
        with self._looking:
            try:
                view = self._watched.view()
                if view.state in ("waiting", "unreadable"):
                    view = self._build.view() or view
            except OSError as error:  # such as for want of permissions
                view = View("unreadable", f"{self.folder} cannot be read: {error}")
            return view

    def _reported(self, version: str) -> str:
        """The report of a finished result; empty if it cannot be made."""
        if version != self._report[0]:
            with self._looking:
                result = self._watched.result()
            try:
                text = ""
                if result is not None and not self._watched.unread:
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

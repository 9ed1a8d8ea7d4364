"""The server of a live view: one page and what its script asks for, under an address that is secret."""

from __future__ import annotations

import errno
import hmac
import ipaddress
import json
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

from nasbench_lab.errors import DataFolderError, ExperimentError
from nasbench_lab.watch.page import Pages

PORT = 8765
"""The port that is tried first."""

_TRIED = 20
"""How many ports are tried, one after the other."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ALL = ("0.0.0.0", "::")
"""What stands for all addresses of this machine."""


class Server(ThreadingHTTPServer):
    """Shows what a folder holds, to those who know the address.

    It answers nothing but GET, of three paths below a token that is new each time. The header ``Host``
    must name this machine, so that no page from elsewhere can ask by a name of its own.

    Args:
        folder: What is watched; it need not be there.
        host: The address that it listens at: that of this machine only, if nothing else is said.
        port: The port; None for the first free one from ``PORT`` on, and 0 for any.

    Raises:
        DataFolderError: It cannot listen there; the message says why.
        ExperimentError: The host is no address of this machine.
    """

    daemon_threads = True
    allow_reuse_address = False  # Windows would let two servers have one port

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.pages, self.token = Pages(folder), secrets.token_urlsafe(24)
        self.host = host
        self.names = {*_LOOPBACK, host}
        if host in _ALL:
            self.names |= {name.lower() for name in (socket.gethostname(), socket.getfqdn())}
        try:
            self.address_family = socket.getaddrinfo(host, None)[0][0]
        except (OSError, ValueError) as error:  # a name that cannot be one is a ValueError
            reason = getattr(error, "strerror", None) or error
            raise ExperimentError(
                f"Expected an address or name of this machine, such as 127.0.0.1, but got {host!r} "
                f"({reason})."
            ) from error
        # So that the same port can be had again right after the end; not to share it.
        self.allow_reuse_address = hasattr(socket, "AF_UNIX")
        last = PORT + _TRIED - 1
        for number in range(PORT, last + 1) if port is None else [port]:
            try:
                super().__init__((host, number), _Handler)
            except OSError as error:
                if port is None and number < last and error.errno == errno.EADDRINUSE:
                    continue
                taken = error.errno == errno.EADDRINUSE
                raise DataFolderError(
                    f"Cannot listen at {host}, port {number}: {error.strerror or error}."
                    + (" Another program does; name another with --port." if taken else "")
                ) from error
            break

    @property
    def url(self) -> str:
        """The address of the page."""
        name = socket.gethostname() if self.host in _ALL else self.host
        name = f"[{name}]" if ":" in name else name
        return f"http://{name}:{self.server_address[1]}/{self.token}/"

    def knows(self, name: str) -> bool:
        """Whether a name or address, as in the header ``Host``, is one of this machine.

        Its port is not compared: through a tunnel it is another.
        """
        if self.host in _ALL:
            with suppress(ValueError):
                ipaddress.ip_address(name)  # no name, which somebody else could have lead here
                return True
        return name in self.names

    def server_bind(self) -> None:
        """Listens, without asking the network what this machine is called, as the base class does."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a browser that left before it had its answer."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 30.0
    server_version, sys_version = "nasbench-lab", ""

    def do_GET(self) -> None:
        if not self._is_ours():
            self._answer(HTTPStatus.BAD_REQUEST, "This address is not of this server.")
            return
        pages = self.server.pages
        answers: dict[str, Callable[[], tuple[str, str]]] = {
            "": lambda: ("text/html", pages.page()),
            "state": lambda: ("application/json", _json(pages.state())),
            "plots": lambda: ("application/json", _json(pages.plots())),
        }
        for name, answer in answers.items():
            path = f"/{self.server.token}/{name}"
            if hmac.compare_digest(self.path.encode("utf-8", "replace"), path.encode()):
                kind, text = answer()
                self._answer(HTTPStatus.OK, text, kind)
                return
        self._answer(HTTPStatus.NOT_FOUND, "There is nothing here. The address must be whole.")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers what is no GET, or no sound request at all."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "Nothing but GET is answered.")
        else:
            self._answer(HTTPStatus(code), "This request cannot be read.")

    def _is_ours(self) -> bool:
        """Whether the request names this machine, and once."""
        given = self.headers.get_all("Host") or []
        if len(given) != 1:
            return False
        host = given[0].strip().lower()
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return self.server.knows(name)

    def _answer(self, status: HTTPStatus, text: str, kind: str = "text/plain") -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items():
            self.send_header(name, value)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Notes nothing: the address holds the token."""


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False)

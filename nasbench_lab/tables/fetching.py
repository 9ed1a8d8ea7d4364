"""Downloading a benchmark's file from the user's URL.

The file is streamed to ``<target>.part`` and gets its name when it is complete and has the expected
checksum. A broken download goes on where it stopped, unless the file at the URL has changed. Nothing
is unpacked or run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from nasbench_lab.errors import (
    DataFolderError,
    MissingSourceError,
    NasbenchLabError,
    TableFileError,
)
from nasbench_lab.files import sha256 as _sha256

if sys.platform != "win32":
    import fcntl

ATTEMPTS = 5
"""How many attempts in a row may break without any progress."""
PAUSE_S = 2.0
"""The pause before the second attempt; it doubles before each further attempt."""
TIMEOUT_S = 60.0
"""How long a server may be silent."""

_CHUNK = 1 << 20
_PASSING = (408, 429, 500, 502, 503, 504)
"""HTTP statuses of errors that may pass."""

Progress = Callable[[int, int], None]


class _BrokenError(Exception):
    """The download broke off, and may go on when tried again."""


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    md5_prefix: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Downloads a file, unless it is there already with the right checksum.

    Args:
        url: The file's address, ``http`` or ``https``.
        target: The file to write; an existing file is replaced when the new one is complete.
        sha256: Its SHA-256, in hexadecimal.
        md5_prefix: The first digits of its MD5, which files of NATS-Bench have in their names. They
            reveal damage, but not malice.
        progress: Called with the number of bytes so far and of all bytes (0 if unknown).

    Returns:
        ``target``.

    Raises:
        MissingSourceError: There is no such file at the URL, or the server cannot be reached.
        TableFileError: The file has another checksum; the download is deleted.
        DataFolderError: The target cannot be written, or another process is downloading it.
    """
    _check_url(url)
    target = Path(target)
    wanted = (
        _hexadecimal("SHA-256", sha256, 64, 64),
        _hexadecimal("MD5 prefix", md5_prefix, 1, 32),
    )
    with _disk(target):
        if target.is_dir():
            raise DataFolderError(f"{target} is a folder. Name the file to write.")
        if any(wanted) and target.is_file() and not _wrong(target, *wanted):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
    download = _Download(url, target, any(wanted), progress or _silent)
    with _locked(download):
        try:
            _download(download)
            with _disk(target):
                if wrong := _wrong(download.part, *wanted):
                    download.start_anew()
                    raise TableFileError(
                        f"{url} is not the expected file: {wrong}. The download is deleted. Compare "
                        f"checksum and URL with those that the authors publish."
                    )
                os.replace(download.part, target)
        finally:
            with _disk(target):
                if not download.size():
                    download.part.unlink(missing_ok=True)
                    download.notes.unlink(missing_ok=True)
    return target


# One download


class _Download:
    """A download under way: the part file, and notes of the version of the file."""

    def __init__(self, url: str, target: Path, checked: bool, progress: Progress) -> None:
        self.url, self.target, self.checked, self.progress = url, target, checked, progress
        self.part = target.with_name(f"{target.name}.part")
        self.notes = target.with_name(f"{target.name}.part.json")

    def size(self) -> int:
        """The number of bytes in the part file."""
        return self.part.stat().st_size if self.part.exists() else 0

    def version(self) -> tuple[str, int | None]:
        """The version and the length of the file behind the part; ``("", None)`` if unknown."""
        try:
            notes = json.loads(self.notes.read_text())
            validator, total = notes["validator"], notes["total"]
            if notes["url"] == self.url and isinstance(validator, str) and validator.isprintable():
                return validator, total if type(total) is int else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass  # without notes of ours the download starts anew
        return "", None

    def start_anew(self, validator: str = "", total: int | None = None) -> None:
        """Empties the part file, and notes version and length of its future content."""
        with _disk(self.target):
            self.part.write_bytes(b"")
            notes = {"url": self.url, "validator": validator, "total": total}
            self.notes.write_text(json.dumps(notes) + "\n")


def _download(download: _Download) -> None:
    best, failures = download.size(), 0
    while True:
        try:
            return _attempt(download)
        except _BrokenError as error:
            size = download.size()
            # Progress resets the count, so a long download over a bad line succeeds.
            failures = 1 if size > best else failures + 1
            best = max(best, size)
            if failures >= ATTEMPTS:
                raise MissingSourceError(
                    f"{download.url} could not be downloaded: {error}, after {failures} attempts. "
                    f"{size:,} bytes are kept; try again later to go on, or name another mirror."
                ) from error
            time.sleep(PAUSE_S * 2 ** (failures - 1))


def _attempt(download: _Download) -> None:
    """Asks for the missing bytes, and writes them.

    Raises:
        _BrokenError: The connection broke, or the server asks to try later.
    """
    size = download.size()
    validator, known_total = download.version()
    headers = {"User-Agent": "nasbench-lab", "Accept-Encoding": "identity"}
    resuming = bool(size and validator)
    if resuming:
        headers |= {"Range": f"bytes={size}-", "If-Range": validator}
    request = Request(download.url, headers=headers)
    try:
        with _connection(download.url):
            response: HTTPResponse = _opener().open(request, timeout=TIMEOUT_S)
        with response:
            _receive(download, response, size if resuming else 0)
    except HTTPError as error:
        with error:
            status, total = error.code, _range(error.headers.get("Content-Range"))[1]
        if status == 416 and resuming:
            # The part may be complete, if the process ended just before the file got its name.
            if total == size and known_total in (size, None):
                return
            download.start_anew()
            raise _BrokenError("the bytes so far are not a part of the file") from error
        reason = " ".join(str(error.reason).split())
        if status in _PASSING:
            raise _BrokenError(f"the server answered {status} {reason}") from error
        raise MissingSourceError(
            f"{download.url} cannot be downloaded: the server answered {status} {reason}. Check "
            f"the URL in a browser; a page that asks for a login or a click is no direct link."
        ) from error


def _receive(download: _Download, response: HTTPResponse, begin: int) -> None:
    """Writes an answer to the part file; ``begin`` is the first byte that was asked for."""
    headers = response.headers
    start, total = 0, _whole(headers.get("Content-Length"))
    if response.status == 206:
        start, total = _range(headers.get("Content-Range"))
        validator, known_total = download.version()
        # Some servers ignore If-Range and go on.
        changed = _validator(headers) not in (validator, "") or known_total not in (total, None)
        if not begin or start != begin or changed:
            download.start_anew()
            raise _BrokenError("the server sent another part than the one asked for")
    elif response.status == 200:
        # It is a first request, the server cannot go on, or the file has changed.
        download.start_anew(_validator(headers), total)
    else:
        raise MissingSourceError(
            f"{download.url} cannot be downloaded: the server answered {response.status} without "
            f"a file."
        )
    # http.client itself finds the end of a chunked answer.
    if total is None and not download.checked and not response.chunked:
        raise MissingSourceError(
            f"{download.url} is not downloaded: the server does not say how long the file is, so a "
            f"part could not be told from the whole. Give its checksum."
        )
    done = start
    with _disk(download.target):
        file = open(download.part, "r+b")  # noqa: SIM115
    with file:
        file.seek(start)
        while total is None or done < total:
            with _connection(download.url):
                # read1 does not wait for a full chunk, so a broken line loses little.
                chunk = response.read1(_CHUNK if total is None else min(_CHUNK, total - done))
            if not chunk:
                break
            with _disk(download.target):
                file.write(chunk)
                file.flush()
            done += len(chunk)
            download.progress(done, total or 0)
    if total is not None and done < total:
        raise _BrokenError(f"the connection ended after {done:,} of {total:,} bytes")


def _validator(headers: HTTPMessage) -> str:
    """The tag or date that identifies this version of the file; empty if there is none."""
    tag = headers.get("ETag", "").strip()
    # Versions with equal weak tags may differ in their bytes (RFC 9110, 13.1.5).
    return tag if tag.startswith('"') else headers.get("Last-Modified", "").strip()


def _range(text: str | None) -> tuple[int, int | None]:
    """Start and total of a Content-Range such as ``bytes 5-9/10``; -1 and None if they are absent."""
    match = re.fullmatch(r"bytes\s+(?:(\d{1,18})-\d+|\*)/(\d{1,18}|\*)", (text or "").strip(), re.A)
    return (int(match[1] or -1), _whole(match[2])) if match else (-1, None)


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text.strip()) else None


# Connections


class _Redirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        try:
            _check_url(newurl)
        except NasbenchLabError as error:
            fp.close()
            raise MissingSourceError(f"{req.full_url} leads elsewhere: {error}") from error
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> OpenerDirector:
    """An opener for HTTP only; that of ``build_opener`` would also open files and FTP."""
    opener = OpenerDirector()
    network = ProxyHandler(), HTTPHandler(), HTTPSHandler(), UnknownHandler()
    for handler in (*network, HTTPDefaultErrorHandler(), HTTPErrorProcessor(), _Redirects()):
        opener.add_handler(handler)
    return opener


@contextmanager
def _connection(url: str) -> Iterator[None]:
    """Tells a broken connection from other errors."""
    try:
        yield
    except (HTTPError, NasbenchLabError):
        raise
    except (URLError, HTTPException, OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise MissingSourceError(
                f"{url} is not downloaded: its certificate is not trusted ({reason})."
            ) from error
        text = " ".join(str(reason).split()) or type(reason).__name__
        raise _BrokenError(f"the connection failed ({text})") from error


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or not url.isascii():
        raise MissingSourceError(
            f"Expected a URL such as https://example.org/file (http or https, other characters "
            f"than ASCII percent-encoded) but got {url!r}."
        )
    if parts.username is not None:
        raise MissingSourceError("Expected a URL without a user name or password in it.")
    if re.search(r"[\x00-\x20\x7f]", url):
        raise MissingSourceError(f"Expected a URL with spaces percent-encoded but got {url!r}.")


# Files


@contextmanager
def _disk(target: Path) -> Iterator[None]:
    try:
        yield
    except NasbenchLabError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataFolderError(
            f"Cannot write {target}: {reason}. Free space or permissions may be missing there."
        ) from error


@contextmanager
def _locked(download: _Download) -> Iterator[None]:
    """Keeps other processes from the same download, if the system has locks."""
    if sys.platform == "win32":
        yield
        return
    busy = DataFolderError(f"Another process is downloading {download.target}.")
    with _disk(download.target):
        file = open(download.notes, "ab")  # noqa: SIM115
    with file:
        with _disk(download.target):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise busy from None
            except OSError:  # a file system without locks
                pass
            # The other process may have finished and deleted this file between the two lines.
            if not download.notes.exists() or not os.path.samestat(
                os.fstat(file.fileno()), download.notes.stat()
            ):
                raise busy
        yield


def _hexadecimal(what: str, text: str | None, least: int, most: int) -> str | None:
    if text is None:
        return None
    text = text.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{least},{most}}}", text):
        number = f"{least}" if least == most else f"{least} to {most}"
        raise TableFileError(f"Expected {number} hexadecimal digits as {what} but got {text!r}.")
    return text


def _wrong(file: Path, sha256: str | None, md5_prefix: str | None) -> str:
    """The difference of a file from its checksums; empty if there is none."""
    if sha256 is not None and (got := _sha256(file)) != sha256:
        return f"expected SHA-256 {sha256} but got {got}"
    if md5_prefix is not None:
        with open(file, "rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
        got = digest.hexdigest()
        if not got.startswith(md5_prefix):
            return f"expected an MD5 that starts with {md5_prefix} but got {got}"
    return ""


def _silent(done: int, total: int) -> None:
    """Shows nothing."""

"""Downloads from a server on this machine that breaks, changes and lies."""

import errno
import fcntl
import hashlib
import json
import os
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nasbench_lab.errors import DataFolderError, MissingSourceError, TableFileError
from nasbench_lab.tables import fetching as module
from nasbench_lab.tables.fetching import ATTEMPTS, fetch

DATA = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(len(DATA))
SHA256 = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers as the server's ``plan`` says, which a test sets."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append(dict(self.headers))
        plan = server.plan
        step = plan["steps"].pop(0) if plan["steps"] else {}
        plan = {**plan, **step}
        if "status" in plan:
            self.send_response(plan["status"])
            for name, value in plan.get("headers", {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data, tag = plan["data"], plan["tag"]
        start, asked = 0, self.headers.get("Range")
        if asked and plan["ranges"] and (self.headers["If-Range"] == tag or plan["careless"]):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.end_headers()
                return
            self.send_response(206)
            shifted = start + plan["shift"]
            self.send_header("Content-Range", f"bytes {shifted}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if tag:
            self.send_header("Last-Modified" if tag.endswith("GMT") else "ETag", tag)
        body = data[start:]
        if plan["chunked"]:
            self.send_header("Transfer-Encoding", "chunked")
        elif plan["length"]:
            self.send_header("Content-Length", str(len(body) + plan["extra"]))
        self.end_headers()
        sent = body[: plan["drop"]]
        if plan["chunked"]:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(sent), sent))
            if len(sent) == len(body):
                self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(sent)


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # the client went away


@pytest.fixture
def server(monkeypatch):
    """A server; set ``plan`` for all answers, or ``plan["steps"]`` for the next ones."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    monkeypatch.setattr(module, "TIMEOUT_S", 20.0)
    server = Server(("127.0.0.1", 0), Handler)
    server.plan = {
        "data": DATA,
        "tag": '"one"',
        "ranges": True,
        "careless": False,
        "length": True,
        "chunked": False,
        "extra": 0,
        "shift": 0,
        "drop": None,
        "steps": [],
    }
    server.requests = []
    server.url = f"http://127.0.0.1:{server.server_address[1]}/file"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new" / "file.pickle"


def names(target):
    return sorted(p.name for p in target.parent.iterdir())


def ranges(server):
    return [request.get("Range") for request in server.requests]


PART, NOTES = "file.pickle.part", "file.pickle.part.json"


# What goes well


@pytest.mark.parametrize("checksum", [{}, {"sha256": SHA256}, {"md5_prefix": MD5[:5].upper()}])
def test_a_file_is_downloaded(server, target, checksum):
    told = []
    result = fetch(server.url, target, progress=lambda *n: told.append(n), **checksum)
    assert result == target
    assert target.read_bytes() == DATA
    assert names(target) == ["file.pickle"]
    assert told[-1] == (len(DATA), len(DATA))
    assert told == sorted(told)
    plain = target.with_name("plain")
    plain.touch()
    assert target.stat().st_mode == plain.stat().st_mode


def test_nothing_is_printed(server, target, capfd):
    fetch(server.url, target)
    assert capfd.readouterr() == ("", "")


def test_an_empty_file_is_downloaded(server, target):
    server.plan["data"] = b""
    fetch(server.url, target)
    assert target.read_bytes() == b""
    assert names(target) == ["file.pickle"]


def test_a_file_with_the_right_checksum_is_not_downloaded_again(server, target):
    target.parent.mkdir()
    target.write_bytes(DATA)
    fetch(server.url, target, sha256=SHA256)
    fetch(server.url, target, md5_prefix=MD5)
    fetch(server.url, target, sha256=SHA256.upper(), md5_prefix=MD5[:6])
    assert server.requests == []


@pytest.mark.parametrize("checksum", [None, SHA256])
def test_any_other_file_is_replaced(server, target, checksum):
    target.parent.mkdir()
    target.write_bytes(OTHER)
    fetch(server.url, target, sha256=checksum)
    assert target.read_bytes() == DATA


def test_a_redirect_is_followed(server, target):
    server.plan["steps"] = [{"status": 302, "headers": {"Location": "/else where"}}]
    fetch(server.url, target)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("extra", [{"length": False}, {"chunked": True}])
def test_a_length_that_is_not_told_needs_a_checksum_or_an_end(server, target, extra):
    server.plan |= extra
    told = []
    if "chunked" not in extra:
        with pytest.raises(MissingSourceError, match=r"how long the file is.*Give its checksum"):
            fetch(server.url, target)
        assert names(target) == []
    fetch(server.url, target, sha256=SHA256, progress=lambda *n: told.append(n))
    assert target.read_bytes() == DATA
    assert told[-1] == (len(DATA), 0)


# Connections that break


@pytest.mark.parametrize("tag", ['"one"', "Wed, 01 Jan 2025 00:00:00 GMT"])
def test_a_broken_download_goes_on(server, target, tag):
    server.plan |= {"drop": 100_000, "tag": tag}
    fetch(server.url, target, sha256=SHA256)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-", "bytes=200000-"]
    assert [request.get("If-Range") for request in server.requests] == [None, tag, tag]
    assert names(target) == ["file.pickle"]


def test_each_attempt_that_adds_something_counts_as_none(server, target):
    server.plan["drop"] = 1 + len(DATA) // (3 * ATTEMPTS)
    fetch(server.url, target)
    assert target.read_bytes() == DATA
    assert len(server.requests) == 3 * ATTEMPTS


@pytest.mark.parametrize("plan", [{"ranges": False}, {"tag": ""}, {"tag": 'W/"weak"'}])
def test_what_cannot_go_on_starts_anew(server, target, plan):
    server.plan |= {**plan, "steps": [{"drop": 100_000}, {"drop": 50_000}]}
    fetch(server.url, target)
    assert target.read_bytes() == DATA
    assert len(server.requests) == 3


def test_a_chunked_answer_that_breaks_is_noticed(server, target):
    server.plan |= {"chunked": True, "steps": [{"drop": 100_000}, {"drop": 0}]}
    fetch(server.url, target)
    assert target.read_bytes() == DATA


def test_a_later_call_goes_on(server, target):
    server.plan |= {"steps": [{"drop": 100_000}] + [{"status": 503}] * ATTEMPTS}
    with pytest.raises(MissingSourceError, match=r"503 .*100,000 bytes are kept; try again later"):
        fetch(server.url, target)
    assert names(target) == [PART, NOTES]
    del server.requests[:]
    told = []
    server.plan["steps"] = []
    fetch(server.url, target, progress=lambda *n: told.append(n))
    assert target.read_bytes() == DATA
    assert ranges(server) == ["bytes=100000-"]
    assert told[0][0] > 100_000
    assert names(target) == ["file.pickle"]


def broken_off(server, target, at=100_000):
    """Leaves a part file of so many bytes."""
    server.plan["steps"] = [{"drop": at}, {"status": 404}]
    with pytest.raises(MissingSourceError, match="404"):
        fetch(server.url, target)
    assert names(target) == [PART, NOTES]
    server.plan["steps"] = []
    del server.requests[:]


@pytest.mark.parametrize("careless", [False, True])
def test_a_file_that_has_changed_starts_anew(server, target, careless):
    broken_off(server, target)
    server.plan |= {"data": OTHER, "tag": '"two"', "careless": careless}
    fetch(server.url, target)
    assert target.read_bytes() == OTHER
    assert ranges(server) == (["bytes=100000-", None] if careless else ["bytes=100000-"])


def test_a_length_that_has_changed_starts_anew(server, target):
    broken_off(server, target)
    server.plan |= {"data": OTHER[:-5]}
    fetch(server.url, target)
    assert target.read_bytes() == OTHER[:-5]


def test_a_file_that_has_become_shorter_starts_anew(server, target):
    broken_off(server, target)
    server.plan |= {"data": OTHER[:5_000]}
    fetch(server.url, target)
    assert target.read_bytes() == OTHER[:5_000]
    assert ranges(server) == ["bytes=100000-", None]


def test_another_part_than_asked_for_is_not_taken(server, target):
    broken_off(server, target)
    server.plan |= {"shift": 1}
    fetch(server.url, target)
    assert target.read_bytes() == DATA
    assert ranges(server) == ["bytes=100000-", None]


def test_a_part_of_another_url_is_not_continued(server, target):
    broken_off(server, target)
    fetch(f"{server.url}?mirror=2", target)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None]


@pytest.mark.parametrize(
    "notes",
    ["", "[", "[]", "{}", "null", '{"url": 1}', "[" * 100_000, '{"validator": "a\\nb"}', b"\xff"],
)
def test_notes_that_make_no_sense_start_anew(server, target, notes):
    broken_off(server, target)
    path = target.with_name(NOTES)
    if isinstance(notes, str) and "validator" in notes:
        notes = json.dumps({**json.loads(path.read_text()), **json.loads(notes)})
    path.write_bytes(notes if isinstance(notes, bytes) else notes.encode())
    fetch(server.url, target)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None]


def test_what_is_complete_already_is_not_downloaded_again(server, target):
    broken_off(server, target)
    target.with_name(PART).write_bytes(DATA)  # as if it had ended just before the renaming
    fetch(server.url, target, sha256=SHA256)
    assert target.read_bytes() == DATA
    assert ranges(server) == [f"bytes={len(DATA)}-"]
    assert names(target) == ["file.pickle"]


def test_a_length_that_is_too_long_never_makes_a_file(server, target):
    server.plan |= {"extra": 10, "ranges": False}
    with pytest.raises(MissingSourceError, match=r"ended after 300,000 of 300,010 bytes, after 5"):
        fetch(server.url, target, sha256=SHA256)
    assert names(target) == [PART, NOTES]


def test_no_more_is_taken_than_the_length_says(server, target):
    server.plan |= {"extra": -10}
    with pytest.raises(TableFileError, match="expected SHA-256"):
        fetch(server.url, target, sha256=SHA256)
    assert names(target) == []


def test_a_server_that_is_away_is_tried_a_few_times(server, target, monkeypatch):
    pauses = []
    monkeypatch.setattr(module, "PAUSE_S", 2.0)
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    server.shutdown()
    server.server_close()
    with pytest.raises(MissingSourceError, match=rf"127\.0\.0\.1.* refused.*after {ATTEMPTS} att"):
        fetch(server.url, target)
    assert pauses == [2.0, 4.0, 8.0, 16.0]
    assert names(target) == []


# What goes wrong for good


@pytest.mark.parametrize("checksum", [{"sha256": SHA256}, {"md5_prefix": MD5[:6]}])
def test_another_checksum_deletes_the_part_and_keeps_the_old_file(server, target, checksum):
    server.plan["data"] = OTHER
    target.parent.mkdir()
    target.write_bytes(b"old")
    expected, got = next(iter(checksum.values())), "sha256" if "sha256" in checksum else "md5"
    got = hashlib.new(got, OTHER).hexdigest()
    with pytest.raises(TableFileError, match=f"{server.url} .*expected .*{expected} but got {got}"):
        fetch(server.url, target, **checksum)
    assert target.read_bytes() == b"old"
    assert names(target) == ["file.pickle"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 305])
def test_an_http_error_is_told_at_once(server, target, status):
    server.plan["status"] = status
    with pytest.raises(MissingSourceError, match=rf"{server.url} .*answered {status}"):
        fetch(server.url, target)
    assert len(server.requests) == 1
    assert names(target) == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_error_that_may_pass_is_waited_for(server, target, status):
    server.plan["steps"] = [{"status": status}] * 2
    fetch(server.url, target)
    assert target.read_bytes() == DATA
    server.plan["status"] = status
    with pytest.raises(MissingSourceError, match=f"answered {status}"):
        fetch(server.url, target)


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://a:b@127.0.0.1/", "data:,x"],
)
def test_a_redirect_leads_to_http_only(server, target, location):
    server.plan |= {"status": 302, "headers": {"Location": location}}
    with pytest.raises(MissingSourceError, match=r"not allowed|leads elsewhere"):
        fetch(server.url, target)
    assert names(target) == []


def test_a_redirect_without_end_ends(server, target):
    server.plan |= {"status": 302, "headers": {"Location": "/file"}}
    with pytest.raises(MissingSourceError, match="infinite loop"):
        fetch(server.url, target)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/x",
        "data:,x",
        "/etc/passwd",
        "example.org/file",
        "",
        "http://",
        "https:///path",
        "http://[::1",
        "http://host:port/",
        "http://host:99999/",
        "http://user:secret@host/",
        "http://host/a file",
        "http://host/a\r\nX: y",
        "http://host/ä",
        "HTTPS:host",
    ],
)
def test_other_urls_are_refused_before_anything_is_written(target, url):
    with pytest.raises(MissingSourceError, match="Expected a URL") as caught:
        fetch(url, target)
    assert "secret" not in str(caught.value)
    assert not target.parent.exists()


@pytest.mark.parametrize(
    ("checksum", "message"),
    [
        ({"sha256": SHA256[:-1]}, "Expected 64 hexadecimal digits as SHA-256"),
        ({"sha256": "g" * 64}, "Expected 64 hexadecimal digits as SHA-256"),
        ({"sha256": ""}, "Expected 64 hexadecimal digits"),
        ({"md5_prefix": ""}, "Expected 1 to 32 hexadecimal digits as MD5 prefix"),
        ({"md5_prefix": "3ffb9x"}, "Expected 1 to 32 hexadecimal digits as MD5 prefix"),
    ],
)
def test_a_checksum_that_is_none_is_refused(target, checksum, message):
    with pytest.raises(TableFileError, match=message):
        fetch("http://127.0.0.1:9/", target, **checksum)


def test_a_folder_that_cannot_be_made_or_replaced_is_said(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFolderError, match=r"Cannot write .*file/below/it"):
        fetch(server.url, tmp_path / "file" / "below" / "it")
    with pytest.raises(DataFolderError, match="is a folder"):
        fetch(server.url, tmp_path)
    assert server.requests == []


def test_a_full_disk_is_said_and_the_part_kept(server, target, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            if self.file.tell() + len(data) > 200_000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(data)

    def opened(path, mode="r"):
        return Full(open(path, mode)) if mode == "r+b" else open(path, mode)

    monkeypatch.setattr(module, "open", opened, raising=False)
    with pytest.raises(DataFolderError, match=r"file\.pickle: No space left on device"):
        fetch(server.url, target)
    assert names(target) == [PART, NOTES]
    monkeypatch.undo()
    fetch(server.url, target)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("error", [OSError("no terminal"), ValueError("odd"), KeyboardInterrupt()])
def test_an_error_of_the_progress_display_is_its_own(server, target, error):
    def fails(done, total):
        raise error

    with pytest.raises(type(error)) as caught:
        fetch(server.url, target, progress=fails)
    assert caught.value is error
    assert len(server.requests) == 1
    fetch(server.url, target)
    assert target.read_bytes() == DATA


def test_two_at_once_do_not_mix(server, target):
    target.parent.mkdir()
    notes = target.with_name(NOTES)
    with open(notes, "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DataFolderError, match=r"Another process is downloading .*file\.pickle"):
            fetch(server.url, target)
    assert server.requests == []
    fetch(server.url, target)
    assert target.read_bytes() == DATA


def test_a_download_that_has_just_ended_is_left_alone(server, target, monkeypatch):
    # The other process deletes the file between our opening it and locking it.
    flock = fcntl.flock

    def late(file, how):
        target.with_name(NOTES).unlink()
        flock(file, how)

    monkeypatch.setattr(module.fcntl, "flock", late)
    with pytest.raises(DataFolderError, match="Another process"):
        fetch(server.url, target)

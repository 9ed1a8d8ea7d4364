"""The server of a live view: whom it answers, and what."""

import http.client
import json
import socket

import pytest
from typer.testing import CliRunner
from watched import serving

from nasbench_lab.cli import watch as command
from nasbench_lab.cli.app import app
from nasbench_lab.errors import DataFolderError, ExperimentError
from nasbench_lab.watch import Server, server


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("watched") / "r") as made:
        yield made


def ask(made, path, method="GET", **headers):
    """The status and the content of an answer; a header that is None is not sent."""
    connection = http.client.HTTPConnection(*made.server_address[:2], timeout=600)
    connection.putrequest(method, path, skip_host=True)
    for name, value in {"Host": "localhost", **headers}.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                connection.putheader(name, one)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), dict(answer.getheaders())
    connection.close()
    return found


def test_it_answers_the_page_and_what_its_script_asks_for(served):
    status, page, headers = ask(served, f"/{served.token}/")
    assert status == 200
    assert page.startswith("<!doctype html>")
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    status, text, _ = ask(served, f"/{served.token}/state")
    assert (status, json.loads(text)["state"]) == (200, "waiting")
    status, text, _ = ask(served, f"/{served.token}/plots")
    assert (status, json.loads(text)["html"]) == (200, "")


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/state", "/{}", "/{}/states", "/{}/../state", "/{}/state?", "/x/{}/state", "/{}x/"),
        *("/x{}/", "/{}/manifest.json", "/{}/%2e%2e/%2e%2e/etc/passwd", "http://localhost/{}/"),
        "/%C3%A9/",
    ],
)
def test_no_other_path_is_served(served, path):
    status, text, _ = ask(served, path.format(served.token))
    assert status == 404
    assert served.token not in text


def test_the_token_is_another_each_time(served, tmp_path):
    with Server(tmp_path, port=0) as other:
        assert other.token != served.token
        assert len(other.token) >= 32
    assert ask(served, f"/{other.token}/")[0] == 404


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_nothing_but_get_is_answered(served, method):
    status, text, headers = ask(served, f"/{served.token}/", method)
    assert status == 405
    assert headers["Allow"] == "GET"
    assert "html" not in text


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8765", "localhost.evil.example", "10.0.0.1", "", None),
        *("127.0.0.1.evil.example", "[::2]", "localhost@evil.example", ["localhost", "evil"]),
    ],
)
def test_a_page_from_elsewhere_cannot_ask_by_a_name_of_its_own(served, host):
    status, text, _ = ask(served, f"/{served.token}/state", Host=host)
    assert status == 400
    assert "waiting" not in text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1:1", "[::1]:8765"])
def test_a_tunnel_has_a_port_of_its_own(served, host):
    assert ask(served, f"/{served.token}/state", Host=host)[0] == 200


def test_it_listens_to_this_machine_only_if_nothing_else_is_said(served):
    assert served.server_address[0] == "127.0.0.1"
    assert served.url == f"http://127.0.0.1:{served.server_address[1]}/{served.token}/"


def test_other_addresses_are_known_by_number_or_by_the_name_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(server.socket, "gethostname", lambda: "lab")
    monkeypatch.setattr(server.socket, "getfqdn", lambda: "lab.example")
    with Server(tmp_path, "0.0.0.0", 0) as made:
        for name in ("lab", "lab.example", "10.1.2.3", "localhost"):
            assert made.knows(name), name
        assert not made.knows("evil.example")
        assert made.url.startswith("http://lab:")


def test_a_port_in_use_is_left_to_its_program(tmp_path, monkeypatch):
    with Server(tmp_path, port=0) as first:
        taken = first.server_address[1]
        with pytest.raises(DataFolderError, match=f"port {taken}: .*Another program .*--port"):
            Server(tmp_path, port=taken)
        # Whatever the ports after it are: one of them is found, or all are taken.
        monkeypatch.setattr(server, "PORT", taken)
        monkeypatch.setattr(server, "_TRIED", 1)
        with pytest.raises(DataFolderError, match="Another program"):
            Server(tmp_path)
        monkeypatch.setattr(server, "_TRIED", 200)
        with Server(tmp_path) as second:
            assert second.server_address[1] > taken


def test_a_host_that_is_none_is_named(tmp_path, monkeypatch):
    def unknown(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for host in ("a..b", "\0", "x" * 300):
        with pytest.raises(ExperimentError, match="Expected an address or name of this machine"):
            Server(tmp_path, host, 0)
    monkeypatch.setattr(server.socket, "getaddrinfo", unknown)
    with pytest.raises(ExperimentError, match=r"but got 'elsewhere' \(Name or service not known"):
        Server(tmp_path, "elsewhere", 0)


def test_the_command_ends_with_ctrl_c(tmp_path, monkeypatch):
    def interrupted(server):
        urls.append(server.url)
        raise KeyboardInterrupt

    urls = []
    monkeypatch.setattr(Server, "serve_forever", interrupted)
    ended = CliRunner().invoke(app, ["watch", str(tmp_path / "r"), "--port", "0"])
    assert ended.exit_code == 0, ended.output
    assert urls[0] in ended.output.replace("\n", "")
    assert ended.output.endswith("Ended.\n")
    assert command.WATCH_EXAMPLES
    assert not (tmp_path / "r").exists()

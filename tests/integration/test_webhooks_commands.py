"""``soundpost webhooks listen``, ``test`` and ``status``, as a developer uses them."""

from __future__ import annotations

import http.client
import json
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from soundpost.core.app_settings import AppSettings
from soundpost.core.webhooks import MORE_EVENTS, PUSHER_EVENTS
from soundpost.server.admin_http.connection import MAX_BODY
from soundpost.server.webhooks.figures import EndpointFigures
from soundpost.tools.cli.webhooks_status import endpoint_lines
from soundpost.wire.webhook_request import webhook_body, webhook_headers
from support.cli_process import Process, Shell, shell
from support.command_line import CommandLine, command_line
from support.configuration import APP_TABLE
from support.harness import until
from support.misbehaving_server import MisbehavingServer, answer, answering, misbehaving
from support.operated import CALM, operated
from support.redis_process import free_port

__all__ = ["command_line"]

APP = AppSettings(id="1", key="key-1", secret="secret-1")
OTHER_APP = '[[apps]]\nid = "2"\nkey = "key-2"\nsecret = "secret-2"\n'


class Listener:
    """A running ``soundpost webhooks listen``."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.port = int(process.wait_for(r"listening on http://127\.0\.0\.1:(\d+)/", err=True)[1])
        self.url = f"http://127.0.0.1:{self.port}/"
        process.wait_for("    url = ", err=True)
        self.advice = process.err[1:]

    def send(self, body: bytes, headers: dict[str, str], method: str = "POST") -> tuple[int, str]:
        """Send a request; status and text of the answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, "/", body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def tell(self, *events: Mapping[str, object], key: str = "key-1", secret: str = "secret-1") -> tuple[int, str]:
        """Send signed events."""
        body = webhook_body([json.dumps(event).encode() for event in events], 0)
        return self.send(body, webhook_headers(key, secret, body, "1.0", {}))


@pytest.fixture(scope="module", name="sh")
def _shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with shell(tmp_path_factory.mktemp("webhooks")) as made:
        configure(made.directory)
        yield made


def configure(folder: Path, *urls: str, more: str = "") -> None:
    """Write a configuration of two apps, the first with these endpoints."""
    tables = "".join(f'[[apps.webhooks]]\nurl = "{url}"\n{more}' for url in urls)
    file = folder / "soundpost.toml"
    file.write_text(f"{APP_TABLE}{tables}{OTHER_APP}")
    file.chmod(0o600)


@pytest.fixture(scope="module")
def listener(sh: Shell) -> Listener:
    return Listener(sh.start("webhooks", "listen", "--port", "0"))


@pytest.fixture
def endpoint() -> Iterator[MisbehavingServer]:
    with misbehaving(answering(answer(200, b"fine\nreally"))) as server:
        yield server


# listen


def test_it_says_what_to_write_into_the_configuration(listener: Listener) -> None:
    assert listener.advice == [
        "to get webhooks, write into soundpost.toml below the lines of the app, and call 'soundpost reload':",
        "    [[apps.webhooks]]",
        f'    url = "{listener.url}"',
    ]


def test_events_are_printed_in_one_line_each(listener: Listener) -> None:
    event = {"name": "member_added", "channel": "presence-room.7", "user_id": "4", "time_ms": 5, "id": "x-1"}
    assert listener.tell(event, {"name": "user_online", "user_id": "a\x1b[31m"}) == (200, "ok")
    assert listener.process.wait_for("member_added").string[12:].split() == [
        "1",
        "member_added",
        "presence-room.7",
        "user_id=4",
    ]
    assert listener.process.wait_for("user_online").string.endswith(r"user_id=a\u001b[31m")
    listener.tell(event)
    assert listener.process.wait_for("member_added").string.endswith("(sent again)")
    listener.tell({"name": "cache_miss", "channel": "cache-a"}, key="key-2", secret="secret-2")
    assert listener.process.wait_for("cache_miss").string[12:].split()[0] == "2"


@pytest.mark.parametrize(
    ("key", "secret", "reason"),
    [
        ("key-1", "secret-2", "wrong signature for the key of app 1: the sender has another secret than the one here"),
        ("key-3", "secret-1", "signed for the key 'key-3': the apps here have key-1, key-2"),
    ],
)
def test_what_is_signed_otherwise_is_refused_with_the_reason(
    listener: Listener, key: str, secret: str, reason: str
) -> None:
    status, text = listener.tell({"name": "cache_miss"}, key=key, secret=secret)
    assert (status, text.startswith(reason)) == (401, True)
    said = listener.process.wait_for(r"refused \(401\)", err=True).string
    assert reason in said
    assert secret not in said


def test_requests_that_are_no_webhooks_are_refused(listener: Listener) -> None:
    assert listener.send(b"{}", {})[0] == 401
    assert listener.process.wait_for("refused", err=True).string.startswith(
        "refused (401): without X-Pusher-Key and X-Pusher-Signature"
    )
    assert listener.send(b"", {}, "GET")[0] == 405
    assert listener.send(b"[]", webhook_headers("key-1", "secret-1", b"[]", "1.0", {}))[0] == 400
    with socket.create_connection(("127.0.0.1", listener.port)) as sock:
        sock.sendall(b"\x16\x03\x01 TLS\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")
    assert listener.tell({"name": "cache_miss"}) == (200, "ok"), "it goes on"


def test_a_body_may_wait_for_its_turn_and_has_a_limit(listener: Listener) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n"
    with socket.create_connection(("127.0.0.1", listener.port), 20) as sock:
        sock.sendall(head % (2, b"Expect: 100-continue\r\n"))
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"{}")
        assert sock.recv(1000).startswith(b"HTTP/1.1 401 ")
    with socket.create_connection(("127.0.0.1", listener.port), 20) as sock:
        sock.sendall(head % (MAX_BODY + 1_000, b"") + bytes(MAX_BODY + 1))
        assert sock.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_json_for_programs_and_an_end_after_so_many_events(sh: Shell) -> None:
    credentials = ("--app-id", "9", "--key", "key-9", "--secret", "secret-9")
    listener = Listener(sh.start("webhooks", "listen", "--port", "0", "--json", "--count", "2", *credentials))
    event = {"name": "client_event", "channel": "private-a", "data": "{}", "id": "1"}
    listener.tell(event, event, key="key-9", secret="secret-9")
    first, second = (json.loads(listener.process.wait_for("{").string) for _ in range(2))
    assert first["event"] == event
    assert (first["app_id"], first["repeated"], second["repeated"]) == ("9", False, True)
    assert listener.process.exit_code() == 0


def test_a_port_that_is_configured_and_one_that_is_taken(sh: Shell) -> None:
    port = free_port()
    file = sh.directory / "told.toml"
    file.write_text(f'{APP_TABLE}[[apps.webhooks]]\nurl = "http://localhost:{port}/hook"\n')
    process = sh.start("webhooks", "listen", "--port", str(port), "--config", "told.toml")
    process.wait_for("app 1 sends its webhooks here", err=True)
    done = sh.run("webhooks", "listen", "--port", str(port))
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in done.stderr
    assert process.stop(signal.SIGTERM) == 0


def test_examples_of_all_events_reach_it(sh: Shell, listener: Listener, command_line: CommandLine) -> None:
    events = ", ".join(f'"{name}"' for name in PUSHER_EVENTS + MORE_EVENTS)
    configure(command_line.directory, listener.url, more=f"events = [{events}]\n")
    result = command_line.run("webhooks", "test", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["event"] for line in lines] == list(PUSHER_EVENTS + MORE_EVENTS)
    assert {(line["status"], line["answer"], line["fault"]) for line in lines} == {(200, "ok", None)}
    assert listener.process.wait_for("member_removed").string[12:].split()[2] == "presence-example"


# test


def test_what_came_back_from_each_endpoint(command_line: CommandLine, endpoint: MisbehavingServer) -> None:
    configure(command_line.directory, f"http://127.0.0.1:{endpoint.port}/hook", more='events = ["cache_miss"]\n')
    result = command_line.run("webhooks", "test")
    assert result.exit_code == 0
    heading, line = result.stdout.splitlines()
    assert heading == f"app 1: http://127.0.0.1:{endpoint.port}/hook"
    assert line.split()[:4] == ["+", "cache_miss", "200", "OK"]
    assert line.endswith("fine really")
    (request,) = endpoint.requests
    assert request.startswith(b"POST /hook HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/json\r\nX-Pusher-Key: key-1\r\n" in request


def test_an_endpoint_at_any_address_with_the_secret_of_the_app(
    command_line: CommandLine, endpoint: MisbehavingServer
) -> None:
    configure(command_line.directory)
    url = f"http://127.0.0.1:{endpoint.port}/"
    result = command_line.run("webhooks", "test", "--url", url, "--app-id", "2", "--event", "user_online")
    assert result.exit_code == 0, result.output
    assert b"\r\nX-Pusher-Key: key-2\r\n" in endpoint.requests[0]
    body = json.loads(endpoint.requests[0].partition(b"\r\n\r\n")[2])
    assert [(event["name"], event["user_id"]) for event in body["events"]] == [("user_online", "example-user")]
    assert set(body["events"][0]) == {"name", "user_id", "time_ms", "id"}


def test_a_configured_endpoint_at_a_named_address_has_its_headers(
    command_line: CommandLine, endpoint: MisbehavingServer
) -> None:
    url = f"http://127.0.0.1:{endpoint.port}/"
    configure(command_line.directory, url, more='events = ["user_offline"]\nheaders = { X-Own = "me" }\n')
    assert command_line.run("webhooks", "test", "--url", url).exit_code == 0
    (request,) = endpoint.requests
    assert b"\r\nX-Own: me\r\n" in request
    assert b"user_offline" in request


def test_channels_are_those_of_the_endpoint(command_line: CommandLine, endpoint: MisbehavingServer) -> None:
    more = 'channels = ["presence-room.*"]\nevents = ["channel_occupied", "member_added", "cache_miss"]\n'
    configure(command_line.directory, f"http://127.0.0.1:{endpoint.port}/", more=more)
    result = command_line.run("webhooks", "test")
    told = [json.loads(request.partition(b"\r\n\r\n")[2])["events"][0] for request in endpoint.requests]
    assert [event["channel"] for event in told] == ["presence-room.example"] * 2
    assert "cache_miss: not sent: no channel of presence-room.* can have it" in result.stderr
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("options", "sent", "code"),
    [
        (("--channel", "room"), 0, 1),
        (("--event", "member_added", "--channel", "room"), 0, 1),
        (("--event", "member_added", "--event", "user_online", "--channel", "room"), 2, 1),
        (("--event", "member_added"), 1, 0),
    ],
)
def test_what_could_not_be_sent_is_no_success(
    command_line: CommandLine, endpoint: MisbehavingServer, options: tuple[str, ...], sent: int, code: int
) -> None:
    url = f"http://127.0.0.1:{endpoint.port}"
    more = f'events = ["member_added"]\n[[apps.webhooks]]\nurl = "{url}/2"\nchannels = ["private-*"]\n'
    more += 'events = ["client_event"]\n'
    configure(command_line.directory, f"{url}/1", more=more)
    result = command_line.run("webhooks", "test", *options)
    assert "not sent: no channel of" in result.stderr
    assert (len(endpoint.requests), result.exit_code) == (sent, code)


def test_examples_are_of_a_named_user_and_channel(command_line: CommandLine) -> None:
    names = 'events = ["member_added", "client_event", "user_online", "cache_miss"]\n'
    with misbehaving(answering(answer(500, b"no such room"), answer(204, b""))) as server:
        configure(command_line.directory, f"http://127.0.0.1:{server.port}/hook", more=names)
        named = ("--user-id", "7", "--channel", "presence-room.5")
        result = command_line.run("webhooks", "test", *named)
    told = [json.loads(request.partition(b"\r\n\r\n")[2])["events"][0] for request in server.requests]
    assert [(event.get("channel"), event["user_id"]) for event in told] == [
        ("presence-room.5", "7"),
        ("presence-room.5", "7"),
        (None, "7"),
    ]
    assert "cache_miss: not sent: no channel of presence-room.5 can have it" in result.stderr
    assert "--user-id and --channel name yours" in result.stdout


def test_a_fault_of_the_endpoint_ends_it_and_is_explained(command_line: CommandLine) -> None:
    with misbehaving(answering(answer(302, b"", "Location: /login"))) as server:
        configure(command_line.directory, f"http://127.0.0.1:{server.port}/hook")
        result = command_line.run("webhooks", "test")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert len(lines) == 5
    assert lines[1].split()[:4] == ["x", "channel_occupied", "302", "Found"]
    assert lines[2].endswith(
        f"redirects (302) to http://127.0.0.1:{server.port}/login: the server follows no redirects"
    )
    assert lines[3].strip().startswith("[webhook-redirected] https://")
    assert lines[4].strip().startswith("> Let the endpoint be called without a login")


def test_a_fault_of_one_handler_does_not_keep_the_others_from_their_events(command_line: CommandLine) -> None:
    with misbehaving(answering(answer(500, b"no such table"), answer(204, b""))) as server:
        configure(command_line.directory, f"http://127.0.0.1:{server.port}/hook")
        result = command_line.run("webhooks", "test", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [line["fault"] for line in lines] == ["webhook-failed"] + [None] * 6
    assert "answered 500: no such table" in lines[0]["message"]


def test_no_answer_is_explained_without_secrets(command_line: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/hook?token=hush"
        configure(command_line.directory, url)
        result = command_line.run("webhooks", "test")
    assert result.exit_code == 1
    assert "no answer" in result.stdout
    assert "[webhook-refused]" in result.stdout
    assert "hush" not in result.output


def test_what_an_endpoint_says_does_nothing_to_a_terminal(command_line: CommandLine) -> None:
    hostile = "\x1b]0;owned\x07\x9b31m\u202eevil\u2028".encode()
    for status in (200, 302, 401, 500):
        with misbehaving(answering(answer(status, hostile, "Location: /\x1b[2J"))) as server:
            configure(command_line.directory, f"http://127.0.0.1:{server.port}/hook")
            said = command_line.run("webhooks", "test").stdout
        assert all(line.isprintable() for line in said.split("\n")), said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 1, "no app here has webhooks: write [[apps.webhooks]] with a url"),
        (("--app-id", "7"), 1, "no configured app 7 has webhooks"),
        (("--event", "member_add"), 2, "did you mean 'member_added'"),
        (("--url", "127.0.0.1:8000"), 2, "an address such as 'https://example.com/webhooks' is expected"),
        (("--key", "k", "--secret", "s"), 2, "--key and --secret are for an endpoint at --url"),
    ],
)
def test_wrong_use_is_explained(command_line: CommandLine, arguments: tuple[str, ...], code: int, said: str) -> None:
    configure(command_line.directory)
    result = command_line.run("webhooks", "test", *arguments)
    assert result.exit_code == code
    assert said in " ".join(result.stderr.replace("│", " ").split())


# status


def test_figures_of_a_running_server(endpoint: MisbehavingServer) -> None:
    with operated() as server:
        configuration = f"[server]\nport = {server.port}\n{CALM}{APP_TABLE}"
        server.write(configuration)
        server.start()
        nothing = server.run("webhooks", "status")
        assert (nothing.returncode, nothing.stdout.count("\n")) == (0, 1)
        assert nothing.stdout.startswith("This server sends no webhooks: add [[apps.webhooks]] to an app")
        url = f"http://127.0.0.1:{endpoint.port}/hook"
        table = f'[[apps.webhooks]]\nurl = "{url}"\nevents = ["channel_occupied"]\n'
        server.write(configuration + table)
        assert server.run("reload").returncode == 0
        server.connect(APP).subscribe("room")
        until(lambda: bool(endpoint.requests), "the endpoint is told")
        until(lambda: "1 sent" in server.run("webhooks", "status").stdout, "the answer counts")
        done = server.run("webhooks", "status")
        assert "webhooks: 1 endpoint, events: 0 waiting, 1 sent, 0 failed, 0 dropped\n" in server.run("status").stdout
    assert done.returncode == 0
    assert done.stdout == f"app 1: {url}: 0 waiting, 1 sent, 0 failed, 0 dropped\n  last answer: 200\n"


@pytest.mark.parametrize(
    ("figures", "last"),
    [
        ({}, "nothing was sent yet"),
        ({"last_status": 204}, "last answer: 204"),
        ({"last_status": 500, "last_error": "answered 500"}, "last attempt failed: answered 500."),
        (
            {"last_error": "cannot be reached", "retry_at": 0.0},
            "last attempt failed: cannot be reached; the next one is",
        ),
        ({"last_status": 410, "stopped": True}, "stopped: the endpoint answered 410."),
    ],
)
def test_figures_of_an_endpoint_in_words(figures: dict[str, object], last: str) -> None:
    counts = {"waiting": 2, "sent": 1_000, "failed": 3, "dropped": 4}
    url = "https://example.com/hook?token=hush"
    first, second = endpoint_lines(EndpointFigures(app_id="1", url=url, **counts, **figures))  # type: ignore[arg-type]
    assert first == "app 1: https://example.com/hook?token=***: 2 waiting, 1,000 sent, 3 failed, 4 dropped"
    assert second.strip().startswith(last)


def test_a_host_of_a_cluster_that_has_sent_nothing() -> None:
    idle = EndpointFigures(app_id="1", url="http://a/", waiting=0, sent=0, failed=0, dropped=0)
    _, line = endpoint_lines(idle, is_cluster=True)
    assert line.strip() == "nothing was sent by this host: another one of the cluster may send"

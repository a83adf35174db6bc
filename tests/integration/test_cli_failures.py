"""What trigger and listen say when it does not work: one line, exit code 1."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from support.cli_process import Shell, shell
from support.configuration import APP_TABLE
from support.self_signed import self_signed_in_one_file


@pytest.fixture(name="sh")
def _shell(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        file = made.directory / "soundpost.toml"
        file.write_text(APP_TABLE)
        file.chmod(0o600)
        yield made


def failure(sh: Shell, *arguments: str) -> str:
    done = sh.run(*arguments)
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("soundpost: ")
    return done.stderr[len("soundpost: ") : -1]


@contextmanager
def web_server(status: int, headers: dict[str, str], body: bytes) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "OtherServer/1.0"
        sys_version = ""

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken, so that nobody else gets it, but not listened on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


COMMANDS = pytest.mark.parametrize("command", [("trigger", "orders", "shipped"), ("listen", "orders")])


@COMMANDS
def test_nobody_listens(sh: Shell, closed_port: int, command: tuple[str, ...]) -> None:
    message = failure(sh, *command, "--port", str(closed_port))
    assert message == (
        f"nothing listens at http://127.0.0.1:{closed_port} (connection refused): is the server running?"
    )


@COMMANDS
def test_https_to_a_plain_server(sh: Shell, command: tuple[str, ...]) -> None:
    _, port = sh.server()
    message = failure(sh, *command, "--port", str(port), "--scheme", "https")
    assert message == f"https://127.0.0.1:{port} does not answer in TLS: does it speak http instead of https?"


@COMMANDS
def test_plain_http_to_a_tls_server(sh: Shell, command: tuple[str, ...]) -> None:
    sh.environ["SOUNDPOST_SERVER_TLS_CERTIFICATE"] = str(self_signed_in_one_file(sh.directory))
    _, port = sh.server()
    message = failure(sh, *command, "--port", str(port), "--scheme", "http")
    assert message == f"http://127.0.0.1:{port} answered 400: Plain HTTP on a TLS port: use https:// (wss://) here"


@COMMANDS
def test_a_certificate_nobody_vouches_for(sh: Shell, command: tuple[str, ...]) -> None:
    sh.environ["SOUNDPOST_SERVER_TLS_CERTIFICATE"] = str(self_signed_in_one_file(sh.directory))
    _, port = sh.server()
    message = failure(sh, *command, "--url", f"https://localhost:{port}")
    assert message.startswith(f"the certificate of https://localhost:{port} is not trusted: self")


def test_any_certificate_when_told_so(sh: Shell) -> None:
    sh.environ["SOUNDPOST_SERVER_TLS_CERTIFICATE"] = str(self_signed_in_one_file(sh.directory))
    _, port = sh.server()
    options = ("--port", str(port), "--insecure")
    listener = sh.listener("private-a", "--count", "1", *options)
    assert sh.run("trigger", "private-a", "shipped", *options).returncode == 0
    assert listener.exit_code() == 0


def test_a_wrong_secret(sh: Shell) -> None:
    _, port = sh.server()
    message = failure(sh, "trigger", "orders", "shipped", "--port", str(port), "--secret", "wrong")
    assert message.startswith(f"http://127.0.0.1:{port} answered 401: Invalid signature")
    assert message.endswith("check that key and secret are this app's, and that the clock is right")


def test_an_unknown_app(sh: Shell) -> None:
    _, port = sh.server()
    options = ("--port", str(port), "--app-id", "7", "--key", "k", "--secret", "s")
    message = failure(sh, "trigger", "orders", "shipped", "--host", "127.0.0.1", *options)
    assert "answered 404: No matching application for ID [7]" in message


def test_an_unknown_key_is_refused_with_its_code(sh: Shell) -> None:
    _, port = sh.server()
    message = failure(sh, "listen", "orders", "--host", "127.0.0.1", "--port", str(port), "--key", "nobodys")
    assert "4001" in message


def test_a_wrong_secret_refuses_a_private_channel(sh: Shell) -> None:
    _, port = sh.server()
    message = failure(sh, "listen", "private-a", "--port", str(port), "--secret", "wrong")
    assert message.startswith("private-a was refused: ")


@COMMANDS
def test_a_web_page_where_the_api_should_be(sh: Shell, command: tuple[str, ...]) -> None:
    with web_server(404, {"Content-Type": "text/html"}, b"<html><title>Nothing here</title></html>") as port:
        message = failure(sh, *command, "--port", str(port))
    assert f"http://127.0.0.1:{port} answered 404 with a web page titled 'Nothing here' from OtherServer/1.0" in message


def test_a_redirect(sh: Shell) -> None:
    with web_server(301, {"Location": "https://ws.example.com/"}, b"") as port:
        message = failure(sh, "trigger", "orders", "shipped", "--port", str(port))
    assert message == f"http://127.0.0.1:{port} redirects to https://ws.example.com/: use that address"


def test_plain_text_on_an_encrypted_channel_is_wrong_usage(sh: Shell) -> None:
    done = sh.run("trigger", "private-encrypted-a", "shipped", "{}")
    assert done.returncode == 2
    assert "encrypted by the application" in done.stderr

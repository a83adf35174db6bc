"""A server that is started, asked and told to do things as its operator does: by commands and signals."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from soundpost.core.app_settings import AppSettings
from support.cli_process import Process, Shell, shell
from support.harness import DEFAULT_APP, HttpResponse, RawSocket, http_request, signed_request, until
from support.redis_process import free_port

CALM: Final = 'host = "127.0.0.1"\nshutdown_timeout = 1\ndrain_time = 0\n'
PATIENT: Final = CALM.replace("shutdown_timeout = 1", "shutdown_timeout = 20")
"""For clients that are on a busy machine: a connection may have been accepted long before it asks."""
"""What servers of tests have in ``[server]`` unless they say otherwise."""


class Operated:
    """A folder with a configuration, the server started there once :meth:`start` was called, commands in it."""

    def __init__(self, sh: Shell, port: int) -> None:
        self.shell = sh
        self.port = port
        self.process: Process

    @property
    def pid(self) -> int:
        """Of the server, or of the parent of its workers."""
        return self.process.popen.pid

    def configure(self, server: str = CALM, apps: Sequence[AppSettings] = (DEFAULT_APP,), rest: str = "") -> None:
        """Write ``soundpost.toml``: lines of ``[server]`` beside the port, apps, other tables."""
        port = "" if "port =" in server or "unix_socket" in server else f"port = {self.port}\n"
        tables = "".join(f"[[apps]]\n{_toml(msgspec.to_builtins(app))}\n" for app in apps)
        self.write(f"[server]\n{port}{server}\n{rest}\n{tables}")

    def write(self, configuration: str) -> None:
        """Write ``soundpost.toml`` as it is."""
        file = self.shell.directory / "soundpost.toml"
        file.write_text(configuration)
        file.chmod(0o600)

    def start(self, *arguments: str, program: tuple[str, ...] = ("-m", "soundpost")) -> None:
        """Start the server, and wait until it listens."""
        self.process = self.shell.start_python(*program, "start", *arguments)
        self.process.wait_for_start()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self.shell.run(*arguments)

    def said(self, pattern: str) -> str:
        """Wait for a line of its log."""
        return self.process.wait_for(pattern, err=True).string

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.popen.send_signal(number)

    def status(self) -> dict[str, Any]:
        """What ``soundpost status --json`` says."""
        found: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return found

    def workers(self) -> list[int]:
        """The process ids of its workers, in their order."""
        return [worker["pid"] for worker in self.status()["workers"]]

    def connect(self, app: AppSettings = DEFAULT_APP, seconds: float = 20) -> RawSocket:
        """A client that has got its hello, on a server that goes on: one that stops says so in place of an answer."""
        found: list[RawSocket] = []

        def connected() -> bool:
            try:
                found.append(RawSocket.open(self.port, app.key))
            except (OSError, EOFError, AssertionError):
                time.sleep(0.05)
            return bool(found)

        until(connected, "a client is greeted", seconds)
        return found[0]

    def refusal(self, app: AppSettings) -> int:
        """The code with which a client of an app is sent away when it comes."""
        with RawSocket(self.port) as client:
            assert client.handshake(f"/app/{app.key}?protocol=7").startswith(b"HTTP/1.1 101 ")
            event = client.read_event()
            assert event["event"] == "pusher:error", event
            return int(event["data"]["code"])

    def publish(self, channel: str, name: str, data: str = "{}", app: AppSettings = DEFAULT_APP) -> HttpResponse:
        """Publish an event by the API."""
        return http_request(self.port, publication(channel, name, data, app))

    def get(self, path: str, app: AppSettings = DEFAULT_APP, **query: str) -> HttpResponse:
        """A signed GET below ``/apps/{id}``."""
        return http_request(self.port, signed_request("GET", path, app=app, query=query))


def publication(channel: str, name: str, data: str = "{}", app: AppSettings = DEFAULT_APP) -> bytes:
    """A request to publish an event."""
    body = msgspec.json.encode({"name": name, "channels": [channel], "data": data})
    return signed_request("POST", "/events", body, app=app)


@contextmanager
def operated() -> Iterator[Operated]:
    """In a folder of its own, whose name is short, as those of Unix sockets must be."""
    with tempfile.TemporaryDirectory(prefix="sp-") as folder, ExitStack() as stack:
        yield Operated(stack.enter_context(shell(Path(folder))), free_port())


def _toml(table: dict[str, Any]) -> str:
    lines = []
    for name, value in table.items():
        if isinstance(value, dict):
            lines += [f"{name}.{inner} = {json.dumps(each)}" for inner, each in value.items()]
        elif value is not None:
            lines.append(f"{name} = {_inline(value)}")
    return "\n".join(lines)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(name)} = {_inline(each)}' for name, each in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    return json.dumps(value)

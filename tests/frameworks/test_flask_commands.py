"""``flask soundpost start | channels | events | trigger``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.cli_process import Process
from support.harness import running_server

APP = """
from flask import Flask
from soundpost import Event, PrivateChannel, channels
from soundpost.flask import Soundpost

sp = Soundpost()


class OrderShipped(Event, on=PrivateChannel("orders.{order_id}")):
    order_id: int
    carrier: str | None = None


@channels.private("orders.{order_id:int}")
def order(user, order_id: int) -> bool:
    return True


@channels.presence("lobby", guests=True)
def lobby(user, ctx) -> dict:
    return {"id": ctx.socket_id}


def create_app(port: int = 8080):
    app = Flask(__name__)
    app.config.update(SOUNDPOST_APP_ID="1", SOUNDPOST_KEY="app-key", SOUNDPOST_SECRET="app-secret", SOUNDPOST_PORT=port)
    sp.init_app(app)
    return app
"""


class FlaskCommand:
    """The command ``flask`` in a directory with the application ``shop.py``."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SOUNDPOST_", "REVERB_"))}
        self._environ = {**kept, "XDG_RUNTIME_DIR": str(directory)}
        (directory / "shop.py").write_text(APP)

    def run(self, *arguments: str, app: str = "shop") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(arguments, app),
            cwd=self._directory,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *arguments: str, app: str = "shop") -> Process:
        popen = subprocess.Popen(
            self._command(arguments, app),
            cwd=self._directory,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._stack.enter_context(popen)
        self._stack.callback(popen.kill)
        return Process(popen)

    @staticmethod
    def _command(arguments: tuple[str, ...], app: str) -> list[str]:
        return [sys.executable, "-m", "flask", "--app", app, "soundpost", *arguments]


@pytest.fixture
def flask(tmp_path: Path) -> Iterator[FlaskCommand]:
    with ExitStack() as stack:
        yield FlaskCommand(tmp_path, stack)


def test_channels_lists_the_routes(flask: FlaskCommand) -> None:
    done = flask.run("channels")
    assert done.stdout.splitlines() == [
        "PATTERN                KIND      GUARDS  CALLBACK",
        "orders.{order_id:int}  private           shop.order",
        "lobby                  presence  guests  shop.lobby",
    ]


def test_events_lists_the_events(flask: FlaskCommand) -> None:
    assert flask.run("events").stdout.splitlines() == [
        "OrderShipped  shop.OrderShipped",
        "    on    private-orders.{order_id}",
        "    with  order_id: int, carrier: str | None",
    ]


def test_start_serves_the_application_s_app_and_trigger_publishes_to_it(flask: FlaskCommand) -> None:
    server = flask.start("start", "--host", "127.0.0.1", "--port", "0")
    port = int(server.wait_for_start(r"listening on https?://127\.0\.0\.1:(\d+)")[1])
    done = flask.run("trigger", "orders", "Placed", '{"id": 7}', app=f"shop:create_app({port})")
    assert done.stdout == f"Published Placed to orders at http://127.0.0.1:{port}: 0 subscribers\n", done.stderr
    assert "Nobody is subscribed to orders" in done.stderr
    kept = flask.run("history", "orders", app=f"shop:create_app({port})")
    assert "orders keeps no history" in kept.stderr
    done = flask.run("trigger", "orders", "Placed", "{id: 7}", app=f"shop:create_app({port})")
    assert done.stdout.startswith("Published Placed to orders")
    assert done.stderr.startswith("DATA is not JSON, so it was sent as a text: ")


def test_trigger_says_in_one_line_what_went_wrong(flask: FlaskCommand) -> None:
    with running_server() as server:
        port = server.port
        done = flask.run("trigger", "or ders", "Placed", app=f"shop:create_app({port})")
        assert done.returncode == 1
        assert "has a character other than" in done.stderr
    done = flask.run("trigger", "orders", "Placed", app=f"shop:create_app({port})")
    assert done.returncode == 1
    assert "is the server running?" in done.stderr
    assert "Traceback" not in done.stderr


def test_start_has_the_server_s_options(flask: FlaskCommand) -> None:
    assert "--workers" in flask.run("start", "--help").stdout

"""The programs in docs/python-client.md run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from soundpost.core.app_settings import HistorySettings
from support.cli_process import Process
from support.harness import DEFAULT_APP, RunningServer, running_server, until
from support.publishers import PythonSigner
from support.redis_process import free_port
from support.web_app import running_web_app

PAGE = Path(__file__).parents[2] / "docs/python-client.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
APP = msgspec.structs.replace(
    DEFAULT_APP, key="your-app-key", secret="your-app-secret", history=(HistorySettings(channels=("orders",)),)
)
SIGNER = PythonSigner(APP.id, APP.key, APP.secret)


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[RunningServer]:
    with running_server(apps=[APP]) as server:
        yield server


@pytest.mark.parametrize(
    ("number", "channel"),
    [
        (0, "orders"),
        (1, "orders"),
        (2, "orders"),
        (3, "orders"),
        (4, "orders"),
        (5, "private-orders.1"),
        (6, "#server-to-user-your-token"),
    ],
    ids=["asyncio", "blocking", "gap", "position", "subscription-events", "secret", "application"],
)
def test_the_programs_print_what_is_published(server: RunningServer, tmp_path: Path, number: int, channel: str) -> None:
    with running_program(server, number, tmp_path) as process:
        until(lambda: is_occupied(server, channel) or process.popen.poll() is not None, "the subscription")
        server.publish(channel, "OrderPlaced", '{"id": 7}')
        process.wait_for(r"^OrderPlaced \{'id': 7\}$")


@pytest.mark.parametrize("number", [2, 3], ids=["gap", "position"])
def test_the_programs_print_gaps(tmp_path: Path, number: int) -> None:
    with running_server(apps=[APP], port=free_port()) as first, running_program(first, number, tmp_path) as process:
        until(lambda: is_occupied(first, "orders") or process.popen.poll() is not None, "the subscription")
        first.publish("orders", "OrderPlaced", '{"id": 1}')
        process.wait_for(r"^OrderPlaced \{'id': 1\}$")
        os.kill(first.pid, signal.SIGKILL)
        first.wait_for_the_end()
        with running_server(apps=[APP], port=first.port):
            process.wait_for(r"^fetch the orders again, events are missing: generation$")


def test_a_program_that_stores_its_position_goes_on_there(server: RunningServer, tmp_path: Path) -> None:
    with running_program(server, 3, tmp_path) as process:
        until(lambda: is_occupied(server, "orders") or process.popen.poll() is not None, "the subscription")
        server.publish("orders", "OrderPlaced", '{"id": 1}')
        process.wait_for(r"^OrderPlaced \{'id': 1\}$")
        stored = tmp_path / "orders.position"
        until(lambda: stored.exists() and stored.read_text() != "", "the position is stored")
    server.publish("orders", "OrderPlaced", '{"id": 2}')
    with running_program(server, 3, tmp_path) as process:
        process.wait_for(r"^OrderPlaced ")
        assert process.out == ["OrderPlaced {'id': 2}"]


def test_every_program_is_run() -> None:
    assert len(PROGRAMS) == 7


def is_occupied(server: RunningServer, channel: str) -> bool:
    answer = server.request("GET", "/channels")
    return channel in json.loads(answer.body)["channels"]


@contextmanager
def running_program(server: RunningServer, number: int, directory: Path) -> Iterator[Process]:
    """Run a program of the page in a directory, until the block ends."""
    with ExitStack() as stack:
        web_app = stack.enter_context(running_web_app(SIGNER, SIGNER))
        code = PROGRAMS[number].replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
        code = code.replace("https://example.com", web_app.url)
        popen = subprocess.Popen(
            [sys.executable, "-u", "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
        )
        stack.enter_context(popen)
        stack.callback(popen.kill)
        yield Process(popen)

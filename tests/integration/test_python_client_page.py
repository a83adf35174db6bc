"""The programs in docs/python-client.md run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from support.cli_process import Process
from support.harness import DEFAULT_APP, RunningServer, running_server, until
from support.publishers import PythonSigner
from support.web_app import running_web_app

PAGE = Path(__file__).parents[2] / "docs/python-client.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
APP = msgspec.structs.replace(DEFAULT_APP, key="your-app-key", secret="your-app-secret")


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[RunningServer]:
    with running_server(apps=[APP]) as server:
        yield server


@pytest.mark.parametrize(
    ("number", "channel"),
    [(0, "orders"), (1, "orders"), (2, "orders"), (3, "private-orders.1"), (4, "#server-to-user-your-token")],
    ids=["asyncio", "blocking", "subscription-events", "secret", "application"],
)
def test_the_programs_print_what_is_published(server: RunningServer, number: int, channel: str) -> None:
    def is_occupied() -> bool:
        answer = server.request("GET", "/channels")
        return channel in json.loads(answer.body)["channels"]

    with ExitStack() as stack:
        signer = PythonSigner(APP.id, APP.key, APP.secret)
        web_app = stack.enter_context(running_web_app(signer, signer))
        code = PROGRAMS[number].replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
        code = code.replace("https://example.com", web_app.url)
        popen = subprocess.Popen(
            [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        stack.enter_context(popen)
        stack.callback(popen.kill)
        until(lambda: is_occupied() or popen.poll() is not None, "the subscription")
        server.publish(channel, "OrderPlaced", '{"id": 7}')
        process = Process(popen)
        process.wait_for(r"^OrderPlaced \{'id': 7\}$")


def test_every_program_is_run() -> None:
    assert len(PROGRAMS) == 5

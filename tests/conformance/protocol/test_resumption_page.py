"""The page about the wire of resumption: its example session, played against the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, get_args

import msgspec
import pytest
from websockets.sync.client import ClientConnection, connect

from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.settings import settings_from
from soundpost.core.app_settings import HistorySettings
from soundpost.core.history import GapReason
from support.harness import DEFAULT_APP, RunningServer, running_server
from support.publishers import PythonSdk

PAGE: Final = Path(__file__).parents[3] / "docs/resumption-protocol.md"
APP: Final = msgspec.structs.replace(
    DEFAULT_APP, history=(HistorySettings(channels=("orders",), events=5, age=600, rewind=2),)
)
NAMES: Final = re.compile(r"g7Qx\.\d+|\d{4}\.\d{4}")
"""Positions and socket ids on the page, which are others in a real session."""
PUBLISH: Final = re.compile(r"the application publishes (\w+) (\{.*?\})(?: with socket_id (\S+))?")


def session() -> list[str]:
    """Return the lines of the page's example session."""
    section = PAGE.read_text().partition("## An example session\n")[2].partition("\n## ")[0]
    return [line for block in re.findall(r"```\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]


class Session:
    """A client and the application, that do what the lines say; ``real`` has what each name of the page stands for."""

    def __init__(self, server: RunningServer, stack: ExitStack) -> None:
        self._url = f"ws://127.0.0.1:{server.port}/app/{APP.key}?protocol=7"
        self._stack = stack
        self._sdk = PythonSdk(server.port, APP.id, APP.key, APP.secret)
        credentials = {"app_id": APP.id, "key": APP.key, "secret": APP.secret, "port": server.port}
        self._broadcaster = Broadcaster(settings_from(credentials))
        stack.callback(self._broadcaster.close)
        self._client: ClientConnection | None = None
        self.real: dict[str, str] = {}

    def play(self, line: str) -> None:
        kind, text = line[0], line[2:]
        if kind == "←":
            self._hear(text)
        elif kind == "→":
            self._connected().send(self._as_real(text))
        elif text == "the connection is cut":
            self._connected().socket.close()
            self._client = None
        elif text == "another client connects":
            self._client = None
        elif text == "the application deletes the history":
            self._broadcaster.delete_history("orders")
        else:
            event, data, sender = PUBLISH.fullmatch(text).groups()  # type: ignore[union-attr]
            self._sdk.trigger("orders", event, data, except_socket=sender and self.real[sender])

    def _connected(self) -> ClientConnection:
        if self._client is None:
            self._client = self._stack.enter_context(connect(self._url))
        return self._client

    def _hear(self, text: str) -> None:
        """Check that the server's next message is the page's, to the byte but for positions and socket ids."""
        message = str(self._connected().recv(timeout=20))
        parts = NAMES.split(text)
        found = re.fullmatch(r"([0-9A-Za-z]+\.\d+)".join(map(re.escape, parts)), message)
        assert found is not None, f"{message} is not {text}"
        for name, real in zip(NAMES.findall(text), found.groups(), strict=True):
            assert self.real.setdefault(name, real) == real

    def _as_real(self, text: str) -> str:
        return NAMES.sub(lambda name: self.real[name[0]], text)


@pytest.fixture
def playing() -> Iterator[Session]:
    with running_server(apps=[APP]) as server, ExitStack() as stack:
        yield Session(server, stack)


def test_the_session_of_the_page_is_what_the_server_says(playing: Session) -> None:
    lines = session()
    assert len(lines) > 30
    for line in lines:
        playing.play(line)
    positions = [name for name in playing.real if name.startswith("g7Qx.")]
    in_order = sorted(positions, key=lambda name: int(name.partition(".")[2]))
    offsets = [int(playing.real[name].partition(".")[2]) for name in in_order]
    assert offsets == sorted(set(offsets))
    assert len({playing.real[name].partition(".")[0] for name in positions}) == 1


def test_the_page_has_every_reason_of_a_gap() -> None:
    section = PAGE.read_text().partition("## Reasons of a gap\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(get_args(GapReason))

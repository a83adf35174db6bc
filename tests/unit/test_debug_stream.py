"""``--debug``: readable lines, no signatures."""

from __future__ import annotations

import io

import pytest

from conformance.protocol.stage import Stage
from soundpost.server.processes.debug import MessageStream


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def stage(out: io.StringIO) -> Stage:
    return Stage(observers=[MessageStream(out)])


def test_a_line_per_message(stage: Stage, out: io.StringIO) -> None:
    client = stage.connect().join("room")
    stage.publish("room", "greeting", '{"text":"hi"}')
    client.vanish()
    stage.turn()

    lines = out.getvalue().splitlines()
    for line, (what, text) in zip(
        lines,
        [
            ("opened", client.socket_id),
            ("sent", "pusher:connection_established"),
            ("received", "pusher:subscribe"),
            ("sent", "pusher_internal:subscription_succeeded"),
            ("broadcast", '{"text":"hi"}'),
            ("closed", client.socket_id),
        ],
        strict=True,
    ):
        assert what in line
        assert text in line


@pytest.mark.parametrize("form", ['"auth":"{}"', '"auth" : "{}"', '\\"auth\\":\\"{}\\"'])
def test_signatures_are_not_shown(stage: Stage, out: io.StringIO, form: str) -> None:
    stage.connect().raw(
        '{"event":"pusher:subscribe","data":{"channel":"private-a",' + form.format("app-key:SIG") + "}}"
    )

    received = next(line for line in out.getvalue().splitlines() if "received" in line)
    assert "SIG" not in received
    assert "auth" in received


def test_what_clients_send_cannot_play_with_the_terminal(stage: Stage, out: io.StringIO) -> None:
    stage.connect().raw(b'\x1b[2J\r\n\x00{"event":"\xe2\x80\xae"}\xff')

    assert out.getvalue().replace("\n", "").isprintable()
    assert len(out.getvalue().splitlines()) == 4


def test_long_messages_are_cut(stage: Stage, out: io.StringIO) -> None:
    stage.connect().say("pusher:ping", "x" * 5000)

    assert "5" in out.getvalue()
    assert max(len(line) for line in out.getvalue().splitlines()) < 600


def test_an_overflow_is_shown(stage: Stage, out: io.StringIO) -> None:
    client = stage.connect()

    MessageStream(out).output_overflowed(client)

    assert f"overflowed {client.socket_id}" in out.getvalue()

"""The level of the log, which a program around the server may change at any time."""

from __future__ import annotations

import logging

import pytest

from support.ticked_server import ticked_server


def test_the_log_has_handshakes_from_the_next_second_on(caplog: pytest.LogCaptureFixture) -> None:
    with ticked_server() as ticked:
        for level, logged in ((logging.INFO, 0), (logging.DEBUG, 1), (logging.INFO, 1)):
            caplog.set_level(level, "soundpost.server")
            ticked.run(ticked.server._after_tick)
            with ticked.connect():
                assert caplog.text.count("asked for a WebSocket from ") == logged

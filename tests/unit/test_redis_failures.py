"""Failures of Redis in words: no numbers and tuples of Python, and the server's address once."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl

import pytest

from soundpost.backplane.redis import RedisBackplane
from soundpost.backplane.redis.failures import in_words
from soundpost.config.settings import ScalingSettings


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.5', 6379)"),
            "Connection refused",
        ),
        (
            OSError(
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 6379, 0, 0), "
                "[Errno 111] Connect call failed ('127.0.0.1', 6379)"
            ),
            "Connection refused",
        ),
        (
            OSError("Multiple exceptions: [Errno 101] Network is unreachable, [Errno 111] Connect call failed (…)"),
            "Network is unreachable, Connection refused",
        ),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), "No such file or directory"),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "the host name is not known (Name or service not known)",
        ),
        (ConnectionError("the connection was lost"), "the connection was lost"),
        (TimeoutError(), ""),
        (ValueError("odd"), "odd"),
    ],
)
def test_errors_of_the_system_are_put_into_words(error: Exception, words: str) -> None:
    assert in_words(error) == words


def test_the_number_of_an_error_of_tls_is_none_of_the_system() -> None:
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong")
    assert in_words(error) == str(error)


async def test_the_address_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    backplane = RedisBackplane(ScalingSettings(redis="redis://127.0.0.1:1"), ())
    with caplog.at_level(logging.INFO):
        await backplane.start()
        await asyncio.sleep(0)
        await backplane.stop()

    assert caplog.messages[0] == (
        "Redis at 127.0.0.1:1: Connection refused. This host serves alone until it is back; it is tried again and again"
    )

"""Reading of answers in HTTP, without a socket."""

from __future__ import annotations

import pytest

from soundpost.wire.http_exchange import AnswerReader


class Interrupted(AnswerReader):
    """Is interrupted by Ctrl-C while it takes a header."""

    def on_header(self, name: bytes, value: bytes) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_within_the_parser_is_no_fault_of_the_server() -> None:
    with pytest.raises(KeyboardInterrupt):
        Interrupted().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

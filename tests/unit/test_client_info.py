"""Library and origin of a connection, in objects that connections share."""

from __future__ import annotations

import pytest

from soundpost.core.client_info import client_info


@pytest.mark.parametrize(
    ("parameters", "library"),
    [
        ({"client": "js", "version": "8.4.0", "protocol": "7"}, "js 8.4.0"),
        ({"client": "pusher-websocket-swift"}, "pusher-websocket-swift"),
        ({"version": "1.0"}, "1.0"),
        ({}, ""),
    ],
)
def test_the_library_is_what_the_client_named(parameters: dict[str, str], library: str) -> None:
    assert client_info(parameters, None) == (library, "")


def test_connections_of_one_page_share_an_object() -> None:
    first, second = (client_info({"client": "js", "version": "8.4.0"}, "https://example.com") for _ in range(2))

    assert first is second


def test_long_texts_are_cut_off() -> None:
    info = client_info({"client": "x" * 10_000, "version": "y" * 10_000}, "z" * 10_000)

    assert len(info.library) == 129
    assert len(info.origin) == 200

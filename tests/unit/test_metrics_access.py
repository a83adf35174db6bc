"""Who gets the metrics of a host."""

from __future__ import annotations

import pytest

from soundpost.server.admin_http import AdminError, AdminRequest
from soundpost.server.figures.host_figures import HostFigures
from soundpost.server.metrics.exposition import Exposition


async def answer(token: str | None, **headers: str) -> int:
    async def figures() -> HostFigures:
        return HostFigures(name="a", node="n", version="1", started_at=0.0, at=0.0, port=8080)

    request = AdminRequest("GET", "/metrics", headers, b"")
    try:
        return (await Exposition(figures, token).answer(request)).status
    except AdminError as error:
        return error.status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9100", 200),
        ("[::1]:9100", 200),
        ("10.0.0.5", 200),
        ("localhost:9100", 200),
        ("Metrics.localhost", 200),
        ("", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:9100", 403),
        ("evil.example@127.0.0.1", 403),
        ("localhost.", 403),
    ],
)
async def test_without_a_token_no_name_of_another_site_gets_them(host: str, status: int) -> None:
    assert await answer(None, host=host) == status


async def test_a_token_is_enough_under_every_name() -> None:
    assert await answer("secret-token", host="metrics.example", authorization="Bearer secret-token") == 200


async def test_a_request_without_a_host_is_of_no_browser() -> None:
    assert await answer(None) == 200

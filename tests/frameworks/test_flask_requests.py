"""Requests of Flask: their socket id, and the address to which the browser is to connect."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, abort, render_template_string, request, stream_with_context

from frameworks.flask_apps import new_app, new_soundpost
from soundpost import current_socket_id
from soundpost.flask import Soundpost


@pytest.fixture
def app() -> Flask:
    return new_app()


@pytest.fixture
def sp(app: Flask) -> Soundpost:
    sp = new_soundpost(app)

    @app.post("/orders")
    def orders() -> str:
        sp.broadcast.publish("orders", "Placed", {"id": 7}, to_others=True)
        return str(current_socket_id())

    return sp


def test_the_sender_is_left_out(app: Flask, sp: Soundpost) -> None:
    client = app.test_client()
    with sp.broadcast.fake() as sent:
        assert client.post("/orders", headers={"X-Socket-ID": "11.22"}).text == "11.22"
        assert sent.assert_broadcast("Placed", times=1, on="orders").excluded == "11.22"
        assert client.post("/orders").text == "None"
        assert client.post("/orders", headers={"X-Socket-ID": "forged"}).text == "None"
        assert [each.excluded for each in sent.sent] == ["11.22", None, None]
    assert current_socket_id() is None


def test_the_socket_id_ends_with_its_request_whatever_becomes_of_it(app: Flask, sp: Soundpost) -> None:
    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError

    @app.get("/forbidden")
    def forbidden() -> str:
        abort(403)

    app.testing = False
    for path, status in (("/broken", 500), ("/forbidden", 403), ("/nowhere", 404)):
        assert app.test_client().get(path, headers={"X-Socket-ID": "1.2"}).status_code == status
        assert current_socket_id() is None


def test_a_request_within_a_request_has_its_own(app: Flask, sp: Soundpost) -> None:
    @app.get("/outer")
    def outer() -> list[str | None]:
        before = current_socket_id()
        inner = app.test_client().get("/inner", headers={"X-Socket-ID": "3.4"}).text
        return [before, inner, current_socket_id()]

    @app.get("/inner")
    def inner() -> str:
        return str(current_socket_id())

    with app.app_context():
        assert app.test_client().get("/outer", headers={"X-Socket-ID": "1.2"}).json == ["1.2", "3.4", "1.2"]


def test_a_streamed_answer_leaves_nothing_behind(app: Flask, sp: Soundpost) -> None:
    @app.get("/stream")
    def stream() -> Any:
        mine = current_socket_id()

        def parts() -> Iterator[str]:
            yield str(mine)
            yield request.path

        return stream_with_context(parts())

    assert app.test_client().get("/stream", headers={"X-Socket-ID": "1.2"}).text == "1.2/stream"
    assert current_socket_id() is None


def test_an_async_view_knows_it(app: Flask, sp: Soundpost) -> None:
    @app.post("/async")
    async def view() -> str:
        await sp.broadcast.apublish("orders", "Placed", to_others=True)
        return "done"

    with sp.broadcast.fake() as sent:
        assert app.test_client().post("/async", headers={"X-Socket-ID": "1.2"}).text == "done"
        assert sent.assert_broadcast("Placed").excluded == "1.2"


def options(app: Flask, base_url: str = "http://localhost", nonce: str = "") -> dict[str, Any]:
    with app.test_request_context(base_url=base_url):
        page = render_template_string("{{ soundpost(nonce=nonce) }}", nonce=nonce)
    if nonce:
        assert f'<script nonce="{nonce}">' in page
    found = re.search(r'<script id="soundpost-config"[^>]*>(.*?)</script>', page)
    assert found is not None, page
    value: dict[str, Any] = json.loads(found[1])
    return value


def test_the_page_is_told_where_to_connect(app: Flask, sp: Soundpost) -> None:
    found = options(app, "http://192.168.1.5:5000")
    assert (found["key"], found["wsHost"], found["wsPort"], found["forceTLS"]) == (
        "app-key",
        "192.168.1.5",
        8080,
        False,
    )
    assert found["authEndpoint"] == "/broadcasting/auth"
    assert "app-secret" not in str(found)


def test_the_public_address_wins() -> None:
    app = new_app(SOUNDPOST_PUBLIC_HOST="ws.example.com", SOUNDPOST_PUBLIC_PORT=443, SOUNDPOST_HOST="10.0.0.5")
    new_soundpost(app)
    found = options(app, "https://example.com", nonce="r4nd0m")
    assert (found["wsHost"], found["wssPort"], found["forceTLS"]) == ("ws.example.com", 443, True)


def test_an_application_below_a_prefix_has_its_auth_routes_there(app: Flask, sp: Soundpost) -> None:
    found = options(app, "http://localhost/shop")
    assert found["authEndpoint"] == "/shop/broadcasting/auth"
    assert found["userAuthentication"]["endpoint"] == "/shop/broadcasting/user-auth"

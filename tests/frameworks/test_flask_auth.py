"""The auth routes in Flask: answers, denials, users, forms of requests."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import Any

import pytest
from flask import Flask, abort, request
from werkzeug.exceptions import NotFound, Unauthorized

from frameworks.flask_apps import ask, new_app, new_soundpost
from soundpost import Denied
from soundpost.broadcasting.authorization import AuthEndpoint, AuthRequest
from soundpost.flask import Soundpost
from soundpost.wire.signatures import sign

MASTER_KEY = base64.b64encode(bytes(32)).decode()


@pytest.fixture
def app() -> Flask:
    return new_app(SOUNDPOST_ENCRYPTION_MASTER_KEY=MASTER_KEY, SOUNDPOST_DEBUG=True)


@pytest.fixture
def sp(app: Flask) -> Soundpost:
    sp = new_soundpost(app)

    @sp.channels.private("orders.{order_id:int}")
    def order(user: str, order_id: int) -> bool:
        return user == str(order_id)

    @sp.channels.presence("rooms.{room}")
    async def member(user: str, room: str) -> dict[str, str]:
        await asyncio.sleep(0)
        return {"name": f"Ünal {user}", "room": room, "path": request.path}

    return sp


def test_a_private_channel_is_signed(app: Flask, sp: Soundpost) -> None:
    answer = ask(app, "private-orders.7")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.data == b'{"auth":"app-key:%s"}' % sign("app-secret", "1.2:private-orders.7").encode()


def test_a_presence_channel_has_its_member(app: Flask, sp: Soundpost) -> None:
    answer = ask(app, "presence-rooms.x").json
    assert json.loads(answer["channel_data"]) == {
        "user_id": "7",
        "user_info": {"name": "Ünal 7", "room": "x", "path": "/broadcasting/auth"},
    }
    assert answer["auth"] == f"app-key:{sign('app-secret', '1.2:presence-rooms.x:' + answer['channel_data'])}"


def test_an_encrypted_channel_has_its_secret(app: Flask, sp: Soundpost) -> None:
    assert set(ask(app, "private-encrypted-orders.7").json) == {"auth", "shared_secret"}


def test_sign_in(app: Flask, sp: Soundpost) -> None:
    answer = ask(app, "", path="/broadcasting/user-auth").json
    assert json.loads(answer["user_data"]) == {"id": "7"}
    assert answer["auth"] == f"app-key:{sign('app-secret', '1.2::user::' + answer['user_data'])}"


@pytest.mark.parametrize("channel", ["private-orders.7", "private-orders.8", "presence-rooms.x", "private-no", "x", ""])
@pytest.mark.parametrize("user", ["7", None])
def test_answers_are_the_core_s_to_the_byte(app: Flask, sp: Soundpost, channel: str, user: str | None) -> None:
    settings = app.extensions["soundpost"].settings
    endpoint = AuthEndpoint(sp.channels, lambda: settings)
    form = f"socket_id=1.2&channel_name={channel}".encode()
    with app.test_request_context("/broadcasting/auth"):
        expected = endpoint.channel(AuthRequest({}, "", form, "localhost", lambda guard: user))
    answer = ask(app, channel, user)
    assert (answer.status_code, answer.text) == expected


def test_json_and_query_are_taken_as_well(app: Flask, sp: Soundpost) -> None:
    client = app.test_client()
    sent = {"socket_id": "1.2", "channel_name": "private-orders.7"}
    answers = [
        client.post("/broadcasting/auth", json=sent, headers={"X-User": "7"}),
        client.get("/broadcasting/auth", query_string=sent, headers={"X-User": "7"}),
        ask(app, "private-orders.7"),
    ]
    assert len({answer.data for answer in answers}) == 1


def test_a_form_that_the_application_has_read_before_is_taken(app: Flask, sp: Soundpost) -> None:
    @app.before_request
    def read() -> None:
        assert request.form["channel_name"]

    assert ask(app, "private-orders.7").status_code == 200


def test_too_large_a_request_is_refused(app: Flask, sp: Soundpost) -> None:
    answer = app.test_client().post("/broadcasting/auth", data={"socket_id": "1.2", "more": "x" * 1_000_000})
    assert answer.status_code == 413


def test_another_site_is_refused(app: Flask, sp: Soundpost) -> None:
    assert ask(app, "private-orders.7", Origin="http://localhost").status_code == 200
    answer = ask(app, "private-orders.7", Origin="https://evil.example")
    assert answer.status_code == 403
    assert "evil.example" in answer.json["message"]
    assert ask(app, "private-orders.7", Sec_Fetch_Site="cross-site").status_code == 403


def test_aborts_and_denials_are_403_without_a_traceback(
    app: Flask, sp: Soundpost, caplog: pytest.LogCaptureFixture
) -> None:
    @sp.channels.private("denied.{how}")
    def denied(user: str, how: str) -> bool:
        if how == "abort":
            abort(403)
        raise {"missing": NotFound, "who": Unauthorized, "denied": Denied}[how]("not you")

    with caplog.at_level(logging.INFO, "soundpost.auth"):
        for how in ("abort", "missing", "who", "denied"):
            assert ask(app, f"private-denied.{how}").status_code == 403
    assert not any(record.exc_info for record in caplog.records)


def test_a_route_that_fails_is_500_and_in_the_log(app: Flask, sp: Soundpost, caplog: pytest.LogCaptureFixture) -> None:
    @sp.channels.private("broken")
    def broken(user: str) -> bool:
        raise RuntimeError("oh no")

    app.config["SOUNDPOST_DEBUG"] = None
    assert ask(app, "private-broken").status_code == 500
    assert any("oh no" in str(record.exc_info) for record in caplog.records)


def test_the_reason_is_told_in_debug_mode_only() -> None:
    told, silent = new_app(), new_app()
    told.debug = True
    for app in (told, silent):
        new_soundpost(app)
    assert "no private channel route matches 'x'" in ask(told, "private-x").json["message"]
    assert ask(silent, "private-x").json == {"message": ""}


def test_the_user_may_be_loaded_by_a_coroutine(app: Flask, sp: Soundpost) -> None:
    @sp.user_loader
    async def load() -> Any:
        await asyncio.sleep(0)
        return request.headers.get("X-User")

    assert ask(app, "private-orders.7").status_code == 200
    assert ask(app, "private-orders.7", None).status_code == 403


def test_a_guard_finds_another_kind_of_user(app: Flask, sp: Soundpost) -> None:
    @sp.channels.guard("token")
    def by_token(request: Any) -> str | None:
        return "robot" if request.headers.get("Authorization") == "Bearer t" else None

    @sp.channels.private("machines", guards="token")
    def machines(user: str) -> bool:
        return user == "robot"

    assert ask(app, "private-machines", None, Authorization="Bearer t").status_code == 200
    assert ask(app, "private-machines", "7").status_code == 403


def test_the_routes_have_the_prefix_that_is_asked_for() -> None:
    by_config = new_app(SOUNDPOST_URL_PREFIX="/realtime")
    new_soundpost(by_config)
    by_argument = new_app()
    new_soundpost(by_argument, url_prefix="/live")
    assert ask(by_config, "private-x", path="/realtime/auth").status_code == 403
    assert ask(by_argument, "private-x", path="/live/user-auth").status_code == 200
    assert ask(by_config, "private-x").status_code == 404
    at_root = new_app(SOUNDPOST_URL_PREFIX="/realtime")
    new_soundpost(at_root, url_prefix="")
    assert ask(at_root, "private-x", path="/user-auth").status_code == 200

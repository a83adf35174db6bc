"""Webhooks at the doors: each framework takes the same requests, and calls the same handlers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, NamedTuple

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from flask import Flask, request
from flask_wtf.csrf import CSRFProtect
from litestar import Litestar
from quart import Quart
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import soundpost.fastapi
import soundpost.flask
import soundpost.quart
import soundpost.starlette
from frameworks import django_database  # noqa: F401 - sets Django up
from frameworks.django_process import django_state
from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.settings import settings_from
from soundpost.errors import RouteError
from soundpost.litestar import SoundpostPlugin
from soundpost.webhooks import MAX_BODY, Webhooks, default
from soundpost.wire.webhook_request import webhook_signature

SETTINGS: Final = {"app_id": "1", "key": "app-key", "secret": "app-secret"}
PATH: Final = "/broadcasting/webhooks"
MEMBER: Final = {"name": "member_added", "channel": "presence-room.7", "user_id": "5"}


class Answer(NamedTuple):
    """The response to a webhook."""

    status: int
    body: str


class Door:
    """An application that takes webhooks."""

    def __init__(self, webhooks: Webhooks, post: Callable[[bytes, dict[str, str]], Answer]) -> None:
        self.webhooks = webhooks
        self.post = post

    def send(self, *events: dict[str, Any], **change: str) -> Answer:
        """Send events, numbered, with some headers changed."""
        numbered = [{**each, "time_ms": 1_000, "id": f"1-{number}"} for number, each in enumerate(events)]
        body = json.dumps({"time_ms": int(time.time() * 1000), "events": numbered}).encode()
        return self.post(body, {**headers_of(body), **change})


def headers_of(body: bytes) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-Pusher-Key": "app-key",
        "X-Pusher-Signature": webhook_signature("app-secret", body),
    }


def _broadcaster() -> Broadcaster:
    return Broadcaster(settings_from(SETTINGS))


def _asgi(app: Any, webhooks: Webhooks) -> Door:
    def post(body: bytes, headers: dict[str, str]) -> Answer:
        with TestClient(app) as client:
            answer = client.post(PATH, content=body, headers=headers)
        return Answer(answer.status_code, answer.text)

    return Door(webhooks, post)


def starlette() -> Iterator[Door]:
    """Starlette."""
    sp = soundpost.starlette.Soundpost(broadcaster=_broadcaster(), webhooks=Webhooks())
    yield _asgi(Starlette(routes=sp.routes(user=lambda request: None), lifespan=sp.lifespan), sp.webhooks)


def fastapi() -> Iterator[Door]:
    """FastAPI."""
    sp = soundpost.fastapi.Soundpost(broadcaster=_broadcaster(), webhooks=Webhooks())
    app = FastAPI(lifespan=sp.lifespan)
    app.include_router(sp.router(user=lambda: None))
    yield _asgi(app, sp.webhooks)


def litestar() -> Iterator[Door]:
    """Litestar."""
    plugin = SoundpostPlugin(broadcaster=_broadcaster(), webhooks=Webhooks())
    yield _asgi(Litestar([], plugins=[plugin], logging_config=None), plugin.webhooks)


def quart() -> Iterator[Door]:
    """Quart."""
    app = Quart("shop")
    sp = soundpost.quart.Soundpost(app, broadcaster=_broadcaster(), webhooks=Webhooks())
    yield _asgi(app, sp.webhooks)


def flask() -> Iterator[Door]:
    """Flask."""
    app = Flask("shop")
    sp = soundpost.flask.Soundpost(app, broadcaster=_broadcaster(), webhooks=Webhooks())

    def post(body: bytes, headers: dict[str, str]) -> Answer:
        answer = app.test_client().post(PATH, data=body, headers=headers)
        return Answer(answer.status_code, answer.text)

    yield Door(sp.webhooks, post)


def django() -> Iterator[Door]:
    """Django under WSGI, with its check for CSRF."""
    with django_state():
        from django.test import Client

        def post(body: bytes, headers: dict[str, str]) -> Answer:
            client = Client(enforce_csrf_checks=True, headers=headers)
            answer: Any = client.post(PATH, body, content_type="application/json")
            return Answer(answer.status_code, answer.content.decode())

        yield Door(default, post)


DOORS: Final = [starlette, fastapi, litestar, quart, flask, django]


@pytest.fixture(params=DOORS, ids=lambda each: each.__name__)
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    yield from request.param()


@pytest.fixture
def calls() -> list[Any]:
    return []


class TestEveryDoor:
    def test_handlers_are_called_synchronous_ones_away_from_the_loop(self, door: Door, calls: list[Any]) -> None:
        @door.webhooks.on("member_added", "presence-room.{room:int}")
        def joined(room: int, user_id: str) -> None:
            calls.append((room, user_id, _has_loop()))

        @door.webhooks.on("member_added", "presence-room.{room:int}")
        async def joined_too(room: int, user_id: str) -> None:
            calls.append((room, user_id, _has_loop()))

        assert door.send(MEMBER) == Answer(200, "{}")
        assert calls == [(7, "5", False), (7, "5", True)]
        assert door.send(MEMBER) == Answer(200, "{}")
        assert len(calls) == 2

    def test_a_failed_handler_alone_is_called_again(
        self, door: Door, calls: list[Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        @door.webhooks.on("member_added")
        def fails(user_id: str) -> None:
            calls.append(f"fails {user_id}")
            if len(calls) < 3:
                raise ValueError("no database")

        @door.webhooks.on("member_added")
        def works(user_id: str) -> None:
            calls.append(f"works {user_id}")

        status, body = door.send(MEMBER)
        assert status == 500
        assert "fails (member_added)" in json.loads(body)["error"]
        assert "no database" not in body
        assert "ValueError: no database" in caplog.text
        assert door.send(MEMBER).status == 200
        assert calls == ["fails 5", "works 5", "fails 5"]

    def test_others_are_refused(self, door: Door, calls: list[Any]) -> None:
        door.webhooks.on("*")(lambda event: calls.append(event))
        status, body = door.send(MEMBER, **{"X-Pusher-Signature": "0" * 64})
        assert status == 401
        assert "the signature is not that of the app 'app-key'" in json.loads(body)["error"]
        assert door.post(b"{}", {"Content-Type": "application/json"}).status == 401
        assert door.post(b"{}", headers_of(b"{}")).status == 400
        assert calls == []

    def test_a_large_body_is_taken_up_to_one_mebibyte(self, door: Door, calls: list[Any]) -> None:
        door.webhooks.on("cache_miss")(lambda channel: calls.append(len(channel)))
        room = MAX_BODY - 200
        assert door.send({"name": "cache_miss", "channel": "c" * room}).status == 200
        assert door.send({"name": "cache_miss", "channel": "c" * (MAX_BODY + 1)}).status == 413
        assert calls == [room]


class Store:
    """What a dependency gives."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_open = True


def store_of(request: Request) -> Iterator[Store]:
    store = Store(request.url.path)
    yield store
    store.is_open = False


def refused() -> None:
    raise HTTPException(403, "not today")


class TestDependencies:
    @pytest.fixture
    def sp(self) -> soundpost.fastapi.Soundpost:
        return soundpost.fastapi.Soundpost(broadcaster=_broadcaster(), webhooks=Webhooks())

    @pytest.fixture
    def app(self, sp: soundpost.fastapi.Soundpost) -> FastAPI:
        app = FastAPI(lifespan=sp.lifespan)
        app.include_router(sp.router(user=lambda: None))
        return app

    def test_handlers_of_fastapi_have_dependencies(
        self, sp: soundpost.fastapi.Soundpost, app: FastAPI, calls: list[Any]
    ) -> None:
        @sp.webhooks.on("member_added", "presence-room.{room:int}")
        def joined(room: int, user_id: str, store: Annotated[Store, Depends(store_of)], request: Request) -> None:
            calls.append((room, user_id, store.is_open, request.app))

        @sp.webhooks.on("member_added")
        async def joined_too(event: Any, store: Store = Depends(store_of)) -> None:  # noqa: B008 - as FastAPI has it
            calls.append((event.user_id, store.name))

        async def note(store: Store) -> None:
            calls.append(store.name)

        @sp.webhooks.on("member_added")
        def joined_by_a_coroutine(store: Annotated[Store, Depends(store_of)]) -> Any:
            return note(store)

        door = _asgi(app, sp.webhooks)
        app.dependency_overrides[store_of] = lambda: Store("override")
        assert door.send(MEMBER).status == 200
        assert calls == [(7, "5", True, app), ("5", "override"), "override"]

    def test_a_handler_or_dependency_that_fails_is_called_again(
        self, sp: soundpost.fastapi.Soundpost, app: FastAPI, calls: list[Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        @sp.webhooks.on("member_added")
        def joined(user_id: str, no: Annotated[None, Depends(refused)]) -> None:
            calls.append(user_id)

        door = _asgi(app, sp.webhooks)
        assert door.send(MEMBER).status == 500
        assert "a dependency or the route answered 403: not today" in caplog.text
        app.dependency_overrides[refused] = lambda: None
        assert door.send(MEMBER).status == 200
        assert calls == ["5"]

    def test_a_dependency_that_fastapi_does_not_take_is_told_at_the_start(
        self, sp: soundpost.fastapi.Soundpost, app: FastAPI
    ) -> None:
        def wrong(store: Annotated[Store, Depends(store_of)], limit: int = 5) -> None:
            """Do nothing."""

        sp.webhooks.on("member_added")(wrong)
        with pytest.raises(RouteError, match=r"FastAPI cannot call .*wrong: its parameter 'limit"), TestClient(app):
            pass

    def test_other_frameworks_give_no_dependencies(self, calls: list[Any], caplog: pytest.LogCaptureFixture) -> None:
        (door,) = starlette()

        @door.webhooks.on("member_added")
        def joined(store: Annotated[Store, Depends(store_of)]) -> None:
            calls.append(store)

        assert door.send(MEMBER).status == 500
        assert "joined has parameters that only FastAPI fills: store" in caplog.text


@pytest.mark.parametrize("kind", ["fastapi", "starlette"])
def test_a_route_of_the_application_takes_a_verified_request(kind: str, calls: list[Any]) -> None:
    sp: Any
    if kind == "fastapi":
        sp = soundpost.fastapi.Soundpost(broadcaster=_broadcaster(), webhooks=Webhooks())
        app: Any = FastAPI()
        app.post(PATH)(route_with_dependency(sp))
    else:
        sp = soundpost.starlette.Soundpost(broadcaster=_broadcaster(), webhooks=Webhooks())

        async def handle(request: Request) -> JSONResponse:
            return JSONResponse(await told(await sp.webhook(request)))

        app = Starlette(routes=[Route(PATH, handle, methods=["POST"])])
    sp.webhooks.on("member_added")(lambda user_id: calls.append(user_id))
    door = _asgi(app, sp.webhooks)
    status, body = door.send(MEMBER)
    assert (status, json.loads(body)) == (200, {"names": ["member_added"], "handled": True})
    assert calls == ["5"]
    assert door.send(MEMBER, **{"X-Pusher-Key": "x"}).status == 401


def route_with_dependency(sp: Any) -> Any:
    async def route(webhook) -> Any:  # type: ignore[no-untyped-def]
        return await told(webhook)

    route.__annotations__["webhook"] = Annotated[soundpost.fastapi.WebhookRequest, Depends(sp.webhook)]
    return route


async def told(webhook: soundpost.fastapi.WebhookRequest) -> dict[str, Any]:
    return {"names": [each.name for each in webhook.events], "handled": await webhook.handle()}


def test_an_application_without_credentials_says_so(caplog: pytest.LogCaptureFixture) -> None:
    sp = soundpost.starlette.Soundpost(broadcaster=Broadcaster(settings_from({"driver": "null"})), webhooks=Webhooks())
    door = _asgi(Starlette(routes=sp.routes(user=lambda request: None)), sp.webhooks)
    assert door.send(MEMBER).status == 500
    assert "webhooks cannot be verified: no app is configured: set SOUNDPOST_APP_KEY" in caplog.text
    sp.webhooks.secrets["app-key"] = "app-secret"
    assert door.send(MEMBER).status == 200


def test_flask_wtf_lets_webhooks_through(calls: list[Any]) -> None:
    app = Flask("shop")
    app.secret_key = "x"
    CSRFProtect(app)
    sp = soundpost.flask.Soundpost(app, broadcaster=_broadcaster(), webhooks=Webhooks())
    sp.webhooks.on("member_added")(lambda user_id: calls.append((user_id, request.path)))
    body = json.dumps({"events": [{**MEMBER, "id": "1"}]}).encode()
    assert app.test_client().post(PATH, data=body, headers=headers_of(body)).status_code == 200
    assert calls == [("5", PATH)]


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

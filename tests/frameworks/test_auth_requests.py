"""Requests of browsers to the auth endpoints: all doors read the same forms, and no more bytes than needed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from fastapi import Request as StarletteRequest
from flask import request as flask_request
from quart import request as quart_request

from frameworks import django_database  # noqa: F401 - sets Django up
from frameworks.django_process import django_state
from frameworks.doors import DOORS, FORM, SOCKET_ID, Answer, Door, Open, fastapi, flask, quart
from soundpost.broadcasting.authorization import ChannelRoutes
from soundpost.broadcasting.authorization.body import MAX_BODY, request_values
from soundpost.broadcasting.authorization.refusals import Misconfigured

AUTH = "/broadcasting/auth"
NO_KEY = "channels cannot be authorized: connection 'soundpost' has no key: set SOUNDPOST_APP_KEY"
VALUES = {"socket_id": SOCKET_ID, "channel_name": "private-requests.7"}
Post = Callable[[str, bytes, dict[str, str]], Answer]


def multipart(values: dict[str, str], boundary: str = "----WebKitFormBoundaryAb1", *, quoted: str = '"') -> bytes:
    """Return a FormData as browsers send it."""
    parts = [
        f"--{boundary}\r\nContent-Disposition: form-data; name={quoted}{name}{quoted}\r\n\r\n{value}\r\n"
        for name, value in values.items()
    ]
    return "".join([*parts, f"--{boundary}--\r\n"]).encode()


def declare(channels: ChannelRoutes) -> None:
    @channels.private("requests.{number:int}")
    def may_see(user: Any, number: int) -> bool:
        return number == 7


@pytest.fixture(params=[*DOORS, "django", "django-async"], ids=lambda each: getattr(each, "__name__", each))
def post(request: pytest.FixtureRequest) -> Iterator[Post]:
    """Ask the auth endpoint of a framework."""
    if callable(request.param):
        door = request.param(lambda: "ann", debug=True)
        declare(door.channels)
        yield door.post
        return
    with django_state():
        from django.test import Client, override_settings

        from soundpost.broadcasting.authorization import channels

        declare_in_django(channels)
        prefix = "/broadcasting" if request.param == "django" else "/coroutines"

        def ask(path: str, body: bytes, headers: dict[str, str]) -> Answer:
            kind = headers.get("Content-Type", "")
            with override_settings(DEBUG=True):
                answer: Any = Client().generic("POST", path.replace("/broadcasting", prefix), body, content_type=kind)
            return Answer(answer.status_code, answer.content.decode())

        yield ask


def declare_in_django(channels: ChannelRoutes) -> None:
    @channels.private("requests.{number:int}", guests=True)
    def may_see(user: Any, number: int) -> bool:
        return number == 7


BODIES = {
    "form": (urlencode(VALUES).encode(), FORM),
    "form with charset": (urlencode(VALUES).encode(), f"{FORM}; charset=UTF-8"),
    "JSON": (json.dumps(VALUES).encode(), "application/json"),
    "JSON of a kind": (json.dumps(VALUES).encode(), "application/vnd.api+json"),
    "FormData": (multipart(VALUES), "multipart/form-data; boundary=----WebKitFormBoundaryAb1"),
    "FormData of Firefox": (multipart(VALUES, "-" * 27 + "123"), "multipart/form-data; boundary=" + "-" * 27 + "123"),
    "FormData with a quoted boundary": (multipart(VALUES, "a b"), 'Multipart/Form-Data; charset=utf-8; boundary="a b"'),
    "FormData without quotes": (multipart(VALUES, "x", quoted=""), "multipart/form-data; boundary=x"),
    "FormData with a file": (
        b'--x\r\nContent-Disposition: form-data; name="socket_id"; filename="a.txt"\r\n\r\n9.9\r\n'
        + multipart(VALUES, "x"),
        "multipart/form-data; boundary=x",
    ),
}


@pytest.mark.parametrize("kind", BODIES)
def test_all_forms_are_read(post: Post, kind: str) -> None:
    body, content_type = BODIES[kind]
    answer = post(AUTH, body, {"Content-Type": content_type})
    assert (answer.status, list(json.loads(answer.body))) == (200, ["auth"])


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "application/xml", "application/octet-stream"])
def test_what_is_not_read_is_named(post: Post, content_type: str) -> None:
    answer = post(AUTH, json.dumps(VALUES).encode(), {"Content-Type": content_type})
    assert answer.status == 422
    kind = content_type.partition(";")[0]
    assert f"the body has the content type '{kind}': {FORM}, multipart/form-data and application/json" in answer.message


def test_a_form_data_without_a_boundary_is_named(post: Post) -> None:
    answer = post(AUTH, multipart(VALUES), {"Content-Type": "multipart/form-data"})
    assert answer.status == 422
    assert "without a boundary: leave the Content-Type to the browser" in answer.message


@pytest.mark.parametrize("kind", [FORM, "application/json", "multipart/form-data; boundary=x"])
def test_what_is_too_long_is_refused(post: Post, kind: str) -> None:
    body = b"x" * 300_000 if "multipart" not in kind else multipart({**VALUES, "more": "x" * 300_000}, "x")
    answer = post(AUTH, body, {"Content-Type": kind})
    assert answer.status == 413
    assert f"more than {MAX_BODY} bytes" in answer.message


@pytest.mark.parametrize("open_door", [flask, quart, fastapi])
@pytest.mark.parametrize("kind", ["form", "FormData"])
def test_a_form_that_the_application_has_read_before(open_door: Open, kind: str) -> None:
    door = open_door(lambda: "ann")
    declare(door.channels)
    _read_first(door, open_door)
    body, content_type = BODIES[kind]
    assert door.post(AUTH, body, {"Content-Type": content_type}).status == 200


def _read_first(door: Door, open_door: Open) -> None:
    if open_door is flask:
        door.app.before_request(lambda: flask_request.form.get("x"))
    elif open_door is quart:

        async def read() -> None:
            await quart_request.form

        door.app.before_request(read)
    else:

        async def read_body(request: StarletteRequest, call_next: Any) -> Any:
            await request.body()
            return await call_next(request)

        door.app.middleware("http")(read_body)


def test_django_reads_no_upload() -> None:
    """Refuse an upload unread: a view that looks at request.POST would write the upload to the disk first."""
    from django.test import RequestFactory

    from soundpost.django import views

    request: Any = RequestFactory().post(AUTH, {"file": b"x" * 100_000, **VALUES})
    assert views.auth(request).status_code == 413
    assert not request._read_started


def test_django_takes_a_form_that_was_read_before() -> None:
    from django.test import RequestFactory

    from soundpost.broadcasting.authorization import channels
    from soundpost.django import views

    with django_state():
        declare_in_django(channels)
        request: Any = RequestFactory().post(AUTH, VALUES)
        assert request.POST["socket_id"] == SOCKET_ID
        assert views.auth(request).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x--\r\n",
        b"--x\r\n\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x--",
        b"--x\r\nContent-Disposition: form-data; name=\r\n\r\nv\r\n--x--",
        b"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" * 150,
        b"\xff\xfe\r\n--x\r\n\xff",
    ],
)
def test_malformed_form_data_has_no_values(body: bytes) -> None:
    found = request_values({"content-type": "multipart/form-data; boundary=x"}, "", body)
    assert not set(found) & set(VALUES)


def test_a_boundary_of_regular_expressions_is_a_text() -> None:
    body = multipart(VALUES, ".*")
    assert request_values({"content-type": "multipart/form-data; boundary=.*"}, "", body) == VALUES
    with pytest.raises(Misconfigured):
        request_values({"content-type": "multipart/form-data; boundary="}, "", body)


class TestLog:
    """A mistake in how things are set up is a warning, which every framework shows; a plain no is not."""

    @pytest.mark.parametrize("open_door", DOORS)
    def test_only_mistakes_of_the_setup_are_warnings(self, open_door: Open, caplog: pytest.LogCaptureFixture) -> None:
        door = open_door(lambda: None)
        declare(door.channels)

        def level(channel: str, socket_id: str = SOCKET_ID) -> int:
            caplog.clear()
            with caplog.at_level(logging.INFO, "soundpost.auth"):
                answer = door.form(AUTH, socket_id=socket_id, channel_name=channel)
            assert (answer.status in (403, 422), answer.message) == (True, "")
            (record,) = [record for record in caplog.records if record.name == "soundpost.auth"]
            return record.levelno

        assert level("private-requests.7") == logging.INFO  # nobody is logged in
        assert level("private-request.7") == logging.WARNING  # no such route
        assert level("orders.7") == logging.WARNING  # it needs no authorization
        assert level("private-requests.7", "") == logging.WARNING  # the page sends no socket id
        assert level("") == logging.WARNING

    @pytest.mark.parametrize("open_door", DOORS)
    def test_a_no_of_the_route_is_no_warning(self, open_door: Open, caplog: pytest.LogCaptureFixture) -> None:
        door = open_door(lambda: "ann")
        declare(door.channels)
        with caplog.at_level(logging.INFO, "soundpost.auth"):
            assert door.ask("private-requests.8").status == 403
        assert [record.levelno for record in caplog.records if record.name == "soundpost.auth"] == [logging.INFO]

    def test_a_foreign_page_is_a_warning_on_one_line(self, caplog: pytest.LogCaptureFixture) -> None:
        door = flask(lambda: "ann")
        declare(door.channels)
        origin = "https://evil.example/\x1b[31m" + "x" * 5_000
        headers = {"Content-Type": FORM, "Origin": origin}
        assert door.post(AUTH, urlencode(VALUES).encode(), headers).status == 403
        (record,) = [record for record in caplog.records if record.name == "soundpost.auth"]
        assert record.levelno == logging.WARNING
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < 1_100

    def test_what_fastapi_refuses_by_itself_is_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        def current_user(token: int) -> str:
            return "ann"

        door = fastapi(cast(Any, current_user))
        declare(door.channels)
        assert door.ask("private-requests.7").status == 403
        assert [record.levelno for record in caplog.records if record.name == "soundpost.auth"] == [logging.WARNING]


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("open_door", DOORS)
def test_an_application_without_credentials_answers_500(
    open_door: Open, debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    door = open_door(lambda: "ann", key="", debug=debug)
    declare(door.channels)
    for answer in (door.ask("private-requests.7"), door.sign_in()):
        assert (answer.status, answer.message) == (500, NO_KEY if debug else "")
    assert caplog.text.count(NO_KEY) == 2
    assert door.ask("private-requests.8").status == 403  # a no stays a no


def test_a_django_project_without_credentials_answers_500(caplog: pytest.LogCaptureFixture) -> None:
    with django_state():
        from django.test import Client, override_settings

        from soundpost.broadcasting.authorization import channels

        declare_in_django(channels)
        with override_settings(DEBUG=True, SOUNDPOST={"APP_ID": "1", "SECRET": "s"}):
            answer: Any = Client().post(AUTH, VALUES)
    assert (answer.status_code, answer.json()) == (500, {"message": NO_KEY})
    assert NO_KEY in caplog.text

"""Refusals in the log: those that an installation's mistakes cause, one a minute, counted, without secrets."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from conformance.protocol.stage import APP, Stage
from soundpost.core.inspection import RefusalKind, RefusalLine
from soundpost.core.refusal_log import RefusalLog
from soundpost.wire import codes

SECRET = "9f86d081884c7d65"


def subscribe(stage: Stage, auth: str | None) -> None:
    client = stage.connect()
    client.say("pusher:subscribe", {"channel": "private-orders"} | ({} if auth is None else {"auth": auth}))


@pytest.mark.parametrize(
    ("auth", "reason"),
    [
        (None, "The client sent no auth: its library has no endpoint to ask"),
        ("other:0123", "auth is signed with the key of another app"),
        (f"{APP.key}:0123", "auth has a wrong signature: either the application signs with another secret"),
    ],
)
def test_a_failed_authorization_is_a_warning(auth: str | None, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    subscribe(Stage(), auth)

    (record,) = caplog.records
    assert (record.levelname, record.name) == ("WARNING", "soundpost.protocol")
    assert record.getMessage().startswith("app 1: refused a subscription to 'private-orders' with 4009")
    assert reason in record.getMessage()
    assert "0123" not in record.getMessage()
    fields = vars(record)["fields"]
    assert (fields["app"], fields["code"], fields["channel"]) == ("1", 4009, "private-orders")


def test_a_failed_sign_in_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.connect().say("pusher:signin", {"auth": f"{APP.key}:0123", "user_data": '{"id":"7"}'})

    (record,) = caplog.records
    assert record.getMessage().startswith("app 1: refused a sign-in with 4009")


def test_a_flood_is_two_lines_a_minute_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    for _ in range(4_213):
        subscribe(stage, "other:0123")
    assert len(caplog.records) == 1

    stage.wait(60)
    assert len(caplog.records) == 2
    assert caplog.messages[1] == f"{caplog.messages[0]} (4,211 more in the last minute)"
    stage.wait(60)
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    "message",
    [
        {"event": "pusher:subscribe", "data": {"channel": "bad name"}},
        {"event": "pusher:subscribe", "data": {"channel": "#server-to-user-7"}},
        {"event": "client-hello", "channel": "private-orders", "data": "{}"},
        {"event": "nonsense"},
    ],
)
def test_what_a_client_does_wrong_is_not_in_the_log(message: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    Stage().connect().raw(msgspec.json.encode(message))

    assert caplog.records == []


def logged(
    kind: RefusalKind, reason: str, code: int, app_id: str = "", *, address: str = "10.0.0.7", origin: str = ""
) -> None:
    """Log a refusal of a server whose only app has the secret ``SECRET``."""
    stage = Stage(secret=SECRET)
    log = RefusalLog(lambda: stage.node.secrets, lambda: stage.now, stage.call_later)
    log.add(RefusalLine(stage.now, kind, reason, code, app_id, address, origin))


def test_an_unknown_key_is_a_warning_with_the_page(caplog: pytest.LogCaptureFixture) -> None:
    logged("connection", "No app has the key 'abc'.", codes.APP_DOES_NOT_EXIST, origin="https://shop.example.com")

    assert caplog.record_tuples == [
        (
            "soundpost.server",
            logging.WARNING,
            "refused a client with 4001, from 10.0.0.7 (Origin: 'https://shop.example.com'): No app has the key 'abc'",
        )
    ]


def test_a_secret_that_was_given_as_the_key_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    logged("connection", f"No app has the key '{SECRET}'", codes.APP_DOES_NOT_EXIST)

    assert caplog.messages == ["refused a client with 4001, from 10.0.0.7: No app has the key '***'"]


def test_an_unknown_app_id_of_a_publisher_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    logged("api", "No matching application for ID [7]. Compare it", 404, address="")

    assert caplog.record_tuples == [
        (
            "soundpost.api",
            logging.WARNING,
            "refused a request to the API with 404: No matching application for ID [7]. Compare it",
        )
    ]


def test_requests_of_a_known_app_are_logged_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    logged("api", "Invalid signature", 401, "1")
    logged("connection", "Origin not allowed", codes.UNAUTHORIZED, "1")

    assert caplog.records == []


def test_no_line_is_forged_by_a_page(caplog: pytest.LogCaptureFixture) -> None:
    logged("connection", "No app", codes.APP_DOES_NOT_EXIST, origin="https://a\n2026-01-01 00:00:00,000 ERROR forged")

    assert "\n" not in caplog.messages[0]

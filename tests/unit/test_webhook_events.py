"""Webhooks of the server and of Pusher: signatures, typed events, and their way through task queues."""

from __future__ import annotations

import json
import pickle
import re
import time
from datetime import UTC, datetime
from typing import Any, Final

import pusher
import pytest

from soundpost import webhooks
from soundpost.core.webhooks import MORE_EVENTS, PUSHER_EVENTS
from soundpost.errors import SoundpostError
from soundpost.webhooks import WebhookError
from soundpost.wire.webhook_request import webhook_signature

SECRETS: Final = {"app-key": "app-secret", "other-key": "other-secret"}


def body(*events: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"time_ms": int(time.time() * 1000), "events": events, **more}).encode()


def headers(content: bytes, key: str = "app-key", secret: str = "app-secret") -> dict[str, str]:
    return {"X-Pusher-Key": key, "X-Pusher-Signature": webhook_signature(secret, content)}


class TestSignature:
    @pytest.mark.parametrize("names", [str, str.lower, str.upper])
    def test_names_of_headers_are_taken_in_any_case(self, names: Any) -> None:
        content = body({"name": "channel_occupied", "channel": "ché"})
        webhooks.verify(content, {names(name): value for name, value in headers(content).items()}, SECRETS)

    def test_each_app_signs_with_its_own_secret(self) -> None:
        content = body()
        webhooks.verify(content, headers(content, "other-key", "other-secret"), SECRETS)
        with pytest.raises(WebhookError, match="the signature is not that of the app 'other-key'"):
            webhooks.verify(content, headers(content, "other-key", "app-secret"), SECRETS)

    def test_the_official_sdk_signs_and_verifies_alike(self) -> None:
        content = body({"name": "channel_vacated", "channel": "news"})
        ours = headers(content)
        sdk = pusher.Pusher(app_id="1", key="app-key", secret="app-secret")
        assert sdk.validate_webhook("app-key", ours["X-Pusher-Signature"], content.decode()) is not None
        assert sdk.validate_webhook("app-key", ours["X-Pusher-Signature"], content.decode() + " ") is None

    @pytest.mark.parametrize(
        ("change", "status", "reason"),
        [
            ({"X-Pusher-Signature": "0" * 64}, 401, "the signature is not that of the app 'app-key'"),
            ({"X-Pusher-Signature": "é"}, 401, "the signature is not that of"),
            ({"X-Pusher-Key": "x" * 500}, 401, "no app of this application has the key 'xxx"),
            ({"X-Pusher-Key": "other-key"}, 401, "the signature is not that of the app 'other-key'"),
        ],
    )
    def test_wrong_headers_are_refused_with_a_reason(self, change: dict[str, str], status: int, reason: str) -> None:
        content = body()
        with pytest.raises(WebhookError, match=reason) as caught:
            webhooks.verify(content, {**headers(content), **change}, SECRETS)
        assert caught.value.status == status
        assert isinstance(caught.value, SoundpostError)
        assert len(str(caught.value)) < 250
        assert "secret'" not in str(caught.value)

    def test_missing_headers_are_named(self) -> None:
        with pytest.raises(WebhookError, match="no X-Pusher-Key and no X-Pusher-Signature: it is not a webhook"):
            webhooks.verify(body(), {}, SECRETS)

    def test_a_changed_body(self) -> None:
        content = body()
        with pytest.raises(WebhookError, match="the body was changed on its way") as caught:
            webhooks.verify(content + b" ", headers(content), SECRETS)
        assert caught.value.status == 401

    @pytest.mark.parametrize("offset", [-700, 700])
    def test_a_body_of_another_time(self, offset: int) -> None:
        content = body(time_ms=int((time.time() + offset) * 1000))
        with pytest.raises(WebhookError, match="seconds old, 600 are allowed: are both clocks right"):
            webhooks.verify(content, headers(content), SECRETS)

    def test_a_body_of_five_minutes_ago(self) -> None:
        content = body(time_ms=int((time.time() - 310) * 1000))
        webhooks.verify(content, headers(content), SECRETS)

    def test_a_body_above_one_mebibyte(self) -> None:
        content = bytes(webhooks.MAX_BODY + 1)
        with pytest.raises(WebhookError, match="more than 1048576 bytes") as caught:
            webhooks.verify(content, headers(content), SECRETS)
        assert caught.value.status == 413


EXAMPLES: Final[list[tuple[dict[str, Any], webhooks.WebhookEvent]]] = [
    ({"name": "channel_occupied", "channel": "a"}, webhooks.ChannelOccupied(channel="a")),
    ({"name": "channel_vacated", "channel": "a"}, webhooks.ChannelVacated(channel="a")),
    (
        {"name": "member_added", "channel": "presence-a", "user_id": "7", "user_info": {"n": 1}, "socket_id": "1.2"},
        webhooks.MemberAdded(channel="presence-a", user_id="7", user_info={"n": 1}, socket_id="1.2"),
    ),
    (
        {"name": "member_removed", "channel": "presence-a", "user_id": "7"},
        webhooks.MemberRemoved(channel="presence-a", user_id="7"),
    ),
    (
        {
            "name": "client_event",
            "channel": "private-a",
            "event": "client-x",
            "data": '{"n":1}',
            "socket_id": "1.2",
            "user_id": "7",
        },
        webhooks.ClientEvent(channel="private-a", event="client-x", data='{"n":1}', socket_id="1.2", user_id="7"),
    ),
    ({"name": "cache_miss", "channel": "cache-a"}, webhooks.CacheMiss(channel="cache-a")),
    (
        {"name": "subscription_count", "channel": "a", "subscription_count": 3},
        webhooks.SubscriptionCount(channel="a", subscription_count=3),
    ),
    ({"name": "user_online", "user_id": "7", "user_info": "x"}, webhooks.UserOnline(user_id="7", user_info="x")),
    ({"name": "user_offline", "user_id": "7"}, webhooks.UserOffline(user_id="7")),
    (
        {"name": "connection_opened", "socket_id": "1.2", "address": "::1", "origin": "https://a.example"},
        webhooks.ConnectionOpened(socket_id="1.2", address="::1", origin="https://a.example"),
    ),
    (
        {"name": "connection_closed", "socket_id": "1.2", "address": "::1", "user_id": "7", "code": 1006},
        webhooks.ConnectionClosed(socket_id="1.2", address="::1", user_id="7", code=1006),
    ),
    ({"name": "of_tomorrow", "a": [1]}, webhooks.OtherEvent(name="of_tomorrow", fields={"a": [1]})),
]


SIGNED: Final = headers(b"{}")


class TestWrongTypes:
    """Arguments of another type, as a program gives by mistake, are refused by their names."""

    @pytest.mark.parametrize(
        ("body", "headers", "secrets", "reason"),
        [
            ("{}", SIGNED, SECRETS, "body is of type str: the unchanged bytes"),
            (None, SIGNED, SECRETS, "body is of type NoneType: the unchanged bytes"),
            (b"{}", [*SIGNED.items()], SECRETS, "headers is of type list: a mapping"),
            (b"{}", {b"X-Pusher-Key": b"k"}, SECRETS, "a name in headers is of type bytes: text"),
            (b"{}", {**SIGNED, "X-Pusher-Key": None}, SECRETS, "the header X-Pusher-Key is of type NoneType: text"),
            (b"{}", {**SIGNED, "X-Pusher-Signature": b"s"}, SECRETS, "the header X-Pusher-Signature is of type bytes"),
            (b"{}", SIGNED, "hush", "secrets is of type str: a mapping"),
            (b"{}", SIGNED, None, "secrets is of type NoneType: a mapping"),
            (b"{}", SIGNED, {"app-key": b"hush"}, "the secret of the app 'app-key' is of type bytes: text"),
        ],
    )
    def test_verify_names_an_argument_of_a_wrong_type(self, body: Any, headers: Any, secrets: Any, reason: str) -> None:
        with pytest.raises(TypeError, match=re.escape(reason)) as caught:
            webhooks.verify(body, headers, secrets)
        assert "hush" not in str(caught.value)

    @pytest.mark.parametrize("body", [None, {"events": []}, 5])
    def test_parse_names_a_body_of_a_wrong_type(self, body: Any) -> None:
        with pytest.raises(TypeError, match=f"body is of type {type(body).__name__}: the bytes"):
            webhooks.parse(body)

    def test_a_bytearray_is_parsed_as_bytes_are(self) -> None:
        body = b'{"events":[{"name":"channel_occupied","channel":"a"}]}'
        assert webhooks.parse(bytearray(body)) == webhooks.parse(body)  # type: ignore[arg-type]


class TestEvents:
    def test_there_is_a_class_for_every_event_of_the_server(self) -> None:
        assert tuple(webhooks.EVENTS) == PUSHER_EVENTS + MORE_EVENTS

    @pytest.mark.parametrize(("sent", "expected"), EXAMPLES, ids=[sent["name"] for sent, _ in EXAMPLES])
    def test_events_are_typed(self, sent: dict[str, Any], expected: webhooks.WebhookEvent) -> None:
        (event,) = webhooks.parse(body({**sent, "id": "1-0", "time_ms": 1_000}))
        assert type(event) is type(expected)
        assert event.as_dict() == {**expected.as_dict(), "id": "1-0", "time_ms": 1_000}
        assert event.time == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)

    @pytest.mark.parametrize("event", [event for _, event in EXAMPLES], ids=lambda event: event.name)
    def test_events_go_through_queues(self, event: webhooks.WebhookEvent) -> None:
        assert pickle.loads(pickle.dumps(event)) == event
        assert webhooks.event_from(json.loads(json.dumps(event.as_dict()))) == event

    @pytest.mark.parametrize(("fields", "kind"), [(None, "NoneType"), ('{"name":"member_added"}', "str")])
    def test_fields_that_are_none_are_refused(self, fields: Any, kind: str) -> None:
        with pytest.raises(WebhookError, match=f"the event is a {kind}: a mapping of its fields is expected"):
            webhooks.event_from(fields)

    def test_events_of_pusher_get_the_body_s_time_and_an_id_that_a_repetition_has_too(self) -> None:
        events = b'{"name":"channel_occupied","channel":"a"},{"name":"channel_vacated","channel":"a"}'
        content = b'{"time_ms":1327078148132,"events":[%b]}' % events
        one, two = webhooks.parse(content)
        assert one.time_ms == two.time_ms == 1327078148132
        assert len({one.id, two.id}) == 2
        assert [each.id for each in webhooks.parse(content)] == [one.id, two.id]
        assert webhooks.parse(content.replace(b"148132", b"148133"))[0].id != one.id

    def test_soketi_sends_data_and_user_ids_as_browsers_sent_them(self) -> None:
        about = {"name": "client_event", "channel": "presence-a", "event": "client-a", "socket_id": "1.2"}
        (event,) = webhooks.parse(body({**about, "data": {"stars": 3}, "user_id": 7}))
        assert isinstance(event, webhooks.ClientEvent)
        assert (event.data, event.value, event.user_id) == ('{"stars":3}', {"stars": 3}, "7")

    def test_data_of_a_client_event(self) -> None:
        def value(data: str) -> Any:
            return webhooks.ClientEvent(channel="private-a", event="client-x", data=data).value

        assert value('{"n":[1]}') == {"n": [1]}
        assert value('"text"') == "text"
        assert value("plain text") == "plain text"

    def test_fields_that_are_new_are_left_out(self) -> None:
        (event,) = webhooks.parse(body({"name": "cache_miss", "channel": "cache-a", "new": 1, "id": "1"}))
        assert event == webhooks.CacheMiss(channel="cache-a", id="1", time_ms=event.time_ms)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"[]", "the body is not a JSON object"),
            (b"\xff", "the body is not a JSON object"),
            (b"[" * 100_000, "the body is not a JSON object"),
            (b"{}", "no list 'events'"),
            (b'{"events":{}}', "no list 'events'"),
            (b'{"events":[1]}', r"events\[0\] is not a JSON object"),
            (b'{"events":[{"channel":"a"}]}', r"events\[0\] has no name"),
            (b'{"events":[{"name":7}]}', r"events\[0\] has no name"),
            (
                b'{"events":[{"name":"member_added","channel":"a"}]}',
                r"events\[0\] is not a valid member_added: .*`user_id`",
            ),
        ],
    )
    def test_other_bodies_are_refused(self, content: bytes, reason: str) -> None:
        with pytest.raises(WebhookError, match=reason) as caught:
            webhooks.parse(content)
        assert caught.value.status == 400

"""Requests of webhooks: body, signature, headers, as Pusher's SDKs take them."""

from __future__ import annotations

import json
import time

import pusher

from soundpost.wire.webhook_request import event_text, is_signature, webhook_body, webhook_headers, webhook_signature

KEY, SECRET = "app-key", "app-secret"


def test_a_request_is_taken_by_pushers_sdk() -> None:
    events = [event_text(b'{"name":"channel_occupied","channel":"a"}', 1, "x-1"), b'{"name":"channel_vacated"}']
    client = pusher.Pusher(app_id="1", key=KEY, secret=SECRET)
    body = webhook_body(events, int(time.time() * 1000))
    headers = webhook_headers(KEY, SECRET, body, "1.0", {})
    found = client.validate_webhook(headers["X-Pusher-Key"], headers["X-Pusher-Signature"], body.decode())
    assert found["events"] == [
        {"name": "channel_occupied", "channel": "a", "time_ms": 1, "id": "x-1"},
        {"name": "channel_vacated"},
    ]


def test_a_request_without_events_is_whole() -> None:
    assert json.loads(webhook_body([], 5)) == {"time_ms": 5, "events": []}


def test_own_headers_replace_the_user_agent_only() -> None:
    own = {"authorization": "Bearer t", "user-agent": "mine", "x-pusher-signature": "forged", "CONTENT-TYPE": "x"}
    headers = webhook_headers(KEY, SECRET, b"{}", "1.0", own)
    assert headers == {
        "Content-Type": "application/json",
        "X-Pusher-Key": KEY,
        "X-Pusher-Signature": webhook_signature(SECRET, b"{}"),
        "authorization": "Bearer t",
        "user-agent": "mine",
    }
    assert webhook_headers(KEY, SECRET, b"{}", "1.0", {})["User-Agent"] == "soundpost/1.0"


def test_only_the_signature_of_this_body_by_this_secret() -> None:
    signature = webhook_signature(SECRET, b"{}")
    assert is_signature(signature, SECRET, b"{}")
    for wrong in ("", "é", signature.upper(), signature[:-1]):
        assert not is_signature(wrong, SECRET, b"{}")
    assert not is_signature(signature, "other", b"{}")
    assert not is_signature(signature, SECRET, b"{ }")

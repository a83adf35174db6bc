"""Fields of resumption that the server cannot take, and names that only the server gives, over a real connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest

from soundpost.core.app_settings import HistorySettings
from support.harness import DEFAULT_APP, RunningServer, http_request, running_server, signed_request
from support.raw_socket import RawSocket

APP: Final = msgspec.structs.replace(DEFAULT_APP, history=(HistorySettings(channels=("kept",), rewind=5),))


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(apps=[APP]) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[RawSocket]:
    with server.connect() as connection:
        yield connection


def refusal(client: RawSocket, channel: str, **fields: Any) -> dict[str, Any]:
    """Subscribe; return what the subscription error says, and see that the connection goes on."""
    client.send_event("pusher:subscribe", {"channel": channel, **fields})
    told = client.read_event()
    assert (told["event"], told["channel"]) == ("pusher:subscription_error", channel)
    reason: dict[str, Any] = json.loads(told["data"])
    error = client.read_event()
    assert (error["event"], error["data"]) == ("pusher:error", {"code": 4200, "message": reason["error"]})
    client.send_event("pusher:ping")
    assert client.read_event()["event"] == "pusher:pong"
    return reason


@pytest.mark.parametrize("channel", ["kept", "news"])
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"resume": 5}, 'resume: 5 is not taken: send a position such as "g7Qx.1795887678285000", ""'),
        ({"resume": ["g.1"]}, 'resume: ["g.1"] is not taken'),
        ({"resume": {"a": "x" * 5_000}}, 'resume: {"a": "xxxxxxxxxxxxxxx'),
        ({"resume": "", "rewind": "2m"}, 'rewind: "2m" is not taken: send a whole number of events'),
        ({"resume": "", "rewind": -1}, "rewind: -1 is not taken"),
        ({"resume": "", "rewind": 1.5}, "rewind: 1.5 is not taken"),
        ({"resume": "", "rewind": True}, "rewind: true is not taken"),
        ({"resume": "", "rewind": None}, "rewind: null is not taken"),
        ({"resume": "", "rewind": 10**4_000}, "rewind: 1000000000"),
        ({"rewind": []}, "rewind: [] is not taken"),
        ({"resume": "", "was": "1.2"}, 'was: "1.2" is not taken: send a list of at most 4 socket ids, such as'),
        ({"resume": "", "was": ["1.2"] * 5}, 'was: ["1.2", "1.2", "1.2", "1.2", "1.2"] is not taken'),
        ({"resume": "", "was": [1]}, "was: [1] is not taken"),
        ({"resume": "", "was": ["x" * 5_000]}, "was: 'xxxxxxx"),
        ({"resume": "", "was": ["1.2", "\ud83d"]}, r"was: '\ud83d' is not a socket id: expected digits, a dot, digits"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
)
def test_a_field_that_cannot_be_taken_is_named(
    client: RawSocket, channel: str, fields: dict[str, Any], reason: str
) -> None:
    told = refusal(client, channel, **fields)
    assert told["error"].startswith(reason)
    assert len(told["error"]) < 300
    assert (told["type"], told["status"]) == ("InvalidMessage", 400)


@pytest.mark.parametrize("resume", ["g", "a.b", "g.9007199254740992", "g.01", ".1", "g.1\n", "\ud83d.1", "x" * 9_000])
def test_a_text_that_is_no_position_is_named(client: RawSocket, resume: str) -> None:
    told = refusal(client, "kept", resume=resume)
    assert told["error"].startswith(f"resume: {resume[:60]!r} is not a position: expected 1 to 16 letters and digits")
    assert (told["type"], told["status"]) == ("InvalidPosition", 400)


def test_a_rewind_that_is_not_allowed_names_the_option(client: RawSocket) -> None:
    told = refusal(client, "kept", resume="", rewind=6)
    assert told["error"] == (
        "rewind: 6 events asked for, at most 5 are allowed (rewind of [[apps.history]] in soundpost.toml)"
    )


def test_fields_in_a_json_string_are_looked_at_too(client: RawSocket) -> None:
    client.send_event("pusher:subscribe", json.dumps({"channel": "kept", "resume": 5}))
    assert client.read_event()["channel"] == "kept"
    assert client.read_event()["data"]["message"].startswith("resume: 5 is not taken")


def test_a_malformed_subscription_without_a_channel_is_refused_as_ever(client: RawSocket) -> None:
    malformed: tuple[object, ...] = (
        {"resume": 5},
        {"channel": 7, "resume": 5},
        "x",
        [],
        {"channel": "kept", "auth": 5},
    )
    for data in malformed:
        client.send_event("pusher:subscribe", data)
        told = client.read_event()
        assert (told["event"], told["data"]["code"]) == ("pusher:error", 4200)
        assert told["data"]["message"].startswith("Invalid message format: data of pusher:subscribe")


# Names that are the server's


@pytest.mark.parametrize("name", ["soundpost:gap", "soundpost:x", "pusher:error", "pusher_internal:member_added"])
def test_an_application_cannot_publish_a_message_of_the_server(
    server: RunningServer, client: RawSocket, name: str
) -> None:
    event = {"name": name, "data": "{}", "channel": "news"}
    for route, body in (("/events", event), ("/batch_events", {"batch": [event]})):
        response = http_request(server.port, signed_request("POST", route, json.dumps(body).encode()))
        assert response.status == 422
        assert f"name: event name {name!r}: names that begin with pusher:" in json.loads(response.body)["error"]
    for near in ("pusher-notification", "soundpost", "client-soundpost:gap"):
        body = {**event, "name": near}
        assert http_request(server.port, signed_request("POST", "/events", json.dumps(body).encode())).status == 200


@pytest.mark.parametrize("name", ["soundpost:gap", "pusher_internal:member_added"])
def test_a_client_cannot_send_a_message_of_the_server(client: RawSocket, name: str) -> None:
    client.send_event(name, {}, channel="private-a")
    told = client.read_event()
    assert (told["event"], told["data"]["code"]) == ("pusher:error", 4200)
    assert told["data"]["message"].startswith(f"Unknown event '{name}': clients send pusher:subscribe")

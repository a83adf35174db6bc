"""The HTTP API's routes for kept events: reading and deleting them, positions, events that are not kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import msgspec
import pytest

from soundpost.config.settings import ScalingSettings
from soundpost.core.app_settings import HistorySettings
from soundpost.wire.frames import TEXT
from support.harness import DEFAULT_APP, HttpResponse, RunningServer, http_request, running_server, signed_request
from support.redis_process import shared_redis

KEEPING: Final = msgspec.structs.replace(
    DEFAULT_APP,
    max_batch_size=1_000,
    max_event_data_size=100_000,
    history=(HistorySettings(channels=("kept*", "private-*", "cache-kept"), events=1_000),),
)


@pytest.fixture(scope="module", params=["one process", "two workers", "redis"])
def shared(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    redis = f"redis://127.0.0.1:{shared_redis().port}" if request.param == "redis" else None
    scaling = ScalingSettings(redis=redis, prefix=f"test-{uuid4().hex}")
    workers = 2 if request.param == "two workers" else 1
    with running_server(apps=[KEEPING], workers=workers, scaling=scaling, max_request_size=4_000_000) as running:
        yield running


@pytest.fixture
def server(shared: RunningServer) -> RunningServer:
    """The server, with empty histories."""
    assert call(shared, "DELETE", "*").status == 200
    return shared


def call(server: RunningServer, method: str, channel: str, **query: Any) -> HttpResponse:
    route = f"/channels/{quote(channel, safe='*')}/history"
    texts = {name: str(value) for name, value in query.items()}
    return http_request(server.port, signed_request(method, route, query=texts))


def read(server: RunningServer, channel: str, **query: Any) -> dict[str, Any]:
    response = call(server, "GET", channel, **query)
    assert response.status == 200, response
    found: dict[str, Any] = json.loads(response.body)
    return found


def post(server: RunningServer, route: str, body: dict[str, Any]) -> dict[str, Any]:
    response = http_request(server.port, signed_request("POST", route, json.dumps(body).encode()))
    assert response.status == 200, response
    found: dict[str, Any] = json.loads(response.body)
    return found


def publish(server: RunningServer, channel: str, *names: str, **more: Any) -> None:
    for name in names:
        post(server, "/events", {"name": name, "data": "{}", "channels": [channel], **more})


def names(page: dict[str, Any]) -> list[str]:
    return [event["event"] for event in page["events"]]


def error(response: HttpResponse) -> str:
    return str(json.loads(response.body)["error"])


# Reading


def test_events_are_answered_byte_for_byte_as_subscribers_got_them(server: RunningServer) -> None:
    with server.connect() as client:
        client.subscribe("kept")
        frames = []
        for data in ('{"a": [1,  2]}', "", 'quotes " and \\ and ä and \u2028'):
            server.publish("kept", "e", data)
            opcode, payload = client.read_frame()
            assert opcode == TEXT
            frames.append(payload)
    body = call(server, "GET", "kept").body
    last = json.loads(frames[-1])["position"]
    assert body == b'{"position":"%b","whole":true,"events":[%b]}' % (last.encode(), b",".join(frames))


def test_oldest_first_page_by_page_to_the_end(server: RunningServer) -> None:
    publish(server, "kept", *"abcde")
    found, after = [], ""
    while True:
        page = read(server, "kept", after=after, limit=2)
        assert page["whole"] is True
        found.append("".join(names(page)))
        after = page["position"]
        assert after == page["events"][-1]["position"]
        if "more" not in page:
            break
        assert page["more"] is True
    assert found == ["ab", "cd", "e"]
    assert read(server, "kept", after=after) == {"position": after, "whole": True, "events": []}
    publish(server, "kept", "f")
    assert names(read(server, "kept", after=after)) == ["f"]


def test_newest_first_with_the_end_to_go_on_after(server: RunningServer) -> None:
    publish(server, "kept", *"abc")
    page = read(server, "kept", order="newest", limit=2)
    assert (names(page), page["more"]) == (["c", "b"], True)
    publish(server, "kept", "d")
    assert names(read(server, "kept", after=page["position"])) == ["d"]
    first = read(server, "kept", limit=1)["position"]
    assert names(read(server, "kept", after=first, order="newest")) == ["d", "c", "b"]


def test_a_channel_without_events_has_a_position(server: RunningServer) -> None:
    page = read(server, "kept-empty")
    assert (page["whole"], page["events"]) == (True, [])
    publish(server, "kept-empty", "a")
    assert names(read(server, "kept-empty", after=page["position"])) == ["a"]


def test_what_is_not_kept_any_more_is_a_gap_to_go_on_after(server: RunningServer) -> None:
    publish(server, "kept", "a")
    before = read(server, "kept")["position"]
    events = [{"name": f"n{number}", "data": "", "channel": "kept"} for number in range(1_000)]
    post(server, "/batch_events", {"batch": events})
    assert names(read(server, "kept", after=before, limit=1)) == ["n0"]
    post(server, "/batch_events", {"batch": events})
    page = read(server, "kept", after=before)
    assert (page["whole"], page["gap"], page["events"]) == (False, "number", [])
    publish(server, "kept", "new")
    assert names(read(server, "kept", after=page["position"])) == ["new"]
    assert read(server, "kept", after="another.1")["gap"] == "generation"


def test_an_answer_ends_after_half_a_mebibyte(server: RunningServer) -> None:
    events = [{"name": "large", "data": "x" * 99_000, "channel": "kept"} for _ in range(30)]
    post(server, "/batch_events", {"batch": events})
    for order in ("oldest", "newest"):
        body = call(server, "GET", "kept", order=order, limit=1_000).body
        assert 500_000 < len(body) < 650_000
    found, after, has_more = 0, "", True
    while has_more:
        page = read(server, "kept", after=after)
        found += len(page["events"])
        after, has_more = page["position"], "more" in page
    assert found == 30


def test_limits_of_a_page(server: RunningServer) -> None:
    events = [{"name": "e", "data": "", "channel": "kept"} for _ in range(200)]
    post(server, "/batch_events", {"batch": events})
    assert len(read(server, "kept")["events"]) == 100
    assert len(read(server, "kept", limit="")["events"]) == 100
    assert len(read(server, "kept", limit=1_000)["events"]) == 200


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": 0}, "limit='0': expected a whole number from 1 to 1000; to read more, ask again with the answer's"),
        ({"limit": 1_001}, "limit='1001': expected a whole number from 1 to 1000"),
        ({"limit": "\u0663"}, "limit='\\u0663': expected"),
        ({"limit": "-1"}, "limit='-1': expected"),
        ({"limit": "9" * 5_000}, f"limit='{'9' * 60}': expected"),
        ({"order": "oldest-first"}, "order='oldest-first': expected 'oldest' (first, the default) or 'newest'"),
        ({"after": "7"}, "after: '7' is not a position: expected 1 to 16 letters and digits, a dot and a whole number"),
        ({"after": "?"}, "after: '?' is not a position"),
        ({"after": f"a.{2**53}"}, f"after: 'a.{2**53}' is not a position"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_rule(server: RunningServer, query: dict[str, Any], message: str) -> None:
    response = call(server, "GET", "kept", **query)
    assert response.status == 400
    assert error(response).startswith(message)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_channel_that_keeps_nothing_is_not_found(server: RunningServer, method: str) -> None:
    response = call(server, method, "news")
    assert response.status == 404
    assert error(response).startswith("news keeps no history: name channels in [[apps.history]] of app 1 in")
    assert "soundpost reload" in error(response)
    assert call(server, method, "bad name").status == 400


def test_the_routes_are_signed(server: RunningServer) -> None:
    for method in ("GET", "DELETE"):
        unsigned = f"{method} /apps/1/channels/kept/history HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        assert http_request(server.port, unsigned.encode()).status == 401
    wrong = http_request(server.port, signed_request("POST", "/channels/kept/history", b"{}"))
    assert (wrong.status, wrong.headers["allow"]) == (405, "DELETE, GET")


# Deleting


def test_a_deleted_history_is_a_gap_for_earlier_positions(server: RunningServer) -> None:
    publish(server, "kept", *"ab")
    publish(server, "kept-other", "c")
    before = read(server, "kept", limit=1)["position"]
    answer = json.loads(call(server, "DELETE", "kept").body)
    assert answer == {"channels": 1, "position": read(server, "kept")["position"]}
    assert read(server, "kept", after=before)["gap"] == "deleted"
    assert read(server, "kept", after=answer["position"])["whole"] is True
    assert read(server, "kept")["events"] == []
    assert names(read(server, "kept-other")) == ["c"]


def test_a_client_that_comes_back_from_before_a_deletion_is_told_of_the_gap(server: RunningServer) -> None:
    publish(server, "kept", *"ab")
    before = read(server, "kept", limit=1)["position"]
    assert call(server, "DELETE", "kept").status == 200
    with server.connect() as client:
        client.send_event("pusher:subscribe", {"channel": "kept", "resume": before})
        assert client.read_event()["gap"] == "deleted"


def test_all_channels_of_a_pattern_are_emptied(server: RunningServer) -> None:
    many = [f"private-encrypted-{number}" for number in range(600)]
    post(server, "/batch_events", {"batch": [{"name": "e", "data": "", "channel": name} for name in many]})
    publish(server, "private-plain", "e")
    assert json.loads(call(server, "DELETE", "private-encrypted-*").body) == {"channels": 600}
    assert all(read(server, name)["events"] == [] for name in (many[0], many[-1]))
    assert names(read(server, "private-plain")) == ["e"]
    assert json.loads(call(server, "DELETE", "private-encrypted-*").body) == {"channels": 0}
    assert call(server, "DELETE", "private encrypted-*").status == 400


# Publishing


@pytest.mark.parametrize("with_key", [False, True])
def test_an_ephemeral_event_is_delivered_and_not_kept(server: RunningServer, with_key: bool) -> None:
    def send(route: str, body: dict[str, Any]) -> int:
        headers = [f"Idempotency-Key: {uuid4()}"] if with_key else []
        request = signed_request("POST", route, json.dumps(body).encode(), headers=headers)
        return http_request(server.port, request).status

    with server.connect() as client:
        client.subscribe("kept")
        event = {"name": "typing", "data": "{}", "channel": "kept"}
        assert send("/events", {**event, "ephemeral": True}) == 200
        assert send("/batch_events", {"batch": [{**event, "ephemeral": True}, event]}) == 200
        assert send("/events", {**event, "ephemeral": None}) == 200
        assert send("/batch_events", {"batch": [{**event, "ephemeral": None}]}) == 200
        received = [client.read_event() for _ in range(5)]
    assert ["position" in each for each in received] == [False, False, True, True, True]
    assert len(read(server, "kept")["events"]) == 3


def test_an_ephemeral_that_is_no_truth_value_is_refused(server: RunningServer) -> None:
    body = json.dumps({"name": "e", "data": "", "channel": "kept", "ephemeral": "yes"}).encode()
    response = http_request(server.port, signed_request("POST", "/events", body))
    assert response.status == 422
    assert "ephemeral" in error(response)


@pytest.mark.parametrize("key_id", ["", "a b", "é", "x" * 33, "a\n", 7])
def test_a_key_id_that_is_none_is_refused(server: RunningServer, key_id: object) -> None:
    event = {"name": "e", "data": "", "channel": "kept", "key_id": key_id}
    for route, body in (("/events", event), ("/batch_events", {"batch": [event]})):
        response = http_request(server.port, signed_request("POST", route, json.dumps(body).encode()))
        assert response.status == 422
        assert "key_id" in error(response)
    assert read(server, "kept")["events"] == []


# Positions


def test_the_position_behind_a_publish(server: RunningServer) -> None:
    body = {"name": "e", "data": "", "channels": ["kept", "news"], "info": "position,subscription_count"}
    channels = post(server, "/events", body)["channels"]
    assert channels["news"] == {"subscription_count": 0}
    assert channels["kept"]["position"] == read(server, "kept")["position"]
    batch = [{"name": "e", "data": "", "channel": "kept", "info": "position"}]
    answer = post(server, "/batch_events", {"batch": batch})
    assert answer == {"batch": [{"position": read(server, "kept", order="newest")["position"]}]}


def test_the_position_of_a_channel(server: RunningServer) -> None:
    publish(server, "kept", "a")
    found = json.loads(server.request("GET", "/channels/kept", info="position").body)
    assert found == {"occupied": False, "position": read(server, "kept")["position"]}
    assert json.loads(server.request("GET", "/channels/news", info="position").body) == {"occupied": False}
    with server.connect() as client:
        client.subscribe("kept")
        assert json.loads(server.request("GET", "/channels", info="position").body) == {
            "channels": {"kept": {"position": found["position"]}}
        }


def test_the_positions_of_several_channels(server: RunningServer) -> None:
    publish(server, "kept", "a")
    wanted = ["kept", "private-a,b", "news"]
    found = json.loads(server.request("GET", "/positions", channels=json.dumps(wanted)).body)
    position = read(server, "kept")["position"]
    assert found["positions"]["kept"] == position
    assert list(found["positions"]) == ["kept", "private-a,b"]
    assert read(server, "private-a,b", after=found["positions"]["private-a,b"])["whole"] is True


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ("kept", "channels: expected a JSON list of names, such as"),
        ('["kept", 1]', "channels: expected a JSON list of names, such as"),
        ("", "channels: expected a JSON list of names, such as"),
        ('["a b"]', "channels: channel name 'a b' has a character other than"),
        (json.dumps(["kept"] * 101), "channels: 101 of them, at most 100 are allowed (max_channels_per_event)"),
    ],
)
def test_wrong_channels_have_no_positions(server: RunningServer, channels: str, message: str) -> None:
    response = server.request("GET", "/positions", channels=channels)
    assert response.status == 400
    assert error(response).startswith(message)

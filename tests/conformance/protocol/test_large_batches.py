"""``X-Soundpost-Batch``: batches beyond Pusher's ten events, and an answer for each event that is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace

from support.harness import DEFAULT_APP, HttpResponse, RawSocket, RunningServer, running_server
from support.raw_socket import http_request, signed_request

_keys = map("key-{}".format, count())
LIMITS = {"x-soundpost-max-batch-size": "200", "x-soundpost-max-request-size": "65536"}


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    app = replace(DEFAULT_APP, max_large_batch_size=200)
    with running_server(apps=[app], workers=request.param, max_request_size=65_536) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[RawSocket]:
    """A subscriber of ``room``."""
    with server.connect() as connected:
        connected.subscribe("room")
        yield connected


def event(name: str, /, **more: Any) -> dict[str, Any]:
    return {"name": name, "data": "{}", "channel": "room", **more}


def post(
    server: RunningServer, body: Any, *, route: str = "/batch_events", asks: bool = True, key: str | None = ""
) -> HttpResponse:
    headers = ["X-Soundpost-Batch: 1"] if asks else []
    if key is not None:
        headers.append(f"Idempotency-Key: {key or next(_keys)}")
    return http_request(server.port, signed_request("POST", route, json.dumps(body).encode(), headers=headers))


def told(response: HttpResponse) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("x-soundpost")}


def heard(server: RunningServer, client: RawSocket) -> list[str]:
    """The names of the events that have come to the client so far."""
    server.publish("room", "end")
    names = [client.read_event()["event"]]
    while names[-1] != "end":
        names.append(client.read_event()["event"])
    return names[:-1]


def test_two_hundred_events_are_published_in_order(server: RunningServer, client: RawSocket) -> None:
    names = [f"e{number}" for number in range(200)]

    response = post(server, {"batch": [event(name) for name in names]})

    assert (response.status, response.json()) == (200, {})
    assert told(response) == LIMITS
    assert heard(server, client) == names


def test_who_asks_is_told_the_limits_with_a_single_event(server: RunningServer, client: RawSocket) -> None:
    response = post(server, event("e"), route="/events")

    assert (response.status, response.json(), told(response)) == (200, {}, LIMITS)
    assert heard(server, client) == ["e"]


@pytest.mark.parametrize("route", ["/events", "/batch_events"])
@pytest.mark.parametrize(("asks", "key"), [(False, ""), (False, None), (True, None)])
def test_who_does_not_ask_with_a_key_is_told_nothing(
    server: RunningServer, route: str, asks: bool, key: str | None
) -> None:
    body = event("e") if route == "/events" else {"batch": [event("e")]}

    response = post(server, body, route=route, asks=asks, key=key)

    assert (response.status, response.json(), told(response)) == (200, {}, {})


def test_who_asks_is_told_the_limits_with_a_refusal_too(server: RunningServer) -> None:
    wrong = {"name": "", "data": "{}", "channels": ["a", "b"]}

    asked, unasked = post(server, wrong, route="/events"), post(server, wrong, route="/events", asks=False)

    assert (asked.status, unasked.status) == (422, 422)
    assert (told(asked), told(unasked)) == (LIMITS, {})


def test_without_asking_ten_events_stay_the_limit(server: RunningServer) -> None:
    response = post(server, {"batch": [event("e")] * 11}, asks=False)

    assert response.status == 422
    assert "at most 10 are allowed (max_batch_size)" in response.json()["error"]


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (0, "batch: the list is empty"),
        (201, "batch: 201 events, at most 200 are allowed (max_large_batch_size): split the request"),
    ],
)
def test_too_many_events_or_none_are_refused_with_the_limits(server: RunningServer, number: int, why: str) -> None:
    response = post(server, {"batch": [event("e")] * number})

    assert response.status == 422
    assert response.json()["error"] == why
    assert told(response) == LIMITS


@pytest.mark.parametrize(
    ("wrong", "status", "words"),
    [
        ({"channel": "a b"}, 422, "'a b'"),
        ({"name": "pusher:e"}, 422, "pusher:"),
        ({"data": "x" * 20_000}, 413, "max_event_data_size"),
        ({"socket_id": "7"}, 400, "socket_id"),
        ({"key_id": "§"}, 422, "key_id"),
        ({"data": {"a": 1}}, 422, "`$.data`"),
    ],
)
def test_a_wrong_event_is_named_in_its_place_and_the_others_are_published(
    server: RunningServer, client: RawSocket, wrong: dict[str, Any], status: int, words: str
) -> None:
    response = post(server, {"batch": [event("a"), event("b", **wrong), event("c")]})

    first, second, third = response.json()["batch"]
    assert (response.status, first, third, second["status"]) == (200, {}, {}, status)
    assert words in second["error"]
    assert heard(server, client) == ["a", "c"]


def test_a_batch_of_wrong_events_alone_is_answered_for_each(server: RunningServer, client: RawSocket) -> None:
    response = post(server, {"batch": [{"name": "e"}, event("")]})

    assert [each["status"] for each in response.json()["batch"]] == [422, 422]
    assert heard(server, client) == []


def test_info_stands_beside_errors(server: RunningServer, client: RawSocket) -> None:
    response = post(server, {"batch": [event(""), event("e", info="subscription_count")]})

    wrong, right = response.json()["batch"]
    assert (wrong["status"], right) == (422, {"subscription_count": 1})


def test_a_repeat_has_the_same_answer_and_nothing_is_published_twice(server: RunningServer, client: RawSocket) -> None:
    body = {"batch": [event("a"), event("", data="b"), event("c")]}
    key = next(_keys)

    first, again = post(server, body, key=key), post(server, body, key=key)

    assert first == again
    assert heard(server, client) == ["a", "c"]


def test_a_key_with_another_body_is_refused(server: RunningServer, client: RawSocket) -> None:
    key = next(_keys)
    post(server, {"batch": [event("a")]}, key=key)

    response = post(server, {"batch": [event("b"), event("")]}, key=key)

    assert (response.status, list(response.json())) == (422, ["error"])
    assert heard(server, client) == ["a"]


@pytest.mark.parametrize(("body", "status"), [({"batch": 1}, 422), ([], 422)])
def test_a_body_of_another_shape_is_refused_whole(server: RunningServer, body: Any, status: int) -> None:
    assert post(server, body).status == status

"""``Idempotency-Key``: a request to publish that is sent again is answered again, and published once.

Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from soundpost.core.app_settings import AppSettings
from support.harness import (
    DEFAULT_APP,
    HttpResponse,
    RawSocket,
    RunningServer,
    http_request,
    running_server,
    signed_request,
)

_numbers = count()
OTHER = AppSettings(id="2", key="other-key", secret="other-secret")


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(apps=[DEFAULT_APP, OTHER]) as running:
        yield running
        assert [line for line in running.log().splitlines() if "refused POST" not in line] == []


@pytest.fixture
def room() -> str:
    """A channel no other test uses; its name is a key no other test uses, too."""
    return f"room-{next(_numbers)}"


@pytest.fixture
def client(server: RunningServer, room: str) -> Iterator[RawSocket]:
    """A subscriber of ``room``."""
    with server.connect() as connected:
        connected.subscribe(room)
        yield connected


def event(channel: str, name: str = "e", **more: Any) -> dict[str, Any]:
    return {"name": name, "data": "{}", "channel": channel, **more}


def request(body: Any, key: str | None, route: str = "/events", app: AppSettings = DEFAULT_APP, **query: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = [] if key is None else [f"Idempotency-Key: {key}"]
    return signed_request("POST", route, data, app=app, query=query, headers=headers)


def send(
    server: RunningServer, body: Any, key: str | None, route: str = "/events", app: AppSettings = DEFAULT_APP
) -> Any:
    response = http_request(server.port, request(body, key, route, app))
    assert response.status == 200, response
    return json.loads(response.body)


def refusal(response: HttpResponse, status: int = 422) -> str:
    assert response.status == status, response
    assert "connection" not in response.headers, "it may send its next request on this connection"
    return str(json.loads(response.body)["error"])


def heard(server: RunningServer, room: str, *clients: RawSocket) -> list[list[str]]:
    """The names of the events that have come to each client, all subscribers of the room."""
    server.publish(room, "end")
    found: list[list[str]] = []
    for client in clients:
        names = [client.read_event()["event"]]
        while names[-1] != "end":
            names.append(client.read_event()["event"])
        found.append(names[:-1])
    return found


def test_a_repeated_request_is_answered_and_published_once(server: RunningServer, room: str, client: RawSocket) -> None:
    answers = [send(server, event(room), room) for _ in range(3)]

    assert answers == [{}] * 3
    assert heard(server, room, client) == [["e"]]


def test_without_a_key_every_request_is_an_event(server: RunningServer, room: str, client: RawSocket) -> None:
    for _ in range(3):
        send(server, event(room), None)

    assert heard(server, room, client) == [["e"] * 3]


def test_the_same_event_with_another_key_is_another_event(server: RunningServer, room: str, client: RawSocket) -> None:
    for number in range(3):
        send(server, event(room), f"{room} {number}")

    assert heard(server, room, client) == [["e"] * 3]


def test_a_batch_is_published_once(server: RunningServer, room: str, client: RawSocket) -> None:
    batch = {"batch": [event(room, name) for name in "abc"]}

    answers = [send(server, batch, room, "/batch_events") for _ in range(3)]

    assert answers == [{}] * 3
    assert heard(server, room, client) == [["a", "b", "c"]]


def test_an_event_for_several_channels_is_published_once(server: RunningServer, room: str, client: RawSocket) -> None:
    client.subscribe(f"{room}-b")
    body = {"name": "e", "data": "{}", "channels": [room, f"{room}-b"], "socket_id": "1.1"}

    for _ in range(3):
        send(server, body, room)

    assert heard(server, room, client) == [["e"] * 2]


def test_the_excepted_socket_gets_nothing(server: RunningServer, room: str, client: RawSocket) -> None:
    with server.connect() as other:
        other.subscribe(room)
        for _ in range(2):
            send(server, event(room, socket_id=client.socket_id), room)

        assert heard(server, room, client, other) == [[], ["e"]]


def test_info_is_answered_each_time(server: RunningServer, room: str, client: RawSocket) -> None:
    body = event(room, info="subscription_count")
    batch = {"batch": [event(room), event(room, info="subscription_count")]}

    assert [send(server, body, room) for _ in range(2)] == [{"channels": {room: {"subscription_count": 1}}}] * 2
    answers = [send(server, batch, f"{room} batch", "/batch_events") for _ in range(2)]
    assert answers == [{"batch": [{}, {"subscription_count": 1}]}] * 2
    assert heard(server, room, client) == [["e"] * 3]


def test_a_repeat_on_the_heels_of_the_first_is_not_published(
    server: RunningServer, room: str, client: RawSocket
) -> None:
    requests = [request(event(room, info="subscription_count"), room), request(event(room, name="other"), None)]
    with RawSocket(server.port) as publisher:
        publisher.send(requests[0] * 5 + requests[1])
        assert [publisher.read_response().status for _ in range(6)] == [200] * 6

    assert heard(server, room, client) == [["e", "other"]]


def test_a_publisher_that_was_not_answered_may_try_again(server: RunningServer, room: str, client: RawSocket) -> None:
    with RawSocket(server.port) as publisher:
        publisher.send(request(event(room), room))
    for _ in range(2):
        assert send(server, event(room), room) == {}

    assert client.read_event()["event"] == "e"
    assert heard(server, room, client) == [[]]


def test_a_request_that_broke_off_is_not_taken_for_a_first(server: RunningServer, room: str, client: RawSocket) -> None:
    with RawSocket(server.port) as publisher:
        publisher.send(request(event(room), room)[:-1])
    send(server, event(room), room)

    assert heard(server, room, client) == [["e"]]


def test_signed_anew_it_is_the_same_request(server: RunningServer, room: str, client: RawSocket) -> None:
    """A later timestamp, further parameters: it is the body that counts."""
    for attempt in "12":
        assert http_request(server.port, request(event(room), room, attempt=attempt)).status == 200

    assert heard(server, room, client) == [["e"]]


def test_keys_of_two_apps_are_two_keys(server: RunningServer, room: str, client: RawSocket) -> None:
    with server.connect("2") as other:
        other.subscribe(room)
        for app in (DEFAULT_APP, OTHER):
            send(server, event(room), room, app=app)

        assert heard(server, room, client) == [["e"]]
        server.publish(room, "end", app_id="2")
        assert [other.read_event()["event"] for _ in range(2)] == ["e", "end"]


# The key


@pytest.mark.parametrize("key", ["k", "8e03978e-40d5-43dd-bc93-6894a57f9324", "x" * 64, "a b;c,d=\\e"])
def test_quotes_and_blanks_around_a_key_are_not_part_of_it(
    server: RunningServer, room: str, client: RawSocket, key: str
) -> None:
    body = event(room)
    with RawSocket(server.port) as publisher:
        for written in (key, f'"{key}"', f'  "{key}" \t'):
            publisher.send(request(body, written))
            assert publisher.read_response().status == 200

    assert heard(server, room, client) == [["e"]]


@pytest.mark.parametrize("name", ["idempotency-key", "IDEMPOTENCY-KEY", "Idempotency-key"])
def test_the_case_of_the_header_does_not_matter(server: RunningServer, room: str, client: RawSocket, name: str) -> None:
    body = json.dumps(event(room)).encode()
    for _ in range(2):
        http_request(server.port, signed_request("POST", "/events", body, headers=[f"{name}: {room}"]))

    assert heard(server, room, client) == [["e"]]


@pytest.mark.parametrize("key", ["", '""', "x" * 65, '"' + "x" * 65 + '"', "schlüssel", "a\tb", "x" * 2_000])
@pytest.mark.parametrize("route", ["/events", "/batch_events"])
def test_what_is_no_key_is_422_and_publishes_nothing(
    server: RunningServer, room: str, client: RawSocket, key: str, route: str
) -> None:
    body = event(room) if route == "/events" else {"batch": [event(room)]}
    message = refusal(http_request(server.port, request(body, key, route)))

    assert "Idempotency-Key" in message
    assert "64 printable ASCII" in message
    assert len(message) < 400
    assert heard(server, room, client) == [[]]


def test_two_headers_are_one_key(server: RunningServer, room: str, client: RawSocket) -> None:
    """Joined by a comma, as HTTP has it: neither of the two is dropped in silence."""
    body = json.dumps(event(room)).encode()
    lines = [f"Idempotency-Key: {room}", "Accept-Language: en", "Idempotency-Key: b"]
    for _ in range(2):
        assert http_request(server.port, signed_request("POST", "/events", body, headers=lines)).status == 200
    send(server, event(room), room)

    assert heard(server, room, client) == [["e"] * 2]


def test_a_key_counts_for_its_own_request_only(server: RunningServer, room: str, client: RawSocket) -> None:
    """The next one on the connection has none, or one of its own."""
    with RawSocket(server.port) as publisher:
        for key in (room, None, None, f"{room} b", room):
            publisher.send(request(event(room), key))
            assert publisher.read_response().status == 200

    assert heard(server, room, client) == [["e"] * 4]


def test_a_request_that_offers_an_upgrade_keeps_its_key(server: RunningServer, room: str, client: RawSocket) -> None:
    """Java's HttpClient offers h2c with every request, whose head is parsed a second time then."""
    body = json.dumps(event(room)).encode()
    lines = [f"Idempotency-Key: {room}", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAAA"]
    with RawSocket(server.port) as publisher:
        for _ in range(2):
            publisher.send(signed_request("POST", "/events", body, headers=lines))
            assert publisher.read_response().status == 200
    send(server, event(room), room)

    assert heard(server, room, client) == [["e"]]


def test_a_key_with_another_body_is_422(server: RunningServer, room: str, client: RawSocket) -> None:
    send(server, event(room), room)

    for body, route in ((event(room, "other"), "/events"), ({"batch": [event(room)]}, "/batch_events")):
        message = refusal(http_request(server.port, request(body, room, route)))
        assert room in message
        assert "another body" in message
    send(server, event(room), room)

    assert heard(server, room, client) == [["e"]]


# What is refused takes no key


@pytest.mark.parametrize(
    ("wrong", "route", "status"),
    [
        (b"nope", "/events", 400),
        ({"name": "e"}, "/events", 422),
        (event("bad name"), "/events", 422),
        (event("room", data="x" * 10_241), "/events", 413),
        ({"batch": []}, "/batch_events", 422),
        ({"batch": [event("room"), event("bad name")]}, "/batch_events", 422),
        ({"batch": [event("room"), event("room", data="x" * 10_241)]}, "/batch_events", 413),
    ],
)
def test_a_request_that_was_refused_can_be_put_right(
    server: RunningServer, room: str, client: RawSocket, wrong: Any, route: str, status: int
) -> None:
    for _ in range(2):
        refusal(http_request(server.port, request(wrong, room, route)), status)
    send(server, event(room), room)

    assert heard(server, room, client) == [["e"]]


def test_nobody_else_can_use_up_a_key(server: RunningServer, room: str, client: RawSocket) -> None:
    forged = request(event(room), room).replace(b"auth_signature=", b"auth_signature=0")
    refusal(http_request(server.port, forged), 401)

    send(server, event(room), room)

    assert heard(server, room, client) == [["e"]]


def test_other_routes_take_no_notice_of_it(server: RunningServer) -> None:
    for _ in range(2):
        asked = signed_request("GET", "/connections", headers=["Idempotency-Key: " + "x" * 100])
        assert http_request(server.port, asked).status == 200

"""Requests that are sent again, to whichever worker the kernel gives the connection: published once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from uuid import uuid4

import msgspec
import pytest

from soundpost.config.settings import ScalingSettings
from soundpost.core.app_settings import HistorySettings
from support.crowd import crowd, names, read_up_to
from support.harness import DEFAULT_APP, RawSocket, RunningServer, http_request, running_server, signed_request
from support.redis_process import shared_redis

WORKERS = 3
REPEATS = 40
"""All of them on one of the workers: that happens once in 3^39 times."""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(workers=WORKERS) as running:
        yield running
        assert running.log() == ""


def request(name: str, key: str, route: str = "/events", **more: str) -> bytes:
    event = {"name": name, "data": "{}", "channel": "orders", **more}
    body = event if route == "/events" else {"batch": [event | {"name": f"{name} {number}"} for number in range(3)]}
    return signed_request("POST", route, json.dumps(body).encode(), headers=[f"Idempotency-Key: {key}"])


@pytest.mark.parametrize("route", ["/events", "/batch_events"])
def test_every_worker_answers_a_repeat_and_publishes_nothing(server: RunningServer, route: str) -> None:
    with crowd(server, each=1) as everywhere:
        for client in everywhere.clients:
            client.subscribe("orders")
        again = request("order", f"once {route}", route)

        answers = [http_request(server.port, again) for _ in range(REPEATS)]
        server.publish("orders", "end")

        assert {(answer.status, answer.body) for answer in answers} == {(200, b"{}")}
        expected = ["order"] if route == "/events" else [f"order {number}" for number in range(3)]
        for client in everywhere.clients:
            assert names(read_up_to(client, "end")) == [*expected, "end"]


def test_repeats_that_come_all_at_once_are_published_once(server: RunningServer) -> None:
    """Before any of them has been answered."""
    again = request("order", "at once", info="subscription_count")
    with crowd(server, each=1) as everywhere:
        for client in everywhere.clients:
            client.subscribe("orders")
        publishers = [RawSocket(server.port) for _ in range(REPEATS)]
        try:
            for publisher in publishers:
                publisher.send(again)
            answers = [publisher.read_response() for publisher in publishers]
        finally:
            for publisher in publishers:
                publisher.socket.close()
        server.publish("orders", "end")

        assert {answer.status for answer in answers} == {200}
        assert {answer.body for answer in answers} == {b'{"channels":{"orders":{"subscription_count":3}}}'}
        for client in everywhere.clients:
            assert names(read_up_to(client, "end")) == ["order", "end"]


def test_publishers_that_hang_up_unanswered_and_try_again_lose_and_double_nothing(server: RunningServer) -> None:
    """Each sends an event, does not wait for the answer, and sends it again on a new connection until it has one."""
    events = 25

    def publish(publisher: int) -> None:
        for number in range(events):
            again = request(f"{publisher} {number}", f"{publisher} {number}")
            for _ in range(2):
                with RawSocket(server.port) as hasty:
                    hasty.send(again)
            assert http_request(server.port, again).status == 200

    with crowd(server, each=1) as everywhere:
        for client in everywhere.clients:
            client.subscribe("orders")
        publishers = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
        for thread in publishers:
            thread.start()
        for thread in publishers:
            thread.join()
        server.publish("orders", "end")

        for client in everywhere.clients:
            found = names(read_up_to(client, "end"))[:-1]
            for publisher in range(4):
                own = [name for name in found if name.startswith(f"{publisher} ")]
                assert own == [f"{publisher} {number}" for number in range(events)]


def test_a_key_with_another_body_is_refused_by_every_worker(server: RunningServer) -> None:
    assert http_request(server.port, request("order", "taken")).status == 200

    answers = [http_request(server.port, request("another", "taken")) for _ in range(REPEATS)]

    assert {answer.status for answer in answers} == {422}


@pytest.mark.parametrize("route", ["/events", "/batch_events"])
def test_another_host_finds_the_events_in_the_history_they_share(route: str) -> None:
    app = msgspec.structs.replace(DEFAULT_APP, history=(HistorySettings(channels=("orders",)),))
    redis = ScalingSettings(redis=f"redis://127.0.0.1:{shared_redis().port}", prefix=f"test-{uuid4().hex}")
    expected = ["order"] if route == "/events" else [f"order {number}" for number in range(3)]
    with (
        running_server(apps=[app], scaling=redis) as first,
        running_server(apps=[app], scaling=redis) as second,
        first.connect() as near,
        second.connect() as far,
    ):
        for client in (near, far):
            client.subscribe("orders")
        sent = request("order", f"hosts {route}", route)
        head, _, body = sent.partition(b"\r\n\r\n")
        assert http_request(first.port, sent).status == 200
        again = http_request(second.port, head + b"\r\nX-Soundpost-Repeat: 1\r\n\r\n" + body)
        assert (again.status, again.body) == (200, b"{}")
        second.publish("orders", "end")
        for client in (near, far):
            assert names(read_up_to(client, "end")) == [*expected, "end"]
        kept = json.loads(first.request("GET", "/channels/orders/history").body)["events"]
        assert [event["event"] for event in kept] == [*expected, "end"]

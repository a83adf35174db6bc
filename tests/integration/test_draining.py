"""A server that stops: clients that are sent away in turn, or still served, and the health for load balancers."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import pytest

from soundpost.server.connections.fair_queue import SLICE
from soundpost.wire.frames import CLOSE, parse_close
from support.crowd import crowd
from support.harness import (
    RawSocket,
    RunningServer,
    children,
    http_request,
    running_server,
    signed_request,
    until,
    upgrade_request,
)
from support.operated import operated, publication

HEALTH = b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n"
READY = b"GET /up/ready HTTP/1.1\r\nHost: x\r\n\r\n"
WORKERS = pytest.mark.parametrize("workers", [1, 2])


def keep_alive(server: RunningServer) -> RawSocket:
    """An API connection that has been used already."""
    client = RawSocket(server.port)
    client.send(HEALTH)
    assert client.read_response().status == 200
    return client


def ask(client: RawSocket, request: bytes) -> tuple[int, bytes]:
    client.send(request)
    response = client.read_response()
    return response.status, response.body


def says(client: RawSocket, request: bytes, answer: tuple[int, bytes]) -> bool:
    return ask(client, request) == answer


class Leaving:
    """Clients that wait to be sent away; ``left``: when each was, and what it had heard until then."""

    def __init__(self, clients: Sequence[RawSocket]) -> None:
        self.clients = list(clients)
        self.left: dict[RawSocket, float] = {}
        self.heard: dict[RawSocket, list[bytes]] = {client: [] for client in clients}

    def read(self, seconds: float = 0.05) -> None:
        """Take in what has come; answer close frames, which must have the code 4200."""
        waiting = {client.socket: client for client in self.clients if client not in self.left}
        if not waiting:
            time.sleep(seconds)
            return
        for found in select.select(list(waiting), [], [], seconds)[0]:
            self._read(waiting[found])

    def _read(self, client: RawSocket) -> None:
        while client not in self.left and client.has_input():
            opcode, payload = client.read_frame()
            if opcode == CLOSE:
                assert parse_close(payload)[0] == 4200
                self.left[client] = time.monotonic()
                client.send_frame(CLOSE, payload)
            else:
                self.heard[client].append(payload)

    def has_begun(self, clients: int = 1) -> bool:
        self.read()
        return len(self.left) >= clients

    def all_gone(self) -> bool:
        self.read()
        return len(self.left) == len(self.clients)

    def spread(self) -> float:
        """Seconds between the first and the last."""
        return max(self.left.values()) - min(self.left.values())


# SIGTERM


@WORKERS
def test_when_the_drain_time_is_over_all_clients_are_gone(workers: int) -> None:
    with running_server(workers=workers, drain_time=1) as server, ExitStack() as stack:
        leaving = Leaving([stack.enter_context(server.connect()) for _ in range(10)])
        os.kill(server.pid, signal.SIGTERM)
        until(leaving.all_gone, "all are sent away")
        server.wait_for_the_end()
    assert server.process.returncode == 0


@WORKERS
def test_clients_are_sent_away_over_the_drain_time_and_served_until_then(workers: int) -> None:
    with running_server(workers=workers, drain_time=20) as server, ExitStack() as stack:
        if workers > 1:
            clients = stack.enter_context(crowd(server, each=5)).clients
        else:
            clients = [stack.enter_context(server.connect()) for _ in range(10)]
        for client in clients:
            client.subscribe("room")
        api = [stack.enter_context(keep_alive(server)) for _ in range(14)]
        leaving = Leaving(clients)
        os.kill(server.pid, signal.SIGTERM)
        until(leaving.has_begun, "the first is sent away")

        for connection in (api.pop(), api.pop(), api.pop()):  # the workers are told one after the other
            until(partial(says, connection, READY, (503, b'{"health":"draining"}')), "it says so")
        assert ask(api.pop(), HEALTH)[0] == 200
        published: list[tuple[str, set[RawSocket]]] = []
        already = len(leaving.left)
        while len(leaving.left) == already and api:
            name = f"event-{len(published)}"
            still_there = set(clients) - set(leaving.left)
            connection = api.pop()
            connection.send(publication("room", name))
            answer = connection.read_response()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            for _ in range(10):
                leaving.read()
            published.append((name, still_there - set(leaving.left)))
        assert len(leaving.left) < len(clients), "not all at once"
        os.kill(server.pid, signal.SIGTERM)
        until(leaving.all_gone, "all are sent away")
        server.wait_for_the_end()

    assert server.process.returncode == 0
    for name, there in published:
        for client in there:
            assert any(name.encode() in payload for payload in leaving.heard[client])


@WORKERS
def test_nobody_waits_for_clients_that_are_gone(workers: int) -> None:
    with running_server(workers=workers, drain_time=60) as server:
        with server.connect():
            pass
        until(lambda: server.request("GET", "/connections").json() == {"connections": 0}, "it has left")
        os.kill(server.pid, signal.SIGTERM)
        server.wait_for_the_end()
    assert server.process.returncode == 0


@WORKERS
def test_alone_it_sends_all_away_at_once(workers: int) -> None:
    with running_server(workers=workers) as server, ExitStack() as stack:
        leaving = Leaving([stack.enter_context(server.connect()) for _ in range(10)])
        os.kill(server.pid, signal.SIGTERM)
        until(leaving.all_gone, "all are sent away")
        server.wait_for_the_end()
    assert leaving.spread() < 9, "with other hosts they would leave over 10 s"
    assert server.process.returncode == 0


@WORKERS
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_hurries(workers: int, second: signal.Signals) -> None:
    with running_server(workers=workers, drain_time=600) as server, ExitStack() as stack:
        leaving = Leaving([stack.enter_context(server.connect()) for _ in range(10)])
        os.kill(server.pid, signal.SIGTERM)
        until(leaving.has_begun, "the first is sent away")
        assert len(leaving.left) < 10
        os.kill(server.pid, second)
        until(leaving.all_gone, "all are sent away")
        server.wait_for_the_end()
    assert server.process.returncode == 0


@WORKERS
def test_sigint_does_not_wait(workers: int) -> None:
    with running_server(workers=workers, drain_time=600, drain_delay=600) as server, ExitStack() as stack:
        leaving = Leaving([stack.enter_context(server.connect()) for _ in range(10)])
        os.kill(server.pid, signal.SIGINT)
        until(leaving.all_gone, "all are sent away")
        server.wait_for_the_end()
    assert server.process.returncode == 0


# The delay before it


@WORKERS
def test_for_the_delay_it_serves_and_says_that_it_is_going(workers: int) -> None:
    with running_server(workers=workers, drain_delay=600) as server, ExitStack() as stack:
        client = stack.enter_context(server.connect())
        client.subscribe("room")
        api = stack.enter_context(keep_alive(server))
        os.kill(server.pid, signal.SIGTERM)
        until(lambda: http_request(server.port, READY).status == 503, "it says so")

        for _ in range(4):  # every worker
            assert http_request(server.port, READY).status == 503
            assert http_request(server.port, HEALTH).status == 200
        assert ask(api, READY)[0] == 503
        late = stack.enter_context(server.connect())
        late.subscribe("room")
        api.send(publication("room", "hello"))
        answer = api.read_response()
        assert (answer.status, answer.headers.get("connection")) == (200, None), "the connection stays"
        assert [each.read_event()["event"] for each in (client, late)] == ["hello", "hello"]

        os.kill(server.pid, signal.SIGTERM)
        leaving = Leaving([client, late])
        until(leaving.all_gone, "they are sent away")
        server.wait_for_the_end()
    assert server.process.returncode == 0


def test_after_the_delay_it_goes() -> None:
    with running_server(drain_delay=1) as server, server.connect() as client:
        os.kill(server.pid, signal.SIGTERM)
        until(lambda: http_request(server.port, READY).status == 503, "it says so")
        assert client.read_close_code() == 4200
        server.wait_for_the_end()
    assert server.process.returncode == 0


# What is under way


@WORKERS
def test_a_request_that_is_half_there_is_answered_and_its_event_delivered(workers: int) -> None:
    with running_server(workers=workers, drain_time=600, shutdown_timeout=10) as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(20)]
        for client in clients:
            client.subscribe("room")
        api = stack.enter_context(keep_alive(server))
        request = publication("room", "hello")
        api.send(request[:-10])
        os.kill(server.pid, signal.SIGTERM)
        leaving = Leaving(clients)
        until(lambda: leaving.has_begun(workers), "every worker has sent one away")

        api.send(request[-10:])

        answer = api.read_response()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        there = next(client for client in reversed(clients) if client not in leaving.left)
        assert there.read_event()["event"] == "hello"
        os.kill(server.pid, signal.SIGINT)
        until(leaving.all_gone, "all are sent away")
        server.wait_for_the_end()
    assert server.process.returncode == 0


def test_it_waits_for_a_request_that_is_half_there_when_all_clients_are_gone() -> None:
    with running_server(shutdown_timeout=20) as server, RawSocket(server.port) as api, server.connect() as client:
        request = publication("room", "hello")
        api.send(request[:-10])
        until(lambda: server.request("GET", "/connections").json() == {"connections": 1}, "the head is there")
        os.kill(server.pid, signal.SIGTERM)
        assert client.read_frame()[0] == CLOSE
        client.send_frame(CLOSE, b"\x10\x68")
        with pytest.raises(EOFError):
            client.read_frame()

        api.send(request[-10:])

        answer = api.read_response()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        server.wait_for_the_end()
    assert server.process.returncode == 0


def test_a_client_that_has_just_connected_is_answered() -> None:
    """The connection was in the kernel's queue, its request is on the way."""
    with running_server(shutdown_timeout=20) as server, RawSocket(server.port) as late, server.connect() as client:
        os.kill(server.pid, signal.SIGTERM)
        leaving = Leaving([client])
        until(leaving.all_gone, "it is sent away")
        late.send(upgrade_request())
        assert late.read_head().startswith(b"HTTP/1.1 101 ")
        assert late.read_event()["event"] == "pusher:connection_established"
        assert parse_close(late.read_frame()[1])[0] == 4200


def test_idle_connections_are_not_waited_for() -> None:
    with running_server(shutdown_timeout=600) as server, keep_alive(server) as idle:
        os.kill(server.pid, signal.SIGTERM)
        server.wait_for_the_end()
        assert idle.read_rest() == b""
    assert server.process.returncode == 0


def test_what_waits_for_a_slow_client_is_sent_before_it_goes() -> None:
    with running_server(shutdown_timeout=20) as server, server.connect() as slow:
        slow.subscribe("room")
        data = "x" * 10_000
        for number in range(90):
            assert server.publish("room", f"event-{number}", data).status == 200
        os.kill(server.pid, signal.SIGTERM)

        names = []
        while (frame := slow.read_frame())[0] != CLOSE:
            names.append(frame[1].split(b'"', 4)[3].decode())

        assert names == [f"event-{number}" for number in range(90)]
        assert parse_close(frame[1])[0] == 4200
        slow.send_frame(CLOSE, frame[1])
        server.wait_for_the_end()
    assert server.process.returncode == 0


def test_an_answer_that_a_slow_client_reads_is_sent_whole() -> None:
    with running_server(shutdown_timeout=20) as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(4)]
        for name, client in enumerate(clients):
            for number in range(900):
                client.subscribe(f"a-channel-with-a-long-name-{'x' * 150}-{name}-{number}")
        api = stack.enter_context(keep_alive(server))
        api.send(signed_request("GET", "/channels") * SLICE)
        until(lambda: server.request("GET", "/connections").status == 200, "it was asked")
        os.kill(server.pid, signal.SIGTERM)
        for client in clients:
            client.read_close_code()
        answers = [api.read_response()]
        while answers[-1].headers.get("connection") != "close":
            answers.append(api.read_response())
        assert all("channels" in answer.json() for answer in answers)
        server.wait_for_the_end()
    assert server.process.returncode == 0


# Told to stop before it has started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 3])
def test_told_to_stop_while_its_workers_start_it_leaves_nothing_behind(workers: int, number: signal.Signals) -> None:
    with operated() as server:
        server.configure()
        process = server.shell.start("start", "--workers", "3")
        until(lambda: len(children(process.popen.pid)) >= workers, "workers are started")
        assert process.stop(number) == 0
        assert process.faults() == [], "its workers hold the other ends of these pipes"

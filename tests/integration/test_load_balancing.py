"""Three servers behind Nginx, without sticky sessions: nobody need know which one a client is on, or that one goes."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Final

from soundpost.config.settings import ScalingSettings
from soundpost.wire.frames import CLOSE, TEXT
from soundpost.wire.json_text import encode
from support.crowd import join, read_up_to
from support.harness import DEFAULT_APP, RawSocket, http_request, running_server, signed_request, until
from support.nginx_process import running_nginx
from support.redis_process import free_port, running_redis

CHANNEL: Final = "room"


class Publishing:
    """Publishes numbered events through the load balancer until it is stopped; notes those that were taken."""

    def __init__(self, port: int) -> None:
        self.taken: list[str] = []
        self.refused: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(0.01):
            number += 1
            body = encode({"name": f"event-{number}", "channel": CHANNEL, "data": "{}"})
            answer = http_request(self._port, signed_request("POST", "/events", body))
            (self.taken if answer.status == 200 else self.refused).append(f"event-{number}")

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


class Listener:
    """A client that reads all the time, and comes back when it is sent away."""

    def __init__(self, port: int) -> None:
        self.heard: list[str] = []
        self.moves = 0
        self._port = port
        self._socket = self._connect()

    def _connect(self) -> RawSocket:
        """On a server that goes on: one that is about to stop says so in place of an answer."""
        while True:
            client = RawSocket.open(self._port)
            client.send_event("pusher:subscribe", {"channel": CHANNEL})
            if client.read_frame()[0] == TEXT:
                return client
            client.socket.close()

    def read(self) -> None:
        """Take in what has come."""
        while self._socket.has_input():
            try:
                opcode, payload = self._socket.read_frame()
            except EOFError:
                opcode, payload = CLOSE, b""
            if opcode == CLOSE:
                self._socket.socket.close()
                self._socket = self._connect()
                self.moves += 1
            elif b'"event":"event-' in payload:
                self.heard.append(payload.split(b'"', 4)[3].decode())

    def close(self) -> None:
        self._socket.socket.close()


def test_no_sticky_sessions_are_needed() -> None:
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis())
        scaling = ScalingSettings(redis=redis.url)
        servers = [stack.enter_context(running_server(scaling=scaling, workers=1)) for _ in range(3)]
        for server in servers:
            until(lambda s=server: s.publish("x", "e").body == b"{}", "events flow")  # type: ignore[misc]
        port = stack.enter_context(running_nginx([server.port for server in servers]))
        clients = [stack.enter_context(RawSocket.open(port)) for _ in range(6)]
        users = [f"user {number // 2}" for number in range(6)]  # two tabs each, on two servers
        for client, user in zip(clients, users, strict=True):
            join(client, DEFAULT_APP, "presence-room", user)

        for _ in range(5):  # a question, on whichever server
            answer = http_request(port, signed_request("GET", "/channels/presence-room", query={"info": "user_count"}))
            assert answer.json() == {"occupied": True, "user_count": 3}
        body = encode({"name": "hello", "channel": "presence-room", "data": "{}"})
        assert http_request(port, signed_request("POST", "/events", body)).status == 200
        for client in clients:
            read_up_to(client, "hello")


def test_servers_are_restarted_one_after_the_other_under_load() -> None:
    """Clients that stay connected lose nothing; those that are sent away are served at once by another server."""
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis())
        scaling = ScalingSettings(redis=redis.url)
        ports = [free_port() for _ in range(3)]
        running = {port: ExitStack() for port in ports}

        def start(port: int) -> None:
            server = running[port].enter_context(running_server(scaling=scaling, workers=1, port=port))
            until(lambda: server.publish("x", "e").body == b"{}", "events flow")

        for port in ports:
            stack.callback(running[port].close)
            start(port)
        balancer = stack.enter_context(running_nginx(ports))
        direct = [Listener(port) for port in ports]  # of these, two stay connected while the third's server restarts
        listeners = [*direct, *(Listener(balancer) for _ in range(12))]
        publishing = Publishing(balancer)
        stack.callback(publishing.stop)

        def everybody_hears(count: int) -> None:
            target = len(publishing.taken) + count

            def heard() -> bool:
                for listener in listeners:
                    listener.read()
                return len(publishing.taken) >= target

            until(heard, "events go on")

        everybody_hears(20)
        for number, port in enumerate(ports):
            staying = [listener for i, listener in enumerate(direct) if i != number]
            before = {listener: (listener.moves, len(publishing.taken)) for listener in staying}
            closing = threading.Thread(target=running[port].close)
            direct[number].close()
            listeners.remove(direct[number])
            closing.start()
            everybody_hears(10)
            closing.join()
            running[port] = ExitStack()
            stack.callback(running[port].close)
            start(port)
            everybody_hears(10)
            direct[number] = Listener(port)
            listeners.append(direct[number])
            for listener in staying:
                assert listener.moves == before[listener][0], "it was not to be sent away"
        everybody_hears(20)
        publishing.stop()

        def missing(listener: Listener) -> list[str]:
            """What a listener has not heard since the first event it heard."""
            listener.read()
            since = publishing.taken.index(next(name for name in listener.heard if name in publishing.taken))
            return [name for name in publishing.taken[since:] if name not in listener.heard]

        assert any(listener.moves for listener in listeners), "some were sent away, and came back"
        for listener in listeners:
            assert len(listener.heard) == len(set(listener.heard)), "nothing twice"
            if not listener.moves:
                until(lambda of=listener: not missing(of), lambda of=listener: f"lost {missing(of)}")  # type: ignore[misc]
            else:
                until(
                    lambda of=listener: publishing.taken[-1] not in missing(of),  # type: ignore[misc]
                    lambda of=listener: f"after {of.moves} moves it lacks {missing(of)} of {len(publishing.taken)}",  # type: ignore[misc]
                )
            listener.close()

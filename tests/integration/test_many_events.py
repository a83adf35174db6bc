"""An application that publishes often: what comes while a request is under way goes together, in order, and once."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import pytest

from soundpost.broadcasting.broadcaster import Broadcaster
from soundpost.config.settings import ScalingSettings
from soundpost.errors import BroadcastError
from support.embedded import running_embedded
from support.harness import DEFAULT_APP, RawSocket, RunningServer, running_server, until
from support.misbehaving_server import MisbehavingServer, answer, answering, misbehaving
from support.nginx_process import running_nginx
from support.redis_process import shared_redis
from support.self_signed import self_signed

CALLERS, EACH = 8, 60
Way = Callable[[Broadcaster], None]


class Place(NamedTuple):
    """Where an application publishes to, and where its clients are."""

    port: int
    clients: RunningServer | None
    options: dict[str, Any]


def connected(place: Place) -> RawSocket:
    assert place.clients is not None
    return place.clients.connect()


def broadcaster_at(place: Place, **options: Any) -> Broadcaster:
    made = Broadcaster()
    common = {"app_id": "1", "key": "app-key", "secret": DEFAULT_APP.secret, "port": place.port, "timeout": 20.0}
    made.configure({**common, **place.options, **options})
    return made


@pytest.fixture(scope="module", params=["one process", "two workers", "embedded", "Nginx", "two hosts", "TLS"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        if request.param in ("two hosts", "TLS"):
            scaling = ScalingSettings(redis=shared_redis().url, prefix=f"many-{os.getpid()}-{request.param[:3]}")
            options: dict[str, Any] = {}
            tls: dict[str, Any] = {}
            if request.param == "TLS":
                certificate, key = self_signed(tmp_path_factory.mktemp("tls"))
                tls = {"tls": {"certificate": str(certificate), "key": str(key)}}
                options = {"scheme": "https", "verify": str(certificate), "host": "localhost"}
            own = stack.enter_context(running_server(scaling=scaling, **tls))
            yield Place(own.port, stack.enter_context(running_server(scaling=scaling)), options)
            return
        if request.param == "embedded":
            site = stack.enter_context(running_embedded())
            yield Place(site.port, site, {})
            return
        workers: dict[str, Any] = {} if request.param == "one process" else {"workers": 2}
        server = stack.enter_context(running_server(**workers))
        port = stack.enter_context(running_nginx([server.port])) if request.param == "Nginx" else server.port
        yield Place(port, server, {})


def publish_each(broadcaster: Broadcaster, caller: int) -> None:
    for number in range(EACH):
        broadcaster.publish("room", f"{caller}-{number}", {"number": number})


def by_threads(broadcaster: Broadcaster) -> None:
    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(partial(publish_each, broadcaster), range(CALLERS)))


def by_tasks(broadcaster: Broadcaster) -> None:
    async def some(caller: int) -> None:
        for number in range(EACH):
            await broadcaster.apublish("room", f"{caller}-{number}", {"number": number})

    async def run() -> None:
        await asyncio.gather(*[some(caller) for caller in range(CALLERS)])
        await broadcaster.aclose()

    asyncio.run(run())


def in_a_batch(broadcaster: Broadcaster) -> None:
    with broadcaster.batch():
        for caller in range(CALLERS):
            publish_each(broadcaster, caller)


def heard(client: RawSocket, count: int) -> list[str]:
    """The names of the next events, which are the last ones."""
    names = [client.read_event()["event"] for _ in range(count)]
    assert not client.has_input()
    return names


def assert_whole(names: list[str]) -> None:
    """Assert that the events of each caller have come once, in order."""
    for caller in range(CALLERS):
        assert [name for name in names if name.startswith(f"{caller}-")] == [f"{caller}-{n}" for n in range(EACH)]
    assert len(names) == CALLERS * EACH


@pytest.mark.parametrize(
    ("way", "deliver"), [(by_threads, "now"), (by_tasks, "now"), (by_threads, "background"), (in_a_batch, "now")]
)
def test_all_arrive_once_and_in_the_order_of_each_caller(place: Place, way: Way, deliver: str) -> None:
    broadcaster = broadcaster_at(place, deliver=deliver)
    with connected(place) as client:
        client.subscribe("room")
        way(broadcaster)
        broadcaster.close()

        assert_whole(heard(client, CALLERS * EACH))


def test_a_wrong_event_is_its_callers_alone(place: Place) -> None:
    broadcaster = broadcaster_at(place)
    broadcaster.publish("room", "first")  # whose answer tells how large a batch may be
    with connected(place) as client:
        client.subscribe("room")

        def publish(number: int) -> BroadcastError | None:
            data = "x" * 20_000 if number == 7 else ""
            try:
                broadcaster.publish("room", f"e{number}", {"data": data})
            except BroadcastError as error:
                return error
            return None

        with ThreadPoolExecutor(16) as pool:
            errors = list(pool.map(publish, range(16)))

        assert sorted(heard(client, 15)) == sorted(f"e{number}" for number in range(16) if number != 7)
        assert [number for number, error in enumerate(errors) if error is not None] == [7]
        assert "max_event_data_size" in str(errors[7])
        assert "event e7 on room: " in str(errors[7])
    broadcaster.close()


class TestRequests:
    """How many requests there are, and what a server without large batches gets."""

    def paths(self, server: MisbehavingServer) -> list[bytes]:
        return [request.split(b"?")[0].rsplit(b"/", 1)[1] for request in server.requests]

    @pytest.mark.parametrize("driver", ["soundpost", "pusher", "reverb"])
    def test_a_server_without_large_batches_gets_single_events(self, driver: str) -> None:
        with misbehaving(answering(answer(200))) as server:
            here = {"host": "127.0.0.1", "scheme": "http"}
            broadcaster = broadcaster_at(Place(server.port, None, here), driver=driver, deliver="background")
            for number in range(20):
                broadcaster.publish("room", f"e{number}")
            broadcaster.close()

            assert self.paths(server) == [b"events"] * 20
            asked = [b"X-Soundpost" in request for request in server.requests]
            assert asked == [driver == "soundpost"] * 20

    @pytest.mark.parametrize("driver", ["soundpost", "embedded"])
    def test_a_lost_answer_is_asked_for_again_with_the_same_batch(self, driver: str) -> None:
        """The driver ``embedded`` sends over HTTP too, where another process has the server."""
        told = ["X-Soundpost-Max-Batch-Size: 100", "X-Soundpost-Max-Request-Size: 100000"]
        gathered = threading.Event()

        def behave(connection: socket.socket, server: MisbehavingServer) -> None:
            while server.read_request(connection):
                if len(server.requests) == 2:
                    gathered.wait(20)
                if len(server.requests) == 3:
                    return  # without an answer
                connection.sendall(answer(200, b"{}", *told))

        with misbehaving(behave) as server:
            options = {"driver": driver, "site_url": f"http://127.0.0.1:{server.port}"}
            broadcaster = broadcaster_at(Place(server.port, None, options), deliver="background")
            broadcaster.publish("room", "first")
            until(lambda: len(server.requests) == 1, "the first")
            broadcaster.publish("room", "second")
            until(lambda: len(server.requests) == 2, "the second")
            for number in range(50):
                broadcaster.publish("room", f"e{number}")
            gathered.set()
            broadcaster.close()

            *_, lost, again = server.requests
            assert self.paths(server) == [b"events", b"events", b"batch_events", b"batch_events"]
            assert lost.partition(b"\r\n\r\n")[2] == again.partition(b"\r\n\r\n")[2]
            keys = [re.findall(rb"Idempotency-Key: (\S+)", request) for request in (lost, again)]
            assert keys[0] == keys[1] != []
            assert b"X-Soundpost-Repeat" not in lost
            assert b"X-Soundpost-Repeat: 1" in again


HTML = b"<html><title>Welcome to the hotel</title></html>"
TOLD = ("X-Soundpost-Max-Batch-Size: 100", "X-Soundpost-Max-Request-Size: 100000")
FINAL = {
    "a web page": (answer(200, HTML), "with a web page titled 'Welcome to the hotel'"),
    "half of an answer": (answer(200, b'{"batch":[{},{}'), "not with the JSON of a Pusher API"),
    "results of another batch": (answer(200, b'{"batch":[{},{}]}', *TOLD), "2 result(s) for 5 events"),
    "a wrong signature": (answer(401, b'{"error":"Invalid signature"}', *TOLD), "check that key and secret"),
    "no such app": (answer(404, b'{"error":"No matching application"}'), "check app id and path"),
}
PASSING = {
    "too many requests": answer(429, b"slow down", "Retry-After: 1"),
    "a server that restarts": answer(503, HTML),
    "a server that fails": answer(500, b""),
}


class TestNonsense:
    """A large batch whose answer is not an answer to it: each event is sent, once, or named in an error."""

    @pytest.fixture
    def batch(self) -> Iterator[Callable[..., tuple[MisbehavingServer, Broadcaster]]]:
        """Have five events sent in one batch to a server that has told its limit, and gives such answers then."""
        with ExitStack() as stack:

            def send(deliver: str, *answers: bytes) -> tuple[MisbehavingServer, Broadcaster]:
                server = stack.enter_context(misbehaving(answering(answer(200, b"{}", *TOLD), *answers)))
                broadcaster = broadcaster_at(Place(server.port, None, {}), deliver=deliver)
                stack.callback(broadcaster.close)
                broadcaster.publish("room", "first")
                until(lambda: bool(server.requests), "the first")
                with broadcaster.batch():
                    for number in range(5):
                        broadcaster.publish("room", f"e{number}")
                return server, broadcaster

            yield send

    @pytest.mark.parametrize(("reply", "reason"), FINAL.values(), ids=FINAL)
    def test_a_caller_is_told(self, batch: Callable[..., Any], reply: bytes, reason: str) -> None:
        with pytest.raises(BroadcastError, match=r"^event e0 on room and 4 more: ") as found:
            batch("now", reply)

        assert reason in str(found.value)

    @pytest.mark.parametrize(("reply", "reason"), FINAL.values(), ids=FINAL)
    def test_the_log_names_every_event(
        self, batch: Callable[..., Any], caplog: pytest.LogCaptureFixture, reply: bytes, reason: str
    ) -> None:
        server, _ = batch("background", reply)

        until(lambda: "all of this batch: " in caplog.text, "the line")
        assert "all of this batch: e0 on room, e1 on room, e2 on room, e3 on room, e4 on room" in caplog.text
        assert reason in caplog.text
        assert len(server.requests) == 2

    @pytest.mark.parametrize("reply", PASSING.values(), ids=PASSING)
    def test_what_may_pass_is_sent_again_unchanged(self, batch: Callable[..., Any], reply: bytes) -> None:
        server, broadcaster = batch("background", reply, reply, answer(200, b"{}", *TOLD))
        broadcaster.close()

        requests = [(request.partition(b"\r\n\r\n")[2], keys_of(request)) for request in server.requests[1:]]
        assert len(requests) >= 2
        assert requests == [requests[0]] * len(requests)
        assert b"X-Soundpost-Repeat: 1" in server.requests[-1]

    def test_a_server_that_takes_nothing_so_large_is_asked_for_each_event(self, batch: Callable[..., Any]) -> None:
        with pytest.raises(BroadcastError, match=r"^event e0 on room: .* The data of e0 has 2 bytes"):
            batch("now", answer(413, HTML))


def keys_of(request: bytes) -> list[bytes]:
    return re.findall(rb"Idempotency-Key: (\S+)", request)


def test_a_proxy_that_takes_small_requests_only_lets_all_pass() -> None:
    with running_server() as server, running_nginx([server.port], body="16k") as port:
        broadcaster = broadcaster_at(Place(port, server, {}))
        broadcaster.publish("room", "first")
        with server.connect() as client:
            client.subscribe("room")
            with broadcaster.batch():
                for number in range(100):
                    broadcaster.publish("room", f"e{number}", "x" * 1_000)

            assert heard(client, 100) == [f"e{number}" for number in range(100)]
        broadcaster.close()


def test_a_forked_process_has_turns_of_its_own(place: Place) -> None:
    broadcaster = broadcaster_at(place)
    with connected(place) as client:
        client.subscribe("room")
        broadcaster.publish("room", "parent")
        broadcaster.publish("room", "parent")
        pid = os.fork()
        if not pid:
            try:
                with ThreadPoolExecutor(4) as pool:
                    list(pool.map(lambda n: broadcaster.publish("room", f"child {n}"), range(20)))
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        broadcaster.publish("room", "parent")

        names = Counter(heard(client, 23))
        assert names == Counter({"parent": 3, **{f"child {number}": 1 for number in range(20)}})
    broadcaster.close()

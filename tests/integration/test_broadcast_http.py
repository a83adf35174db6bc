"""Publishing over HTTP: to a real server, and to servers that do what they should not."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from soundpost import Broadcaster, EncryptedPrivateChannel, broadcast
from soundpost.broadcasting.drivers.http import HttpDriver
from soundpost.broadcasting.message import Message
from soundpost.client import SyncClient, with_secret
from soundpost.contrib import sending
from soundpost.errors import BroadcastError
from support.harness import DEFAULT_APP, RunningServer, running_server
from support.misbehaving_server import MisbehavingServer, answer, answering, misbehaving
from support.raw_socket import TIMEOUT
from support.redis_process import free_port
from support.self_signed import self_signed

SECRET = "very-s3cret"
Publish = Callable[..., None]


@pytest.fixture(params=["sync", "async"])
def publish(request: pytest.FixtureRequest) -> Publish:
    """Publish by the blocking or the asynchronous form, which must not differ in anything a test can see."""

    def by(broadcaster: Broadcaster, *args: Any, times: int = 1, **options: Any) -> None:
        if request.param == "sync":
            for _ in range(times):
                broadcaster.publish(*args, **options)
        else:

            async def run() -> None:
                try:
                    for _ in range(times):
                        await broadcaster.apublish(*args, **options)
                finally:
                    await broadcaster.aclose()

            asyncio.run(run())

    return by


def for_server(port: int, **options: Any) -> Broadcaster:
    broadcaster = Broadcaster()
    broadcaster.configure(
        {
            "app_id": "1",
            "key": "app-key",
            "secret": SECRET,
            "port": port,
            "timeout": 20.0,
            "connect_timeout": 20.0,
            **options,
        }
    )
    return broadcaster


def error_of(publish: Publish, broadcaster: Broadcaster, *args: Any, **options: Any) -> BroadcastError:
    """The error; it names event and channel, and neither secret nor signature."""
    began = time.monotonic()
    with pytest.raises(BroadcastError) as caught:
        publish(broadcaster, *(args or ("orders.7", "OrderShipped", {"id": 7})), **options)
    assert time.monotonic() - began < TIMEOUT, "whatever the server does, it ends"
    text = str(caught.value)
    assert text.startswith("event OrderShipped on orders.7: ")
    assert SECRET not in text
    assert "auth_signature" not in text
    assert not re.search(r"[0-9a-f]{32,}", text)
    assert caught.value.__cause__ is None
    broadcaster.close()
    return caught.value


class TestRealServer:
    @pytest.fixture
    def broadcaster(self, server: RunningServer) -> Any:
        made = for_server(server.port, secret=DEFAULT_APP.secret, timeout=20.0)
        yield made
        made.close()

    def test_it_arrives(self, server: RunningServer, broadcaster: Broadcaster, publish: Publish) -> None:
        with server.connect() as client, server.connect() as other:
            client.subscribe("orders.7")
            other.subscribe("orders.7")
            publish(broadcaster, ["orders.7", "more"], "OrderShipped", {"text": "ä€😀"}, socket_id=other.socket_id)
            assert client.read_event() == {"event": "OrderShipped", "channel": "orders.7", "data": '{"text":"ä€😀"}'}
            server.publish("orders.7", "end")
            assert other.read_event()["event"] == "end"

    def test_more_channels_and_events_than_a_request_takes(
        self, server: RunningServer, broadcaster: Broadcaster, publish: Publish
    ) -> None:
        with server.connect() as client:
            names = [f"orders.{number}" for number in range(120)]
            for name in names[::40]:
                client.subscribe(name)
            publish(broadcaster, names, "tick")
            assert [client.read_event()["channel"] for _ in range(3)] == names[::40]
        with server.connect() as client:
            client.subscribe("orders.7")
            with broadcaster.batch():
                for number in range(25):
                    broadcaster.publish("orders.7", f"tick {number}")
            assert [client.read_event()["event"] for _ in range(25)] == [f"tick {number}" for number in range(25)]

    def test_encrypted_events_are_unreadable_to_the_server(self, server: RunningServer, publish: Publish) -> None:
        key = base64.b64encode(bytes(range(32))).decode()
        broadcaster = for_server(server.port, secret=DEFAULT_APP.secret, encryption_master_key=key)
        channel = EncryptedPrivateChannel("orders").name
        url = f"http://127.0.0.1:{server.port}"
        knows = with_secret(DEFAULT_APP.key, DEFAULT_APP.secret, encryption_master_key=key)
        knows_nothing = with_secret(DEFAULT_APP.key, DEFAULT_APP.secret)
        with (
            SyncClient(url, DEFAULT_APP.key, auth=knows) as reader,
            SyncClient(url, DEFAULT_APP.key, auth=knows_nothing) as other,
        ):
            readable, sealed = reader.subscribe(channel), other.subscribe(channel)
            publish(broadcaster, channel, "tick", {"id": 7})
            assert readable.next(timeout=20).data == {"id": 7}
            assert set(sealed.next(timeout=20).data) == {"nonce", "ciphertext"}
        broadcaster.close()

    def test_many_threads_share_a_few_connections(self, server: RunningServer, broadcaster: Broadcaster) -> None:
        with server.connect() as client:
            client.subscribe("orders.7")

            def work(number: int) -> None:
                for n in range(20):
                    broadcaster.publish("orders.7", f"{number} {n}")

            threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            names = [client.read_event()["event"] for _ in range(160)]
        for number in range(8):
            assert [name for name in names if name.startswith(f"{number} ")] == [f"{number} {n}" for n in range(20)]

    async def test_many_tasks_and_several_event_loops(self, server: RunningServer, broadcaster: Broadcaster) -> None:
        async def work() -> None:
            await asyncio.gather(*(broadcaster.apublish("orders.7", f"tick {n}") for n in range(30)))
            await broadcaster.aclose()

        with server.connect() as client:
            client.subscribe("orders.7")
            await work()
            await asyncio.to_thread(asyncio.run, work())
            names = [client.read_event()["event"] for _ in range(60)]
        assert sorted(names) == sorted([f"tick {n}" for n in range(30)] * 2)

    def test_a_wrong_secret_and_a_wrong_app(self, server: RunningServer, publish: Publish) -> None:
        error = error_of(publish, for_server(server.port))
        assert error.status == 401
        assert "check that key and secret are this app's" in str(error)
        error = error_of(publish, for_server(server.port, app_id="2"))
        assert error.status in (401, 404)

    def test_data_that_is_too_large_names_the_field(self, broadcaster: Broadcaster, publish: Publish) -> None:
        with pytest.raises(BroadcastError) as caught:
            publish(broadcaster, "orders.7", "OrderShipped", {"id": 7, "notes": "x" * 20_000})
        assert caught.value.status == 413
        assert "The data of OrderShipped has 20019 bytes, of which 'notes' has 20002: send an id" in str(caught.value)

    def test_a_restarted_server_is_not_noticed(self, publish: Publish) -> None:
        """Its connections are gone; the next event takes a new one."""
        port = free_port()
        broadcaster = for_server(port, secret=DEFAULT_APP.secret, timeout=20.0)
        with running_server(port=port):
            publish(broadcaster, "orders.7", "before")
        with running_server(port=port) as server, server.connect() as client:
            client.subscribe("orders.7")
            publish(broadcaster, "orders.7", "after")
            assert client.read_event()["event"] == "after"
        broadcaster.close()


class TestNobodyThere:
    def test_nothing_listens(self, publish: Publish) -> None:
        port = free_port()
        error = error_of(publish, for_server(port))
        assert error.status == 0
        assert str(error).endswith(
            f"nothing listens at http://127.0.0.1:{port} (connection refused): is the server running?"
        )

    def test_the_name_is_not_known(self, publish: Publish) -> None:
        error = error_of(publish, for_server(8080, host="no-such-host.invalid"))
        assert "the host name of http://no-such-host.invalid:8080 is not known" in str(error)

    def test_nobody_accepts(self, publish: Publish) -> None:
        """The queue of a listener that accepts nothing is full: to connect takes for ever."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            port = listener.getsockname()[1]
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            error = error_of(publish, for_server(port, connect_timeout=0.2, timeout=5.0))
            assert str(error).endswith(f"http://127.0.0.1:{port} did not answer in time")
            for filler in fillers:
                filler.close()

    def test_after_five_failures_it_fails_at_once(self, publish: Publish) -> None:
        def hang(connection: socket.socket, server: MisbehavingServer) -> None:
            server.read_request(connection)
            server.over.wait(30)

        with misbehaving(hang) as server:
            broadcaster = for_server(server.port, timeout=0.2)
            for _ in range(5):
                error_of(publish, broadcaster)
            asked = len(server.requests)
            error = error_of(publish, broadcaster)
            assert "it failed 5 times in a row and is tried again in" in str(error)
            assert len(server.requests) == asked


class TestSlowServers:
    """Never longer than ``timeout``, whatever they do."""

    def test_one_that_never_answers(self, publish: Publish) -> None:
        def hang(connection: socket.socket, server: MisbehavingServer) -> None:
            server.read_request(connection)
            server.over.wait(30)

        with misbehaving(hang) as server:
            error = error_of(publish, for_server(server.port, timeout=0.4))
            assert str(error).endswith(f"http://127.0.0.1:{server.port} did not answer in time")
            assert len(server.requests) == 1, "whether it was published is not known: it is not sent again"

    def test_one_that_answers_a_byte_at_a_time(self, publish: Publish) -> None:
        """Each byte comes in time; all of them do not."""

        def drip(connection: socket.socket, server: MisbehavingServer) -> None:
            server.read_request(connection)
            for byte in answer(200, b" " * 1000):
                connection.sendall(bytes([byte]))
                if server.over.wait(0.05):
                    return

        with misbehaving(drip) as server:
            error = error_of(publish, for_server(server.port, timeout=0.4))
            assert str(error).endswith("did not answer in time")

    def test_one_that_does_not_read(self, publish: Publish) -> None:
        with misbehaving(lambda connection, server: (server.over.wait(30), None)[1]) as server:
            broadcaster = for_server(server.port, timeout=0.4)
            error = error_of(publish, broadcaster, "orders.7", "OrderShipped", "x" * 20_000_000)
            assert str(error).endswith("did not answer in time")


class TestRetry:
    def test_a_kept_connection_that_was_closed_meanwhile(self, publish: Publish) -> None:
        with misbehaving(answering(answer(200), close=True)) as server:
            broadcaster = for_server(server.port)
            publish(broadcaster, "orders.7", "OrderShipped", times=3)
            assert server.connections == 3
            broadcaster.close()

    def test_a_kept_connection_that_is_closed_when_it_is_used(self, publish: Publish) -> None:
        """The second request goes out on a connection that the server closes instead of answering."""

        def behave(connection: socket.socket, server: MisbehavingServer) -> None:
            server.read_request(connection)
            connection.sendall(answer(200))
            server.read_request(connection)

        with misbehaving(behave) as server:
            broadcaster = for_server(server.port, timeout=10.0)
            publish(broadcaster, "orders.7", "OrderShipped", times=2)
            keys = [re.findall(rb"(?i)idempotency-key: (\S+)", request) for request in server.requests]
            assert len(keys) == 3
            assert keys[1] == keys[2] != keys[0], "sent again it is known as the same"
            broadcaster.close()

    def test_a_connection_is_kept(self, publish: Publish) -> None:
        with misbehaving(answering(answer(200))) as server:
            broadcaster = for_server(server.port)
            publish(broadcaster, "orders.7", "OrderShipped", times=3)
            assert (server.connections, len(server.requests)) == (1, 3)
            broadcaster.close()

    @pytest.mark.parametrize("status", [502, 503])
    def test_a_proxy_whose_server_is_being_restarted(self, publish: Publish, status: int) -> None:
        with misbehaving(answering(answer(status, b"<html>"), answer(200))) as server:
            broadcaster = for_server(server.port, timeout=10.0)
            publish(broadcaster, "orders.7", "OrderShipped")
            assert len(server.requests) == 2
            broadcaster.close()

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 500, 504])
    def test_other_answers_are_final(self, publish: Publish, status: int) -> None:
        with misbehaving(answering(answer(status, b'{"error":"because"}'))) as server:
            error = error_of(publish, for_server(server.port))
            assert error.status == status
            assert error.may_pass is (status in (429, 500, 504))
            assert f"http://127.0.0.1:{server.port} answered {status}: because" in str(error)
            assert len(server.requests) == 1

    def test_twice_is_enough(self, publish: Publish) -> None:
        with misbehaving(answering(answer(503, b"busy"))) as server:
            error = error_of(publish, for_server(server.port, timeout=10.0))
            assert error.status == 503
            assert len(server.requests) == 2


class TestAnswers:
    def reason(self, publish: Publish, reply: bytes, **options: Any) -> str:
        with misbehaving(answering(reply, close=True)) as server:
            return str(error_of(publish, for_server(server.port, timeout=10.0, **options)))

    def test_clocks_that_differ_are_named(self, publish: Publish) -> None:
        date = f"Date: {formatdate(time.time() + 3600, usegmt=True)}"
        reason = self.reason(publish, answer(401, b"Timestamp expired", date))
        assert re.search(r"the server's clock is (3599|36\d\d) s ahead of this machine's: set both by NTP", reason)
        date = f"Date: {formatdate(time.time() - 3600, usegmt=True)}"
        assert "s behind this machine's" in self.reason(publish, answer(401, b"", date))
        date = f"Date: {formatdate(time.time(), usegmt=True)}"
        assert "clock is" in self.reason(publish, answer(401, b"no", date))
        assert "machine's" not in self.reason(publish, answer(401, b"no", date))
        assert "machine's" not in self.reason(publish, answer(401, b"no", "Date: yesterday"))

    def test_a_web_page(self, publish: Publish) -> None:
        page = b"<html><title>Welcome to nginx!</title>"
        for status in (200, 404, 500):
            reason = self.reason(publish, answer(status, page, "Content-Type: text/html", "Server: nginx/1"))
            assert f"answered {status} with a web page titled 'Welcome to nginx!' from nginx/1" in reason
            assert "check host, port and path" in reason

    def test_a_redirection(self, publish: Publish) -> None:
        reason = self.reason(publish, answer(301, b"", "Location: https://ws.example.com/apps/1/events"))
        assert "redirects to https://ws.example.com/apps/1/events: use that address" in reason

    def test_signatures_that_a_server_repeats_are_left_out(self, publish: Publish) -> None:
        body = b'{"error":"Invalid signature: you sent %s, expected %s"}' % (b"0a" * 32, b"1b" * 32)
        assert "you sent …, expected …" in self.reason(publish, answer(401, body))

    @pytest.mark.parametrize("body", [b"OK", b"[]", b"7", b"\xff"])
    def test_a_success_that_is_no_json_object(self, publish: Publish, body: bytes) -> None:
        reason = self.reason(publish, answer(200, body))
        assert "answered 200, but not with the JSON of a Pusher API" in reason

    @pytest.mark.parametrize(
        "reply",
        [
            b"\x15\x03\x01\x00\x02\x02\x46",
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ],
        ids=["tls", "ssh", "no status", "upgrade"],
    )
    def test_what_is_no_http(self, publish: Publish, reply: bytes) -> None:
        reason = self.reason(publish, reply)
        assert "hung up without an HTTP answer" in reason or "no answer from" in reason

    def test_a_half_answer(self, publish: Publish) -> None:
        assert "127.0.0.1" in self.reason(publish, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

    @pytest.mark.parametrize(
        ("head", "part", "reason"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", b"x" * 65536, "more than 1,048,576 bytes"),
            (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000, "more than 100 headers"),
            (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536, "without an end"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "without an end"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 65536, "without an end"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
                b"X: y\r\n" * 1000,
                "more than 100 headers",
            ),
        ],
        ids=["body", "headers", "header", "interim answers", "chunk extension", "trailers"],
    )
    def test_an_endless_answer(self, publish: Publish, head: bytes, part: bytes, reason: str) -> None:
        def flood(connection: socket.socket, server: MisbehavingServer) -> None:
            server.read_request(connection)
            connection.sendall(head)
            while not server.over.is_set():
                connection.sendall(part)

        with misbehaving(flood) as server:
            error = error_of(publish, for_server(server.port, timeout=30.0))
            assert f"no answer from http://127.0.0.1:{server.port}: an answer " in str(error)
            assert reason in str(error)

    @pytest.mark.parametrize("status", [200, 400, 401, 500])
    @pytest.mark.parametrize(
        "body", [b"[" * 100_000, b'{"error":' * 100_000, b"<title>" * 140_000], ids=["array", "object", "page"]
    )
    def test_an_answer_made_to_break_its_reader(
        self, publish: Publish, status: int, body: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        with misbehaving(answering(answer(status, body))) as server:
            broadcaster = for_server(server.port, timeout=30.0)
            publish(broadcaster, "orders.7", "OrderShipped", on_error="log")
            assert f"not sent: event OrderShipped on orders.7: http://127.0.0.1:{server.port} answered" in caplog.text
            broadcaster.close()

    def test_a_second_answer_that_nobody_asked_for(self, publish: Publish) -> None:
        with misbehaving(answering(answer(200) + answer(500, b"late"))) as server:
            broadcaster = for_server(server.port)
            publish(broadcaster, "orders.7", "OrderShipped", times=2)
            assert server.connections == 2, "a connection that says more than was asked is not used again"
            broadcaster.close()

    @pytest.mark.parametrize(
        "reply",
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            answer(200, b""),
        ],
        ids=["chunked", "http 1.0", "until it closes", "interim", "empty"],
    )
    def test_answers_of_every_form(self, publish: Publish, reply: bytes) -> None:
        with misbehaving(answering(reply, close=True)) as server:
            broadcaster = for_server(server.port)
            publish(broadcaster, "orders.7", "OrderShipped", times=2)
            broadcaster.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls_server(files: tuple[Path, Path]) -> Any:
    with running_server(tls={"certificate": str(files[0]), "key": str(files[1])}) as running:
        yield running


class TestTls:
    def test_an_authority_of_ones_own(
        self, tls_server: RunningServer, files: tuple[Path, Path], publish: Publish
    ) -> None:
        common = {"scheme": "https", "secret": DEFAULT_APP.secret, "timeout": 20.0, "connect_timeout": 10.0}
        for verify in (str(files[0]), False):
            broadcaster = for_server(tls_server.port, verify=verify, **common)
            publish(broadcaster, "orders.7", "OrderShipped", times=2)
            broadcaster.close()
        error = error_of(publish, for_server(tls_server.port, **common))
        assert f"the certificate of https://127.0.0.1:{tls_server.port} is not trusted" in str(error)

    def test_a_server_that_reads_slowly(self, files: tuple[Path, Path], publish: Publish) -> None:
        """Each record is taken in time; all of them are not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)

        def sip(connection: socket.socket, server: MisbehavingServer) -> None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with context.wrap_socket(connection, server_side=True) as secured:
                while not server.over.wait(0.1):
                    secured.recv(16_384)

        with misbehaving(sip) as server:
            broadcaster = for_server(server.port, scheme="https", verify=False, timeout=1.0)
            error = error_of(publish, broadcaster, "orders.7", "OrderShipped", "x" * 20_000_000)
            assert str(error).endswith("did not answer in time")

    def test_the_wrong_scheme(self, tls_server: RunningServer, server: RunningServer, publish: Publish) -> None:
        error = error_of(publish, for_server(tls_server.port, timeout=10.0))
        assert "Plain HTTP on a TLS port: use https" in str(error)
        error = error_of(publish, for_server(server.port, scheme="https", timeout=10.0, connect_timeout=5.0))
        assert "does it speak http instead of https?" in str(error)


def test_requests_are_what_pushers_documentation_says(publish: Publish) -> None:
    with misbehaving(answering(answer(200))) as server:
        broadcaster = for_server(server.port, path="/ws", app_id="a b")
        publish(broadcaster, "orders.7", "OrderShipped", {"id": 7}, socket_id="1.2")
        (request,) = server.requests
        head, _, body = request.partition(b"\r\n\r\n")
        line = head.split(b"\r\n")[0].decode()
        assert re.fullmatch(
            r"POST /ws/apps/a%20b/events\?auth_key=app-key&auth_timestamp=\d+&auth_version=1\.0&body_md5=[0-9a-f]{32}"
            r"&auth_signature=[0-9a-f]{64} HTTP/1\.1",
            line,
        )
        assert json.loads(body) == {
            "name": "OrderShipped",
            "data": '{"id":7}',
            "channels": ["orders.7"],
            "socket_id": "1.2",
        }
        assert f"Host: 127.0.0.1:{server.port}".encode() in head
        assert SECRET.encode() not in request
        broadcaster.close()


async def test_the_driver_of_an_address_sends_a_text_as_it_stands() -> None:
    with misbehaving(answering(answer(200))) as server:
        driver = HttpDriver.at(f"http://127.0.0.1:{server.port}/ws/", "a b", "app-key", SECRET, timeout=5.0)
        for data in ("plain words", '{"id": 7}', "", "half a character \ud83d"):
            await driver.asend([Message(("orders.7",), "OrderShipped", data)])
            request = server.requests[-1]
            assert request.startswith(b"POST /ws/apps/a%20b/events?auth_key=app-key&")
            assert json.loads(request.partition(b"\r\n\r\n")[2])["data"] == data
        await driver.aclose()


def test_the_driver_of_an_address_names_it_as_given_and_the_reason_alone() -> None:
    url = f"http://localhost:{free_port()}/ws"
    driver = HttpDriver.at(url, "1", "app-key", SECRET, timeout=5.0)
    with pytest.raises(BroadcastError) as caught:
        driver.send([Message(("orders.7",), "OrderShipped", "{}")])
    driver.close()
    assert caught.value.reason.startswith("nothing listens at http://localhost:")
    assert str(caught.value) == f"event OrderShipped on orders.7: {caught.value.reason}"


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch, publish: Publish) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with misbehaving(answering(answer(200))) as server:
        broadcaster = for_server(server.port)
        publish(broadcaster, "orders.7", "OrderShipped")
        broadcaster.close()


def test_a_process_with_many_open_files_can_publish() -> None:
    """Descriptors above 1,023 are nothing that ``select`` takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        pytest.skip("no more files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    files = [socket.socket() for _ in range(1100)]
    try:
        with misbehaving(answering(answer(200))) as server:
            broadcaster = for_server(server.port)
            for _ in range(2):
                broadcaster.publish("orders.7", "OrderShipped")
            broadcaster.close()
    finally:
        for file in files:
            file.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def repeats_of(server: MisbehavingServer) -> list[bool]:
    return [b"\r\nX-Soundpost-Repeat: 1\r\n" in request for request in server.requests]


def keys_of(server: MisbehavingServer) -> set[bytes]:
    return {request.partition(b"Idempotency-Key: ")[2].partition(b"\r\n")[0] for request in server.requests}


def test_a_request_that_is_sent_again_says_so(publish: Publish) -> None:
    with misbehaving(answering(answer(503), answer(200))) as server:
        publish(for_server(server.port), "orders", "e")
        assert repeats_of(server) == [False, True]
        assert len(keys_of(server)) == 1


def test_the_background_delivery_says_that_it_tries_again() -> None:
    with misbehaving(answering(answer(500), answer(500), answer(200))) as server:
        broadcaster = for_server(server.port, deliver="background")
        broadcaster.publish("orders", "e")
        broadcaster.close()
        assert repeats_of(server) == [False, True, True]
        assert len(keys_of(server)) == 1


def test_a_queue_may_run_a_job_again_so_every_job_says_so() -> None:
    with misbehaving(answering(answer(200))) as server:
        with broadcast.pinned(for_server(server.port).settings):
            sending.send([Message(("orders",), "e", "{}").to_dict()])
        assert repeats_of(server) == [True]

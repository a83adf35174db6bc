"""Nobody reads stderr: a full pipe, a stopped terminal. The server serves, and ends when it is told to."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from conformance.protocol.stage import Stage
from soundpost.core.app_settings import AppSettings
from soundpost.server.access_log import AccessLog
from soundpost.server.api.requests import Request
from soundpost.server.processes.log_formats import FORMATS, Form
from soundpost.server.processes.logs import QueuedStream
from support.ending import end
from support.harness import TIMEOUT, RawSocket, http_request, signed_request, until
from support.redis_process import free_port

APP = AppSettings(id="1", key="k", secret="s")


def full_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x")
    os.set_blocking(writing, True)
    return reading, writing


def stopped_terminal() -> tuple[int, int]:
    master, terminal = os.openpty()
    os.set_blocking(terminal, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(terminal, b"x" * 100)
    os.set_blocking(terminal, True)
    return master, terminal


@pytest.fixture(params=[full_pipe, stopped_terminal])
def blocked(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    ends = request.param()
    yield ends
    for each in ends:
        os.close(each)


@pytest.mark.parametrize(
    "options",
    [["--debug"], [], ["--debug", "--workers", "2"], ["--debug", "--log-format", "json"]],
    ids=" ".join,
)
def test_a_server_whose_log_nobody_reads_serves_and_stops(
    tmp_path: Path, blocked: tuple[int, int], options: list[str]
) -> None:
    port = free_port()
    environ = {"SOUNDPOST_APP_ID": "1", "SOUNDPOST_APP_KEY": "k", "SOUNDPOST_APP_SECRET": "s"}
    environ |= {"SOUNDPOST_NO_SUCH_VARIABLE": "a warning at the start"}
    environ |= {"SOUNDPOST_ACCESS_LOG": "true"}
    environ |= {"SOUNDPOST_APP_ALLOWED_ORIGINS": "example.com", "SOUNDPOST_APP_ALLOW_MISSING_ORIGIN": "true"}
    process = subprocess.Popen(
        [sys.executable, "-m", "soundpost", "start", "--host", "127.0.0.1", "--port", str(port), *options],
        cwd=tmp_path,
        env={**os.environ, **environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        stdout=blocked[1],
        stderr=blocked[1],
    )
    try:
        until(lambda: is_served(port), "it listens")
        with RawSocket(port) as refused:
            refused.handshake("/app/k?protocol=7", Origin="https://evil.example")  # a warning
            assert refused.read_event()["data"]["code"] == 4009
        body = b'{"name":"e","channel":"room","data":"' + b"x" * 1000 + b'"}'
        with RawSocket.open(port, "k") as client:
            client.subscribe("room")
            for _ in range(1500):  # more than the queue takes
                client.send_event("pusher:ping", {"padding": "x" * 800})
                assert client.read_event()["event"] == "pusher:pong"
            assert http_request(port, signed_request("POST", "/events", body, app=APP)).status == 200
            assert client.read_event()["event"] == "e"
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
    finally:
        end(process)


def is_served(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def read_on(file: int, into: list[bytes]) -> threading.Thread:
    def read() -> None:
        while data := os.read(file, 65_536):
            into.append(data)

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def test_what_is_left_out_is_counted_and_the_rest_comes_in_order() -> None:
    reading, writing = full_pipe()
    stream = QueuedStream(writing, max_waiting=1_000)
    lines = [f"line {number}\n" for number in range(500)]
    for line in lines:
        stream.write(line)
    stream.drain(0)
    got: list[bytes] = []
    thread = read_on(reading, got)
    stream.drain(TIMEOUT)
    stream.write("after\n")
    stream.drain(TIMEOUT)
    os.close(writing)
    thread.join(TIMEOUT)
    os.close(reading)
    text = b"".join(got).lstrip(b"x").decode()
    kept = [line for line in text.splitlines(keepends=True) if line.startswith("line ")]
    assert kept == lines[: len(kept)]
    assert 0 < len(kept) < len(lines)
    told = re.findall(r"WARNING soundpost.server: ([\d,]+) lines of the log were left out here", text)
    assert sum(int(number.replace(",", "")) for number in told) == len(lines) - len(kept)
    assert text.index("after\n") > text.index(kept[-1])


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_access_log_that_nobody_reads_stops_nothing(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = full_pipe()
    stream = QueuedStream(writing, max_waiting=20_000)
    monkeypatch.setattr("soundpost.server.access_log.log_format", lambda: FORMATS[form](""))
    due: list[Callable[[], None]] = []
    access_log = AccessLog(Stage().node, "", lambda _, write: due.append(write), out=stream)
    for _ in range(100):
        for _ in range(10):
            request = Request(b"GET", b"/apps/1/channels", "1.1", [], b"", True)
            access_log.add(request, "10.0.0.7", 200, 15, 0.001)
        (write,) = due
        due.clear()
        write()
    got: list[bytes] = []
    thread = read_on(reading, got)
    stream.drain(TIMEOUT)
    os.close(writing)
    thread.join(TIMEOUT)
    os.close(reading)
    lines = b"".join(got).lstrip(b"x").decode().splitlines()
    kept = [line for line in lines if "GET /apps/1/channels 200 15 bytes 1.0 ms app 1" in line]
    told = [
        int(found[1].replace(",", "")) for line in lines if (found := re.search(r"([\d,]+) lines of the log", line))
    ]
    assert 0 < len(kept) < 1_000
    assert len(kept) + sum(told) == 1_000


@pytest.mark.parametrize("make", [full_pipe, stopped_terminal])
def test_a_file_that_does_not_block_is_waited_for(make: Callable[[], tuple[int, int]]) -> None:
    reading, writing = make()
    os.set_blocking(writing, False)
    stream = QueuedStream(writing)
    stream.write("hello\n")
    got: list[bytes] = []
    os.set_blocking(reading, False)

    def arrived() -> bool:
        with contextlib.suppress(BlockingIOError):
            got.append(os.read(reading, 65_536))
        return b"hello" in b"".join(got)

    until(arrived, "the line")
    os.close(writing)
    os.close(reading)


def test_a_file_that_is_gone_harms_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = QueuedStream(writing)
    for _ in range(3):
        stream.write("line\n")
        stream.drain(TIMEOUT)
    os.close(writing)


def test_a_server_whose_stderr_is_closed_gives_its_number_to_no_socket() -> None:
    port = free_port()
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "soundpost", "start", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as server:
        try:
            until(lambda: answers(port), "it serves")
            assert Path(f"/proc/{server.pid}/fd/2").readlink() == Path(os.devnull)
        finally:
            server.terminate()
        assert server.wait(TIMEOUT) == 0


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/up") as answer:
        return bool(answer.status == 200)
    return False

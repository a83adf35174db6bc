"""Broadcasting from real processes: those that end, and those that fork."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from support.harness import DEFAULT_APP, RunningServer, running_server, until
from support.redis_process import free_port

CONFIGURE = """
import os, soundpost
soundpost.configure(url=os.environ["URL"], deliver=os.environ.get("DELIVER", "now"))
"""


def start(code: str, port: int, deliver: str = "background") -> subprocess.Popen[str]:
    url = f"http://{DEFAULT_APP.key}:{DEFAULT_APP.secret}@127.0.0.1:{port}/apps/{DEFAULT_APP.id}"
    return subprocess.Popen(
        [sys.executable, "-c", CONFIGURE + textwrap.dedent(code)],
        env={**os.environ, "URL": url, "DELIVER": deliver, "PYTHONWARNINGS": "ignore:This process:DeprecationWarning"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code: str, port: int, deliver: str = "background") -> None:
    process = start(code, port, deliver)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert errors == ""
    assert output == ""


def test_a_process_that_ends_sends_what_waits(server: RunningServer) -> None:
    with server.connect() as client:
        client.subscribe("orders")
        run('for n in range(30): soundpost.publish("orders", f"tick {n}")', server.port)
        assert [client.read_event()["event"] for _ in range(30)] == [f"tick {n}" for n in range(30)]
        assert not client.has_input()


@pytest.mark.parametrize("deliver", ["now", "background"])
def test_forked_processes_have_connections_and_threads_of_their_own(server: RunningServer, deliver: str) -> None:
    """As under Gunicorn with preload: the parent has published already."""
    code = """
        import time
        soundpost.publish("orders", "parent before")
        if os.environ["DELIVER"] == "background":
            soundpost.broadcast.close()
        children = []
        for number in range(3):
            pid = os.fork()
            if pid == 0:
                for n in range(5):
                    soundpost.publish("orders", f"child {number} {n}")
                soundpost.broadcast.close()
                os._exit(0)
            children.append(pid)
        for n in range(5):
            soundpost.publish("orders", f"parent {n}")
        for pid in children:
            assert os.waitpid(pid, 0)[1] == 0
        soundpost.publish("orders", "parent after")
    """
    with server.connect() as client:
        client.subscribe("orders")
        run(code, server.port, deliver)
        names = [client.read_event()["event"] for _ in range(22)]
        assert names[0] == "parent before"
        assert names[-1] == "parent after"
        for number in range(3):
            assert [name for name in names if name.startswith(f"child {number}")] == [
                f"child {number} {n}" for n in range(5)
            ]
        assert not client.has_input()


def started(code: str, port: int) -> subprocess.Popen[str]:
    """A program that broadcasts in the background, to a server that is not there yet."""
    url = f"http://{DEFAULT_APP.key}:{DEFAULT_APP.secret}@127.0.0.1:{port}/apps/{DEFAULT_APP.id}"
    return subprocess.Popen(
        [sys.executable, "-c", CONFIGURE + textwrap.dedent(code)],
        env={
            **os.environ,
            "URL": url,
            "DELIVER": "background",
            "PYTHONWARNINGS": "ignore:This process:DeprecationWarning",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_waits_in_the_parent_is_not_sent_by_the_child_too() -> None:
    port = free_port()
    code = """
        soundpost.publish("cache-orders", "waits")
        pid = os.fork()
        if pid == 0:
            soundpost.broadcast.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        print("forked", flush=True)
        input_is_closed = os.read(0, 1)
    """
    process = started(code, port)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "forked\n"
    with running_server(port=port) as server, server.connect() as client:
        client.subscribe("cache-orders")
        event = client.read_event()
        while event["event"] == "pusher:cache_miss":
            event = client.read_event()
        assert event["event"] == "waits"
        process.stdin.close()
        assert process.wait(30) == 0
        server.publish("cache-orders", "end")
        assert client.read_event()["event"] == "end"
    process.stdout.close()


def test_a_server_that_comes_while_events_wait_gets_them_in_order() -> None:
    port = free_port()
    code = """
        import sys
        for n in range(5): soundpost.publish("cache-orders", f"tick {n}")
        print("waiting", flush=True)
        sys.stdin.read()
    """
    process = started(code, port)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "waiting\n"
    with running_server(port=port) as server, server.connect() as client:
        client.subscribe("cache-orders")
        names: list[str] = []

        def last() -> bool:
            names.append(client.read_event()["event"])
            return names[-1] == "tick 4"

        until(last, "the last event")
        ticks = [name for name in names if name.startswith("tick")]
        assert ticks == sorted(set(ticks))
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()


def test_importing_it_loads_no_server_and_little_else() -> None:
    code = """
        import sys, soundpost
        soundpost.publish; soundpost.Event; soundpost.channels; soundpost.broadcast.settings
        heavy = {"httpx", "uvloop", "websockets", "rich", "redis", "celery", "sqlalchemy", "soundpost.server.server"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """
    run(code, 1)

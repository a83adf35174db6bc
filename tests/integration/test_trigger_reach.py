"""``soundpost trigger`` says where an event went and who got it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli_process import Shell, shell
from support.misbehaving_server import MisbehavingServer, answer, answering, misbehaving

COUNTED = answer(200, b'{"channels":{"orders":{"subscription_count":2}}}')


@pytest.fixture(name="sh")
def _shell(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def trigger(sh: Shell, server: MisbehavingServer, *arguments: str) -> tuple[str, str]:
    """Publish to a server that is not Soundpost; return stdout, and stderr."""
    url = f"http://127.0.0.1:{server.port}"
    done = sh.run("trigger", "orders", "shipped", *arguments, "--url", url, "--app-id", "1", "--key=k", "--secret=s")
    return done.stdout.replace(url, "URL"), done.stderr.replace(url, "URL")


def bodies(server: MisbehavingServer) -> list[dict[str, object]]:
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]


def test_subscribers_are_counted(sh: Shell) -> None:
    _, port = sh.server()
    sh.listener("private-orders.1", "presence-room", "--port", str(port))
    url = f"http://127.0.0.1:{port}"

    done = sh.run("trigger", "private-orders.1", "shipped")
    assert done.stdout == f"Published shipped to private-orders.1 at {url}: 1 subscriber\n"
    assert "Nobody" not in done.stderr
    assert sh.run("trigger", "presence-room", "x").stdout == f"Published x to presence-room at {url}: 1 user\n"


@pytest.mark.parametrize(
    ("data", "is_told"),
    [("{text: x}", True), ('["a"', True), (" {'a': 1}", True), ('{"a": 1}', False), ("Hello", False), ("", False)],
)
def test_data_that_was_meant_as_json_is_told(sh: Shell, data: str, is_told: bool) -> None:
    with misbehaving(answering(COUNTED)) as server:
        out, err = trigger(sh, server, data)
        assert out == "Published shipped to orders at URL: 2 subscribers\n"
        assert err.startswith("DATA is not JSON, so it was sent as a text: ") is is_told
        assert err.count("\n") == int(is_told)
        assert bodies(server)[0]["data"] == data


def test_nobody_is_told_with_the_channel_that_was_probably_meant(sh: Shell) -> None:
    _, port = sh.server()
    sh.listener("private-orders.1", "--port", str(port))

    for wrong in ("orders.1", "presence-orders.1", "private-order.1"):
        done = sh.run("trigger", wrong, "shipped")
        assert ": 0 " in done.stdout
        assert "private-orders.1 has subscribers: did you mean this channel?" in done.stderr

    done = sh.run("trigger", "weather", "rain")
    assert "check the channel's name and the server's address" in done.stderr
    assert "'soundpost listen weather'" in done.stderr


def test_an_event_that_is_kept_or_for_a_user_is_no_mistake_in_a_name(sh: Shell) -> None:
    sh.server()
    assert "keeps the event for its next subscriber" in sh.run("trigger", "cache-orders", "shipped").stderr
    assert "User 7 is not signed in" in sh.run("trigger", "#server-to-user-7", "shipped").stderr
    assert "nor to any other channel" in sh.run("trigger", "orders", "shipped").stderr


def test_the_count_is_that_of_all_workers(sh: Shell) -> None:
    _, port = sh.server("--workers", "2")
    listeners = [sh.listener("orders", "--port", str(port)) for _ in range(4)]

    assert sh.run("trigger", "orders", "shipped", "--port", str(port)).stdout.endswith(": 4 subscribers\n")
    for listener in listeners:
        listener.wait_for("shipped")


def test_a_server_that_cannot_reach_redis_says_so(sh: Shell) -> None:
    sh.server("--redis", "redis://127.0.0.1:1")

    done = sh.run("trigger", "orders", "shipped")
    assert done.returncode == 0
    assert "cannot reach its Redis: clients of this server have the event" in done.stderr


@pytest.mark.parametrize("body", [b"{}", b'{"channels":{}}', b'{"channels":{"orders":{}}}', b'{"channels":[]}'])
def test_no_count_is_printed_for_a_server_that_gives_none(sh: Shell, body: bytes) -> None:
    with misbehaving(answering(answer(200, body))) as server:
        assert trigger(sh, server) == ("Published shipped to orders at URL\n", "")


@pytest.mark.parametrize("count", ["-1", "true", '"2"', "null", "1.5"])
def test_a_count_that_is_none_is_not_printed(sh: Shell, count: str) -> None:
    text = f'{{"channels":{{"orders":{{"subscription_count":{count}}}}}}}'
    with misbehaving(answering(answer(200, text.encode()))) as server:
        assert trigger(sh, server) == ("Published shipped to orders at URL\n", "")


def test_a_server_that_refuses_info_gets_the_event_without_it(sh: Shell) -> None:
    with misbehaving(answering(answer(400, b'{"error":"info is not available"}'), answer(200))) as server:
        assert trigger(sh, server, "{}", "--socket-id", "1.2") == ("Published shipped to orders at URL\n", "")
        first, second = bodies(server)
    assert first.pop("info") == "subscription_count"
    assert first == second == {"name": "shipped", "channels": ["orders"], "data": "{}", "socket_id": "1.2"}


def test_an_event_that_is_refused_is_not_called_published(sh: Shell) -> None:
    with misbehaving(answering(answer(422, b'{"error":"name is too long"}'))) as server:
        assert trigger(sh, server) == ("", "soundpost: URL answered 422: name is too long\n")


def test_an_unauthorized_request_is_sent_once(sh: Shell) -> None:
    with misbehaving(answering(answer(401, b'{"error":"wrong key"}'), COUNTED)) as server:
        assert "answered 401: wrong key" in trigger(sh, server)[1]
        assert len(server.requests) == 1

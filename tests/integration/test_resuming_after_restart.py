"""A history outlives ``soundpost restart``, whatever the configuration says then."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any, Final

import pytest

from support.harness import until
from support.operated import CALM, Operated, operated

RULE: Final = '[[apps.history]]\nchannels = ["private-*", "news*"]\n'
SUCCEEDED: Final = "pusher_internal:subscription_succeeded"


def configure(server: Operated, history: str = RULE, lines: str = "", workers: int = 1) -> None:
    app = '[[apps]]\nid = "1"\nkey = "app-key"\nsecret = "app-secret"\n'
    server.write(f"[server]\nport = {server.port}\nworkers = {workers}\n{CALM}{lines}\n{app}{history}")


@pytest.fixture
def server() -> Iterator[Operated]:
    with operated() as made:
        configure(made)
        made.start()
        yield made


def resume(server: Operated, position: str, channel: str = "news") -> list[dict[str, Any]]:
    """Return the answer to a subscription, and the missed events that it announces."""
    with server.connect() as client:
        client.send_event("pusher:subscribe", {"channel": channel, "resume": position})
        answer = client.read_event()
        return [answer, *(client.read_event() for _ in range(answer.get("resumed", 0)))]


def position_of(server: Operated, channel: str = "news") -> str:
    return str(resume(server, "", channel)[0]["position"])


def publish(server: Operated, *names: str) -> None:
    for name in names:
        assert server.publish("news", name).status == 200


def restart(server: Operated) -> None:
    """Have the server become another one, and wait until that has taken the place of the first."""
    with server.connect() as client:
        server.signal(signal.SIGHUP)
        server.process.wait_for_start()
        assert client.read_close_code() == 4200


def names(messages: list[dict[str, Any]]) -> list[str]:
    return [message["event"] for message in messages]


def test_of_one_process(server: Operated) -> None:
    position = position_of(server)
    publish(server, "a")
    for number in range(3):
        restart(server)
        publish(server, f"after restart {number}")
    assert names(resume(server, position)) == [SUCCEEDED, "a", *(f"after restart {number}" for number in range(3))]
    assert server.process.stop() == 0
    assert server.process.faults() == []


def test_that_makes_workers_of_one_process(server: Operated) -> None:
    position = position_of(server)
    publish(server, "a")
    configure(server, workers=2)
    restart(server)
    assert len(server.workers()) == 2
    publish(server, "b")
    assert names(resume(server, position)) == [SUCCEEDED, "a", "b"]


def test_a_channel_that_kept_no_history_for_a_while_has_a_gap(server: Operated) -> None:
    position, other = position_of(server), position_of(server, "news-quiet")
    publish(server, "a")
    configure(server, history=RULE.replace("news*", "news-*"))
    restart(server)
    publish(server, "unkept")
    configure(server)
    restart(server)
    publish(server, "b")
    (answer, *_) = resume(server, position)
    assert answer["gap"] == "unknown"
    assert resume(server, other, "news-quiet")[0]["resumed"] == 0


def test_fewer_events_are_kept_after_it(server: Operated) -> None:
    position = position_of(server)
    publish(server, "a", "b", "c")
    configure(server, history=f"{RULE}events = 2\n")
    restart(server)
    assert resume(server, position)[0]["gap"] == "number"


def test_a_process_that_was_killed_has_lost_it_and_says_so(server: Operated) -> None:
    position = position_of(server)
    server.signal(signal.SIGKILL)
    server.process.popen.wait()
    server.start()
    assert resume(server, position)[0]["gap"] == "generation"


def test_of_workers_one_after_the_other(server: Operated) -> None:
    server.process.stop()
    configure(server, workers=2)
    server.start()
    position = position_of(server)
    publish(server, "a")
    before = server.workers()
    assert server.run("restart").returncode == 0
    until(lambda: not set(before) & set(server.workers()), "all workers are new")
    publish(server, "b")
    assert names(resume(server, position)) == [SUCCEEDED, "a", "b"]


def test_an_event_goes_on_to_be_heard_by_a_listener_that_resumes(server: Operated) -> None:
    """The listener comes back to the new process while a publisher goes on."""
    position = position_of(server)
    heard: list[str] = []
    for number in range(4):
        publish(server, f"{number} before")
        restart(server)
        publish(server, f"{number} after")
        answer, *missed = resume(server, position)
        assert "gap" not in answer
        heard += names(missed)
        position = missed[-1]["position"]
    assert heard == [f"{number} {when}" for number in range(4) for when in ("before", "after")]

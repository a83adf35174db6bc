"""``--debug``: readable lines, no signatures."""

from __future__ import annotations

import io

import msgspec
import pytest

from conformance.protocol.stage import APP, Stage
from soundpost.core.app_settings import AppSettings, HistorySettings
from soundpost.core.publishing import publish
from soundpost.server.processes.debug import MessageStream
from soundpost.server.processes.log_formats import JsonFormat


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def stage(out: io.StringIO) -> Stage:
    return Stage(observers=[MessageStream(out)])


def test_a_line_per_message(stage: Stage, out: io.StringIO) -> None:
    client = stage.connect().join("room")
    stage.publish("room", "greeting", '{"text":"hi"}')
    client.vanish()
    stage.turn()

    lines = out.getvalue().splitlines()
    for line, (what, text) in zip(
        lines,
        [
            ("opened", client.socket_id),
            ("sent", "pusher:connection_established"),
            ("received", "pusher:subscribe"),
            ("sent", "pusher_internal:subscription_succeeded"),
            ("broadcast", '{"text":"hi"}'),
            ("closed", client.socket_id),
        ],
        strict=True,
    ):
        assert what in line
        assert text in line


def test_with_several_apps_each_line_names_its_app(out: io.StringIO) -> None:
    other = AppSettings(id="2", key="key-2", secret="secret-2")
    stage = Stage(APP, other, observers=[MessageStream(out)])
    for app_id in ("1", "2"):
        client = stage.connect(app_id).join("room")
        for channel in ("room", "nobody"):
            publish(stage.node.by_id[app_id], channel, "greeting", "{}")
        MessageStream(out).output_overflowed(client)
        client.vanish()
        stage.turn()

    lines = out.getvalue().splitlines()
    kinds = ["opened", "sent", "received", "sent", "published", "broadcast", "overflowed", "closed"]
    for number, app_id in enumerate(("1", "2")):
        shown = [line.split() for line in lines[number * len(kinds) : (number + 1) * len(kinds)]]
        assert sorted(words[1] for words in shown) == sorted(kinds)
        assert {" ".join(words[2:4]) for words in shown} == {f"app {app_id}"}
        assert all(" ".join(words).count(f"app {app_id}") == 1 for words in shown)


def test_a_line_of_an_app_that_is_no_longer_served_names_it(out: io.StringIO) -> None:
    other = AppSettings(id="2", key="key-2", secret="secret-2")
    stage = Stage(APP, other, observers=[MessageStream(out)])
    stage.connect("2")
    stage.node.reconfigure([APP])
    stage.turn()
    assert "app 2" in out.getvalue().splitlines()[-1]
    stage.connect("1")
    assert "app 1 from" in out.getvalue().splitlines()[-2], "the only one is named once"


@pytest.mark.parametrize("form", ['"auth":"{}"', '"auth" : "{}"', '\\"auth\\":\\"{}\\"'])
@pytest.mark.parametrize("key", ["app-key", r"my\/key"])
def test_signatures_are_not_shown(stage: Stage, out: io.StringIO, form: str, key: str) -> None:
    stage.connect().raw('{"event":"pusher:subscribe","data":{"channel":"private-a",' + form.format(f"{key}:SIG") + "}}")

    received = next(line for line in out.getvalue().splitlines() if "received" in line)
    assert "SIG" not in received
    assert "auth" in received


def test_what_clients_send_cannot_play_with_the_terminal(stage: Stage, out: io.StringIO) -> None:
    stage.connect().raw(b'\x1b[2J\r\n\x00{"event":"\xe2\x80\xae"}\xff')

    assert out.getvalue().replace("\n", "").isprintable()
    assert len(out.getvalue().splitlines()) == 4


def test_long_messages_are_cut(stage: Stage, out: io.StringIO) -> None:
    stage.connect().say("pusher:ping", "x" * 5000)

    assert "5" in out.getvalue()
    assert max(len(line) for line in out.getvalue().splitlines()) < 600


def test_an_overflow_is_shown(stage: Stage, out: io.StringIO) -> None:
    client = stage.connect()

    MessageStream(out).output_overflowed(client)

    assert f"overflowed {client.socket_id}" in out.getvalue()


def last_line(out: io.StringIO) -> str:
    """Return the last line, without its time."""
    return " ".join(out.getvalue().splitlines()[-1].split()[1:])


def test_no_node_is_asked_about_a_channel_with_subscribers_here(
    stage: Stage, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.connect().join("room")
    asked: list[object] = []
    monkeypatch.setattr(stage.peers, "ask", lambda query, then: asked.append(query))
    stage.publish("room", "greeting", "{}")
    stage.turn()
    assert last_line(out) == "broadcast room (1) greeting {}"
    assert asked == []
    stage.publish("elsewhere", "greeting", "{}")
    assert len(asked) == 1


def test_an_event_that_nobody_is_subscribed_to_is_shown(stage: Stage, out: io.StringIO) -> None:
    stage.publish("private-todos.1", "Hello", '{"a":1}')

    assert last_line(out) == 'published private-todos.1 (nobody is subscribed) Hello {"a":1}'


def test_an_event_that_a_cache_channel_keeps_says_so(stage: Stage, out: io.StringIO) -> None:
    stage.publish("cache-todos", "Hello", "{}")

    assert last_line(out) == "published cache-todos (nobody is subscribed, kept for the next subscriber) Hello {}"


def test_data_is_shown_as_it_would_be_pasted(stage: Stage, out: io.StringIO) -> None:
    stage.connect().join("room")
    stage.publish("room", "greeting", '{"text":"a \\"quoted\\" word","line":"1\\n2"}')
    assert last_line(out) == 'broadcast room (1) greeting {"text":"a \\"quoted\\" word","line":"1\\n2"}'

    stage.publish("room", "greeting", "no JSON at all")
    assert last_line(out) == "broadcast room (1) greeting no JSON at all"


def lines_of(out: io.StringIO, *kinds: str) -> list[str]:
    """Return the lines of some kinds, without their times."""
    shown = [" ".join(line.split()[1:]) for line in out.getvalue().splitlines()]
    return [line for line in shown if line.startswith(kinds)]


@pytest.fixture
def kept(out: io.StringIO) -> Stage:
    """A stage whose channel ``orders`` keeps two events."""
    history = (HistorySettings(channels=("orders",), events=2),)
    return Stage(msgspec.structs.replace(APP, history=history), observers=[MessageStream(out)])


def test_a_client_that_resumes_has_a_line_and_each_event_that_it_is_sent(kept: Stage, out: io.StringIO) -> None:
    client = kept.connect()
    client.say("pusher:subscribe", {"channel": "orders", "resume": ""})
    position = client.read()[-1]["position"]
    client.vanish()
    kept.turn()
    for number in range(2):
        kept.publish("orders", "shipped", str(number))
    client = kept.connect()
    client.say("pusher:subscribe", {"channel": "orders", "resume": position})
    client.read()

    assert lines_of(out, "resumed") == [f"resumed {client.socket_id} orders: 2 events follow"]
    assert lines_of(out, f"sent {client.socket_id} orders shipped") == [
        f"sent {client.socket_id} orders shipped {number}" for number in range(2)
    ]


def test_a_client_that_is_told_of_a_gap_has_a_line(kept: Stage, out: io.StringIO) -> None:
    client = kept.connect()
    client.say("pusher:subscribe", {"channel": "orders", "resume": ""})
    position = client.read()[-1]["position"]
    for number in range(3):
        kept.publish("orders", "shipped", str(number))
    client.say("pusher:subscribe", {"channel": "orders", "resume": position})
    client.read()

    assert lines_of(out, "gap") == [f"gap {client.socket_id} orders: number"]
    assert lines_of(out, "resumed") == []


def test_an_event_that_nobody_hears_and_a_history_keeps_says_so(kept: Stage, out: io.StringIO) -> None:
    kept.publish("orders", "shipped", "1")

    assert last_line(out) == "published orders (nobody is subscribed, kept in the history) shipped 1"


def test_the_excluded_sender_is_not_counted(stage: Stage, out: io.StringIO) -> None:
    sender, other = stage.connect().join("room"), stage.connect().join("room")
    stage.publish("room", "greeting", "{}", sender.socket_id)
    assert last_line(out) == "broadcast room (1) greeting {}"

    other.vanish()
    stage.turn()
    stage.publish("room", "greeting", "{}", sender.socket_id)
    assert last_line(out) == "broadcast room (nobody but the sender) greeting {}"


def test_a_sender_elsewhere_takes_nothing_from_the_count(stage: Stage, out: io.StringIO) -> None:
    stage.connect().join("room")
    stage.publish("room", "greeting", "{}", stage.connect().socket_id)

    assert last_line(out) == "broadcast room (1) greeting {}"


def test_where_the_log_is_json_each_line_is_an_object(out: io.StringIO) -> None:
    stage = Stage(observers=[MessageStream(out, JsonFormat("worker 2"))])
    client = stage.connect().join("room")
    stage.publish("room", "greeting", '{"text":"hi"}')
    stage.publish("nowhere", "greeting", "{}")
    client.raw(b'{"event":"\xe2\x80\xae\x1b\\n","data":{"auth":"app-key:SIG"}}')
    client.vanish()
    stage.turn()

    assert out.getvalue().replace("\n", "").isprintable()
    assert "SIG" not in out.getvalue()
    lines = [msgspec.json.decode(line) for line in out.getvalue().splitlines()]
    assert {(line["level"], line["logger"], line["process"]) for line in lines} == {
        ("DEBUG", "soundpost.messages", "worker 2")
    }
    assert {line["app"] for line in lines} == {"1"}
    of_channels = [(line["what"], line["channel"], line["recipients"]) for line in lines if "channel" in line]
    assert of_channels == [("broadcast", "room", 1), ("published", "nowhere", 0)]
    of_client = [line["what"] for line in lines if line.get("socket") == client.socket_id]
    assert of_client == ["opened", "sent", "received", "sent", "received", "sent", "closed"]

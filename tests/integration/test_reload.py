"""``soundpost reload``: other apps are served, and clients of the rest notice nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import msgspec
import pytest

from soundpost.core.app_settings import AppSettings
from soundpost.wire.frames import CLOSE, TEXT, parse_close
from support.crowd import ask
from support.harness import DEFAULT_APP, RawSocket, until
from support.operated import CALM, Operated, operated

SECOND = AppSettings(id="2", key="second-key", secret="second-secret")


@pytest.fixture(params=[1, 2], ids=["one process", "workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Operated]:
    with operated() as made:
        made.shell.environ["SOUNDPOST_SERVER_WORKERS"] = str(request.param)
        made.configure(apps=[DEFAULT_APP, SECOND])
        made.start()
        yield made


def reload(server: Operated, said: str) -> None:
    done = server.run("reload")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{said}\n", "")
    assert server.said("apps reloaded").endswith(said)


def some(server: Operated, app: AppSettings = DEFAULT_APP) -> list[RawSocket]:
    """Clients, on every worker in all likelihood, that are subscribed to ``room``."""
    clients = [server.connect(app) for _ in range(8)]
    for client in clients:
        client.subscribe("room")
    return clients


def all_hear(server: Operated, clients: list[RawSocket], app: AppSettings = DEFAULT_APP) -> None:
    for times in range(2):
        assert server.publish("room", f"event-{times}", app=app).status == 200
    for client in clients:
        assert [client.read_event()["event"] for _ in range(2)] == ["event-0", "event-1"]


def connections(server: Operated, app: AppSettings = DEFAULT_APP) -> int:
    return int(server.get("/connections", app).json()["connections"])


def all_closed(clients: list[RawSocket], code: int) -> None:
    for client in clients:
        opcode, payload = client.read_frame()
        assert opcode == TEXT
        assert msgspec.json.decode(payload)["data"]["code"] == code
        opcode, payload = client.read_frame()
        assert (opcode, parse_close(payload)[0]) == (CLOSE, code)
        client.send_frame(CLOSE, payload)


def test_channels_begin_and_end_to_keep_events(server: Operated) -> None:
    assert server.get("/channels/room/history", SECOND).status == 404
    server.configure(apps=[DEFAULT_APP, SECOND])
    before = server.shell.directory.joinpath("soundpost.toml").read_text().replace("history = []\n", "")
    server.write(f"{before}[[apps.history]]\nchannels = ['room']\nage = '1m'\n")
    reload(server, "apps reloaded: changed: 2")
    assert server.publish("room", "kept", app=SECOND).status == 200
    events = server.get("/channels/room/history", SECOND).json()["events"]
    assert [event["event"] for event in events] == ["kept"]
    server.write(before)
    reload(server, "apps reloaded: changed: 2")
    assert server.get("/channels/room/history", SECOND).status == 404


def test_a_new_app_can_be_used_at_once(server: Operated) -> None:
    clients = some(server)
    third = AppSettings(id="3", key="third-key", secret="third-secret")
    server.configure(apps=[DEFAULT_APP, SECOND, third])
    reload(server, "apps reloaded: new: 3")

    others = some(server, third)
    all_hear(server, others, third)
    assert connections(server, third) == 8
    all_hear(server, clients)
    assert connections(server) == 8


def test_the_clients_of_an_app_that_is_gone_are_closed(server: Operated) -> None:
    clients, others = some(server), some(server, SECOND)
    server.configure()
    reload(server, "apps reloaded: gone: 2")

    all_closed(others, 4001)
    assert server.refusal(SECOND) == 4001
    assert server.publish("room", "e", app=SECOND).status == 404
    all_hear(server, clients)
    until(lambda: server.status()["connections"] == 8, "they are not counted any more")
    assert [app["id"] for app in server.status()["apps"]] == ["1"]
    server.configure(apps=[DEFAULT_APP, SECOND])
    reload(server, "apps reloaded: new: 2")
    others = some(server, SECOND)
    all_hear(server, others, SECOND)
    assert connections(server, SECOND) == 8
    all_hear(server, clients)


def test_the_clients_of_an_app_that_is_disabled_are_closed(server: Operated) -> None:
    clients, others = some(server), some(server, SECOND)
    server.configure(apps=[DEFAULT_APP, msgspec.structs.replace(SECOND, enabled=False)])
    reload(server, "apps reloaded: changed: 2")

    all_closed(others, 4003)
    assert server.refusal(SECOND) == 4003
    assert server.publish("room", "e", app=SECOND).status == 403
    all_hear(server, clients)
    server.configure(apps=[DEFAULT_APP, SECOND])
    reload(server, "apps reloaded: changed: 2")
    all_hear(server, some(server, SECOND), SECOND)


def test_limits_key_and_secret_are_those_of_the_new_configuration(server: Operated) -> None:
    clients = some(server)
    now = msgspec.structs.replace(
        DEFAULT_APP, key="new-key", secret="new-secret", max_connections=10, max_event_data_size=5
    )
    server.configure(apps=[now, SECOND])
    reload(server, "apps reloaded: changed: 1")

    assert server.refusal(DEFAULT_APP) == 4001
    assert server.publish("room", "e").status == 401
    assert server.publish("room", "e", "123456", app=now).status == 413
    all_hear(server, clients, now)
    clients += [server.connect(now) for _ in range(2)]
    assert server.refusal(now) == 4004
    ask(clients[0], DEFAULT_APP, "private-room")  # signed with the secret there was
    assert clients[0].read_event()["event"] in ("pusher:error", "pusher:subscription_error")
    ask(clients[1], now, "private-room")
    assert clients[1].read_event()["event"] == "pusher_internal:subscription_succeeded"
    assert connections(server, now) == 10


def test_a_lower_limit_of_channel_names_holds_for_channels_with_subscribers_too(server: Operated) -> None:
    channel = "x" * 150
    server.connect().subscribe(channel)
    server.configure(apps=[msgspec.structs.replace(DEFAULT_APP, max_channel_name_length=100), SECOND])
    reload(server, f"apps reloaded: changed: {DEFAULT_APP.id}")
    assert server.publish(channel, "event").status == 422


def test_what_a_reload_does_not_change_is_said(server: Operated) -> None:
    server.configure(f"{CALM}compression = false\n", [DEFAULT_APP, SECOND])
    reload(server, "apps reloaded: nothing changed. [server] changed too: that needs a restart")


def test_a_configuration_with_a_mistake_changes_nothing(server: Operated) -> None:
    clients = some(server)
    server.write("[server\n")
    done = server.run("reload", "--port", str(server.port))
    assert done.returncode == 1
    assert done.stderr.startswith("soundpost: soundpost.toml")
    all_hear(server, clients)
    assert server.process.stop() == 0


def test_workers_that_are_started_later_have_the_apps_of_now() -> None:
    with operated() as server:
        server.configure(f"{CALM}workers = 2\n")
        server.start()
        server.configure(f"{CALM}workers = 2\n", [SECOND])
        reload(server, "apps reloaded: new: 2; gone: 1")
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        server.said("serves now")
        server.said("serves now")
        all_hear(server, some(server, SECOND), SECOND)
        assert server.refusal(DEFAULT_APP) == 4001


def test_an_app_may_go_while_its_clients_come_and_go() -> None:
    """Whatever is under way when an app goes ends well: the log stays free of tracebacks."""
    with operated() as server:
        server.configure(f"{CALM}workers = 2\n", [DEFAULT_APP, SECOND])
        server.start()
        for apps in ([DEFAULT_APP], [DEFAULT_APP, SECOND]) * 2:
            clients = some(server, SECOND) if SECOND not in apps else []
            server.configure(f"{CALM}workers = 2\n", apps)
            before = [RawSocket(server.port) for _ in range(20)]
            for client in before:
                client.send(
                    b"GET /app/second-key?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"
                    b"Sec-WebSocket-Version: 13\r\n\r\n"
                )
            assert server.run("reload").returncode == 0
            if clients:
                all_closed(clients, 4001)
        until(lambda: server.publish("room", "e").status == 200, "it serves")
        assert server.process.stop() == 0
        assert not [line for line in server.process.rest_of_err() if "ERROR" in line or "Traceback" in line]

"""Webhooks of real servers that act as one over Redis, while hosts are killed and restarted."""

from __future__ import annotations

import signal

import msgspec

from soundpost.core.app_settings import AppSettings, WebhookSettings
from soundpost.wire.frames import CLOSE
from support.crowd import join
from support.fleet import running_fleet
from support.harness import DEFAULT_APP, RawSocket, until
from support.operated import CALM, Operated, operated
from support.redis_kinds import KINDS
from support.redis_process import running_redis
from support.webhook_receiver import Receiver
from support.webhook_visitors import endpoint

__all__ = ["endpoint"]

ROOMS = [f"presence-{number}" for number in range(6)]
"""Channels of several buckets."""
LEASE = f"{{test:{DEFAULT_APP.id}}}:hooks:lease"
"""Key of the host that sends."""


def app_for(endpoint: Receiver) -> AppSettings:
    return msgspec.structs.replace(DEFAULT_APP, webhooks=(WebhookSettings(url=endpoint.url()),))


def once(endpoint: Receiver) -> list[str]:
    """Names, channels, events and users of what came, each id once."""
    events = {each["id"]: each for each in endpoint.taken()}
    return [
        " ".join(str(each[field]) for field in ("name", "channel", "event", "user_id") if field in each)
        for each in events.values()
    ]


def joined(room: str, user: str) -> list[str]:
    return [f"channel_occupied {room}", f"member_added {room} {user}"]


def test_one_of_two_hosts_sends_everything_over_a_cluster_of_old_servers(endpoint: Receiver) -> None:
    running = KINDS.get("Redis 6.2 cluster", KINDS["installed cluster"])
    with running() as redis, running_fleet(redis.url, 2, apps=[app_for(endpoint)]) as fleet:
        wanted = []
        for number, room in enumerate(ROOMS):
            member = fleet.member(number % 2, "ann", room)
            member.socket.send_event("client-hello", {}, channel=room)
            wanted += [*joined(room, "ann"), f"client_event {room} client-hello ann"]
        endpoint.wait(lambda: len(endpoint.taken()) == len(wanted), "everything")
        assert sorted(once(endpoint)) == sorted(wanted)


def test_what_a_killed_host_had_not_sent_is_sent_by_another(endpoint: Receiver) -> None:
    """Whichever host is killed in the middle, with a request under way."""
    with running_redis() as redis, running_fleet(redis.url, 3, apps=[app_for(endpoint)]) as fleet:
        until(lambda: redis.client().exists(LEASE) == 1, "a host owns the logs")
        wanted = []
        for number, room in enumerate(ROOMS):
            member = fleet.member(1 + number % 2, "ann", room)
            for event in range(10):
                member.socket.send_event(f"client-{event}", {}, channel=room)
                wanted.append(f"client_event {room} client-{event} ann")
            wanted += joined(room, "ann")
            if number == 2:
                endpoint.reply = lambda path: None
                fleet[0].process.kill()
                fleet[0].process.wait()
        endpoint.reply = lambda path: (200, {})
        redis.client().delete(LEASE)  # as it ends 10 s later
        endpoint.wait(lambda: len(once(endpoint)) >= len(wanted), "everything")
        found = once(endpoint)
        assert sorted(found) == sorted(wanted)
        for room in ROOMS:
            spoken = [line.split()[2] for line in found if line.startswith(f"client_event {room} ")]
            assert spoken == [f"client-{event}" for event in range(10)]
        fleet.servers.pop(0)


def enter(server: Operated, user: str, *channels: str) -> RawSocket:
    client = server.connect()
    for channel in channels:
        join(client, DEFAULT_APP, channel, user if channel.startswith("presence-") else None)
    return client


def test_restarts_of_all_hosts_tell_nobody_gone_who_comes_back(endpoint: Receiver) -> None:
    with running_redis() as redis, operated() as one, operated() as two:
        for server in (one, two):
            server.configure(
                CALM,
                [app_for(endpoint)],
                f'[scaling]\nredis = "{redis.url}"\n',
            )
            server.start()
        clients = {
            f"user-{number}": enter(one, f"user-{number}", "presence-all", f"own-{number}") for number in range(4)
        }
        endpoint.wait(lambda: len(endpoint.taken()) == 9, "all have come")
        for server, other in ((one, two), (two, one)):
            server.signal(signal.SIGHUP)
            for number, (user, client) in enumerate(clients.items()):
                assert client.read_close_code() == 4200
                client.send_frame(CLOSE, (4200).to_bytes(2, "big"))
                client.socket.close()
                clients[user] = enter(other, user, "presence-all", f"own-{number}")
            server.process.wait_for_start()
            until(lambda server=server: server.status()["redis"]["hosts"] == 2, "the hosts have met")  # type: ignore[misc]
        enter(two, "last", "last").socket.close()
        endpoint.wait(lambda: "channel_vacated last" in endpoint.names(), "an end that was held back later")
        assert [line for line in once(endpoint) if "removed" in line or "vacated" in line] == ["channel_vacated last"]
        assert len(once(endpoint)) == 11
        for client in clients.values():
            client.socket.close()

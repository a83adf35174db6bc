"""``user_online`` and ``user_offline`` of several hosts: told once, whichever host a user is on."""

from __future__ import annotations

from conformance.backplane.cluster import Start
from conformance.backplane.history_hosts import lose_redis
from conformance.backplane.hub_cluster import HubCluster, one_order
from conformance.backplane.webhook_hosts import Senders, senders
from conformance.protocol.recorded_webhooks import wants
from conformance.protocol.stage import Client
from soundpost.wire import codes

NAMES = ("user_online", "user_offline")
ONLINE, OFFLINE = "user_online ann", "user_offline ann"


async def signed_in(hosts: Senders, number: int, user: str = "ann") -> Client:
    client = await hosts.cluster.connect(hosts[number].host.stage)
    client.sign_in({"id": user, "user_info": {"name": "é"}})
    return client


async def test_the_first_connection_of_all_hosts_and_the_last_one_are_told() -> None:
    async with senders(3, *NAMES) as hosts:
        tabs = [await signed_in(hosts, number) for number in (1, 2, 0)]
        await hosts.settle()
        assert [event["user_info"] for event in hosts.receiver.events] == [{"name": "é"}]
        assert await hosts.told() == [ONLINE]
        for tab in tabs:
            tab.vanish()
            await hosts.settle()
        assert await hosts.told() == []
        assert await hosts.told(3) == [OFFLINE]
        assert await hosts.log() == []


async def test_who_is_back_on_another_host_within_three_seconds_has_never_been_away() -> None:
    async with senders(2, *NAMES) as hosts:
        tab = await signed_in(hosts, 0)
        assert await hosts.told() == [ONLINE]
        tab.vanish()
        assert await hosts.told(2.9) == []
        await signed_in(hosts, 1)
        assert await hosts.told(60) == []


async def test_who_was_sent_away_has_the_grace_and_is_told_at_its_end() -> None:
    async with senders(2, *NAMES) as hosts:
        for user in ("ann", "bob"):
            (await signed_in(hosts, 0, user)).end(codes.GENERIC_RECONNECT, "")
        assert sorted(await hosts.told(9)) == [ONLINE, "user_online bob"]
        await signed_in(hosts, 1, "bob")
        await hosts.settle()
        await hosts.cluster.end_graces()
        assert await hosts.told() == [OFFLINE]


async def test_the_users_of_a_dead_host_are_told() -> None:
    async with senders(3, *NAMES) as hosts:
        await signed_in(hosts, 1)
        await signed_in(hosts, 1, "bob")
        await signed_in(hosts, 2, "bob")
        assert sorted(await hosts.told()) == [ONLINE, "user_online bob"]
        await hosts.lose(1)
        assert await hosts.told(3) == [OFFLINE]


async def test_a_host_that_comes_back_to_redis_tells_nothing_twice() -> None:
    async with senders(2, *NAMES) as hosts:
        await signed_in(hosts, 1)
        assert await hosts.told() == [ONLINE]
        await lose_redis(hosts[1].host)
        await hosts[1].host.flows()
        assert await hosts.told(60) == []


async def test_who_came_and_went_while_redis_was_away_is_told_and_who_stays_once() -> None:
    async with senders(2, *NAMES) as hosts:
        host = hosts[1].host
        await lose_redis(host)
        gone, here = host.stage.connect(), host.stage.connect()
        gone.sign_in({"id": "ann"})
        here.sign_in({"id": "bob"})
        gone.vanish()
        host.stage.turn()
        await host.flows()
        assert sorted(await hosts.told(3)) == [OFFLINE, ONLINE, "user_online bob"]
        here.vanish()
        assert await hosts.told(3) == ["user_offline bob"]


@one_order
async def test_workers_tell_the_first_connection_and_the_last_one(start: Start) -> None:
    cluster = await start(webhooks=wants(*NAMES))
    assert isinstance(cluster, HubCluster)
    tabs = []
    for node in cluster.nodes:
        tabs.append(await cluster.connect(node))
        tabs[-1].sign_in({"id": "ann", "user_info": {"name": "é"}})
        await cluster.settle()
    (online,) = cluster.webhooks.bodies()
    assert online == {"name": "user_online", "user_id": "ann", "user_info": {"name": "é"}}
    for tab in tabs[1:]:
        tab.vanish()
    await cluster.settle()
    assert cluster.webhooks.lines() == []
    await cluster.retire(cluster.nodes[0])
    assert cluster.webhooks.lines() == []
    await cluster.end_graces()
    (offline,) = cluster.webhooks.take()
    assert (offline.name, offline.is_final) == ("user_offline", True)

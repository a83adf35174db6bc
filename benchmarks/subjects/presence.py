"""Members of a presence channel: what a join costs Soundpost, beside the floor telling as many of it."""

from __future__ import annotations

import json

from fan_out import fan_out
from processes import clients, need_files, soundpost
from websockets.sync.client import connect

from soundpost.wire import messages, signatures
from subjects.subject import Figures, Measure, Subject, microseconds

CHANNEL = "presence-bench"


def joins(members: int) -> tuple[float, float, int]:
    """Of a channel that has so many members: seconds of CPU per connect and join of a new one, whom all others are
    told of, and of another connection of one, of which nobody is told; bytes of the list that it gets."""
    count = min(20, members // 2)
    need_files(members + count)
    with soundpost() as (process, port), clients(port) as swarm:
        swarm.do(f"connect {members - count} {CHANNEL}")
        before = process.cpu()
        for _ in range(count):
            swarm.do(f"connect 1 {CHANNEL}")
        between = process.cpu()
        for _ in range(count):
            swarm.do(f"connect 1 {CHANNEL} {members}")
        after = process.cpu()
        return (between - before) / count, (after - between) / count, list_size(port)


def list_size(port: int) -> int:
    """Bytes of the answer to a subscription of user 0."""
    with connect(f"ws://127.0.0.1:{port}/app/bench-key?protocol=7", compression=None, max_size=None) as client:
        socket_id = json.loads(json.loads(client.recv())["data"])["socket_id"]
        member = json.dumps({"user_id": "0", "user_info": {"name": "Member 0"}})
        signature = signatures.sign("bench-secret", signatures.channel_text(socket_id, CHANNEL, member))
        data = {"channel": CHANNEL, "auth": f"bench-key:{signature}", "channel_data": member}
        client.send(json.dumps({"event": "pusher:subscribe", "data": data}))
        return len(client.recv(decode=False))


def measured(members: int) -> Figures:
    new, again, size = joins(members)
    return {"join_us": microseconds(new), "again_us": microseconds(again), "list_bytes": size}


def told_by_floor(members: int) -> Figures:
    """As many bytes to as many clients as the news of a join."""
    told = messages.member_added(CHANNEL, b'"1000"', b'{"name":"Member 1000"}')
    data = "x" * (len(told) - len(messages.event("OrderPlaced", "bench", "")))
    run = fan_out("floor", members, 40, data=data)
    return {"join_us": microseconds(run.delivery * members + run.connect)}


def candidates(members: int) -> dict[str, Measure]:
    return {"floor": lambda: told_by_floor(members), "soundpost": lambda: measured(members)}


SUBJECT = Subject("presence", (10, 100, 500, 1_000, 2_000), candidates, 60)

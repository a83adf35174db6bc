"""Publishers at the same time: CPU per delivery to 1,000 subscribers, of all servers but Django Channels.

Each publisher waits for its answer before it publishes again. The floor sends each event on its own, whoever brings
it, so one publisher shows what it costs.
"""

from __future__ import annotations

from functools import partial

from fan_out import fan_out, running
from processes import FRAME, clients, need_files, publish_request

from subjects.subject import Figures, Measure, Subject, microseconds

SUBSCRIBERS, EVENTS = 1_000, 320


def measured(server: str, publishers: int) -> Figures:
    need_files(SUBSCRIBERS + publishers)
    with (
        running(server) as (process, port, api_port),
        clients(port) as swarm,
        clients(api_port) as api,
    ):
        swarm.do(f"connect {SUBSCRIBERS} bench")
        before = process.cpu()
        api.do(f"publish {publishers} {EVENTS // publishers} {publish_request().hex()}")
        swarm.receive(len(FRAME) * EVENTS * SUBSCRIBERS)
        return {"delivery_us": microseconds((process.cpu() - before) / (EVENTS * SUBSCRIBERS))}


def floor() -> Figures:
    return {"delivery_us": microseconds(fan_out("floor", SUBSCRIBERS, EVENTS).delivery)}


def candidates(publishers: int) -> dict[str, Measure]:
    servers = ("soundpost", "websockets_broadcast", "starlette_manager")
    return {"floor": floor} | {server: partial(measured, server, publishers) for server in servers}


SUBJECT = Subject("publishers", (1, 2, 8, 32), candidates, 60)

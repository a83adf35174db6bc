"""Number of channels: what Soundpost's publishes, subscriptions, memory and list of channels cost beside many.

1,000 connections hold a channel's one subscription each, in turn, so at 100,000 channels a connection has 100.
"""

from __future__ import annotations

import json

from processes import NotMeasuredError, Publisher, clients, need_files, soundpost

from subjects.subject import Figures, Measure, Subject, microseconds

CONNECTIONS, AUDIENCE, PUBLISHES = 1_000, 10, 1_000


def measured(count: int) -> Figures:
    need_files(CONNECTIONS + AUDIENCE)
    with soundpost() as (process, port), clients(port) as swarm, clients(port) as audience:
        publish = Publisher(port)
        audience.do(f"connect {AUDIENCE} bench")
        swarm.do(f"connect {CONNECTIONS} all")
        for _ in range(200):
            publish()
        publish.get("channels")
        memory, before = process.rss(), process.cpu()
        swarm.do(f"subscribe {count} own-{{i}}")
        figures = {"subscribe_us": microseconds((process.cpu() - before) / count)}
        # Less fits into what the allocator already holds.
        if count >= 1_000:
            figures["memory_bytes"] = (process.rss() - memory) // count
        before = process.cpu()
        for _ in range(PUBLISHES):
            publish()
        figures["publish_us"] = microseconds((process.cpu() - before) / PUBLISHES)
        lists = 3 if count >= 10_000 else 30
        before = process.cpu()
        for _ in range(lists):
            listed = publish.get("channels")
        figures["list_us"] = microseconds((process.cpu() - before) / lists)
        figures["list_bytes"] = len(listed)
        if (found := len(json.loads(listed)["channels"])) != count + 2:
            raise NotMeasuredError(f"{found:,} channels were listed where {count + 2:,} were expected")
        return figures


def shared(count: int) -> Figures:
    """100,000 subscriptions in so many channels: what one takes, the channels' share included."""
    need_files(CONNECTIONS)
    subscriptions = 100_000
    with soundpost() as (process, port), clients(port) as swarm:
        Publisher(port)()
        swarm.do(f"connect {CONNECTIONS} all")
        memory, before = process.rss(), process.cpu()
        swarm.do(f"subscribe {subscriptions} shared-{{i}} {subscriptions // count}")
        return {
            "subscribe_us": microseconds((process.cpu() - before) / subscriptions),
            "memory_bytes": (process.rss() - memory) // subscriptions,
        }


def candidates(count: int) -> dict[str, Measure]:
    measures: dict[str, Measure] = {"soundpost": lambda: measured(count)}
    if 100 <= count < 100_000:
        measures["soundpost, 100,000 subscriptions"] = lambda: shared(count)
    return measures


SUBJECT = Subject("channels", (1, 10, 100, 1_000, 10_000, 100_000), candidates, 60)

"""Hosts over one Redis that all have a subscriber of a channel: CPU of each process per event, traffic of Redis."""

from __future__ import annotations

from functools import partial

from cluster import AT_ONCE, per_event

from subjects.subject import Figures, Measure, Subject, microseconds


def measured(hosts: int, publishers: int) -> Figures:
    costs = per_event(hosts, publishers)
    figures = {
        "publish_us": microseconds(costs.publishing),
        "redis_us": microseconds(costs.redis),
        "read_bytes": round(costs.bytes_read),
        "written_bytes": round(costs.bytes_written),
    }
    return figures | ({"hear_us": microseconds(costs.hearing)} if hosts > 1 else {})


def candidates(hosts: int) -> dict[str, Measure]:
    return {
        "one publisher": partial(measured, hosts, 1),
        f"{AT_ONCE} publishers at once": partial(measured, hosts, AT_ONCE),
    }


SUBJECT = Subject("hosts", (1, 2, 4, 8), candidates, 60)

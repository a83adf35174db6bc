"""One fault under load, from the start of the servers to the account of what the endpoint was told."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import ExitStack
from typing import NamedTuple

from hearing.crowd import Crowd
from hearing.endpoint import Endpoint
from hearing.expected import Expected, Verdict
from hearing.faults import EVENTS, Fault, Stage

LOAD = 3.0
"""Seconds of load before the fault, and after it."""
CALM = 5.0
"""Seconds without an event after which none is waited for: longer than an end is held."""


class Row(NamedTuple):
    """What came of a fault."""

    fault: Fault
    verdict: Verdict
    heard: int
    """Events that the handler got."""
    requests: int
    repeated: int
    """Events that came again with their id: the handler drops them."""
    unsigned: int
    seconds: float
    """From the end of the fault until all had come."""
    delay: float
    """Median of the seconds from what happened until the handler had it, without those that are held."""

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        verdict = self.verdict
        lost = 0 if self.fault.may_lose else len(verdict.lost)
        unseen = 0 if self.fault.may_miss else verdict.unseen
        return not (lost or unseen or verdict.doubled or verdict.false_ends or verdict.wrong or self.unsigned)


async def measured(fault: Fault, stayers: int, rate: float) -> Row:
    """Run a fault, and say what came of it."""
    endpoint, expected = Endpoint(), Expected(fault.absence)
    await endpoint.open()
    with ExitStack() as stack:
        stage = Stage(stack, endpoint)
        await asyncio.to_thread(fault.build, stage)
        crowd = stage.crowd = Crowd([host.port for host in stage.hosts], stayers, rate, expected)
        await crowd.begin()
        await asyncio.sleep(LOAD)
        await fault.happen(stage)
        over = time.time()
        await asyncio.sleep(LOAD)
        await crowd.no_more_visitors()
        await _told_all(endpoint, expected, over + fault.patience)
        last = endpoint.handled[-1].at if endpoint.handled else over
        verdict = expected.verdict(endpoint.handled, EVENTS)
        await crowd.end()
    await endpoint.close()
    delays = [each.at - each.event["time_ms"] / 1000 for each in endpoint.handled if not _is_held(each.event["name"])]
    return Row(
        fault,
        verdict,
        len(endpoint.handled),
        endpoint.requests,
        endpoint.repeated,
        endpoint.unsigned,
        max(0.0, last - over - LOAD),
        statistics.median(delays) if delays else 0.0,
    )


async def _told_all(endpoint: Endpoint, expected: Expected, deadline: float) -> None:
    """Wait until nothing is missing or wrong and nothing more comes, or the time is over."""
    calm_since, count = time.time(), len(endpoint.handled)
    while time.time() < deadline:
        await asyncio.sleep(0.2)
        if len(endpoint.handled) != count:
            calm_since, count = time.time(), len(endpoint.handled)
        if time.time() - calm_since > CALM:
            verdict = expected.verdict(endpoint.handled, EVENTS)
            if not verdict.lost and not verdict.unseen and not verdict.wrong:
                return


def _is_held(name: str) -> bool:
    return name in {"channel_vacated", "member_removed", "user_offline"}

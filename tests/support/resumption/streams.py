"""Whether the streams in Redis are whole: each entry names the one before it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

from redis.client import NEVER_DECODE

from support.resumption.verdict import Verdict


class Entry(NamedTuple):
    """A kept event of a stream; ``before`` is the offset of the one that it follows."""

    offset: int
    before: int


def chains(server: Any) -> dict[str, list[Entry]]:
    """The streams of all channels' histories, by their keys. Raises AssertionError if there is none: each trial ends
    with events."""
    found = {}
    for key in server.scan_iter(count=1_000, _type="stream"):
        entries: Any = server.execute_command("XRANGE", key, "-", "+", **{NEVER_DECODE: True})  # frames are bytes
        found[str(key)] = [Entry(int(name.partition(b"-")[0]), int(fields[b"p"])) for name, fields in entries]
    assert found, "Redis has no streams"
    return found


def judged_chain(name: str, entries: list[Entry]) -> Verdict:
    """The verdict on a stream: offsets grow, and nothing is missing between two entries."""
    verdict = Verdict()
    for before, after in pairwise(entries):
        if after.before != before.offset:
            verdict.find("faults", f"{name}: {after.offset} follows {after.before}, but {before.offset} is before it")
    for entry in entries:
        if entry.before >= entry.offset:
            verdict.find("faults", f"{name}: {entry.offset} says that it follows {entry.before}")
    return verdict

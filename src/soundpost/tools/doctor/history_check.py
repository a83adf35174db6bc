"""Check of histories: which channels keep events, and whether Redis keeps them as it must."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

import hiredis

from soundpost.config.settings import ScalingSettings
from soundpost.core.app_settings import AppSettings, HistorySettings
from soundpost.core.history_rules import HistoryRules
from soundpost.errors import SoundpostError
from soundpost.tools.doctor.examination import ContinuingCheck
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.plan import CheckPlan

_SHOWN: Final = 8
"""Largest number of patterns that a line shows of one table."""
_OLDEST: Final = (6, 2)
_FIELD: Final = re.compile(r"^(\w+):(.*?)\r?$", re.MULTILINE)
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


class RedisInfo(NamedTuple):
    """Answer of one server of Redis about itself, and the place where it is."""

    where: str
    fields: dict[str, str]


def check_history(check: ContinuingCheck, plan: CheckPlan) -> None:
    """Check the histories of all apps; without any there are no steps."""
    apps = [] if plan.settings is None else [app for app in plan.settings.apps if app.history]
    for app in apps:
        name = "History" if len(apps) == 1 else f"History of app {app.id}"
        with check.step(name) as step:
            step.also_found += _unused(app)
            step.message = "; ".join(map(_shown, app.history)) + "; frontends need pusher-js 8.4 or newer"
    if apps and plan.settings is not None and plan.settings.scaling.redis is not None:
        with suppress(SoundpostError):  # its own step has said that Redis cannot be reached
            for server in _infos(plan.settings.scaling):
                with check.step("Redis for histories") as step:
                    step.message = check_redis(server)


def _shown(rule: HistorySettings) -> str:
    """Return a table of ``[[apps.history]]`` in words."""
    more = ", …" if len(rule.channels) > _SHOWN else ""
    rewind = f", rewind {rule.rewind:,}" if rule.rewind else ""
    size, unit = next((size, unit) for size, unit in _UNITS if rule.age % size == 0)
    age = f"{rule.age // size}{unit}"
    return f"{', '.join(rule.channels[:_SHOWN])}{more}: {rule.events:,} events, {age}{rewind}"


def _unused(app: AppSettings) -> Iterator[FaultFound]:
    """Yield a warning for each pattern all of whose channels have an earlier table.

    A pattern that another one matches as if it were a name has no channels of its own: what stands for its ``*`` is a
    part of what stands for the other's.
    """
    for number, rule in enumerate(app.history, start=1):
        for pattern in rule.channels:
            for earlier, other in enumerate(app.history[: number - 1], start=1):
                covering = next((each for each in other.channels if _matches(each, pattern)), None)
                if covering is not None:
                    yield FaultFound(
                        "history-pattern-unused",
                        app_id=app.id,
                        pattern=pattern,
                        number=number,
                        earlier=earlier,
                        covering=covering,
                    )
                    break


def _matches(pattern: str, name: str) -> bool:
    return HistoryRules([HistorySettings(channels=(pattern,))]).of(name) is not None


def _infos(scaling: ScalingSettings) -> list[RedisInfo]:
    """Return the INFO of each Redis server, or its refusal. Raises SoundpostError."""
    from soundpost.backplane.redis.url import servers_of

    servers = servers_of(scaling)

    async def ask() -> list[RedisInfo]:
        connected = await servers.connect((lambda topic, data: None, lambda connection: None))
        found = []
        for connection in connected.connections:
            where = str(servers)
            try:
                text = "\n".join([(await connection.ask("INFO", name)).decode() for name in ("server", "memory")])
                found.append(RedisInfo(where, dict(_FIELD.findall(text))))
            except hiredis.ReplyError as error:
                found.append(RedisInfo(where, {"refused": str(error)}))
            with suppress(ConnectionError):
                connection.close()
        await asyncio.sleep(0)
        return found

    return asyncio.run(ask())


def check_redis(server: RedisInfo) -> str:
    """Return a message for a Redis that keeps histories as it must. Raises FaultFound."""
    where, fields = server
    if "refused" in fields:
        raise FaultFound("redis-info-refused", where=where, reason=fields["refused"])
    version = fields.get("valkey_version") or fields.get("redis_version", "")
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if numbers and numbers < _OLDEST:
        raise FaultFound("redis-too-old", where=where, version=version)
    policy = fields.get("maxmemory_policy", "unknown")
    if policy not in ("noeviction", "unknown"):
        raise FaultFound("redis-evicts-history", where=where, policy=policy)
    kind = "Valkey" if "valkey_version" in fields else "Redis"
    return f"{where}: {kind} {version}, maxmemory-policy {policy}"

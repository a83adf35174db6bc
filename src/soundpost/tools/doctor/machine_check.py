"""Check of the server's machine: server, kernel limits, Redis, histories."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

from soundpost.config.settings import ScalingSettings
from soundpost.errors import SoundpostError
from soundpost.tools.doctor.causes import is_public
from soundpost.tools.doctor.examination import ContinuingCheck, Examination
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.history_check import check_history
from soundpost.tools.doctor.kernel_limits import KernelLimits, read_limits
from soundpost.tools.doctor.local_server import check_server, server_process
from soundpost.tools.doctor.plan import CheckPlan
from soundpost.tools.doctor.service_files import may_read, service_here
from soundpost.tools.doctor.socket_rights import user_of_process

_RESERVED: Final = 128  # files besides the connections: the server's own, and a reserve for the API
_BACKLOG: Final = 4096
_LOGIN: Final = ("WRONGPASS", "NOAUTH", "NOPERM", "AUTH")


def check_machine(plan: CheckPlan, examination: Examination, proc: Path = Path("/proc")) -> None:
    """Check server, kernel limits, Redis, and the channels that keep events."""
    with ContinuingCheck("machine", examination, plan.inside) as check:
        for warning in plan.config_warnings:
            with check.step("Configuration"):
                raise FaultFound("configuration-warning", reason=warning)
        for location in plan.placeholders:
            with check.step("Credentials") as step:
                step.also_found.append(FaultFound("placeholder-secret", location=location))
        for unreadable in _unreadable(plan):
            with check.step("Files") as step:
                step.also_found.append(unreadable)
        inside = plan.inside
        if inside is not None:
            with check.step("Server") as step:
                step.message = check_server(plan, inside)
        _room(check, plan, read_limits(None if inside is None or inside.unix_socket else inside.port, proc))
        if plan.settings is not None and plan.settings.scaling.redis is not None:
            with check.step("Redis") as step:
                step.message = _redis(plan.settings.scaling)
        check_history(check, plan)


def _unreadable(plan: CheckPlan) -> list[FaultFound]:
    """Return a warning for each file that the server's user may not read, though this user may."""
    process = None if plan.inside is None else server_process(plan.inside)
    user = "" if process is None else user_of_process(process)
    if not user:
        service = service_here(plan.server_files, plan.etc)
        user = "" if service is None else service.user
    return [
        FaultFound("file-unreadable", file=file, user=user)
        for file in plan.server_files
        if user and not may_read(user, file)
    ]


def _room(check: ContinuingCheck, plan: CheckPlan, found: KernelLimits) -> None:
    """Check the limits for the wanted number of connections; on Windows, where no server runs, there are none."""
    if found.open_files is None:
        return
    wanted = plan.connections
    if wanted is None and plan.settings is not None:
        wanted = plan.settings.server.max_connections
    proxied = plan.inside is None or (plan.public is not None and is_public(plan.public, plan))
    with check.step("Open files") as step:
        _enough("open-files-too-low", found.open_files, wanted, _RESERVED, whose=found.whose)
        step.message = f"{found.whose} may open {found.open_files:,}: {found.open_files - _RESERVED:,} connections"
    each = 2 if proxied else 1
    _kernel_limit(check, "Connection tracking", "conntrack-too-low", found.conntrack, wanted, each)
    if proxied:
        _kernel_limit(check, "Local ports", "port-range-too-low", found.local_ports, wanted, 1)
    if wanted is not None and found.somaxconn is not None:
        with check.step("Waiting connections") as step:
            needed = min(wanted, _BACKLOG)
            if found.somaxconn < needed:
                step.also_found.append(FaultFound("somaxconn-too-low", limit=found.somaxconn, needed=needed))
            else:
                step.message = f"{found.somaxconn:,} may wait (somaxconn)"


def _kernel_limit(
    check: ContinuingCheck, name: str, code: str, limit: int | None, wanted: int | None, each: int
) -> None:
    if limit is None:
        check.skip(name, "this kernel has no such limit, or does not tell it")
        return
    with check.step(name) as step:
        _enough(code, limit, None if wanted is None else wanted * each, 0)
        step.message = f"{limit:,}: enough for {limit // each:,} connections"


def _enough(code: str, limit: int, wanted: int | None, reserved: int, **facts: object) -> None:
    """Raise FaultFound for a limit that is too low."""
    if wanted is not None and limit < wanted + reserved:
        raise FaultFound(code, limit=limit, needed=wanted + reserved, connections=wanted, **facts)


def _redis(scaling: ScalingSettings) -> str:
    """Return a message for a Redis that answers. Raises FaultFound."""
    from soundpost.backplane.redis.url import servers_of

    try:
        servers = servers_of(scaling)

        async def connect() -> None:
            connected = await servers.connect((lambda topic, data: None, lambda connection: None))
            for connection in connected.connections:
                with suppress(ConnectionError):
                    connection.close()
            await asyncio.sleep(0)

        asyncio.run(connect())
    except SoundpostError as error:
        code = "redis-login-failed" if any(sign in str(error) for sign in _LOGIN) else "redis-unreachable"
        raise FaultFound(code, reason=str(error)) from None
    return f"{servers} answers"

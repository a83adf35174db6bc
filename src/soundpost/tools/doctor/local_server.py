"""Server of this machine: whether it is the one configured here, by its control socket and the kernel."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from soundpost.tools.doctor import timeouts
from soundpost.tools.doctor.answered_by import response_text
from soundpost.tools.doctor.api import Api
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.exchange import RawResponse, fetch
from soundpost.tools.doctor.faults.machine import (
    ANOTHER_SERVER_RUNS,
    SERVER_HAS_WORKERS,
    SERVER_IS_STOPPED,
    WORKERS_ARE_STOPPED,
)
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.kernel_limits import listening_process
from soundpost.tools.doctor.plan import CheckPlan
from soundpost.tools.doctor.service_files import service_here

if TYPE_CHECKING:
    from soundpost.server.processes.status import Status

_ANSWER_TIMEOUT: Final = 4.0
"""Seconds in which a server of the same machine answers."""
_MORE_ATTEMPTS: Final = 3
"""Connections after one that got no answer: with workers, another one may answer."""
_MAX_APPS: Final = 20
_SHOWN_PORTS: Final = 8
_SOUNDPOST_ANSWERS: Final = ("Not found: there is nothing at ", "Not found: paths begin with ")
_OTHER_APPS: Final = ("app-id-unknown", "app-key-mismatch", "app-secret-wrong")


def check_server(plan: CheckPlan, inside: BaseUrl) -> str:
    """Return a message for a server that runs with the configuration here. Raises FaultFound."""
    try:
        with timeouts.at_most(_ANSWER_TIMEOUT):
            response = _health(inside)
    except FaultFound as found:
        raise _without_answer(found, plan, inside) from None
    if response.status not in (200, 503) or not response.body.lstrip().startswith(b"{"):
        text = response_text(response)
        shown = f"it answers {response.status}: {text}"
        if text.startswith(_SOUNDPOST_ANSWERS) or _is_soundpost(plan, inside):
            raise _not_loaded(plan, inside, shown)
        raise FaultFound("port-in-use", port=inside.port, host=inside.host, shown=shown)
    status = _status(plan)
    stopped = [] if status is None else [worker.pid for worker in status.workers if _is_stopped(worker.pid)]
    if status is not None and stopped:
        raise _worker_hangs(f"{len(stopped)} of {len(status.workers)} workers", stopped)
    _check_apps(plan, inside)
    return f"runs at {inside.url}"


def _health(inside: BaseUrl) -> RawResponse:
    return fetch(inside, "GET", f"{inside.path}/up", verify=False)


def _without_answer(found: FaultFound, plan: CheckPlan, inside: BaseUrl) -> FaultFound:
    """Return the fault of a server that gave no answer in HTTP."""
    if found.code == "tcp-refused":
        where = inside.unix_socket or f"{inside.host} port {inside.port}"
        others = _other_servers()
        situation = ANOTHER_SERVER_RUNS if others else ""
        return FaultFound("server-not-running", situation, where=where, others=_in_words(others), log=_log(plan))
    if found.code.startswith(("tcp-", "dns-")):
        return found
    if not _is_soundpost(plan, inside):
        return FaultFound("port-in-use", port=inside.port, host=inside.host, shown=found.message)
    if found.code in ("http-timeout", "tls-timeout"):
        return _hanging(plan, inside)
    return _not_loaded(plan, inside, found.message)


def _hanging(plan: CheckPlan, inside: BaseUrl) -> FaultFound:
    """Return the fault of a server that takes connections and does not answer: a worker of it hangs, or all do."""
    process = server_process(inside)
    is_stopped = process is not None and _is_stopped(process)
    status = None if is_stopped else _status(plan)
    workers = () if status is None else status.workers
    stopped = [worker.pid for worker in workers if _is_stopped(worker.pid)]
    if 0 < len(stopped) < len(workers):  # each connection may have led to one of these by chance
        return _worker_hangs(f"{len(stopped)} of {len(workers)} workers", stopped)
    for number in range(1, _MORE_ATTEMPTS + 1 if workers else 1):
        with suppress(FaultFound), timeouts.at_most(_ANSWER_TIMEOUT / 4):
            _health(inside)
            return _worker_hangs(f"{number} of {number + 1} connections", stopped)
    return FaultFound(
        "server-hangs",
        SERVER_IS_STOPPED if is_stopped else "",
        where=inside.unix_socket or f"port {inside.port}",
        process="" if process is None else f" (process {process})",
        pid=process,
        seconds=f"{min(_ANSWER_TIMEOUT, timeouts.ANSWER):g}",
        state=": it was stopped by a signal (SIGSTOP)" if is_stopped else "",
    )


def _worker_hangs(which: str, stopped: list[int]) -> FaultFound:
    pids = " ".join(map(str, stopped))
    return FaultFound("worker-hangs", WORKERS_ARE_STOPPED if stopped else "", which=which, pids=pids)


def _not_loaded(plan: CheckPlan, inside: BaseUrl, shown: str) -> FaultFound:
    status = _status(plan)
    situation = SERVER_HAS_WORKERS if status is not None and status.workers else ""
    where = inside.unix_socket or f"port {inside.port}"
    return FaultFound("configuration-not-loaded", situation, where=where, process=_process_shown(inside), shown=shown)


def _check_apps(plan: CheckPlan, inside: BaseUrl) -> None:
    """Check that the server has the apps that are configured here. Raises FaultFound."""
    apps = () if plan.settings is None else plan.settings.apps[:_MAX_APPS]
    for app in apps:
        own = replace(plan, app_id=app.id, key=app.key, secret=app.secret, credential_sources={})
        try:
            Api(inside, own).request_channels()
        except FaultFound as found:
            if found.code in _OTHER_APPS:
                raise FaultFound(
                    "server-has-other-apps",
                    app_id=app.id,
                    inside=inside.url,
                    process=_process_shown(inside),
                    reason=found.message,
                ) from None


def _is_soundpost(plan: CheckPlan, inside: BaseUrl) -> bool:
    """Return whether the program that listens where the server should be is a Soundpost server."""
    from soundpost.server.processes.control_client import running_servers
    from soundpost.server.processes.control_paths import port_of_name

    running = running_servers()
    if _control_name(plan) in running or (not inside.unix_socket and inside.port in map(port_of_name, running)):
        return True
    process = server_process(inside)
    with suppress(OSError):
        return process is not None and b"soundpost" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


def _control_name(plan: CheckPlan) -> str:
    """Return the control name of the server configured here; empty without one."""
    from soundpost.server.processes.control_paths import control_name

    server = None if plan.settings is None else plan.settings.server
    return "" if server is None else control_name(server.port, server.unix_socket, server.host)


def _status(plan: CheckPlan) -> Status | None:
    """Return the status of the server configured here; None if it does not answer, or not to this user."""
    from soundpost.server.processes.control_client import ask_server

    name = _control_name(plan)
    if not name or sys.platform == "win32":
        return None
    try:
        reply = ask_server("status", name)
    except OSError:
        return None
    return None if reply is None else reply.status


def server_process(inside: BaseUrl) -> int | None:
    """Return the process that listens at an address of this machine; None if this user may not see it."""
    if sys.platform == "win32":
        return None
    if not inside.unix_socket:
        return listening_process(inside.port)
    from soundpost.server.processes.control_peer import peer_of

    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1)
        sock.connect(inside.unix_socket)
        return peer_of(sock).pid or None
    return None


def _process_shown(inside: BaseUrl) -> str:
    """Return process and folder of the server, as a part of a sentence; empty if this user may not see them."""
    process = server_process(inside)
    if process is None:
        return ""
    folder = ""
    with suppress(OSError):
        folder = f", started in {Path(f'/proc/{process}/cwd').readlink()}"
    return f" (process {process}{folder})"


def _is_stopped(process: int) -> bool:
    """Return whether a signal has stopped a process (proc(5), stat: state T)."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    return False


def _log(plan: CheckPlan) -> str:
    """Return where the log of the server's service is, as a sentence; empty without such a service."""
    service = service_here(plan.server_files, plan.etc)
    return "" if service is None else f" The log of its service: '{service.log}'."


def _other_servers() -> list[str]:
    """Return the ports of the Soundpost servers of this user that run, in words."""
    from soundpost.server.processes.control_client import running_servers
    from soundpost.server.processes.control_paths import name_in_words, port_of_name

    return [name_in_words(name) for name in running_servers() if port_of_name(name) is not None]


def _in_words(ports: list[str]) -> str:
    """Return running servers as the end of a sentence; empty without any."""
    if len(ports) < 2:
        return f"; a Soundpost server of yours runs on port {ports[0]}" if ports else ""
    more = ", …" if len(ports) > _SHOWN_PORTS else ""
    return f"; Soundpost servers of yours run on the ports {', '.join(ports[:_SHOWN_PORTS])}{more}"

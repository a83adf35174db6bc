"""Private file of a server with credentials for its run, from which other shells know the credentials.

With it ``soundpost trigger`` and ``soundpost listen`` need no arguments in a second shell. The file is in
``$XDG_RUNTIME_DIR/soundpost`` or ``~/.cache/soundpost``, readable by its user only, and gone when the server stops.
"""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from soundpost.errors import ConfigurationError, JsonError
from soundpost.redaction import redacted_fields
from soundpost.wire.json_text import reader


class RunningServer(Struct, frozen=True, kw_only=True):
    """Running server: its process, port, base URL, and the credentials of its app."""

    pid: int
    started: str
    """Start time of the process, which tells it from a later one with the same id."""
    port: int
    url: str
    app_id: str
    key: str
    secret: str

    def __repr__(self) -> str:
        return redacted_fields(self, "secret")


_read_server: Final = reader(RunningServer)


def write_server_file(port: int, url: str, app_id: str, key: str, secret: str) -> Path | None:
    """Write this process's file and return its path; None if it cannot be written."""
    pid = os.getpid()
    server = RunningServer(pid=pid, started=_started(pid), port=port, url=url, app_id=app_id, key=key, secret=secret)
    path = _directory() / f"server-{port}.json"
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(server))
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        return None
    return path


def remove_server_file(path: Path) -> None:
    """Remove this process's file, unless another process has replaced it."""
    server = _read(path)
    if server is not None and server.pid == os.getpid():
        with suppress(OSError):
            path.unlink()


def find_running(port: int | None, usual_port: int) -> RunningServer | None:
    """Return this user's running server at ``port``; without a port the only one, or the one at ``usual_port``.

    Raises ConfigurationError when that leaves a choice.
    """
    servers = {
        server.port: server for server in map(_read, _directory().glob("server-*.json")) if server and _is_alive(server)
    }
    if port is not None:
        return servers.get(port)
    if len(servers) < 2:
        return next(iter(servers.values()), None)
    if usual_port in servers:
        return servers[usual_port]
    ports = ", ".join(map(str, sorted(servers)))
    raise ConfigurationError(f"several servers run here, on the ports {ports}: choose one with --port")


def _directory() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    try:
        return Path(runtime or Path.home() / ".cache") / "soundpost"
    except RuntimeError:  # a user without a home
        return Path("/nonexistent")


def _read(path: Path) -> RunningServer | None:
    if sys.platform == "win32":  # no server runs there
        return None
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_uid != os.geteuid():
                return None  # another user's server: its owner would get the events
            server: RunningServer = _read_server(file.read())
            return server
    except (OSError, JsonError):
        return None


def _is_alive(server: RunningServer) -> bool:
    try:
        os.kill(server.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _started(server.pid) == server.started


def _started(pid: int) -> str:
    """Return the start of a process in kernel ticks (proc(5), stat, field 22); empty without /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]

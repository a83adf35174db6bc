"""Service of the server on this machine, by the files of Supervisor and systemd: its user, and where it logs."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

_SUPERVISOR: Final = ("supervisor/conf.d/*.conf", "supervisord.d/*.ini")
_SYSTEMD: Final = "systemd/system/*.service"
_PROGRAM: Final = re.compile(r"^\[program:([^\]]+)\](.*?)(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
_STARTS: Final = re.compile(r"\bsoundpost\b.*\bstart\b")


class LocalService(NamedTuple):
    """Service that starts the server; ``user`` is empty for root."""

    user: str
    log: str
    """Command that shows the log."""


def service_here(files: Sequence[Path], etc: Path = Path("/etc")) -> LocalService | None:
    """Return the service that starts the server of these configuration files; None if there is none."""
    for path in (path for pattern in _SUPERVISOR for path in sorted(etc.glob(pattern))):
        for name, text in _PROGRAM.findall(_text(path)):
            values = _values(text)
            if _starts(values.get("command", ""), values.get("directory", ""), files):
                file = values.get("stdout_logfile", "")
                log = f"tail -n 50 {file}" if file.startswith("/") else f"supervisorctl tail {name}"
                return LocalService(values.get("user", ""), log)
    for path in sorted(etc.glob(_SYSTEMD)):
        values = _values(_text(path))
        if _starts(values.get("ExecStart", ""), values.get("WorkingDirectory", ""), files):
            return LocalService(values.get("User", ""), f"journalctl -u {path.stem} -n 50")
    return None


def _starts(command: str, directory: str, files: Sequence[Path]) -> bool:
    """Return whether a service's command, called in ``directory``, starts the server of one of these files."""
    return _STARTS.search(command) is not None and any(
        str(file) in command or directory == str(file.parent) for file in files
    )


def may_read(user: str, path: Path) -> bool:
    """Return whether a user of this machine may read a file by its owner, group and mode; True if unknown."""
    if sys.platform == "win32":
        return True
    from soundpost.tools.doctor.socket_rights import user_of

    found = user_of(user)
    try:
        statuses = [(each.stat(), 0o1) for each in reversed(path.absolute().parents)] + [(path.stat(), 0o4)]
    except OSError:
        return True
    if found is None or found.uid == 0:
        return True
    return all(
        status.st_mode & (needed << (6 if status.st_uid == found.uid else 3 if status.st_gid in found.gids else 0))
        for status, needed in statuses
    )


def _values(text: str) -> dict[str, str]:
    return {name: value.strip() for name, value in re.findall(r"^(\w+)[ \t]*=(.*)$", text, re.MULTILINE)}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

"""Rights of other users on this machine: whether the user of Nginx's workers may reach a Unix socket."""

from __future__ import annotations

import re
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

if sys.platform != "win32":
    import grp
    import pwd

_USER: Final = re.compile(r"^\s*user\s+([\w.-]+)(?:\s+([\w.-]+))?\s*;", re.MULTILINE)
_USUAL: Final = ("www-data", "nginx", "http", "nobody")


class ClosedPath(NamedTuple):
    """Folder, or socket, that a user may not use."""

    path: Path
    mode: int
    owner: str
    is_folder: bool

    @property
    def command(self) -> str:
        """The command that opens the path to everybody, as the server does with its own socket."""
        return f"chmod {'o+x' if self.is_folder else 'o+rw'} {self.path}"

    def __str__(self) -> str:
        return f"{self.path} has the mode {self.mode:03o} and belongs to {self.owner}"


class UserGroups(NamedTuple):
    """User and groups of a process."""

    name: str
    uid: int
    gids: frozenset[int]


def closed_to(user: UserGroups, path: Path) -> ClosedPath | None:
    """Return the first part of the path of a Unix socket that ``user`` may not use; None without one."""
    if user.uid == 0:
        return None
    for each in (*reversed(path.absolute().parents), path):
        try:
            status = each.stat()
        except OSError:
            return None
        is_folder = each != path
        needed = stat.S_IXOTH if is_folder else stat.S_IWOTH
        needed <<= 6 if status.st_uid == user.uid else 3 if status.st_gid in user.gids else 0
        if not status.st_mode & needed:
            return ClosedPath(each, stat.S_IMODE(status.st_mode), _name(status.st_uid), is_folder)
    return None


def nginx_user(folder: Path, proc: Path = Path("/proc")) -> UserGroups | None:
    """Return the user of Nginx's workers; None if there is no such user.

    The name comes from ``nginx.conf`` in ``folder``, else from the running workers, else from a list of usual names.
    """
    configured = None
    with suppress(OSError):
        configured = _USER.search((folder / "nginx.conf").read_text(errors="replace"))
    names = (configured[1] if configured else "", _user_of_workers(proc), *_USUAL)
    return next(filter(None, map(user_of, filter(None, names))), None)


def _user_of_workers(proc: Path) -> str:
    """Return the user of Nginx's processes other than root; empty without any."""
    for process in proc.iterdir() if proc.is_dir() else ():
        with suppress(OSError):
            if process.name.isdigit() and (process / "comm").read_text().strip() == "nginx" and process.stat().st_uid:
                return _name(process.stat().st_uid)
    return ""


def user_of(name: str) -> UserGroups | None:
    """Return a user of this machine by its name; None without one."""
    if sys.platform != "win32":
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            groups = {group.gr_gid for group in grp.getgrall() if name in group.gr_mem}
            return UserGroups(name, entry.pw_uid, frozenset({entry.pw_gid, *groups}))
    return None


def user_of_process(process: int) -> str:
    """Return the name of a process' user; empty if it is not known."""
    with suppress(OSError):
        return _name(Path(f"/proc/{process}").stat().st_uid)
    return ""


def _name(uid: int) -> str:
    if sys.platform != "win32":
        with suppress(KeyError):
            return pwd.getpwuid(uid).pw_name
    return str(uid)

"""Server as a service of this machine, for Supervisor and systemd: command, directory, user."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soundpost.environment.toml_document import FILE_NAME
from soundpost.errors import ConfigurationError

USER: Final = "soundpost"
"""User in root's place: a server that faces the internet needs none of root's rights."""

_USER_NAME: Final = re.compile(r"[\w.][-\w.@]*\$?")
_UNWRITABLE: Final = re.compile(r"[\x00-\x1f\x7f]|\s[;#]|^\s|\s$")


@dataclass(frozen=True, slots=True)
class Service:
    """Service that a supervisor starts."""

    command: tuple[str, ...]
    directory: Path
    """Working directory, whose ``.env`` and ``soundpost.toml`` are read."""
    user: str
    config: Path | None
    """Configuration file; None without one."""
    environment: tuple[str, ...] = ()
    """Names of this shell's variables that configure the server; a service does not get them."""

    @property
    def home(self) -> str:
        """The home directory of the service's user."""
        try:
            return pwd.getpwnam(self.user).pw_dir
        except KeyError:
            return f"/var/lib/{self.user}"

    @property
    def secrets(self) -> str:
        """The path of the file that holds the secrets."""
        return str(self.config or self.directory / ".env")


def service_of(config: Path | None, directory: Path, user: str | None) -> Service:
    """Return the service for a configuration in ``directory``, with this Python. Raises ConfigurationError."""
    directory = directory.resolve()
    file = directory / (config or FILE_NAME)
    found = file if config is not None or file.exists() else None
    program = Path(sys.executable).with_name("soundpost")  # not resolved: in a virtual environment it is a link
    command = [str(program), "start"] if program.exists() else [sys.executable, "-m", "soundpost", "start"]
    if found is not None:
        command += ["--config", str(found)]
    names = tuple(sorted(name for name in os.environ if name.startswith(("SOUNDPOST_", "REVERB_"))))
    if user and not _USER_NAME.fullmatch(user):
        raise ConfigurationError(f"--user {user!r}: expected the name of a user, such as {USER}")
    for text in (*command, str(directory)):
        check_text(text)
    return Service(tuple(command), directory, user or _owner(found or directory), found, names)


def check_text(text: str) -> None:
    """Raise ConfigurationError for a path that would end before its last character, or be a comment from there on."""
    if _UNWRITABLE.search(text):
        raise ConfigurationError(f"{text!r}: a path in the configuration of a service cannot have this in it")


def preparation_steps(service: Service) -> list[str]:
    """Return commands to run before the first start: they create the user and let the user read the files."""
    steps = []
    uid = _uid(service.user)
    if uid is None:
        steps.append(
            f"getent passwd {service.user} || useradd --system --create-home --home-dir {service.home} "
            f"--shell /usr/sbin/nologin {service.user}"
        )
    for path in (service.config, service.directory / ".env"):
        if path is not None and path.exists() and path.stat().st_uid != uid:
            steps.append(f"chown {service.user} {shlex.quote(str(path))}   # it holds secrets: its mode stays 600")
    return steps


def warnings(service: Service) -> tuple[str, ...]:
    """Return warnings about settings and files that the service would lack."""
    found = []
    if service.environment:
        found.append(
            f"set in this shell, but not in that of a service: {', '.join(service.environment)}: write them into "
            f"{service.secrets} (mode 600)"
        )
    for path in dict.fromkeys((service.command[0], str(service.config or service.directory))):
        closed = _closed_folder(Path(path), _uid(service.user))
        if closed is not None:
            found.append(
                f"{service.user} cannot reach {path}, as {closed} is closed to others: install into a folder such as "
                f"/opt/soundpost, or give another --user"
            )
    return tuple(found)


def _owner(path: Path) -> str:
    """Return the user who owns a file and so may read it; ``soundpost`` in root's place."""
    uid = path.stat().st_uid if path.exists() else os.getuid()
    try:
        return USER if uid == 0 else pwd.getpwuid(uid).pw_name
    except KeyError:
        return USER


def _uid(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _closed_folder(path: Path, uid: int | None) -> Path | None:
    """Return the first folder above ``path`` that a user may not pass, by owner and mode; None without one."""
    if uid == 0:
        return None
    for folder in reversed(path.parents):
        try:
            status = folder.stat()
        except OSError:
            return folder
        needed = 0o100 if status.st_uid == uid else 0o011
        if not status.st_mode & needed:
            return folder
    return None

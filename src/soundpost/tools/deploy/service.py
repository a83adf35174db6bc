"""The server as a service of this machine: its command, where it runs, as whom. For Supervisor and systemd."""

from __future__ import annotations

import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soundpost.config.load import FILE_NAME
from soundpost.errors import ConfigurationError

USER: Final = "soundpost"
"""In root's place: a server that faces the internet needs none of root's rights."""


@dataclass(frozen=True, slots=True)
class Service:
    """What a supervisor is to start."""

    command: tuple[str, ...]
    directory: Path
    """Its ``.env`` and ``soundpost.toml`` are read."""
    user: str
    config: Path | None
    """The configuration file, if there is one."""
    environment: tuple[str, ...] = ()
    """Names of variables of this shell that configure the server, which a service does not get."""

    @property
    def home(self) -> str:
        """Where its user is at home."""
        try:
            return pwd.getpwnam(self.user).pw_dir
        except KeyError:
            return f"/var/lib/{self.user}"

    @property
    def secrets(self) -> str:
        """The file that holds the secrets."""
        return str(self.config or self.directory / ".env")


def service(config: Path | None, directory: Path, user: str | None) -> Service:
    """The service for a configuration in ``directory``, with this Python. Raises ConfigurationError."""
    directory = directory.resolve()
    file = directory / (config or FILE_NAME)
    found = file if config is not None or file.exists() else None
    program = Path(sys.executable).with_name("soundpost")  # not resolved: in a virtual environment it is a link
    command = [str(program), "start"] if program.exists() else [sys.executable, "-m", "soundpost", "start"]
    if found is not None:
        command += ["--config", str(found)]
    names = tuple(sorted(name for name in os.environ if name.startswith(("SOUNDPOST_", "REVERB_"))))
    made = Service(tuple(command), directory, user or _owner(found or directory), found, names)
    for text in (*made.command, str(directory), made.user):
        if "\n" in text or " ;" in text:
            raise ConfigurationError(f"{text!r}: a path in the configuration of a service cannot have this in it")
    return made


def preparation_steps(made: Service) -> list[str]:
    """What must be so before the service can start: its user exists, and may read what it needs."""
    steps = []
    uid = _uid(made.user)
    if uid is None:
        steps.append(f"useradd --system --create-home --home-dir {made.home} --shell /usr/sbin/nologin {made.user}")
    for path in (made.config, made.directory / ".env"):
        if path is not None and path.exists() and path.stat().st_uid != uid:
            steps.append(f"chown {made.user} {path}   # it holds secrets: its mode stays 600")
    return steps


def warnings(made: Service) -> tuple[str, ...]:
    """What the service would lack."""
    found = []
    if made.environment:
        found.append(
            f"set in this shell, but not in that of a service: {', '.join(made.environment)}: write them into "
            f"{made.secrets} (mode 600)"
        )
    for path in dict.fromkeys((made.command[0], str(made.config or made.directory))):
        closed = _closed_folder(Path(path), _uid(made.user))
        if closed is not None:
            found.append(
                f"{made.user} cannot reach {path}, as {closed} is closed to others: install into a folder such as "
                f"/opt/soundpost, or give another --user"
            )
    return tuple(found)


def _owner(path: Path) -> str:
    """Who owns a file, which is who must read it; a user of its own in root's place."""
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
    """The first folder on the way to ``path`` that a user may not pass, as far as owner and mode tell."""
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

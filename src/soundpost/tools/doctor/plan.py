"""Subject of an examination: addresses, credentials, thoroughness."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from soundpost.config.settings import Settings
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.dotenv import EnvFile
from soundpost.tools.doctor.sourced_address import SourcedAddress


class UnknownPublic(NamedTuple):
    """Reason why the address for browsers is not known, and the address to try: that of a proxy, or None."""

    reason: str
    guess: BaseUrl | None
    tried: str = ""
    """Fault that was met at ``guess``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPlan:
    """Subject of an examination. Unknown addresses are None, unknown credentials empty; their checks are left out."""

    public: BaseUrl | None = None
    """Base URL to which browsers connect."""
    public_source: str = ""
    """Place of ``public``: ``--url``, ``.env: SOUNDPOST_PUBLIC_PORT``, ``soundpost.toml: public_url``."""
    stated_public: SourcedAddress | None = None
    """Address for browsers on the command line or in the configuration; variables in files are compared with it."""
    unknown_public: UnknownPublic | None = None
    """Set if the address for browsers is unknown, and ``public`` is the server's own address."""
    backend: BaseUrl | None = None
    """Base URL to which applications publish."""
    backend_source: str = ""
    """Place of the setting of ``backend``."""
    inside: BaseUrl | None = None
    """Base URL at which the server configured here listens."""
    is_embedded: bool = False
    """True if the server is embedded in the application's site."""
    key: str = ""
    app_id: str = ""
    secret: str = field(default="", repr=False)
    origin: str | None = None
    """Origin of the pages that connect: ``https://shop.example.com``."""
    verify: bool = True
    """True if certificates must be trusted."""
    slow: bool = False
    """True to wait on an idle connection until a ping is due."""
    connections: int | None = None
    """Number of connections that the machine must bear."""
    settings: Settings | None = None
    """Configuration of the server on this machine; None if the machine is not to be checked."""
    config_warnings: tuple[str, ...] = ()
    """Warnings from reading the configuration."""
    files: tuple[EnvFile, ...] = ()
    placeholders: tuple[str, ...] = ()
    """Places, other than ``files``, whose secret is a well-known example."""
    server_files: tuple[Path, ...] = ()
    """Files that the server reads at its start: configuration, certificate, key."""
    etc: Path = Path("/etc")
    """Folder of Supervisor's and systemd's files on this machine."""
    nginx: Path = Path("/etc/nginx")
    """Folder of Nginx's configuration on this machine."""
    letsencrypt: Path = Path("/etc/letsencrypt")
    """Folder of certbot on this machine."""
    credential_sources: Mapping[str, str] = field(default_factory=dict)
    """Places of ``key``, ``app_id`` and ``secret`` that come from files or options."""
    public_ports: tuple[int, ...] = (443,)
    """Ports at which browsers usually find a server with TLS."""
    clock: Callable[[], float] = time.time
    """Clock that returns seconds since 1970."""

    def source_of(self, credential: str) -> str:
        """Return the location of a credential, as a part of a sentence; empty if it is unknown."""
        location = self.credential_sources.get(credential)
        return f" ({location})" if location else ""

    def is_option(self, credential: str) -> bool:
        """Return whether a credential was given on the command line, not found in a file or in the environment."""
        return self.credential_sources.get(credential, "").startswith("--")

    @property
    def can_publish(self) -> bool:
        """True if address and credentials for publishing are known."""
        return self.backend is not None and bool(self.key and self.app_id and self.secret)

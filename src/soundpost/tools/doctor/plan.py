"""Subject of an examination: addresses, credentials, thoroughness."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from soundpost.config.settings import Settings
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.dotenv import EnvFile


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPlan:
    """Subject of an examination. Unknown addresses are None, unknown credentials empty; their checks are left out."""

    public: BaseUrl | None = None
    """Base URL to which browsers connect."""
    given_public: BaseUrl | None = None
    """Same as ``public`` if given on the command line; settings in files are compared with it."""
    backend: BaseUrl | None = None
    """Base URL to which applications publish."""
    inside: BaseUrl | None = None
    """Base URL at which the server configured here listens."""
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
    public_ports: tuple[int, ...] = (443,)
    """Ports at which browsers usually find a server with TLS."""
    clock: Callable[[], float] = time.time
    """Clock that returns seconds since 1970."""

    @property
    def can_publish(self) -> bool:
        """Tell whether address and credentials for publishing are known."""
        return self.backend is not None and bool(self.key and self.app_id and self.secret)

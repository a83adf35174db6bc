"""What is to be examined: the addresses, as whom, how thoroughly."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from soundpost.config.settings import Settings
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.dotenv import EnvFile


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPlan:
    """Addresses are None, and credentials empty, where they are not known: what needs them is left out then."""

    public: BaseUrl | None = None
    """Where browsers connect."""
    given_public: BaseUrl | None = None
    """The same, if it was given beside the files: what they say is compared with it."""
    backend: BaseUrl | None = None
    """Where applications publish to."""
    inside: BaseUrl | None = None
    """Where the server configured here listens."""
    key: str = ""
    app_id: str = ""
    secret: str = field(default="", repr=False)
    origin: str | None = None
    """Of the pages that connect: ``https://shop.example.com``."""
    verify: bool = True
    """Whether certificates must be trusted."""
    slow: bool = False
    """Also wait on a silent connection until a ping is due."""
    connections: int | None = None
    """How many connections the machine is to bear."""
    settings: Settings | None = None
    """The configuration of the server on this machine, if that is to be looked at."""
    config_warnings: tuple[str, ...] = ()
    """What reading the configuration had to say."""
    files: tuple[EnvFile, ...] = ()
    public_ports: tuple[int, ...] = (443,)
    """Where browsers usually find a server with TLS."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""

    @property
    def can_publish(self) -> bool:
        """Whether all that a backend needs is known."""
        return self.backend is not None and bool(self.key and self.app_id and self.secret)

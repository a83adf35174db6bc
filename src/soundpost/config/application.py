"""The server that an application's settings name: its app, the address to publish to, and the public address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from soundpost.config.options import Setting, Values

_LISTENING: Final = ("port", "path")
"""Parts of the address to publish to that are also the server's own, if it is on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationServer:
    """The server that an application publishes to, for the server's own commands. Empty values are not known."""

    name: str
    """The application in messages: ``Django``."""
    location: str
    """The location of its settings, for messages: ``settings.SOUNDPOST``."""
    app: Mapping[str, str]
    """``id``, ``key`` and ``secret``."""
    backend: Mapping[str, Any]
    """``host``, ``port``, ``scheme`` and ``path`` of the address that the application publishes to."""
    public: Mapping[str, Any]
    """``host``, ``port``, ``scheme`` and ``path`` of the address that browsers connect to, as far as it is set."""
    is_here: bool
    """True if the server is on this machine, without a proxy: then its port is the one to publish to."""
    site_url: str = ""
    """Address of the site in which the server is embedded; empty for a server of its own."""

    def __repr__(self) -> str:
        return f"ApplicationServer({self.name})"

    def values(self) -> Values:
        """Return the values that win over the environment and files: the app, and the addresses."""
        sections = {"app": self.app, "backend": self.backend, "public": self.public}
        return {
            (section, name): Setting(value, self.location)
            for section, values in sections.items()
            for name, value in values.items()
            if value not in ("", None)
        }

    def listening(self) -> Values:
        """Return the port and the path to listen on, which the server's own variables replace."""
        if not self.is_here:
            return {}
        given = {name: self.backend.get(name) for name in _LISTENING}
        return {("server", name): Setting(value, self.location) for name, value in given.items() if value}

    def other_port(self, port: int) -> str | None:
        """Return a warning if the application publishes to another port than a server on this machine has."""
        published = self.backend.get("port")
        if not self.is_here or not port or published in (None, port):
            return None
        return (
            f"{self.name} publishes to port {published}, but this server listens on {port}, so its events "
            f"do not arrive: set the port in {self.location}, or port under [server] in soundpost.toml, to {port}, "
            f"or let the server listen on {published}"
        )

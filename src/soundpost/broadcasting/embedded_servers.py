"""The servers embedded in this process, by app id: applications look here for a server that they do not import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol
from weakref import WeakValueDictionary

SERVER_ROOT_PATH: Final = "soundpost.server_root_path"
"""Key in the ASGI scope for the path below which an embedded server serves, if there is one: for pages."""


class AppLimits(Protocol):
    """The limits of an app, as a server or an application is configured with them."""

    @property
    def max_message_size(self) -> int:
        """Bytes in a message from a browser."""

    @property
    def max_user_info_size(self) -> int:
        """Bytes in the JSON of ``user_info``."""

    @property
    def max_user_id_length(self) -> int:
        """Characters in a user id."""


class ServedApp(AppLimits, Protocol):
    """An app of an embedded server."""

    @property
    def id(self) -> str:
        """The id of the app."""


class EmbeddedServer(Protocol):
    """A server in this process, which :class:`soundpost.asgi.App` is."""

    @property
    def apps(self) -> Sequence[ServedApp]:
        """The apps that the server has."""


_servers: Final[WeakValueDictionary[str, EmbeddedServer]] = WeakValueDictionary()


def add_server(server: EmbeddedServer) -> None:
    """Have a server found by the ids of its apps, as long as it exists."""
    for app in server.apps:
        _servers[app.id] = server


def server_of(app_id: str) -> EmbeddedServer | None:
    """Return the embedded server of this process that has an app; None if there is none."""
    return _servers.get(app_id)

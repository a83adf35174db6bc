"""The webhooks of a host that serves alone, with the journal of sent events."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from soundpost.config.settings import ServerSettings, Settings
from soundpost.core.webhooks import BEGINS, ENDS
from soundpost.errors import StartError
from soundpost.server.processes.control_paths import control_name
from soundpost.server.webhooks import WebhookDispatcher
from soundpost.server.webhooks.journal import Journal
from soundpost.server.webhooks.over_http import http_dispatcher

log = logging.getLogger("soundpost.webhooks")


def standalone_webhooks(settings: Settings) -> WebhookDispatcher:
    """Return the dispatcher of a host in the running event loop. Raises StartError if its journal cannot be used."""
    server = settings.server
    journal = None
    if server.state_dir is not None:
        journal = Journal(_path(server, server.state_dir), asyncio.get_running_loop().call_soon)
    elif any(name in BEGINS or name in ENDS for app in settings.apps for hook in app.webhooks for name in hook.events):
        log.warning(
            "after a crash of this server, webhooks about clients that are gone are not sent: set [server] state_dir "
            "to a folder that stays"
        )
    return http_dispatcher(settings.apps, server, journal=journal)


def check_state_dir(settings: ServerSettings) -> None:
    """Raise StartError for a ``state_dir`` in which a server could not write."""
    if settings.state_dir is None:
        return
    path = _path(settings, settings.state_dir)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        raise StartError(f"[server] state_dir: {path} cannot be written: {error.strerror or error}") from None


def _path(settings: ServerSettings, folder: str) -> Path:
    """Return the path of a server's journal: each server of a folder has its own."""
    return Path(folder) / f"webhooks-{control_name(settings.port, settings.unix_socket, settings.host)}.journal"

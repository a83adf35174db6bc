"""System checks of ``soundpost.toml``, ``asgi.py``, and secrets in production."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks

from soundpost.broadcasting.settings import BroadcastSettings, ConnectionSettings
from soundpost.config.load import load
from soundpost.django.settings import WHERE, broadcast_settings, project_folder
from soundpost.documentation import page
from soundpost.environment.placeholders import is_placeholder
from soundpost.errors import ConfigurationError
from soundpost.webhooks import default as webhooks
from soundpost.webhooks.handlers import ANY
from soundpost.wire.addresses import is_loopback_host

Message = Any
"""A ``CheckMessage`` of Django."""


def check_surroundings(**_: Any) -> list[Message]:
    """Return messages about a ``soundpost.toml`` of another app, and about an ``asgi.py`` without the server."""
    found = _settings()
    if found is None or not found.connections:
        return []
    return [*_wrong_file(found.connection()), *_no_embedded_server(found)]


def check_secrets(**_: Any) -> list[Message]:
    """Return messages about credentials from examples; for ``check --deploy``."""
    found = _settings()
    return [] if found is None else list(_placeholders(found))


def _settings() -> BroadcastSettings | None:
    try:
        return broadcast_settings()
    except ConfigurationError:  # reported by E001
        return None


def _wrong_file(connection: ConnectionSettings) -> Iterator[Message]:
    """Yield a message if ``soundpost start`` would serve another app than the site's, or send it no webhooks."""
    folder = project_folder() or Path.cwd()
    if connection.driver != "soundpost" or not is_loopback_host(connection.host) or connection.missing():
        return
    try:
        loaded = load(environ=os.environ, directory=folder)
    except ConfigurationError:  # reported by 'soundpost start', which reads the file
        return
    apps = {app.id: app for app in loaded.settings.apps}
    own = apps.get(connection.app_id)
    if loaded.generated:
        return
    if own is not None and (own.key, own.secret) == (connection.key, connection.secret):
        yield from _events_without_endpoint(own, " and ".join(loaded.sources) or "the environment")
        return
    other = "another key or secret" if connection.app_id in apps else f"the app {', '.join(map(repr, apps))}"
    yield checks.Warning(
        f"{WHERE} has the app {connection.app_id!r}, but 'soundpost start' serves {other}, from "
        f"{' and '.join(loaded.sources) or 'the environment'} in {folder}.",
        hint="Keep the credentials in one place: leave APP_ID, KEY and SECRET out of the settings. Or start the server "
        "with 'manage.py soundpost start', which uses the credentials of the settings.",
        id="soundpost.W007",
    )


def _events_without_endpoint(app: Any, sources: str) -> Iterator[Message]:
    """Yield a message if there are handlers for events that the server sends to no endpoint."""
    names = sorted(webhooks.names() - {ANY})
    missing = [name for name in names if name not in app.reports]
    if ANY in webhooks.names() and not app.reports:
        missing.append("all events")
    if not missing:
        return
    events = f"\nevents = {json.dumps(names)}" if names else ""
    yield checks.Warning(
        f"There are handlers of webhooks for {', '.join(missing)}, and no endpoint of the app {app.id!r} in "
        f"{sources} gets these events.",
        hint="Add to soundpost.toml, below [[apps]], with the address of the site:\n[[apps.webhooks]]\n"
        f'url = "http://127.0.0.1:8000/broadcasting/webhooks"{events}',
        id="soundpost.W011",
    )


def _no_embedded_server(found: BroadcastSettings) -> Iterator[Message]:
    """Yield a message if events go to an embedded server that ``asgi.py`` does not make."""
    name = f"{str(settings.ROOT_URLCONF).rpartition('.')[0]}.asgi"
    if found.connection().driver != "embedded":
        return
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return
    if spec is None or spec.origin is None:
        return
    if "soundpost" not in Path(spec.origin).read_text(encoding="utf-8", errors="replace"):
        yield checks.Warning(
            f"{WHERE} has the driver 'embedded', but {name} makes no embedded server: no browser can connect.",
            hint="Write application = soundpost.asgi.App(get_asgi_application()), and serve the site by an ASGI "
            f"server such as uvicorn. The whole file: {page('django', 'embedded-mode')}",
            id="soundpost.W008",
        )


def _placeholders(found: BroadcastSettings) -> Iterator[Message]:
    for name, connection in found.connections.items():
        if connection.is_server and is_placeholder(connection.secret):
            yield checks.Warning(
                f"{WHERE}: the secret of connection {name!r} is that of an example, which everybody knows: anybody can "
                "publish events and read private channels.",
                hint="'soundpost init' makes a secret. Give it to the server and to the site.",
                id="soundpost.W009",
            )


checks.register(check_surroundings, "soundpost")
checks.register(check_secrets, "soundpost", deploy=True)

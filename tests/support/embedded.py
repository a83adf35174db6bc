"""The embedded server as a real process: ``with running_embedded() as server``, which answers as the daemon does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from soundpost.core.app_settings import AppSettings
from support.harness import DEFAULT_APP, HttpResponse, RunningServer, http_request
from support.uvicorn_process import running_uvicorn


@contextmanager
def running_embedded(
    *, apps: Sequence[AppSettings] = (DEFAULT_APP,), uvicorn: Mapping[str, str] | None = None, **server: Any
) -> Iterator[RunningServer]:
    """Start it under uvicorn on a free port, around the application of ``embedded_app``; ``server`` as in its file."""
    given = msgspec.json.encode({"apps": list(apps), "server": {"shutdown_timeout": 1, **server}}).decode()
    with running_uvicorn("support.embedded_app:app", {"EMBEDDED": given}, **(uvicorn or {})) as process:
        yield RunningServer(process.process, process.port, apps, process.log_file)


def publish_inside(
    server: RunningServer, way: str, channel: str, name: str, data: Any = None, **more: Any
) -> HttpResponse:
    """Have the application publish by the driver ``embedded``: from its event loop, a thread, another event loop."""
    body = msgspec.json.encode({"channel": channel, "name": name, "data": data, **more})
    head = f"POST /publish?from={way} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return http_request(server.port, head.encode() + body)

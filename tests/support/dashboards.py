"""A dashboard in the test's event loop, over a node without sockets, whose clock a test sets."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from soundpost.backplane import MemoryRegistry, SingleNode
from soundpost.backplane.redis import RedisBackplane
from soundpost.config.settings import DashboardSettings, ServerSettings, Settings
from soundpost.core.app_settings import AppSettings
from soundpost.core.figures import NodeFigures
from soundpost.core.node import Node
from soundpost.server.dashboard.dashboard import Dashboard
from soundpost.server.figures.collecting import host_figures
from soundpost.server.figures.collector import FiguresCollector
from soundpost.server.figures.host_figures import HostFigures
from soundpost.server.inspection.inspector_factory import make_inspector
from soundpost.server.processes.daemon import Daemon
from soundpost.server.webhooks import WebhookDispatcher
from support.admin_client import AdminClient, Answer
from support.raw_socket import DEFAULT_APP

_SERVER: Final = ServerSettings()
PASSWORD: Final = "correct horse"


def cheap_hash(password: str = PASSWORD) -> str:
    """The hash of a password that takes no time."""
    text = [
        urlsafe_b64encode(part).decode().rstrip("=")
        for part in (b"salt" * 4, hashlib.scrypt(password.encode(), salt=b"salt" * 4, n=16, r=1, p=1, dklen=32))
    ]
    return f"scrypt:16:1:1:{':'.join(text)}"


class PlainDaemon:
    """A daemon without sockets."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.port = 8080
        self.backplane: RedisBackplane | None = None
        self.webhooks: WebhookDispatcher | None = None
        loop = asyncio.get_running_loop()
        self.registry = MemoryRegistry(settings.apps, call_soon=loop.call_soon, call_later=loop.call_later)
        self.operators_node = Node(
            settings.apps, peers=SingleNode(self.registry), call_soon=loop.call_soon, call_later=loop.call_later
        )
        self.inspector = make_inspector(
            self.port, lambda: {"": self.operators_node}, self.registry, None, lambda: self.webhooks
        )

    async def figures(self) -> HostFigures:
        """The figures of nothing but the registry."""
        return host_figures(
            NodeFigures(),
            [],
            server=self.settings.server,
            port=self.port,
            draining=False,
            registry=self.registry,
            backplane=None,
            webhooks=[],
        )


class Operator:
    """A browser of an operator: keeps the cookie and the token of its session."""

    def __init__(self, client: AdminClient) -> None:
        self.client = client
        self.cookie = ""
        self.csrf = ""

    async def get(self, target: str, **headers: str) -> Answer:
        """Send a request to read."""
        return await self.client.request("GET", target, **self._own() | headers)

    async def send(self, method: str, target: str, body: bytes = b"{}", /, **headers: str) -> Answer:
        """Send a request to change something."""
        own = self._own() | {"content_type": "application/json", "x_csrf_token": self.csrf}
        return await self.client.request(method, target, body, **own | headers)

    async def log_in(self, password: str = PASSWORD, **headers: str) -> Answer:
        """Log in, and keep what the server says of the session."""
        body = b'{"password":"%b"}' % password.encode()
        answer = await self.client.request("POST", "/api/login", body, content_type="application/json", **headers)
        if answer.status == 204:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            self.csrf = (await self.get("/api/session")).json()["csrf"]
        return answer

    async def open_stream(self, target: str) -> None:
        """Begin a stream of server-sent events, and read its head."""
        self.client.send(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {self.cookie}\r\n\r\n".encode())
        status, headers = await self.client.read_head()
        assert (status, headers["content-type"]) == (200, "text/event-stream")

    def _own(self) -> dict[str, str]:
        return {"cookie": self.cookie} if self.cookie else {}


class Stage:
    """A dashboard, and the time of its clock."""

    def __init__(self, settings: Settings) -> None:
        self.now = 1_000.0
        self.daemon = PlainDaemon(settings)
        collector = FiguresCollector(cast("Daemon", self.daemon))
        self.dashboard = Dashboard(self.daemon, collector, clock=lambda: self.now)

    async def operator(self) -> Operator:
        """A browser that has not logged in."""
        return Operator(await AdminClient.open(self.dashboard.listener.port))


@asynccontextmanager
async def staged(
    password_hash: str | None = cheap_hash(),
    server: ServerSettings = _SERVER,
    app: AppSettings = DEFAULT_APP,
    **dashboard: Any,
) -> AsyncIterator[Stage]:
    """A dashboard on a free port of 127.0.0.1."""
    own = DashboardSettings(port=0, password_hash=password_hash, **dashboard)
    stage = Stage(Settings(server=server, dashboard=own, apps=(app,)))
    await stage.dashboard.start()
    try:
        yield stage
    finally:
        await stage.dashboard.stop()

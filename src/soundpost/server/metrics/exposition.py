"""The answer to Prometheus: the metrics of this host as text, for clients with the token.

Without a token they are for this machine, and not for a page of another site whose name points here (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterator

from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from soundpost.config.settings import MetricsSettings
from soundpost.server.admin_http import AdminError, AdminListener, AdminRequest, AdminResponse, Routes
from soundpost.server.figures.host_figures import HostFigures
from soundpost.server.metrics.families import families
from soundpost.wire.origins import needs_no_name_server, origin_of


class Exposition:
    """The metrics at ``/metrics``, of the figures that ``take`` returns at each request."""

    def __init__(self, take: Callable[[], Awaitable[HostFigures]], token: str | None) -> None:
        self._take = take
        self._expected = None if token is None else f"Bearer {token}".encode()
        self.routes = Routes({"GET /metrics": self.answer})

    async def answer(self, request: AdminRequest) -> AdminResponse:
        """Answer with all metrics. Raises AdminError without the token, and under a foreign name where none is set."""
        if self._expected is None:
            _check_host(request.headers.get("host"))
        sent = request.headers.get("authorization", "").encode()
        if self._expected is not None and not hmac.compare_digest(sent, self._expected):
            raise AdminError(
                401,
                "The metrics need the token of [metrics], in the header 'Authorization: Bearer TOKEN'",
                (("WWW-Authenticate", "Bearer"),),
            )
        # In a thread: for 100 apps the text takes some 20 ms, in which the loop goes on.
        text = await asyncio.to_thread(metrics_text, await self._take())
        return AdminResponse(body=text, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _check_host(host: str | None) -> None:
    """Refuse a request that names neither an address nor this machine; one without ``Host`` is of no browser."""
    if not host:
        return
    origin = origin_of(f"http://{host}")
    if origin is None or not needs_no_name_server(origin.host):
        raise AdminError(
            403,
            f"Without a token the metrics are for this machine only, not for {host[:100]!a}: ask at "
            "http://127.0.0.1, or set a token below [metrics]",
        )


class _Figures(Collector):
    def __init__(self, figures: HostFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        return families(self._figures)


def metrics_text(figures: HostFigures) -> bytes:
    """Return the metrics of a host in Prometheus' text format."""
    return generate_latest(_Figures(figures))


def metrics_listener(settings: MetricsSettings, take: Callable[[], Awaitable[HostFigures]]) -> AdminListener:
    """Return a listener for Prometheus. Raises StartError if its address cannot be had."""
    assert settings.port is not None
    return AdminListener(settings.host, settings.port, Exposition(take, settings.token).routes, name="metrics")

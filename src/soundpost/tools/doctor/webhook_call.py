"""Requests to an endpoint of webhooks, as the server sends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from soundpost import __version__
from soundpost.redaction import redacted_url
from soundpost.tools.doctor import timeouts
from soundpost.tools.doctor.base_url import BaseUrl, parse_base_url
from soundpost.tools.doctor.exchange import RawResponse, open_connection, send_request
from soundpost.wire.webhook_request import webhook_body, webhook_headers


class WebhookCall(NamedTuple):
    """Endpoint, and the parts of the server's requests to it."""

    app_id: str
    key: str
    secret: str
    url: str
    headers: Mapping[str, str]
    timeout: float
    """Seconds that the endpoint has to answer."""
    verify: bool = True
    """True if certificates must be trusted."""

    @property
    def base_url(self) -> BaseUrl:
        """Scheme, host, port and path of the endpoint. Raises ConfigurationError."""
        return parse_base_url(self.url)

    @property
    def shown(self) -> str:
        """The URL for a message: without secret parameters."""
        return redacted_url(self.url)

    @property
    def target(self) -> str:
        """Path and query, as in the first line of a request."""
        parts = urlsplit(self.url)
        return f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"

    def send(self, events: list[bytes], time_ms: int, secret: str | None = None) -> RawResponse:
        """Send events over a new connection and return the response. Raises FaultFound without a response.

        ``secret`` signs in place of the app's own.
        """
        body = webhook_body(events, time_ms)
        signed = webhook_headers(self.key, self.secret if secret is None else secret, body, __version__, self.headers)
        lines = [f"POST {self.target} HTTP/1.1", f"Host: {self.base_url.authority}"]
        lines += [f"{name}: {value}" for name, value in signed.items()]
        lines += ["Accept: */*", f"Content-Length: {len(body)}", "Connection: close"]
        request = "\r\n".join([*lines, "", ""]).encode("utf-8", "replace") + body
        with timeouts.answer_within(self.timeout), open_connection(self.base_url, verify=self.verify) as sock:
            return send_request(sock, self.base_url, request)

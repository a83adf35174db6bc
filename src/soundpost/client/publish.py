"""Publish events over the HTTP API of any Pusher-compatible server.

Source: https://pusher.com/docs/channels/library_auth_reference/rest-api/#post-event-trigger-an-event
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx

from soundpost.client.address import is_loopback
from soundpost.client.names import channel_names, text
from soundpost.errors import RequestError
from soundpost.http_failures import no_answer, unexpected_answer
from soundpost.wire import socket_id as socket_ids
from soundpost.wire.foreign import object_in
from soundpost.wire.json_text import encode
from soundpost.wire.signatures import signed_query

MAX_ANSWER: Final = 1_048_576
"""Bytes of an answer."""


class Publisher:
    """Publishes as one app, over one kept-alive connection. Close it, or use it in a ``with``.

    ``base_url`` is the server's address with its path prefix, if any: ``https://ws.example.com``,
    ``http://127.0.0.1:8080/ws``. ``timeout`` is in seconds. ``verify=False`` takes any certificate.
    """

    def __init__(
        self,
        app_id: str,
        key: str,
        secret: str,
        base_url: str,
        *,
        timeout: float = 10.0,
        verify: bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._key = key
        self._secret = secret
        self._base_url = base_url.rstrip("/")
        self._events_url = f"{self._base_url}/apps/{quote(app_id, safe='')}/events"
        self._timeout = timeout
        self._http = httpx.Client(
            timeout=timeout, verify=verify, transport=transport, trust_env=not is_loopback(base_url)
        )

    def publish(
        self, channels: str | Sequence[str], event: str, data: object, socket_id: str | None = None
    ) -> dict[str, Any]:
        """Publish an event to one or more channels; return the server's answer, ``{}`` for most.

        ``data`` that is a string is sent as it is, as the SDKs of Pusher do; anything else as its JSON. The
        connection ``socket_id`` does not get the event. Raises RequestError.
        """
        encoded = data if isinstance(data, str) else encode(data).decode()
        message: dict[str, Any] = {
            "name": text(event, "an event's name"),
            "channels": channel_names(channels),
            "data": encoded,
        }
        if socket_id is not None:
            wrong = socket_ids.fault(socket_id)
            if wrong is not None:
                raise RequestError(400, wrong)
            message["socket_id"] = socket_id
        return self._post(self._events_url, encode(message))

    def _post(self, url: str, body: bytes) -> dict[str, Any]:
        query = signed_query(self._key, self._secret, "POST", urlsplit(url).path, int(time.time()), body=body)
        headers = {"Content-Type": "application/json"}
        try:
            with self._http.stream("POST", url, params=query, content=body, headers=headers) as answer:
                answered = self._body(answer)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise no_answer(self._base_url, error) from None
        if answer.status_code != 200:
            raise unexpected_answer(self._base_url, answer.status_code, answer.headers, answered)
        found = object_in(answered)
        if found is None:
            raise unexpected_answer(self._base_url, 200, answer.headers, answered)
        return found

    def _body(self, answer: httpx.Response) -> bytes:
        """All of it. Raises ValueError for one that is too large, TimeoutError for one that takes too long."""
        body, deadline = bytearray(), time.monotonic() + self._timeout
        for part in answer.iter_bytes():
            body += part
            if len(body) > MAX_ANSWER:
                raise ValueError(f"an answer of more than {MAX_ANSWER:,} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError
        return bytes(body)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""Numbered events on one channel, each with the time before it was published, in the form that ``clients.c`` reads."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.parse

from crowding.server import KEY, SECRET
from soundpost.wire import signatures

CHANNEL = "all"
_SECONDS = 60.0
_TRIES = 5


class Publisher:
    """Publishes over a connection that is kept, and made anew when the server closes it. One thread at a time."""

    def __init__(self, port: int) -> None:
        self.number = 0
        """Of the last event; they go up by one."""
        self.again = 0
        """How many requests were sent again, under the same idempotency key, since the server had closed."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)

    def __call__(self) -> float:
        """Publish an event; return the seconds until it was answered."""
        self.number += 1
        began = time.monotonic()
        text = "x" * 150
        data = json.dumps({"text": f"{text}@{self.number}@{time.monotonic_ns()}@"})
        body = json.dumps({"name": "OrderPlaced", "channels": [CHANNEL], "data": data}).encode()
        for attempt in range(_TRIES):
            try:
                self._send(body)
            except (OSError, http.client.HTTPException):
                self._connection.close()
                self.again += 1
                if attempt + 1 == _TRIES:
                    raise
                time.sleep(0.1)
            else:
                break
        return time.monotonic() - began

    def _send(self, body: bytes) -> None:
        path = "/apps/1/events"
        query = signatures.signed_query(KEY, SECRET, "POST", path, int(time.time()), body=body)
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"event-{self.number}"}
        self._connection.request("POST", f"{path}?{urllib.parse.urlencode(query)}", body, headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise http.client.HTTPException(f"HTTP {answer.status}")


class Publishing:
    """Publishes an event every so many seconds while its ``with`` lasts."""

    def __init__(self, publisher: Publisher, every: float) -> None:
        self._publisher = publisher
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.failure: Exception | None = None

    def __enter__(self) -> Publishing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            while not self._over.wait(self._every):
                self._publisher()
        except (OSError, http.client.HTTPException) as error:
            self.failure = error

"""The requests that publish messages, and what their answers mean for each message; no socket is touched here.

A server that tells how large a batch may be gets large batches, and answers for each event. A batch that is refused
whole is sent again in halves, until the event that is wrong is found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Final

from soundpost.broadcasting.drivers.batch_limit import BatchLimit
from soundpost.broadcasting.drivers.failures import Errors, failed
from soundpost.broadcasting.drivers.requests import ApiRequest, description, requests_for
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import BroadcastError
from soundpost.wire.foreign import object_in
from soundpost.wire.http_exchange import HttpAnswer
from soundpost.wire.json_text import encode
from soundpost.wire.retry_after import seconds_to_wait

Conversation = Generator[ApiRequest, HttpAnswer, Errors]
"""Requests to send, one after the other; each wants its answer before the next one."""
_OF_EVENTS: Final = (413, 422)
"""Statuses of refusals that are about the events of a request, whoever answers. Others may be about the sender, the
path, the server; 400 is about the events if the answer tells the limit of batches."""
_FEWEST_BYTES: Final = 4_096
"""Bytes of a request that any proxy lets pass."""


class Conversations:
    """Conversations with one server, and the batch limit that its answers tell.

    ``explain`` returns the reason in an answer that is not a success.
    """

    def __init__(self, settings: ConnectionSettings, explain: Callable[[HttpAnswer], str]) -> None:
        self._settings = settings
        self._explain = explain
        self.limit: BatchLimit | None = None
        """The limit of large batches; None while the server has told none."""
        self._most_bytes: int | None = None  # of a request that passes a proxy with a lower limit than the server

    def publish(self, messages: Sequence[Message], limit: BatchLimit | None) -> Conversation:
        """Publish messages, in order, in batches within a ``limit``; return the errors of those that were refused.

        Batches are small if ``limit`` is None. Whoever sends the same messages again gives the same limit: a server
        knows a batch by its first message and its size.
        Raises BroadcastError if the server has failed or refuses all. From a server that takes small batches only, the
        first refusal is raised.
        """
        errors: Errors = {}
        place = 0
        # Batches ask, and single events until the limit is known.
        asks = self._settings.driver == "soundpost" and (limit is None or len(messages) > 1)
        for request in requests_for(messages, self._settings, limit, asks=asks):
            yield from self._send(request, place, errors)
            place += len(request.messages)
            if errors and limit is None and self.limit is None:
                first = min(errors)
                raise failed(description(messages[first:]), errors[first].reason, errors[first].status)
        return errors

    def _send(self, request: ApiRequest, place: int, errors: Errors) -> Generator[ApiRequest, HttpAnswer, None]:
        answer = yield request
        if request.asks:
            self._learn(request, answer)
        if answer.status == 200:
            self._note_errors(answer, request, place, errors)
            return
        is_of_events = answer.status in _OF_EVENTS or (answer.status == 400 and BatchLimit.told_in(answer.headers))
        if not is_of_events or not request.asks:
            raise self._refused(request, answer)
        messages = request.messages
        if len(messages) == 1:
            errors[place] = self._refused(replace(request, behind=0), answer)
            return
        half = len(messages) // 2
        for part, behind in ((messages[:half], len(messages) - half), (messages[half:], 0)):
            behind += request.behind
            for smaller in requests_for(part, self._settings, self.limit, asks=True, behind=behind):
                yield from self._send(smaller, place, errors)
                place += len(smaller.messages)

    def _learn(self, request: ApiRequest, answer: HttpAnswer) -> None:
        """Take note of the limit that an answer tells, or that it tells none."""
        told = BatchLimit.told_in(answer.headers)
        if told is not None:
            self.limit = told if self._most_bytes is None else told._replace(bytes=min(told.bytes, self._most_bytes))
        elif answer.status == 413 and self.limit is not None and len(request.messages) > 1:  # of a proxy
            self._most_bytes = max(len(request.body) // 2, _FEWEST_BYTES)
            self.limit = self.limit._replace(bytes=self._most_bytes)
        elif answer.status == 200 or (answer.status == 422 and len(request.messages) > 1):
            self.limit = None  # another server than before, which takes small batches

    def _note_errors(self, answer: HttpAnswer, request: ApiRequest, place: int, errors: Errors) -> None:
        value = object_in(answer.body or b"{}")
        if value is None:
            raise self._refused(request, answer)
        found = value.get("batch")
        if not request.asks or found is None:
            return
        if not isinstance(found, list) or len(found) != len(request.messages):
            results = len(found) if isinstance(found, list) else 0
            raise failed(
                request.description,
                f"{self._explain(answer)}: {results} result(s) for {len(request.messages)} events, so it is not known "
                "which were published: does another server, or a proxy, answer there?",
                answer.status,
            )
        for index, (message, each) in enumerate(zip(request.messages, found, strict=True)):
            if isinstance(each, dict) and "error" in each:
                status = each.get("status")
                refusal = HttpAnswer(
                    status if isinstance(status, int) else 422, answer.headers, encode({"error": str(each["error"])})
                )
                errors[place + index] = self._refused(replace(request, messages=(message,), behind=0), refusal)

    def _refused(self, request: ApiRequest, answer: HttpAnswer) -> BroadcastError:
        reason = self._explain(answer)
        if answer.status == 413:
            reason = f"{reason}. {request.largest()}"
        error = failed(request.description, reason, answer.status)
        error.retry_after = seconds_to_wait(answer.headers.get("retry-after", ""), time.time())
        return error

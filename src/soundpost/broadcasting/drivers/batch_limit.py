"""The limit of one batch: small, or large as a Soundpost server states it in an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.wire.foreign import number_in

ASK: Final = {"X-Soundpost-Batch": "1"}
"""The header that asks for large batches; the request must have an ``Idempotency-Key``."""
_MAX_EVENTS: Final = 1_000
"""Events of one batch, whatever a server tells: an event loop encodes so many in some milliseconds."""
_MAX_BYTES: Final = 1_048_576
_SMALL_BATCH_BYTES: Final = {"reverb": 9_000}
"""Bytes of a small batch, by driver: Reverb takes 10,000 bytes a request if its settings say nothing else."""
_USUAL_SMALL_BATCH_BYTES: Final = 200_000
"""Bytes of a small batch for other servers."""


class BatchLimit(NamedTuple):
    """Events of one batch and bytes of its request, at most."""

    events: int
    bytes: int

    @classmethod
    def of_small(cls, settings: ConnectionSettings) -> BatchLimit:
        """Return the limit of batches that any server with Pusher's API takes."""
        return cls(settings.max_batch_size, _SMALL_BATCH_BYTES.get(settings.driver, _USUAL_SMALL_BATCH_BYTES))

    @classmethod
    def told_in(cls, headers: Mapping[str, str]) -> BatchLimit | None:
        """Return the limit in the headers of an answer; None from a server that takes no large batches."""
        events = number_in(headers.get("x-soundpost-max-batch-size", ""))
        size = number_in(headers.get("x-soundpost-max-request-size", ""))
        return cls(min(events, _MAX_EVENTS), min(size, _MAX_BYTES)) if events and size else None

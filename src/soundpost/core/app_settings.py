"""Settings of an app: credentials, origins and limits."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from soundpost.core.webhooks import MORE_EVENTS, OPPOSITES, PUSHER_EVENTS
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted_fields
from soundpost.suggestions import did_you_mean
from soundpost.wire.addresses import AddressError, check_endpoint_url
from soundpost.wire.channel_patterns import pattern_fault
from soundpost.wire.http_fields import OF_THE_CONNECTION, field_fault
from soundpost.wire.origins import OriginError, check_origins, origins
from soundpost.wire.webhook_channels import useless_pattern

MAX_NUMBER: Final = 2**63 - 1
"""Largest number that messages between workers carry."""
Positive = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
MAX_KEPT_EVENTS: Final = 100_000
"""Largest number of events that a channel can keep."""
MAX_LARGE_BATCH: Final = 1_000
"""Largest number of events in a batch: the loop is held for some milliseconds, whatever the events are."""
MAX_KEPT_DAYS: Final = 30
"""Largest number of days that a channel can keep an event."""
Text = Annotated[str, Meta(min_length=1)]
_RESERVED_HEADERS: Final = OF_THE_CONNECTION | {"content-type", "x-pusher-key", "x-pusher-signature"}


class RateLimiting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limit of the messages of all kinds that one connection may send (Reverb's option of the same name)."""

    enabled: bool = False
    max_attempts: Positive = 60
    """Largest number of messages within one window."""
    decay_seconds: Positive = 60
    """Length of the window in seconds."""
    terminate_on_limit: bool = False
    """Close the connection with 4100 instead of refusing the message. The client can connect again after 4100."""


class HistorySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[apps.history]]``: channels that keep their last events, so that clients can resume."""

    channels: Annotated[tuple[Text, ...], Meta(min_length=1)]
    """Patterns of channel names; ``*`` stands for any characters. The first entry that matches counts."""
    events: Annotated[int, Meta(ge=1, le=MAX_KEPT_EVENTS)] = 100
    """Largest number of kept events of one channel."""
    age: Annotated[int, Meta(ge=1, le=MAX_KEPT_DAYS * 86_400)] = 600
    """Seconds that an event is kept."""
    rewind: Annotated[int, Meta(ge=0, le=MAX_KEPT_EVENTS)] = 0
    """Largest number of kept events that a first subscription may ask for; 0: none."""

    def __post_init__(self) -> None:
        """Raise ConfigurationError for a pattern that matches no channel name."""
        for pattern in self.channels:
            fault = pattern_fault(pattern)
            if fault is not None:
                raise ConfigurationError(f"channels: {fault}")


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[apps.webhooks]]``: an endpoint of the application, and the events that it gets."""

    url: Text
    """The ``http://`` or ``https://`` address that events are sent to."""
    events: Annotated[tuple[Text, ...], Meta(min_length=1)] = PUSHER_EVENTS
    """Names of the events that the endpoint gets."""
    channels: Annotated[tuple[Text, ...], Meta(min_length=1)] = ("*",)
    """Patterns of channel names; ``*`` stands for any characters. Events of no channel are sent in any case."""
    headers: dict[str, str] = {}
    """Headers that each request has in addition to those of Pusher."""
    batch_size: Annotated[int, Meta(ge=1, le=1_000)] = 20
    """Largest number of events in one request. Events that come while a request is under way wait for the next one."""
    timeout: Positive = 10
    """Seconds that the endpoint has to answer."""

    def __post_init__(self) -> None:
        """Raise ConfigurationError for a URL that cannot be called, for a name of no event, or a useless pattern."""
        try:
            check_endpoint_url(self.url)
        except AddressError as error:
            raise ConfigurationError(f"url={error}") from None
        self._check_headers()
        for name in self.events:
            if name not in PUSHER_EVENTS + MORE_EVENTS:
                raise ConfigurationError(
                    f"events: {name!r} is the name of no webhook"
                    + did_you_mean(
                        name,
                        PUSHER_EVENTS + MORE_EVENTS,
                        otherwise=f"; known are {', '.join(PUSHER_EVENTS + MORE_EVENTS)}",
                    )
                )
        for pattern in self.channels:
            fault = pattern_fault(pattern) or self._useless_pattern(pattern)
            if fault is not None:
                raise ConfigurationError(f"channels: {fault}")

    def _useless_pattern(self, pattern: str) -> str | None:
        """Return the reason why a pattern matches no channel of the endpoint's events; None if it can match one."""
        faults = [useless_pattern(name, pattern) for name in self.events if name not in MORE_EVENTS]
        return f"{pattern!r}: {faults[0]}" if faults and all(faults) else None

    def _check_headers(self) -> None:
        for name, value in self.headers.items():
            fault = field_fault(name, value)
            if fault is None and name.lower() in _RESERVED_HEADERS:
                fault = f"{name!r} is set by the server: leave it out"
            if fault is not None:
                raise ConfigurationError(f"headers: {fault}")

    def __repr__(self) -> str:
        return redacted_fields(self, "headers")


class AppSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credentials and limits of one app. Sizes are in bytes, times in seconds, names in characters."""

    id: Text
    key: Text
    secret: Text
    enabled: bool = True
    """False to refuse connections (4003) and API requests (403)."""
    allowed_origins: tuple[str, ...] = ("*",)
    """Hosts (``example.com``, ``*.example.com``) or whole origins (``https://example.com:8443``), see
    :mod:`soundpost.wire.origins`."""
    allow_missing_origin: bool = False
    """Admit clients that send no Origin (programs other than browsers), even if ``allowed_origins`` lists origins."""
    ping_interval: Positive = 60
    """Seconds of silence after which the server pings a client; ``activity_timeout`` if that is shorter."""
    activity_timeout: Positive = 30
    """Seconds of silence after which a client pings the server; sent in ``pusher:connection_established``."""
    max_connections: Positive | None = None
    """Largest number of open connections; further ones are closed with 4004. None: no limit."""
    max_connections_per_ip: Positive | None = None
    """Largest number of open connections from one client address (IPv6: one /64), on one host. None: no limit."""
    max_replays_per_ip: Positive = 268_435_456
    """Bytes of missed events in a minute to all clients of one address (IPv6: one /64), from one process."""
    max_message_size: Positive = 16_384
    """Bytes of the largest message from a client. A larger one is refused; one of over four times the size closes
    the connection with 1009."""
    accept_client_events_from: Literal["members", "none"] = "members"
    """Senders of client events: ``members`` for all subscribers of the channel, ``none`` for nobody."""
    subscription_count: bool = False
    """Send ``subscription_count`` to the subscribers of non-presence channels whenever their number changes."""
    authorization_timeout: Positive | None = None
    """Seconds in which a connection must sign in or join a private or presence channel, or be closed with 4009.

    None: no limit.
    """
    rate_limiting: RateLimiting = RateLimiting()
    max_client_events_per_second: Positive = 10
    """Largest number of client events of one connection in a second; more are refused with a 4301 error."""
    max_subscriptions: Positive = 1_000
    """Largest number of channels of one connection."""
    max_channel_name_length: Positive = 200
    max_event_name_length: Positive = 200
    max_event_data_size: Positive = 10_240
    max_channels_per_event: Positive = 100
    max_batch_size: Positive = 10
    max_large_batch_size: Annotated[int, Meta(ge=1, le=MAX_LARGE_BATCH)] = 1_000
    """Largest number of events in a batch of a publisher that asks for large batches (``X-Soundpost-Batch``)."""
    max_presence_members: Positive = 100
    presence_grace: Annotated[int, Meta(ge=0, le=MAX_NUMBER)] = 0
    """Seconds that a member stays after its connection was lost. If the user is back within them, nobody is told.

    After a close by the server with 4100 or 4200 it is 10 s at least.
    """
    max_watchlist_size: Positive = 100
    """Largest number of users on the watchlist of a connection; further ones are not watched (4302)."""
    max_user_id_length: Positive = 128
    max_user_info_size: Positive = 1_024
    cache_ttl: Positive = 1_800
    """Seconds that a cache channel keeps its last event."""
    max_cached_channels: Positive = 10_000
    """Largest number of kept events; beyond it the event kept longest is forgotten."""
    max_output_buffer: Positive = 1_048_576
    """Bytes that may wait for one slow client; beyond them the connection is closed with 4100."""
    history: tuple[HistorySettings, ...] = ()
    """Channels that keep their last events, by patterns of their names. Without an entry no channel keeps events."""
    max_history_size: Positive | None = None
    """Bytes of all kept events of the app in one process; beyond them the oldest are forgotten. None: only the limit
    of the process counts."""

    webhooks: tuple[WebhookSettings, ...] = ()
    """Webhook endpoints of the application: addresses that get events of the server."""

    def __post_init__(self) -> None:
        """Raise ConfigurationError for an origin that no page can have."""
        try:
            force_setattr(self, "allowed_origins", check_origins(self.allowed_origins))
        except OriginError as error:
            raise ConfigurationError(f"app {self.id}: allowed_origins: {error}") from None

    def __repr__(self) -> str:
        return redacted_fields(self, "secret")

    @property
    def reports(self) -> frozenset[str]:
        """The names of the events that any endpoint of the app wants.

        An endpoint that wants the end of a state needs its beginning too: an end that is taken back is not sent.
        """
        wanted = {name for endpoint in self.webhooks for name in endpoint.events}
        return frozenset(wanted | {OPPOSITES[name] for name in wanted & OPPOSITES.keys()})

    def allows_origin(self, origin: str | None) -> bool:
        """Return whether a connection with this ``Origin`` header (None: without one) may open."""
        welcome = origins(self.allowed_origins)
        if origin is None:
            return welcome.any or self.allow_missing_origin
        return welcome.match(origin)

"""Apps: who may connect and publish, and within which limits."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted_fields
from soundpost.wire.origins import OriginError, check_origins, origins

Positive = Annotated[int, Meta(ge=1)]
Text = Annotated[str, Meta(min_length=1)]


class RateLimiting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many messages of all kinds one connection may send (Reverb's option of the same name)."""

    enabled: bool = False
    max_attempts: Positive = 60
    """Messages within one window."""
    decay_seconds: Positive = 60
    """Length of the window in seconds."""
    terminate_on_limit: bool = False
    """Close the connection (4100: it may come back after a while) instead of refusing the message."""


class AppSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One application's credentials and limits. Sizes are in bytes, times in seconds, names in characters."""

    id: Text
    key: Text
    secret: Text
    enabled: bool = True
    """A disabled app refuses connections (4003) and API requests (403)."""
    allowed_origins: tuple[str, ...] = ("*",)
    """Hosts (``example.com``, ``*.example.com``) or whole origins (``https://example.com:8443``), see
    :mod:`soundpost.wire.origins`."""
    allow_missing_origin: bool = False
    """Let clients that send no Origin (not browsers) past a restricting ``allowed_origins``."""
    ping_interval: Positive = 60
    """Silence after which the server asks for a sign of life; never later than ``activity_timeout``."""
    activity_timeout: Positive = 30
    """Silence after which a client asks for a sign of life; told to it in the hello."""
    max_connections: Positive | None = None
    """Connections of this app at a time; further ones are closed with 4004. None: no limit."""
    max_connections_per_ip: Positive | None = None
    """The same of one client address (IPv6: of one /64), on one host. None: no limit."""
    max_message_size: Positive = 16_384
    """A message from a client; a larger one is refused, one of more than four times the size closes the connection
    with 1009."""
    accept_client_events_from: Literal["members", "none"] = "members"
    """Who may send client events: subscribers of the channel, or nobody."""
    subscription_count: bool = False
    """Tell subscribers of non-presence channels how many they are, whenever it changes."""
    authorization_timeout: Positive | None = None
    """Close a connection (4009) that has not signed in, nor joined a private or presence channel, within so many
    seconds. None: it may stay."""
    rate_limiting: RateLimiting = RateLimiting()
    max_client_events_per_second: Positive = 10
    """Per connection; more are refused with a 4301 error."""
    max_subscriptions: Positive = 1_000
    """Channels of one connection."""
    max_channel_name_length: Positive = 200
    max_event_name_length: Positive = 200
    max_event_data_size: Positive = 10_240
    max_channels_per_event: Positive = 100
    max_batch_size: Positive = 10
    max_presence_members: Positive = 100
    max_user_id_length: Positive = 128
    max_user_info_size: Positive = 1_024
    cache_ttl: Positive = 1_800
    """How long a cache channel keeps its last event."""
    max_cached_channels: Positive = 10_000
    """Cache channels that keep an event at a time; beyond it the one longest unchanged is forgotten."""
    max_output_buffer: Positive = 1_048_576
    """Bytes that may wait for one slow client; beyond it the connection is closed with 4100."""

    def __post_init__(self) -> None:
        """Raise ConfigurationError for what its type allows and nothing can match."""
        try:
            force_setattr(self, "allowed_origins", check_origins(self.allowed_origins))
        except OriginError as error:
            raise ConfigurationError(f"app {self.id}: allowed_origins: {error}") from None

    def __repr__(self) -> str:
        return redacted_fields(self, "secret")

    def allows_origin(self, origin: str | None) -> bool:
        """Whether a connection with this ``Origin`` header (None: without one) is welcome."""
        welcome = origins(self.allowed_origins)
        if origin is None:
            return welcome.any or self.allow_missing_origin
        return welcome.match(origin)

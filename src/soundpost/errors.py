"""The tree of exceptions below ``SoundpostError``: the classes that several packages use.

``Denied`` (a channel route), ``ApiError`` (the server's API), ``RedisError`` (the backplane) and ``PusherError``
(:mod:`soundpost.pusher`, a ``BroadcastError``) belong to the tree too; each is defined in its own package.

SoundpostError
├── ConfigurationError      a setting is unknown, wrong or missing
├── StartError              the server could not start (port in use, unreadable certificate)
├── RequestError            the server answered an API request with an error, or gave no answer
├── BroadcastError          an event could not be sent
│   ├── PayloadError        an event's data or name cannot be sent to any server
│   └── QueueError          a queue did not take the event
├── RouteError              a channel route or webhook handler is wrong, or two routes can match one name
├── WebhookError            a request is not a webhook of an app of the application
├── ConnectionRefused       a server refused or ended a client's connection
├── HandshakeError          a request is not a valid WebSocket upgrade (RFC 6455, 4.2)
├── ProxyHeaderError        a connection does not begin with a PROXY header that can be understood
├── JsonError               a text is not JSON, or nested too deep
│   └── JsonShapeError      a JSON text has other fields or types than expected
├── FrameError              bytes break RFC 6455; ends the connection with its close code
└── ProtocolError           a message breaks the Pusher protocol; the connection survives
    └── SubscriptionError   one channel could not be subscribed to
"""

from __future__ import annotations


class SoundpostError(Exception):
    """The base class of the exceptions that this package raises."""


class ConfigurationError(SoundpostError):
    """A setting is unknown, wrong or missing; the message names its place, the rule and the way out."""


class StartError(SoundpostError):
    """The server could not start; the message says why and what to do."""


class RequestError(SoundpostError):
    """An API request failed; ``status`` is the HTTP status, 0 if no answer came."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BroadcastError(SoundpostError):
    """An event could not be sent; ``status`` is the HTTP status, 0 if no answer came."""

    def __init__(self, message: str, status: int = 0, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason or message
        """The message without the event that it is about."""
        self.retry_after: float | None = None
        """Seconds after which the server wants to be asked again (``Retry-After``); None if it has not said."""

    @property
    def may_pass(self) -> bool:
        """True if sending later may succeed: the server was away, failed, or had too much to do."""
        return self.status in (0, 408, 429) or self.status >= 500


class PayloadError(BroadcastError):
    """An event's data, name or channel cannot be sent; the message names the field, the rule and the way out."""

    @property
    def may_pass(self) -> bool:
        """False: sending later does not help."""
        return False


class QueueError(BroadcastError):
    """A queue did not take an event."""


class RouteError(SoundpostError):
    """A channel route or a handler of webhooks is wrong, or two routes can match one channel name."""


class WebhookError(SoundpostError):
    """A request is not a webhook that the application takes; ``status`` is that of the HTTP answer: 400, 401 or 413."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ConnectionRefused(SoundpostError):  # noqa: N818 - reads as the event it names
    """A server refused or ended a client's connection with the close code ``code``."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} (close code {code})")
        self.code = code


class HandshakeError(SoundpostError):
    """A request is not a valid WebSocket upgrade (RFC 6455, 4.2); the server answers with the HTTP ``status``."""

    def __init__(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class ProxyHeaderError(SoundpostError):
    """A connection does not begin with a PROXY header that can be understood (HAProxy's PROXY protocol)."""


class JsonError(SoundpostError, ValueError):
    """A text is not JSON, or its arrays and objects are nested too deep."""


class JsonShapeError(JsonError):
    """A JSON text lacks the expected fields and types; the message names the place."""


class FrameError(SoundpostError):
    """Bytes break RFC 6455; the connection ends with the close ``code`` and ``reason``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} (close code {code})")
        self.code = code
        self.reason = reason


class ProtocolError(SoundpostError):
    """A message breaks the Pusher protocol; the client gets ``pusher:error``, and the connection stays open."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class SubscriptionError(ProtocolError):
    """A channel could not be subscribed to; the client gets ``pusher:subscription_error``, then ``pusher:error``.

    pusher-js hands ``type`` (``AuthError`` or ``LimitReached``) and ``status`` (401 or 403, as an auth endpoint would
    answer) to the handlers of ``pusher:subscription_error``.
    """

    def __init__(
        self,
        channel: str,
        code: int,
        message: str,
        *,
        type: str = "AuthError",
        status: int = 401,
        for_operators: str | None = None,
    ) -> None:
        super().__init__(code, message)
        self.for_operators = for_operators or message
        """The reason as operators see it: with the way out, without the signature that the client sent."""
        self.channel = channel
        self.type = type
        self.status = status

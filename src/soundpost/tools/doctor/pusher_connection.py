"""Beginning of a Pusher connection: connection_established or its refusal, a subscription, a ping."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from soundpost.client.pusher_socket import text_of
from soundpost.tools.doctor import timeouts
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.exchange import open_connection
from soundpost.tools.doctor.findings import FaultFound, one_line
from soundpost.tools.doctor.refusals import path_fault
from soundpost.tools.doctor.socket_session import (
    ConnectionClosedError,
    NothingReceivedError,
    SocketSession,
    open_session,
)
from soundpost.wire import codes
from soundpost.wire.socket_id import is_socket_id

CONNECTION_ESTABLISHED = "pusher:connection_established"
PING = "pusher:ping"
PONG = "pusher:pong"
_CODES = {
    codes.APP_DISABLED: "app-disabled",
    codes.OVER_QUOTA: "app-over-quota",
    codes.OVER_CAPACITY: "server-over-capacity",
}
_DEFAULT_ACTIVITY_TIMEOUT = 120.0  # seconds: the default of pusher-js, and its maximum
_CODES_END = 5000


class EstablishedConnection(NamedTuple):
    """Connection for which the server has sent ``pusher:connection_established``."""

    session: SocketSession
    socket_id: str
    activity_timeout: float
    """Seconds without a message after which the client sends a ping."""


def wait_until_established(
    session: SocketSession, base_url: BaseUrl, key: str, origin: str | None
) -> EstablishedConnection:
    """Wait for ``pusher:connection_established``. Raises FaultFound."""
    try:
        frame = session.receive()
    except NothingReceivedError:
        raise FaultFound("no-connection-established", seconds=f"{timeouts.ANSWER:g}") from None
    except ConnectionClosedError as ended:
        raise refusal_fault(ended.code, ended.reason, base_url, key, origin) from None
    content = frame.content()
    if frame.event == "pusher:error":
        code = content.get("code")
        known = code if isinstance(code, int) and abs(code) < _CODES_END else 0
        raise refusal_fault(known, text_of(content, "message"), base_url, key, origin)
    socket_id = text_of(content, "socket_id")
    if frame.event != CONNECTION_ESTABLISHED or not is_socket_id(socket_id):
        raise FaultFound("not-pusher-protocol", shown=repr(one_line(frame.event)))
    seconds = content.get("activity_timeout")
    seconds = seconds if isinstance(seconds, int | float) and seconds > 0 else _DEFAULT_ACTIVITY_TIMEOUT
    return EstablishedConnection(session, one_line(socket_id), float(min(seconds, _DEFAULT_ACTIVITY_TIMEOUT)))


def open_established(base_url: BaseUrl, key: str, origin: str | None, *, verify: bool) -> EstablishedConnection:
    """Return a new connection, established. Raises FaultFound."""
    session = open_session(open_connection(base_url, verify=verify), base_url, key, origin)
    try:
        return wait_until_established(session, base_url, key, origin)
    except FaultFound:
        session.close()
        raise


def refusal_fault(code: int, reason: str, base_url: BaseUrl, key: str, origin: str | None) -> FaultFound:
    """Return the fault behind an error or close code of the Pusher protocol."""
    if code == codes.APP_DOES_NOT_EXIST:
        return FaultFound("app-key-unknown", key=one_line(key), source="", hint=_hint(key))
    if code == codes.UNAUTHORIZED:
        host = origin.partition("://")[2].partition(":")[0] if origin else "example.com"
        return FaultFound("origin-refused", origin=origin or "an unknown origin (none was sent)", host=host)
    if code == codes.PATH_NOT_FOUND:
        asked, right = base_url.socket_path(key), _right_path(reason).replace("KEY", quote(key, safe=""))
        if right == asked:
            return FaultFound("path-changed", asked=asked, arrived=_path_at_the_server(reason))
        return path_fault(asked, right, right.partition("/app/")[0])
    if code in _CODES:
        return FaultFound(_CODES[code])
    return FaultFound("pusher-error", reason=one_line(reason) or "no reason given", close=code or "no code")


def subscribe(session: SocketSession, channel: str) -> None:
    """Subscribe to a public channel and wait for the confirmation. Raises FaultFound."""
    session.send("pusher:subscribe", {"channel": channel})
    try:
        for frame in session.messages(timeouts.ANSWER):
            if frame.event == "pusher_internal:subscription_succeeded" and frame.channel == channel:
                return
            if frame.event in ("pusher:error", "pusher:subscription_error"):
                content = frame.content()
                reason = text_of(content, "message") or text_of(content, "error") or "no reason given"
                raise FaultFound("subscription-failed", reason=one_line(reason))
    except NothingReceivedError:
        raise FaultFound("subscription-failed", reason=f"no answer within {timeouts.ANSWER:g} s") from None
    except ConnectionClosedError as ended:
        raise FaultFound("subscription-failed", reason=f"the connection ended: {ended}") from None


def ping(session: SocketSession) -> None:
    """Send a ping and wait for the pong. Raises FaultFound."""
    session.send(PING, {})
    try:
        next(frame for frame in session.messages(timeouts.ANSWER) if frame.event == PONG)
    except (NothingReceivedError, ConnectionClosedError):
        raise FaultFound("no-pong", seconds=f"{timeouts.ANSWER:g}") from None


def _hint(key: str) -> str:
    if key != key.strip() or key.strip("\"'") != key:
        return "; it has quotes or spaces around it that do not belong there"
    return ""


def _right_path(reason: str) -> str:
    """Return the path in Soundpost's own "WebSocket connections go to /ws/app/KEY, not …"."""
    _, _, rest = reason.partition("go to ")
    return rest.partition(",")[0] or "another path"


def _path_at_the_server(reason: str) -> str:
    """Return the path in the same message that the server was asked for."""
    _, _, rest = reason.partition(", not ")
    return one_line(rest.partition(";")[0]) or "another path"

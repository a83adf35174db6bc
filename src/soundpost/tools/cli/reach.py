"""Number of subscribers that got the event of a command, and the way out if there are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from soundpost.broadcasting.drivers.http import HttpDriver
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import BroadcastError
from soundpost.suggestions import nearest
from soundpost.tools.cli.status import counted
from soundpost.wire.channel_names import SERVER_TO_USER, kind_of

_REFUSED: Final = (400, 413, 422)
"""Answers to a request that a server does not take as it is, perhaps for its ``info``."""
_MANY_CONNECTIONS: Final = 1_000
"""Connections above which a server is not asked for the names of all its channels."""


class Reach(NamedTuple):
    """Subscribers that got an event, if the server counts them."""

    subscribers: int | None = None
    """Number of subscribers (of users, on a presence channel); None if the server does not say."""
    is_local: bool = False
    """True if the server could not reach the other hosts of its cluster."""
    suggestion: str = ""
    """A channel with subscribers whose name is like that of a channel without."""
    any_channels: bool | None = None
    """True if any channel has subscribers; None if that is not known."""


def publish(driver: HttpDriver, message: Message) -> Reach:
    """Publish a message to one channel; return the subscribers that got it. Raises BroadcastError."""
    [channel] = message.channels
    body: dict[str, Any] = {"name": message.name, "channels": [channel], "data": message.data, "info": _info(channel)}
    if message.excluded is not None:
        body["socket_id"] = message.excluded
    try:
        answer = driver.request("POST", "/events", body=body)
    except BroadcastError as error:
        if error.status not in _REFUSED:
            raise
        driver.send([message])  # a server without 'info', or a refusal for another reason
        return Reach()
    channels = answer.get("channels")
    return _reach(driver, channel, channels.get(channel) if isinstance(channels, dict) else None, answer)


def published_through(connection: ConnectionSettings, event: str, channel: str) -> list[str]:
    """Return the lines on an event that an application published through one of its connections."""
    if not connection.is_http:
        return [f"Published {event} to {channel}"]
    driver = HttpDriver(connection)
    try:
        return list(lines(event, channel, connection.base_url, _reach_of(driver, channel)))
    finally:
        driver.close()


def lines(event: str, channel: str, url: str, reach: Reach) -> Iterator[str]:
    """Yield the lines about a published event: channel, server and subscribers, then advice."""
    yield f"Published {event} to {channel} at {url}{_counted(channel, reach)}"
    if reach.is_local:
        yield (
            "The server cannot reach its Redis: clients of this server have the event. For clients of other hosts "
            "the event waits until Redis is back"
        )
    if reach.subscribers == 0:
        yield from _no_subscribers(channel, reach)


def _reach_of(driver: HttpDriver, channel: str) -> Reach:
    """Return the subscribers of a channel; unknown if the server does not answer."""
    try:
        answer = driver.request("GET", f"/channels/{quote(channel, safe='')}", {"info": _info(channel)})
    except BroadcastError:
        return Reach()
    return _reach(driver, channel, answer, answer)


def _no_subscribers(channel: str, reach: Reach) -> Iterator[str]:
    if kind_of(channel).is_cache:
        yield f"Nobody is subscribed to {channel}: the channel keeps the event for its next subscriber"
    elif channel.startswith(SERVER_TO_USER):
        yield f"User {channel.removeprefix(SERVER_TO_USER)} is not signed in on any connection: check the user's id"
    elif reach.suggestion:
        yield f"Nobody is subscribed to {channel}. {reach.suggestion} has subscribers: did you mean this channel?"
    else:
        none = ", nor to any other channel" if reach.any_channels is False else ""
        yield (
            f"Nobody is subscribed to {channel}{none}: check the channel's name and the server's address. "
            f"'soundpost listen {channel}' subscribes and prints its events"
        )


def _counted(channel: str, reach: Reach) -> str:
    if reach.subscribers is None:
        return ""
    return f": {counted(reach.subscribers, 'user' if kind_of(channel).is_presence else 'subscriber')}"


def _info(channel: str) -> str:
    return "user_count" if kind_of(channel).is_presence else "subscription_count"


def _reach(driver: HttpDriver, channel: str, attributes: Any, answer: dict[str, Any]) -> Reach:
    count = _number(attributes.get(_info(channel))) if isinstance(attributes, dict) else None
    reach = Reach(count, answer.get("delivered") == "local")
    if count != 0 or kind_of(channel).is_cache or channel.startswith(SERVER_TO_USER):
        return reach
    occupied = _occupied(driver)
    if occupied is None:
        return reach
    return reach._replace(suggestion=_most_similar(channel, occupied), any_channels=bool(occupied))


def _occupied(driver: HttpDriver) -> list[str] | None:
    """Return the channels that have subscribers; None for a server with very many, or that does not say."""
    try:
        connections = _number(driver.request("GET", "/connections").get("connections"))
        if connections is None or connections > _MANY_CONNECTIONS:
            return None
        channels = driver.request("GET", "/channels").get("channels")
    except BroadcastError:
        return None
    return [name for name in channels if isinstance(name, str)] if isinstance(channels, dict) else None


def _most_similar(channel: str, occupied: list[str]) -> str:
    """Return the channel with the same name but for ``private-`` or ``presence-``, else the nearest; or none."""
    by_plain_name = {_plain(name): name for name in occupied if name != channel}
    return by_plain_name.get(nearest(_plain(channel), by_plain_name) or "", "")


def _plain(channel: str) -> str:
    return channel.removeprefix(kind_of(channel).value)


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None

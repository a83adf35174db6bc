"""The requests of an SDK to Pusher's HTTP API, checked before they are sent.

Source: https://pusher.com/docs/channels/library_auth_reference/rest-api/
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from soundpost.broadcasting.channels import UserChannel
from soundpost.broadcasting.encryption import encrypt, master_key
from soundpost.broadcasting.limits import MAX_CHANNEL_NAME, MAX_CHANNELS, MAX_EVENT_NAME
from soundpost.broadcasting.serialization import to_json
from soundpost.errors import ConfigurationError, PayloadError
from soundpost.values.proxies import unproxied
from soundpost.values.text import is_text, text_of
from soundpost.wire import socket_id as socket_ids
from soundpost.wire.channel_names import fault, kind_of
from soundpost.wire.json_text import is_unicode

MAX_USER_ID = 200
"""Characters of a user id, at most."""

_HALF: Final = "a half of a surrogate pair is not Unicode text"


class Call(NamedTuple):
    """A request of the API; ``path`` is below ``/apps/ID``."""

    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any] | None


class Calls:
    """Makes requests from the arguments of an SDK's methods. Raises ValueError and TypeError."""

    def __init__(self, encryption_master_key: str, json_encoder: type[json.JSONEncoder] | None) -> None:
        self._master_key = encryption_master_key
        self._json_encoder = json_encoder

    def trigger(self, channels: str | Iterable[str], event_name: str, data: object, socket_id: str | None) -> Call:
        """Return the request for one event, to at most a hundred channels."""
        given: list[Any] = [channels] if is_text(channels) else list(channels)
        if not given or len(given) > MAX_CHANNELS:
            raise ValueError(f"{len(given)} channels: an event goes to 1 to {MAX_CHANNELS}")
        names = [check_channel(each) for each in given]
        if len(names) > 1 and any(kind_of(name).is_encrypted for name in names):
            raise ValueError("an event for an encrypted channel goes to that channel alone: trigger it by itself")
        event = self._event(names[0], event_name, data)
        body: dict[str, Any] = {**event, "channels": names}
        if socket_id:
            body["socket_id"] = check_socket_id(socket_id)
        return Call("POST", "/events", {}, body)

    def trigger_batch(self, batch: Sequence[Mapping[str, Any]], already_encoded: bool) -> Call:
        """Return the request for several events, each to one channel; the given events are not changed."""
        events = []
        for event in batch:
            channel = check_channel(event["channel"])
            made = {**event, "channel": channel}
            if made.get("socket_id"):
                check_socket_id(made["socket_id"])
            else:
                made.pop("socket_id", None)
            if not already_encoded:
                made |= self._event(channel, event["name"], event["data"])
            events.append(made)
        return Call("POST", "/batch_events", {}, {"batch": events})

    def channels(self, prefix_filter: str | None, attributes: Iterable[str]) -> Call:
        """Return the request for the occupied channels."""
        query = _info(attributes)
        if prefix_filter:
            query["filter_by_prefix"] = prefix_filter
        return Call("GET", "/channels", query, None)

    def channel(self, channel: str, attributes: Iterable[str]) -> Call:
        """Return the request for one channel."""
        return Call("GET", f"/channels/{quote(check_channel(channel), safe='')}", _info(attributes), None)

    def users(self, channel: str) -> Call:
        """Return the request for the members of a presence channel."""
        return Call("GET", f"/channels/{quote(check_channel(channel), safe='')}/users", {}, None)

    def terminate(self, user_id: str) -> Call:
        """Return the request that closes a user's connections."""
        return Call("POST", f"/users/{quote(check_user_id(user_id), safe='')}/terminate_connections", {}, {})

    def _event(self, channel: str, name: str, data: object) -> dict[str, Any]:
        name = _text(name, "event name")
        if not is_unicode(name):
            raise ValueError(f"event name {name!r}: {_HALF}")
        if not 1 <= len(name) <= MAX_EVENT_NAME:
            raise ValueError(f"event name of {len(name)} characters: 1 to {MAX_EVENT_NAME} are expected")
        text = self.encoded(data, f"event {name!r} on {channel}")
        if kind_of(channel).is_encrypted:
            text = encrypt(channel, text, self.master_key(channel))
        return {"name": name, "data": text}

    def encoded(self, data: object, what: str) -> str:
        """Return an event's data as the text to send: a str as it stands, as PyPI's ``pusher``; all else as JSON.

        A str as it stands is the one exception from the rule of broadcasting, :func:`to_json`. Raises PayloadError.
        """
        if isinstance(data, str):
            if not is_unicode(data):
                raise PayloadError(f"{what}: its data: {_HALF}")
            return data
        if self._json_encoder is not None:
            return json.dumps(data, cls=self._json_encoder, ensure_ascii=False)
        return to_json(data, what)

    def master_key(self, channel: str) -> bytes:
        """Return the master key of encrypted channels. Raises ConfigurationError if there is none."""
        if not self._master_key:
            raise ConfigurationError(f"{channel} is an encrypted channel: give Pusher encryption_master_key_base64")
        return master_key(self._master_key)


def to_user(user_id: str) -> str:
    """Return the channel of a user's connections."""
    return str(UserChannel(check_user_id(user_id)))


def check_channel(channel: str) -> str:
    """Return a channel's name, if it is one. Raises TypeError and ValueError."""
    name = _text(channel, "channel")
    wrong = fault(name, MAX_CHANNEL_NAME)
    if wrong is not None:
        raise ValueError(wrong)
    return name


def check_socket_id(socket_id: str) -> str:
    """Return a socket id, if it is one. Raises ValueError."""
    wrong = socket_ids.fault(socket_id)
    if wrong is not None:
        raise ValueError(wrong)
    return socket_id


def check_user_id(user_id: str) -> str:
    """Return a user's id, if it is one. Raises TypeError and ValueError."""
    user_id = _text(user_id, "user id")
    if not 1 <= len(user_id) <= MAX_USER_ID:
        raise ValueError(f"user id of {len(user_id)} characters: 1 to {MAX_USER_ID} are expected")
    wrong = fault(str(UserChannel(user_id)), MAX_USER_ID + len(UserChannel.prefix))
    if wrong is not None:
        raise ValueError(f"user id {user_id!r}: {wrong}")
    return user_id


def _text(value: object, what: str) -> str:
    """Return a text, also behind a proxy. Raises TypeError for numbers and objects, as PyPI's ``pusher``."""
    if not is_text(value):
        raise TypeError(f"{what} {value!r}: a text is expected")
    text = unproxied(value)
    return text if type(text) is str else text_of(text, what)


def _info(attributes: Iterable[str]) -> dict[str, str]:
    text = attributes if isinstance(attributes, str) else ",".join(attributes)
    return {"info": text} if text else {}

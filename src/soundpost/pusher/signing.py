"""Signatures that an SDK makes and verifies without asking the server.

Source: https://pusher.com/docs/channels/library_auth_reference/auth-signatures/ and
https://pusher.com/docs/channels/server_api/webhooks/#authentication
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from soundpost.broadcasting.serialization import plain
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.pusher.calls import Calls, check_channel, check_socket_id, check_user_id
from soundpost.wire.channel_names import kind_of
from soundpost.wire.encryption import shared_secret
from soundpost.wire.signatures import channel_text, sign, user_text, verify

WEBHOOK_WINDOW: Final = 300.0
"""Seconds by which a webhook's time may differ from this machine's clock."""


class Signing:
    """The signatures of one app."""

    def __init__(
        self,
        settings: ConnectionSettings,
        calls: Calls,
        json_encoder: type[json.JSONEncoder] | None,
        json_decoder: type[json.JSONDecoder] | None,
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._json_encoder = json_encoder
        self._json_decoder = json_decoder

    def channel(self, channel: str, socket_id: str, custom_data: Mapping[str, Any] | None) -> dict[str, str]:
        """Return the authorization of a socket for a channel. Raises TypeError, ValueError and PayloadError."""
        channel = check_channel(channel)
        check_socket_id(socket_id)
        data = self._json_of(custom_data, f"the member of {channel}") if custom_data else None
        answer = {"auth": self._signature(channel_text(socket_id, channel, data))}
        if kind_of(channel).is_encrypted:
            secret = shared_secret(channel, self._calls.master_key(channel))
            answer["shared_secret"] = base64.b64encode(secret).decode()
        if data is not None:
            answer["channel_data"] = data
        return answer

    def user(self, socket_id: str, user_data: Mapping[str, Any] | None) -> dict[str, str]:
        """Return the authorization of a sign-in. Raises TypeError, ValueError and PayloadError."""
        if user_data is None or user_data.get("id") is None:
            raise ValueError("user_data has no id: give a mapping such as {'id': '7'}")
        user_data = {**user_data, "id": check_user_id(user_data["id"])}
        check_socket_id(socket_id)
        data = self._json_of(user_data, "user_data")
        return {"auth": self._signature(user_text(socket_id, data)), "user_data": data}

    def webhook(self, key: str, signature: str, body: str | bytes) -> dict[str, Any] | None:
        """Return the content of a webhook; None if its signature is wrong, or its time too old."""
        try:
            text = body.decode() if isinstance(body, bytes) else body
        except UnicodeDecodeError:
            return None
        if key != self._settings.key or not signature or not verify(self._settings.secret, text, signature):
            return None
        try:
            content = json.loads(text, cls=self._json_decoder)
        except (ValueError, RecursionError):
            return None
        sent = content.get("time_ms") if isinstance(content, dict) else None
        now, window = time.time() * 1000, WEBHOOK_WINDOW * 1000
        if not isinstance(sent, int | float) or not now - window <= sent <= now + window:
            return None
        found: dict[str, Any] = content
        return found

    def _json_of(self, data: Any, what: str) -> str:
        """Return data as the JSON that PyPI's ``pusher`` writes; dates and others as in events. Raises PayloadError."""
        if self._json_encoder is None:
            try:
                return json.dumps(data, allow_nan=False)
            except TypeError:
                data = plain(data, what)
        return json.dumps(data, cls=self._json_encoder, allow_nan=False)

    def _signature(self, text: str) -> str:
        return f"{self._settings.key}:{sign(self._settings.secret, text)}"

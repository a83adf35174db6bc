"""pusher-js and Laravel Echo in Node.js processes of their own."""

from __future__ import annotations

from typing import Any

from support.harness import DEFAULT_APP
from support.node_process import NodeProcess, Report


def pusher_options(port: int, web_app_url: str, user: str | None, **more: Any) -> dict[str, Any]:
    """Options of pusher-js for a server on this machine; ``user`` None: not logged in at the application."""
    headers = {} if user is None else {"Authorization": f"Bearer {user}"}
    return {
        "wsHost": "127.0.0.1",
        "wsPort": port,
        "forceTLS": False,
        "enabledTransports": ["ws"],
        "cluster": "",
        "channelAuthorization": {"endpoint": f"{web_app_url}/broadcasting/auth", "headers": headers},
        "userAuthentication": {"endpoint": f"{web_app_url}/broadcasting/user-auth", "headers": headers},
        **more,
    }


class PusherJs(NodeProcess):
    """pusher-js; reports ``state``, ``error``, ``message``, ``event``, ``heard``, ``user-event``, ``watchlist``."""

    def __init__(self, key: str, options: dict[str, Any]) -> None:
        super().__init__("pusher_js.mjs", {"key": key, "pusher": options})

    def connected(self) -> PusherJs:
        """Wait for the connection."""
        self.expect("state", current="connected")
        return self

    @property
    def socket_id(self) -> str:
        """The socket id."""
        return str(self.run("socketId"))

    def subscribe(self, *channels: str) -> None:
        """Subscribe, and wait until the server has confirmed each."""
        for channel in channels:
            self.run("subscribe", channel)
        for channel in channels:
            self.expect("event", channel=channel, event="pusher:subscription_succeeded")

    def sign_in(self) -> None:
        """Sign in, and wait until the server has confirmed it and the user's own channel."""
        self.run("signin")
        self.expect("message", event="pusher:signin_success")
        self.expect(
            "message",
            lambda message: message.get("channel", "").startswith("#server-to-user-"),
            event="pusher_internal:subscription_succeeded",
        )

    def expect_event(self, channel: str, event: str) -> Any:
        """Wait for an event on a channel; give its data."""
        return self.expect("event", channel=channel, event=event).get("data")

    def has_event(self, channel: str, event: str) -> bool:
        """Whether such an event is there already."""
        return self.has("event", channel=channel, event=event)


class EchoJs(NodeProcess):
    """Laravel Echo; reports ``status``, ``subscribed``, ``error``, ``here``, ``heard``, ``whisper`` and others."""

    def __init__(self, port: int, web_app_url: str, user: str | None, **more: Any) -> None:
        options = {
            "broadcaster": "reverb",
            "key": DEFAULT_APP.key,
            "wsHost": "127.0.0.1",
            "wsPort": port,
            "forceTLS": False,
            "enabledTransports": ["ws", "wss"],
            "namespace": False,
            "authEndpoint": f"{web_app_url}/broadcasting/auth",
            "userAuthentication": {"endpoint": f"{web_app_url}/broadcasting/user-auth", "headers": {}},
            "bearerToken": user,
            **more,
        }
        super().__init__("echo.mjs", {"echo": options})

    def connected(self) -> EchoJs:
        """Wait for the connection."""
        self.expect("status", status="connected")
        return self

    @property
    def socket_id(self) -> str:
        """The socket id, as an application sends it in ``X-Socket-ID``."""
        return str(self.run("socketId"))

    def open(self, kind: str, name: str) -> str:
        """Subscribe by one of Echo's methods (channel, private, encryptedPrivate, join); give the full name."""
        full = str(self.run("open", kind, name))
        self.expect("subscribed", channel=full)
        return full

    def listen(self, channel: str, *events: str) -> None:
        """Listen to events of an open channel."""
        for event in events:
            self.run("listen", channel, event)

    def expect_heard(self, channel: str, event: str) -> Any:
        """Wait for an event that is listened to; give its data."""
        return self.expect("heard", channel=channel, event=event)["data"]

    def expect_here(self, channel: str) -> list[Report]:
        """Who was here at the subscription."""
        members: list[Report] = self.expect("here", channel=channel)["members"]
        return members

"""The official SDKs, each behind the same few calls, so that one test states what holds for all of them."""

from __future__ import annotations

import re
from typing import Any, Final, Protocol

import pusher
from pusher.errors import PusherBadAuth, PusherBadRequest, PusherBadStatus, PusherForbidden

from support.node_process import NodeError, NodeProcess
from support.raw_socket import TIMEOUT

MASTER_KEY: Final = "6zNGX9gRWFYBqGFxsZGtXnsWb3S9cIWEX0BNYyLTcLM="
"""``encryption_master_key_base64`` of the applications in the tests."""


class Refused(Exception):  # noqa: N818 - reads as the event it names
    """The server answered a request with an error."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class Publisher(Protocol):
    """What every SDK can do. Raises Refused."""

    def trigger(
        self, channels: str | list[str], event: str, data: object, *, except_socket: str | None = None
    ) -> object:
        """Publish an event, to all subscribers but one socket."""

    def trigger_batch(self, batch: list[dict[str, Any]]) -> Any:
        """Publish several events in one request."""

    def send_to_user(self, user_id: str, event: str, data: object) -> object:
        """Publish an event to every connection of a user."""

    def terminate_user_connections(self, user_id: str) -> object:
        """Close every connection of a user."""

    def channels(self, prefix: str, *attributes: str) -> Any:
        """Ask for the occupied channels."""

    def channel(self, name: str, *attributes: str) -> Any:
        """Ask for one channel."""

    def users(self, channel: str) -> Any:
        """Ask who is present."""


class PythonSdk:
    """``pusher`` of PyPI."""

    def __init__(self, port: int, app_id: str, key: str, secret: str) -> None:
        self._sdk = pusher.Pusher(
            app_id,
            key,
            secret,
            host="127.0.0.1",
            port=port,
            ssl=False,
            timeout=TIMEOUT,
            encryption_master_key_base64=MASTER_KEY,
        )

    def trigger(
        self, channels: str | list[str], event: str, data: object, *, except_socket: str | None = None
    ) -> object:
        return _asked(self._sdk.trigger, channels, event, data, except_socket)

    def trigger_batch(self, batch: list[dict[str, Any]]) -> Any:
        return _asked(self._sdk.trigger_batch, batch)

    def send_to_user(self, user_id: str, event: str, data: object) -> object:
        return _asked(self._sdk.send_to_user, user_id, event, data)

    def terminate_user_connections(self, user_id: str) -> object:
        return _asked(self._sdk.terminate_user_connections, user_id)

    def channels(self, prefix: str, *attributes: str) -> Any:
        return _asked(self._sdk.channels_info, prefix, list(attributes))

    def channel(self, name: str, *attributes: str) -> Any:
        return _asked(self._sdk.channel_info, name, list(attributes))

    def users(self, channel: str) -> Any:
        return _asked(self._sdk.users_info, channel)


class NodeSdk:
    """``pusher`` of npm."""

    def __init__(self, process: NodeProcess) -> None:
        self._process = process

    def trigger(
        self, channels: str | list[str], event: str, data: object, *, except_socket: str | None = None
    ) -> object:
        return self.trigger_with(channels, event, data, {"socket_id": except_socket} if except_socket else {})

    def trigger_with(self, channels: str | list[str], event: str, data: object, parameters: dict[str, str]) -> Any:
        """Publish with further parameters, such as ``info``."""
        return self._run("trigger", channels, event, data, parameters)

    def trigger_batch(self, batch: list[dict[str, Any]]) -> Any:
        return self._run("triggerBatch", batch)

    def send_to_user(self, user_id: str, event: str, data: object) -> object:
        return self._run("sendToUser", user_id, event, data)

    def terminate_user_connections(self, user_id: str) -> object:
        return self._run("terminateUserConnections", user_id)

    def channels(self, prefix: str, *attributes: str) -> Any:
        return self._run("get", "/channels", {"filter_by_prefix": prefix} | _info(attributes))

    def channel(self, name: str, *attributes: str) -> Any:
        return self._run("get", f"/channels/{name}", _info(attributes))

    def users(self, channel: str) -> Any:
        return self._run("get", f"/channels/{channel}/users", {})

    def _run(self, command: str, *args: Any) -> Any:
        try:
            return self._process.run(command, *args)
        except NodeError as error:
            if error.status is None:
                raise
            raise Refused(error.status, error.body or "") from None


class PythonSigner:
    """Signatures by ``pusher`` of PyPI."""

    def __init__(self, app_id: str, key: str, secret: str) -> None:
        self._sdk = pusher.Pusher(app_id, key, secret, encryption_master_key_base64=MASTER_KEY)

    def channel(self, socket_id: str, channel: str, member: dict[str, Any] | None) -> dict[str, str]:
        answer = self._sdk.authenticate(channel, socket_id, member)
        # The SDK gives the shared secret as bytes, which no JSON encoder takes.
        return {name: value.decode() if isinstance(value, bytes) else value for name, value in answer.items()}

    def user(self, socket_id: str, user: dict[str, Any]) -> dict[str, str]:
        answer: dict[str, str] = self._sdk.authenticate_user(socket_id, user)
        return answer


class NodeSigner:
    """Signatures by ``pusher`` of npm."""

    def __init__(self, process: NodeProcess) -> None:
        self._process = process

    def channel(self, socket_id: str, channel: str, member: dict[str, Any] | None) -> dict[str, str]:
        answer: dict[str, str] = self._process.run("authorizeChannel", socket_id, channel, member)
        return answer

    def user(self, socket_id: str, user: dict[str, Any]) -> dict[str, str]:
        answer: dict[str, str] = self._process.run("authenticateUser", socket_id, user)
        return answer


def node_publisher_process(port: int, app_id: str, key: str, secret: str) -> NodeProcess:
    """A process with the npm SDK in it; enter it before use."""
    return NodeProcess(
        "publisher.mjs",
        {
            "appId": app_id,
            "key": key,
            "secret": secret,
            "host": "127.0.0.1",
            "port": port,
            "useTLS": False,
            "encryptionMasterKeyBase64": MASTER_KEY,
        },
    )


def _asked(method: Any, *args: Any) -> Any:
    try:
        return method(*args)
    except PusherBadRequest as error:
        raise Refused(400, str(error)) from None
    except PusherBadAuth as error:
        raise Refused(401, str(error)) from None
    except PusherForbidden as error:
        raise Refused(403, str(error)) from None
    except PusherBadStatus as error:
        found = re.match(r"(\d+): (.*)", str(error), re.DOTALL)
        assert found is not None
        raise Refused(int(found[1]), found[2]) from None


def _info(attributes: tuple[str, ...]) -> dict[str, str]:
    return {"info": ",".join(attributes)} if attributes else {}

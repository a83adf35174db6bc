"""Clients of pusher-js in a process of Node.js, told what to do as a crowd of raw clients is."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any, Self

import msgspec

from support.node_process import NodeProcess
from support.raw_socket import DEFAULT_APP
from support.resumption.lines import wait_for_none
from support.resumption.stages import ACTIVITY_TIMEOUT
from support.resumption.stories import Told, behind, written


class NodeCrowd:
    """``module``: whether the clients resume by the module, or are as they come. ``master_key`` is that of encrypted
    channels, in base64."""

    def __init__(self, name: str, channels: Sequence[list[str]], port: int, master_key: str, *, module: bool) -> None:
        options = {
            "key": DEFAULT_APP.key,
            "secret": DEFAULT_APP.secret,
            "activityTimeout": ACTIVITY_TIMEOUT,
            "masterKey": master_key,
        }
        self._node = NodeProcess("resumption.mjs", options)
        self._plans = [
            {"name": f"{name}-{number}", "port": port, "channels": each, "resumes": module}
            for number, each in enumerate(channels)
        ]

    def __enter__(self) -> Self:
        self._node.__enter__()
        try:
            self._node.run("connect", self._plans)
            self.do("settle", 30)
        except BaseException:
            self._node.stop()
            raise
        return self

    def __exit__(self, *reason: object) -> None:
        self.thaw()
        self._node.stop()

    def do(self, command: str, *arguments: Any) -> Any:
        """The answer to a command of a crowd."""
        if command == "settle":
            return wait_for_none(lambda: int(self._node.run("away")), arguments[0])
        if command == "reach":
            return wait_for_none(lambda: behind(self._told().stories, arguments[0]), arguments[1])
        if command == "tell":
            return written(self._told())
        return self._node.run(command, *arguments)

    def _told(self) -> Told:
        return msgspec.convert(self._node.run("tell"), Told)

    def freeze(self) -> None:
        """Stop the process in the middle of whatever it does."""
        os.kill(self._node.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self._node.pid, signal.SIGCONT)

"""uvicorn as ``uvicorn[standard]`` runs it (uvloop, httptools, websockets), which says when it listens."""

from __future__ import annotations

import socket
import sys
from typing import Any

import uvicorn


class Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print("READY", flush=True)


def run(application: Any) -> None:
    """Serve at the port that is the first argument."""
    config = uvicorn.Config(
        application,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="auto",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        # The publisher waits while the clients connect, which may take longer than the 5 s that are the default.
        timeout_keep_alive=3600,
        log_level="error",
        access_log=False,
    )
    Server(config).run()

"""uvicorn and Starlette with a connection manager: ``python -m others.starlette_manager PORT``.

The manager is the one of https://fastapi.tiangolo.com/advanced/websockets/, with a set per channel; FastAPI would add
to this, and nothing in it would be less.
"""

from __future__ import annotations

from collections import defaultdict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from others import listening, pusher


class ConnectionManager:
    def __init__(self) -> None:
        self.channels: defaultdict[str, set[WebSocket]] = defaultdict(set)

    def disconnect(self, websocket: WebSocket, joined: set[str]) -> None:
        for channel in joined:
            self.channels[channel].discard(websocket)

    async def broadcast(self, channel: str, message: str) -> None:
        for connection in tuple(self.channels[channel]):
            await connection.send_text(message)


manager = ConnectionManager()


async def subscriber(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(pusher.HELLO)
    joined = set()
    try:
        while True:
            channel = pusher.subscribed_channel(await websocket.receive_text())
            manager.channels[channel].add(websocket)
            joined.add(channel)
            await websocket.send_text(pusher.succeeded(channel))
    except WebSocketDisconnect:
        manager.disconnect(websocket, joined)


async def publish(request: Request) -> JSONResponse:
    await manager.broadcast(*pusher.published(await request.json()))
    return JSONResponse({})


application = Starlette(
    routes=[WebSocketRoute("/app/{key}", subscriber), Route("/apps/{id}/events", publish, methods=["POST"])]
)

if __name__ == "__main__":
    listening.run(application)

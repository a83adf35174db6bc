"""The embedded server of the tests: an ASGI application configured by ``EMBEDDED``, JSON with ``apps`` and ``server``.

Around an application that answers ``GET /around``; ``POST /publish`` broadcasts by the driver ``embedded``.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from soundpost.asgi import App
from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.settings import settings_from
from soundpost.errors import BroadcastError

given = msgspec.json.decode(os.environ["EMBEDDED"])
_first = given["apps"][0]
broadcaster = Broadcaster(
    settings_from({"driver": "embedded", "app_id": _first["id"], "key": _first["key"], "secret": _first["secret"]})
)


async def around(request: Request) -> Response:
    return PlainTextResponse("the application around it")


async def publish(request: Request) -> Response:
    """Publish in the event loop, in a thread, or in another event loop: ``?from=``."""
    event: dict[str, Any] = await request.json()
    arguments = (event["channel"], event["name"], event["data"])
    socket_id = event.get("socket_id")
    try:
        match request.query_params.get("from", "loop"):
            case "loop":
                await broadcaster.apublish(*arguments, socket_id=socket_id)
            case "sync":
                broadcaster.publish(*arguments, socket_id=socket_id)
            case "thread":
                await asyncio.to_thread(broadcaster.publish, *arguments, socket_id=socket_id)
            case "other-loop":
                await asyncio.to_thread(lambda: asyncio.run(broadcaster.apublish(*arguments, socket_id=socket_id)))
    except BroadcastError as error:
        return JSONResponse({"error": str(error), "status": error.status}, 400)
    return JSONResponse({})


app = App(
    Starlette(routes=[Route("/around", around), Route("/publish", publish, methods=["POST"])]),
    apps=given["apps"],
    server=given["server"],
)

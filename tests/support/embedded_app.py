"""The embedded server of the tests: an ASGI application configured by ``EMBEDDED``, JSON with ``apps`` and ``server``.

Around an application that answers ``GET /around`` with its query, ``POST /around`` with the body; ``POST /publish``
broadcasts by the driver ``embedded``.
"""

from __future__ import annotations

import asyncio
import os
from contextvars import ContextVar
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


USER: ContextVar[str] = ContextVar("USER", default="nobody")


async def around(request: Request) -> Response:
    """Answer, with the user of the context in a header, and then set that user to the request's."""
    headers = {"Context-User": USER.get()}
    USER.set(request.headers.get("User", "nobody"))
    if request.method == "POST":
        return Response(await request.body(), headers=headers)
    return PlainTextResponse("the application around it" + request.url.query, headers=headers)


def in_a_child(channel: str, name: str, data: Any) -> str:
    """Publish in a forked process; the error that this gives."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            broadcaster.publish(channel, name, data)
        except BaseException as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.wait()
    return os.read(reading, 1000).decode()


async def publish(request: Request) -> Response:
    """Publish in the event loop, in a thread, in another event loop, or in a forked process: ``?from=``."""
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
            case "forked":
                return JSONResponse({"error": await asyncio.to_thread(in_a_child, *arguments)}, 400)
    except BroadcastError as error:
        return JSONResponse({"error": str(error), "status": error.status}, 400)
    return JSONResponse({})


app = App(
    Starlette(routes=[Route("/around", around, methods=["GET", "POST"]), Route("/publish", publish, methods=["POST"])]),
    apps=given["apps"],
    server=given["server"],
)

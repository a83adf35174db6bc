"""Web applications that broadcast in the background: ``GET /name`` has the events of that name published.

Of the name ``forked`` by a child process, which ends by ``os._exit``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import soundpost
from soundpost.starlette import Soundpost
from support.background_programs import EVENTS


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    who = environ["PATH_INFO"].strip("/")
    child = os.fork() if who == "forked" else 0
    if child:
        os.waitpid(child, 0)
    else:
        for number in range(EVENTS):
            soundpost.publish("orders", f"{who} {number}")
        if who == "forked":
            os._exit(0)
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]


async def tell(request: Request) -> PlainTextResponse:
    for number in range(EVENTS):
        await soundpost.apublish("orders", f"{request.path_params['who']} {number}")
    return PlainTextResponse("")


def tell_in_a_thread(request: Request) -> PlainTextResponse:
    for number in range(EVENTS):
        soundpost.publish("orders", f"{request.path_params['who']} {number}")
    return PlainTextResponse("")


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with Soundpost().lifespan(app):
        yield


asgi = Starlette(
    routes=[Route("/thread/{who}", tell_in_a_thread), Route("/{who}", tell)],
    lifespan=lifespan,
)

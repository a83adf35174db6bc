from __future__ import annotations

from typing import Annotated

import uvicorn
from fastapi import Cookie, Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse

from clients.same_page import same
from soundpost.fastapi import RequestBroadcaster, SocketIdMiddleware, Soundpost

sp = Soundpost.from_env()
app = FastAPI(lifespan=sp.lifespan)
app.add_middleware(SocketIdMiddleware)


def current_user(name: Annotated[str, Cookie()] = "") -> str:
    if not name:
        raise HTTPException(401)
    return name


User = Annotated[str, Depends(current_user)]
app.include_router(sp.router(user=current_user))


@sp.channels.private("rooms.{room:int}")
async def hear(room: int, user: User) -> bool:
    return same.may_hear(user, room)


@sp.channels.presence("people")
async def people(user: User) -> dict[str, str]:
    return same.member(user)


@app.get("/login/{name}")
async def login(name: str) -> RedirectResponse:
    answer = RedirectResponse("/")
    answer.set_cookie("name", name)
    return answer


@app.get("/")
async def index(request: Request) -> HTMLResponse:
    return HTMLResponse(same.page(sp.echo_script(request)))


@app.get("/static/{name}")
async def static(name: str) -> FileResponse:
    return FileResponse(same.SCRIPTS[name])


@app.post("/say")
async def say(request: Request, user: User, bc: Annotated[RequestBroadcaster, Depends(sp.broadcaster)]) -> None:
    text = (await request.body()).decode().removeprefix("text=")
    await bc(same.Said(user, text), to_others=True)


uvicorn.run(app, port=same.PORT, log_level="warning")

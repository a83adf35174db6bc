"""The application that real clients ask: configured by ``SOUNDPOST_…``, with an embedded server if its driver says so.

Users are known by a bearer token that is their name, or by a cookie of the same.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import BackgroundTasks, Cookie, Depends, FastAPI, Header, HTTPException

from soundpost import Event, PrivateChannel, broadcast
from soundpost.fastapi import Context, RequestBroadcaster, SocketIdMiddleware, Soundpost

sp = Soundpost.from_env()
app = FastAPI(lifespan=sp.lifespan)
app.add_middleware(SocketIdMiddleware)
if sp.settings.connection().driver == "embedded":
    app.add_middleware(sp.server)


async def current_user(
    authorization: Annotated[str, Header()] = "", user: Annotated[str, Cookie()] = ""
) -> dict[str, str]:
    name = authorization.removeprefix("Bearer ") or user
    if not name:
        raise HTTPException(401)
    return {"id": name, "name": name.title()}


User = Annotated[dict[str, str], Depends(current_user)]
app.include_router(sp.router(user=current_user))


async def session() -> AsyncIterator[dict[int, str]]:
    await asyncio.sleep(0)
    yield {7: "ann", 8: "bob"}


@sp.channels.private("orders.{order_id:int}")
async def order(order_id: int, user: User, owners: Annotated[dict[int, str], Depends(session)]) -> bool:
    return owners.get(order_id) == user["id"]


@sp.channels.presence("rooms.{room:slug}")
def room(user: User, room: str, ctx: Context) -> dict[str, str]:
    return {"name": user["name"]}


@sp.channels.user
def introduce(user: User) -> dict[str, Any]:
    return {"id": user["id"], "user_info": {"name": user["name"]}}


class OrderShipped(Event):
    order_id: int
    carrier: str

    def broadcast_on(self) -> PrivateChannel:
        return PrivateChannel(f"orders.{self.order_id}")


Broadcast = Annotated[RequestBroadcaster, Depends(sp.broadcaster)]


@app.post("/orders/{order_id}/ship")
async def ship(order_id: int, bc: Broadcast, bg: BackgroundTasks, late: bool = False) -> None:
    event = OrderShipped(order_id, "DHL")
    if late:
        bc.after_response(bg, event, to_others=True)
    else:
        await bc(event, to_others=True)


@app.post("/orders/{order_id}/ship-blocking")
def ship_blocking(order_id: int) -> None:
    broadcast(OrderShipped(order_id, "UPS"), to_others=True)


@app.post("/users/{name}/tell")
async def tell(name: str, bc: Broadcast) -> None:
    await bc.to_user(name, "Told", {"by": "us"})


@app.post("/rooms/{room}")
async def post(room: str, bc: Broadcast) -> None:
    await bc.publish(f"presence-rooms.{room}", "room.posted", {"n": 1})

"""A shop with live order status: the counter changes orders, and each customer sees the changes of their own."""

from secrets import token_urlsafe
from typing import Annotated

from fastapi import Body, Cookie, Depends, FastAPI, HTTPException, Response
from fastapi.staticfiles import StaticFiles

from soundpost import Event, PrivateChannel
from soundpost.fastapi import RequestBroadcaster, Soundpost

STEPS = ["Received", "In the workshop", "Packed", "On its way", "Delivered"]
COUNTER = "counter"  # login name of the staff


class OrderChanged(Event, on=[PrivateChannel("customers.{customer}"), PrivateChannel(COUNTER)]):
    id: int
    customer: str
    item: str
    step: int = 0


orders: dict[int, OrderChanged] = {}
logins: dict[str, str] = {}  # names by cookie

sp = Soundpost.from_env()
app = FastAPI(lifespan=sp.lifespan)


def visitor(login: Annotated[str, Cookie()] = "") -> str | None:
    return logins.get(login)


def current_user(name: Annotated[str | None, Depends(visitor)]) -> str:
    if name is None:
        raise HTTPException(401, "Log in first")
    return name


User = Annotated[str, Depends(current_user)]
Broadcast = Annotated[RequestBroadcaster, Depends(sp.broadcaster)]
app.include_router(sp.router(user=current_user))


@sp.channels.private("customers.{name}")
async def customer(name: str, user: User) -> bool:
    return user == name


@sp.channels.private(COUNTER)
async def counter(user: User) -> bool:
    return user == COUNTER


@app.post("/api/login")
async def log_in(name: Annotated[str, Body(embed=True, pattern="^[a-z0-9]{1,20}$")], response: Response) -> None:
    token = token_urlsafe()
    logins[token] = name
    response.set_cookie("login", token, httponly=True, samesite="strict")


@app.get("/api/me")
async def me(user: Annotated[str | None, Depends(visitor)]) -> dict[str, object] | None:
    if user is None:
        return None  # the page shows its login
    channel = COUNTER if user == COUNTER else f"customers.{user}"
    return {"name": user, "channel": channel, "serves": user == COUNTER, "steps": STEPS}


@app.get("/api/orders")
async def list_orders(user: User) -> list[OrderChanged]:
    return [order for order in orders.values() if user in (order.customer, COUNTER)]


@app.post("/api/orders")
async def place(user: User, item: Annotated[str, Body(embed=True, max_length=60)], bc: Broadcast) -> OrderChanged:
    order = orders[len(orders) + 1] = OrderChanged(len(orders) + 1, user, item)
    await bc(order, to_others=True)
    return order


@app.post("/api/orders/{id}/next")
async def move_on(id: int, user: User, bc: Broadcast) -> OrderChanged:
    if user != COUNTER or id not in orders:
        raise HTTPException(404, "No such order, or not yours to move")
    order = orders[id]
    order.step = min(order.step + 1, len(STEPS) - 1)
    await bc(order, to_others=True)
    return order


app.mount("/", StaticFiles(directory="dist", html=True))

"""A dashboard with a live chart: the server sends a measured value to all open pages, every second."""

import random
import secrets
import threading
import time
from collections import deque

from flask import Flask, render_template, session

from soundpost import Event, PrivateChannel, channels
from soundpost.flask import Soundpost

app = Flask(__name__)
app.secret_key = secrets.token_bytes()
sp = Soundpost(app)

GOODS = ["a lamp", "two chairs", "a teapot", "a rug", "a bookshelf", "a clock"]
orders: deque[float] = deque()
history: deque[dict[str, float]] = deque(maxlen=60)


class Measured(Event, on=PrivateChannel("dashboard"), on_error="log"):
    orders: int
    visitors: int
    milliseconds: int


class OrderPlaced(Event, on=PrivateChannel("dashboard")):
    customer: str
    goods: str


@sp.user_loader
def user() -> str | None:
    return session.get("name")


@channels.private("dashboard")
def dashboard(user: str) -> bool:
    return True  # whoever has a name


@app.get("/")
def page() -> str:
    session.setdefault("name", f"Guest {random.randint(100, 999)}")
    return render_template("dashboard.html", history=list(history), name=session["name"])


@app.post("/orders")
def order() -> dict[str, str]:
    orders.append(time.time())
    placed = OrderPlaced(session["name"], random.choice(GOODS))
    placed.broadcast(to_others=True)  # the page that asked shows its order itself
    return {"customer": placed.customer, "goods": placed.goods}


def measure() -> None:
    """Broadcast invented measurements, one each second."""
    visitors, milliseconds, pace = 240.0, 38.0, 60.0
    while True:
        pace = min(110.0, max(25.0, pace + random.uniform(-9, 9)))
        visitors = min(420.0, max(120.0, visitors + random.uniform(-12, 12)))
        milliseconds = min(90.0, max(18.0, milliseconds + random.uniform(-6, 6)))
        while orders and orders[0] < time.time() - 10:
            orders.popleft()
        event = Measured(round(pace) + 6 * len(orders), round(visitors), round(milliseconds))
        history.append(vars(event))
        event.broadcast()
        time.sleep(1)


threading.Thread(target=measure, daemon=True).start()

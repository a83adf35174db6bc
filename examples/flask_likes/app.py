"""A like button without an HTTP request: the page sends to Python over its WebSocket."""

import random
import secrets
from typing import TypedDict

from flask import Flask, render_template, session

from soundpost import Event, PresenceChannel, channels, webhooks
from soundpost.flask import Soundpost

app = Flask(__name__)
app.secret_key = secrets.token_bytes()
sp = Soundpost(app)

POSTS = {1: "We have moved to a house by the sea.", 2: "The cat has learned to open doors.", 3: "It rains again."}
likes: dict[int, set[str]] = {post: set() for post in POSTS}  # a table of your database


class Like(TypedDict):
    liked: bool


class LikesCounted(Event, on=PresenceChannel("posts.{post}")):
    post: int
    likes: int


@sp.user_loader
def user() -> str | None:
    return session.get("name")


@channels.presence("posts.{post:int}")
def may_read(user: str, post: int) -> dict[str, str] | None:
    return {"name": user} if post in POSTS else None


@webhooks.on("client_event", "presence-posts.{post:int}", event="client-like")
def like(post: int, user_id: str, data: Like) -> None:
    if data["liked"]:
        likes[post].add(user_id)
    else:
        likes[post].discard(user_id)
    LikesCounted(post, len(likes[post])).broadcast()


@app.get("/")
def page() -> str:
    name = session.setdefault("name", f"Guest {random.randint(100, 999)}")
    shown = [(post, text, len(likes[post]), name in likes[post]) for post, text in POSTS.items()]
    return render_template("posts.html", posts=shown, name=name)

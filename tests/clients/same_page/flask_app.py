from __future__ import annotations

from typing import Any

from flask import Flask, Response, redirect, render_template_string, request, send_file, session

from clients.same_page import same
from soundpost import broadcast, channels
from soundpost.flask import Soundpost

app = Flask(__name__, static_folder=None)
app.secret_key = "same"
sp = Soundpost(app)
sp.user_loader(lambda: session.get("name"))


@channels.private("rooms.{room:int}")
def hear(user: str, room: int) -> bool:
    return same.may_hear(user, room)


@channels.presence("people")
def people(user: str) -> dict[str, str]:
    return same.member(user)


@app.get("/login/<name>")
def login(name: str) -> Any:
    session["name"] = name
    return redirect("/")


@app.get("/")
def index() -> str:
    return same.page(render_template_string("{{ soundpost() }}"))


@app.get("/static/<name>")
def static(name: str) -> Response:
    return send_file(same.SCRIPTS[name])


@app.post("/say")
def say() -> str:
    broadcast(same.Said(session["name"], request.form["text"]), to_others=True)
    return ""


app.run(port=same.PORT, threaded=True)

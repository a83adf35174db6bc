"""A Flask application that broadcasts in the background, in the threads of Flask's own server."""

from __future__ import annotations

from flask import Flask

import soundpost
from soundpost.flask import Soundpost
from support.background_programs import EVENTS

app = Flask(__name__)
Soundpost(app)


@app.get("/<who>")
def tell(who: str) -> str:
    for number in range(EVENTS):
        soundpost.publish("orders", f"{who} {number}")
    return ""

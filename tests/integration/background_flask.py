"""A Flask application that broadcasts in the background, in the threads of Flask's own server."""

from __future__ import annotations

from flask import Flask

import soundpost
from integration.background_programs import EVENTS
from soundpost.flask import Soundpost

app = Flask(__name__)
Soundpost(app)


@app.get("/<who>")
def tell(who: str) -> str:
    for number in range(EVENTS):
        soundpost.publish("orders", f"{who} {number}")
    return ""

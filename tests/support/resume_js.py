"""pusher-js with the npm package soundpost-resume, in a Node.js process of its own."""

from __future__ import annotations

from typing import Any

from support.clients_js import pusher_options
from support.harness import DEFAULT_APP
from support.node_process import NodeProcess
from support.web_app import WebApp


class ResumeJs(NodeProcess):
    """pusher-js with the module; reports ``state``, ``event``, ``resumed``, ``gap``, ``warn`` and ``error``."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__("resume.mjs", options)


def resume_js(port: int, *, web_app: WebApp | None = None, user: str = "ann", **options: Any) -> ResumeJs:
    """Return a client of a server on this machine.

    ``options`` are ``resume`` (options of the module; None: attach later), ``package`` (name of a pusher-js among
    those of the tests), ``echo`` (True: Laravel Echo), ``handlers`` (False: none for gaps) and ``failing`` (the handler
    of gaps throws).
    """
    auth = "http://127.0.0.1:9" if web_app is None else web_app.url
    return ResumeJs({"key": DEFAULT_APP.key, "pusher": pusher_options(port, auth, user), "resume": {}, **options})

"""What the three applications share: the page, its scripts, the event and who may hear it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from soundpost import Event, PrivateChannel

MODULES: Final = Path(__file__).parents[1] / "node_modules"
SCRIPTS: Final = {
    "pusher.min.js": MODULES / "pusher-js/dist/web/pusher.min.js",
    "echo.iife.js": MODULES / "laravel-echo/dist/echo.iife.js",
}
PORT: Final = int(os.environ.get("PORT", "0"))


class Said(Event, on=PrivateChannel("rooms.1")):
    who: str
    text: str


def page(config: str) -> str:
    """The page, with what a framework's tag prints in it."""
    return Path(__file__).with_name("page.html").read_text().replace("SOUNDPOST_CONFIG", config)


def may_hear(user: Any, room: int) -> bool:
    return room == 1


def member(user: Any) -> dict[str, str]:
    return {"id": str(user), "name": str(user)}

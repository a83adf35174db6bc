"""The page about webhooks: its handlers are called as it says, and its table of events has all of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from soundpost.core.webhooks import MORE_EVENTS, PUSHER_EVENTS
from support.newcomer import blocks_of, newcomer
from support.pages import DOCS

PAGE: Final = DOCS / "webhooks.md"
TELL: Final = """
import json

import app, main, shop.webhooks
from soundpost import webhooks

events = [
    {"name": "member_added", "channel": "presence-room.7", "user_id": "5", "user_info": {"name": "Ann"}, "id": "1"},
    {"name": "member_added", "channel": "presence-lounge", "user_id": "5", "user_info": {"name": "Ann"}, "id": "2"},
    {"name": "user_offline", "user_id": "5", "time_ms": 1_000, "id": "3"},
]
for _ in range(2):
    assert webhooks.default.handle(webhooks.parse(json.dumps({"time_ms": 1, "events": events}))) == []
"""


def test_the_handlers_of_the_page_are_called_once(tmp_path: Path) -> None:
    with newcomer(tmp_path) as person:
        for section in ("Django", "FastAPI", "Flask"):
            person.follow(*blocks_of(PAGE, section))
        (tmp_path / "tell.py").write_text(TELL)
        person.type("python tell.py")
    assert sorted(person.shown.splitlines()) == [
        *["5 is in room 7"] * 3,
        "user 5 was here until 1970-01-01 00:00:01+00:00",
    ]


def test_the_page_has_every_event() -> None:
    listed = re.findall(r"^\| `(\w+)` \|.*\| `", PAGE.read_text(), re.MULTILINE)
    assert [*listed] == [*PUSHER_EVENTS, *MORE_EVENTS]

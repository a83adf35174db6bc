"""The argument DATA of the ``trigger`` commands: JSON, or a text."""

from __future__ import annotations

from typing import Any

from soundpost.errors import JsonError
from soundpost.wire.json_text import read_json


def read_data(text: str) -> tuple[Any, list[str]]:
    """Return the value of a JSON text, else the text itself, and a list with a warning, or an empty list.

    A text that begins as JSON objects and arrays do, and is not JSON, is most likely a mistake in a shell's quotes.
    """
    try:
        return read_json(text), []
    except JsonError as error:
        if not text.lstrip().startswith(("{", "[")):
            return text, []
        meant = '{"text": "Hello"}'
        hint = f"Names and texts need double quotes, and the shell single quotes around the whole: '{meant}'"
        return text, [f"DATA is not JSON, so it was sent as a text: {error}. {hint}"]

"""Text of configuration files: blocks, comments, indentation, quotes."""

from __future__ import annotations

import json
from textwrap import indent


def block(head: str, *body: str) -> str:
    """Return ``head { … }`` as Nginx and Caddy write blocks; empty parts of the body are left out."""
    return f"{head} {{\n{inner(*body)}\n}}"


def inner(*body: str) -> str:
    """Return parts as lines, indented once. A part that is only a line break becomes an empty line."""
    return indent("\n".join(part.strip("\n") for part in body if part), "    ")


def comment(text: str, sign: str = "#") -> str:
    """Return every line of ``text`` as a comment."""
    return "\n".join(f"{sign} {line}".rstrip() for line in text.splitlines())


def quoted(value: str) -> str:
    """Return a text in double quotes, as YAML takes it."""
    return json.dumps(value, ensure_ascii=False)

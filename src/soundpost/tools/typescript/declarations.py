"""Global interface ``Events``, from which ``useEcho`` of @laravel/echo-react and @laravel/echo-vue takes payloads.

Source: https://github.com/laravel/echo/blob/2.x/packages/react/src/types.ts
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from typing import Any, get_type_hints

from soundpost.broadcasting.catalogue import DescribedEvent
from soundpost.tools.typescript.types import INDENT, UNKNOWN, Types, key


def declarations(events: Iterable[DescribedEvent], command: str = "soundpost types") -> str:
    """Return a ``.d.ts`` file, whose heading names the ``command`` that writes it."""
    types = Types()
    listened: dict[str, str] = {}
    notifications: list[str] = []
    notes: list[str] = []
    for event in events:
        if event.is_notification:
            notifications.append(_notification(types, event))
        elif event.name is None:
            notes.append(f"// {event.path} has no entry: its name depends on its fields.")
        else:
            name = listener_name(event.name)
            payload, note = _payload(types, event)
            if name in listened:  # a browser cannot tell two events of one name apart either
                listened[name] += f" | {payload}"
            else:
                listened[name] = f"{_comment(event, note)}{INDENT * 2}{key(name)}: {payload}"
    entries = "\n".join(f"{entry};" for entry in listened.values())
    head = (
        f"// Written by '{command}': the events of the application, for @laravel/echo-react and @laravel/echo-vue.\n"
        "// Not to be edited: write it anew when an event changes."
    )
    parts = [
        head,
        *types.declared.values(),
        *notifications,
        *notes,
        f"declare global {{\n{INDENT}interface Events {{\n{entries}\n{INDENT}}}\n}}",
        "export {};",
    ]
    return "\n\n".join(parts) + "\n"


def listener_name(name: str) -> str:
    """Return the name that ``listen`` and ``useEcho`` take for an event, with Echo's ``namespace: false``."""
    return f".{name}" if "." in name or "\\" in name else name


def _payload(types: Types, event: DescribedEvent) -> tuple[str, str]:
    """Return the type of an event's payload, and a note for its comment."""
    if event.fields is not None:
        return types.object(event.cls, event.fields, depth=2), ""
    try:
        returned = get_type_hints(event.cls.broadcast_with, include_extras=True).get("return", Any)
    except Exception:  # a name known to type checkers only
        returned = Any
    payload = types.of(returned)
    if payload == UNKNOWN:
        return payload, "Its broadcast_with has no return annotation that says more: a TypedDict, or a dataclass."
    return payload, ""


def _notification(types: Types, event: DescribedEvent) -> str:
    """Return the interface for ``useEchoNotification<InvoicePaid>``, which adds the id."""
    try:
        kind = json.dumps(event.cls.broadcast_type(object.__new__(event.cls)))
    except Exception:  # the method reads fields, which this object lacks
        kind = "string"
    lines = [f"{INDENT}type: {kind};"]
    lines += [f"{INDENT}{key(field)}: {types.of(annotation)};" for field, annotation in (event.fields or {}).items()]
    return "\n".join([f"{_comment(event, '', 0)}export interface {event.cls.__name__} {{", *lines, "}"])


def _comment(event: DescribedEvent, note: str, depth: int = 2) -> str:
    """Return the comment that an editor shows: the docstring's first line, and the channels."""
    own = event.cls.__dict__.get("__doc__") or ""
    first = "" if own.startswith(f"{event.cls.__name__}(") else inspect.cleandoc(own).partition("\n")[0]
    where = f"On {', '.join(event.channels)}." if event.channels else ""
    text = " ".join(part for part in (first, where, note) if part).replace("*/", "* /")
    return f"{INDENT * depth}/** {text} */\n" if text else ""

"""What an auth request says: ``socket_id`` and ``channel_name``, as a form of either kind, as JSON, or in the query."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl

from soundpost.broadcasting.authorization.refusals import Mistake
from soundpost.errors import JsonError
from soundpost.wire.json_text import read_json

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
MAX_BODY: Final = 10_000
"""Bytes of a request; real ones have some two hundred."""
_LONGEST_NUMBER: Final = 18
TOO_MUCH: Final = bytes(MAX_BODY + 1)
"""Stands for a body that is longer, and was not read."""
_BOUNDARY: Final = re.compile(r'boundary="?([^";,]{1,70})"?', re.IGNORECASE)
_NAME: Final = re.compile(rb'^content-disposition:\s*form-data;.*?\bname="?([^";\r\n]*)', re.IGNORECASE | re.MULTILINE)


def announces_too_much(content_length: str | None) -> bool:
    """Return whether a ``Content-Length`` header says that the body need not be read at all."""
    if content_length is None or not content_length.isdecimal():
        return False
    return len(content_length) > _LONGEST_NUMBER or int(content_length) > MAX_BODY


def values_of(headers: Mapping[str, str], query: str, body: bytes) -> dict[str, str]:
    """Return the values that a request has; those of the body win. Raises Mistake."""
    if len(body) > MAX_BODY:
        raise Mistake(f"the request has more than {MAX_BODY} bytes", 413)
    values = dict(parse_qsl(query))
    kind = content_type(headers)
    if kind == "application/json" or kind.endswith("+json"):
        values.update(_json(body))
    elif kind == MULTIPART:
        values.update(_parts(headers["content-type"], body))
    else:
        values.update(parse_qsl(body.decode(errors="replace")))
    return values


def content_type(headers: Mapping[str, str]) -> str:
    """The content type without its parameters, in lower case; empty if there is none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def hint(headers: Mapping[str, str], body: bytes) -> str:
    """Return what to say where values are missing: whether the body was of a kind that is not read."""
    kind = content_type(headers)
    if not body or kind in ("", FORM, MULTIPART, "application/json") or kind.endswith("+json"):
        return ""
    return f"; the body has the content type {kind!r:.100}: {FORM}, {MULTIPART} and application/json are read"


def _json(body: bytes) -> dict[str, str]:
    try:
        sent = read_json(body or b"{}")
    except JsonError as error:
        raise Mistake(f"the body is no JSON: {error}", 422) from None
    if not isinstance(sent, dict):
        raise Mistake("the body is no JSON object", 422)
    return {name: value for name, value in sent.items() if isinstance(value, str)}


def _parts(content_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    """The fields of a FormData (RFC 7578), without its files."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise Mistake(f"the body is {MULTIPART} without a boundary: leave the Content-Type to the browser", 422)
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())[1:]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if name is not None and b"filename" not in head.lower():
            yield name[1].decode(errors="replace"), value.decode(errors="replace")

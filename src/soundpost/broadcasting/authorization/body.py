"""Bodies of auth requests: ``socket_id`` and ``channel_name`` in a form, in JSON, or in the query string."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

from soundpost.broadcasting.authorization.refusals import Misconfigured
from soundpost.errors import JsonError
from soundpost.wire.json_text import read_json

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
MAX_BODY: Final = 10_000
"""Bytes that a body may have; real ones have some two hundred."""
OVERLONG_BODY: Final = bytes(MAX_BODY + 1)
"""A stand-in for a longer body, which was not read."""
_MAX_DIGITS: Final = 18
"""Digits of a ``Content-Length`` that are read."""
_BOUNDARY: Final = re.compile(r'boundary="?([^";,]{1,70})"?', re.IGNORECASE)
_NAME: Final = re.compile(rb'^content-disposition:\s*form-data;.*?\bname="?([^";\r\n]*)', re.IGNORECASE | re.MULTILINE)


def announces_overlong_body(content_length: str | None, limit: int = MAX_BODY) -> bool:
    """Return whether a ``Content-Length`` header is above ``limit`` bytes, so that the body need not be read."""
    if content_length is None or not content_length.isdecimal():
        return False
    return len(content_length) > _MAX_DIGITS or int(content_length) > limit


async def read_limited(chunks: AsyncIterable[bytes], limit: int = MAX_BODY) -> bytes:
    """Return a body in one piece; one above ``limit`` bytes is read no further than the chunk that exceeds them."""
    body = b""
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            break
    return body


def encoded_again(fields: Iterable[tuple[str, str]], headers: dict[str, str]) -> bytes:
    """Return a form's fields as a body, and set its content type: for a body that the application has read already."""
    headers["content-type"] = FORM
    return urlencode(list(fields)).encode()


def request_values(headers: Mapping[str, str], query: str, body: bytes) -> dict[str, str]:
    """Return the values of a request by name; values in the body win over those in the query string.

    Raises Misconfigured for a body that is too long, or is not valid JSON or multipart form.
    """
    if len(body) > MAX_BODY:
        raise Misconfigured(f"the request has more than {MAX_BODY} bytes", 413)
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
    """Return the content type without its parameters, in lower case; empty without that header."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def unread_body_hint(headers: Mapping[str, str], body: bytes) -> str:
    """Return a hint for errors about missing values: the body's content type, if bodies of that type are not read."""
    kind = content_type(headers)
    if not body or kind in ("", FORM, MULTIPART, "application/json") or kind.endswith("+json"):
        return ""
    return f"; the body has the content type {kind!r:.100}: {FORM}, {MULTIPART} and application/json are read"


def _json(body: bytes) -> dict[str, str]:
    try:
        sent = read_json(body or b"{}")
    except JsonError as error:
        raise Misconfigured(f"the body is not JSON: {error}", 422) from None
    if not isinstance(sent, dict):
        raise Misconfigured("the body is not a JSON object", 422)
    return {name: value for name, value in sent.items() if isinstance(value, str)}


def _parts(content_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    """Yield names and values in a FormData (RFC 7578), without its files."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise Misconfigured(f"the body is {MULTIPART} without a boundary: leave the Content-Type to the browser", 422)
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())[1:]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if name is not None and b"filename" not in head.lower():
            yield name[1].decode(errors="replace"), value.decode(errors="replace")

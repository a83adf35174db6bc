"""Names and values of HTTP header fields (RFC 9110, 5)."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+", re.ASCII)
_VALUE: Final = re.compile(r"[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?|", re.ASCII)

OF_THE_CONNECTION: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Names, in lower case, of fields that the sender of a request sets by itself."""


def field_fault(name: str, value: str) -> str | None:
    """Return what is wrong with a header field, without its value; None for a valid one."""
    if not _NAME.fullmatch(name):
        return f"{name!r} is not the name of a header: letters, digits and - are"
    if not _VALUE.fullmatch(value):
        return f"the value of {name!r} cannot stand in a header: write ASCII without line breaks and outer blanks"
    return None

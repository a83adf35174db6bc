"""The library and the page that a connection comes from, in objects that connections share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

_MAX_NAME_LENGTH: Final = 64
_MAX_ORIGIN_LENGTH: Final = 200


class ClientInfo(NamedTuple):
    """Library and page that a client named at the handshake."""

    library: str
    """Library and version, such as ``js 8.4.0``; empty if the client named none."""
    origin: str
    """``Origin`` header; empty if there was none."""


UNKNOWN: Final = ClientInfo("", "")


def client_info(parameters: Mapping[str, str], origin: str | None) -> ClientInfo:
    """Return the library that a handshake's query names, and its ``Origin`` header. Long texts are cut off."""
    client, version = (parameters.get(name, "")[:_MAX_NAME_LENGTH] for name in ("client", "version"))
    return _shared(f"{client} {version}".strip(), "" if origin is None else origin[:_MAX_ORIGIN_LENGTH])


@lru_cache(maxsize=4_096)
def _shared(library: str, origin: str) -> ClientInfo:
    return ClientInfo(library, origin)

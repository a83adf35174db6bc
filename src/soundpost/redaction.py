"""Redaction: values in messages, logs and representations, without the secrets in them.

Only the functions here decide which parts of a URL, setting or object are shown. A value that cannot be parsed is
hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

REDACTED: Final = "***"
_MAX_SHOWN: Final = 200
_NAME: Final = re.compile(
    r"secret|pass(word|phrase|wd|wort)?$|token|credential|(api|app|master|encryption|private)_?key", re.IGNORECASE
)
_USER_INFO: Final = r"(?:[-\w.~!$&'()*+,;=:%]*@)?"
_HOST: Final = r"(?:[-\w.~%]*|\[[0-9a-fA-F:.%\w]*\])(?::\d*)?"
_QUERY: Final = r"[-\w.~!$'()*+,;:/&=%\[\]]*"
_PLAIN_URL: Final = re.compile(
    rf"(?P<scheme>[A-Za-z][-+.A-Za-z0-9]*://)(?P<user>{_USER_INFO})(?P<hosts>{_HOST}(?:,{_HOST})*)"
    rf"(?P<path>(?:/[-\w.~!$&'()*+,;=:%/]*)?)(?P<query>(?:\?{_QUERY})?)(?P<fragment>(?:\#[-\w.~%]*)?)",
)
_LOGIN: Final = re.compile(r":.*@", re.DOTALL)
"""A URL without its scheme: ``user:password@host``."""
_URL_IN_TEXT: Final = re.compile(r"[A-Za-z][-+.A-Za-z0-9]*://\S*")


def is_secret_name(name: str) -> bool:
    """Return whether a setting, parameter or key of this name holds a secret."""
    return _NAME.search(name) is not None


def redacted_url(text: str) -> str:
    """Return a URL without user, password and secret parameters, or a text without those of its URLs.

    A URL with unescaped special characters is reduced to its scheme: nobody can tell where its password ends.
    """
    url = _PLAIN_URL.fullmatch(text)
    if url is not None:
        user = f"{REDACTED}@" if url["user"] else ""
        before, name = _up_to_secret(url["query"])
        rest = f"{name}={REDACTED}" if name else url["fragment"]
        return f"{url['scheme']}{user}{url['hosts']}{url['path']}{before}{rest}"
    if "://" not in text:
        return REDACTED if _LOGIN.search(text) else text
    start = _URL_IN_TEXT.search(text)
    before = text[: start.start()] if start is not None else ""
    scheme = start[0].partition("://")[0] if start is not None else ""
    return f"{before}{scheme}://{REDACTED}"


def _up_to_secret(query: str) -> tuple[str, str]:
    """Return the query before its first secret parameter, and that parameter's name: the rest may be secret too."""
    start = 0
    for part in query.removeprefix("?").split("&"):
        name = part.partition("=")[0]
        start += 1
        if is_secret_name(name):
            return query[:start], name
        start += len(part)
    return query, ""


def redacted(value: object) -> str:
    """Return the representation of a user's value for a message: at most 200 characters, and without secrets."""
    if isinstance(value, str):
        text = repr(redacted_url(value))
    elif isinstance(value, Mapping):
        pairs = (f"{each!r}: {REDACTED if is_secret_name(str(each)) else redacted(of)}" for each, of in value.items())
        text = f"{{{', '.join(pairs)}}}"
    elif isinstance(value, list | tuple | set | frozenset):
        text = f"[{', '.join(map(redacted, value))}]"
    else:
        text = repr(value)
        text = redacted_url(text)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def redacted_fields(record: Any, *secrets: str) -> str:
    """Return the representation of a struct or named tuple, with ``***`` for the fields named in ``secrets``.

    URLs in its other fields are shown without their secrets.
    """
    names: Iterable[str] = getattr(record, "_fields", ()) or record.__struct_fields__
    shown = []
    for name in names:
        value = getattr(record, name)
        is_hidden = name in secrets and value not in (None, "")
        shown.append(f"{name}={REDACTED if is_hidden else redacted(value) if isinstance(value, str) else repr(value)}")
    return f"{type(record).__name__}({', '.join(shown)})"

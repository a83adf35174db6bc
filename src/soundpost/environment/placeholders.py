"""Placeholder credentials: values that documentation and templates show, and that must be replaced by secret ones."""

from __future__ import annotations

import re
from typing import Final

_EXAMPLES: Final = frozenset(
    (
        "appkey",
        "appsecret",
        "changeit",
        "changeme",
        "changethis",
        "dummy",
        "example",
        "examplekey",
        "examplesecret",
        "key",
        "mykey",
        "mysecret",
        "password",
        "placeholder",
        "pusherkey",
        "pushersecret",
        "replaceme",
        "reverbkey",
        "reverbsecret",
        "secret",
        "secretkey",
        "soketikey",
        "soketisecret",
        "soundpostkey",
        "soundpostsecret",
        "supersecret",
        "test",
        "testsecret",
        "todo",
        "topsecret",
        "xxx",
    )
)
_BEGINNINGS: Final = ("your", "changeme", "changethis", "replaceme", "replacewith", "insert")
_ENDINGS: Final = ("goes", "here", "please", "value")
_BETWEEN_WORDS: Final = re.compile(r"[^a-z0-9]+")
_LAST_DIGITS: Final = re.compile(r"[0-9]+$")
_BRACKETS: Final = re.compile(r"<.*>|\[.*\]|\{.*\}|…|\.\.\.", re.DOTALL)


def is_placeholder(value: str) -> bool:
    """Return whether a key or secret is a well-known example (``your-app-secret``, ``changeme``, ``<secret>``).

    Case, digits at the end, and characters between words do not matter. An empty value is missing, not a placeholder.
    """
    text = value.strip().lower()
    if _BRACKETS.fullmatch(text):
        return True
    words = [word for word in _BETWEEN_WORDS.split(_LAST_DIGITS.sub("", text)) if word]
    while words and words[-1] in _ENDINGS:
        words.pop()
    joined = "".join(words)
    if not joined:
        return False
    if joined in _EXAMPLES or set(joined) == {"x"}:
        return True
    if len(words) > 1 and (words[0] in _BEGINNINGS or "".join(words[:2]) in _BEGINNINGS):
        return True
    return joined.startswith("your") and joined.removeprefix("your").removeprefix("app") in ("key", "secret")


def is_secret_placeholder(value: str) -> bool:
    """Return whether a value is what ``soundpost deploy`` prints in place of an app's secret."""
    return value.strip().startswith(("<secret-of-app-", "<secret of this app"))

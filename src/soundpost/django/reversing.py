"""URLs of the views, below whatever namespaces a project's URLconf includes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.urls import NoReverseMatch, get_resolver, get_urlconf, reverse


def url_of(view: str) -> str:
    """Return the URL of ``auth``, ``user-auth`` or ``webhooks``. Raises NoReverseMatch if no URLconf has the view."""
    for name in _names_below(get_resolver(get_urlconf()), f"soundpost:{view}"):
        try:
            found: str = reverse(name)
        except NoReverseMatch:
            continue
        return found
    raise NoReverseMatch(f"no URLconf has soundpost:{view}")


def _names_below(resolver: Any, name: str) -> Iterator[str]:
    """Yield the names by which a view may be found: its own, and those with the namespaces before it."""
    yield name
    for namespace, (_, below) in resolver.namespace_dict.items():
        yield from (f"{namespace}:{each}" for each in _names_below(below, name))

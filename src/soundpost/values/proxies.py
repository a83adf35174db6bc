"""Objects behind proxies: Django's ``request.user``, Flask-Login's ``current_user``, lazy translations.

Proxies are recognised by their classes, without importing the libraries they come from.
"""

from __future__ import annotations

from collections import UserString
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

_NESTED: Final = 10
"""Steps from a proxy to the proxy behind it that are followed."""


def unproxied(value: Any) -> Any:
    """Return the object behind a proxy, or the text of a lazy text; any other value as it is.

    Finding the object may run a query, or raise an error outside of a request.
    """
    for _ in range(_NESTED):
        kind: Any = type(value)
        open_proxy = _opener_of(kind)
        if open_proxy is None:
            break
        value = open_proxy(value)
    return value


@lru_cache(maxsize=1_000)
def _opener_of(kind: Any) -> Callable[[Any], Any] | None:
    """Return the function that finds the object behind a proxy of a class; None for a class of no proxies."""
    if hasattr(kind, "_get_current_object"):  # werkzeug's LocalProxy
        return lambda value: value._get_current_object()
    if hasattr(kind, "_proxy____cast"):  # Django's lazy translations, and whatever else its lazy() makes
        return lambda value: value._proxy____cast()
    if any((each.__module__, each.__name__) == ("django.utils.functional", "LazyObject") for each in kind.__mro__):
        return _wrapped
    if issubclass(kind, UserString) or "LazyString" in kind.__name__:  # of Flask-Babel and speaklater
        return str
    if kind.__name__ == "LazyProxy" and hasattr(kind, "value"):  # of Babel
        return lambda value: value.value
    if hasattr(kind, "__wrapped__") and any("__class__" in vars(each) for each in kind.__mro__[:-1]):
        return lambda value: value.__wrapped__  # of wrapt and lazy-object-proxy
    return None


def _wrapped(value: Any) -> Any:
    if type(value._wrapped) is object:  # nothing was asked of it yet
        value._setup()
    return value._wrapped

"""The template tag ``{% load soundpost %}{% soundpost %}``: options of laravel-echo and the page's CSRF token."""

from __future__ import annotations

from typing import Any

from django import template
from django.middleware.csrf import get_token
from django.templatetags.static import static
from django.urls import NoReverseMatch
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from soundpost.broadcasting import broadcast
from soundpost.broadcasting.browser import LIBRARIES, Positions, echo_options, echo_script
from soundpost.django.reversing import url_of
from soundpost.django.settings import own_settings
from soundpost.django.static_files import STATIC_PREFIX

register = template.Library()


@register.simple_tag(takes_context=True)  # type: ignore[untyped-decorator]
def soundpost(context: Any, nonce: str | None = "", libraries: bool = False, positions: Positions | None = None) -> Any:
    """Return HTML with ``window.Soundpost.options`` for ``new Echo(…)``, and a script that sends ``X-Socket-ID``.

    ``nonce`` is the nonce of the page's Content-Security-Policy: ``{% soundpost nonce=request.csp_nonce %}``. With
    ``libraries``, ``{% soundpost libraries=True %}``, the page loads pusher-js, laravel-echo and soundpost-resume too,
    which are static files of the app, and ``Soundpost.connect()`` returns an Echo. ``positions`` are those of the data
    that the page shows, by channel: ``{% soundpost positions=positions %}``.
    """
    request = getattr(context, "request", None) or context.get("request")
    token = None if request is None else get_token(request)
    options = echo_options(
        broadcast.settings,
        request_host=None if request is None else request.get_host(),
        auth_endpoint=auth_url("auth"),
        user_auth_endpoint=auth_url("user-auth"),
        csrf_token=token,
        scope=getattr(request, "scope", None),
    )
    meta = "" if token is None else format_html('<meta name="csrf-token" content="{}">\n', token)
    text = "" if nonce is None else str(nonce)
    urls = [static(f"{STATIC_PREFIX}/{each.file}") for each in LIBRARIES] if libraries else []
    return mark_safe(meta + echo_script(options, nonce=text, libraries=urls, positions=positions))


def auth_url(name: str) -> str:
    """Return the URL of ``auth`` or ``user-auth``: from ``SOUNDPOST["AUTH_PATH"]``, the URLconf, or Echo's default."""
    path = own_settings().auth_path
    if path is not None:
        return f"{path.rstrip('/')}/{name}"
    try:
        return url_of(name)
    except NoReverseMatch:
        return f"/broadcasting/{name}"

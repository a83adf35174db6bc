"""The auth views ``/broadcasting/auth`` and ``/broadcasting/user-auth``.

The views are exempt from the CSRF token, which Echo sends in a header that Django does not read, and check the origin
instead. The views in the URLconf are synchronous, under ASGI too: coroutines fail with ``ATOMIC_REQUESTS``. Coroutine
functions among the channel routes run in the server's event loop all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.http import HttpResponse, HttpResponseNotAllowed
from django.http.request import RawPostDataException

from soundpost.broadcasting.authorization import HEADERS, AuthRequest, AuthResponse
from soundpost.broadcasting.authorization.body import MAX_BODY, OVERLONG_BODY, announces_overlong_body, encoded_again
from soundpost.django.endpoint import endpoint
from soundpost.django.guards import asession_user, session_user

_METHODS = ["GET", "POST"]


def _auth(request: Any) -> Any:
    if request.method not in _METHODS:
        return HttpResponseNotAllowed(_METHODS)
    return _response(endpoint.channel(_auth_request(request, session_user)))


def _user_auth(request: Any) -> Any:
    if request.method not in _METHODS:
        return HttpResponseNotAllowed(_METHODS)
    return _response(endpoint.user(_auth_request(request, session_user)))


async def _aauth(request: Any) -> Any:
    if request.method not in _METHODS:
        return HttpResponseNotAllowed(_METHODS)
    return _response(await endpoint.achannel(_auth_request(request, asession_user)))


async def _auser_auth(request: Any) -> Any:
    if request.method not in _METHODS:
        return HttpResponseNotAllowed(_METHODS)
    return _response(await endpoint.auser(_auth_request(request, asession_user)))


def _auth_request(request: Any, find_user: Callable[[Any, str | None], Any]) -> AuthRequest:
    headers = {name.lower(): value for name, value in request.headers.items()}
    body = _body(request, headers.get("content-length"))
    if not body and request.POST:  # the application has read the body already
        body = encoded_again(request.POST.dict().items(), headers)
    return AuthRequest(
        headers=headers,
        query=request.META.get("QUERY_STRING", ""),
        body=body,
        host=request.get_host(),
        user=partial(find_user, request),
        request=request,
        debug=settings.DEBUG,
    )


def _body(request: Any, content_length: str | None) -> bytes:
    """Return the body as it was sent, read no further than ``MAX_BODY`` bytes and one more."""
    if announces_overlong_body(content_length):
        return OVERLONG_BODY
    try:
        whole: bytes = request.body if content_length else request.read(MAX_BODY + 1)
    except RawPostDataException:
        return b""
    return whole


def _response(answer: AuthResponse) -> Any:
    return HttpResponse(answer.body, status=answer.status, headers=HEADERS)


def exempt(view: Any) -> Any:
    """Exempt a view from the CSRF token and from LoginRequiredMiddleware, so that guests get a 403 in JSON."""
    view.csrf_exempt = True  # the decorator of Django 4.2 would make a coroutine function into none
    view.login_required = False
    return view


auth = exempt(_auth)
"""The view that authorizes subscriptions."""
user_auth = exempt(_user_auth)
"""The view that authorizes sign-ins."""
aauth = exempt(_aauth)
"""The view that authorizes subscriptions, as a coroutine: channel routes that are coroutines need no thread."""
auser_auth = exempt(_auser_auth)
"""The view that authorizes sign-ins, as a coroutine."""

"""``/broadcasting/auth`` and ``/broadcasting/user-auth``.

Exempt from the CSRF token, which Echo sends under a name that Django does not read: the core looks at the origin.
The usual views are functions, under ASGI too: coroutines fail with ``ATOMIC_REQUESTS``. Coroutine functions among the
channel routes are run in the server's event loop all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse, HttpResponseNotAllowed
from django.http.request import RawPostDataException

from soundpost.broadcasting.authorization import HEADERS, Answer, AuthRequest
from soundpost.broadcasting.authorization.body import FORM, MAX_BODY, TOO_MUCH, announces_too_much
from soundpost.django.endpoint import endpoint
from soundpost.django.guards import asession_user, session_user

_METHODS = ["GET", "POST"]


def _auth(request: Any) -> Any:
    if request.method not in _METHODS:
        return HttpResponseNotAllowed(_METHODS)
    return _response(endpoint.channel(_parts(request, session_user)))


def _user_auth(request: Any) -> Any:
    if request.method not in _METHODS:
        return HttpResponseNotAllowed(_METHODS)
    return _response(endpoint.user(_parts(request, session_user)))


async def _aauth(request: Any) -> Any:
    if request.method not in _METHODS:
        return HttpResponseNotAllowed(_METHODS)
    return _response(await endpoint.achannel(_parts(request, asession_user)))


async def _auser_auth(request: Any) -> Any:
    if request.method not in _METHODS:
        return HttpResponseNotAllowed(_METHODS)
    return _response(await endpoint.auser(_parts(request, asession_user)))


def _parts(request: Any, find_user: Callable[[Any, str | None], Any]) -> AuthRequest:
    headers = {name.lower(): value for name, value in request.headers.items()}
    body = _body(request, headers.get("content-length"))
    if not body and request.POST:  # something of the application has read it: it is written anew
        headers["content-type"] = FORM
        body = urlencode(request.POST.dict()).encode()
    return AuthRequest(
        headers=headers,
        query=request.META.get("QUERY_STRING", ""),
        body=body,
        host=request.get_host(),
        user=partial(find_user, request),
        request=request,
    )


def _body(request: Any, content_length: str | None) -> bytes:
    """As it was sent, no more than is looked at."""
    if announces_too_much(content_length):
        return TOO_MUCH
    try:
        whole: bytes = request.body if content_length else request.read(MAX_BODY + 1)
    except RawPostDataException:
        return b""
    return whole


def _response(answer: Answer) -> Any:
    return HttpResponse(answer.body, status=answer.status, headers=HEADERS)


def _open(view: Any) -> Any:
    """Without CSRF token, and without the redirection of LoginRequiredMiddleware: guests get a 403 in JSON."""
    view.csrf_exempt = True  # the decorator of Django 4.2 would make a coroutine function into none
    view.login_required = False
    return view


auth = _open(_auth)
"""Authorizes a subscription."""
user_auth = _open(_user_auth)
"""Authorizes a sign-in."""
aauth = _open(_aauth)
"""The same as a coroutine: no thread is used where channel routes are coroutine functions."""
auser_auth = _open(_auser_auth)
"""The same as a coroutine."""

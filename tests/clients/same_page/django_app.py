from __future__ import annotations

import sys
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpResponse, HttpResponseRedirect
from django.template import engines
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from clients.same_page import same
from soundpost import broadcast, channels

sys.modules["django_app"] = sys.modules[__name__]  # by which Django knows what it runs as a script
settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.sessions", "soundpost.django"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django_app.SessionUserMiddleware",
        "soundpost.django.SocketIdMiddleware",
    ],
    ROOT_URLCONF="django_app",
    SECRET_KEY="same",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
)


class SessionUser(str):
    """Who is logged in, without a database."""

    is_authenticated = True
    pk = property(str)


class SessionUserMiddleware:
    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        name = request.session.get("name")
        request.user = SessionUser(name) if name else None
        return self.get_response(request)


@channels.private("rooms.{room:int}")
def hear(user: SessionUser, room: int) -> bool:
    return same.may_hear(user, room)


@channels.presence("people")
def people(user: SessionUser) -> dict[str, str]:
    return same.member(user)


def login(request: Any, name: str) -> HttpResponse:
    request.session["name"] = name
    return HttpResponseRedirect("/")


def index(request: Any) -> HttpResponse:
    tag = engines["django"].from_string("{% load soundpost %}{% soundpost %}").render({}, request)
    return HttpResponse(same.page(tag))


def static(request: Any, name: str) -> FileResponse:
    return FileResponse(same.SCRIPTS[name].open("rb"), content_type="text/javascript")


@csrf_exempt  # type: ignore[untyped-decorator]
def say(request: Any) -> HttpResponse:
    broadcast(same.Said(str(request.user), request.POST["text"]), to_others=True)
    return HttpResponse()


urlpatterns = [
    path("login/<name>", login),
    path("", index),
    path("static/<name>", static),
    path("say", say),
    path("broadcasting/", include("soundpost.django.urls")),
]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


if __name__ == "__main__":
    django.setup()
    make_server("127.0.0.1", same.PORT, get_wsgi_application(), Server).serve_forever()

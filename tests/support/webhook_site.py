"""Sites of Django and of Flask: soundpost's own view, and views that take no webhooks, each for another reason.

Run as a program, the module says its port.

Paths of Flask begin with ``/flask``; all others are Django's.
"""

from __future__ import annotations

import hmac
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

SECRET: Final = "app-secret"


@contextmanager
def running_site() -> Iterator[int]:
    """Run the sites in a process of their own; their port."""
    command = [sys.executable, str(Path(__file__))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _django() -> Any:
    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse
    from django.urls import include, path
    from django.views.decorators.csrf import csrf_exempt
    from django.views.decorators.http import require_GET

    def verified(request: HttpRequest) -> HttpResponse:
        expected = hmac.digest(SECRET.encode(), request.body, "sha256").hex()
        if expected != request.headers.get("X-Pusher-Signature"):
            return HttpResponse("wrong signature", status=401)
        return HttpResponse(status=204)

    def trusting(request: HttpRequest) -> HttpResponse:
        return HttpResponse("ok")

    def protected(request: HttpRequest) -> HttpResponse:
        return HttpResponse("ok")

    def failing(request: HttpRequest) -> HttpResponse:
        raise ValueError("no such table")

    views = {
        "verified": csrf_exempt(verified),
        "trusting": csrf_exempt(trusting),
        "protected": protected,
        "failing": csrf_exempt(failing),
        "slash/": csrf_exempt(trusting),
        "get": csrf_exempt(require_GET(trusting)),
    }
    middleware = [f"django.middleware.{name}Middleware" for name in ("common.Common", "csrf.CsrfView")]
    settings.configure(
        SECRET_KEY="x",
        ALLOWED_HOSTS=["localhost"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=middleware,
        LOGGING_CONFIG=None,
        INSTALLED_APPS=["soundpost.django"],
        SOUNDPOST={"app_id": "1", "key": "app-key", "secret": SECRET},
    )
    django.setup()
    own = path("broadcasting/", include("soundpost.django.urls"))
    globals()["urlpatterns"] = [own, *(path(name, view) for name, view in views.items())]
    return get_wsgi_application()


def _flask() -> Any:
    from flask import Flask
    from flask_wtf.csrf import CSRFProtect

    app = Flask(__name__)
    app.config.update(SECRET_KEY="x")
    CSRFProtect(app)
    app.add_url_rule("/flask", "hook", lambda: "ok", methods=["POST"])
    return app


class _Silent(WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    of_django, of_flask = _django(), _flask()

    def site(environ: Any, start_response: Any) -> Any:
        """Answer by the framework that the path is for."""
        is_flask = environ["PATH_INFO"].startswith("/flask")
        return (of_flask if is_flask else of_django)(environ, start_response)

    server = make_server("127.0.0.1", 0, site, handler_class=_Silent)
    print(server.server_port, flush=True)
    server.serve_forever()

"""Questions of tests to FastAPI's channel routes, whose user is a dependency."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, Request
from starlette.routing import NoMatchFound

from soundpost.fastapi.endpoint import DependencyEndpoint
from soundpost.starlette.integration import AUTH


@contextmanager
def acting_as(user: Any, endpoint: DependencyEndpoint) -> Iterator[Request]:
    """Give the endpoint's routes a user while the block runs, by an override of the dependencies that find users.

    The result is a request without headers, whose application is the one with the endpoint: overrides that the test has
    made for other dependencies apply.
    """
    application = _application_of(endpoint)
    overrides = application.dependency_overrides
    before = dict(overrides)
    for find in (endpoint.dispatcher.user, *endpoint.routes.guards.values()):
        overrides[find] = lambda: user
    try:
        yield Request(
            {
                "type": "http",
                "method": "POST",
                "path": "/",
                "query_string": b"",
                "headers": [],
                "app": application,
            }
        )
    finally:
        overrides.clear()
        overrides.update(before)


def _application_of(endpoint: DependencyEndpoint) -> FastAPI:
    """Return the application that has the endpoint; a new one if that is not known, nor the only one with endpoints."""
    found = list(endpoint.dispatcher.applications) or [
        each for each in gc.get_objects() if isinstance(each, FastAPI) and _has_auth_route(each)
    ]
    return found[0] if len(found) == 1 else FastAPI()


def _has_auth_route(application: FastAPI) -> bool:
    try:
        application.url_path_for(AUTH)
    except NoMatchFound:
        return False
    return True

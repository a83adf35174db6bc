"""Fixtures of the client tests: the application's back end, and clients that end with their test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from support.browser import Browser
from support.clients_js import EchoJs, PusherJs, pusher_options
from support.harness import DEFAULT_APP, RunningServer
from support.publishers import NodeSdk, Publisher, PythonSdk, PythonSigner, node_publisher_process
from support.web_app import WebApp, running_web_app


class PusherJsFactory(Protocol):
    """Starts pusher-js clients."""

    def __call__(
        self, user: str | None = "ann", *, server: RunningServer | None = None, key: str = DEFAULT_APP.key, **more: Any
    ) -> PusherJs:
        """A client of a user (None: not logged in); ``more`` are options of pusher-js."""


class EchoJsFactory(Protocol):
    """Starts Laravel Echo clients."""

    def __call__(self, user: str | None = "ann", *, server: RunningServer | None = None, **more: Any) -> EchoJs:
        """A client of a user (None: not logged in); ``more`` are options of Echo."""


@pytest.fixture(scope="session")
def web_app() -> Iterator[WebApp]:
    """The application's back end; signs with PyPI's SDK."""
    app = DEFAULT_APP
    signer = PythonSigner(app.id, app.key, app.secret)
    with running_web_app(signer, PythonSigner(app.id, app.key, "not-the-secret")) as running:
        yield running


@pytest.fixture
def until_end() -> Iterator[ExitStack]:
    """What is entered here is left when the test ends."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def pusher_js(server: RunningServer, web_app: WebApp, until_end: ExitStack) -> PusherJsFactory:
    default = server

    def start(
        user: str | None = "ann", *, server: RunningServer | None = None, key: str = DEFAULT_APP.key, **more: Any
    ) -> PusherJs:
        return until_end.enter_context(
            PusherJs(key, pusher_options((server or default).port, web_app.url, user, **more))
        )

    return start


@pytest.fixture
def echo_js(server: RunningServer, web_app: WebApp, until_end: ExitStack) -> EchoJsFactory:
    default = server

    def start(user: str | None = "ann", *, server: RunningServer | None = None, **more: Any) -> EchoJs:
        return until_end.enter_context(EchoJs((server or default).port, web_app.url, user, **more))

    return start


@pytest.fixture(scope="module")
def python_sdk(server: RunningServer) -> PythonSdk:
    """PyPI's SDK."""
    return PythonSdk(server.port, DEFAULT_APP.id, DEFAULT_APP.key, DEFAULT_APP.secret)


@pytest.fixture(scope="module")
def node_sdk(server: RunningServer) -> Iterator[NodeSdk]:
    """The SDK of npm."""
    with node_publisher_process(server.port, DEFAULT_APP.id, DEFAULT_APP.key, DEFAULT_APP.secret) as process:
        yield NodeSdk(process)


@pytest.fixture(params=["python_sdk", "node_sdk"])
def publisher(request: pytest.FixtureRequest) -> Publisher:
    """Each SDK in turn."""
    sdk: Publisher = request.getfixturevalue(request.param)
    return sdk


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium with a fresh profile."""
    with Browser() as running:
        yield running


@pytest.fixture(autouse=True)
def no_pages_of_other_tests(request: pytest.FixtureRequest) -> None:
    """Pages that a test left open would complain that their server is gone, in the next one's name."""
    if "browser" in request.fixturenames:
        request.getfixturevalue("browser").reset()

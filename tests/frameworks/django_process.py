"""Django in the process of the tests, set up once, with a state of broadcasting of its own while its tests run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
from django.core.management import call_command
from django.test.utils import setup_test_environment

from soundpost.broadcasting import broadcast
from soundpost.broadcasting.authorization import channels
from soundpost.webhooks import SeenInMemory
from soundpost.webhooks import default as webhooks

Snapshot = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


def _snapshot() -> Snapshot:
    return dict(vars(broadcast)), _copied(vars(channels)), _copied(vars(webhooks))


def _restore(snapshot: Snapshot) -> None:
    vars(broadcast).update(snapshot[0])
    vars(channels).update(_copied(snapshot[1]))
    vars(webhooks).update(_copied(snapshot[2]), seen=SeenInMemory())


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value.copy() if hasattr(value, "copy") else value for name, value in state.items()}


def _set_up() -> Snapshot:
    before = _snapshot()
    variable = "DJANGO_SETTINGS_MODULE"
    os.environ[variable] = "frameworks.django_site.settings"
    try:
        django.setup()
    finally:
        del os.environ[variable]  # processes that other tests start know nothing of it
    setup_test_environment()
    for alias in ("default", "archive"):
        call_command("migrate", run_syncdb=True, verbosity=0, database=alias)
    ours = _snapshot()
    _restore(before)
    return ours


_ours = _set_up()


@contextmanager
def django_state() -> Iterator[None]:
    """Give a ``with`` block Django's configuration of broadcasting, and Django's channel routes and handlers."""
    before = _snapshot()
    _restore(_ours)
    try:
        yield
    finally:
        _restore(before)

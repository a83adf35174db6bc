"""Import of ``channels.py`` and ``webhooks.py`` of each installed app at the start: channel routes, and handlers."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Final

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from soundpost.broadcasting.authorization import channels
from soundpost.django.settings import own_settings
from soundpost.errors import ConfigurationError
from soundpost.webhooks import default

log = logging.getLogger("soundpost.auth")
webhooks_log = logging.getLogger("soundpost.webhooks")

failures: Final[dict[str, Exception]] = {}
"""Errors of modules with channel routes that could not be imported, by module, for the system checks."""
webhook_failures: Final[dict[str, Exception]] = {}
"""Errors of modules with handlers of webhooks that could not be imported, by module, for the system checks."""


def autodiscover() -> None:
    """Import the modules. A module that fails has no routes or handlers, and the log has the traceback."""
    failures.clear()
    webhook_failures.clear()
    try:
        own = own_settings()
    except ConfigurationError:  # reported by E001
        return
    for app in apps.get_app_configs():
        if module_has_submodule(app.module, own.channels_module):
            _load(f"{app.name}.{own.channels_module}")
        if module_has_submodule(app.module, own.webhooks_module):
            _load_webhooks(f"{app.name}.{own.webhooks_module}")


def _load(module: str) -> None:
    try:
        with channels.all_or_none():
            import_module(module)
    except Exception as error:
        failures[module] = error
        log.exception("%s failed: all its channels are denied", module)


def _load_webhooks(module: str) -> None:
    try:
        with default.all_or_none():
            import_module(module)
    except Exception as error:
        webhook_failures[module] = error
        webhooks_log.exception("%s failed: its handlers are not called", module)

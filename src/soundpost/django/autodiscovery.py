"""Import of ``channels.py`` of each installed app at the start, so that the app's routes are known."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Final

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from soundpost.broadcasting.authorization import channels
from soundpost.django.settings import own_settings
from soundpost.errors import ConfigurationError

log = logging.getLogger("soundpost.auth")

failures: Final[dict[str, Exception]] = {}
"""Errors of modules that could not be imported, by module, for the system checks."""


def autodiscover() -> None:
    """Import the modules. A module that fails has no routes: its channels are denied, and the log has the traceback."""
    failures.clear()
    try:
        name = own_settings().channels_module
    except ConfigurationError:  # reported by E001
        return
    for app in apps.get_app_configs():
        if module_has_submodule(app.module, name):
            _load(f"{app.name}.{name}")


def _load(module: str) -> None:
    try:
        with channels.all_or_none():
            import_module(module)
    except Exception as error:
        failures[module] = error
        log.exception("%s failed: the channels it has routes for are denied", module)

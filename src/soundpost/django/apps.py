"""The app of Django, which prepares settings, transactions, channel routes and system checks at the start."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.apps import AppConfig
from django.core.signals import setting_changed

from soundpost.broadcasting import broadcast
from soundpost.django.autodiscovery import autodiscover
from soundpost.django.settings import broadcast_settings
from soundpost.django.static_files import add_static_files
from soundpost.django.test_runner import lacks_credentials
from soundpost.django.transactions import DjangoTransactions
from soundpost.errors import ConfigurationError

_SETTINGS = ("SOUNDPOST", "DEBUG", "CSRF_TRUSTED_ORIGINS")


class SoundpostConfig(AppConfig):
    """The configuration of the app ``soundpost.django``."""

    name = "soundpost.django"
    label = "soundpost"
    verbose_name = "Soundpost"

    def ready(self) -> None:
        """Prepare broadcasting. Wrong settings are reported by the system checks, and raise when first needed."""
        from soundpost.django import (  # noqa: F401 - registers them
            checks,
            deployment_checks,
            webhook_view,
        )

        broadcast.configure_from(broadcast_settings)
        broadcast.transactions = DjangoTransactions()
        with suppress(ConfigurationError):
            broadcast.prepare()
            if lacks_credentials(broadcast.settings):
                broadcast.configure_from(broadcast_settings)  # read again: a test runner may bring credentials
        add_static_files()
        setting_changed.connect(_reconfigure, dispatch_uid="soundpost.settings")
        autodiscover()


def _reconfigure(*, setting: str, **_: Any) -> None:
    """Configure the broadcaster again when a test changes settings (``override_settings``)."""
    if setting in _SETTINGS:
        broadcast.configure_from(broadcast_settings)

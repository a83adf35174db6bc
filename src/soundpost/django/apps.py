"""What happens when Django starts: settings, transactions, channel routes, system checks."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.apps import AppConfig
from django.core.signals import setting_changed

from soundpost.broadcasting import broadcast
from soundpost.django.autodiscovery import autodiscover
from soundpost.django.settings import broadcast_settings
from soundpost.django.transactions import DjangoTransactions
from soundpost.errors import ConfigurationError

_OURS = ("SOUNDPOST", "DEBUG", "CSRF_TRUSTED_ORIGINS")


class SoundpostConfig(AppConfig):
    """The app."""

    name = "soundpost.django"
    label = "soundpost"
    verbose_name = "Soundpost"

    def ready(self) -> None:
        """Prepare broadcasting. Wrong settings are told by the system checks, and where they are first needed."""
        from soundpost.django import checks  # noqa: F401 - registers them

        broadcast.configure_from(broadcast_settings)
        broadcast.transactions = DjangoTransactions()
        with suppress(ConfigurationError):
            broadcast.prepare()
        setting_changed.connect(_configure_anew, dispatch_uid="soundpost.settings")
        autodiscover()


def _configure_anew(*, setting: str, **_: Any) -> None:
    """A test has other settings (``override_settings``)."""
    if setting in _OURS:
        broadcast.configure_from(broadcast_settings)

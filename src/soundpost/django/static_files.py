"""The browser libraries as static files of the app: ``{% static 'soundpost/pusher.min.js' %}``."""

from __future__ import annotations

from typing import Final

from django.conf import settings

from soundpost.broadcasting.browser.libraries import FOLDER

STATIC_PREFIX: Final = "soundpost"
"""The folder of the files below ``STATIC_URL``."""


def add_static_files() -> None:
    """Add the folder of the libraries to ``STATICFILES_DIRS``.

    All doors share the folder, which is therefore not the folder ``static`` of this app, where Django would look.
    """
    entry = (STATIC_PREFIX, str(FOLDER))
    if entry not in settings.STATICFILES_DIRS:
        settings.STATICFILES_DIRS = [*settings.STATICFILES_DIRS, entry]

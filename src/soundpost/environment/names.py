"""Names of environment variables: those that applications read, and Laravel Reverb's names for the same settings.

The server's own variables are named after its options: see :mod:`soundpost.config.options`.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "SOUNDPOST_"

APPLICATION: Final = {
    "url": "SOUNDPOST_URL",
    "app_id": "SOUNDPOST_APP_ID",
    "key": "SOUNDPOST_APP_KEY",
    "secret": "SOUNDPOST_APP_SECRET",
    "host": "SOUNDPOST_HOST",
    "port": "SOUNDPOST_PORT",
    "scheme": "SOUNDPOST_SCHEME",
    "path": "SOUNDPOST_PATH",
    "encryption_master_key": "SOUNDPOST_ENCRYPTION_MASTER_KEY",
    "max_message_size": "SOUNDPOST_APP_MAX_MESSAGE_SIZE",
    "max_user_info_size": "SOUNDPOST_APP_MAX_USER_INFO_SIZE",
    "max_user_id_length": "SOUNDPOST_APP_MAX_USER_ID_LENGTH",
    "driver": "SOUNDPOST_BROADCAST_DRIVER",
    "site_url": "SOUNDPOST_SITE_URL",
    "deliver": "SOUNDPOST_DELIVER",
    "on_error": "SOUNDPOST_ON_ERROR",
    "trusted_origins": "SOUNDPOST_TRUSTED_ORIGINS",
}
"""The variables of an application, by its settings. Each may end in ``_FILE`` and name a file with the value."""

PUBLIC: Final = {
    "url": "SOUNDPOST_PUBLIC_URL",
    "host": "SOUNDPOST_PUBLIC_HOST",
    "port": "SOUNDPOST_PUBLIC_PORT",
    "scheme": "SOUNDPOST_PUBLIC_SCHEME",
    "path": "SOUNDPOST_PUBLIC_PATH",
}
"""The variables of an application for the address of its browsers, by the settings below ``public``.

``url`` has all parts in one; the others win over their part of it."""

FRAMEWORKS: Final = frozenset(
    f"{PREFIX}{name}"
    for name in (
        "AFTER_COMMIT",
        "CONNECTIONS",
        "CONNECT_TIMEOUT",
        "DEBUG",
        "DEFAULT",
        "DRIVER",
        "KEY",
        "MAX_BATCH_SIZE",
        "MAX_MESSAGE_SIZE",
        "MAX_USER_ID_LENGTH",
        "MAX_USER_INFO_SIZE",
        "NOTIFICATION_CHANNEL",
        "PUBLIC",
        "QUEUE",
        "SECRET",
        "TIMEOUT",
        "URL_PREFIX",
        "VERIFY",
    )
)
"""Settings that stand under these names in a framework's configuration, as in Flask's ``app.config``."""

BUILD: Final = frozenset({"SOUNDPOST_COMPILE", "SOUNDPOST_COMPILE_OPTIMIZATION"})
"""Variables of an installation from the source, which may stay set: nothing that runs reads them."""

REVERB: Final = {
    "REVERB_APP_ID": ("SOUNDPOST_APP_ID",),
    "REVERB_APP_KEY": ("SOUNDPOST_APP_KEY",),
    "REVERB_APP_SECRET": ("SOUNDPOST_APP_SECRET",),
    "REVERB_SERVER_HOST": ("SOUNDPOST_SERVER_HOST",),
    "REVERB_SERVER_PORT": ("SOUNDPOST_SERVER_PORT",),
    "REVERB_SERVER_PATH": ("SOUNDPOST_SERVER_PATH",),
    "REVERB_HOST": ("SOUNDPOST_SERVER_HOSTNAME", "SOUNDPOST_HOST"),
    "REVERB_PORT": ("SOUNDPOST_PORT",),
    "REVERB_SCHEME": ("SOUNDPOST_SCHEME",),
    "REVERB_MAX_REQUEST_SIZE": ("SOUNDPOST_SERVER_MAX_REQUEST_SIZE",),
    "REVERB_ALLOWED_ORIGINS": ("SOUNDPOST_APP_ALLOWED_ORIGINS",),
    "REVERB_APP_MAX_MESSAGE_SIZE": ("SOUNDPOST_APP_MAX_MESSAGE_SIZE",),
    "REVERB_APP_PING_INTERVAL": ("SOUNDPOST_APP_PING_INTERVAL",),
    "REVERB_APP_ACTIVITY_TIMEOUT": ("SOUNDPOST_APP_ACTIVITY_TIMEOUT",),
    "REVERB_APP_MAX_CONNECTIONS": ("SOUNDPOST_APP_MAX_CONNECTIONS",),
    "REVERB_APP_ACCEPT_CLIENT_EVENTS_FROM": ("SOUNDPOST_APP_ACCEPT_CLIENT_EVENTS_FROM",),
    "REVERB_APP_RATE_LIMITING_ENABLED": ("SOUNDPOST_APP_RATE_LIMITING_ENABLED",),
    "REVERB_APP_RATE_LIMIT_MAX_ATTEMPTS": ("SOUNDPOST_APP_RATE_LIMITING_MAX_ATTEMPTS",),
    "REVERB_APP_RATE_LIMIT_DECAY_SECONDS": ("SOUNDPOST_APP_RATE_LIMITING_DECAY_SECONDS",),
    "REVERB_APP_RATE_LIMIT_TERMINATE": ("SOUNDPOST_APP_RATE_LIMITING_TERMINATE_ON_LIMIT",),
}
"""Laravel Reverb's variables, each with the variables that win over it (``config/reverb.php`` of a Laravel project)."""


def names_of(variable: str) -> tuple[str, ...]:
    """Return a variable's name and then Reverb's name for the same setting, if Reverb has one."""
    return (variable, *(name for name, ours in REVERB.items() if variable in ours))

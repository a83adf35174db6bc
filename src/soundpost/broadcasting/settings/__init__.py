"""Settings of an application: the connections to publish through, and the address at which browsers connect.

Three addresses have three names. The server's own settings (``soundpost.toml``) say where it listens. ``host`` and
``port`` of a connection say where the application publishes to. ``public`` says where browsers connect.
"""

from soundpost.broadcasting.settings.classes import (
    DELIVERIES,
    DRIVERS,
    BroadcastSettings,
    ConnectionSettings,
    PublicSettings,
)
from soundpost.broadcasting.settings.from_environment import (
    NAMES_IN_VARIABLES,
    settings_from_environment,
    settings_over_environment,
)
from soundpost.broadcasting.settings.from_mapping import settings_from
from soundpost.environment.app_url import AppUrl, parse_app_url

__all__ = [
    "DELIVERIES",
    "DRIVERS",
    "NAMES_IN_VARIABLES",
    "AppUrl",
    "BroadcastSettings",
    "ConnectionSettings",
    "PublicSettings",
    "parse_app_url",
    "settings_from",
    "settings_from_environment",
    "settings_over_environment",
]

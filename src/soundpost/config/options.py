"""All options of the server, with their keys, types and environment variables, taken from the settings' structs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from soundpost.config.settings import (
    BackendAddress,
    DashboardSettings,
    MetricsSettings,
    PublicAddress,
    ScalingSettings,
    ServerSettings,
)
from soundpost.core.app_settings import AppSettings
from soundpost.environment import PREFIX

Keys = tuple[str, ...]
"""Section and name of an option: ``("server", "tls", "key")``, ``("app", "secret")``, ``("backend", "host")``."""

_SECRETS: Final = {
    ("app", "secret"),
    ("server", "tls", "passphrase"),
    ("scaling", "redis"),
    ("scaling", "sentinel_password"),
    ("dashboard", "password_hash"),
    ("metrics", "token"),
}
_WITHOUT_SECTION: Final = {
    ("server", "public_url"),
    ("server", "log_format"),
    ("server", "log_level"),
    ("server", "access_log"),
}
"""Options whose variables do not say ``SERVER``; that of ``public_url`` is an application's, too."""
_FROM_FILES: Final = {("app", "id"), ("app", "key"), *_SECRETS}


@dataclass(frozen=True, slots=True)
class Option:
    """An option: its ``keys``, and the ``type`` of its value as msgspec understands it."""

    keys: Keys
    type: Any

    @property
    def name(self) -> str:
        """The dotted name within the section: ``port``, ``tls.key``."""
        return ".".join(self.keys[1:])

    @property
    def variable(self) -> str:
        """The environment variable: ``SOUNDPOST_SERVER_PORT``; ``SOUNDPOST_PORT`` in the section ``backend``."""
        without_section = self.keys[0] == "backend" or self.keys in _WITHOUT_SECTION
        parts = self.keys[1:] if without_section else self.keys
        return PREFIX + "_".join(parts).upper()

    @property
    def is_secret(self) -> bool:
        """True for an option whose value must never be shown."""
        return self.keys in _SECRETS

    @property
    def may_come_from_file(self) -> bool:
        """True if ``<variable>_FILE`` may name a file with the value (Docker and Kubernetes secrets)."""
        return self.keys in _FROM_FILES


class Setting(NamedTuple):
    """The value of an option, and its location for messages (``environment: SOUNDPOST_SERVER_PORT``)."""

    value: Any
    location: str

    def __repr__(self) -> str:
        return f"Setting({self.location})"


Values = dict[Keys, Setting]
"""The settings of one source, such as the environment."""


def _options_of(struct: type[Struct], keys: Keys) -> Iterator[Option]:
    for field in msgspec.structs.fields(struct):
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from _options_of(field.type, (*keys, field.name))
        else:
            yield Option((*keys, field.name), field.type)


_SECTIONS: Final[dict[str, type[Struct]]] = {
    "server": ServerSettings,
    "scaling": ScalingSettings,
    "dashboard": DashboardSettings,
    "metrics": MetricsSettings,
    "app": AppSettings,
    "backend": BackendAddress,
    "public": PublicAddress,
}

OPTIONS: Final[dict[Keys, Option]] = {
    option.keys: option for section, struct in _SECTIONS.items() for option in _options_of(struct, (section,))
}
"""All options, by their keys."""


def section(name: str) -> dict[str, Option]:
    """Return the options of a section (``server``, ``app``, ``backend``, ``public`` …) by their dotted names."""
    return {option.name: option for option in OPTIONS.values() if option.keys[0] == name}

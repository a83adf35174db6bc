"""Every option there is, found in the structs that hold them: its keys, its type, its environment variable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from soundpost.config.settings import PublicAddress, ScalingSettings, ServerSettings
from soundpost.core.app_settings import AppSettings
from soundpost.environment import PREFIX

Keys = tuple[str, ...]
"""Where an option lives: ``("server", "tls", "key")``, ``("app", "secret")``, ``("public", "host")``."""

_SECRETS: Final = {
    ("app", "secret"),
    ("server", "tls", "passphrase"),
    ("scaling", "redis"),
    ("scaling", "sentinel_password"),
}
_FROM_FILES: Final = {("app", "id"), ("app", "key"), *_SECRETS}


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its ``keys`` and the type its value must have."""

    keys: Keys
    type: Any

    @property
    def name(self) -> str:
        """Its name within its section: ``port``, ``tls.key``."""
        return ".".join(self.keys[1:])

    @property
    def variable(self) -> str:
        """Its environment variable: ``SOUNDPOST_SERVER_PORT``; without a section for the public address."""
        parts = self.keys[1:] if self.keys[0] == "public" else self.keys
        return PREFIX + "_".join(parts).upper()

    @property
    def is_secret(self) -> bool:
        """Its value must never be shown."""
        return self.keys in _SECRETS

    @property
    def may_come_from_file(self) -> bool:
        """Whether ``<variable>_FILE`` may name a file that holds the value (Docker and Kubernetes secrets)."""
        return self.keys in _FROM_FILES


class Setting(NamedTuple):
    """A value that somebody gave an option, and where (``environment: SOUNDPOST_SERVER_PORT``)."""

    value: Any
    place: str

    def __repr__(self) -> str:
        return f"Setting({self.place})"


Values = dict[Keys, Setting]
"""What one source says."""


def _options_of(struct: type[Struct], keys: Keys) -> Iterator[Option]:
    for field in msgspec.structs.fields(struct):
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from _options_of(field.type, (*keys, field.name))
        else:
            yield Option((*keys, field.name), field.type)


_SECTIONS: Final[dict[str, type[Struct]]] = {
    "server": ServerSettings,
    "scaling": ScalingSettings,
    "app": AppSettings,
    "public": PublicAddress,
}

OPTIONS: Final[dict[Keys, Option]] = {
    option.keys: option for section, struct in _SECTIONS.items() for option in _options_of(struct, (section,))
}
"""All options by their keys."""


def section(name: str) -> dict[str, Option]:
    """The options of ``server``, ``scaling`` or ``app`` by their dotted names."""
    return {option.name: option for option in OPTIONS.values() if option.keys[0] == name}

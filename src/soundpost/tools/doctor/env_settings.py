"""The settings in a set of ``.env`` files, for the backend, the server and the browser, under all of their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from soundpost.defaults import DEFAULT_PORT
from soundpost.environment import NULL, PUBLIC, names_of
from soundpost.tools.doctor.dotenv import EnvFile, Value

FRONTENDS: Final = ("VITE_REVERB_", "VITE_SOUNDPOST_", "VITE_PUSHER_", "NEXT_PUBLIC_REVERB_", "MIX_PUSHER_")
"""Beginnings of a frontend's variables for Echo or pusher-js."""
BUILT_IN: Final = ("VITE_", "NEXT_PUBLIC_", "NUXT_PUBLIC_", "PUBLIC_", "REACT_APP_", "VUE_APP_", "MIX_", "EXPO_PUBLIC_")
"""Beginnings of the variables that bundlers build into pages, where everybody can read them."""


class EnvSettings(NamedTuple):
    """The settings of several ``.env`` files together; the first file that sets a variable counts."""

    files: tuple[EnvFile, ...]

    def named(self, *names: str) -> Value | None:
        """Return the first of these variables with a value; ``null`` is not a value."""
        for name in names:
            for file in self.files:
                value = file.values.get(name)
                if value is not None and _is_significant(value):
                    return value
        return None

    def present(self, *names: str) -> Value | None:
        """Return the first of these variables that a file has, even an empty one."""
        return next((file.values[name] for name in names for file in self.files if name in file.values), None)

    def all_named(self, *names: str) -> list[Value]:
        """Return these variables of all files, without those that are empty or ``null``."""
        found = [file.values[name] for name in names for file in self.files if name in file.values]
        return [value for value in found if _is_significant(value)]

    def every(self) -> Iterator[tuple[str, Value]]:
        """Return the names and values of all variables, file by file."""
        for file in self.files:
            yield from file.values.items()

    def app(self, name: str) -> Value | None:
        """Return the app's ``ID``, ``KEY`` or ``SECRET``."""
        return self.named(*names_of(f"SOUNDPOST_APP_{name}"))

    def backend(self, name: str) -> Value | None:
        """Return ``HOST``, ``PORT`` or ``SCHEME`` of the address to which applications publish."""
        return self.named(*names_of(f"SOUNDPOST_{name}"))

    def public(self, name: str) -> Value | None:
        """Return ``HOST``, ``PORT``, ``SCHEME`` or ``PATH`` of the address that an application gives to browsers."""
        return self.named(PUBLIC[name.lower()])

    def frontend(self, name: str) -> Value | None:
        """Return ``HOST``, ``PORT``, ``SCHEME`` or ``APP_KEY`` as built into a page."""
        return self.named(*(prefix + name for prefix in FRONTENDS))

    @property
    def server_port(self) -> str:
        """The port on which the server listens."""
        port = self.named(*names_of("SOUNDPOST_SERVER_PORT"))
        return port.text.strip() if port else str(DEFAULT_PORT)

    @property
    def server_has_tls(self) -> bool:
        """True if the server has a certificate of its own."""
        return self.named("SOUNDPOST_SERVER_TLS_CERTIFICATE") is not None

    @property
    def frontend_scheme(self) -> str:
        """The scheme with which browsers connect; laravel-echo's default is https."""
        scheme = self.frontend("SCHEME")
        return scheme.text.strip() if scheme else "https"


def _is_significant(value: Value) -> bool:
    word = value.text.strip().lower()
    return bool(word) and word not in NULL

"""What a set of ``.env`` files tells backend, server and browser, whichever names it uses for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from soundpost.tools.doctor.dotenv import EnvFile, Value

FRONTENDS: Final = ("VITE_REVERB_", "VITE_SOUNDPOST_", "VITE_PUSHER_", "NEXT_PUBLIC_REVERB_", "MIX_PUSHER_")
"""What variables of a frontend begin with."""
BUILT_IN: Final = ("VITE_", "NEXT_PUBLIC_", "NUXT_PUBLIC_", "PUBLIC_", "REACT_APP_", "VUE_APP_", "MIX_", "EXPO_PUBLIC_")
"""What variables that are sent to browsers begin with."""
_SERVER_PORT: Final = "8080"
_NULL: Final = ("", "null", "(null)")


class Told(NamedTuple):
    """The files together; the first that sets a variable counts."""

    files: tuple[EnvFile, ...]

    def named(self, *names: str) -> Value | None:
        """The first of these variables that is set to something."""
        for name in names:
            for file in self.files:
                value = file.values.get(name)
                if value is not None and value.text.strip().lower() not in _NULL:
                    return value
        return None

    def present(self, *names: str) -> Value | None:
        """The first of these variables that is there, even if empty."""
        return next((file.values[name] for name in names for file in self.files if name in file.values), None)

    def all_named(self, *names: str) -> list[Value]:
        """These variables in all files, as far as they are set to something."""
        found = [file.values[name] for name in names for file in self.files if name in file.values]
        return [value for value in found if value.text.strip().lower() not in _NULL]

    def every(self) -> Iterator[tuple[str, Value]]:
        """All variables."""
        for file in self.files:
            yield from file.values.items()

    def app(self, name: str) -> Value | None:
        """``ID``, ``KEY`` or ``SECRET`` of the app."""
        return self.named(f"SOUNDPOST_APP_{name}", f"REVERB_APP_{name}")

    def backend(self, name: str) -> Value | None:
        """``HOST``, ``PORT`` or ``SCHEME`` to which applications publish."""
        return self.named(f"SOUNDPOST_{name}", f"REVERB_{name}")

    def public(self, name: str) -> Value | None:
        """Where browsers connect, as a Python application is told."""
        return self.named(f"SOUNDPOST_PUBLIC_{name}")

    def frontend(self, name: str) -> Value | None:
        """``HOST``, ``PORT``, ``SCHEME`` or ``APP_KEY`` that are built into a page."""
        return self.named(*(prefix + name for prefix in FRONTENDS))

    @property
    def server_port(self) -> str:
        """Where the server listens."""
        port = self.named("SOUNDPOST_SERVER_PORT", "REVERB_SERVER_PORT")
        return port.text.strip() if port else _SERVER_PORT

    @property
    def server_has_tls(self) -> bool:
        """Whether the server has a certificate of its own."""
        return self.named("SOUNDPOST_SERVER_TLS_CERTIFICATE") is not None

    @property
    def frontend_scheme(self) -> str:
        """With which scheme browsers connect; laravel-echo's default is https."""
        scheme = self.frontend("SCHEME")
        return scheme.text.strip() if scheme else "https"

"""A directory with configuration files, for tests that load one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from soundpost.config import Loaded, load
from soundpost.errors import ConfigurationError

APP: Final = {"SOUNDPOST_APP_ID": "1", "SOUNDPOST_APP_KEY": "key-1", "SOUNDPOST_APP_SECRET": "secret-1"}
"""Environment variables of a whole app."""

APP_TABLE: Final = '[[apps]]\nid = "1"\nkey = "key-1"\nsecret = "secret-1"\n'
"""The same as a table of ``soundpost.toml``."""


class Directory:
    """A directory to load a configuration from."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def toml(self, text: str, *, mode: int = 0o600) -> Directory:
        """Write ``soundpost.toml``."""
        file = self.path / "soundpost.toml"
        file.write_text(text)
        file.chmod(mode)
        return self

    def dotenv(self, text: str) -> Directory:
        """Write ``.env``."""
        (self.path / ".env").write_text(text)
        return self

    def load(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        config_file: Path | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> Loaded:
        """Load the configuration of the directory."""
        return load(environ=environ or {}, directory=self.path, config_file=config_file, overrides=overrides)

    def error(self, environ: Mapping[str, str] | None = None, *, overrides: Mapping[str, object] | None = None) -> str:
        """Return the message with which loading fails: one line."""
        with pytest.raises(ConfigurationError) as caught:
            self.load(environ, overrides=overrides)
        message = str(caught.value)
        assert "\n" not in message
        return message

"""Configuration: command line, environment, ``.env``, ``soundpost.toml``, defaults, in this order."""

from soundpost.config.settings import ServerSettings, Settings, TlsSettings

__all__ = ["ServerSettings", "Settings", "TlsSettings"]

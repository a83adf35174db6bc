"""Configuration: command line, environment, ``.env``, ``soundpost.toml``, defaults, in this order."""

from soundpost.config.load import Loaded, load
from soundpost.config.settings import PublicAddress, ServerSettings, Settings, TlsSettings

__all__ = ["Loaded", "PublicAddress", "ServerSettings", "Settings", "TlsSettings", "load"]

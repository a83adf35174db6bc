"""Configuration: command line, environment, ``.env``, ``soundpost.toml``, defaults, in this order."""

from soundpost.config.load import Loaded, load
from soundpost.config.settings import BackendAddress, PublicAddress, ServerSettings, Settings, TlsSettings

__all__ = ["BackendAddress", "Loaded", "PublicAddress", "ServerSettings", "Settings", "TlsSettings", "load"]

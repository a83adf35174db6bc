"""Objects named in settings: ``module:name``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from soundpost.errors import ConfigurationError


def load(path: str, what: str) -> Any:
    """The object that ``module:name`` names. Raises ConfigurationError; ``what`` says which setting names it."""
    module_name, _, name = path.partition(":")
    try:
        return getattr(import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{what} {path!r} cannot be loaded: {error}") from error

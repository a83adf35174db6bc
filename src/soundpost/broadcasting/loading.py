"""Loading objects that settings name as ``module:name``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from soundpost.errors import ConfigurationError


def load(path: str, what: str) -> Any:
    """Return the object at ``module:name``. Raises ConfigurationError; ``what`` is the setting that names it."""
    module_name, _, name = path.partition(":")
    try:
        return getattr(import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{what} {path!r} cannot be loaded: {error}") from error

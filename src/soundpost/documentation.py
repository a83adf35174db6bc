"""Addresses of the documentation, for messages that point to one of its pages."""

from __future__ import annotations

from typing import Final

SITE: Final = "https://soundpost.readthedocs.io/en/stable/"
"""Address of the documentation of the newest release; ``pyproject.toml`` and ``mkdocs.yml`` name the same one."""


def page(name: str, section: str = "") -> str:
    """Return the address of the page ``docs/NAME.md``, or of its heading with the anchor ``section``."""
    return f"{SITE}{name}/#{section}" if section else f"{SITE}{name}/"

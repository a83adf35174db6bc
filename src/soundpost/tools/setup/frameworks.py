"""Frameworks that a project can be set up for."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Framework(StrEnum):
    """Frameworks that a project can be set up for."""

    DJANGO = "django"
    FASTAPI = "fastapi"
    STARLETTE = "starlette"
    FLASK = "flask"
    QUART = "quart"
    LITESTAR = "litestar"
    LARAVEL = "laravel"
    NONE = "none"

    @property
    def display_name(self) -> str:
        """The framework's own spelling of its name."""
        return _TITLES[self]


_TITLES: Final = {
    Framework.DJANGO: "Django",
    Framework.FASTAPI: "FastAPI",
    Framework.STARLETTE: "Starlette",
    Framework.FLASK: "Flask",
    Framework.QUART: "Quart",
    Framework.LITESTAR: "Litestar",
    Framework.LARAVEL: "Laravel",
    Framework.NONE: "no framework",
}

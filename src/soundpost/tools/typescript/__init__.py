"""TypeScript declarations of an application's events."""

from soundpost.tools.typescript.declarations import declarations

__all__ = ["declarations"]

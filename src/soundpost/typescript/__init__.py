"""TypeScript declarations of an application's events."""

from soundpost.typescript.declarations import declarations

__all__ = ["declarations"]

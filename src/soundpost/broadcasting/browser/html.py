"""HTML for the templates of web frameworks."""

from __future__ import annotations


class Html(str):
    """HTML that templates insert without escaping."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return the HTML itself, as Jinja asks for it."""
        return self

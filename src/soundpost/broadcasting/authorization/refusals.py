"""Why an auth request is refused: a plain no, or a mistake in how things are set up, which somebody has to mend."""

from __future__ import annotations

from soundpost.errors import SoundpostError


class Denied(SoundpostError):  # noqa: N818 - reads as what it says
    """Raise it in a channel route to deny a subscription, with the reason for the log (and for developers)."""


class Refused(Denied):
    """A plain no, logged as INFO: nobody is logged in, a permission is missing. ``status`` is that of the answer."""

    def __init__(self, reason: str, status: int = 403) -> None:
        super().__init__(reason)
        self.status = status


class Mistake(Refused):
    """A page, a proxy or a route is set up wrongly, logged as WARNING: no user will ever get through like this."""

"""The exceptions of PyPI's ``pusher``, by its names; wrong arguments are ValueError and TypeError, as there."""

from __future__ import annotations

from soundpost.errors import BroadcastError


class PusherError(BroadcastError):
    """The server refused a request, or did not answer (``status`` 0)."""


class PusherBadRequest(PusherError):  # noqa: N818 - PyPI's name
    """The server refused a request with 400."""


class PusherBadAuth(PusherError):  # noqa: N818 - PyPI's name
    """The server refused a request with 401: key, secret or clock are wrong."""


class PusherForbidden(PusherError):  # noqa: N818 - PyPI's name
    """The server refused a request with 403."""


class PusherBadStatus(PusherError):  # noqa: N818 - PyPI's name
    """The server refused a request with another status."""


_BY_STATUS: dict[int, type[PusherError]] = {
    0: PusherError,
    400: PusherBadRequest,
    401: PusherBadAuth,
    403: PusherForbidden,
}


def error_of(error: BroadcastError) -> PusherError:
    """Return an error of publishing as the exception that PyPI's ``pusher`` raises for its status."""
    return _BY_STATUS.get(error.status, PusherBadStatus)(str(error), error.status)

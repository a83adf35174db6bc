"""A typed drop-in for PyPI's ``pusher``: ``from soundpost.pusher import Pusher``, and ``AsyncPusher`` for asyncio.

The client works with Soundpost, Reverb, Pusher itself and every other server with Pusher's HTTP API.
"""

from soundpost.pusher.clients import AsyncPusher, Pusher
from soundpost.pusher.errors import PusherBadAuth, PusherBadRequest, PusherBadStatus, PusherError, PusherForbidden

__all__ = [
    "AsyncPusher",
    "Pusher",
    "PusherBadAuth",
    "PusherBadRequest",
    "PusherBadStatus",
    "PusherError",
    "PusherForbidden",
]

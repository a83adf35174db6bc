"""Error and close codes of the Pusher protocol, with the reaction of pusher-js.

4000-4099: the client gives up · 4100-4199: reconnects after a second or more · 4200-4299: reconnects at once.
43xx are sent in ``pusher:error`` frames only: pusher-js takes them as permanent when they are close codes.

Source: https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/#error-codes
"""

from __future__ import annotations

from typing import Final

APP_DOES_NOT_EXIST: Final = 4001
APP_DISABLED: Final = 4003
OVER_QUOTA: Final = 4004
PATH_NOT_FOUND: Final = 4005
INVALID_VERSION: Final = 4006
UNSUPPORTED_PROTOCOL: Final = 4007
NO_PROTOCOL: Final = 4008
UNAUTHORIZED: Final = 4009
OVER_CAPACITY: Final = 4100
GENERIC_RECONNECT: Final = 4200
PONG_NOT_RECEIVED: Final = 4201
CLIENT_EVENT_REJECTED: Final = 4301
WATCHLIST_LIMIT: Final = 4302

INVALID_MESSAGE: Final = GENERIC_RECONNECT
"""Reverb answers a malformed message with a 4200 error frame; the connection stays open."""

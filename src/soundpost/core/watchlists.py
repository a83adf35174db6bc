"""Watchlists: a signed-in client learns which users of its list are online, and later who comes online or goes.

A node asks the backplane once for each user, however many of its clients watch that user.

Source: https://pusher.com/docs/channels/using_channels/watchlist-events/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from soundpost.core.member import id_fault
from soundpost.errors import JsonError
from soundpost.wire import codes, messages
from soundpost.wire.json_text import reader

if TYPE_CHECKING:
    from soundpost.core.app import App
    from soundpost.core.app_settings import AppSettings
    from soundpost.core.connection import Connection

_read_ids: Final[Callable[[bytes], list[str | int] | None]] = reader(list[str | int] | None)


class Watched:
    """A user whom clients of this node watch."""

    __slots__ = ("is_online", "watchers")

    def __init__(self) -> None:
        self.is_online: bool | None = None
        """None until the backplane has answered."""
        self.watchers: dict[Connection, None] = {}


class Watchlist:
    """The users whom one client watches."""

    __slots__ = ("has_state", "user_ids")

    def __init__(self, user_ids: Sequence[str]) -> None:
        self.user_ids = user_ids
        self.has_state = False
        """True once the client has the list of online users. From then on it gets changes."""


class WatchlistRequest(NamedTuple):
    """A checked watchlist of a client."""

    user_ids: list[str]
    """Users to watch, each once."""
    faults: list[tuple[int, str]]
    """Errors for the client: code and text of each."""


def read(watchlist_json: bytes, settings: AppSettings) -> WatchlistRequest:
    """Return the users of the ``watchlist`` in a sign-in's ``user_data``, and the errors in the list."""
    if watchlist_json == b"null":
        return WatchlistRequest([], [])
    try:
        given = _read_ids(watchlist_json) or []
    except JsonError as error:
        text = f"user_data.watchlist: expected a list of user ids: {error}. Nobody is watched"
        return WatchlistRequest([], [(codes.INVALID_MESSAGE, text)])
    faults = []
    user_ids = list(dict.fromkeys(map(str, given)))
    limit = settings.max_watchlist_size
    if len(user_ids) > limit:
        text = f"Watchlist limit exceeded: {len(user_ids)} user ids, the first {limit} are watched (max_watchlist_size)"
        faults.append((codes.WATCHLIST_LIMIT, text))
        del user_ids[limit:]
    wrong = {each: fault for each in user_ids if (fault := id_fault(each, settings.max_user_id_length)) is not None}
    if wrong:
        text = f"user_data.watchlist: a user id {next(iter(wrong.values()))}. Ids that nobody can have are not watched"
        faults.append((codes.INVALID_MESSAGE, text))
    return WatchlistRequest([each for each in user_ids if each not in wrong], faults)


def begin(connection: Connection, user_ids: Sequence[str]) -> None:
    """Tell a client which users are online, and from then on which of them come online or go offline."""
    end(connection)
    if not user_ids:
        return
    app = connection.app
    watchlist = app.watchlists[connection] = Watchlist(user_ids)
    asked: dict[str, Watched] = {}
    for user_id in user_ids:
        watched = app.watched.get(user_id)
        if watched is None:
            watched = app.watched[user_id] = asked[user_id] = Watched()
        watched.watchers[connection] = None
    if all(app.watched[user_id].is_online is not None for user_id in user_ids):
        _send_state(connection, watchlist)
    else:  # answers come in the order of the questions: this one comes after all answers that are on their way
        app.node.peers.watch(app.settings.id, list(asked), partial(_answered, connection, watchlist, asked))


def _answered(connection: Connection, watchlist: Watchlist, asked: dict[str, Watched], online: list[str]) -> None:
    for user_id, watched in asked.items():
        watched.is_online = user_id in online
    if connection.app.watchlists.get(connection) is watchlist:
        _send_state(connection, watchlist)


def _send_state(connection: Connection, watchlist: Watchlist) -> None:
    watched = connection.app.watched
    online = [user_id for user_id in watchlist.user_ids if watched[user_id].is_online]
    offline = [user_id for user_id in watchlist.user_ids if not watched[user_id].is_online]
    watchlist.has_state = True
    connection.send(messages.watchlist_events(online, offline))


def end(connection: Connection) -> None:
    """Stop telling a client about the users that it watched, if any."""
    app = connection.app
    watchlist = app.watchlists.pop(connection, None)
    if watchlist is None:
        return
    left = []
    for user_id in watchlist.user_ids:
        watched = app.watched[user_id]
        del watched.watchers[connection]
        app.node.outbox.leave(watched, connection)
        if not watched.watchers:
            del app.watched[user_id]
            left.append(user_id)
    if left:
        app.node.peers.unwatch(app.settings.id, left)


def change(app: App, user_id: str, is_online: bool) -> None:
    """Tell the clients that watch a user that the user has come online or gone offline."""
    watched = app.watched.get(user_id)
    if watched is None or watched.is_online in (None, is_online):  # an answer with the state is on its way, or came
        return
    watched.is_online = is_online
    frame = messages.watchlist_events([user_id], []) if is_online else messages.watchlist_events([], [user_id])
    watchers = [connection for connection in watched.watchers if app.watchlists[connection].has_state]
    for observer in app.node.observers:
        for connection in watchers:
            observer.message_sent(connection, frame)
    app.node.outbox.write(watched, watchers, frame)

"""The users that are signed in on any node of a host that is alone, and the nodes that watch them.

A user whose last connection is gone is still signed in until its grace is over. Whoever signs in within the grace has
never been away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from soundpost.backplane.deadlines import Deadlines
from soundpost.core import webhook_records
from soundpost.core.outbox import CallLater, CallSoon
from soundpost.core.presence_grace import RECONNECT_GRACE
from soundpost.core.slices import in_slices
from soundpost.core.webhooks import HELD, WebhookEvent

if TYPE_CHECKING:
    from soundpost.backplane.memory_channels import AppEntry
    from soundpost.core.peers import PeersHandler

log = logging.getLogger("soundpost.server")

_AT_ONCE: Final = 200
"""Number of users whose graces end in one loop turn."""

Key = tuple[str, str]
"""App id and user id."""


class SignedInUser:
    """One user of one app."""

    __slots__ = ("left_at", "nodes")

    def __init__(self) -> None:
        self.nodes: list[PeersHandler] = []
        """Nodes with connections of the user."""
        self.left_at = 0.0
        """Time at which the last connection went."""


class LeftUser(NamedTuple):
    """A user within its grace, as the next process takes it over in a restart."""

    app_id: str
    user_id: str
    seconds: float
    """Seconds until the grace is over."""


class SignedInUsers:
    """The signed-in users of all apps. ``clock`` is in seconds; ``call_soon`` and ``call_later`` are the loop's.

    ``report`` takes the events for an app's webhooks.
    """

    def __init__(
        self,
        apps: Mapping[str, AppEntry],
        clock: Callable[[], float],
        call_soon: CallSoon,
        call_later: CallLater,
        report: Callable[[str, WebhookEvent], None],
    ) -> None:
        self._apps = apps
        self._clock = clock
        self._call_soon = call_soon
        self._call_later = call_later
        self._report = report
        self._users: dict[Key, SignedInUser] = {}
        self._ends: Deadlines[Key] = Deadlines()  # ends of graces, also of users who still have connections
        self._timer: float | None = None  # time for which the earliest timer is set
        self._watchers: dict[Key, list[PeersHandler]] = {}

    def sign_in(self, node: PeersHandler, app_id: str, user_id: str, info_json: bytes) -> None:
        """Note that a user has its first connection on a node."""
        user = self._users.get((app_id, user_id))
        if user is None:
            user = self._users[app_id, user_id] = SignedInUser()
            self._tell_online(app_id, user_id, info_json)
        if node not in user.nodes:
            user.nodes.append(node)
        self._ends.discard((app_id, user_id))

    def sign_out(self, node: PeersHandler, app_id: str, user_id: str, linger: float, is_last: bool) -> None:
        """Note that a connection of a user on a node is gone, perhaps its last one there."""
        user = self._users.get((app_id, user_id))
        if user is None or node not in user.nodes:
            return
        now = self._clock()
        if linger:
            self._linger((app_id, user_id), now + linger)
        if is_last:
            self._leave(node, (app_id, user_id), user, now)

    def _linger(self, key: Key, until: float) -> None:
        """Let a user stay until a time at least, should its last connection go before."""
        if until > (self._ends.get(key) or 0.0):
            self._ends.set(key, until)

    def _leave(self, node: PeersHandler, key: Key, user: SignedInUser, now: float) -> None:
        user.nodes.remove(node)
        if user.nodes:
            return
        user.left_at = now
        if (self._ends.get(key) or 0.0) > now:
            self._set_timer()
        else:
            self._tell_offline(key)

    def remove_node(self, node: PeersHandler) -> None:
        """Let the users of a node that is gone come back; its clients watch nobody any more."""
        now = self._clock()

        def leave(known: tuple[Key, SignedInUser]) -> None:
            key, user = known
            if node in user.nodes:
                self._linger(key, now + RECONNECT_GRACE)
                self._leave(node, key, user, now)

        in_slices(list(self._users.items()), leave, self._call_soon)
        in_slices(list(self._watchers), partial(self._unwatch, node), self._call_soon)

    # Watching

    def watch(self, node: PeersHandler, app_id: str, user_ids: Iterable[str]) -> list[str]:
        """Return who of some users is online; from now on the node is told when they come and go."""
        online = []
        for user_id in user_ids:
            nodes = self._watchers.setdefault((app_id, user_id), [])
            if node not in nodes:
                nodes.append(node)
            if (app_id, user_id) in self._users:
                online.append(user_id)
        return online

    def unwatch(self, node: PeersHandler, app_id: str, user_ids: Iterable[str]) -> None:
        """Tell a node of some users no more."""
        for user_id in user_ids:
            self._unwatch(node, (app_id, user_id))

    def _unwatch(self, node: PeersHandler, key: Key) -> None:
        nodes = self._watchers.get(key, [])
        if node in nodes:
            nodes.remove(node)
            if not nodes:
                del self._watchers[key]

    def _tell_watchers(self, app_id: str, user_id: str, is_online: bool) -> None:
        for node in tuple(self._watchers.get((app_id, user_id), ())):
            node.deliver_user_status(app_id, user_id, is_online)

    def _tell_online(self, app_id: str, user_id: str, info_json: bytes) -> None:
        self._tell_watchers(app_id, user_id, True)
        if "user_online" in self._apps[app_id].reports:
            self._report(app_id, webhook_records.user_event("user_online", user_id, info_json))

    def _tell_offline(self, key: Key) -> None:
        app_id, user_id = key
        user = self._users.pop(key)
        self._ends.discard(key)
        self._tell_watchers(app_id, user_id, False)
        if "user_offline" in self._apps[app_id].reports:
            is_final = self._clock() - user.left_at >= HELD
            self._report(app_id, webhook_records.user_event("user_offline", user_id, is_final=is_final))

    # Graces

    def _set_timer(self) -> None:
        first = self._ends.first()
        if first is not None and (self._timer is None or first[0] < self._timer):
            until = first[0]
            self._timer = until
            self._call_later(max(0.0, until - self._clock()), partial(self._on_time, until))

    def _on_time(self, until: float) -> None:
        if self._timer == until:
            self._timer = None
            self.end_due()

    def end_due(self) -> None:
        """End the graces that are over, some in each loop turn."""
        now = self._clock()
        for _ in range(_AT_ONCE):
            key = self._ends.pop_due(now)
            if key is None:
                break
            if not self._users[key].nodes:
                self._tell_offline(key)
        first = self._ends.first()
        if first is not None and first[0] <= now:
            self._call_soon(self.end_due)
        else:
            self._set_timer()

    def end_of_user(self, app_id: str, user_id: str) -> None:
        """End the grace of a user."""
        user = self._users.get((app_id, user_id))
        if user is not None:
            self._ends.discard((app_id, user_id))
            if not user.nodes:
                self._tell_offline((app_id, user_id))

    def end_of_gone_apps(self, served: set[str]) -> None:
        """End all graces of apps that are not served, in several loop turns."""

        def end(key: Key) -> None:
            if key[0] not in served:
                self.end_of_user(*key)

        in_slices(list(self._users), end, self._call_soon)

    # Restart

    def states(self) -> Iterator[tuple[str, tuple[str, str, str]]]:
        """Yield the app's id of each user, and its state as :attr:`soundpost.core.webhooks.WebhookEvent.state`."""
        for app_id, user_id in self._users:
            yield app_id, ("user_online", "", user_id)

    def as_bytes(self, since: float) -> bytes:
        """Return all users within their graces for :meth:`take_over`.

        ``since`` is the time of the clock from which nobody could come back: what has passed since is not counted.
        """
        left = [
            LeftUser(*key, until - since)
            for key, until in self._ends.items()
            if not self._users[key].nodes and until > since
        ]
        return msgspec.msgpack.encode(left)

    def take_over(self, data: bytes) -> None:
        """Take the users of the process before the restart; apps that are not served any more have none."""
        try:
            left = msgspec.msgpack.decode(data, type=list[LeftUser])
        except msgspec.DecodeError as error:
            log.warning("the users of the process before the restart cannot be read, they are offline: %s", error)
            return
        for app_id, user_id, seconds in left:
            if app_id in self._apps and (app_id, user_id) not in self._users:
                user = self._users[app_id, user_id] = SignedInUser()
                user.left_at = self._clock()
                self._ends.set((app_id, user_id), user.left_at + seconds)
                self._set_timer()

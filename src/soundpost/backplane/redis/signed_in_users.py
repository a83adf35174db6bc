"""The signed-in users of this host, stated to Redis, and the users that its nodes watch, wherever they are.

This host subscribes to the topic of a user whom it watches first, and then asks for the user's state. Messages and
answers of a bucket come in the order of what happened in Redis, so messages after the answer are changes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from soundpost.backplane.parted_dict import PartedDict
from soundpost.backplane.redis.bucket_commands import ignore_answer
from soundpost.backplane.redis.buckets import bucket_of
from soundpost.backplane.redis.statements import state_in_slices
from soundpost.backplane.redis.user_scripts import END_ABSENCE, REMOVE_USERS, SIGN_IN, SIGN_OUT
from soundpost.core.presence_grace import RECONNECT_GRACE
from soundpost.core.slices import in_slices

if TYPE_CHECKING:
    from soundpost.backplane.redis.bucket_commands import Command
    from soundpost.backplane.redis.redis import Redis
    from soundpost.core.peers import PeersHandler

Key = tuple[str, str]
"""App id and user id."""
_ASKED_TOGETHER: Final = 100
"""Watched users who are asked for together: some 0.5 ms."""
_MAX_FORMER: Final = 5_000
"""Users of the node before that are taken out of a bucket at once; the removal of the node takes out what is left."""


class HereUser:
    """A user with connections on this host."""

    __slots__ = ("held", "info_json", "nodes", "stated_by")

    def __init__(self, info_json: bytes) -> None:
        self.info_json = info_json
        self.nodes: list[PeersHandler] = []
        """Nodes of this host with connections of the user."""
        self.held = 0
        """Number of graces that this host counts, as Redis was away when they began."""
        self.stated_by = b""
        """Node as which this host has last stated the user: with each connection to Redis it is another one."""


class WatchedUser:
    """A user whom nodes of this host watch."""

    __slots__ = ("is_online", "nodes")

    def __init__(self) -> None:
        self.is_online: bool | None = None
        """None until Redis has answered."""
        self.nodes: list[PeersHandler] = []


class Question:
    """A node's question who of some users is online."""

    __slots__ = ("then", "watched")

    def __init__(self, watched: Mapping[str, WatchedUser], then: Callable[[list[str]], None]) -> None:
        self.watched = watched
        self.then = then


class SharedUsers:
    """The signed-in users as this host has them. ``call_later`` is the loop's.

    ``report`` is called with app, user and info of a user who signs in while Redis is away.
    """

    def __init__(
        self, redis: Redis, call_later: Callable[..., object], report: Callable[[str, str, bytes], None]
    ) -> None:
        self._redis = redis
        self._report = report
        self._call_later = call_later
        self._here = PartedDict[Key, HereUser]()
        self._watched = PartedDict[Key, WatchedUser]()
        self._unknown: dict[Key, WatchedUser] = {}
        """Watched users about whom Redis has not answered yet."""
        self._by_topic: dict[bytes, Key] = {}
        self._questions: deque[Question] = deque()
        self.turn_clock: Callable[[], float] = time.perf_counter
        """Clock in seconds that goes on within a loop turn."""
        self._buckets: set[bytes] = set()
        """Buckets in which this node has stated users."""

    # Users of this host

    def sign_in(self, node: PeersHandler, app_id: str, user_id: str, info_json: bytes) -> None:
        """Note that a user has its first connection on a node of this host."""
        user = self._here.of((app_id, user_id))
        if user is None:
            user = self._here[app_id, user_id] = HereUser(info_json)
            if not self._redis.up:
                self._report(app_id, user_id, info_json)
        if node not in user.nodes:
            user.nodes.append(node)
        self._state((app_id, user_id), user)

    def _state(self, key: Key, user: HereUser, then: Callable[[], None] = lambda: None) -> None:
        """State a user to Redis; ``then`` is called with the answer."""
        if self._redis.up:  # otherwise the statement is lost, and made again by on_up
            user.stated_by = self._redis.node
        self._buckets.add(_bucket(key))
        info = b"" if user.info_json == b"null" else user.info_json

        def answered(answer: Any) -> None:
            then()
            self._stated(key, True, answer)

        self._redis.run(SIGN_IN, _bucket(key), key[1], info, then=answered)

    def _ensure_stated(self, key: Key, user: HereUser) -> None:
        """State a user to a Redis that is back, if that is still due, so that later statements follow."""
        if self._redis.up and user.stated_by != self._redis.node:
            self._state(key, user)

    def _state_again(self, key: Key, then: Callable[[], None]) -> bool:
        """State a user unless it has been stated, or has left; return whether it was stated now."""
        user = self._here.of(key)
        if user is None or user.stated_by == self._redis.node:
            return False
        self._state(key, user, then)
        return True

    def sign_out(self, node: PeersHandler, app_id: str, user_id: str, linger: float, is_last: bool) -> None:
        """Note that a connection of a user is gone, perhaps its last one on the node."""
        key = app_id, user_id
        user = self._here.of(key)
        if user is None or node not in user.nodes:
            return
        self._ensure_stated(key, user)
        if is_last:
            user.nodes.remove(node)
        is_gone = not user.nodes and not user.held
        if is_gone:
            del self._here[key]
        if not is_gone and not linger:
            return
        milliseconds = int(linger * 1000)
        stated = partial(self._left, key, user, linger, is_gone)
        self._redis.run(SIGN_OUT, _bucket(key), user_id, milliseconds, int(is_gone), then=stated)
        if linger:
            self._redis.graces.note(_bucket(key), linger)

    def _left(self, key: Key, user: HereUser, linger: float, is_gone: bool, answer: Any) -> None:
        if not isinstance(answer, Exception):
            return
        if linger:  # the host counts the user until the grace is over, and states the user to Redis meanwhile
            user = self._here.setdefault(key, user)
            user.held += 1
            self._call_later(linger, partial(self._end_held, key, user))
        elif is_gone and key not in self._here:
            self._change(key, False)

    def _end_held(self, key: Key, user: HereUser) -> None:
        user.held -= 1
        if user.held or user.nodes or self._here.of(key) is not user:
            return
        self._ensure_stated(key, user)
        del self._here[key]
        gone = partial(self._stated, key, False)
        self._redis.run(SIGN_OUT, _bucket(key), key[1], 0, 1, then=gone)

    def _stated(self, key: Key, is_online: bool, answer: Any) -> None:
        if isinstance(answer, Exception) and (key in self._here) is is_online:
            self._change(key, is_online)  # Redis will tell later if another host has the user

    def end_of_user(self, app_id: str, user_id: str) -> None:
        """End the grace of a user."""
        if self._redis.up:
            self._redis.run(END_ABSENCE, bucket_of(app_id, user_id), user_id, then=ignore_answer)

    def remove_node(self, node: PeersHandler) -> None:
        """Let the users of a node that is gone come back; its clients watch nobody any more."""
        call_soon = partial(self._call_later, 0)
        in_slices(
            self._here.each_key(), lambda key: self.sign_out(node, *key, RECONNECT_GRACE, is_last=True), call_soon
        )

        def unwatch(key: Key) -> None:
            watched = self._watched.of(key)
            if watched is not None and node in watched.nodes:
                self._unwatch(node, key, watched)

        in_slices(self._watched.each_key(), unwatch, call_soon)

    # Watching

    def watch(self, node: PeersHandler, app_id: str, user_ids: list[str], then: Callable[[list[str]], None]) -> None:
        """Answer who of some users is online, behind the answers before; from then on the node is told of changes."""
        new = [(app_id, user_id) for user_id in user_ids if (app_id, user_id) not in self._watched]
        for key in new:
            watched = self._watched[key] = WatchedUser()
            self._by_topic[self._topic(key)] = key
            if self._redis.up:
                self._unknown[key] = watched
            else:
                watched.is_online = key in self._here
        question = Question({user_id: self._watched[app_id, user_id] for user_id in user_ids}, then)
        for watched in question.watched.values():
            if node not in watched.nodes:
                watched.nodes.append(node)
        self._questions.append(question)
        if self._redis.up:
            self._ask(new)
        self._answer_questions()

    def unwatch(self, node: PeersHandler, app_id: str, user_ids: Iterable[str]) -> None:
        """Tell a node of some users no more."""
        for user_id in user_ids:
            watched = self._watched.of((app_id, user_id))
            if watched is not None and node in watched.nodes:
                self._unwatch(node, (app_id, user_id), watched)

    def _unwatch(self, node: PeersHandler, key: Key, watched: WatchedUser) -> None:
        watched.nodes.remove(node)
        if not watched.nodes:
            topic = self._topic(key)
            del self._watched[key], self._by_topic[topic]
            self._redis.unsubscribe(_bucket(key), topic)
            if watched.is_online is None:
                watched.is_online = False  # nobody waits for it, and no question behind it
                del self._unknown[key]

    def _topic(self, key: Key) -> bytes:
        return self._redis.topic(_bucket(key), f"\1{key[1]}")

    def _ask(self, keys: Iterable[Key]) -> None:
        """Ask Redis for the states of some users, once for each bucket; changes follow."""
        by_bucket: dict[bytes, list[Key]] = {}
        for key in keys:
            by_bucket.setdefault(_bucket(key), []).append(key)
        for bucket, asked in by_bucket.items():
            for key in asked:
                self._redis.subscribe(bucket, self._topic(key))
            watched = {key: self._watched[key] for key in asked}
            command: Command = ("HMGET", self._redis.tag(bucket) + b":online", *(user_id for _, user_id in asked))
            self._redis.send(bucket, command, partial(self._answered, watched))

    def _answered(self, asked: Mapping[Key, WatchedUser], answer: Any) -> None:
        states = answer if isinstance(answer, list) else [key in self._here for key in asked]
        for (key, watched), state in zip(asked.items(), states, strict=True):
            self._set(key, watched, bool(state))
        self._answer_questions()

    def _answer_questions(self) -> None:
        while self._questions and all(user.is_online is not None for user in self._questions[0].watched.values()):
            question = self._questions.popleft()
            question.then([user_id for user_id, watched in question.watched.items() if watched.is_online])

    def _set(self, key: Key, watched: WatchedUser, is_online: bool) -> None:
        before, watched.is_online = watched.is_online, is_online
        if before is None:
            del self._unknown[key]
        elif before is not is_online:
            for node in tuple(watched.nodes):
                node.deliver_user_status(*key, is_online)

    def _change(self, key: Key, is_online: bool) -> None:
        watched = self._watched.of(key)
        if watched is not None and watched.is_online is not None:
            self._set(key, watched, is_online)

    def receive(self, topic: bytes, is_online: bool) -> None:
        """Take the news that a user came or went."""
        key = self._by_topic.get(topic)
        if key is not None:
            self._change(key, is_online)

    # Redis comes and goes

    async def on_up(self) -> None:
        """State all users of this host, some in each loop turn: Redis knows it as a new node.

        What the node before had stated is taken out.
        """
        former, buckets = self._redis.former_node, self._buckets
        self._buckets = set()
        await state_in_slices(self._here.each_key(), self._state_again, self.turn_clock)
        for bucket in buckets if former else ():
            self._redis.send(bucket, self._redis.script(REMOVE_USERS, bucket, _MAX_FORMER, node=former), ignore_answer)
        in_slices(self._watched.each_key(), self._subscribe_again, partial(self._call_later, 0), clock=self.turn_clock)

    def _subscribe_again(self, key: Key) -> None:
        if self._redis.up and key in self._watched:
            self._redis.subscribe(_bucket(key), self._topic(key))

    def on_flow(self) -> None:
        """Ask for the users that this host watches, some in each loop turn: the other hosts have stated theirs, too."""
        keys = self._watched.each_key()

        def parts() -> Iterator[list[Key]]:
            while some := [*islice(keys, _ASKED_TOGETHER)]:
                yield some

        in_slices(parts(), self._ask_again, partial(self._call_later, 0), clock=self.turn_clock)

    def _ask_again(self, keys: Iterable[Key]) -> None:
        if self._redis.up:
            self._ask([key for key in keys if key in self._watched])

    def on_down(self) -> None:
        """Answer the questions that wait for Redis."""
        for key, watched in list(self._unknown.items()):
            self._set(key, watched, key in self._here)
        self._answer_questions()


def _bucket(key: Key) -> bytes:
    return bucket_of(*key)

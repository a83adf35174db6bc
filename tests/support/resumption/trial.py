"""A trial: clients on a stage, events published meanwhile, something that breaks, and the account of it all."""

from __future__ import annotations

import json
import secrets
import time
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from soundpost.broadcasting.encryption import decrypt
from support.harness import until
from support.resumption.account import Account, Evidence, ends_of, judge_all
from support.resumption.chromium import ChromiumPages
from support.resumption.client_messages import Plan, event_in
from support.resumption.lines import Told as Lines
from support.resumption.loops import longest_turn, slowest_command
from support.resumption.node_crowd import NodeCrowd
from support.resumption.publisher import Mixture, Publisher, Publishing
from support.resumption.stages import (
    ACTIVITY_TIMEOUT,
    BOARD,
    BRIEF,
    LARGE,
    ORDERS,
    ROOM,
    SHORT,
    VAULT,
    Stage,
    channels_in_turn,
)
from support.resumption.stories import Kept, read
from support.resumption.streams import chains

Crowd = Lines | NodeCrowd | ChromiumPages
CHANNELS: Final = (*ORDERS, SHORT, BRIEF, ROOM, BOARD)
ALL: Final = (*CHANNELS, VAULT)
BACK_SECONDS: Final = 90.0
"""In which all clients must be subscribed again, and have the last events."""
CALM_SECONDS: Final = 30.0
"""In which all must have the same list of members: a host that died is removed by then."""
PAGE: Final = 500


class Size(msgspec.Struct, frozen=True):
    """How much goes on in a trial."""

    steady: int = 60
    """Clients that nothing is done to but what is done to servers."""
    afflicted: int = 60
    """Clients behind a proxy that breaks connections."""
    stock: int = 12
    """Clients without resumption, of each kind."""
    slow: int = 6
    """Clients of a channel whose history is large, for which the kernel takes little."""
    libraries: int = 4
    """Clients of pusher-js with the module, without it, and of the Python client, of each so many."""
    publishers: int = 4
    rate: float = 120.0
    """Requests a second, of all publishers."""
    applications_rate: float = 15.0
    """Requests a second of each of two applications, which publish by the library."""
    seed: str = ""


class Trial:
    """``steady`` and ``afflicted`` are processes of clients, ``proxy`` the one between the afflicted and the servers,
    ``answers`` the one between a publisher and the servers."""

    def __init__(self, stage: Stage, size: Size) -> None:
        self.stage = stage
        self.size = size
        self.deleted: dict[str, tuple[str, float]] = {}
        """By channel: the position up to which its history was deleted, and when."""
        self.master_key = _new_key()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def _start(self, stack: ExitStack) -> None:
        stage, size = self.stage, self.size
        self.proxy = stack.enter_context(Lines("support.resumption.cutting_proxy"))
        self.answers = stack.enter_context(Lines("support.resumption.cutting_proxy"))
        self.steady = stack.enter_context(Lines("support.resumption.crowd"))
        self.afflicted = stack.enter_context(Lines("support.resumption.crowd"))
        self.slow = stack.enter_context(Lines("support.resumption.crowd"))
        self.crowds: list[Crowd] = [self.steady, self.afflicted, self.slow]
        self.probe = stack.enter_context(Lines("support.resumption.probe"))
        proxied = [self.proxy.do("listen", stage.client_ports)]
        some = channels_in_turn
        self._connect(self.steady, "steady", some(size.steady), stage.client_ports)
        self._connect(self.steady, "stock", some(size.stock), stage.client_ports, resumes=False)
        self._connect(self.afflicted, "afflicted", some(size.afflicted), proxied)
        self._connect(self.afflicted, "stock-afflicted", some(size.stock), proxied, resumes=False)
        self._connect(self.slow, "slow", [[LARGE, ORDERS[0]]] * size.slow, stage.client_ports, receive_buffer=8_192)
        answered = [self.answers.do("listen", stage.ports), *stage.ports]
        self.pages: list[Crowd] = [self.afflicted]
        self.encrypted: list[Crowd] = []
        if size.libraries:
            self._start_libraries(stack, proxied[0])
        self.probe.do("start", stage.client_ports[0])
        self.applications = stack.enter_context(Lines("support.resumption.applications"))
        rate = size.rate / size.publishers
        publishers = [
            Publisher(f"p{number}", stage.ports, CHANNELS, rate, seed=size.seed) for number in range(1, size.publishers)
        ]
        publishers.append(Publisher("p0", answered, CHANNELS, rate, seed=size.seed, home=0))
        self.publishing = stack.enter_context(Publishing(publishers))
        self.last = Publisher("last", stage.ports, CHANNELS, 1, mixture=Mixture(0, 0, 0, 0, 0))
        self.last.master_key = b64decode(self.master_key)
        ports = [answered[0], stage.client_ports[0]]
        self.applications.do("start", ports, ALL, size.applications_rate, self.master_key, size.seed)
        self.exclude_some()
        self.began = time.monotonic()

    def _start_libraries(self, stack: ExitStack, port: int) -> None:
        """The clients that applications have, behind the proxy that breaks connections. Only they decrypt."""
        channels = [[*each, VAULT] for each in channels_in_turn(self.size.libraries)]
        for name, module in (("pusher-js", True), ("pusher-js-stock", False)):
            crowd = stack.enter_context(NodeCrowd(name, channels, port, self.master_key, module=module))
            self.encrypted.append(crowd)
            if module:
                self.pages.append(crowd)
        programs = stack.enter_context(Lines("support.resumption.programs"))
        self._connect(programs, "python", channels, [port], master_key=self.master_key)
        self.encrypted.append(programs)
        self.crowds += self.encrypted
        self.pages.append(programs)

    def _connect(
        self, crowd: Lines, name: str, channels: Sequence[list[str]], ports: Sequence[int], **options: Any
    ) -> None:
        plans = [
            Plan(name=f"{name}-{number}", ports=list(ports), channels=each, **options)
            for number, each in enumerate(channels)
        ]
        crowd.do("connect", msgspec.to_builtins(plans), ACTIVITY_TIMEOUT)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def open_pages(self, count: int) -> None:
        """Open so many pages in Chromium, which are reloaded with the others."""
        asker = Publisher("asker", self.stage.ports, CHANNELS, 1)
        pages = ChromiumPages([list(ORDERS[:4])] * count, self.stage.client_ports[0], lambda: self.positions(asker))
        self._stack.enter_context(pages)
        self.crowds.append(pages)
        self.pages.append(pages)

    def load_for(self, seconds: float) -> None:
        """Let events be published."""
        time.sleep(seconds)

    def reload(self) -> None:
        """Replace all pages by new ones, rendered from positions that were read a moment before."""
        positions = self.positions()
        for crowd in self.pages:
            crowd.do("reload", positions)

    def burst(self, channel: str, count: int, size: int) -> None:
        """Publish so many events of so many bytes, one after the other."""
        for _ in range(count):
            self.last.publish([channel], size=size)

    def exclude_some(self) -> None:
        """Let publishers exclude some of the clients that are here now. An id stays in use when its client has come
        back under another."""
        crowds = (self.steady, *self.pages)
        sockets = [socket for crowd in crowds for socket in crowd.do("sockets")]
        self.publishing.exclude(sockets)
        self.applications.do("exclude", sockets)

    def delete_history(self, channel: str) -> None:
        """Delete the history of a channel."""

        def deleted() -> bool:
            answer = _answer(self.last, f"/channels/{channel}/history", "DELETE")
            if answer is not None:
                self.deleted[channel] = answer["position"], time.monotonic()
            return answer is not None

        until(deleted, f"the history of {channel} is deleted", BACK_SECONDS)

    def rotate_master_key(self) -> None:
        """Take another key for encrypted channels, in all applications, and delete what the old one sealed."""
        self.master_key = _new_key()
        self.last.master_key = b64decode(self.master_key)
        self.applications.do("seal_with", self.master_key)
        for crowd in self.encrypted:
            crowd.do("seal_with", self.master_key)
        self.delete_history(VAULT)

    def settle(self) -> None:
        """Wait until all clients are subscribed."""
        for crowd in self.crowds:
            crowd.do("settle", BACK_SECONDS)

    def positions(self, asker: Publisher | None = None) -> dict[str, str]:
        """The newest position of each channel, as an application reads it to render a page."""
        found: dict[str, str] = {}

        def asked() -> bool:
            for channel in ALL:
                answer = _answer(asker or self.last, f"/channels/{channel}", info="position")
                if answer is None:
                    return False
                found[channel] = answer["position"]
            return True

        until(asked, "the positions are told", BACK_SECONDS)
        return found

    def account(self, *, may_be_lost: bool) -> Account:
        """Publish no more, wait until all have the last events, and judge."""
        self.publishing.stop()
        given_up = self.applications.do("stop")
        self.stage.wait_until_flowing()  # what a host still holds back for Redis would come behind the last events
        self.settle()
        lasts = {channel: self.last.publish([channel]) for channel in (*ALL, LARGE)}
        behind = [who for crowd in self.crowds for who in crowd.do("reach", lasts, BACK_SECONDS)]
        command = (0.0, "") if self.stage.data is None else slowest_command(self.stage.data())
        publishers = [*self.publishing.publishers, self.last]
        present = self._members()
        tales = [read(crowd.do("tell")) for crowd in (*self.crowds, self.applications)]
        evidence = Evidence(
            publications=[each for publisher in publishers for each in publisher.publications],
            histories=[kept for channel in (*ALL, LARGE) if (kept := self.history(channel)) is not None],
            tales=tales,
            present=present,
            streams={} if self.stage.data is None else chains(self.stage.data()),
            bound=self.stage.memory,
        )
        total, generations = judge_all(evidence, may_be_lost=may_be_lost)
        published = [*evidence.publications, *tales[-1].publications]
        return Account(
            events=sum(each.answered is not None for each in published),
            total=total,
            generations=generations,
            unanswered=sum(each.answered is None for each in evidence.publications),
            given_up=given_up,
            sent_again=sum(each.attempts > 1 for each in evidence.publications),
            away=sorted(away for told in tales for away in told.away),
            ends=ends_of(tales),
            refusals=dict(Counter(refusal for publisher in publishers for refusal in publisher.refused)),
            behind=behind,
            dropped=sum(told.dropped for told in tales),
            complaints=self.stage.complaints(),
            histories=len(evidence.histories),
            waits=self.probe.do("waits"),
            longest_turn=longest_turn(self.stage.turns, self.began),
            slowest_command=command,
            streams=len(evidence.streams),
            notices=sum(told.notices for told in tales),
        )

    def history(self, channel: str) -> Kept | None:
        """The history of a channel, read by pages; None if the server does not give any."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            query = {"after": after} if after else {}
            answer = _answer(self.last, f"/channels/{channel}/history", limit=str(PAGE), order="oldest", **query)
            if answer is None:
                return None
            if not answer["events"]:
                break
            found += answer["events"]
            after = answer["position"]
        events = [(each["position"], event_in(self._opened(channel, each["data"]))) for each in found]
        size = sum(len(json.dumps(each, separators=(",", ":"))) for each in found)
        floor, deleted_at = self.deleted.get(channel, ("", 0.0))
        return Kept(channel, events, self.stage.kept[channel], floor, deleted_at, size)

    def _opened(self, channel: str, data: str) -> str:
        return (decrypt(channel, data, b64decode(self.master_key)) or "?") if channel == VAULT else data

    def _members(self) -> dict[str, list[str]]:
        """Who is on the presence channel, as raw clients and the HTTP API have it, once they agree."""
        found: dict[str, list[str]] = {}

        def agree() -> bool:
            found.clear()
            for crowd in (self.steady, self.afflicted):
                found.update(crowd.do("members", ROOM))
            answer = _answer(self.last, f"/channels/{ROOM}/users")
            if answer is not None:
                found["the HTTP API"] = sorted(user["id"] for user in answer["users"])
            return len({tuple(members) for members in found.values()}) == 1

        with suppress(AssertionError):  # those who do not agree are wrong
            until(agree, "all know the same members", CALM_SECONDS)
        return found


def _new_key() -> str:
    return b64encode(secrets.token_bytes(32)).decode()


def _answer(asker: Publisher, path: str, method: str = "GET", **query: str) -> dict[str, Any] | None:
    try:
        answer = asker.ask(path, method, **query)
    except (OSError, EOFError):
        asker.close()
        return None
    return answer.json() if answer.status == 200 else None

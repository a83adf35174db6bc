"""A trial: clients on a stage, events published meanwhile, something that breaks, and the account of it all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from support.harness import until
from support.resumption.chromium import ChromiumPages
from support.resumption.history import judged_history, truths
from support.resumption.judge import judged
from support.resumption.lines import Told as Lines
from support.resumption.node_crowd import NodeCrowd
from support.resumption.publisher import Mixture, Publisher, Publishing
from support.resumption.raw_client import Plan
from support.resumption.stages import (
    ACTIVITY_TIMEOUT,
    BOARD,
    BRIEF,
    LARGE,
    ORDERS,
    ROOM,
    SHORT,
    Stage,
    channels_in_turn,
)
from support.resumption.stories import Kept, Publication, Story, Told, read
from support.resumption.verdict import Verdict

Crowd = Lines | NodeCrowd | ChromiumPages
CHANNELS: Final = (*ORDERS, SHORT, BRIEF, ROOM, BOARD)
BACK_SECONDS: Final = 40.0
"""In which all clients must be subscribed again, and have the last events."""
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
    seed: str = ""


class Account(msgspec.Struct):
    """What came of a trial."""

    events: int
    """Acknowledged ones, one for each channel that they were published on."""
    total: Verdict
    generations: int
    unanswered: int
    """Events whose publishers gave them up."""
    sent_again: int
    away: list[float]
    ends: dict[str, int]
    refusals: dict[str, int]
    behind: list[str]
    """Clients and channels that did not reach the last event in time."""
    dropped: int
    complaints: list[str]
    histories: int
    """How many channels' histories were compared."""
    waits: list[float]
    """Seconds that a client waited for answers to its pings."""


class Trial:
    """``steady`` and ``afflicted`` are processes of clients, ``proxy`` the one between the afflicted and the servers,
    ``answers`` the one between a publisher and the servers."""

    def __init__(self, stage: Stage, size: Size) -> None:
        self.stage = stage
        self.size = size
        self.stories: list[Told] = []
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
        if size.libraries:
            self._start_libraries(stack, proxied[0])
        self.probe.do("start", stage.client_ports[0])
        rate = size.rate / size.publishers
        publishers = [
            Publisher(f"p{number}", stage.ports, CHANNELS, rate, seed=size.seed) for number in range(1, size.publishers)
        ]
        publishers.append(Publisher("p0", answered, CHANNELS, rate, seed=size.seed, home=0))
        self.publishing = stack.enter_context(Publishing(publishers))
        self.last = Publisher("last", stage.ports, CHANNELS, 1, mixture=Mixture(0, 0, 0, 0, 0))
        self.exclude_some()

    def _start_libraries(self, stack: ExitStack, port: int) -> None:
        """The clients that applications have, behind the proxy that breaks connections."""
        channels = channels_in_turn(self.size.libraries)
        for name, module in (("pusher-js", True), ("pusher-js-stock", False)):
            crowd = stack.enter_context(NodeCrowd(name, channels, port, ACTIVITY_TIMEOUT, module=module))
            self.crowds.append(crowd)
            if module:
                self.pages.append(crowd)
        programs = stack.enter_context(Lines("support.resumption.programs"))
        self._connect(programs, "python", channels, [port])
        self.crowds.append(programs)
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
        self.publishing.exclude([socket for crowd in crowds for socket in crowd.do("sockets")])

    def settle(self) -> None:
        """Wait until all clients are subscribed."""
        for crowd in self.crowds:
            crowd.do("settle", BACK_SECONDS)

    def positions(self, asker: Publisher | None = None) -> dict[str, str]:
        """The newest position of each channel, as an application reads it to render a page."""
        found: dict[str, str] = {}

        def asked() -> bool:
            for channel in CHANNELS:
                answer = _answer(asker or self.last, f"/channels/{channel}", info="position")
                if answer is None:
                    return False
                found[channel] = answer["position"]
            return True

        until(asked, "the positions are told", BACK_SECONDS)
        return found

    def account(self, *, may_be_lost: bool, calm: float = 0.5) -> Account:
        """Publish no more, wait until all have the last events, and judge. ``calm``: seconds in which gaps may be told
        after that."""
        self.publishing.stop()
        self.settle()
        lasts = {channel: self.last.publish([channel]) for channel in (*CHANNELS, LARGE)}
        behind = [who for crowd in self.crowds for who in crowd.do("reach", lasts, BACK_SECONDS)]
        time.sleep(calm)
        publications = [*self.last.publications]
        for publisher in self.publishing.publishers:
            publications += publisher.publications
        histories = [kept for channel in (*CHANNELS, LARGE) if (kept := self.history(channel)) is not None]
        tales = [read(crowd.do("tell")) for crowd in self.crowds] + self.stories
        return _account(self, publications, histories, tales, behind, may_be_lost=may_be_lost)

    def history(self, channel: str) -> Kept | None:
        """The history of a channel, read by pages; None if the server does not give any."""
        events: list[tuple[str, str]] = []
        after = ""
        while True:
            query = {"after": after} if after else {}
            answer = _answer(self.last, f"/channels/{channel}/history", limit=str(PAGE), order="oldest", **query)
            if answer is None:
                return None
            events += [(each["position"], each["data"].partition(" ")[0]) for each in answer["events"]]
            if not answer["events"]:
                return Kept(channel, events, self.stage.kept[channel])
            after = answer["position"]


def _answer(asker: Publisher, path: str, **query: str) -> dict[str, Any] | None:
    try:
        answer = asker.ask(path, **query)
    except (OSError, EOFError):
        asker.close()
        return None
    return answer.json() if answer.status == 200 else None


def _account(
    trial: Trial,
    publications: list[Publication],
    histories: list[Kept],
    tales: list[Told],
    behind: list[str],
    *,
    may_be_lost: bool,
) -> Account:
    stories: list[Story] = [story for told in tales for story in told.stories]
    known = truths(publications, stories, histories)
    total = Verdict()
    for told in tales:
        for story in told.stories:
            total.add(judged(story, known[story.channel], told.pages.get(story.client, [[]])))
    for kept in histories:
        total.add(judged_history(kept, known[kept.channel], may_be_lost=may_be_lost))
    ends: Counter[str] = Counter()
    for told in tales:
        ends.update(told.ends)
    publishers = [*trial.publishing.publishers, trial.last]
    return Account(
        events=sum(publication.answered is not None for publication in publications),
        total=total,
        generations=max(truth.order.generations for truth in known.values()),
        unanswered=sum(publication.answered is None for publication in publications),
        sent_again=sum(publication.attempts > 1 for publication in publications),
        away=sorted(away for told in tales for away in told.away),
        ends=dict(ends),
        refusals=dict(Counter(refusal for publisher in publishers for refusal in publisher.refused)),
        behind=behind,
        dropped=sum(told.dropped for told in tales),
        complaints=trial.stage.complaints(),
        histories=len(histories),
        waits=trial.probe.do("waits"),
    )

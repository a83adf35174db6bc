"""Lines of a tail: messages in readable form without signatures, and how many are sent together."""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable

import pytest

from soundpost.core.inspection import TailLine, TailLines
from soundpost.core.tail_lines import MAX_LINES, PERIOD, GatheredLines, LimitedLines, Words, words_of

LINE = TailLine(0, "sent")


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ('{"event":"e","channel":"room","data":"{\\"a\\":1}"}', Words("e", "room", '{"a":1}')),
        ('{"event":"client-e","channel":"room","data":{"a":1}}', Words("client-e", "room", '{"a":1}')),
        ('{"event":"pusher:ping"}', Words("pusher:ping", "", "")),
        (
            '{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"key:abc"}}',
            Words("pusher:subscribe", "private-x", '{"channel":"private-x","auth":"key:…"}'),
        ),
        ('{"event":"pusher:subscribe","data":7}', Words("pusher:subscribe", "", "7")),
        ('{"event":"e","data":{"channel":"not-the-channel"}}', Words("e", "", '{"channel":"not-the-channel"}')),
        ("no JSON", Words("", "", "no JSON")),
        ('{"event":7}', Words("", "", '{"event":7}')),
    ],
)
def test_a_message_is_readable(payload: str, words: Words) -> None:
    if "key:abc" in payload:
        payload = payload.replace("key:abc", "abc")
        words = words._replace(data=words.data.replace("key:…", "…"))
    assert words_of(payload.encode()) == words


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (r'{"auth":"my\/key:abc","a":1}', '{"auth":"…","a":1}'),
        (r'{"auth":"\u006bey:abc"}', '{"auth":"…"}'),
        (r'{"in":"{\"auth\":\"key:abc\",\"a\":1}"}', r'{"in":"{\"auth\":\"…\",\"a\":1}"}'),
        ('{"auth":"","a":"b"}', '{"auth":"","a":"b"}'),
        (f'{{"auth":"{"x" * 5_000}"}}', '{"auth":"…'),
    ],
)
def test_no_signature_is_shown(data: str, shown: str) -> None:
    assert words_of(f'{{"event":"e","data":{data}}}'.encode()).data == shown


def test_long_data_is_cut_off() -> None:
    words = words_of(json.dumps({"event": "e", "data": "x" * 100_000}).encode())

    assert words.data == "x" * 2_000 + "…"
    assert len(words_of(b"x" * 100_000).data) == 2_001


def test_half_an_emoji_does_not_break_the_line() -> None:
    data = words_of(b'{"event":"e","data":"\\ud83d"}').data
    assert data.encode()


class Gathering:
    """Gathered lines, and a loop whose timers the test ends."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.lines = GatheredLines(
            lambda lines, left_out: self.sent.append((len(lines), left_out)),
            lambda seconds, callback: self.due.append((seconds, callback)),
        )

    def pass_time(self) -> None:
        ((seconds, callback),) = self.due
        assert seconds == PERIOD
        self.due.clear()
        callback()


def test_lines_are_sent_together_and_what_is_too_much_is_counted() -> None:
    gathering = Gathering()
    for _ in range(MAX_LINES + 7):
        gathering.lines.add(LINE)
    gathering.lines.leave_out(3)
    assert gathering.sent == []

    gathering.pass_time()
    assert gathering.sent == [(MAX_LINES, 10)]

    gathering.lines.add(LINE)
    gathering.pass_time()
    assert gathering.sent[1:] == [(1, 0)]


def test_without_lines_nothing_is_sent() -> None:
    assert Gathering().due == []


def test_many_nodes_together_send_no_more_than_one_may() -> None:
    now = 0.0
    got: list[TailLines] = []
    limited = LimitedLines(got.append, lambda: now)

    for _ in range(3):
        limited(TailLines("t", [LINE] * 60, 1))
    assert [(len(lines.lines), lines.left_out) for lines in got] == [(60, 1), (40, 21), (0, 61)]

    now += PERIOD
    limited(TailLines("t", [LINE] * 60))
    assert (len(got[-1].lines), got[-1].left_out) == (60, 0)


@pytest.mark.parametrize("beginning", ["auth", '"auth":', '"auth":' + "\\" * 1_990 + '"', '"auth":' + "\\" * 15 + '"'])
def test_a_message_full_of_backslashes_takes_no_longer_than_others(beginning: str) -> None:
    def seconds(filling: str) -> float:
        data = (beginning + filling * 4_000)[:3_999]
        payload = json.dumps({"event": "e", "data": data}).encode()
        return min(timeit.repeat(lambda: words_of(payload), number=1, repeat=5))

    assert seconds("\\") < 30 * seconds("a")

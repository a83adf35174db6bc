"""The journal of what endpoints were told of: what is in it after each death, and its size."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from soundpost.errors import StartError
from soundpost.server.webhooks import journal as module
from soundpost.server.webhooks.journal import Journal
from soundpost.server.webhooks.states import State
from support.dispatching import Stage

A: State = ("channel_occupied", "a", "")
B: State = ("member_added", "presence-b", "ann")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "webhooks-8080.journal"


def at_once(callback: Callable[[], None]) -> None:
    callback()


def read(path: Path) -> dict[str, list[tuple[tuple[str, str, str], bool]]]:
    """What a next process finds."""
    journal = Journal(path, at_once)
    try:
        return {app_id: states for app_id, states in journal.states() if states}
    finally:
        journal.close()


def test_states_are_there_for_the_next_process(path: Path) -> None:
    journal = Journal(path, at_once)
    journal.note("1", A, is_sure=False)
    journal.note("1", B, is_sure=False)
    journal.note("1", A, is_sure=True)
    journal.note("2", B, is_sure=True)
    journal.remove("2", B)
    journal.remove("2", A)
    journal.write()
    journal.close()
    assert read(path) == {"1": [(A, True), (B, False)]}
    assert path.read_text() == '["+","1","channel_occupied","a",""]\n["~","1","member_added","presence-b","ann"]\n'
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_that_is_not_whole_is_left_out(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'["+","1","channel_occupied","a",""]\n\xff\n["+","1"]\n["+","1","channel_occ')
    assert read(path) == {"1": [(A, True)]}


def test_only_one_process_may_have_it(path: Path) -> None:
    journal = Journal(path, at_once)
    with pytest.raises(StartError, match="is in use by another process: each server needs a state_dir or a port of"):
        Journal(path, at_once)
    journal.close()
    Journal(path, at_once).close()


def test_a_folder_that_cannot_be_used_is_named(path: Path) -> None:
    path.parent.write_text("")
    with pytest.raises(StartError, match=r"^\[server\] state_dir: .*webhooks-8080\.journal cannot be written: "):
        Journal(path, at_once)


def test_it_is_written_anew_when_it_has_grown(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SMALL", 1_000)
    later: list[Callable[[], None]] = []
    journal = Journal(path, later.append)
    journal.note("1", B, is_sure=True)
    rewritten = 0
    for number in range(100):
        journal.note("1", ("channel_occupied", str(number), ""), is_sure=True)
        journal.remove("1", ("channel_occupied", str(number - 5), ""))
        journal.write()
        journal.note("1", ("channel_occupied", f"b{number}", ""), is_sure=True)  # perhaps while it is written anew
        journal.remove("1", ("channel_occupied", f"b{number - 1}", ""))
        journal.write()
        while later:
            later.pop()()
            rewritten += 1
        assert path.stat().st_size < 1_500
    journal.close()
    assert 5 < rewritten < 50
    states = [B, *(("channel_occupied", name, "") for name in ("95", "96", "97", "98", "99", "b99"))]
    assert {app_id: sorted(found) for app_id, found in read(path).items()} == {
        "1": sorted((state, True) for state in states)
    }
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_states_of_an_app_are_forgotten_some_in_a_turn_but_for_those_that_begin_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LINES_AT_ONCE", 1)
    soon: list[Callable[[], None]] = []
    journal = Journal(path, soon.append)
    journal.turn_clock = itertools.count().__next__  # a line takes a whole turn
    states: list[State] = [("channel_occupied", name, "") for name in "abcd"]
    for state in states:
        journal.note("1", state, is_sure=True)
    journal.write()
    lines = [len(path.read_text().splitlines())]
    journal.forget("1")
    journal.note("1", states[2], is_sure=True)
    while soon:
        lines.append(len(path.read_text().splitlines()))
        soon.pop(0)()
    assert lines == [4, 5, 7, 7, 8]
    assert dict(journal.states()) == {"1": [(states[2], True)]}
    journal.close()
    assert read(path) == {"1": [(states[2], True)]}


def test_what_ends_while_the_journal_is_written_anew_is_not_in_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LINES_AT_ONCE", 1)
    monkeypatch.setattr(module, "_SMALL", 100)
    soon: list[Callable[[], None]] = []
    journal = Journal(path, soon.append)
    states: list[State] = [("channel_occupied", name, "") for name in "abcd"]
    for state in states:
        journal.note("1", state, is_sure=True)
    journal.note("2", A, is_sure=True)
    journal.write()
    assert soon
    journal.remove("1", states[0])
    journal.remove("1", states[3])
    journal.note("1", states[1], is_sure=False)
    journal.forget("2")
    while soon:
        soon.pop(0)()
    journal.close()
    assert read(path) == {"1": [(states[1], False), (states[2], True)]}


class Disk:
    """A disk that may be full."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.room = 10
        self._write = os.write
        self.journal = Journal(path, at_once, clock=lambda: self.now)
        self.note(A)
        monkeypatch.setattr(os, "write", self.write)

    def write(self, file: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._write(file, data[: self.room])
        self.room -= written
        return written

    def note(self, *states: State) -> None:
        for state in states:
            self.journal.note("1", state, is_sure=True)
        self.journal.write()


@pytest.fixture
def disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(path, monkeypatch)


def test_a_full_disk_is_logged(disk: Disk, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        disk.note(("channel_occupied", str(number), ""))
        disk.now += 60
    (record,) = caplog.records
    assert "cannot be written: No space left on device; after a crash" in record.getMessage()
    disk.journal.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_was_noted_on_a_full_disk_is_written_when_there_is_room(disk: Disk, path: Path) -> None:
    disk.journal.remove("1", A)
    disk.note(B)
    disk.room = 1_000_000
    disk.note(("channel_occupied", "b", ""))
    disk.now += 10
    disk.note(("channel_occupied", "c", ""))
    os.close(disk.journal._file)
    states = [B, ("channel_occupied", "b", ""), ("channel_occupied", "c", "")]
    assert read(path) == {"1": [(state, True) for state in states]}


def test_what_was_noted_on_a_full_disk_is_written_at_the_end(disk: Disk, path: Path) -> None:
    disk.note(B)
    disk.room = 1_000_000
    disk.journal.close()
    assert read(path) == {"1": [(A, True), (B, True)]}


# What is in it, as the dispatcher keeps it


class Life:
    """Dispatchers one after the other, with the same journal; each may be killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.stage: Stage
        self.begin()

    def begin(self) -> None:
        journal = Journal(self._path, at_once)
        self.stage = Stage(journal=journal)
        self.stage.dispatcher.begin()

    def is_killed(self) -> None:
        journal = self.stage.dispatcher.journal
        assert journal is not None
        os.close(journal._file)
        self.begin()


@pytest.fixture
def life(path: Path) -> Life:
    return Life(path)


def test_after_a_kill_who_does_not_come_back_is_told_gone(life: Life) -> None:
    life.stage.add("channel_occupied a", "channel_occupied b", "member_added presence-c ann")
    life.stage.took()
    life.is_killed()
    life.stage.add("channel_occupied a")
    assert life.stage.took() == []
    life.stage.pass_time(30)
    assert life.stage.took() == ["channel_vacated b", "member_removed presence-c ann"]
    life.is_killed()
    life.stage.pass_time(30)
    assert life.stage.took() == ["channel_vacated a"]
    life.is_killed()
    life.stage.pass_time(30)
    assert life.stage.took() == []


def test_an_end_that_was_held_back_at_a_kill_is_told(life: Life) -> None:
    life.stage.add("channel_occupied a")
    life.stage.took()
    life.stage.add("channel_vacated a")
    life.stage.pass_time(2)
    life.is_killed()
    life.stage.pass_time(30)
    assert life.stage.took() == ["channel_vacated a"]


def test_a_beginning_that_was_never_sent_is_sent_when_it_is_there_again(life: Life) -> None:
    life.stage.add("client_event x")
    life.stage.pass_time()
    life.stage.add("channel_occupied a")  # waits for the answer
    life.is_killed()
    life.stage.add("channel_occupied a")
    assert life.stage.took() == ["channel_occupied a"]


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_beginning_whose_answer_was_not_there_is_sent_again_or_ended(life: Life, comes_back: bool) -> None:
    life.stage.add("channel_occupied a")
    life.stage.pass_time()
    life.is_killed()
    life.stage.add(*["channel_occupied a"] * comes_back)
    life.stage.pass_time(30)
    assert life.stage.took() == ["channel_occupied a" if comes_back else "channel_vacated a"]


@pytest.mark.parametrize("comes_back", [True, False])
def test_an_end_whose_answer_was_not_there_is_sent_again_or_followed_by_a_beginning(
    life: Life, comes_back: bool
) -> None:
    life.stage.add("channel_occupied a")
    life.stage.took()
    life.stage.add("channel_vacated a")
    life.stage.pass_time(3)
    assert life.stage.endpoint.is_asked
    life.is_killed()
    life.stage.add(*["channel_occupied a"] * comes_back)
    life.stage.pass_time(30)
    assert life.stage.took() == ["channel_occupied a" if comes_back else "channel_vacated a"]


def test_a_beginning_that_follows_an_end_stays_in_the_journal(life: Life) -> None:
    life.stage.add("channel_occupied a")
    life.stage.took()
    life.stage.add("channel_vacated a")
    life.stage.pass_time(3)
    life.stage.add("channel_occupied a")
    assert life.stage.took() == ["channel_vacated a", "channel_occupied a"]
    life.is_killed()
    life.stage.add("channel_occupied a")
    assert life.stage.took() == []


def test_states_of_an_app_that_is_gone_are_forgotten(life: Life, path: Path) -> None:
    life.stage.add("channel_occupied a")
    life.stage.took()
    life.stage.dispatcher.configure([])
    life.stage.dispatcher.close()
    assert read(path) == {}


def test_a_restart_with_a_new_journal_notes_what_was_told_and_nothing_that_waits(path: Path) -> None:
    before = Stage()
    before.add("channel_occupied a", "channel_occupied b")
    before.took()
    before.add("channel_vacated b")
    before.pass_time(3)  # on its way, and then what never was
    before.add("channel_occupied c")
    journal = Journal(path, at_once)
    journal.note("1", ("channel_occupied", "b", ""), is_sure=True)
    journal.note("1", ("channel_occupied", "d", ""), is_sure=True)
    after = Stage(journal=journal)
    after.dispatcher.begin(before.dispatcher.as_bytes())
    os.close(journal._file)
    assert read(path) == {"1": [(("channel_occupied", "b", ""), True), (A, True)]}

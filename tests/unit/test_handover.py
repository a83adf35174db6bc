"""State that a process hands over to the program that it executes next."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from soundpost.server.processes.handover import hand_over, taken_over

VARIABLE = "_SOUNDPOST_HANDOVER"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")


def next_descriptor() -> int:
    file = os.dup(2)
    os.close(file)
    return file


def test_every_part_is_taken_over_once() -> None:
    parts = {"history": b"\n\x00" * 100_000, "empty": b""}
    hand_over({name: lambda data=data: data for name, data in parts.items()})  # type: ignore[misc]
    assert taken_over() == parts
    assert taken_over() == {}


def test_the_next_program_of_the_process_takes_the_state_over() -> None:
    program = (
        "import os, sys\n"
        "from soundpost.server.processes.handover import hand_over, taken_over\n"
        "found = taken_over()\n"
        "if found: print(found); sys.exit()\n"
        "hand_over({'a': lambda: b'state'})\n"
        "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1], sys.argv[1]])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{'a': b'state'}\n", "")


def test_children_do_not_take_it_over() -> None:
    hand_over({"a": lambda: b"state"})
    program = "from soundpost.server.processes.handover import taken_over; print(taken_over())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "{}\n"
    taken_over()


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), MemoryError()])
def test_without_room_the_next_program_begins_without_the_state(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> bytes:
        raise failure

    before = next_descriptor()
    with caplog.at_level(logging.WARNING):
        hand_over({"a": lambda: b"state", "b": fail})
    assert taken_over() == {}
    assert next_descriptor() == before, "a file is left open"
    assert "cannot be handed over" in caplog.text


def test_a_file_that_is_cut_short_is_not_taken_over(caplog: pytest.LogCaptureFixture) -> None:
    hand_over({"a": lambda: b"state"})
    os.truncate(int(os.environ[VARIABLE].partition(":")[2]), 5)
    with caplog.at_level(logging.WARNING):
        assert taken_over() == {}
    assert "cannot be read" in caplog.text


def test_where_no_file_lies_in_memory_it_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    hand_over({"a": lambda: b"state"})
    assert taken_over() == {"a": b"state"}

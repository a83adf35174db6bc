"""Values that forked processes do not share."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from soundpost.per_process import PerProcess

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="without os.fork every process is new")


def in_a_child(look: Callable[[], bool]) -> bool:
    """Tell whether ``look`` returns true in a forked process."""
    pid = os.fork()
    if pid == 0:
        held = False
        try:
            held = look()
        finally:
            os._exit(0 if held else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_process_keeps_its_value_and_a_child_makes_another() -> None:
    forgotten: list[list[int]] = []
    own: PerProcess[list[int]] = PerProcess(list, forgotten.append)
    own().append(1)
    assert own() == [1]
    assert in_a_child(lambda: own() == [] and own() is own() and forgotten == [[1]])
    assert in_a_child(lambda: in_a_child(lambda: own() == [] and forgotten == [[1]]))
    assert own() == [1]
    assert forgotten == []


def test_a_lock_that_is_held_at_the_fork_is_free_in_the_child() -> None:
    lock = PerProcess(threading.Lock)
    with lock():
        assert in_a_child(lambda: lock().acquire(timeout=0))


def test_threads_that_ask_at_the_same_time_get_the_same() -> None:
    barrier = threading.Barrier(4)

    def make() -> object:
        barrier.wait()
        return object()

    own = PerProcess(make)
    values: list[object] = []
    threads = [threading.Thread(target=lambda: values.append(own())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(values)) == 1

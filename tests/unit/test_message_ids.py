"""Ids of messages: no two are alike, whichever thread or process made them."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from soundpost.broadcasting.message import Message


def made(count: int) -> list[str]:
    return [Message(("a",), "e", "{}").id for _ in range(count)]


def test_threads_make_no_id_twice() -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = [each for found in pool.map(made, [200] * 8) for each in found]

    assert len(set(ids)) == 1_600
    assert all(id.isascii() and id.isprintable() and len(id) <= 24 for id in ids)


def test_a_message_of_another_process_keeps_its_id() -> None:
    message = Message(("a",), "e", "{}")

    assert pickle.loads(pickle.dumps(message)).id == message.id


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_message_has_its_id(copied: Callable[[Message], Message]) -> None:
    message = Message(("a",), "e", "{}")

    assert copied(message).id == message.id


@pytest.mark.skipif(not hasattr(os, "fork"), reason="without os.fork every process is new")
def test_a_forked_process_makes_other_ids() -> None:
    made(1)
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(writer, made(1)[0].encode())
        os._exit(0)
    os.waitpid(pid, 0)

    assert os.read(reader, 100).decode() not in made(10)
    os.close(reader)
    os.close(writer)

"""The channels with kept events, as Redis names them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from conformance.protocol.stage import APP, Stage
from soundpost.backplane import SingleNode
from soundpost.backplane.redis.login import Address, Login
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.registry import RedisRegistry
from soundpost.backplane.redis.servers import Standalone
from soundpost.core.app_settings import HistorySettings
from soundpost.core.peers import HistoryChannelsQuery, HistoryDeletion
from soundpost.server.api.history import delete_history
from soundpost.server.api.requests import Request


async def test_a_deletion_by_a_pattern_is_refused_while_redis_is_away() -> None:
    app = msgspec.structs.replace(APP, history=(HistorySettings(channels=("*",)),))
    redis = Redis(Standalone(Address("127.0.0.1", 1), Login()), "test")
    registry = RedisRegistry([app], redis, loop=asyncio.get_running_loop())
    stage = Stage(app, peers=SingleNode(registry))
    request = Request(b"DELETE", b"/apps/1/channels/a-*/history", "1.1", [], b"", True)
    response = delete_history(request, stage.app, {}, "a-*").response
    assert response is not None
    assert response.status == 503
    assert "Redis is away" in json.loads(response.body)["error"]


def test_a_channel_that_redis_names_twice_is_deleted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(msgspec.structs.replace(APP, history=(HistorySettings(channels=("*",)),)))
    stage.node.call_soon = lambda callback: callback()
    deleted: list[str] = []

    def ask(query: Any, then: Any) -> None:
        if isinstance(query, HistoryChannelsQuery):
            then([b'["a-1","a-2","b"]', b'["a-2"]'])
        else:
            assert isinstance(query, HistoryDeletion)
            deleted.append(query.channel)
            then("position")

    monkeypatch.setattr(stage.node.peers, "ask", ask)
    request = Request(b"DELETE", b"/apps/1/channels/a-*/history", "1.1", [], b"", True)
    response = delete_history(request, stage.app, {}, "a-*").response
    assert response is not None
    assert json.loads(response.body) == {"channels": 2}
    assert sorted(deleted) == ["a-1", "a-2"]

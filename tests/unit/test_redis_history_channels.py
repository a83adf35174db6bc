"""The channels with kept events are not known while Redis is away."""

from __future__ import annotations

import asyncio
import json

import msgspec

from conformance.protocol.stage import APP, Stage
from soundpost.backplane import SingleNode
from soundpost.backplane.redis.login import Address, Login
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.registry import RedisRegistry
from soundpost.backplane.redis.servers import Standalone
from soundpost.core.app_settings import HistorySettings
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

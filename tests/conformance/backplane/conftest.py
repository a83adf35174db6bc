"""Every test of this folder runs with each backplane of ``BACKPLANES``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

import msgspec
import pytest

from conformance.backplane.cluster import Cluster, RunCluster, Setup, Start
from conformance.backplane.hub_cluster import hub_cluster
from conformance.backplane.redis_cluster import redis_cluster
from conformance.protocol.stage import APP
from soundpost.core.app_settings import AppSettings
from soundpost.core.observer import Observer

BACKPLANES: Final[dict[str, RunCluster]] = {"hub": hub_cluster, "redis": redis_cluster}


@pytest.fixture(params=list(BACKPLANES))
def run_cluster(request: pytest.FixtureRequest) -> RunCluster:
    """Runs a cluster with one of the backplanes."""
    return BACKPLANES[request.param]


@pytest.fixture
async def start(run_cluster: RunCluster) -> AsyncIterator[Start]:
    """Starts clusters that are stopped at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(
            *apps: AppSettings,
            nodes: int = 3,
            server_max_connections: int | None = None,
            observer: Callable[[], Observer] | None = None,
            **options: Any,
        ) -> Cluster:
            served = apps or (msgspec.structs.replace(APP, **options),)
            return await stack.enter_async_context(run_cluster(Setup(served, nodes, server_max_connections, observer)))

        yield start


@pytest.fixture
async def cluster(start: Start) -> Cluster:
    """Three nodes that serve one app."""
    return await start()

"""Jobs that broadcast in the background, for the workers of every library."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from support.background_programs import EVENTS


def tell(who: str) -> None:
    """Broadcast the events, one right after the other; leave a file with the name when it is done."""
    import soundpost

    for number in range(EVENTS):
        soundpost.publish("orders", f"{who} {number}")
    Path(who).touch()


def celery_app(url: str | None = None) -> Any:
    from celery import Celery

    app: Any = Celery("jobs", broker=url or os.environ["REDIS_URL"], include=["support.background_celery"])
    app.conf.broker_connection_retry_on_startup = True
    return app


def dramatiq_actor(url: str | None = None) -> Any:
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    return dramatiq.actor(tell, broker=RedisBroker(url=url or os.environ["REDIS_URL"]))


def huey_task(url: str | None = None) -> Any:
    from huey import RedisHuey

    return RedisHuey("jobs", url=url or os.environ["REDIS_URL"]).task(name="tell")(tell)

"""A Celery application, as its worker imports it."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

app: Any = Celery("orders", broker=os.environ["REDIS_URL"], include=["soundpost.contrib.celery"])
app.conf.broker_connection_retry_on_startup = True

"""The job as a task of Celery, which children that are spawned have to import."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from support import background_jobs

tell: Any = shared_task(name="tell")(background_jobs.tell)

"""Broadcasting for Django: ``INSTALLED_APPS += ["soundpost.django"]``.

Settings, system checks, channel routes in ``channels.py``, auth views, events after the commit, models that broadcast.
"""

from soundpost.django.guards import drf_guard
from soundpost.django.middleware import SocketIdMiddleware
from soundpost.django.model_events import broadcast_models, broadcasts, without_broadcasting
from soundpost.django.seen_events import SeenInCache
from soundpost.django.transactions import commit_of

__all__ = [
    "SeenInCache",
    "SocketIdMiddleware",
    "broadcast_models",
    "broadcasts",
    "commit_of",
    "drf_guard",
    "without_broadcasting",
]

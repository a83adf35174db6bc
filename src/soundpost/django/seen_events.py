"""Deduplication of webhooks' events by Django's cache."""

from __future__ import annotations

from django.core.cache import caches

from soundpost.webhooks.seen_events import SECONDS_REMEMBERED


class SeenInCache:
    """A memory of handled events in Django's cache called ``alias``, for all processes of the application."""

    def __init__(self, alias: str = "default") -> None:
        self._cache = caches[alias]

    def has(self, key: str) -> bool:
        """Return whether a key is remembered."""
        return self._cache.get(f"soundpost:webhooks:{key}") is not None

    def add(self, key: str) -> None:
        """Remember a key."""
        self._cache.set(f"soundpost:webhooks:{key}", 1, SECONDS_REMEMBERED)

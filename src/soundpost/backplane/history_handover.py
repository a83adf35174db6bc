"""Kept events as bytes, in which one process hands them over to the next."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from soundpost.backplane.app_history import AppHistory
from soundpost.core.app_settings import HistorySettings
from soundpost.core.history import GapReason, KeptEvent
from soundpost.core.history_rules import HistoryRules


class _Channel(Struct, array_like=True):
    floor: int
    reason: GapReason
    age: int
    events: list[KeptEvent]
    key_id: str | None = None


class _App(Struct, array_like=True):
    floor: int
    settings: tuple[HistorySettings, ...] | None
    earlier: list[tuple[tuple[HistorySettings, ...], int]]
    channels: dict[str, _Channel]


class _State(Struct, array_like=True):
    generation: str
    top: int
    apps: dict[str, _App]


def encode(generation: str, top: int, apps: Mapping[str, AppHistory]) -> bytes:
    """Return the histories of apps as bytes; ``top`` is the last offset."""
    return msgspec.msgpack.encode(_State(generation, top, {app_id: _app(app) for app_id, app in apps.items()}))


def decode(data: bytes) -> tuple[str, int, dict[str, AppHistory]]:
    """Return generation, last offset and the histories of apps. Raise msgspec.DecodeError for other bytes."""
    state = msgspec.msgpack.decode(data, type=_State)
    return state.generation, state.top, {app_id: _read_app(app) for app_id, app in state.apps.items()}


def _app(app: AppHistory) -> _App:
    channels = {
        name: _Channel(channel.floor, channel.reason, channel.age, channel.events[:], channel.key_id)
        for name, channel in app.channels.items()
    }
    return _App(app.floor, app.settings, [(settings, top) for settings, _, top in app.earlier], channels)


def _read_app(state: _App) -> AppHistory:
    app = AppHistory()
    app.floor, app.settings = state.floor, state.settings
    app.rules = HistoryRules(state.settings or ())
    app.earlier.extend((settings, HistoryRules(settings), top) for settings, top in state.earlier)
    for name, old in state.channels.items():
        channel = app.channel(name)
        channel.floor, channel.reason, channel.age = old.floor, old.reason, old.age
        channel.key_id = old.key_id
        app.size += sum([channel.append(event, len(old.events))[0] for event in old.events])
        if channel.events:
            app.expiry.note(channel)
        else:
            app.note_empty(channel)
    return app

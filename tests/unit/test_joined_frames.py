"""Joined frames taken apart again, for transports that send whole messages."""

from __future__ import annotations

from soundpost.wire.frames import frame_payloads, text_frame


def test_payloads_of_all_lengths() -> None:
    payloads = [b"x" * size for size in (0, 1, 125, 126, 65_535, 65_536, 3)]
    assert list(frame_payloads(b"".join(map(text_frame, payloads)))) == payloads


def test_nothing_has_no_payload() -> None:
    assert list(frame_payloads(b"")) == []

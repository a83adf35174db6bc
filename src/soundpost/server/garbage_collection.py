"""Garbage collection of a process with very many objects that stay."""

from __future__ import annotations

import gc


def spare_the_loop() -> None:
    """Limit the objects that each garbage collection visits, because a collection stops the loop.

    Objects that exist now stay, so the collector need not look at them again. Connections are freed by reference
    counts. Cycles are rare, and so are full collections: one with 100,000 channels takes 40 ms and more. The young
    objects of a collection are few, so that it takes no more than some milliseconds while very many clients connect.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(500, 4, 20_000)

"""``soundpost bench``: load for any Pusher-compatible server, and honest figures of what came of it.

One process leads (``run``); others hold the connections (``swarm``) and publish (``publishing``). ``report`` is what
they found together, ``table`` and ``plot`` show it.
"""

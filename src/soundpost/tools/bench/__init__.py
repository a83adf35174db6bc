"""Load test for any Pusher-compatible server, for ``soundpost bench``.

One process leads (``run``); others hold the connections (``receivers``) and publish (``publishing``). ``report`` has
the figures of all processes, ``table`` and ``plot`` show them.
"""

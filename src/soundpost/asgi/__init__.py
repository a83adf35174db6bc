"""The realtime server inside an ASGI application: one port, one origin, one process.

It speaks what the daemon speaks, by the same core; only bytes and timers are the ASGI server's. For development and
small sites: it is slower than ``soundpost start``, and every process of the application would be a server of its own.
"""

from soundpost.asgi.app import App, apps_of

__all__ = ["App", "apps_of"]

"""The realtime server embedded in an ASGI application: one port, one origin, one process.

The protocol and the HTTP API are those of ``soundpost start``; sockets are the ASGI server's affair. Meant for
development and small sites: an embedded server is slower, and each process of the application has one of its own.
"""

from soundpost.asgi.app import App, apps_of

__all__ = ["App", "apps_of"]

"""Clients of any Pusher-compatible server: ``publish`` (HTTP API, httpx) and ``connection`` (WebSocket, websockets).

Import from the module: each brings its own library, and neither is loaded by ``import soundpost``.
"""

"""Sockets: HTTP, WebSockets, TLS, listening, and the fan-out to them."""

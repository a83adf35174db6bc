"""Clients' connections: listening, TLS, HTTP, WebSockets, and the fan-out of events."""

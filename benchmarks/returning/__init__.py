"""Clients that come back at once when they are sent away, as pusher-js does."""

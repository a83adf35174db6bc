"""One node's state: apps, connections, channels, presence, users, cache, limits. No sockets, never awaits."""

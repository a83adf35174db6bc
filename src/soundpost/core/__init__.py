"""State and rules of one node: apps, connections, channels, members, users, limits. No sockets, never awaits."""

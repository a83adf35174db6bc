"""Very many subscribed clients: what connects them, the server that they are at, and what both need."""

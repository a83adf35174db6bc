"""The server that ``soundpost start`` runs: asyncio I/O around the core, one port for WebSockets and the HTTP API."""

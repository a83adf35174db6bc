"""The server: asyncio I/O around the core. One port for WebSockets and the HTTP API."""

"""TLS before and in the server: programs that end it, and clients that speak it."""

"""The playground: a page to try the server with. The server signs for the page; the secret never reaches a browser."""

"""The playground: a page to try the server in. It signs on the server's side; the secret never reaches a browser."""

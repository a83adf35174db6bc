"""Questions of operators to all nodes: the pages of workers and hosts, joined, and tails of all of them."""

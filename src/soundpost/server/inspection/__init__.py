"""What operators ask of all nodes: the pages of workers and hosts, joined, and tails of all of them."""

"""Broadcasting with other people's libraries: task queues that carry events, transactions that events wait for."""

"""Broadcasting with other libraries: task queues that carry events, transactions that events wait for."""

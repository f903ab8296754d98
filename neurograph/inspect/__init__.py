"""Looking at networks: in words, in numbers, node by node."""

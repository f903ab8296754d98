"""Pictures of networks: every node, boxes of layers, unrolled time, programs, weights as maps."""

"""The object graph: nodes, connections, bundles, layers and networks."""

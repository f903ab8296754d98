"""Networks from and for other programs: networkx, edge lists, GraphML, NEAT."""

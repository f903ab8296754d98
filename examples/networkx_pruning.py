"""A trained network as a networkx graph: paths, centrality, components; pruned there and back.

python examples/networkx_pruning.py
"""

import sys

import networkx as nx

import neurograph as ng


def prune(graph: nx.MultiDiGraph, share: float) -> nx.MultiDiGraph:
    """Return the graph without its weakest edges, and without nodes that lie on no way through."""
    pruned = graph.copy()
    weights = nx.get_edge_attributes(pruned, "weight")
    free = [edge for edge in weights if pruned.nodes[edge[0]]["role"] != "const"]
    free.sort(key=lambda edge: abs(weights[edge]))
    pruned.remove_edges_from(free[: round(share * len(free))])
    inputs, outputs = graph.graph["inputs"], graph.graph["outputs"]
    reached = set(inputs).union(*(nx.descendants(pruned, name) for name in inputs))
    needed = set(outputs).union(*(nx.ancestors(pruned, name) for name in outputs))
    idle = [
        name
        for name, data in pruned.nodes(data=True)
        if data["role"] == "units" and not (name in reached and name in needed)
    ]
    pruned.remove_nodes_from(idle)
    return pruned


def main(quick: bool = False) -> tuple[float, float, float]:
    data = ng.datasets.iris().scaled(ng.datasets.Standardizer()).one_hot()
    net = ng.Network(
        [ng.Input((4,)), ng.Dense(16, activation="tanh"), ng.Dense(3, activation="softmax")],
        name="iris",
        seed=0,
    )
    score = {"loss": "categorical_crossentropy", "metrics": ["accuracy"]}
    model = net.compile("adam(0.02)", **score)
    model.fit(*data.train, epochs=20 if quick else 60, batch_size=16, verbose=0)
    _, before = model.evaluate(*data.test)

    graph = net.to_networkx()
    print(graph)
    for *_, edge in graph.edges(data=True):
        edge["length"] = 1 / (abs(edge["weight"]) + 1e-9)  # strong connections are short
    path = nx.shortest_path(graph, "input[2]", "dense_1[2]", weight="length")
    print(f"strongest path from {data.feature_names[2]} to {data.class_names[2]}:", *path)
    ends = graph.graph["inputs"], graph.graph["outputs"]
    central = nx.betweenness_centrality_subset(graph, *ends, weight="length")
    print("most central:", *sorted(central, key=central.get, reverse=True)[:3])
    print("components:", nx.number_weakly_connected_components(graph))

    pruned = ng.from_networkx(prune(graph, 0.6))
    model = pruned.compile("adam(0.01)", **score)
    _, after = model.evaluate(*data.test)
    model.fit(*data.train, epochs=10 if quick else 30, batch_size=16, verbose=0)
    _, tuned = model.evaluate(*data.test)
    print(f"{len(net.connections)} connections: {before:.1%} right")
    print(f"{len(pruned.connections)} connections: {after:.1%}, trained on: {tuned:.1%}")
    print(pruned)
    return before, after, tuned


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)

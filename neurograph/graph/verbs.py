"""The verbs of a network that other rooms carry out: each is imported when it is first used.

This is the one file whose imports go up, so that ``net.compile()`` and ``net.render()`` can be
written as users expect while the graph itself knows nothing of compilers and pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurograph.graph.node import Node


class NetworkVerbs:
    """What a network can do, besides being a graph."""


def explain_node(node: Node) -> str:
    """Return the arithmetic of a node with its numbers."""
    from neurograph.inspect.explain import explain_node as explain

    return explain(node)

"""The verbs of a network that other rooms carry out: each is imported when it is first used.

This is the one file whose imports go up, so that ``net.compile()`` and ``net.render()`` can be
written as users expect while the graph itself knows nothing of compilers and pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from neurograph.graph.network import Network
    from neurograph.graph.node import Node
    from neurograph.inspect.summary import Summary
    from neurograph.storage.atomic import StrPath


class NetworkVerbs:
    """What a network can do, besides being a graph."""

    def get_weights(self) -> list[NDArray[Any]]:
        """Return copies of all weights, in Keras's order and layouts, hand-made ones last."""
        from neurograph.layers.weights import get_weights

        return get_weights(cast("Network", self))

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Set all weights, given in the order of ``get_weights``.

        Raises
        ------
        ShapeError, DataError
            If their number, a shape or a value cannot be; nothing is changed then.
        """
        from neurograph.layers.weights import set_weights

        set_weights(cast("Network", self), weights)

    def summary(self, *, show: bool = True) -> Summary:
        """Print and return a table: layer, output shape, parameters, connections, sources.

        Parameters
        ----------
        show : bool
            Whether to print it; ``str()`` of what is returned is the same text.
        """
        from neurograph.inspect.summary import Summary

        summary = Summary.of(cast("Network", self))
        if show:
            print(summary)
        return summary

    # files ------------------------------------------------------------------------------------

    def save(self, path: StrPath) -> None:
        """Save structure and weights in one ``.safetensors`` file, there whole or not at all.

        ``ng.load(path)`` gives the network back, bit for bit.

        Raises
        ------
        StorageError
            The file cannot be written; what stood under `path` is as it was.
        DataError, GraphError
            A weight is not finite, or the network holds something that no file can name.
        """
        from neurograph.storage.file import save

        save(path, cast("Network", self))

    def load_weights(self, path: StrPath) -> None:
        """Take over the weights of a file, by name: .safetensors, .npz, JSON or text.

        Raises
        ------
        StorageError, FormatError, UnknownNameError, ShapeError, DataError
            The file is missing or damaged, or does not fit; the network is then as it was.
        """
        from neurograph.storage.loading import load_weights

        load_weights(cast("Network", self), path)

    def to_text(self, path: StrPath | None = None) -> str:
        """Return all weights as readable text, exact to the bit; write it to `path` if given."""
        from neurograph.storage.text import to_text

        return to_text(cast("Network", self), path)

    def from_text(self, text_or_path: StrPath) -> None:
        """Take over weights from what ``to_text`` returned or wrote; see ``load_weights``."""
        from neurograph.storage.loading import from_text

        from_text(cast("Network", self), text_or_path)

    def to_json(self, path: StrPath | None = None) -> str:
        """Return structure and weights as JSON for ``ng.from_json``; write it if given a path."""
        from neurograph.storage.document import to_json

        return to_json(cast("Network", self), path)

    def save_npz(self, path: StrPath) -> None:
        """Save the weights for ``numpy.load``, one array a parameter, under its name."""
        from neurograph.storage.npz import save_npz

        save_npz(cast("Network", self), path)

    def load_npz(self, path: StrPath) -> None:
        """Take over the weights of a ``.npz`` file, by name; see ``load_weights``."""
        from neurograph.storage.loading import load_npz

        load_npz(cast("Network", self), path)


def explain_node(node: Node) -> str:
    """Return the arithmetic of a node with its numbers."""
    from neurograph.inspect.explain import explain_node as explain

    return explain(node)

"""The view of nodes: every neuron and connection, weights as width and colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from neurograph.render.arrange import arrange
from neurograph.render.key import notes_of, title_of
from neurograph.render.options import Options
from neurograph.render.painter import Painter
from neurograph.render.picture import Picture
from neurograph.render.wires import Flat, add_wires

if TYPE_CHECKING:
    from neurograph.graph.network import Network


def nodes_picture(
    network: Network, options: Options, snapshot: Mapping[int, Flat] | None = None
) -> Picture:
    """Return the picture of the nodes of a network.

    Parameters
    ----------
    snapshot : mapping, optional
        Other weights than the present ones: flat arrays by ``id(parameter)``.
    """
    scene = arrange(network, options)
    add_wires(network, scene, options, snapshot)
    picture = Picture(network.name)
    painter = Painter(picture, scene, options, output_places(network))
    painter.paint(title_of(network, options), notes_of(network, scene, options))
    return picture


def output_places(network: Network) -> set[tuple[int, int]]:
    """Return (identity of the layer, index) of every output node, of layers of any likely size."""
    return {
        (id(port.layer), index)
        for port in network.outputs
        for index in (range(port.layer.size) if port.indices is None else port.indices)
    }

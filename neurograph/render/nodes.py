"""The view of nodes: every neuron and connection, weights as width and colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurograph.graph.trees import goes_along_trees
from neurograph.render.arrange import arrange
from neurograph.render.key import notes_of, title_of
from neurograph.render.options import Options
from neurograph.render.painter import Painter
from neurograph.render.picture import Picture
from neurograph.render.wires import add_wires

if TYPE_CHECKING:
    from neurograph.graph.network import Network


def nodes_picture(network: Network, options: Options) -> Picture:
    """Return the picture of the nodes of a network."""
    scene = arrange(network, options)
    scene.along_trees = goes_along_trees(network)
    add_wires(network, scene, options)
    picture = Picture(network.name)
    painter = Painter(picture, scene, options, network.outputs)
    painter.paint(title_of(network, options), notes_of(network, scene, options))
    return picture

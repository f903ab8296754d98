"""Drawing a network: the view that fits, into a file or a notebook."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from neurograph.errors import unknown
from neurograph.render.options import VIEWS, Options, read_options
from neurograph.render.picture import Picture
from neurograph.storage.atomic import StrPath
from neurograph.storage.figures import picture_format

if TYPE_CHECKING:
    from neurograph.graph.network import Network

SMALL = 150
MOST_LAYERS = 8


def render(
    network: Network, path: StrPath | None = None, view: str = "auto", **options: Any
) -> Picture:
    """Draw a network; see ``Network.render``."""
    if view not in VIEWS:
        raise unknown("view", view, VIEWS)
    chosen = read_options(options, view)
    if path is not None:
        picture_format(path)  # before the work, for its error
    if view == "auto":
        unrolled = chosen.tree is not None or chosen.steps is not None
        view = "unrolled" if unrolled else fitting_view(network)
    if view == "unrolled" and "show" not in options:
        chosen = replace(chosen, show=("weight", "output"))
    picture = _picture(network, view, chosen)
    if path is not None:
        picture.write(path)
    return picture


def fitting_view(network: Network) -> str:
    """Return the view that suits a network: nodes while they can be told apart, else layers.

    >>> from neurograph import Network
    >>> fitting_view(Network([3, 4, 2])), fitting_view(Network([784, 30, 10]))
    ('nodes', 'layers')
    """
    if not network._library:
        return "nodes"  # one box of hand-made nodes would say nothing
    shown = [layer for layer in network.all_layers if layer.role not in ("const", "noise")]
    composite = any(layer.root is not None for layer in shown)
    small = sum(layer.size for layer in shown) <= SMALL and len(shown) <= MOST_LAYERS
    return "nodes" if small and not composite else "layers"


def _picture(network: Network, view: str, options: Options) -> Picture:
    if view == "program":
        from neurograph.render.program import program_picture

        return program_picture(network, options)
    if view == "unrolled":
        from neurograph.render.unrolled import unrolled_picture

        return unrolled_picture(network, options)
    if view == "layers":
        from neurograph.render.layers import layers_picture

        return layers_picture(network, options)
    from neurograph.render.nodes import nodes_picture

    return nodes_picture(network, options)

"""Trees as trees: their words and labels, and the values of a network at each of their nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import DataError, OptionError, ShapeError
from neurograph.graph.layer import ZEROS, Layer
from neurograph.graph.tree import Tree
from neurograph.graph.trees import goes_along_trees
from neurograph.render.curves import Spot, bend
from neurograph.render.fill import hues_of, signs_of, value_cell
from neurograph.render.key import title_of
from neurograph.render.options import Options
from neurograph.render.picture import Picture, words
from neurograph.render.style import FAINT, INK, Hues, clip, markup, short, signed_colour, text_width
from neurograph.samples import number_array
from neurograph.storage.atomic import StrPath
from neurograph.storage.figures import picture_format
from neurograph.words import count

if TYPE_CHECKING:
    from neurograph.graph.network import Network

RADIUS = 13.0
LEVEL = 52.0
WIDEST_WORD = 110.0
CELLS, CELL = 6, 9.0


def draw_tree(
    tree: Any,
    path: StrPath | None = None,
    *,
    values: ArrayLike | None = None,
    title: str = "",
) -> Picture:
    """Draw a tree: leaves in a row, each node above its children.

    Parameters
    ----------
    tree : Tree, or nested tuples whose leaves are words or vectors
    path : path, optional
        Ends in .svg, .png, .pdf or .dot.
    values : array_like, (nodes,) or (nodes, units), optional
        Numbers of each node, children before parents as in ``Tree``: a colour and the number, or a
        row of coloured cells. NaN leaves a node empty.
    title : str

    Returns
    -------
    graphviz.Digraph

    Raises
    ------
    ShapeError
        There is not one row of values for each node.
    DataError
        The tuples make no tree.

    Examples
    --------
    >>> picture = draw_tree((("not", "good"), "enough"), title="a phrase")
    >>> picture.source.count("class=treenode")
    5
    """
    if path is not None:
        picture_format(path)
    found = tree if isinstance(tree, Tree) else Tree.of(tree)
    rows = None if values is None else number_array(values, "draw_tree: values").astype(float)
    if rows is not None and (rows.ndim not in (1, 2) or len(rows) != len(found)):
        raise ShapeError(
            f"draw_tree: values have shape {rows.shape}, expected one number or row for each of "
            f"{count(len(found), 'node')}"
        )
    picture = Picture("tree")
    _Grove(found, picture, rows, hues_of("output")).paint([(title, 10, INK)] if title else [])
    if path is not None:
        picture.write(path)
    return picture


def tree_picture(network: Network, options: Options) -> Picture:
    """Return the picture of one tree with what the last run of a network left at its nodes.

    Raises
    ------
    OptionError
        No tree is given, or the network is not for trees.
    """
    if not goes_along_trees(network):
        raise OptionError(
            f"network {network.name!r} has no layer that goes along trees; ng.draw_tree draws a "
            f"tree alone"
        )
    if options.tree is None:
        raise OptionError(
            f"network {network.name!r} goes along trees: give the one to draw, as in "
            f"net.render(view='unrolled', tree=ng.Tree.of((…, …)))"
        )
    cells = [layer for layer in network.all_layers if "cell" in layer.config]
    tree = _as_tree(options.tree, cells)
    what = options.values[0] if options.values else "output"
    layer = cells[0].parts.get("hidden", cells[0]) if cells else None
    values = None if layer is None or not options.values else _at_nodes(layer, what, tree, options)
    picture = Picture(network.name)
    copies = f"one copy of the cell at each of {count(len(tree), 'node')}"
    notes = [f"{copies}; all copies share their weights"]
    if values is not None and layer is not None:
        units = values.shape[1]
        whose = f"{CELLS} of {units} units" if units > CELLS else count(units, "unit")
        notes.append(f"cells: {what} of {whose} of {layer.name}, {signs_of(what)}")
    elif options.values:
        notes.append(f"no {what}: model.inspect([tree]) leaves it at the nodes")
    lines = [(title_of(network, options), 10, INK), *((note, 9, FAINT) for note in notes)]
    _Grove(tree, picture, values, hues_of(what)).paint(lines)
    return picture


def _as_tree(given: Any, cells: list[Layer]) -> Tree:
    if isinstance(given, Tree):
        return given
    if any(layer.config["cell"] == "child_sum_tree_lstm" for layer in cells):
        return Tree.with_values(given)
    return Tree.of(given)


def _at_nodes(layer: Layer, what: str, tree: Tree, options: Options) -> NDArray[np.float64] | None:
    """Return (nodes, units) of the last run, if that was of a tree of this size."""
    store: Any = getattr(layer, f"_{what}")
    if store is ZEROS:
        return None
    array = np.asarray(store, dtype=float)
    if array.ndim == 3:
        if not -array.shape[1] <= options.sample < array.shape[1]:
            raise OptionError(f"the last run had no sample {options.sample}")
        array = array[:, options.sample]
    if array.ndim != 2 or array.shape[1] != len(tree):
        raise DataError(
            f"layer {layer.name!r}: the last run left values at "
            f"{array.shape[-1] if array.ndim > 1 else 1} nodes, the tree has {len(tree)}; run the "
            f"network on this tree alone first"
        )
    return array.T


class _Grove:
    """The places of the nodes of one tree, and the painting."""

    def __init__(
        self, tree: Tree, picture: Picture, values: NDArray[np.float64] | None, hues: Hues
    ) -> None:
        self.tree, self.picture, self.values, self.hues = tree, picture, values, hues
        self.largest = 0.0 if values is None else float(np.nanmax(np.abs(values), initial=0.0))
        cells = 0 if values is None or values.ndim == 1 else min(values.shape[1], CELLS)
        numbers = [] if values is None or values.ndim == 2 else [short(v, 2) for v in values]
        widest = max((text_width(each, 9.0) for each in numbers), default=0.0)
        self.half = max(
            RADIUS + 3.0 * (values is not None), cells * (CELL + 2) / 2 + 6.0, widest / 2 + 6.0
        )
        self.spots = self._places()

    def _places(self) -> list[Spot]:
        spots: list[Spot] = []
        right = 0.0
        for node in range(len(self.tree)):
            children = self.tree.children_of(node)
            if children:
                x = sum(spots[child].x for child in children) / len(children)
                y = max(spots[child].y for child in children) + LEVEL
            else:
                half = max(self.half, min(text_width(self.word(node), 10.0), WIDEST_WORD) / 2) + 5.0
                x, y = right + half, 0.0
                right += 2 * half
            spots.append(Spot(x, y, self.half, RADIUS))
        return spots

    def word(self, node: int) -> str:
        """Return the word at a node."""
        return (self.tree.words[node] or "") if self.tree.words else ""

    def paint(self, lines: list[tuple[str, int, str]]) -> None:
        """Draw everything, and write lines below: text, size, colour."""
        for node, spot in enumerate(self.spots):
            self.node(node, spot)
            for child in self.tree.children_of(node):
                curve = bend(self.spots[child], spot, 0.0, 5.0)
                self.picture.edge(
                    f"t{child}",
                    f"t{node}",
                    pos=curve.text(True),
                    color=FAINT,
                    arrowsize="0.5",
                    **{"class": "branch"},
                )
            if self.word(node):
                text = clip(self.word(node), WIDEST_WORD, 10.0)
                leaf = not self.tree.children_of(node)
                y = spot.y - RADIUS - 10.0 if leaf else spot.y + RADIUS + 7.0
                self.text(f"word{node}", spot.x, y, text, 10, INK)
        x = (min(s.x for s in self.spots) + max(s.x for s in self.spots)) / 2
        for number, (text, size, colour) in enumerate(lines):
            y = -RADIUS - 44.0 - 15.0 * number
            self.text(f"caption{number}", x, y, text, size, colour)

    def node(self, node: int, spot: Spot) -> None:
        """Draw one node with its label or values."""
        label = "" if self.tree.labels is None else str(self.tree.labels[node])
        shown, fill = markup(label), "#ffffff"
        told = label
        if self.values is None or np.isnan(self.values[node]).any():
            pass
        elif self.values.ndim == 1:
            value = float(self.values[node])
            fill = signed_colour(value, self.largest, self.hues)
            shown, told = markup(short(value, 2)), f"{label} {value:.6g}".strip()
        else:
            row = self.values[node]
            boxes = "".join(
                value_cell(float(value), self.largest, self.hues, CELL) for value in row[:CELLS]
            )
            shown = f'<table border="0" cellspacing="0" cellpadding="0"><tr>{boxes}</tr></table>'
            told = f"{label} [{', '.join(f'{value:.3g}' for value in row)}]".strip()
        self.picture.node(
            f"t{node}",
            label=f'<<font point-size="9">{shown}</font>>' if shown and fill else "",
            shape="box" if self.values is not None and self.values.ndim == 2 else "ellipse",
            style="rounded,filled" if self.values is not None else "filled",
            fillcolor=fill,
            color=INK if node == len(self.tree) - 1 else FAINT,
            penwidth="2" if node == len(self.tree) - 1 else "1",
            pos=f"{spot.x:.1f},{spot.y:.1f}",
            width=f"{2 * spot.half_width / 72:.3f}",
            height=f"{2 * spot.half_height / 72:.3f}",
            fixedsize="true",
            margin="0",
            tooltip=words(f"{self.tree.path(node)} {self.word(node)} {told}".strip()),
            **{"class": "treenode"},
        )

    def text(self, name: str, x: float, y: float, text: str, size: int, colour: str) -> None:
        """Put a line of text at a point."""
        self.picture.node(
            name,
            label=f'<<font point-size="{size}" color="{colour}">{markup(text)}</font>>',
            shape="plaintext",
            pos=f"{x:.1f},{y:.1f}",
            width="0",
            height="0",
            margin="0",
            **{"class": "caption"},
        )

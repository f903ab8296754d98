"""Summary: a network as a table, one row a layer."""

from __future__ import annotations

from dataclasses import dataclass

from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.trees import goes_along_trees
from neurograph.layers.recipe import kind_of
from neurograph.parameter import Parameter

_HEADINGS = ("layer", "output shape", "parameters", "connections", "connected to")


@dataclass(frozen=True, slots=True)
class Row:
    """One layer with its parts: biases, noise, gates.

    Attributes
    ----------
    name, kind, shape : str
        As shown: ``conv2d``, ``Conv2D, relu``, ``(28, 28, 6)``; ``time`` is an axis of time of any
        length, ``60 steps`` one of known length, ``nodes`` those of a tree.
    parameters, connections : int
        Those of a recipe called before are counted there.
    shared : bool
        Whether all its parameters are another layer's.
    sources : tuple of str
        The layers that feed it.
    """

    name: str
    kind: str
    shape: str
    parameters: int
    connections: int
    shared: bool
    sources: tuple[str, ...]

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        shown = list(self.sources[:3])
        if len(self.sources) > 3:
            shown.append(f"… {len(self.sources) - 3} more")
        return (
            f"{self.name} ({self.kind})",
            self.shape,
            "shared" if self.shared else f"{self.parameters:,}",
            f"{self.connections:,}",
            ", ".join(shown),
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """The table of a network; ``str()`` is its text.

    Attributes
    ----------
    title : str
    rows : tuple of Row
    parameters, trainable, connections : int
        Totals.

    Examples
    --------
    >>> summary = Summary.of(Network([3, 4, 2], name="people"))
    >>> summary.parameters, summary.connections
    (26, 26)
    >>> print(summary)
    people
    layer                     output shape   parameters   connections   connected to
    ────────────────────────────────────────────────────────────────────────────────
    layer_0 (layer)           (3,)                    0             0
    layer_1 (layer, sigmoid)  (4,)                   16            16   layer_0
    layer_2 (layer, sigmoid)  (2,)                   10            10   layer_1
    ────────────────────────────────────────────────────────────────────────────────
    26 parameters (104 bytes in float32), all trainable; 26 connections
    """

    title: str
    rows: tuple[Row, ...]
    parameters: int
    trainable: int
    connections: int

    @classmethod
    def of(cls, network: Network) -> Summary:
        """Return the summary of a network; no weight is drawn and no connection counted one by one.

        Parameters
        ----------
        network : Network
        """
        parameters = network.parameters.values()
        return cls(
            network.name,
            tuple(_rows(network)),
            sum(each.size for each in parameters),
            sum(_trainable(each) for each in parameters),
            len(network.connections),
        )

    def __str__(self) -> str:
        table = [_HEADINGS, *(row.cells() for row in self.rows)]
        widths = [max(len(cells[k]) for cells in table) for k in range(4)]
        lines = [
            f"{cells[0]:<{widths[0]}}  {cells[1]:<{widths[1]}}   {cells[2]:>{widths[2]}}   "
            f"{cells[3]:>{widths[3]}}   {cells[4]}".rstrip()
            for cells in table
        ]
        rule = "─" * max(map(len, lines))
        return "\n".join([self.title, lines[0], rule, *lines[1:], rule, self._totals()])

    def _totals(self) -> str:
        fixed = self.parameters - self.trainable
        trained = f"{self.trainable:,} trainable, {fixed:,} not" if fixed else "all trainable"
        return (
            f"{self.parameters:,} parameters ({_bytes(4 * self.parameters)} in float32), "
            f"{trained}; {self.connections:,} connections"
        )

    def __repr__(self) -> str:
        return f"<Summary of {self.title!r}: {len(self.rows)} layers>"


def _rows(network: Network) -> list[Row]:
    members: dict[int, list[Layer]] = {}
    for layer in network.all_layers:
        members.setdefault(id(layer.top), []).append(layer)
    counted: set[int] = set()
    return [_row(network, layers[0].top, layers, counted) for layers in members.values()]


def _row(network: Network, root: Layer, layers: list[Layer], counted: set[int]) -> Row:
    bundles = [bundle for layer in layers for bundle in layer.incoming]
    parameters = [each for layer in layers for each in layer.parameters.values()]
    connections = sum(map(len, bundles))
    sources = dict.fromkeys(bundle.source.top.name for bundle in bundles)
    kind = kind_of(root)
    if root.role == "group":
        table = network.handmade.table()
        parameters = list(table.parameters)
        connections += len(table.ups)
        kind = "made by hand"
    elif root.activation_name not in ("identity", root.kind):
        kind = f"{kind}, {root.activation_name}"
    own = [each for each in parameters if id(each) not in counted]
    counted.update(map(id, own))
    return Row(
        root.name,
        kind,
        _shape(root, "nodes" if goes_along_trees(network) else "time"),
        sum(each.size for each in dict.fromkeys(own)),
        connections,
        bool(parameters) and not own,
        tuple(name for name in sources if name != root.name),
    )


def _shape(layer: Layer, axis: str) -> str:
    sizes = [str(size) for size in layer.shape]
    if layer.sequence:
        sizes.insert(0, axis if layer.steps is None else f"{layer.steps} steps")
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def _trainable(parameter: Parameter) -> int:
    if not parameter.trainable:
        return 0
    return parameter.size - (0 if parameter.frozen is None else int(parameter.frozen.sum()))


def _bytes(number: float) -> str:
    if number < 1e3:
        return f"{number:.0f} bytes"
    for unit in ("kB", "MB"):
        number /= 1e3
        if number < 999.5:
            return f"{number:.3g} {unit}"
    return f"{number / 1e3:.3g} GB"

"""Layer: a shaped block of like nodes, the bundles that feed it, and the arrays of its values."""

from __future__ import annotations

import itertools
import operator
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from neurograph.errors import DataError, GraphError, OptionError, ShapeError, short
from neurograph.functions import Activation, get_aggregation
from neurograph.graph.connection import Connection
from neurograph.graph.naming import rename_layer
from neurograph.graph.node import ConstNode, InputNode, Node
from neurograph.graph.states import reset_states, stateful_parts
from neurograph.layer_functions import BatchNormalization, LayerFunction, resolve_activation
from neurograph.parameter import Parameter

if TYPE_CHECKING:
    from neurograph.graph.connections import Bundle
    from neurograph.graph.network import Network

_serial = itertools.count()
_NODE_CLASSES: dict[str, type[Node]] = {"input": InputNode, "const": ConstNode}


class _Zeros:
    """Stands for an array of values before any run: everything reads 0."""

    def __getitem__(self, index: int) -> float:
        return 0.0


ZEROS = _Zeros()


class Layer:
    """A block of nodes with one activation and one aggregation.

    It serves as the symbolic tensor too: calling a recipe of ``neurograph.layers`` on a layer makes
    the next layer. Values are kept node-major (index first, then the leading axes of the run), so
    that ``layer.output_array()`` and ``node.output`` are views of one array.

    Parameters
    ----------
    shape : tuple of int
        The nodes, without batch and time.
    kind : str
        The base of its name, ``"conv2d"``.
    name : str, optional
        Given by the network if absent: the kind, numbered.
    activation : str, Activation or LayerFunction
        ``"softmax"`` and normalisations act on the whole layer.
    aggregation : str
        sum, mean, max or product.
    role : {"units", "input", "const", "noise", "group"}
        A group holds hand-made nodes, each with an activation of its own.
    sequence : bool
        Whether its values have a time axis.
    steps : int or None
        The number of time steps, where it is fixed.

    Attributes
    ----------
    initial : None, ndarray or Layer
        The outputs before step 0 (after the last, for negative delays): 0, an array of the layer's
        shape, or the outputs of a layer outside of time.
    mask : Layer or None
        A sequence of one node, 1 or 0: where it is 0 the layer repeats its output of the step
        before.
    stateful : bool
        Whether a batch begins with the outputs of the last step of the batch before, ``state``,
        an array (batch, shape); None after a reset.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        kind: str = "layer",
        name: str = "",
        activation: str | Activation | LayerFunction | None = None,
        aggregation: str = "sum",
        role: str = "units",
        sequence: bool = False,
        steps: int | None = None,
    ) -> None:
        self.shape = tuple(int(each) for each in shape)
        self.kind = kind
        self._name = name
        self._activation, self.function = resolve_activation(activation)
        self._aggregation = get_aggregation(aggregation)
        self.role = role
        self.sequence = sequence
        self.steps = steps
        self.size = int(np.prod(self.shape, dtype=np.int64))
        if self.size <= 0 and role != "group":
            raise ShapeError(f"{name or kind}: a layer of shape {self.shape} has no nodes")
        self.serial = next(_serial)
        self.incoming: list[Bundle] = []
        self.outgoing: list[Bundle] = []
        self.parameters: dict[str, Parameter] = {}
        self.parts: dict[str, Layer] = {}
        self.root: Layer | None = None
        self.const: Layer | None = None
        self._initial: Any = None
        self.mask: Layer | None = None
        self.stateful = False
        self.state: Any = None
        self.config: dict[str, Any] = {}
        self.network: Network | None = None
        self.offset = 0
        self.members: list[Node] | None = [] if role == "group" else None
        self._handles: WeakValueDictionary[int, Node] = WeakValueDictionary()
        self._net: Any = ZEROS
        self._output: Any = ZEROS
        self._delta: Any = ZEROS
        self.timeline: Any = None

    @classmethod
    def of_loose_node(cls, node: Node) -> Layer:
        """Make the one-element home of a hand-made node that no network has adopted."""
        home = cls((1,), kind="node", role="group")
        home.members = [node]
        home.reset(())
        return home

    @property
    def top(self) -> Layer:
        """The layer that a recipe made, of which this one is a part or the whole."""
        layer = self
        while layer.root is not None:
            layer = layer.root
        return layer

    @property
    def name(self) -> str:
        """The name; assign another one, at any time.

        The names of its parts and of its parameters follow: ``"lstm/forget"``, ``"dense/kernel"``;
        the scores of a compiled model keep theirs.

        Raises
        ------
        GraphError
            Another layer of its network has that name.

        Examples
        --------
        >>> import neurograph as ng
        >>> net = ng.Network([ng.Input((2,)), ng.Dense(1)])
        >>> net.layer("dense").name = "out"
        >>> list(net.parameters)
        ['out/kernel', 'out/bias']
        """
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        rename_layer(self, name)

    # nodes ------------------------------------------------------------------------------------

    def own_node(self, index: int) -> Node:
        """Return the node with a flat index, the same object every time."""
        if self.members is not None:
            return self.members[index]
        node = self._handles.get(index)
        if node is None:
            node = _NODE_CLASSES.get(self.role, Node).of_layer(self, index)
            self._handles[index] = node
        return node

    def __getitem__(self, index: int | tuple[int, ...]) -> Node:
        """Return a node by flat index or by its coordinates."""
        index = self.whole(index)
        if isinstance(index, tuple):
            if len(index) != len(self.shape):
                raise ShapeError(
                    f"layer {self.name!r}: {index} has {len(index)} coordinates, "
                    f"its shape {self.shape} has {len(self.shape)}"
                )
            for each, size in zip(index, self.shape, strict=True):
                if not -size <= each < size:
                    raise IndexError(f"layer {self.name!r}: {index} is outside shape {self.shape}")
            place = [each % size for each, size in zip(index, self.shape, strict=True)]
            return self.own_node(int(np.ravel_multi_index(place, self.shape)))
        if not -self.size <= index < self.size:
            raise IndexError(
                f"layer {self.name!r} has nodes 0 to {self.size - 1}, there is no node {index}"
            )
        return self.own_node(index % self.size)

    def whole(self, index: Any) -> Any:
        """Return an index or coordinates as Python's ints, or raise OptionError."""
        try:
            several = isinstance(index, tuple)
            return tuple(map(operator.index, index)) if several else operator.index(index)
        except TypeError:
            raise OptionError(
                f"layer {self.name!r}: {short(index)} is no node's place; give a whole number or "
                f"one for each axis of its shape {self.shape}"
            ) from None

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes by flat index; in the tutorial's networks the ConstNode is the last."""
        return LayerNodes(self)

    def __len__(self) -> int:
        return self.size

    def node_label(self, index: int) -> str:
        """Return how a node of this layer is called: ``dense[3]``, ``conv2d[3, 4, 0]``."""
        name = self.name or self.kind
        if self.role == "const":
            return name
        place = ", ".join(str(int(each)) for each in np.unravel_index(index, self.shape))
        return f"{name}[{place}]"

    def gate(self, name: str) -> Layer:
        """Return a part of a composite layer: ``gate("forget")``, ``gate("cell")``.

        Raises
        ------
        UnknownNameError
            With the names of the parts.
        """
        from neurograph.errors import unknown

        if name not in self.parts:
            raise unknown("part", name, self.parts, of=f"layer {self.name!r}")
        return self.parts[name]

    # wiring -----------------------------------------------------------------------------------

    def wiring(self, node: Node) -> tuple[Sequence[Connection], Sequence[Connection]]:
        """Return the incoming and outgoing connections of one of its nodes."""
        if not self.incoming and not self.outgoing:
            return node._upstream, node._downstream
        if node._wiring is None:
            index = node._index
            upstream = [each for b in self.incoming for each in b.connections_into(index)]
            downstream = [each for b in self.outgoing for each in b.connections_out_of(index)]
            node._wiring = (upstream + node._upstream, downstream + node._downstream)
        wiring: tuple[list[Connection], list[Connection]] = node._wiring
        return wiring

    def rewire(self) -> None:
        """Forget remembered wiring after a change of structure, here and in the sources."""
        for layer in [self, *(bundle.source for bundle in self.incoming)]:
            for node in list(layer._handles.values()) + (layer.members or []):
                node._wiring = None
        if self.network is not None:
            self.network.version.number += 1

    @property
    def activation(self) -> Activation:
        """The elementwise activation; assign a name, a row or a whole-layer function."""
        return self._activation

    @activation.setter
    def activation(self, activation: str | Activation | LayerFunction | None) -> None:
        self._activation, self.function = resolve_activation(activation)
        for node in list(self._handles.values()):
            node._activation = self._activation
        if self.network is not None:
            self.network.version.number += 1

    @property
    def aggregation(self) -> str:
        """The aggregation of its nodes, which stays."""
        return self._aggregation

    @aggregation.setter
    def aggregation(self, aggregation: str) -> None:
        raise GraphError(
            f"layer {self.name or self.kind!r}: its aggregation, {self._aggregation}, stays; "
            f"that of nodes made by hand can be set"
        )

    def change_node(self, node: Node, what: str) -> None:
        """Note that one of its nodes gets another activation or aggregation, or refuse it."""
        if self.role != "group":
            cure = "set layer.activation" if what == "activation" else "make the node by hand"
            raise GraphError(
                f"{node.label}: a node of a library layer has its layer's {what}; {cure} instead"
            )
        if self.network is not None:
            self.network.version.number += 1

    @property
    def trainable(self) -> bool:
        """Whether training changes any of its weights; assign to freeze it or let it train again.

        A frozen batch normalisation takes its moving statistics in training, too, as in Keras.
        """
        return any(each.trainable for part in self._whole() for each in part.parameters.values())

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        for part in self._whole():
            if isinstance(part.function, BatchNormalization):
                part.function.frozen = not trainable
            for name, parameter in part.parameters.items():
                if not name.startswith("moving_"):
                    parameter.trainable = trainable
        if self.network is not None:
            self.network.version.number += 1

    def _whole(self) -> list[Layer]:
        """Return the layer and all its parts."""
        return [self, *(each for part in self.parts.values() for each in part._whole())]

    @property
    def initial(self) -> Any:
        """The outputs before step 0: None, an array, or a layer; see the attributes."""
        return self._initial

    @initial.setter
    def initial(self, initial: Any) -> None:
        self._initial = initial
        if self.network is not None:
            self.network.version.number += 1

    @property
    def states(self) -> list[Any]:
        """What a stateful layer remembers: hidden, cell; (batch, units), None after a reset."""
        return [part.state for part in stateful_parts(self)]

    def reset_states(self, states: Any = None) -> None:
        """Let a stateful layer begin its next batch anew, or with given states.

        Parameters
        ----------
        states : array or list of arrays, (batch, units), optional
            As ``states`` gives them.

        Raises
        ------
        GraphError, ShapeError
            Their number or shape does not fit, or the layer is not stateful.
        """
        parts = stateful_parts(self)
        if states is not None and not parts:
            raise GraphError(
                f"reset_states: layer {self.name!r} is not stateful, so every batch begins anew; "
                f"make it with stateful=True"
            )
        reset_states(parts, states)

    # values -----------------------------------------------------------------------------------

    def reset(self, lead: tuple[int, ...], dtype: Any = np.float64) -> None:
        """Make zeroed arrays for a node-by-node run with these leading axes."""
        self.timeline = None
        if lead or dtype is not np.float64:
            self._net, self._output, self._delta = np.zeros((3, self.size, *lead), dtype)
        else:  # memoryviews give Python floats, several times faster than array elements
            self._net, self._output, self._delta = (
                memoryview(array("d", bytes(8 * self.size))) for _ in range(3)
            )

    def writable(self, store: str) -> Any:
        """Return the store ``_net``, ``_output`` or ``_delta``, made if there was no run yet."""
        if getattr(self, store) is ZEROS:
            self.reset(())
        return getattr(self, store)

    def keep(self, what: str, values: Any) -> None:
        """Take the values of a run: ``what`` is net, output or delta, (leading axes, shape)."""
        lead = values.ndim - len(self.shape)
        flat = values.reshape(*values.shape[:lead], self.size)
        setattr(self, f"_{what}", np.moveaxis(flat, -1, 0))

    def put_output(self, values: Any) -> None:
        """Write the outputs of all nodes, (leading axes, shape), into their present store."""
        store = self.writable("_output")
        values = np.asarray(values)
        lead = values.ndim - len(self.shape)
        flat = np.moveaxis(values.reshape(*values.shape[:lead], self.size), -1, 0)
        if isinstance(store, np.ndarray):
            store[...] = flat
        else:
            for index, value in enumerate(flat.tolist()):
                store[index] = value

    def _array(self, store: Any) -> Any:
        if store is ZEROS:
            return np.zeros(self.shape)
        values = np.moveaxis(np.asarray(store), 0, -1)
        return values.reshape((*values.shape[:-1], *self.shape))

    @property
    def net(self) -> Any:
        """The net inputs of the last run, shape (leading axes, shape)."""
        return self._array(self._net)

    @property
    def output(self) -> Any:
        """The outputs of the last run, shape (leading axes, shape)."""
        return np.ones(self.shape) if self.role == "const" else self._array(self._output)

    @property
    def delta(self) -> Any:
        """The deltas (-dE/d net) of the last backward run, shape (leading axes, shape)."""
        return self._array(self._delta)

    def set_output(self, values: Sequence[float]) -> None:
        """Set the outputs of an input layer, one value a node."""
        try:
            given = list(values)
        except TypeError:
            raise DataError(
                f"layer {self.name!r}: its outputs are {self.size} values, got {short(values)}"
            ) from None
        if len(given) != self.size:
            raise ShapeError(
                f"layer {self.name!r}: got {len(given)} values, it has {self.size} nodes"
            )
        for index, value in enumerate(given):
            self.own_node(index).set_output(value)

    def calc_output(self, training: bool = False) -> None:
        """Calculate every node of the layer, one after the other."""
        nodes = [self.own_node(index) for index in range(self.size)]
        for node in nodes:
            node.calc_output()
        if self.function is not None:
            self.put_output(self.function.forward(self.output, training))

    def dump(self) -> str:
        """Return one line a node."""
        return "\n".join(str(node) for node in self.nodes)

    @property
    def activation_name(self) -> str:
        """The name of the activation or whole-layer function."""
        return self.function.name if self.function is not None else self.activation.name

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.network is None:
            return super().__reduce_ex__(protocol)
        from neurograph.graph.verbs import recipe

        return recipe(self)

    def __str__(self) -> str:
        how = "" if self.role in ("input", "const") else f", {self.activation_name}"
        return f"{self.name or self.kind}: {self.role} of shape {self.shape}{how}"

    def __repr__(self) -> str:
        return f"<Layer {self.name or self.kind!r} {self.shape}>"


class LayerNodes(Sequence[Node]):
    """The nodes of a layer, made when touched."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer

    def __len__(self) -> int:
        return self._layer.size + (self._layer.const is not None)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        const = self._layer.const
        if const is None or isinstance(index, tuple):
            return self._layer[index]
        place = self._layer.whole(index)
        if place in (self._layer.size, -1):
            return const.own_node(0)
        return self._layer[place + 1 if place < 0 else place]

    def __iter__(self) -> Iterator[Node]:
        for index in range(len(self)):
            yield self[index]

    def __repr__(self) -> str:
        return f"<{len(self):,} nodes of {self._layer.name!r}>"

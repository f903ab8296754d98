"""The recurrent layers: SimpleRNN, LSTM and GRU, gate by gate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurograph.errors import OptionError
from neurograph.graph.bundles import BiasConnections, OneToOneConnections
from neurograph.initializers import Initializer
from neurograph.layers.cell import Cell
from neurograph.layers.recipe import ActivationSpec
from neurograph.layers.recurrent import Recurrent
from neurograph.parameter import Array


@dataclass(frozen=True, eq=False)
class SimpleRNN(Recurrent):
    """A layer that sees its own outputs of the step before: ``f(x @ W + h @ U + b)``.

    Elman (1990); Keras's formula. Options as in ``Recurrent``.

    Notes
    -----
    Weights: kernel (features, units), recurrent_kernel (units, units), bias (units,).

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> layer = SimpleRNN(3, return_sequences=True)(Input((None, 2)))
    >>> [each.delay for each in layer[0].upstream]
    [0, 0, 1, 1, 1, 0]
    """

    cell = "simple_rnn"
    gates = ("hidden",)

    def hidden_activation(self) -> ActivationSpec:
        """Return the activation of the states."""
        return self.activation

    def wire(self, cell: Cell) -> None:
        """Feed the states from the inputs, themselves and the bias."""
        cell.read_input(cell.hidden, 0)
        cell.read_past(cell.hidden, 0)
        cell.add_bias(cell.hidden, 0)


@dataclass(frozen=True, eq=False)
class LSTM(Recurrent):
    """Long short-term memory: a cell that gates write to, keep and read.

    ``i, f, o = sigmoid(x W + h U + b)``, ``g = tanh(x W + h U + b)``, ``c[t] = f c[t-1] + i g``,
    ``h[t] = o tanh(c[t])``. Hochreiter & Schmidhuber (1997) with the forget gate of Gers,
    Schmidhuber & Cummins (2000); Keras's formula.

    Parameters
    ----------
    units : int
    activation, recurrent_activation : str, Activation or None
        Of candidate and cell; of the gates.
    unit_forget_bias : bool
        Whether the bias of the forget gate begins at 1 (Jozefowicz and others, 2015).
    **options
        As in ``Recurrent``.

    Notes
    -----
    Weights: kernel (features, 4 units), recurrent_kernel (units, 4 units), bias (4 units,), in the
    order input, forget, candidate, output.

    Parts: ``input``, ``forget``, ``candidate``, ``output``; ``write`` (input times candidate),
    ``keep`` (forget times the cell before), ``cell`` (their sum), ``squash`` (its activation),
    ``hidden`` (output times squash).

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> layer = LSTM(5)(Input((60, 3)))
    >>> layer.shape, layer.parameters["kernel"].shape, layer.gate("forget")
    ((5,), (3, 20), <Layer 'forget' (5,)>)
    >>> [each.upstream_node.layer.kind for each in layer.gate("keep")[2].upstream]
    ['forget', 'cell']
    """

    recurrent_activation: ActivationSpec = "sigmoid"
    unit_forget_bias: bool = field(default=True, kw_only=True)

    cell = "lstm"
    gates = ("input", "forget", "candidate", "output")
    states = ("hidden", "cell")
    hidden_aggregation = "product"

    def bias_start(self) -> Any:
        """Return the initializer of the bias."""
        if not self.unit_forget_bias:
            return self.bias_initializer
        return ForgetBias(self.units, self.bias_initializer)

    def wire(self, cell: Cell) -> None:
        """Make the gates, the memory and what is read from it."""
        write = cell.gate("input", self.recurrent_activation)
        forget = cell.gate("forget", self.recurrent_activation)
        candidate = cell.gate("candidate", self.activation)
        read = cell.gate("output", self.recurrent_activation)
        memory = cell.part("cell")
        OneToOneConnections(cell.product("keep", (forget, 0), (memory, cell.delay)), memory)
        OneToOneConnections(cell.product("write", (write, 0), (candidate, 0)), memory)
        squash = cell.part("squash", self.activation)
        OneToOneConnections(memory, squash)
        OneToOneConnections(read, cell.hidden)
        OneToOneConnections(squash, cell.hidden)


@dataclass(frozen=True)
class ForgetBias:
    """The bias of four gates: 1 for the forget gate, the others as another initializer says."""

    units: int
    others: Initializer
    place: int = 1

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        """Return the bias, (4 units,)."""
        found = np.asarray(self.others((4 * self.units,), generator), dtype=np.float64).copy()
        found[self.place * self.units : (self.place + 1) * self.units] = 1.0
        return found


@dataclass(frozen=True, eq=False)
class GRU(Recurrent):
    """Gated recurrent unit: one state, which an update gate mixes with a candidate.

    ``z, r = sigmoid(x W + h U + b)``; ``h[t] = z h[t-1] + (1 - z) q``, where the candidate ``q`` is
    ``tanh(x W + b + r (h U + b'))`` with ``reset_after`` (Keras's default, PyTorch, cuDNN), else
    ``tanh(x W + b + (r h) U)`` (Cho and others, 2014).

    Parameters
    ----------
    units : int
    activation, recurrent_activation : str, Activation or None
        Of the candidate; of the gates.
    reset_after : bool
        Whether the reset gate acts after the product with the recurrent kernel.
    **options
        As in ``Recurrent``.

    Notes
    -----
    Weights: kernel (features, 3 units), recurrent_kernel (units, 3 units), in the order update,
    reset, candidate; bias (2, 3 units) with ``reset_after``: of the inputs, of the recurrence; else
    (3 units,).

    Parts: ``update``, ``reset``, ``candidate``; ``recurrence`` (with ``reset_after``: what the
    reset gate acts on), ``gated`` (reset times that, or times the state before), ``keep`` (update
    times the state before), ``rest`` (1 - update: a connection of weight -1 and a ConstNode),
    ``write`` (rest times candidate), ``hidden`` (keep plus write).

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> layer = GRU(5, return_sequences=True)(Input((None, 3)))
    >>> layer.parameters["bias"].shape, [each.weight for each in layer.gate("rest")[0].upstream]
    ((2, 15), [-1.0, 1.0])
    """

    recurrent_activation: ActivationSpec = "sigmoid"
    reset_after: bool = field(default=True, kw_only=True)

    cell = "gru"
    gates = ("update", "reset", "candidate")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.reset_after, bool):
            raise OptionError(
                f"{self.label}: reset_after is {self.reset_after!r}, expected True or False"
            )

    def bias_shape(self) -> tuple[int, ...]:
        """Return the shape of the bias."""
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def wire(self, cell: Cell) -> None:
        """Make the gates, the candidate and the mixture of both states."""
        update = cell.gate("update", self.recurrent_activation)
        reset = cell.gate("reset", self.recurrent_activation)
        if self.reset_after:
            for gate in (update, reset):
                cell.add_bias(gate, 3 * self.units + self.column(gate.kind))
        candidate = self._candidate(cell, reset)
        keep = cell.product("keep", (update, 0), (cell.hidden, cell.delay))
        rest = cell.part("rest")
        OneToOneConnections(update, rest, constant=-1.0)
        BiasConnections(cell.const, rest, None)
        write = cell.product("write", (rest, 0), (candidate, 0))
        OneToOneConnections(keep, cell.hidden)
        OneToOneConnections(write, cell.hidden)

    def _candidate(self, cell: Cell, reset: Any) -> Any:
        candidate, column = cell.part("candidate", self.activation), self.column("candidate")
        cell.read_input(candidate, column)
        cell.add_bias(candidate, column)
        if self.reset_after:
            recurrence = cell.part("recurrence")
            cell.read_past(recurrence, column)
            cell.add_bias(recurrence, 3 * self.units + column)
            gated = cell.product("gated", (reset, 0), (recurrence, 0))
            OneToOneConnections(gated, candidate)
        else:
            gated = cell.product("gated", (reset, 0), (cell.past, cell.late))
            cell.read_past(candidate, column, gated)
        return candidate

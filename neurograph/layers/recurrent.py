"""What the recurrent layers have in common: states, masks, dropout and the way through time.

A recurrent layer stands for one small network, the cell, whose state of the step before comes back
through connections of delay 1. Every gate is a layer of nodes, a part of the whole:
``net.layer("lstm").gate("forget")``. All gates share one kernel, of which each has its columns.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from neurograph.errors import GraphError, OptionError, ShapeError
from neurograph.graph.bundles import DenseConnections, OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.graph.masks import mask_of
from neurograph.graph.temporal import FoldConnections, ReverseConnections, StepConnections
from neurograph.layer_functions import resolve_activation
from neurograph.layers.cell import Cell, cell_parameters
from neurograph.layers.masking import counts_under, mask_in_time
from neurograph.layers.recipe import ActivationSpec, Recipe, put_under
from neurograph.options import number

_FLAGS = ("use_bias", "return_sequences", "return_state", "go_backwards", "stateful")


@dataclass(frozen=True, eq=False)
class Recurrent(Recipe):
    """The options of all recurrent layers.

    Parameters
    ----------
    units : int
    activation : str, Activation or None
    use_bias : bool
    kernel_initializer, recurrent_initializer, bias_initializer : see ``neurograph.initializers``
    kernel_regularizer, recurrent_regularizer, bias_regularizer : see ``neurograph.regularizers``
    dropout, recurrent_dropout : float
        In training, which part of the inputs, and of the states that the gates read, is missing:
        the same nodes at all steps of a sequence (Gal & Ghahramani, 2016), the same for all gates.
    return_sequences : bool
        Whether the layer's values are the states of all steps, or the last alone.
    return_state : bool
        Whether a call returns a list: the layer, then its final states.
    go_backwards : bool
        From the last step to the first: delays of -1. The states of all steps then come in the
        order in which they were calculated, as in Keras.
    stateful : bool
        Whether each sample of a batch begins with the final states of the same sample of the batch
        before: ``layer.states``, until ``layer.reset_states()``. Not where initial states are
        given.
    """

    units: int
    activation: ActivationSpec = "tanh"
    _: KW_ONLY
    use_bias: bool = True
    kernel_initializer: Any = "glorot_uniform"
    recurrent_initializer: Any = "orthogonal"
    bias_initializer: Any = "zeros"
    kernel_regularizer: Any = None
    recurrent_regularizer: Any = None
    bias_regularizer: Any = None
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False

    cell: ClassVar[str]
    gates: ClassVar[tuple[str, ...]]
    states: ClassVar[tuple[str, ...]] = ("hidden",)
    hidden_aggregation: ClassVar[str] = "sum"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("units")
        for rate in ("dropout", "recurrent_dropout"):
            self._set(rate, number(f"{self.label}: {rate}", getattr(self, rate), least=0, below=1))
        for flag in _FLAGS:
            if not isinstance(getattr(self, flag), bool):
                raise OptionError(
                    f"{self.label}: {flag} is {getattr(self, flag)!r}, expected True or False"
                )
        resolve_activation(getattr(self, "recurrent_activation", None))

    # what each kind of cell says ------------------------------------------------------------------

    def wire(self, cell: Cell) -> None:
        """Make the gates of a cell and feed its states."""
        raise NotImplementedError

    def bias_shape(self) -> tuple[int, ...]:
        """Return the shape of the bias."""
        return (len(self.gates) * self.units,)

    def bias_start(self) -> Any:
        """Return the initializer of the bias."""
        return self.bias_initializer

    def hidden_activation(self) -> ActivationSpec:
        """Return the activation of the states."""
        return None

    def column(self, gate: str) -> int:
        """Return the first column of a gate in the kernels."""
        return self.gates.index(gate) * self.units

    # making the layer -----------------------------------------------------------------------------

    def __call__(self, source: Any, initial_state: Any = None, mask: Layer | None = None) -> Any:
        """Return the layer; with ``return_state`` a list of the layer and its final states.

        Parameters
        ----------
        source : Layer
            A sequence of steps with features; an image (steps, features) is folded into one.
        initial_state : Layer, array or list of them, optional
            The states before the first step: layers outside of time, or arrays (units,). An LSTM
            has two, the hidden state and the cell.
        mask : Layer, optional
            A sequence of one node, 1 or 0; if absent the mask of ``source``, if that has one.

        Raises
        ------
        GraphError, ShapeError
            What it is called on is not a sequence of features; a state does not fit.
        """
        made, finals = self.run(source, initial_state, mask)
        return [made, *finals] if self.return_state else made

    def run(
        self,
        source: Any,
        initial_state: Any = None,
        mask: Layer | None = None,
        aligned: bool = False,
    ) -> tuple[Layer, list[Layer]]:
        """Make the layer; return it and, with ``return_state``, its final states.

        With ``aligned`` the states of a layer that goes backwards stay at their steps of time, and
        are 0 at the steps that a mask leaves out, as Keras has them in ``Bidirectional``.
        """
        source = self.one(source)
        valid = mask_of(source) if mask is None else self.one(mask)
        sequence = as_sequence(self, source)
        if len(sequence.shape) != 1:
            raise ShapeError(
                f"{self.label}: {source.name or source.kind!r} has shape {sequence.shape} at each "
                f"step of time, expected (features,); put ng.TimeDistributed(ng.Flatten()) "
                f"before it"
            )
        turned = self.go_backwards and self.return_sequences and not aligned
        counted = self.return_sequences and aligned and valid is not None
        is_root = self.return_sequences and not turned and not counted
        hidden = self._hidden(sequence, is_root)
        columns = {gate: self.column(gate) for gate in self.gates}
        cell = Cell(columns, sequence, hidden, -1 if self.go_backwards else 1)
        cell.parameters = cell_parameters(
            self,
            sequence.size,
            len(self.gates) * self.units,
            self.bias_shape(),
            self.bias_start(),
        )
        self._drop(cell)
        self.wire(cell)
        cell.parts["hidden"] = hidden
        if sequence is not source:
            cell.parts["fold"] = sequence
        self._mask(cell, valid, turned)
        self._begin(cell, initial_state)
        root = hidden if is_root else self._above(cell, turned)
        finals = self._finish(cell, root)
        if counted and valid is not None:
            root.parts["mask"] = valid
        return root, finals

    def _hidden(self, sequence: Layer, is_root: bool) -> Layer:
        activation, aggregation = self.hidden_activation(), self.hidden_aggregation
        if is_root:
            return self.make(
                (self.units,), [sequence], activation=activation, aggregation=aggregation
            )
        return Layer(
            (self.units,),
            kind="hidden",
            activation=activation,
            aggregation=aggregation,
            sequence=True,
            steps=sequence.steps,
        )

    def _drop(self, cell: Cell) -> None:
        """Put the product with noise before what the gates read."""
        if self.dropout:
            cell.source = self._noisy(cell, "dropped", cell.source, 0, self.dropout)
        if self.recurrent_dropout:
            rate = self.recurrent_dropout
            cell.past = self._noisy(cell, "dropped_past", cell.hidden, cell.delay, rate)
            cell.late = 0

    def _noisy(self, cell: Cell, name: str, source: Layer, delay: int, rate: float) -> Layer:
        noise = Layer(source.shape, kind="noise", role="noise")
        noise.config = {"distribution": "dropout", "rate": rate}
        made = Layer(
            source.shape,
            kind=name,
            aggregation="product",
            sequence=True,
            steps=source.steps,
        )
        OneToOneConnections(source, made, delay=delay)
        OneToOneConnections(noise, made)
        cell.parts[name], cell.parts[f"{name}_noise"] = made, noise
        return made

    def _mask(self, cell: Cell, valid: Layer | None, turned: bool) -> None:
        if valid is None:
            return
        mask = mask_in_time(valid)
        if not mask.sequence or mask.size != 1:
            raise ShapeError(
                f"{self.label}: the mask {mask.name or mask.kind!r} has shape {mask.shape}, "
                f"expected one node at each step of time"
            )
        if mask is not valid:
            cell.parts["mask_fold"] = mask
        for state in self.states:
            cell.parts[state].mask = mask
        if turned:
            cell.parts["mask"] = made = Layer((1,), kind="mask", sequence=True, steps=mask.steps)
            ReverseConnections(mask, made)

    def _begin(self, cell: Cell, given: Any) -> None:
        """Set the initial states."""
        if given is None:
            for name in self.states:
                cell.parts[name].stateful = self.stateful
            return
        states = list(given) if isinstance(given, (list, tuple)) else [given]
        if len(states) != len(self.states):
            raise GraphError(
                f"{self.label}: got {len(states)} initial states, it has {len(self.states)}: "
                f"{', '.join(self.states)}; give a list of them"
            )
        for name, state in zip(self.states, states, strict=True):
            what = f"{self.label}: the initial state of {name!r}"
            cell.parts[name].initial = _checked_state(what, state, self.units)

    def _above(self, cell: Cell, turned: bool) -> Layer:
        """Make the layer above the states: the last, all turned round, or those that count."""
        hidden = cell.hidden
        counted = self.return_sequences and not turned
        made = self.make(
            (self.units,),
            [hidden],
            aggregation="product" if counted else "sum",
            sequence=self.return_sequences,
        )
        if turned:
            ReverseConnections(hidden, made)
        elif not self.return_sequences:
            StepConnections(hidden, made, step=self._last)
        elif hidden.mask is not None:
            OneToOneConnections(hidden, made)
            DenseConnections(counts_under(made, hidden.mask), made, None)
        return made

    @property
    def _last(self) -> int:
        """The step that is calculated last."""
        return 0 if self.go_backwards else -1

    def _finish(self, cell: Cell, root: Layer) -> list[Layer]:
        """Put the parts under the layer; return its final states if they are asked for."""
        finals: list[Layer] = []
        for name in self.states if self.return_state else ():
            if name == "hidden" and not self.return_sequences:
                finals.append(root)
                continue
            final = Layer((self.units,), kind=f"final_{name}")
            StepConnections(cell.parts[name], final, step=self._last)
            cell.parts[f"final_{name}"] = final
            finals.append(final)
        for name, part in cell.parts.items():
            if part is root:
                root.parts[name] = root
            else:
                put_under(root, name, part)
        root.parameters = cell.parameters
        root.config |= {"cell": self.cell, "delay": cell.delay}
        return finals


def as_sequence(recipe: Recipe, source: Layer) -> Layer:
    """Return a layer as a sequence; an image (steps, …) is folded into time.

    Raises
    ------
    ShapeError
        If it has no axis that could be time.
    """
    if source.sequence:
        return source
    if len(source.shape) < 2:
        raise ShapeError(
            f"{recipe.label}: {source.name or source.kind!r} has shape {source.shape} and no axis "
            f"of time; give it steps with features, as ng.Input((None, 4)) or ng.Input((60, 4))"
        )
    folded = Layer(source.shape[1:], kind="fold", sequence=True, steps=source.shape[0])
    FoldConnections(source, folded)
    return folded


def _checked_state(what: str, state: Any, units: int) -> Any:
    if isinstance(state, Layer):
        if state.sequence or state.size != units:
            kind = "a sequence of shape" if state.sequence else "of shape"
            raise ShapeError(
                f"{what} is {state.name or state.kind!r}, {kind} {state.shape}; expected a layer "
                f"outside of time of shape ({units},)"
            )
        return state
    array = np.asarray(state)
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all() or array.shape != (units,):
        raise ShapeError(
            f"{what} is {array.dtype} of shape {array.shape}; expected finite numbers of shape "
            f"({units},), or a layer"
        )
    return array.astype(np.float64)

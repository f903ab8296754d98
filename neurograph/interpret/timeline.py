"""Timeline: the values of one layer at every step of a run through time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.graph.layer import Layer

Array = NDArray[Any]


class Timeline:
    """The values of a layer at all steps, and which of them its nodes show at present.

    ``at(t)`` makes ``node.net``, ``node.output`` and ``node.delta`` those of step t, so that the
    textbook's formulas calculate one step; ``at(None)`` shows all steps, time last.

    Parameters
    ----------
    layer : Layer
        It shows all steps from now on.
    batch : tuple of int
        The leading axes but time, () for one sample.
    steps : int
    dtype : dtype
        Complex for differentiation by complex steps.

    Examples
    --------
    >>> layer = Layer((2,), sequence=True)
    >>> timeline = Timeline(layer, (), steps=3)
    >>> timeline.at(1)
    >>> layer[0].output = 0.5
    >>> timeline.at(None)
    >>> layer[0].output.tolist()
    [0.0, 0.5, 0.0]
    """

    def __init__(
        self, layer: Layer, batch: tuple[int, ...], steps: int, dtype: Any = np.float64
    ) -> None:
        self.layer = layer
        self.batch = batch
        self.steps = steps
        self.step: int | None = None
        self.net, self.output, self.delta = np.zeros((3, layer.size, *batch, steps), dtype)
        self.outputs = [_at(self.output, step) for step in range(steps)]
        self.deltas = [_at(self.delta, step) for step in range(steps)]
        self.nets = [_at(self.net, step) for step in range(steps)]
        self.initial: Array = np.zeros((layer.size, *batch))
        self.begun_by: Layer | None = None  # the layer that gave the initial state
        self.truncate: int | None = None  # into pieces of how many steps what returns is cut
        self.carried: dict[int, Any] = {}  # what masked steps return to the initial state
        layer.timeline = self
        self.at(None)

    def at(self, step: int | None) -> None:
        """Show one step, or all of them."""
        layer, self.step = self.layer, step
        if step is None:
            layer._net, layer._output, layer._delta = self.net, self.output, self.delta
        else:
            layer._net = self.nets[step]
            layer._output = self.outputs[step]
            layer._delta = self.deltas[step]

    def output_at(self, index: int, step: int) -> Any:
        """Return a node's output at any step; outside of time it is the initial state."""
        if 0 <= step < self.steps:
            return self.outputs[step][index]
        return self.initial[index]

    def output_late(self, index: int, delay: int) -> Array:
        """Return a node's outputs, all steps, as they arrive ``delay`` steps late."""
        return _shifted(self.output[index], delay, self.initial[index])

    def with_partial(self, partials: Any, partial: Any) -> Array:
        """Return a connection's partials of all steps with that of the present one written in."""
        shape = (*self.batch, self.steps)
        if self.step is None:
            return np.array(np.broadcast_to(partial, shape))
        if partials is None:
            partials = np.zeros(shape, self.output.dtype)
        partials[..., self.step] = partial
        return partials  # type: ignore[no-any-return]

    def delta_at(self, index: int, step: int, partial: Any) -> Any:
        """Return a node's delta at any step, times the partial of a connection; 0 outside."""
        if not 0 <= step < self.steps:
            return 0.0
        delta = self.deltas[step][index]
        return delta if partial is None else delta * partial[..., step]

    def all_deltas(self, index: int, partial: Any) -> Array:
        """Return a node's deltas, all steps, times the partials of a connection."""
        deltas: Array = self.delta[index]
        return deltas if partial is None else deltas * partial

    def delta_early(self, index: int, delay: int, partial: Any, cut: bool = False) -> Array:
        """Return what a node's deltas of all steps send back ``delay`` steps.

        With ``cut`` only within the pieces of time, if it is truncated; ``delta_outside`` too.
        """
        return _shifted(self._deltas(index, delay, partial, cut), -delay, 0.0)

    def delta_outside(self, index: int, delay: int, partial: Any, cut: bool = False) -> Any:
        """Return what a node's deltas send back to the time before the first step."""
        deltas = self._deltas(index, delay, partial, cut)
        return (deltas[..., :delay] if delay > 0 else deltas[..., delay:]).sum(axis=-1)

    def _deltas(self, index: int, delay: int, partial: Any, cut: bool) -> Array:
        deltas = self.all_deltas(index, partial)
        return deltas * self.joined(np.arange(self.steps), delay) if cut else deltas

    def joined(self, step: Any, delay: int) -> Any:
        """Return whether a step, or each of some, is in one piece with that of ``delay`` before.

        Steps count in the order of calculation; what is before the first, the initial state,
        belongs to the first piece.
        """
        if self.truncate is None:
            return True
        here = step if delay > 0 else self.steps - 1 - step
        return np.maximum(here - abs(delay), 0) // self.truncate == here // self.truncate


def _at(values: Array, step: int) -> Any:
    """Return a view of one step; single samples as a memoryview, which gives Python floats."""
    here: Any = values[..., step]
    return memoryview(here) if here.ndim == 1 and here.dtype == np.float64 else here


def _shifted(values: Array, by: int, fill: Any) -> Array:
    """Return values moved ``by`` steps along their last axis, the gap filled."""
    moved = np.empty_like(values)
    steps = values.shape[-1]
    if by == 0:
        moved[...] = values
    elif abs(by) >= steps:
        moved[...] = np.expand_dims(fill, -1)
    elif by > 0:
        moved[..., by:] = values[..., :-by]
        moved[..., :by] = np.expand_dims(fill, -1)
    else:
        moved[..., :by] = values[..., -by:]
        moved[..., by:] = np.expand_dims(fill, -1)
    return moved

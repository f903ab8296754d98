"""Passages: how values pass a connection where time matters.

Forward, ``arriving`` is what the downstream node sees at its present step (all steps, if it shows
all); backward, ``returning`` is the part of the downstream deltas that concerns the upstream node
at its present step. The kinds are the ways in which two layers can meet in time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import GraphError
from neurograph.graph.connection import FROM_CONSTANT, Connection, Passage
from neurograph.interpret.timeline import Timeline

Array = NDArray[Any]


class Late:
    """From a sequence to a sequence: ``output[t - delay]`` there, ``delta[t + delay]`` back."""

    def arriving(self, connection: Connection) -> Any:
        """Return the upstream output of ``delay`` steps ago; before time, the initial state."""
        up, down = timelines(connection)
        index = connection._upstream.index
        if down.step is None:
            return up.output_late(index, connection._delay)
        return up.output_at(index, down.step - connection._delay)

    def returning(self, connection: Connection) -> Any:
        """Return the downstream delta of ``delay`` steps on; after time, 0."""
        up, down = timelines(connection)
        index, partial = connection._downstream.index, connection.partial
        if up.step is None:
            return down.delta_early(index, connection._delay, partial)
        return down.delta_at(index, up.step + connection._delay, partial)


class Around(Late):
    """Into a cycle from an earlier step: what comes back is cut between pieces, if asked."""

    def returning(self, connection: Connection) -> Any:
        """Return the downstream delta of ``delay`` steps on, 0 if it is in a later piece."""
        up, down = timelines(connection)
        index, partial = connection._downstream.index, connection.partial
        if up.step is None:
            return down.delta_early(index, connection._delay, partial, cut=True)
        late = up.step + connection._delay
        return down.delta_at(index, late, partial) if down.joined(late, connection._delay) else 0.0


class Reversed:
    """From a sequence to a sequence turned round: step t here is step T - 1 - t there."""

    def arriving(self, connection: Connection) -> Any:
        """Return the upstream output of the opposite step."""
        up, down = timelines(connection)
        index = connection._upstream.index
        if down.step is None:
            return up.output[index][..., ::-1]
        return up.outputs[up.steps - 1 - down.step][index]

    def returning(self, connection: Connection) -> Any:
        """Return the downstream delta of the opposite step."""
        up, down = timelines(connection)
        index, partial = connection._downstream.index, connection.partial
        if up.step is None:
            return down.all_deltas(index, partial)[..., ::-1]
        return down.delta_at(index, down.steps - 1 - up.step, partial)


class Spread:
    """From a layer outside of time to a sequence: the same value at every step."""

    def arriving(self, connection: Connection) -> Any:
        """Return the upstream output, which has no time axis."""
        output = connection._upstream.output
        if connection._downstream.layer.timeline.step is None and np.ndim(output):
            return output[..., None]
        return output

    def returning(self, connection: Connection) -> Any:
        """Return the sum of the downstream deltas over time."""
        down = connection._downstream.layer.timeline
        deltas = down.all_deltas(connection._downstream.index, connection.partial)
        return deltas.sum(axis=-1)


class AtStep:
    """Between a sequence and a layer outside of time: the connection is there at one step only.

    Parameters
    ----------
    into_time : bool
        Whether the sequence is the downstream layer.
    """

    def __init__(self, into_time: bool) -> None:
        self.into_time = into_time

    def arriving(self, connection: Connection) -> Any:
        """Return the upstream output: at that step, or of that step."""
        up, down = connection._upstream, connection._downstream
        if self.into_time:
            return _only(down.layer.timeline, _step(connection, down.layer.timeline), up.output)
        timeline = up.layer.timeline
        return timeline.outputs[_step(connection, timeline)][up.index]

    def returning(self, connection: Connection) -> Any:
        """Return the downstream delta: of that step, or at that step."""
        up, down = connection._upstream, connection._downstream
        if self.into_time:
            timeline = down.layer.timeline
            step = _step(connection, timeline)
            return timeline.delta_at(down.index, step, connection.partial)
        delta = down.delta if connection.partial is None else down.delta * connection.partial
        return _only(up.layer.timeline, _step(connection, up.layer.timeline), delta)


LATE, AROUND, REVERSED, SPREAD = Late(), Around(), Reversed(), Spread()
INTO_TIME, OUT_OF_TIME = AtStep(True), AtStep(False)


def passage_of(connection: Connection, direction: int) -> Passage | None:
    """Return how values pass a connection; None where the two ends need not think of time.

    ``direction``: in which the cycle of the downstream node goes through time; 0 if it is on none.

    Raises
    ------
    GraphError
        If a layer outside of time reads a sequence and no step is said.
    """
    up, down = connection._upstream.layer, connection._downstream.layer
    if connection._upstream.is_constant:
        return FROM_CONSTANT
    if getattr(connection._bundle, "along_trees", False):
        raise GraphError(
            f"{connection.label}: this network goes along trees, so it is run node by node for one "
            f"tree at a time: ng.tree_network(net, tree) makes the network of that tree"
        )
    if connection.reverses:
        return REVERSED
    if up.sequence and down.sequence and connection._delay * direction > 0:
        return AROUND
    if up.sequence and down.sequence:
        late = connection._delay or connection._downstream.aggregation != "sum"
        return LATE if late else None
    if not up.sequence and not down.sequence:
        if connection._delay:
            raise GraphError(
                f"{connection.label}: neither end has a time axis, so the delay means nothing; "
                f"make both sequences"
            )
        return None
    at_one_step = connection.step is not None
    if down.sequence:
        return INTO_TIME if at_one_step else SPREAD
    if not at_one_step:
        raise GraphError(
            f"{connection.label}: {down.name or down.kind!r} has no time axis and cannot read the "
            f"sequence {up.name or up.kind!r}; take one step of it, or make both sequences"
        )
    return OUT_OF_TIME


def timelines(connection: Connection) -> tuple[Timeline, Timeline]:
    """Return the timelines of both ends."""
    return connection._upstream.layer.timeline, connection._downstream.layer.timeline


def _step(connection: Connection, timeline: Timeline) -> int:
    step = connection.step
    assert step is not None
    return step % timeline.steps


def _only(timeline: Timeline, step: int, value: Any) -> Any:
    """Return a value that is there at one step only: at the present one, or at all, 0 elsewhere."""
    if timeline.step is not None:
        return value if timeline.step == step else 0.0
    values = np.zeros((*np.shape(value), timeline.steps), timeline.output.dtype)
    values[..., step] = value
    return values

"""Executable: a network's programs and plans, kept in step with the network itself.

Programs are made when first needed, plans for every batch size that occurs. A change of structure
(or another model that moved the weights) is noticed at the next call, and everything is made anew.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from neurograph.compiler.arena import Arena, settle_in
from neurograph.compiler.build import Built, Options, build
from neurograph.compiler.passes import checked_passes
from neurograph.compiler.plan import Plan
from neurograph.compiler.program import Program
from neurograph.compiler.rows import check_steps
from neurograph.compiler.storage import Sizes
from neurograph.errors import ShapeError
from neurograph.graph.clocks import clocks
from neurograph.graph.layer import Layer
from neurograph.graph.masks import Masks, as_mask
from neurograph.graph.network import Network
from neurograph.graph.spatial import WindowConnections
from neurograph.graph.states import state_for
from neurograph.kernels.team import Team
from neurograph.parameter import Array


@dataclass(frozen=True, slots=True)
class Mode:
    """What a plan is for: prediction, a training step, or a run that keeps every value."""

    training: bool = False
    backward: bool = False
    keep: bool = False
    weighted: bool = False
    inputs_too: bool = False


PREDICT = Mode()
TRAIN = Mode(training=True, backward=True)
WEIGHTED = Mode(training=True, backward=True, weighted=True)


class Executable:
    """The compiled form of a network.

    Parameters
    ----------
    network : Network
    dtype : {"float32", "float64"}
    losses, loss_weights : sequence
        One for each output.
    passes : sequence of str or None
        The passes to run, None for all.
    generator : numpy.random.Generator
        For dropout and other noise.
    threads : int or None
        How many threads share a batch where the kernels divide it (convolution, pooling); None: as
        many as there are processors, if the network has convolutions.
    truncate : int or None
        Into pieces of how many steps back-propagation through time is cut.
    """

    def __init__(
        self,
        network: Network,
        *,
        dtype: str,
        losses: Sequence[Any],
        loss_weights: Sequence[float],
        passes: Sequence[str] | None,
        generator: np.random.Generator,
        threads: int | None = None,
        truncate: int | None = None,
    ) -> None:
        self.network = network
        self.team = Team(threads or _threads_for(network))
        self.generator = generator
        self._options = Options(
            dtype=dtype,
            losses=tuple(losses),
            loss_weights=tuple(loss_weights),
            passes=checked_passes(passes),
            truncate=truncate,
        )
        self._built: dict[Mode, Built] = {}
        self._plans: dict[tuple[Mode, Sizes], Plan] = {}
        self._version = -1
        self.arena: Arena
        self.refresh()

    @property
    def dtype(self) -> str:
        """The dtype of weights and values."""
        return self._options.dtype

    def refresh(self) -> bool:
        """Notice a change of structure or of the weights' home; return whether there was one."""
        network = self.network
        self.notice()
        if network.version.number == self._version and network.arena is self.arena:
            return False
        network.stages()
        self.arena = settle_in(network, self.dtype)
        self._version = network.version.number
        self.clocks = clocks(network)
        self._built.clear()
        self._plans.clear()
        return True

    def notice(self) -> None:
        """See whether the weights that programs take for constants are the same; else, a change."""
        for built in self._built.values():
            for places, weights in built.fixed:
                if not np.array_equal(self.arena.parameters[places], weights):
                    self.network.version.number += 1
                    return

    def built(self, mode: Mode) -> Built:
        """Return the program for a mode, made when first needed."""
        found = self._built.get(mode)
        if found is None:
            options = replace(
                self._options,
                training=mode.training,
                losses=self._options.losses if mode.backward else (),
                weighted=mode.weighted,
                keep=mode.keep,
                inputs_too=mode.inputs_too,
            )
            found = self._built[mode] = build(self.network, options, self.arena.offsets)
        return found

    def program(self, mode: Mode) -> Program:
        """Return the program for a mode."""
        return self.built(mode).program

    def plan(self, mode: Mode, sizes: Sizes) -> Plan:
        """Return the plan for a mode and sizes, made when first needed."""
        found = self._plans.get((mode, sizes))
        if found is None:
            built = self.built(mode)
            on = self._options.passes or ()
            found = Plan(
                built.program,
                sizes,
                self.arena,
                reuse="reuse_memory" in on and not mode.keep,
                in_place="in_place" in on and not mode.keep,
                title=self._title(mode, sizes),
                team=self.team,
            )
            found.states = [
                (layer, found.arrays[first] if first else None, found.arrays[after])
                for layer, first, after in built.states
            ]
            found.masks = [found.batch_first(name) if name else None for name in built.masks]
            self._plans[mode, sizes] = found
        return found

    def _title(self, mode: Mode, sizes: Sizes) -> str:
        what = "training" if mode.training else "prediction"
        steps = f", {' and '.join(map(str, sizes.steps))} steps" if sizes.steps else ""
        return f"{self.network.name}: {what}, batch {sizes.batch}{steps}, {self.dtype}."

    def latest(self, mode: Mode) -> Plan | None:
        """Return the plan of a mode that was made last."""
        found = [plan for (known, _), plan in self._plans.items() if known == mode]
        return found[-1] if found else None

    def steps_known(self) -> tuple[int, ...]:
        """Return the steps that the network itself fixes, 3 for those that are free, by clock."""
        return self._steps({})

    def _steps(self, given: dict[int, int]) -> tuple[int, ...]:
        """Return the number of steps of every clock, from the inputs or from its layers."""
        found = []
        for layers in self.clocks:
            said = [given[id(layer)] for layer in layers if id(layer) in given]
            said += [layer.steps for layer in layers if layer.steps]
            if given and len(set(said)) > 1:
                raise ShapeError(
                    f"network {self.network.name!r}: {layers[0].name!r} and what is joined to it "
                    f"go through time together, but are given {sorted(set(said))} steps"
                )
            found.append(said[0] if said else 3)
        return tuple(found)

    def after_training(self, plan: Plan) -> None:
        """Let moving statistics and stateful layers take in the batch of a training step."""
        self.carry(plan)
        for function, net in plan.moving:
            function.update_moving(plan.arrays[net])
        for workspace, function in plan.normalized:
            variance = 1.0 / workspace.inverse**2 - workspace.epsilon
            for name, fresh in (("moving_mean", workspace.mean), ("moving_variance", variance)):
                moving = function.parameters[name].value
                moving += (1.0 - function.momentum) * (fresh - moving)

    # feeding and reading ----------------------------------------------------------------------

    def sizes(self, inputs: Sequence[Array]) -> Sizes:
        """Return the batch size and number of steps of some inputs."""
        return Sizes(len(inputs[0]), self.steps(inputs))

    def steps(self, inputs: Sequence[Array]) -> tuple[int, ...]:
        """Return the number of steps of every clock for some inputs."""
        if not self.network.is_recurrent:
            return ()
        given = {
            id(port.layer): int(array.shape[1])
            for port, array in zip(self.network.inputs, inputs, strict=True)
            if port.layer.sequence
        }
        return self._steps(given)

    def feed(self, mode: Mode, plan: Plan, inputs: Sequence[Array]) -> None:
        """Copy a batch into the arrays of a plan, and draw the noise of a training step."""
        for name, array in zip(plan.program.inputs, inputs, strict=True):
            plan.batch_first(name)[...] = array
        self.feed_states(plan)
        if mode.training:
            self.draw_noise(plan)

    def feed_states(self, plan: Plan) -> None:
        """Let a batch begin where the one before ended, in stateful layers."""
        for layer, first, _ in plan.states:
            state = state_for(layer, plan.sizes.batch)
            if first is not None:
                first[...] = 0 if state is None else state

    def carry(self, plan: Plan) -> None:
        """Let stateful layers remember where the batch that a plan has just run ended."""
        for layer, _, after in plan.states:
            layer.state = after.copy()

    def draw_noise(self, plan: Plan) -> None:
        """Draw the noise of a training step: dropout."""
        for name, sampler in plan.noise:
            sampler(plan.arrays[name], self.generator)

    def feed_targets(self, mode: Mode, plan: Plan, targets: Sequence[Array]) -> None:
        """Copy the targets of a batch (then the sample weights) into the arrays of a plan."""
        for name, array in zip(self.built(mode).targets, targets, strict=True):
            place = plan.batch_first(name)
            check_steps(array, place)
            place[...] = array

    def outputs(self, plan: Plan) -> list[Array]:
        """Return the outputs of the last run of a plan: views, (batch, [time,] nodes)."""
        return [plan.batch_first(name) for name in plan.program.outputs]

    def masks(self, plan: Plan) -> Masks:
        """Return which steps of each output count in the last run of a plan: (batch, steps)."""
        return [None if each is None else as_mask(each) for each in plan.masks]

    def keep_values(self, mode: Mode, plan: Plan) -> None:
        """Let the layers and nodes of the network show the values of the last run of a plan."""
        group = self.network.handmade.group
        for layer in self.network.all_layers:
            if layer is group:
                continue
            if layer.role == "noise" and not mode.training:  # left out of the program
                layer.keep("output", np.ones(self._lead(layer, plan) + layer.shape, self.dtype))
            for what in ("net", "output", "delta"):
                name = plan.program.values.get((layer.name, what))
                if name is None or (what == "delta" and not mode.backward):
                    continue
                array = plan.batch_first(name)
                layer.keep(what, -array if what == "delta" else array.copy())
        if group.size:
            self._keep_rows(mode, plan)

    def _lead(self, layer: Layer, plan: Plan) -> tuple[int, ...]:
        """Return the leading axes of a layer's values: (batch,) or (batch, time)."""
        paired = zip(self.clocks, plan.sizes.steps, strict=True)
        return (plan.sizes.batch, *(steps for layers, steps in paired if layer in layers))

    def _keep_rows(self, mode: Mode, plan: Plan) -> None:
        """Do the same for the hand-made nodes, whose values are rows."""
        group = self.network.handmade.group
        row = self.built(mode).row_of_node
        output = _nodes_in_front(plan.arrays[plan.program.values[group.name, "output"]])
        zeros = np.zeros_like(output)
        stores = {"net": zeros, "delta": zeros.copy(), "output": output}
        for (name, what), array in plan.program.values.items():
            kind, _, place = what.partition(":")
            if name != group.name or kind not in stores or not place:
                continue
            start, stop = map(int, place.split(":"))
            values = _nodes_in_front(plan.arrays[array])
            stores[kind][start:stop] = -values if kind == "delta" else values
        for what, store in stores.items():
            setattr(group, f"_{what}", store[row])


def _threads_for(network: Network) -> int:
    """Return one thread for each processor, for networks whose kernels divide the batch."""
    divides = any(isinstance(bundle, WindowConnections) for bundle in network.bundles)
    if not divides or find_spec("threadpoolctl") is None:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _nodes_in_front(rows: Array) -> Array:
    """Return rows as (nodes, batch) or (nodes, batch, time)."""
    return rows if rows.ndim == 2 else np.moveaxis(rows, 0, 2)

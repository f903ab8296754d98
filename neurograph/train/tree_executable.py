"""TreeExecutable: a network along trees, compiled; runs of it are batches of trees.

The parts below and above the tree layer are programs as any other, whose batch is all nodes of the
trees; between them the tree kernels go up height by height. A batch needs index arrays of its own,
never a new program: numbers of nodes are rounded up, so that few plans serve all batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from neurograph.compiler.arena import Arena, settle_in
from neurograph.compiler.executable import Executable, Mode
from neurograph.compiler.passes import checked_passes
from neurograph.compiler.plan import Plan
from neurograph.compiler.storage import Sizes
from neurograph.graph.layer import Layer
from neurograph.graph.masks import Masks
from neurograph.graph.network import Network
from neurograph.kernels.blas import find_libraries, has_threads, single_threaded
from neurograph.layer_functions import BatchNormalization
from neurograph.lines import Lines
from neurograph.parameter import Array
from neurograph.train.forest import Forest, Trees
from neurograph.train.loss import Loss, OwnLoss
from neurograph.train.tree_cells import CELLS
from neurograph.train.tree_parts import TreeParts

# Nodes times units squared of batches on which threads of BLAS wait for each other for longer than
# they work; for less BLAS starts none.
ONE_THREAD = range(1 << 17, 1 << 22)


@dataclass(frozen=True)
class GivenGradient(Loss):
    """No loss: its target is the gradient that comes from further up."""

    name = "given_gradient"

    def lines(self, weighted: bool = False) -> Lines:
        """Return the statements that take the gradient over."""
        return Lines("np.copyto(d_output, target)\nloss = 0.0")


class TreeExecutable:
    """The compiled form of a network along trees; it serves a model as ``Executable`` does.

    Parameters
    ----------
    As of ``Executable``.
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
    ) -> None:
        self.network = network
        self.dtype = dtype
        self.generator = generator
        self.losses = list(losses)
        self._options: dict[str, Any] = {
            "dtype": dtype,
            "generator": generator,
            "threads": threads or 1,
        }
        self._loss_weights = tuple(loss_weights)
        self._passes = checked_passes(passes)
        if find_spec("threadpoolctl") is not None:
            find_libraries()
        self.blas_has_threads = has_threads()
        self._version = -1
        self._homes: list[tuple[Any, Array]] = []
        self.arena: Arena
        self.refresh()

    def latest(self, mode: Mode) -> Plan | None:
        """Return the plan above the tree layer that was made last."""
        return self.above.latest(replace(mode, inputs_too=True))

    def refresh(self) -> bool:
        """Notice a change of structure or of the weights' home; return whether there was one."""
        network = self.network
        moved = any(parameter.value is not home for parameter, home in self._homes)
        same = network.version.number == self._version and network.arena is self.arena
        if same and not moved:
            return False
        network.stages()
        if moved:
            network.arena = None
        self.parts = TreeParts.of(network)
        self.arena = settle_in(network, self.dtype)
        self._homes = [(each, each.value) for each in network.parameters.values()]
        self._version = network.version.number
        self.cell = CELLS[self.parts.layer.config["cell"]](self.parts.layer, self.dtype)
        self.below = None
        if self.parts.below is not None:
            self.below = self._compiled(self.parts.below, [GivenGradient()], (), self._passes)
        self.above = self._compiled(self.parts.above, self.losses, self._loss_weights, self._passes)
        self._below_exact = _depends_on_batch(self.parts.below)
        self._above_exact = (
            not self.parts.at_nodes
            or _depends_on_batch(self.parts.above)
            or any(isinstance(loss, OwnLoss) for loss in self.losses)
        )
        return True

    def _compiled(
        self, network: Network, losses: list[Any], weights: Sequence[float], passes: Sequence[str]
    ) -> Executable:
        network.arena = self.arena
        return Executable(
            network, losses=losses, loss_weights=weights, passes=passes, **self._options
        )

    # batches --------------------------------------------------------------------------------------

    def sizes(self, inputs: Sequence[Any]) -> Sizes:
        """Return the number of trees."""
        return Sizes(len(inputs[0]))

    def plan(self, mode: Mode, sizes: Sizes) -> TreeRun:
        """Return a run, to be fed with so many trees."""
        return TreeRun(self, mode, sizes)

    def feed(self, mode: Mode, run: TreeRun, inputs: Sequence[Any]) -> None:
        """Give a run its trees."""
        run.feed(inputs[0])

    def feed_targets(self, mode: Mode, run: TreeRun, targets: Sequence[Any]) -> None:
        """Give a run its targets, then its sample weights if it has some."""
        run.feed_targets(targets)

    def outputs(self, run: TreeRun) -> list[Array]:
        """Return the outputs of a run: (trees, shape), or (all nodes, shape)."""
        return run.outputs()

    def masks(self, run: TreeRun) -> Masks:
        """Return the masks of a run, see ``Executable``."""
        return run.masks

    def after_training(self, run: TreeRun) -> None:
        """Let the moving statistics of normalisations take in the batch of a training step."""
        for executable, plan in run.ran:
            executable.after_training(plan)

    def below_rows(self, given: int) -> int:
        """Return how many rows a plan below has for so many given nodes."""
        return given if self._below_exact else rounded_up(given)

    def above_rows(self, outputs: int) -> int:
        """Return how many rows a plan above has for so many outputs."""
        return outputs if self._above_exact else rounded_up(outputs)

    @property
    def pads(self) -> bool:
        """Whether plans above the tree layer may have more rows than there are outputs."""
        return not self._above_exact

    # looking --------------------------------------------------------------------------------------

    def keep_values(self, mode: Mode, run: TreeRun) -> None:
        """Let the layers show the values of a run: (all nodes, shape), or (trees, shape)."""
        for executable, plan in run.ran:
            keep = replace(run.mode, keep=True)
            executable.keep_values(keep, plan)
        forest, parts = run.forest, self.parts
        for layer in self.network.all_layers:
            copy = parts.copies.get(id(layer))
            if copy is not None and layer is not parts.layer and layer.role != "const":
                self._show_copy(layer, copy, run)
        for name, values in self.cell.kept(forest, mode.backward).items():
            for what, array in values.items():
                parts.layer.parts[name].keep(what, array)
        if parts.layer is not parts.layer.parts["hidden"]:
            roots = self.cell.outputs(forest, roots=True)
            parts.layer.keep("net", roots)
            parts.layer.keep("output", roots)
            if mode.backward:
                parts.layer.keep("delta", -run.d_outputs)
        if self.below is None:
            self._show_input(run, mode.backward)

    def _show_copy(self, layer: Layer, copy: Layer, run: TreeRun) -> None:
        forest = run.forest
        at_given = copy.network is self.parts.below
        for what in ("net", "output", "delta"):
            array = np.asarray(getattr(copy, what))
            lead = array.ndim - len(copy.shape)
            if lead != 1:  # not of this run
                continue
            if at_given:
                layer.keep(what, _scattered(array[: len(forest.given)], forest))
            else:
                layer.keep(what, array[: run.samples])

    def _show_input(self, run: TreeRun, backward: bool) -> None:
        layer = self.parts.source
        layer.keep("output", _scattered(run.forest.values.astype(self.dtype), run.forest))
        if backward:
            layer.keep("delta", _scattered(-self.cell.d_x(run.forest), run.forest))


class TreeRun:
    """One batch of trees on its way through the parts; what ``Plan`` is to other networks.

    Attributes
    ----------
    samples : int
        The number of outputs: trees, or nodes of all trees.
    ran : list of (Executable, Plan)
        The plans that ran.
    """

    noise: Sequence[Any] = ()

    def __init__(self, executable: TreeExecutable, mode: Mode, sizes: Sizes) -> None:
        self.executable = executable
        self.mode = mode
        self.sizes = sizes
        self.samples = 0
        self.masks: Masks = [None] * len(executable.losses)  # all nodes count
        self.ran: list[tuple[Executable, Plan]] = []
        self.forest: Forest
        self.d_outputs: Array
        self._above: Plan
        self._below: Plan | None = None
        self._targets: list[Array] = []

    def feed(self, trees: Trees) -> None:
        """Take the trees of the batch."""
        executable, mode = self.executable, self.mode
        self.forest = forest = Forest.of(trees)
        self.samples = forest.nodes if executable.parts.at_nodes else len(trees)
        padded = executable.pads and mode.backward
        self._above_mode = replace(mode, inputs_too=mode.backward, weighted=mode.weighted or padded)
        rows = executable.above_rows(self.samples)
        self._above = executable.above.plan(self._above_mode, Sizes(rows))
        self.ran = [(executable.above, self._above)]
        if executable.below is not None:
            below_rows = executable.below_rows(len(forest.given))
            self._below_mode = replace(mode, weighted=False)
            self._below = executable.below.plan(self._below_mode, Sizes(below_rows))
            self.ran.append((executable.below, self._below))

    def feed_targets(self, targets: Sequence[Any]) -> None:
        """Take the targets, and the sample weights if there are any."""
        executable, count = self.executable, len(self.executable.losses)
        rows, samples = self._above.sizes.batch, self.samples
        arrays = [np.asarray(each) for each in targets[:count]]
        weights = [np.asarray(each) for each in targets[count:]]
        if self._above_mode.weighted and not weights:
            weights = [np.ones(samples, executable.dtype)] * count
        if rows != samples:
            arrays = [_padded(each, rows) for each in arrays]
            weights = [_padded(each * (rows / samples), rows) for each in weights]
        names = executable.above.built(self._above_mode).targets
        for name, array in zip(names, (*arrays, *weights), strict=True):
            place = self._above.arrays[name]
            place[...] = array.reshape(place.shape)

    @property
    def moving(self) -> list[Any]:
        """The moving statistics that a training step changes."""
        return [each for _, plan in self.ran for each in plan.moving]

    def forward(self) -> None:
        """Run from the values of the nodes to the outputs."""
        executable, forest = self.executable, self.forest
        training = self.mode.training
        x: Array = forest.values
        if self._below is not None and executable.below is not None:
            below = executable.below
            _fill(self._below.arrays[below.program(self._below_mode).inputs[0]], x)
            if training:
                below.draw_noise(self._below)
            self._below.forward()
            x = below.outputs(self._below)[0][: len(forest.given)]
        with self._threads():
            executable.cell.forward(forest, x)
        found = executable.cell.outputs(forest, not executable.parts.at_nodes)
        above = executable.above
        _fill(self._above.arrays[above.program(self._above_mode).inputs[0]], found)
        if training:
            above.draw_noise(self._above)
        self._above.forward()

    def backward(self) -> float:
        """Run from the loss to the values of the nodes; return the loss."""
        executable = self.executable
        assert self._above.backward is not None
        loss = self._above.backward()
        self.d_outputs = self._above.arrays[self._above.program.kept[0]][: self.samples]
        roots = not executable.parts.at_nodes
        with self._threads():
            executable.cell.backward(self.forest, self.d_outputs, roots)
        loss += executable.cell.penalties()
        if self._below is not None and executable.below is not None:
            name = executable.below.built(self._below_mode).targets[0]
            _fill(self._below.arrays[name], executable.cell.d_x(self.forest))
            assert self._below.backward is not None
            loss += self._below.backward()
        return loss

    def _threads(self) -> AbstractContextManager[None]:
        """Return what keeps BLAS to one thread meanwhile, where more are slower."""
        executable = self.executable
        work = self.forest.nodes * executable.parts.layer.size**2
        held = executable.blas_has_threads and work in ONE_THREAD
        return single_threaded() if held else nullcontext()

    def outputs(self) -> list[Array]:
        """Return the outputs, one row for each tree or node."""
        return [each[: self.samples] for each in self.executable.above.outputs(self._above)]

    def first_not_finite(self) -> str:
        """Say where, in a batch whose loss is not a number, the first such value came from."""
        executable, forest = self.executable, self.forest
        layer = executable.parts.layer
        steps = [(executable.cell.outputs(forest, roots=False), layer.name)]
        if self._below is not None and executable.below is not None:
            below = executable.below.outputs(self._below)[0][: len(forest.given)]
            steps.insert(0, (below, executable.parts.source.name))
        ports = executable.network.outputs
        steps += [(each, port.name) for each, port in zip(self.outputs(), ports, strict=True)]
        for values, name in steps:
            wrong = np.argwhere(~np.isfinite(values))
            if len(wrong):
                place = tuple(int(each) for each in wrong[0])
                return f"layer {name!r} is {values[place]} at {list(place)}"
        return "every node is finite, the loss made it so"

    # what is asked of a plan by those who gather scores -------------------------------------------

    @property
    def program(self) -> Any:
        """The program above the tree layer."""
        return self._above.program

    @property
    def losses(self) -> list[float]:
        """The loss of each output, if there are several."""
        return self._above.losses

    @property
    def lead(self) -> dict[str, int]:
        """How many leading axes each array of that program has."""
        return self._above.lead

    @property
    def arrays(self) -> dict[str, Any]:
        """The targets, one row for each tree or node."""
        names = self.executable.above.built(self._above_mode).targets
        return {name: self._above.arrays[name][: self.samples] for name in names}


def rounded_up(count: int) -> int:
    """Return the next number of which there are four between a power of 2 and the next.

    >>> [rounded_up(count) for count in (3, 9, 33, 100)]
    [4, 10, 40, 112]
    """
    step = 1 << max(0, (max(count, 4) - 1).bit_length() - 3)
    return max(4, -(-count // step) * step)


def _fill(place: Array, rows: Array) -> None:
    """Write rows into the front of an array, 0 into the rest."""
    count = len(rows)
    place[:count] = rows.reshape(count, *place.shape[1:])
    place[count:] = 0


def _padded(array: Array, rows: int) -> Array:
    found = np.zeros((rows, *array.shape[1:]), array.dtype)
    found[: len(array)] = array
    return found


def _scattered(rows: Array, forest: Forest) -> Array:
    found = np.zeros((forest.nodes, *rows.shape[1:]), rows.dtype)
    found[forest.given] = rows
    return found


def _depends_on_batch(network: Network | None) -> bool:
    """Whether rows that are not there would change what is made of the others."""
    return network is not None and any(
        isinstance(layer.function, BatchNormalization) for layer in network.all_layers
    )

"""TreeModel: what ``net.compile`` returns for a network along trees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from neurograph.compiler.executable import PREDICT, TRAIN, WEIGHTED
from neurograph.compiler.explanation import Explanation
from neurograph.compiler.lower import Row
from neurograph.compiler.plan import Plan
from neurograph.compiler.program import Program
from neurograph.compiler.storage import Sizes
from neurograph.graph.masks import Masks
from neurograph.graph.network import Network
from neurograph.graph.tree_fit import fitted_trees
from neurograph.graph.tree_network import tree_network, tree_values
from neurograph.parameter import Array
from neurograph.train.arrays import as_inputs
from neurograph.train.forest import NodeRows, Trees
from neurograph.train.model import Model, checked_batch_size
from neurograph.train.tree_executable import TreeExecutable

if TYPE_CHECKING:
    from neurograph.train.batches import Before
    from neurograph.train.checked import Checked


class TreeModel(Model):
    """A compiled network along trees: a batch is a list of trees, of any shapes.

    All cells of one height, over all trees of a batch, run together. Everything else is as in
    ``Model``. Where the outputs are those of every node (``return_sequences=True``), targets are a
    list with an array for each tree, one row for each node, children first (``Tree`` says in which
    order), and losses are means over nodes.

    Parameters
    ----------
    As of ``Model``.
    """

    executable: TreeExecutable  # type: ignore[assignment]

    def _executable(self, **options: Any) -> Any:
        del options["truncate"]  # there is no time
        return TreeExecutable(self.network, **options)

    @property
    def at_nodes(self) -> bool:
        """Whether there are outputs at every node, not only at the root."""
        return self.executable.parts.at_nodes

    def predict(self, x: Any, batch_size: int | None = 32) -> Any:
        r"""Return the outputs for trees.

        Parameters
        ----------
        x : list of trees
        batch_size : int
            How many trees go through at once.

        Returns
        -------
        array, (trees, \*output shape), or for outputs at every node a list with an array (nodes,
        \*output shape) for each tree; a list of them for several outputs

        Raises
        ------
        GraphError, DataError
            A tree does not fit the network; with its number and the place in it.
        """
        if not self.at_nodes:
            return super().predict(x, batch_size)
        self.refresh()
        trees: Trees = as_inputs(self.network, x)[0]  # type: ignore[assignment]
        size = checked_batch_size(batch_size, "predict")
        found: list[list[Array]] = [[] for _ in self.losses]
        for start in range(0, len(trees), size):
            part = trees[start : start + size]
            outputs, _ = self.outputs_of([part])
            for rows, output in zip(found, outputs, strict=True):
                rows += NodeRows.cut(output.copy(), part.sizes.tolist())
        return found[0] if len(found) == 1 else found

    def outputs_of(self, inputs: Sequence[Any]) -> tuple[list[Array], Masks]:
        """Return the outputs for one batch of trees, which have no masks."""
        run: Any = self.run_forward(PREDICT, inputs)
        return self.executable.outputs(run), self.executable.masks(run)

    # looking at the compiled form ---------------------------------------------------------------

    @property
    def program(self) -> Program:
        """The typed operations above the tree layer, in a training step."""
        self.refresh()
        return self.executable.above.program(TRAIN)

    @property
    def plan(self) -> Plan:
        """The arrays of a training step above the tree layer, for the batch run last."""
        self.refresh()
        above = self.executable.above
        found = self.executable.latest(TRAIN) or self.executable.latest(WEIGHTED)
        return found or above.plan(replace(TRAIN, inputs_too=True), Sizes(1))

    @property
    def source(self) -> str:
        """The NumPy text of the parts below and above the tree layer, and of the update."""
        self.refresh()
        texts = [self.plan.source]
        below = self.executable.below
        if below is not None:
            plan = below.latest(TRAIN) or below.plan(TRAIN, Sizes(1))
            texts.insert(0, plan.source)
        return "\n\n".join([*texts, self.update.source])

    def explain(self) -> Explanation:
        """Return the table of blocks: below the tree layer, its cell, and above it."""
        self.refresh()
        executable, layer = self.executable, self.executable.parts.layer
        own = [each for each in self.network.all_layers if each.top is layer]
        cell = Row(
            layer.name,
            f"{layer.config['cell']} cell",
            "all cells of one height, over all trees, in one operation",
            sum(len(bundle) for each in own for bundle in each.incoming),
            sum(each.size for each in layer.parameters.values()),
        )
        below = () if executable.below is None else executable.below.built(TRAIN).rows
        return Explanation((*below, cell, *executable.above.built(TRAIN).rows), self.dtype)


class TreeBatches:
    """Batches of trees in memory: what ``ArrayBatches`` is for arrays.

    Parameters
    ----------
    model : TreeModel
    data : Checked
    batch_size : int
    shuffle : bool
    """

    def __init__(self, model: Model, data: Checked, batch_size: int, shuffle: bool = True) -> None:
        self.model = model
        self.data = data
        self.count = len(data)
        self.size = min(batch_size, self.count)
        self.steps: int | None = -(-self.count // self.size)
        self.shuffle = shuffle
        self.mode = WEIGHTED if data.weights else TRAIN
        self._order = np.arange(self.count)
        self._index = self._order[:0]
        self._digest = _digest(data)

    def start_epoch(self) -> None:
        """Draw the order of the trees."""
        if self.shuffle:
            self._order = self.model.generator.permutation(self.count)

    def batches(self, first: int, before: Before) -> Iterator[tuple[Any, int]]:
        """Yield a run for each batch of the epoch, fed, and its number of trees or nodes."""
        assert self.steps is not None
        for number in range(first, self.steps):
            if before is not None:
                before(number)
            self.model.refresh()
            start = number * self.size
            self._index = index = self._order[start : start + self.size]
            run: Any = self.model.executable.plan(self.mode, Sizes(len(index)))
            run.feed(self.data.inputs[0][index])
            run.feed_targets([each[index] for each in (*self.data.targets, *self.data.weights)])
            yield run, run.samples

    def skip(self, epochs: int, batches: int) -> None:
        """Leave out nothing: every epoch finds all trees."""

    def where(self, row: int) -> str:
        """Return the tree's number in x, where there is one output for each."""
        if row < len(self._index):
            return f"tree {self._index[row]} of x"
        return f"row {row} of the batch"

    def fingerprint(self) -> dict[str, Any]:
        """Return the number of trees, how they are batched, and a checksum of some of them."""
        return {
            "samples": self.count,
            "batch_size": self.size,
            "shuffle": self.shuffle,
            "data": self._digest,
        }


def _digest(data: Checked) -> str:
    trees: Any = data.inputs[0]
    found = crc32(trees.sizes.tobytes())
    for tree in trees[:: max(1, len(trees) // 64)]:
        values = tree.values[tree.given]
        found = crc32(np.ascontiguousarray(values, np.float64).tobytes(), found)
    for target in data.targets:
        found = crc32(np.asarray(target).astype(np.float64).tobytes(), found)
    return f"{found:08x}"


def predict_trees(network: Network, sample: Any, explicit: bool = False) -> Any:
    """Return the outputs for one tree or, given a list, for each of several.

    Parameters
    ----------
    network : Network
    sample : tree, or list of trees
    explicit : bool
        Walk the nodes of each tree's own network, instead of running batches.
    """
    several = isinstance(sample, (list, Trees))
    trees: Sequence[Any] = sample if several else [sample]
    if explicit:
        found = [_walk(network, tree) for tree in fitted_trees(network, trees, "x")]
        return _joined(network, found) if several else found[0]
    model = network.compile(dtype="float64")
    outputs = model.predict(trees)
    if several:
        return outputs
    return [each[0] for each in outputs] if len(network.outputs) > 1 else outputs[0]


def _walk(network: Network, tree: Any) -> Any:
    """Return the outputs for one tree, node by node."""
    from neurograph.interpret.forward import forward

    values = tree_values(network, tree)
    outputs = forward(tree_network(network, tree), values if len(values) > 1 else values[0])
    if not network.outputs[0].layer.sequence:
        return outputs if len(outputs) > 1 else outputs[0]
    count = len(outputs) // len(network.outputs)
    rows = [np.stack(outputs[k * count : (k + 1) * count]) for k in range(len(network.outputs))]
    return rows if len(rows) > 1 else rows[0]


def _joined(network: Network, found: list[Any]) -> Any:
    """Return outputs tree by tree as ``TreeModel.predict`` does."""
    several, at_nodes = len(network.outputs) > 1, network.outputs[0].layer.sequence
    columns = [list(each) for each in zip(*found, strict=True)] if several else [found]
    joined = columns if at_nodes else [np.stack(column) for column in columns]
    return joined if several else joined[0]

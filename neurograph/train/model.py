"""Model: a compiled network with its loss, optimizer and metrics; what ``net.compile`` returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.compiler.executable import PREDICT, TRAIN, WEIGHTED, Executable, Mode
from neurograph.compiler.explanation import Explanation
from neurograph.compiler.passes import checked_passes
from neurograph.compiler.plan import Plan
from neurograph.compiler.program import Program
from neurograph.compiler.storage import Sizes
from neurograph.errors import OptionError, short
from neurograph.graph.masks import Masks
from neurograph.graph.network import Network
from neurograph.graph.states import check_batches
from neurograph.graph.trees import takes_trees
from neurograph.options import random_generator, whole
from neurograph.parameter import Array
from neurograph.train.arrays import as_inputs, as_sample_weights, as_targets, same_length
from neurograph.train.metric import Metric
from neurograph.train.optimizer import Optimizer
from neurograph.train.optimizers import get_optimizer
from neurograph.train.outputs import get_loss_weights, get_losses, get_metrics, score_names
from neurograph.train.update import Update, carry_state
from neurograph.train.verbs import ModelVerbs

if TYPE_CHECKING:
    from neurograph.train.history import History
    from neurograph.train.session import Paused, Session

DTYPES = ("float32", "float64")


class Model(ModelVerbs):
    """A compiled network: it predicts, trains and can be looked into.

    Weights stay in the network: ``connection.weight`` and ``parameter.value`` are the present ones
    after every step, and changing them changes the next.

    Parameters
    ----------
    network : Network
    optimizer, loss, metrics
        By name, as an object, or (loss, metrics) a function of your own. For several outputs
        lists with one entry for each, or mappings by their names; the entries of metrics may be
        lists. A loss or metric alone is for every output.
    dtype : {"float32", "float64"}
    seed : int or None
        For shuffling and dropout.
    passes : sequence of str or None
        Compiler passes to run; None for all.
    threads : int or None
        Into how many threads a batch is divided; None decides by the network.
    loss_weights : sequence of float or mapping, optional
        For several outputs, in their order or by name.
    truncate : int, optional
        Cut back-propagation through time into pieces of so many steps, in the order in which they
        are calculated: nothing comes back from a piece to the one before it.

    Attributes
    ----------
    metrics : list of Metric
        ``metric_outputs`` has the number of the output that each looks at.
    score_names : list of str
        What ``evaluate`` returns: ``["loss", "accuracy"]``; of several outputs ``["loss", "p_loss",
        "q_loss", "p_accuracy"]``.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Any = "rmsprop",
        loss: Any = "mse",
        metrics: Any = (),
        dtype: str = "float32",
        seed: int | None = 0,
        passes: Sequence[str] | None = None,
        threads: int | None = None,
        loss_weights: Any = (),
        truncate: int | None = None,
    ) -> None:
        if threads is not None:
            threads = whole("compile: threads", threads, least=1)
        self.network = network
        self.truncate = _checked_pieces(network, truncate)
        self._optimizer = get_optimizer(optimizer)
        self.losses = get_losses(network, loss)
        followed = get_metrics(network, metrics)
        self.metrics: list[Metric] = [metric for _, metric in followed]
        self.metric_outputs = [place for place, _ in followed]
        self.score_names = score_names(network, followed)
        self.generator = random_generator("compile: seed", seed)
        self.history: History | None = None
        self.session: Session | Paused | None = None
        self.stop_training = False
        self.passes = None if passes is None else checked_passes(passes)
        self.threads = threads
        self.loss_weights = get_loss_weights(network, loss_weights)
        self.executable = self._executable(
            dtype=_checked_dtype(dtype),
            losses=self.losses,
            loss_weights=self.loss_weights,
            passes=self.passes,
            generator=self.generator,
            threads=threads,
            truncate=self.truncate,
        )
        self._start_update(Update(self.executable.arena, self.optimizer))

    def _executable(self, **options: Any) -> Executable:
        return Executable(self.network, **options)

    # keeping in step --------------------------------------------------------------------------

    def refresh(self) -> None:
        """Notice changes of the structure and of options; the optimizer keeps what it can."""
        self.update.follow()
        if self.executable.refresh():
            fresh = Update(self.executable.arena, self.optimizer)
            carry_state(self.update, fresh, self._moved(fresh))
            self._start_update(fresh)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer; its options may be set between steps, another one is compiled."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: object) -> None:
        raise OptionError(
            f"a model keeps its optimizer: compile the network again with {short(optimizer)}, or "
            f"set options of the one it has, as in model.optimizer.learning_rate = 0.01"
        )

    def _start_update(self, update: Update) -> None:
        self.update = update
        handmade = self.network.handmade
        self._edges = (handmade.connections, handmade.table(), handmade.weights)

    def set_exchange(self, exchange: Callable[[Array], None] | None) -> None:
        """Have the gradients of every step changed in place before the update, or no longer."""
        self.update.exchange = exchange

    def _moved(self, fresh: Update) -> dict[int, tuple[int, int]]:
        """Return where weights that were there before are now: new start to (old start, length)."""
        old, new = self.update.arena, fresh.arena
        moved = {}
        for parameter in new.ordered:
            start = old.offsets.get(id(parameter))
            if parameter.trainable and start is not None and start < old.trainable:
                moved[new.offsets[id(parameter)]] = (start, parameter.size)
        connections, table, before = self._edges
        now = self.network.handmade.weights
        if before is None or now is None or now is before:
            return moved
        places = (old.offsets[id(before)] + table.addresses).tolist()
        was = {id(each): place for each, place in zip(connections, places, strict=True)}
        for each in self.network.handmade.connections:
            if each.parameter is now and id(each) in was:
                moved[new.offsets[id(now)] + each.index] = (was[id(each)], 1)
        return moved

    # running ----------------------------------------------------------------------------------

    def reset_states(self) -> None:
        """Let all stateful layers begin their next batch anew; see ``Layer.reset_states``."""
        self.network.reset_states()

    def run_forward(self, mode: Mode, inputs: Sequence[Array]) -> Plan:
        """Run the forward pass on checked arrays; return the plan with its values."""
        executable = self.executable
        plan = executable.plan(mode, executable.sizes(inputs))
        executable.feed(mode, plan, inputs)
        plan.forward()
        return plan

    def run_backward(
        self, mode: Mode, inputs: Sequence[Array], targets: Sequence[Array]
    ) -> tuple[Plan, float]:
        """Run forward and backward on checked arrays; ``targets`` may end with sample weights."""
        executable = self.executable
        plan = executable.plan(mode, executable.sizes(inputs))
        executable.feed(mode, plan, inputs)
        executable.feed_targets(mode, plan, targets)
        plan.forward()
        assert plan.backward is not None
        loss = plan.backward()
        self.network.gradients_due = False
        return plan, loss

    def step(self, inputs: Sequence[Array], targets: Sequence[Array]) -> tuple[Plan, float]:
        """Take one training step on checked arrays; return the plan and the loss."""
        mode = TRAIN if len(targets) == len(self.losses) else WEIGHTED
        plan, loss = self.run_backward(mode, inputs, targets)
        self.executable.after_training(plan)
        self.update.run()
        return plan, loss

    def outputs_of(self, inputs: Sequence[Array]) -> tuple[list[Array], Masks]:
        """Return the outputs for one batch of checked arrays, until the next run; their masks."""
        plan = self.run_forward(PREDICT, inputs)
        self.executable.carry(plan)
        return self.executable.outputs(plan), self.executable.masks(plan)

    def predict(self, x: Any, batch_size: int | None = 32) -> Any:
        r"""Return the outputs for inputs.

        Parameters
        ----------
        x : array-like, (samples, [steps,] \*shape), or a list of them for several inputs
        batch_size : int
            How many samples go through at once.

        Returns
        -------
        array, (samples, [steps,] \*output shape), or a list of them for several outputs

        Raises
        ------
        ShapeError, DataError
            The inputs do not fit the network.
        """
        self.refresh()
        inputs = as_inputs(self.network, x, dtype=self.dtype)
        size = checked_batch_size(batch_size, "predict")
        count = len(inputs[0])
        check_batches(self.network, count, size, "predict")
        found: list[Array] | None = None
        for start in range(0, count, size):
            part = [each[start : start + size] for each in inputs]
            outputs, _ = self.outputs_of(part)
            if found is None:
                found = [np.empty((count, *each.shape[1:]), each.dtype) for each in outputs]
            for rows, each in zip(found, outputs, strict=True):
                rows[start : start + size] = each
        assert found is not None
        return found[0] if len(found) == 1 else found

    def evaluate(
        self, x: Any, y: Any, batch_size: int | None = 32, sample_weight: Any = None
    ) -> float | list[float]:
        """Return the loss, followed by the metrics if there are any: ``[loss, accuracy]``.

        For several outputs the loss of each comes in between: ``score_names`` says what is where.

        Raises
        ------
        ShapeError, DataError
            Inputs or targets do not fit the network or the loss.
        """
        return self._evaluate(x, y, checked_batch_size(batch_size, "evaluate"), sample_weight)

    def _evaluate(
        self, x: Any, y: Any, size: int | None, sample_weight: Any
    ) -> float | list[float]:
        """Return the scores of batches of some size, or of one batch."""
        self.refresh()
        inputs = as_inputs(self.network, x, dtype=self.dtype)
        targets = as_targets(self.network, self.losses, y, dtype=self.dtype)
        count = same_length(inputs, targets, "evaluate")
        weights = None
        if sample_weight is not None:
            weights = as_sample_weights(self.network, sample_weight, targets)
        return self._score(inputs, targets, size or count, weights)

    def _score(
        self,
        inputs: Sequence[Array],
        targets: Sequence[Array],
        size: int,
        weights: Sequence[Array] | None,
    ) -> float | list[float]:
        check_batches(self.network, len(inputs[0]), size, "evaluate")
        for metric in self.metrics:
            metric.reset()
        losses, count = np.zeros(len(self.losses)), 0
        for start in range(0, len(inputs[0]), size):
            rows = slice(start, start + size)
            part = [each[rows] for each in inputs]
            outputs, masks = self.outputs_of(part)
            aims = [each[rows] for each in targets]
            own = [each[rows] for each in weights or ()]
            losses += np.multiply(self.losses_of(aims, outputs, own, masks), len(outputs[0]))
            count += len(outputs[0])
            self.update_metrics(aims, outputs, masks)
        return _alone(self.scores_of(losses / count))

    def losses_of(
        self,
        targets: Sequence[Array],
        outputs: Sequence[Array],
        weights: Sequence[Array],
        masks: Masks,
    ) -> list[float]:
        """Return the loss of each output of a batch, by the weights of its samples and its mask."""
        found = []
        for k, (loss, output) in enumerate(zip(self.losses, outputs, strict=True)):
            weight = _one_a_row(np.asarray(weights[k])) if weights else None
            weight = loss.step_weight(masks[k], weight)
            found.append(loss.value_and_gradient(targets[k], output, weight)[0])
        return found

    def scores_of(self, losses: Array) -> list[float]:
        """Return loss and metrics, as ``score_names`` calls them, from the loss of each output."""
        weights = self.loss_weights or np.ones(len(self.losses))
        whole = float(np.dot(weights, losses)) + self.penalty()
        parts = losses.tolist() if len(self.losses) > 1 else []
        return [whole, *parts, *self.metric_values()]

    def penalty(self) -> float:
        """Return what the regularizers of all that is trained add to the loss."""
        return sum(
            float(parameter.regularizer(parameter.value))
            for parameter in self.network.parameters.values()
            if parameter.regularizer is not None and parameter.trainable
        )

    def update_metrics(
        self, targets: Sequence[Array], outputs: Sequence[Array], masks: Masks
    ) -> None:
        """Let the metrics see the outputs of a batch, each its own."""
        for metric, place in zip(self.metrics, self.metric_outputs, strict=True):
            weight = masks[place] if metric.counts_steps else None
            metric.update(np.asarray(targets[place]), outputs[place], weight)

    def metric_values(self) -> list[float]:
        """Return the present values of the metrics."""
        return [float(metric.result()) for metric in self.metrics]

    def train_on_batch(self, x: Any, y: Any, sample_weight: Any = None) -> float | list[float]:
        """Take one training step; return loss and metrics of the batch as ``evaluate`` does."""
        self.refresh()
        inputs, targets = self._checked(x, y, sample_weight)
        plan, loss = self.step(inputs, targets)
        for metric in self.metrics:
            metric.reset()
        if self.metrics:
            outputs, masks = self.executable.outputs(plan), self.executable.masks(plan)
            self.update_metrics(targets, outputs, masks)
        return _alone([loss, *plan.losses, *self.metric_values()])

    def test_on_batch(self, x: Any, y: Any, sample_weight: Any = None) -> float | list[float]:
        """Return the loss of one batch, followed by the metrics if there are any."""
        return self._evaluate(x, y, None, sample_weight)

    def _checked(
        self, x: Any, y: Any, sample_weight: Any = None
    ) -> tuple[list[Array], list[Array]]:
        inputs = as_inputs(self.network, x, dtype=self.dtype)
        targets = as_targets(self.network, self.losses, y, dtype=self.dtype)
        same_length(inputs, targets)
        if sample_weight is not None:
            targets = targets + as_sample_weights(self.network, sample_weight, targets)
        return inputs, targets

    def gradients(
        self, x: Any, y: Any, sample_weight: Any = None, *, training: bool = True
    ) -> float:
        """Run forward and backward only: fill every ``parameter.gradient``; return the loss.

        Gradients are those of the mean over the batch, regularizers included. ``training=False``
        leaves out dropout and takes the moving statistics of batch normalisation.
        """
        self.refresh()
        inputs, targets = self._checked(x, y, sample_weight)
        mode = Mode(training, True, weighted=sample_weight is not None)
        return self.run_backward(mode, inputs, targets)[1]

    def inspect(self, x: Any, y: Any = None, *, training: bool = False) -> float | None:
        """Run once and keep every value, so that any node and connection can be looked at.

        Afterwards ``node.net``, ``.output`` (and with ``y``: ``.delta``, ``connection.gradient``)
        of all nodes are those of this run, with leading axes (batch,) or (batch, time). Returns the
        loss if ``y`` was given.

        Examples
        --------
        >>> import neurograph as ng
        >>> net = ng.Network([2, 3, 1], seed=0)
        >>> model = net.compile(loss="sse")
        >>> loss = model.inspect([[0.5, 1.0], [1.0, 0.0]], [[1.0], [0.0]])
        >>> net.layer("layer_1")[0].output.shape
        (2,)
        """
        self.refresh()
        mode = Mode(training, y is not None, keep=True)
        if y is None:
            plan = self.run_forward(mode, as_inputs(self.network, x, dtype=self.dtype))
            self.executable.keep_values(mode, plan)
            return None
        plan, loss = self.run_backward(mode, *self._checked(x, y))
        self.executable.keep_values(mode, plan)
        return loss

    # looking at the compiled form ---------------------------------------------------------------

    @property
    def program(self) -> Program:
        """The typed operations of a training step; ``print`` shows them."""
        self.refresh()
        return self.executable.program(TRAIN)

    @property
    def source(self) -> str:
        """The NumPy text of a training step: what runs, for the batch size used last.

        Executed with the names ``given`` (``model.given``) and ``team`` (None will do) it makes
        arrays of its own and the functions ``forward``, ``backward`` and ``update``.
        """
        self.refresh()
        return self.plan.source + "\n\n" + self.update.source

    @property
    def given(self) -> dict[str, Any]:
        """What the source text takes from outside: large tables, and objects that have no text."""
        self.refresh()
        return self.plan.given | self.update.given

    def explain(self) -> Explanation:
        """Return the table of blocks: kernel, reason, connections, parameters, FLOPs, bytes."""
        self.refresh()
        return Explanation(self.executable.built(TRAIN).rows, self.dtype)

    @property
    def plan(self) -> Plan:
        """The arrays of a training step, for the batch size used last (1 before any run)."""
        return self.executable.latest(TRAIN) or self.executable.plan(
            TRAIN, Sizes(1, self.executable.steps_known())
        )

    @property
    def dtype(self) -> str:
        """The dtype of weights and values."""
        return self.executable.dtype

    def __repr__(self) -> str:
        names = ", ".join(loss.name for loss in self.losses)
        return f"<Model of {self.network.name!r}: {names}, {self.optimizer.name}, {self.dtype}>"


def _checked_dtype(dtype: Any) -> str:
    try:
        name = str(np.dtype(dtype))
    except TypeError:
        name = ""
    if dtype is None or name not in DTYPES:
        raise OptionError(f"compile: dtype is {short(dtype)}; choose float32 or float64")
    return name


def _checked_pieces(network: Network, truncate: Any) -> int | None:
    if truncate is None:
        return None
    steps = whole("compile: truncate", truncate, least=1)
    if not any(stage.direction for stage in network.stages()):
        raise OptionError(
            f"compile: truncate={steps} cuts back-propagation through time, but network "
            f"{network.name!r} has no cycle through time; leave it out"
        )
    return steps


def checked_batch_size(size: Any, what: str) -> int:
    """Return a batch size, 32 for None, or refuse it."""
    return 32 if size is None else whole(f"{what}: batch_size", size, least=1)


def _alone(scores: list[float]) -> float | list[float]:
    return scores if len(scores) > 1 else scores[0]


def _one_a_row(weight: Array) -> Array:
    """Return sample weights without the axes of length 1 that plans need at their end."""
    axes = [axis for axis, length in enumerate(weight.shape) if length > 1]
    return weight.reshape(weight.shape[: max(axes, default=0) + 1])


def compile(network: Network, *arguments: Any, **options: Any) -> Model:
    """Return the model of a network: ``net.compile(…)``, said as ``ng.compile(net, …)``.

    >>> import neurograph as ng
    >>> ng.compile(ng.Network([2, 1]), "sgd", loss="sse")
    <Model of 'network': sse, sgd, float32>
    """
    if not isinstance(network, Network):
        raise OptionError(f"ng.compile: give a network, got {short(network)}")
    return compile_network(network, *arguments, **options)


def compile_network(network: Network, *arguments: Any, **options: Any) -> Model:
    """Return the model of a network, for trees if its samples are trees; see ``Model``."""
    if takes_trees(network):
        from neurograph.train.tree_model import TreeModel

        return TreeModel(network, *arguments, **options)
    return Model(network, *arguments, **options)

"""Scores: loss and metrics, gathered over the batches of an epoch or of a validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.compiler.plan import Plan
from neurograph.compiler.program import statements
from neurograph.errors import FormatError
from neurograph.graph.masks import as_mask, output_masks
from neurograph.graph.states import check_batches, stateful_layers
from neurograph.parameter import Array
from neurograph.train.checked import Checked
from neurograph.train.loss import OwnLoss
from neurograph.train.metric import Metric
from neurograph.train.metrics import LossMetric, OwnMetric

if TYPE_CHECKING:
    from neurograph.train.model import Model

ROOM = 1 << 15  # so many numbers are gathered before the metrics see them
VALUES = 1 << 20  # so many node values a batch of validation may have


class Seen:
    """An output while training: what its metrics have not seen yet.

    Metrics cost more than small batches take to train on, so outputs and targets are gathered and
    the metrics see them by the hundred.
    """

    def __init__(self, place: int, metrics: Sequence[Metric], gathers: bool) -> None:
        self.place = place
        self.metrics = metrics
        self.filled = 0
        self._gathers = gathers
        self._output = self._target = np.empty(0)
        self._outputs = self._targets = np.empty(0)
        self._mask: Array | None = None
        self._masks = np.empty(0, bool)

    def look_at(self, plan: Plan, outputs: Sequence[Array], first: bool) -> None:
        """Take the arrays that the next batches will be in."""
        losses = [each for each in statements(plan.program.backward) if each.op == "loss"]
        name = losses[self.place].inputs[1].name
        output, target = outputs[self.place], plan.arrays[name]
        mask = plan.masks[self.place]
        target = target if plan.lead[name] == 1 else target.swapaxes(0, 1)
        if output.shape[1:] != self._outputs.shape[1:] or first:
            self.flush()
            rows = ROOM // max(1, math.prod(output.shape[1:])) if self._gathers else 0
            self._outputs = np.empty((rows, *output.shape[1:]), output.dtype)
            self._targets = np.empty((rows, *target.shape[1:]), target.dtype)
            self._masks = np.empty((rows, *(() if mask is None else mask.shape[1:-1])), bool)
        self._output, self._target, self._mask = output, target, mask

    def add(self, samples: int) -> None:
        """Gather the batch that has just run."""
        start = self.filled
        stop = start + samples
        if stop > len(self._outputs):
            self.flush()
            start, stop = 0, samples
            if stop > len(self._outputs):
                mask = None if self._mask is None else as_mask(self._mask)
                self._show(self._target, self._output, mask)
                return
        self._outputs[start:stop] = self._output
        self._targets[start:stop] = self._target
        if self._mask is not None:
            self._masks[start:stop] = as_mask(self._mask)
        self.filled = stop

    def flush(self) -> None:
        """Show the metrics what was gathered."""
        if self.filled:
            rows = slice(0, self.filled)
            self.filled = 0
            masks = None if self._mask is None else self._masks[rows]
            self._show(self._targets[rows], self._outputs[rows], masks)

    def _show(self, target: Array, output: Array, mask: Array | None) -> None:
        for metric in self.metrics:
            metric.update(target, output, mask if metric.counts_steps else None)


class Scores:
    """Running means of a training epoch: the loss, those of several outputs, and the metrics."""

    def __init__(self, model: Model) -> None:
        self.model = model
        # twins, so that a callback may call model.evaluate in the middle of an epoch
        self.metrics: list[Metric] = deepcopy(model.metrics)
        self.total = 0.0
        self.losses = [0.0] * len(model.losses) if len(model.losses) > 1 else []
        self.samples = 0
        self._plan: Plan | None = None
        gathers = not any(map(_sees_batches, model.metrics))
        by_output: dict[int, list[Metric]] = {}
        for metric, place in zip(self.metrics, model.metric_outputs, strict=True):
            by_output.setdefault(place, []).append(metric)
        self._seen = [Seen(place, metrics, gathers) for place, metrics in by_output.items()]

    def start(self) -> None:
        """Forget everything."""
        self.total, self.samples = 0.0, 0
        self.losses = [0.0] * len(self.losses)
        for each in self._seen:
            each.filled = 0
        for metric in self.metrics:
            metric.reset()

    def add(self, plan: Plan, loss: float, samples: int) -> None:
        """Add the batch that a plan has just run."""
        self.total += loss * samples
        self.samples += samples
        if self.losses:
            own = zip(self.losses, plan.losses, strict=True)
            self.losses = [total + each * samples for total, each in own]
        if not self._seen:
            return
        if plan is not self._plan:
            outputs = self.model.executable.outputs(plan)
            for seen in self._seen:
                seen.look_at(plan, outputs, self._plan is None)
            self._plan = plan
        for seen in self._seen:
            seen.add(samples)

    @property
    def loss(self) -> float:
        """The mean loss of the samples so far."""
        return self.total / self.samples if self.samples else math.nan

    def values(self) -> dict[str, float]:
        """Return loss and metrics of the samples so far, by name."""
        self._flush()
        losses = [total / self.samples if self.samples else math.nan for total in self.losses]
        values = [self.loss, *losses, *(float(metric.result()) for metric in self.metrics)]
        return dict(zip(self.model.score_names, values, strict=True))

    def _flush(self) -> None:
        for each in self._seen:
            each.flush()

    def finish(self) -> dict[str, float]:
        """Return the values of the whole epoch, and leave the model's own metrics with them."""
        found = self.values()
        for metric, twin in zip(self.model.metrics, self.metrics, strict=True):
            vars(metric).update(deepcopy(vars(twin)))
        return found

    def get_state(self) -> dict[str, Any]:
        """Return what was gathered, as plain data."""
        self._flush()
        metrics = [_gathered(metric) for metric in self.metrics]
        found = {"total": self.total, "samples": self.samples, "metrics": metrics}
        return found | ({"losses": list(self.losses)} if self.losses else {})

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what ``get_state`` returned."""
        losses = [float(each) for each in state.get("losses", ())]
        if len(state["metrics"]) != len(self.metrics) or len(losses) != len(self.losses):
            raise FormatError("the checkpoint's scores are those of other metrics")
        self.total, self.samples = float(state["total"]), int(state["samples"])
        self.losses = losses
        for metric, gathered in zip(self.metrics, state["metrics"], strict=True):
            metric.reset()
            for name, known in _gathered(metric).items():
                value = gathered.get(name)
                same = np.ndarray if isinstance(known, np.ndarray) else (int, float)
                if not isinstance(value, same) or np.ndim(value) != np.ndim(known):
                    raise FormatError(f"the checkpoint has no {name} of metric {metric.name!r}")
                setattr(metric, name, value)


def _sees_batches(metric: Metric) -> bool:
    """Whether a metric may depend on how samples are divided into batches."""
    own_loss = isinstance(metric, LossMetric) and isinstance(metric.loss, OwnLoss)
    return isinstance(metric, OwnMetric) or own_loss


def _gathered(metric: Metric) -> dict[str, Any]:
    options = metric.to_config()
    return {
        name: value
        for name, value in vars(metric).items()
        if name not in options and isinstance(value, (int, float, np.ndarray))
    }


class Validation:
    """Loss and metrics on data that are not trained on.

    Parameters
    ----------
    model : Model
    data : Checked or iterable
        Arrays, or batches of them already checked (each time it is asked for).
    batch_size : int
        At least so many samples go through at once; more, where the network is small and the
        scores do not depend on it: nothing is remembered from batch to batch, nothing masked.
    """

    def __init__(
        self, model: Model, data: Checked | Callable[[], Iterable[Checked]], batch_size: int
    ) -> None:
        self.model = model
        self.data = data
        self.size = batch_size
        fixed = bool(stateful_layers(model.network)) or any(output_masks(model.network))
        if isinstance(data, Checked):
            check_batches(model.network, len(data), batch_size, "fit: validation data")
        if not fixed and not any(map(_sees_batches, model.metrics)):
            nodes = sum(layer.size for layer in model.network.all_layers)
            self.size = max(batch_size, min(1024, VALUES // max(1, nodes)))

    def run(self, wanted: Callable[[], bool] = lambda: True) -> dict[str, float] | None:
        """Return loss and metrics by name; None if they were no longer wanted."""
        model = self.model
        model.refresh()
        for metric in model.metrics:
            metric.reset()
        losses, samples = np.zeros(len(model.losses)), 0
        for data in self._parts():
            if not wanted():
                return None
            outputs, masks = model.outputs_of(data.inputs)
            own = model.losses_of(data.targets, outputs, data.weights, masks)
            losses += np.multiply(own, len(outputs[0]))
            samples += len(outputs[0])
            model.update_metrics(data.targets, outputs, masks)
        scores = model.scores_of(losses / samples if samples else losses * math.nan)
        return dict(zip(model.score_names, scores, strict=True))

    def _parts(self) -> Iterable[Checked]:
        if not isinstance(self.data, Checked):
            yield from self.data()
            return
        for start in range(0, len(self.data), self.size):
            yield self.data.part(slice(start, start + self.size))

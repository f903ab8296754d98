"""Session: one training under way, with everything needed to stop it and go on later."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.compiler.plan import Plan
from neurograph.errors import DataError, FormatError
from neurograph.parameter import Array
from neurograph.storage.randomness import generator_state, restored_generator
from neurograph.train.batches import Batches
from neurograph.train.callback import CallbackList, Logs
from neurograph.train.history import History
from neurograph.train.interrupt import Interrupt
from neurograph.train.progress import Progress
from neurograph.train.scores import Scores, Validation

if TYPE_CHECKING:
    from neurograph.train.callbacks import TerminateOnNaN
    from neurograph.train.model import Model

INF = float("inf")


class TrainingWarning(UserWarning):
    """A training ended before its time; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Course:
    """The options of a training.

    ``validate`` are the numbers of the epochs that end with a validation.
    """

    epochs: int
    initial_epoch: int = 0
    accumulate: int = 1
    validate: frozenset[int] = frozenset()


@dataclass(slots=True)
class Paused:
    """Where a training stands that is not running: what ``fit(resume=True)`` goes on from."""

    state: dict[str, Any]

    def get_state(self) -> dict[str, Any]:
        """Return the state."""
        return self.state


class Gathered:
    """Gradients of several batches, added up until there are enough for one update."""

    def __init__(self, model: Model, batches: int) -> None:
        self.model = model
        self.batches = batches
        self._clear()

    def _clear(self) -> None:
        self.count = self.samples = 0
        self._update = self.model.update
        self._sum: Array = np.zeros_like(self._update.g)

    def add(self, samples: int) -> None:
        """Add the gradient of a batch; update the weights if it was the last of a group."""
        if self.model.update is not self._update:  # the structure was changed by a callback
            self._clear()
        self.count += 1
        self.samples += samples
        self._sum += self._update.g * self._sum.dtype.type(samples)
        if self.count == self.batches:
            self.apply()

    def apply(self) -> None:
        """Update the weights by the mean gradient of the samples gathered, if there are any."""
        if self.samples and self.model.update is self._update:
            np.divide(self._sum, self._sum.dtype.type(self.samples), out=self._update.g)
            self._update.run()
            self.count = self.samples = 0
            self._sum[...] = 0

    def get_state(self) -> dict[str, Any]:
        """Return what waits for its update."""
        return {"count": self.count, "samples": self.samples, "sum": self._sum.copy()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what ``get_state`` returned."""
        if state["sum"].shape != self._sum.shape:
            raise FormatError(
                f"the checkpoint's gathered gradients have shape {state['sum'].shape}, expected "
                f"{self._sum.shape}"
            )
        self.count, self.samples = int(state["count"]), int(state["samples"])
        self._sum[...] = state["sum"]


class Session:
    """One call of ``fit``.

    Attributes
    ----------
    epoch, batch : int
        The epoch under way and how many of its batches are done.
    history : History
    """

    def __init__(
        self,
        model: Model,
        source: Batches,
        validation: Validation | None,
        callbacks: CallbackList,
        guard: TerminateOnNaN,
        progress: Progress,
        course: Course,
    ) -> None:
        self.model = model
        self.source = source
        self.validation = validation
        self.callbacks = callbacks
        self.guard = guard
        self.progress = progress
        self.course = course
        self.history = History()
        self.scores = Scores(model)
        self.gathered = Gathered(model, course.accumulate)
        self.epoch, self.batch = course.initial_epoch, 0
        self.logs: Logs = {}
        self._order = generator_state(model.generator)
        self._resumed: Mapping[str, Any] | None = None
        self._interrupt = Interrupt()
        self._warning = ""
        self._begun = False

    # from the beginning to the end ----------------------------------------------------------------

    def run(self) -> History:
        """Train; return the history, which is kept whatever happens."""
        model = self.model
        before = model.session, model.history
        model.session, model.history, model.stop_training = self, self.history, False
        try:
            with self._interrupt, np.errstate(all="ignore"):
                try:
                    self._begin()
                    while self.epoch < self.course.epochs and self._run_epoch():
                        pass
                except KeyboardInterrupt:
                    self._interrupt.wanted = True
                if self._interrupt.wanted:
                    self._say_interrupted()
        finally:
            self.progress.close()
            try:
                self.callbacks.end(self.logs)
            finally:
                if self._begun:
                    model.session = Paused(self.get_state())
                else:
                    model.session, model.history = before
        if self._warning:
            warnings.warn(self._warning, TrainingWarning, stacklevel=4)
        return self.history

    def _begin(self) -> None:
        self.callbacks.begin()
        if self._resumed is not None:
            self.callbacks.restore(self._resumed["callbacks"])
            if self._resumed["ended"]:
                self.model.stop_training = True
                self.epoch = max(self.epoch, self.course.epochs)
        self._begun = True

    def _say_interrupted(self) -> None:
        done = f" after {self.batch} batches" if self.batch else ""
        self.history.stopped = f"interrupted by Ctrl-C in epoch {self.epoch + 1}{done}"
        self.progress.say(self.history.stopped)

    # one epoch ------------------------------------------------------------------------------------

    def _run_epoch(self) -> bool:
        """Train for one epoch, or for what is left of it; return whether to go on."""
        begun, epoch, source = time.perf_counter(), self.epoch, self.source
        if not self.batch:
            self.callbacks.tell("on_epoch_begin", epoch, {})
            self.scores.start()
        self._start_source()
        self.progress.start_epoch(epoch, source.steps, self.batch)
        if not self._run_batches() or self._interrupt.wanted:
            return False
        if not self.batch:
            return self._nothing_left()
        self.gathered.apply()
        self.logs = self.scores.finish()
        if self.validation is not None and epoch in self.course.validate:
            values = self._validate(self.validation)
            if values is None:
                return False
            self.logs |= values
        seconds, batches = time.perf_counter() - begun, self.batch
        self.epoch, self.batch = epoch + 1, 0
        self.history.add(epoch, self.logs, seconds)
        self.progress.end_epoch(batches, seconds, self.logs)
        self.callbacks.tell_epoch_end(epoch, self.logs, lambda: self.history.amend(self.logs))
        self.history.amend(self.logs)
        return not (self.model.stop_training or self._interrupt.wanted)

    def _start_source(self) -> None:
        """Begin an epoch's data, or find the place where an earlier training stopped."""
        bits, resumed = self.model.generator.bit_generator, self._resumed
        if resumed is None:
            self._order = generator_state(self.model.generator)
            self.source.start_epoch()
            return
        self._resumed = None
        now = bits.state
        if self.batch:
            bits.state = restored_generator(resumed["order"]).bit_generator.state
        self._order = generator_state(self.model.generator)
        self.source.start_epoch()
        after = now if self.batch else bits.state
        self.source.skip(self.epoch, self.batch)
        bits.state = after

    def _run_batches(self) -> bool:
        """Train on the batches of an epoch; return False if a loss was not finite."""
        model, scores, callbacks, progress = self.model, self.scores, self.callbacks, self.progress
        before = None
        if callbacks.hooks["on_train_batch_begin"]:
            before = partial(callbacks.tell, "on_train_batch_begin", logs={})
        tells = bool(callbacks.hooks["on_train_batch_end"])
        guarded, gathers = self.guard.active, self.course.accumulate > 1
        interrupt, clock = self._interrupt, time.perf_counter
        due = clock() + progress.interval
        for plan, samples in self.source.batches(self.batch, before):
            plan.forward()
            loss = plan.backward()  # type: ignore[misc]
            if guarded and not -INF < loss < INF:
                self._refuse(plan, loss, samples)
                return False
            model.executable.after_training(plan)
            if gathers:
                self.gathered.add(samples)
            else:
                model.update.run()
            scores.add(plan, loss, samples)
            self.batch += 1
            if tells:
                callbacks.tell("on_train_batch_end", self.batch - 1, scores.values())
            if interrupt.wanted or model.stop_training:
                break
            if clock() >= due:
                progress.show(self.batch, scores.values())
                due = clock() + progress.interval
        return True

    def _refuse(self, plan: Plan, loss: float, samples: int) -> None:
        """End the training at a loss that is not finite, before it reaches the weights."""
        sentence = self.guard.explain(self, plan, loss)
        self.scores.add(plan, loss, samples)
        self.logs = self.scores.finish()
        self.history.add(self.epoch, self.logs)
        self.history.stopped = self._warning = sentence

    def _nothing_left(self) -> bool:
        """Say that an iterator had no batch for this epoch; always False."""
        if not self.history.rows:
            raise DataError("fit: the iterable gives no batches")
        sentence = (
            f"fit: the iterator was used up after {self.epoch} of {self.course.epochs} epochs; "
            f"give steps_per_epoch, or something that can be iterated again, such as a list or a "
            f"function that returns an iterator"
        )
        self.history.stopped = self._warning = sentence
        return False

    def _validate(self, validation: Validation) -> dict[str, float] | None:
        for method in self.callbacks.hooks["on_test_begin"]:
            method({})
        values = validation.run(lambda: not self._interrupt.wanted)
        if values is not None:
            for method in self.callbacks.hooks["on_test_end"]:
                method(values)
            values = {f"val_{name}": value for name, value in values.items()}
        return values

    # stopping and going on ------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """Return where the training stands, as plain data and arrays.

        Weights, optimizer and random generator are the model's and not among them.
        """
        inside = self.batch > 0
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "order": self._order if inside else None,
            "scores": self.scores.get_state() if inside else None,
            "gathered": self.gathered.get_state() if self.gathered.count else None,
            "accumulate": self.course.accumulate,
            "callbacks": self.callbacks.states(),
            "data": self.source.fingerprint(),
            "ended": bool(self.model.stop_training),
        }

    def go_on(self, state: Mapping[str, Any], history: History) -> None:
        """Set the training to where another one stood.

        Raises
        ------
        DataError
            The data, or the way they are batched, are not those of the other training.
        """
        now = {**self.source.fingerprint(), "accumulate": self.course.accumulate}
        before = {**state.get("data", {}), "accumulate": state["accumulate"]}
        for name in [*before, *now]:
            if (type(before.get(name)), before.get(name)) != (type(now.get(name)), now.get(name)):
                raise DataError(
                    f"fit: the training to go on with had {name} {before.get(name)}, this one has "
                    f"{now.get(name)}; only with the same data, batches and order can it end as if "
                    f"it had never stopped (or start anew: ng.load and initial_epoch)"
                )
        self.epoch, self.batch = int(state["epoch"]), int(state["batch"])
        stopped = history.stopped
        history.keep_before(self.epoch)
        history.stopped = stopped if state["ended"] else ""
        self.history = history
        if self.batch:
            self.scores.set_state(state["scores"])
        if state.get("gathered") is not None:
            self.gathered.set_state(state["gathered"])
        self._resumed = state

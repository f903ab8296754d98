"""Batches: where a training gets its data from, batch by batch, laid into the arrays of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

import numpy as np

from neurograph.compiler.executable import TRAIN, WEIGHTED, Mode
from neurograph.compiler.plan import Plan
from neurograph.compiler.rows import Rows
from neurograph.errors import DataError, OptionError
from neurograph.graph.states import check_batches
from neurograph.graph.trees import takes_trees
from neurograph.parameter import Array
from neurograph.train.arrays import as_inputs
from neurograph.train.checked import Checked, check_batch

if TYPE_CHECKING:
    from neurograph.train.model import Model

Before = Callable[[int], None] | None
Augment = Callable[[Any, np.random.Generator], Any]


class Batches(Protocol):
    """What a training needs of its data.

    Attributes
    ----------
    steps : int or None
        Batches in an epoch, None if that is not known.
    mode : Mode
        That of the batch given last.
    """

    steps: int | None
    mode: Mode

    def start_epoch(self) -> None:
        """Shuffle."""
        ...

    def batches(self, first: int, before: Before) -> Iterator[tuple[Plan, int]]:
        """Yield a plan with a batch in it, ready to run, and the number of its samples.

        ``before(number)`` is called before each batch, ``first`` is the number of the first.
        """
        ...

    def skip(self, epochs: int, batches: int) -> None:
        """Leave out what an earlier training has seen."""
        ...

    def where(self, row: int) -> str:
        """Say which sample a row of the last batch is."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """Return what a training that goes on must find again."""
        ...


class ArrayBatches:
    """Batches of arrays in memory; rows are gathered straight into the arrays of a plan.

    Parameters
    ----------
    model : Model
    data : Checked
        Its inputs may have other shapes than the network's if they are augmented.
    batch_size : int
    shuffle : bool
        Whether each epoch has its own order, from the model's generator.
    augment : function, optional
        ``(x, generator) -> x`` for the inputs of a batch (a list of them if there are several).
    """

    def __init__(
        self,
        model: Model,
        data: Checked,
        batch_size: int,
        shuffle: bool = True,
        augment: Augment | None = None,
    ) -> None:
        self.model = model
        self.count = len(data)
        self.size = min(batch_size, self.count)
        self.steps: int | None = -(-self.count // self.size)
        self.shuffle = shuffle
        self.mode = WEIGHTED if data.weights else TRAIN
        check_batches(model.network, self.count, self.size, "fit")
        self._data = data
        self._augment = augment
        if augment is None:
            self._sizes = model.executable.sizes(data.inputs)
        else:
            first = self._kept_generator(lambda: self._augmented(np.arange(self.size)))
            self._sizes = model.executable.sizes(first)
        self._fingerprint = {
            "samples": self.count,
            "batch_size": self.size,
            "shuffle": shuffle,
            "data": _digest([*data.inputs, *data.targets, *data.weights]),
        }
        self._arena = model.executable.arena
        self._rows = self._lay_out()
        self._order = np.arange(self.count)
        self._index = self._order[:0]
        self._ready: dict[int, tuple[Plan, Callable[[Array], None]]] = {}

    def _lay_out(self) -> Rows:
        data, built = self._data, self.model.executable.built(self.mode)
        names, arrays = list(built.targets), data.targets + data.weights
        if self._augment is None:
            names, arrays = [*built.program.inputs, *names], data.inputs + arrays
        return Rows(built.program, names, arrays)

    def start_epoch(self) -> None:
        """Draw the order of the samples."""
        if self.shuffle:
            self._order = self.model.generator.permutation(self.count)

    def batches(self, first: int, before: Before) -> Iterator[tuple[Plan, int]]:
        """Yield the plans of the epoch's batches, see ``Batches``."""
        model, order, size = self.model, self._order, self.size
        network, version = model.network, model.network.version
        known, arena = -1, None
        assert self.steps is not None
        for number in range(first, self.steps):
            if before is not None:
                before(number)
            model.executable.notice()
            if version.number != known or network.arena is not arena:
                self._refresh()
                known, arena = version.number, network.arena
            start = number * size
            self._index = index = order[start : start + size]
            samples = len(index)
            ready = self._ready.get(samples)
            if ready is None:
                ready = self._ready[samples] = self._prepare(samples)
            plan, feed = ready
            feed(index)
            if plan.states:
                model.executable.feed_states(plan)
            if plan.noise:
                model.executable.draw_noise(plan)
            yield plan, samples

    def _refresh(self) -> None:
        """Notice that a callback changed the network's structure, or had its weights moved."""
        self.model.refresh()
        if self.model.executable.arena is not self._arena:
            self._arena = self.model.executable.arena
            self._ready.clear()
            self._rows = self._lay_out()

    def _prepare(self, samples: int) -> tuple[Plan, Callable[[Array], None]]:
        executable = self.model.executable
        plan = executable.plan(self.mode, replace(self._sizes, batch=samples))
        gather = self._rows.feeder(plan)
        if self._augment is None:
            return plan, gather
        places = executable.program(self.mode).inputs

        def feed(index: Array) -> None:
            inputs = self._augmented(index)
            for name, array in zip(places, inputs, strict=True):
                plan.batch_first(name)[...] = array
            gather(index)

        return plan, feed

    def _augmented(self, index: Array) -> list[Array]:
        assert self._augment is not None
        taken = [each[index] for each in self._data.inputs]
        found = self._augment(taken[0] if len(taken) == 1 else taken, self.model.generator)
        inputs = as_inputs(self.model.network, found, "augment")
        if len(inputs[0]) != len(index):
            raise DataError(
                f"fit: augment returned {len(inputs[0])} samples for a batch of {len(index)}"
            )
        return inputs

    def _kept_generator(self, draw: Callable[[], list[Array]]) -> list[Array]:
        """Draw something and put the generator back, so that no training is changed by it."""
        bits = self.model.generator.bit_generator
        state = bits.state
        try:
            return draw()
        finally:
            bits.state = state

    def skip(self, epochs: int, batches: int) -> None:
        """Leave out nothing: every epoch finds all samples."""

    def sample(self, count: int) -> tuple[Any, Any]:
        """Return the first samples, as ``model.inspect`` takes them."""
        first = np.arange(min(count, self.count))
        inputs = [each[first] for each in self._data.inputs]
        if self._augment is not None:
            inputs = self._kept_generator(lambda: self._augmented(first))
        targets = [each[first] for each in self._data.targets]
        x, y = (each[0] if len(each) == 1 else each for each in (inputs, targets))
        return x, y

    def where(self, row: int) -> str:
        """Return the sample's number in x."""
        return f"sample {self._index[row]} of x"

    def fingerprint(self) -> dict[str, Any]:
        """Return the number of samples, how they are batched, and a checksum of some of them."""
        return dict(self._fingerprint)


def batches_of(
    model: Model, data: Checked, batch_size: int, shuffle: bool, augment: Augment | None
) -> Batches:
    """Return batches of data in memory, for the kind of samples that the model takes."""
    if takes_trees(model.network):
        from neurograph.train.tree_model import TreeBatches

        return TreeBatches(model, data, batch_size, shuffle)
    return ArrayBatches(model, data, batch_size, shuffle, augment)


class StreamBatches:
    """Batches that an iterable gives: ``(x, y)`` or ``(x, y, sample_weight)``.

    Parameters
    ----------
    model : Model
    stream : iterable, iterator or function
        An iterator goes on from epoch to epoch; an iterable, or a function that returns an
        iterator, is begun anew for each epoch (or, with `steps`, whenever it is used up).
    steps : int, optional
        Batches in an epoch; None for as many as there are.
    class_weight : mapping, optional
    """

    def __init__(
        self,
        model: Model,
        stream: Iterable[Any] | Callable[[], Iterator[Any]],
        steps: int | None = None,
        class_weight: Any = None,
    ) -> None:
        self.model = model
        self.steps = steps
        self.mode = TRAIN
        self._stream = stream
        self._fixed = steps
        self._class_weight = class_weight
        self._again = callable(stream) or iter(stream) is not stream
        self._iterator: Iterator[Any] | None = None
        self._number = 0

    def start_epoch(self) -> None:
        """Begin the stream anew, unless it goes on from epoch to epoch."""
        if self._iterator is None or (self._again and self._fixed is None):
            self._iterator = self._begin()

    def _begin(self) -> Iterator[Any]:
        return iter(self._stream() if callable(self._stream) else self._stream)

    def _next(self) -> Any:
        """Return the next item, None if there are no more."""
        assert self._iterator is not None
        item = next(self._iterator, None)
        if item is None and self._again and self._fixed is not None:
            self._iterator = self._begin()
            item = next(self._iterator, None)
        return item

    def batches(self, first: int, before: Before) -> Iterator[tuple[Plan, int]]:
        """Yield the plans of the epoch's batches, see ``Batches``."""
        for number in count(first) if self._fixed is None else range(first, self._fixed):
            item = self._next()
            if item is None:
                self.steps = self._fixed or number or None
                return
            self._number = number
            if before is not None:
                before(number)
            yield self._laid_in(item)

    def _laid_in(self, item: Any) -> tuple[Plan, int]:
        model = self.model
        model.refresh()
        data = check_batch(model, item, self._number, self._class_weight)
        self.mode = WEIGHTED if data.weights else TRAIN
        executable = model.executable
        plan = executable.plan(self.mode, executable.sizes(data.inputs))
        executable.feed(self.mode, plan, data.inputs)
        executable.feed_targets(self.mode, plan, data.targets + data.weights)
        return plan, getattr(plan, "samples", len(data))

    def skip(self, epochs: int, batches: int) -> None:
        """Take the batches that an earlier training has seen out of a stream just begun."""
        seen = batches if self._fixed is None else epochs * self._fixed + batches
        for _ in range(seen):
            if self._next() is None:
                raise DataError(
                    f"fit: the training had seen {seen} batches, but the stream given to go on "
                    f"with has less; give one that starts from its beginning"
                )

    def where(self, row: int) -> str:
        """Return the row."""
        return f"row {row} of the batch"

    def fingerprint(self) -> dict[str, Any]:
        """Return the number of batches of an epoch, if it is fixed."""
        return {"steps_per_epoch": self._fixed}


def is_stream(x: Any) -> bool:
    """Return whether something given as x is an iterable of batches or makes one."""
    return callable(x) or (hasattr(x, "__iter__") and not hasattr(x, "__array__"))


def as_stream(x: Any, what: str) -> Any:
    """Return an iterable of batches or a function that makes one, or refuse it."""
    if not is_stream(x) or isinstance(x, (str, bytes, dict)):
        raise OptionError(
            f"{what}: without y, x must be an iterable of batches (x, y), got {type(x).__name__}"
        )
    if isinstance(x, Sequence) and not len(x):
        raise DataError(f"{what}: the list of batches is empty")
    return x


def _digest(arrays: Sequence[Array]) -> str:
    """Return a checksum of the shapes and of up to 64 samples of each array."""
    found = 0
    for array in arrays:
        rows = np.unique(np.linspace(0, len(array) - 1, 64).astype(np.intp))
        found = crc32(f"{array.shape}".encode(), found)
        found = crc32(np.ascontiguousarray(array[rows], np.float64).tobytes(), found)
    return f"{found:08x}"

"""Fit: a training set up, everything checked before the first weight changes, and run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.errors import OptionError, short
from neurograph.graph.states import check_order
from neurograph.graph.trees import takes_trees
from neurograph.options import number, whole
from neurograph.storage.atomic import StrPath
from neurograph.train.arrays import as_inputs
from neurograph.train.batches import (
    Augment,
    Batches,
    StreamBatches,
    as_stream,
    batches_of,
)
from neurograph.train.callback import Callback, CallbackList
from neurograph.train.callbacks import TerminateOnNaN
from neurograph.train.checked import Checked, check_batch, check_data
from neurograph.train.history import History
from neurograph.train.model import Model, checked_batch_size
from neurograph.train.progress import Progress, make_progress
from neurograph.train.scores import Validation
from neurograph.train.session import Course, Session

if TYPE_CHECKING:
    from neurograph.train.restore import Point


def fit(
    model: Model,
    x: Any,
    y: Any,
    batch_size: int | None,
    epochs: int,
    validation_data: Any,
    validation_split: float,
    callbacks: Callback | Sequence[Callback],
    verbose: int | str,
    shuffle: bool,
    initial_epoch: int,
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    validation_freq: int | Iterable[int],
    accumulate: int,
    augment: Augment | None,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    resume: StrPath | bool | None,
) -> History:
    """Train a model; see ``Model.fit``, where the options have their defaults."""
    model.refresh()
    size = checked_batch_size(batch_size, "fit")
    course = _course(epochs, initial_epoch, accumulate, validation_freq)
    progress = make_progress(_verbosity(verbose), course.epochs)
    _check_switches(shuffle, augment, validation_split)
    if augment is not None and takes_trees(model.network):
        raise OptionError("fit: augment changes arrays, but the samples are trees")
    source: Batches
    if y is None:
        arrays_only = {
            "validation_split": validation_split,
            "sample_weight": sample_weight,
            "augment": augment,
        }
        source = _stream(model, x, steps_per_epoch, class_weight, arrays_only)
        kept = None
    else:
        if steps_per_epoch is not None:
            raise OptionError("fit: steps_per_epoch is for iterables of batches, x is an array")
        augmented = augment is not None
        data = check_data(model, x, y, sample_weight, class_weight, augmented=augmented)
        check_order(model.network, bool(shuffle))
        data, kept = _split(model, data, validation_split, validation_data, augmented)
        source = batches_of(model, data, size, bool(shuffle), augment)
    validation = _validation(model, kept, validation_data, size, validation_steps)
    point = None
    if resume:
        point = _point(model, resume, initial_epoch, progress)
    session = _session(model, source, validation, callbacks, progress, course, point)
    if point is not None:
        session.go_on(point.state, point.history)
        point.apply()
    return session.run()


def _session(
    model: Model,
    source: Batches,
    validation: Validation | None,
    callbacks: Any,
    progress: Progress,
    course: Course,
    point: Point | None,
) -> Session:
    names = model.score_names
    params = {
        "epochs": course.epochs,
        "initial_epoch": course.initial_epoch if point is None else int(point.state["epoch"]),
        "steps": source.steps,
        "metrics": names + ([f"val_{name}" for name in names] if validation is not None else []),
        "resumed": point is not None,
        "sample": getattr(source, "sample", None),
        "verbose": type(progress) is not Progress,
    }
    given = CallbackList(callbacks, model, params)
    guards = [each for each in given.callbacks if isinstance(each, TerminateOnNaN)]
    guard = guards[0] if guards else TerminateOnNaN()
    return Session(model, source, validation, given, guard, progress, course)


def _course(epochs: Any, initial_epoch: Any, accumulate: Any, validation_freq: Any) -> Course:
    epochs = whole("fit: epochs", epochs)
    first = whole("fit: initial_epoch", initial_epoch)
    every = validation_freq
    if isinstance(every, Iterable):
        numbers = [whole("fit: an epoch of validation_freq", each, least=1) for each in every]
        validate = frozenset(each - 1 for each in numbers)
    else:
        every = whole("fit: validation_freq", every, least=1)
        validate = frozenset(range(every - 1, epochs, every))
    accumulate = whole("fit: accumulate", accumulate, least=1)
    return Course(epochs, first, accumulate, validate)


def _verbosity(verbose: Any) -> int:
    if verbose == "auto":
        return 1
    if verbose not in (0, 1, 2):
        raise OptionError(
            f"fit: verbose is {short(verbose)}; 0 is silent, 1 a line that fills, 2 a plain line "
            f"an epoch"
        )
    return int(verbose)


def _check_switches(shuffle: Any, augment: Any, validation_split: Any) -> None:
    if not isinstance(shuffle, (bool, np.bool_)):
        raise OptionError(f"fit: shuffle must be True or False, got {short(shuffle)}")
    if augment is not None and not callable(augment):
        raise OptionError(
            f"fit: augment is {short(augment)}, expected a function (x, generator) -> x"
        )
    number("fit: validation_split", validation_split, least=0, below=1)


def _stream(
    model: Model, x: Any, steps: Any, class_weight: Any, arrays_only: Mapping[str, Any]
) -> StreamBatches:
    if hasattr(x, "__array__"):
        raise OptionError("fit: y is missing; without it x must be an iterable of batches (x, y)")
    if hasattr(x, "x_train"):
        raise OptionError("fit: x is a whole data set; give fit(data.x_train, data.y_train)")
    for name, value in arrays_only.items():
        if value is not None and not (isinstance(value, float) and value == 0.0):
            raise OptionError(f"fit: {name} is for arrays, but x is an iterable of batches")
    if steps is not None:
        steps = whole("fit: steps_per_epoch", steps, least=1)
    return StreamBatches(model, as_stream(x, "fit"), steps, class_weight)


def _split(
    model: Model, data: Checked, fraction: float, validation_data: Any, augmented: bool
) -> tuple[Checked, Checked | None]:
    if not fraction:
        return data, None
    if validation_data is not None:
        raise OptionError("fit: give validation_data or validation_split, not both")
    data, kept = data.split(float(fraction))
    if augmented:
        inputs = kept.inputs[0] if len(kept.inputs) == 1 else kept.inputs
        kept = Checked(
            as_inputs(model.network, inputs, "validation_split"), kept.targets, kept.weights
        )
    return data, kept


def _validation(
    model: Model, kept: Checked | None, given: Any, batch_size: int, steps: Any
) -> Validation | None:
    if steps is not None:
        steps = whole("fit: validation_steps", steps, least=1)
    if kept is not None:
        return Validation(model, kept, batch_size)
    if given is None:
        return None
    if _is_pair(given):
        weight = given[2] if len(given) == 3 else None
        data = check_data(model, given[0], given[1], weight, what="validation_data")
        return Validation(model, data, batch_size)
    return Validation(model, _checked_stream(model, given, steps), batch_size)


def _is_pair(given: Any) -> bool:
    """Whether validation data are ``(x, y)`` or ``(x, y, sample_weight)``, not batches."""
    if isinstance(given, tuple):
        return len(given) in (2, 3)
    return isinstance(given, list) and len(given) in (2, 3) and not isinstance(given[0], tuple)


def _checked_stream(model: Model, given: Any, steps: int | None) -> Callable[[], Iterator[Checked]]:
    """Return a function that begins a stream of validation batches, each checked."""
    stream = as_stream(given, "fit: validation_data")
    again = callable(stream) or iter(stream) is not stream
    if not again and steps is None:
        raise OptionError(
            "fit: validation_data is an iterator, which can be used once only; give "
            "validation_steps, a list of batches, or a function that returns an iterator"
        )
    going = None if again else iter(stream)

    def batches() -> Iterator[Checked]:
        items = going or iter(stream() if callable(stream) else stream)
        for number_of_batch, item in enumerate(items):
            yield check_batch(model, item, number_of_batch)
            if number_of_batch + 1 == (steps or math.inf):
                return

    return batches


def _point(
    model: Model, resume: StrPath | bool, initial_epoch: int, progress: Progress
) -> Point | None:
    from neurograph.train.restore import find_point

    if initial_epoch:
        raise OptionError("fit: resume knows its epoch itself; leave initial_epoch out")
    point = find_point(model, resume)
    if point is None:
        progress.say(f"no checkpoint at {str(resume)!r} yet: training begins")
        return None
    done = f", batch {point.state['batch'] + 1}" if point.state["batch"] else ""
    progress.say(f"going on from {point.label}: epoch {point.state['epoch'] + 1}{done}")
    return point

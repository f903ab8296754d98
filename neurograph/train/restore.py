"""Restore: models from files, and trainings that go on where they stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.errors import (
    DataError,
    FormatError,
    NeurographError,
    OptionError,
    StorageError,
    short,
)
from neurograph.graph.network import Network
from neurograph.graph.states import put_states, stateful_layers
from neurograph.parameter import Array
from neurograph.storage.atomic import StrPath
from neurograph.storage.file import Loaded, load
from neurograph.storage.randomness import restored_generator
from neurograph.storage.record import Record
from neurograph.storage.structure import structure_of
from neurograph.storage.weights import put_weights, weight_arrays
from neurograph.train.checkpoint import newest_checkpoint, optimizer_arrays
from neurograph.train.history import History
from neurograph.train.losses import get_loss
from neurograph.train.metrics import get_metric
from neurograph.train.model import Model, compile_network
from neurograph.train.optimizers import get_optimizer
from neurograph.train.session import Paused

if TYPE_CHECKING:
    from collections.abc import Sequence

SECTION = "model"


def restore_model(
    loaded: Loaded, *, optimizer: Any = None, loss: Any = None, metrics: Any = None
) -> Model:
    """Return the model of a file.

    Parameters
    ----------
    loaded : Loaded
        What ``storage.file.load`` returned, with a section ``"model"``.
    optimizer, loss, metrics
        In place of those in the file: functions of your own, which no file can hold.

    Raises
    ------
    FormatError, OptionError, UnknownNameError
        The section is not one of a model, or names a function of your own.
    """
    try:
        record = Record("its model", loaded.extras.get(SECTION))
        model = compile_network(
            loaded.network,
            optimizer=_given("optimizer", optimizer, record.mapping("optimizer"), get_optimizer),
            loss=_losses(record, loss),
            metrics=_metrics(record, metrics, len(loaded.network.outputs)),
            dtype=record.text("dtype"),
            seed=restored_generator(record.fields.get("generator")),
            passes=record.fields.get("passes"),
            threads=record.whole("threads", least=1) if "threads" in record else None,
            loss_weights=record.fields.get("loss_weights") or (),
            truncate=record.whole("truncate", least=1) if "truncate" in record else None,
        )
        _put_optimizer(model, loaded, record)
        put_states(model.network, _states(model.network, record))
        history = record.fields.get("history")
        model.history = None if history is None else History.from_config(history)
        training = record.fields.get("training")
        model.session = None if training is None else Paused(_checked_state(training))
    except (NeurographError, TypeError, ValueError) as error:
        kind = type(error) if isinstance(error, NeurographError) else FormatError
        raise kind(f"cannot load {loaded.path!r}: {error}") from error
    return model


def _given(what: str, given: Any, config: Any, make: Callable[[Any], Any]) -> Any:
    """Return what was given in place of a configuration, or what the configuration makes."""
    if given is not None:
        return given
    try:
        return make(config)
    except OptionError as error:
        if "function" not in str(config):
            raise
        raise OptionError(f"{error}, as in ng.resume(path, {what}=…)") from error


def _losses(record: Record, given: Any) -> Any:
    if given is not None:
        return given
    configs = _list(record, "losses")
    return [_given("loss", None, config, get_loss) for config in configs]


def _metrics(record: Record, given: Any, outputs: int) -> Any:
    """Return a list of metrics for each output."""
    if given is not None:
        return given
    found: list[list[Any]] = [[] for _ in range(outputs)]
    for row in record.records("metrics", "metric"):
        metric = _given("metrics", None, row.mapping("config"), get_metric)
        metric.name = row.text("name")
        place = row.whole("output", below=outputs) if "output" in row else 0
        found[place].append(metric)
    return found


def _list(record: Record, name: str) -> Sequence[Any]:
    found = record.fields.get(name)
    if not isinstance(found, list):
        raise FormatError(f"its field {name!r} is {found!r}, expected a list")
    return found


def _put_optimizer(model: Model, loaded: Loaded, record: Record) -> None:
    """Take over the optimizer's state, all of it or nothing."""
    step = record.whole("step")
    homes = optimizer_arrays(model)
    for name, home in homes.items():
        array = loaded.tensors.get(name)
        _, slot, parameter = name.split("/", 2)
        if array is None:
            raise FormatError(f"the optimizer's {slot} of parameter {parameter!r} is missing")
        if array.shape != home.shape or array.dtype.kind != "f":
            raise FormatError(
                f"the optimizer's {slot} of parameter {parameter!r} is {array.dtype} of shape "
                f"{array.shape}, expected {home.dtype} of shape {home.shape}"
            )
    for name, home in homes.items():
        home[...] = loaded.tensors[name]
    model.update.step = step


def _states(network: Network, record: Record) -> dict[str, Array]:
    """Return what stateful layers are to go on with, checked."""
    states = record.mapping("states")
    for layer in stateful_layers(network):
        state = states.get(layer.name)
        fits = isinstance(state, np.ndarray) and state.dtype.kind == "f"
        if state is not None and not (fits and state.shape[1:] == layer.shape):
            raise FormatError(f"the state of layer {layer.name!r} does not fit it")
    return states


def _checked_state(state: object) -> dict[str, Any]:
    """Return where a training stood, checked as far as going on reads it."""
    record = Record("its training", state)
    record.whole("epoch")
    batch = record.whole("batch")
    record.flag("ended")
    record.whole("accumulate", least=1)
    record.mapping("data")
    for row in record.records("callbacks", "callback"):
        row.text("callback")
        row.mapping("state")
    if batch:
        restored_generator(record.fields.get("order"))
        scores = Record("its scores", record.fields.get("scores"))
        scores.whole("samples")
        if not isinstance(scores.fields.get("total"), float):
            raise FormatError("its scores have no total")
        list(scores.records("metrics", "metric"))
    if record.fields.get("gathered") is not None:
        gathered = Record("its gathered gradients", record.fields["gathered"])
        gathered.whole("count")
        gathered.whole("samples")
        if not isinstance(gathered.fields.get("sum"), np.ndarray):
            raise FormatError("its gathered gradients have no sum")
    return dict(record.fields)


def resume(path: StrPath, *, optimizer: Any = None, loss: Any = None, metrics: Any = None) -> Model:
    """Return the model of the newest checkpoint, to go on with ``model.fit(…, resume=True)``.

    Parameters
    ----------
    path : str or path
        A file that ``model.save`` or ``ModelCheckpoint`` wrote, or a folder of them.
    optimizer, loss, metrics
        In place of those in the file: needed for functions of your own, which no file can hold.

    Raises
    ------
    StorageError
        There is no checkpoint.
    FormatError, OptionError, UnknownNameError
        It cannot be read.
    """
    file = newest_checkpoint(path)
    if file is None:
        raise StorageError(f"resume: there is no checkpoint at {str(path)!r}")
    return restore_model(load(file), optimizer=optimizer, loss=loss, metrics=metrics)


# going on with a model that is there --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Point:
    """Where a training goes on.

    Attributes
    ----------
    state : mapping
        See ``Session.get_state``.
    history : History
    label : str
        For the line that says so.
    apply : callable
        Gives the model the weights, optimizer state and generator of that moment.
    """

    state: Mapping[str, Any]
    history: History
    label: str
    apply: Callable[[], None]


def find_point(model: Model, where: StrPath | bool) -> Point | None:
    """Return the point from which a training goes on, None if it has to begin.

    Nothing is changed before ``apply``.

    Raises
    ------
    OptionError
        The model itself was to go on, but it never trained.
    StorageError, FormatError, DataError
        The checkpoint cannot be read, or is that of another model.
    """
    if isinstance(where, bool):
        if model.session is None:
            raise OptionError(
                "fit: resume=True goes on with a model that was stopped or loaded; this one has "
                "never been trained, give the path of a checkpoint"
            )
        history = History.from_config((model.history or History()).to_config())
        return Point(model.session.get_state(), history, "the model as it is", lambda: None)
    file = newest_checkpoint(where)
    if file is None:
        return None
    loaded = load(file)
    try:
        record = Record("its model", loaded.extras.get(SECTION))
        state = record.fields.get("training")
        if state is None:
            raise DataError("it was saved outside of any training, so there is none to go on with")
        state = _checked_state(state)
        history = History.from_config(record.fields.get("history") or History().to_config())
        generator = restored_generator(record.fields.get("generator"))
        states = _states(model.network, record)
        _check_options(model, record)
        _check_structure(model.network, loaded.network)
        bits = model.generator.bit_generator
        if type(bits) is not type(generator.bit_generator):
            raise DataError(f"its random generator is {type(generator.bit_generator).__name__}")
    except NeurographError as error:
        raise type(error)(f"cannot go on from {file!r}: {error}") from error

    def apply() -> None:
        _put_optimizer(model, loaded, record)
        rate = get_optimizer(record.mapping("optimizer") | _own_rate(model)).learning_rate
        if isinstance(rate, float):
            model.optimizer.learning_rate = rate
        put_weights(model.network, weight_arrays(loaded.network), file)
        bits.state = generator.bit_generator.state
        put_states(model.network, states)

    return Point(state, history, file, apply)


def _own_rate(model: Model) -> dict[str, Any]:
    """Return the model's learning rate where it is no number, and so not in a file either."""
    rate = model.optimizer.learning_rate
    return {} if isinstance(rate, float) else {"learning_rate": rate}


def _check_options(model: Model, record: Record) -> None:
    """Refuse a checkpoint of a model that was compiled otherwise."""
    mine, its = model.optimizer.to_config(), record.mapping("optimizer")
    if isinstance(mine["learning_rate"], float) and isinstance(its.get("learning_rate"), float):
        its["learning_rate"] = mine["learning_rate"]  # callbacks may have changed it
    pairs = [
        ("dtype", record.text("dtype"), model.dtype),
        ("optimizer", its, mine),
        ("loss", record.fields.get("losses"), [each.to_config() for each in model.losses]),
        ("loss_weights", record.fields.get("loss_weights"), list(model.loss_weights)),
        ("truncate", record.fields.get("truncate"), model.truncate),
        (
            "metrics",
            [
                _followed(row.text("name"), row.fields.get("output", 0))
                for row in record.records("metrics", "metric")
            ],
            [
                _followed(each.name, place)
                for each, place in zip(model.metrics, model.metric_outputs, strict=True)
            ],
        ),
    ]
    for name, before, now in pairs:
        if before != now:
            raise DataError(
                f"its {name} is {before}, this model has {now}; compile the model as it was, or "
                f"use ng.resume to take the model of the file"
            )


def _followed(name: str, output: object) -> str:
    return f"{name} of output {output}" if output else name


def _check_structure(network: Network, other: Network) -> None:
    """Refuse a checkpoint of another network, naming the first parameter or layer that differs."""
    mine, its = _structure(network), _structure(other)
    for kind in ("parameters", "layers", "nodes"):
        for row, before in zip(mine[0][kind], its[0][kind], strict=False):
            if row != before:
                what = next(key for key in [*before, *row] if row.get(key) != before.get(key))
                raise DataError(
                    f"its network has another structure: {kind[:-1]} {before['name']!r} has {what} "
                    f"{short(before.get(what))}, in this network {row['name']!r} has "
                    f"{short(row.get(what))}"
                )
    if mine[0] != its[0] or not _same_arrays(mine[1], its[1]):
        raise DataError("its network has another structure: other nodes, connections or outputs")


def _structure(network: Network) -> tuple[dict[str, Any], dict[str, Array]]:
    arrays: dict[str, Array] = {}
    found = structure_of(network, arrays)
    for key in ("name", "generator"):
        found.pop(key, None)
    for row in found["parameters"]:
        row.pop("dtype", None)
    return found, arrays


def _same_arrays(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(array, other[key]) for key, array in one.items()
    )

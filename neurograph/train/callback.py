"""Callback: what is told of every step of a training, and the list that tells them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neurograph.errors import FormatError, OptionError, short

if TYPE_CHECKING:
    from neurograph.train.model import Model

Logs = dict[str, float]


class Callback:
    """Derive from it and write the methods you need; each is called at its moment of a training.

    Setting ``self.model.stop_training = True`` ends the training after the present batch or epoch.

    Attributes
    ----------
    model : Model
    params : dict
        ``epochs``, ``initial_epoch``, ``steps`` (batches in an epoch, None if not known),
        ``metrics`` (the names the logs will have), ``resumed`` (whether a training goes on),
        ``sample`` (a function that returns so many samples of x and y, None for streams) and
        ``verbose``.
    runs_last : bool
        Whether it is called after the others: checkpoints must hold what those did.

    Examples
    --------
    >>> class Watch(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(epoch, sorted(logs))
    >>> import neurograph as ng
    >>> model = ng.Network([2, 1], seed=0).compile(metrics=["mae"])
    >>> _ = model.fit([[0.0, 1.0]], [[1.0]], epochs=2, callbacks=[Watch()], verbose=0)
    0 ['loss', 'mae']
    1 ['loss', 'mae']
    """

    model: Model
    params: dict[str, Any]
    runs_last = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Do something before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Do something after the last epoch, however it ended; `logs` are those of that epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Do something before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Do something after an epoch and its validation; what is added to `logs` is kept."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Do something before a batch of the epoch, counted from 0."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Do something after a batch; `logs` are the means over the epoch so far."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Do something before a validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Do something after a validation; `logs` are its loss and metrics."""

    def get_state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold for the callback to go on: plain data and arrays."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what ``get_state`` returned, after ``on_train_begin`` of a resumed training."""


HOOKS = (
    "on_epoch_begin",
    "on_epoch_end",
    "on_test_begin",
    "on_test_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)


class CallbackList:
    """The callbacks of one training, those that run last at the end.

    Attributes
    ----------
    hooks : dict
        For each event the methods that somebody wrote; nobody waits for the others.
    """

    def __init__(self, callbacks: Any, model: Model, params: dict[str, Any]) -> None:
        given = _as_list(callbacks)
        self.callbacks: list[Callback] = sorted(given, key=lambda each: each.runs_last)
        for each in self.callbacks:
            each.model, each.params = model, params
        self.hooks = {name: self._written(name) for name in HOOKS}
        self._begun: list[Callback] = []

    def _written(self, name: str) -> list[Callable[..., None]]:
        methods = [getattr(each, name) for each in self.callbacks]
        plain = getattr(Callback, name)
        return [each for each in methods if getattr(each, "__func__", None) is not plain]

    def begin(self) -> None:
        """Tell that training begins."""
        for each in self.callbacks:
            each.on_train_begin({})
            self._begun.append(each)

    def end(self, logs: Logs) -> None:
        """Tell all that were told of the beginning of the end, even if one of them raises."""
        while self._begun:
            callback = self._begun.pop(0)
            try:
                callback.on_train_end(logs)
            except BaseException:
                self.end(logs)
                raise

    def tell(self, hook: str, number: int, logs: Logs) -> None:
        """Call what was written for an event."""
        for method in self.hooks[hook]:
            method(number, logs)

    def tell_epoch_end(self, epoch: int, logs: Logs, between: Callable[[], None]) -> None:
        """Call ``on_epoch_end``; `between` runs before the callbacks that run last."""
        methods = self.hooks["on_epoch_end"]
        last = [each for each in methods if getattr(each, "__self__", None) in self._last]
        for method in methods[: len(methods) - len(last)]:
            method(epoch, logs)
        between()
        for method in last:
            method(epoch, logs)

    @property
    def _last(self) -> list[Callback]:
        return [each for each in self.callbacks if each.runs_last]

    def states(self) -> list[dict[str, Any]]:
        """Return the states of all callbacks, in order."""
        return [
            {"callback": type(each).__name__, "state": each.get_state()} for each in self.callbacks
        ]

    def restore(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Give the states back to callbacks of the same kinds, in order.

        Callbacks that are new begin afresh, states of callbacks that are gone are dropped.
        """
        waiting = list(states)
        for each in self.callbacks:
            kind = type(each).__name__
            found = next((row for row in waiting if row.get("callback") == kind), None)
            if found is not None:
                waiting.remove(found)
                try:
                    each.set_state(found.get("state", {}))
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise FormatError(
                        f"the checkpoint's state of {kind} is not one: {error!r}"
                    ) from error


def _as_list(callbacks: Any) -> list[Callback]:
    given = [callbacks] if isinstance(callbacks, Callback) else callbacks
    if given is None:
        return []
    if not isinstance(given, Sequence):
        raise OptionError(
            f"fit: callbacks is {short(callbacks)}; give a list of ng.Callback objects"
        )
    for each in given:
        if not isinstance(each, Callback):
            hint = f"; did you mean {each.__name__}()?" if isinstance(each, type) else ""
            raise OptionError(
                f"fit: {each!r} is no callback; derive it from ng.Callback, or wrap functions in "
                f"ng.LambdaCallback{hint}"
            )
    if len({id(each) for each in given}) < len(given):
        raise OptionError("fit: the same callback is given twice")
    return list(given)

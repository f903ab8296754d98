"""Copies of models in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from neurograph.graph.network import Network
from neurograph.parameter import Array
from neurograph.storage.randomness import generator_state, restored_generator
from neurograph.train.checkpoint import optimizer_arrays
from neurograph.train.history import History
from neurograph.train.model import Model, compile_network
from neurograph.train.session import Paused


def recipe_of_model(model: Model) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a function and its arguments that make an equal model: for ``copy`` and ``pickle``.

    Its network is copied too. A training that was stopped can go on with either of the two.
    """
    model.refresh()
    metrics: list[list[Any]] = [[] for _ in model.network.outputs]
    for metric, place in zip(model.metrics, model.metric_outputs, strict=True):
        metrics[place].append(metric)
    options = {
        "optimizer": model.optimizer,
        "loss": model.losses,
        "metrics": metrics,
        "dtype": model.dtype,
        "passes": model.passes,
        "threads": model.threads,
        "loss_weights": model.loss_weights,
        "truncate": model.truncate,
    }
    state = {name: array.copy() for name, array in optimizer_arrays(model).items()}
    session = None if model.session is None else model.session.get_state()
    generator = generator_state(model.generator)
    return _model, (
        model.network, options, generator, state, model.update.step, model.history, session,
    )  # fmt: skip


def _model(
    network: Network,
    options: dict[str, Any],
    generator: Any,
    state: Mapping[str, Array],
    step: int,
    history: History | None,
    session: dict[str, Any] | None,
) -> Model:
    model = compile_network(network, seed=restored_generator(generator), **options)
    for name, home in optimizer_arrays(model).items():
        home[...] = state[name]
    model.update.step, model.history = step, history
    model.session = None if session is None else Paused(session)
    return model

"""The rows of the table of cases for layers that go through time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import neurograph as ng
from neurograph.graph.network import Network
from neurograph.interop.pieces import leaky

TREE = (([0.0, 0.0], [0.0, 0.0]), (([0.0, 0.0], [0.0, 0.0]), [0.0, 0.0]))
BRANCHES = (
    None,
    [
        ([0.0, 0.0], []),
        ([0.0, 0.0], [([0.0, 0.0], []), (None, [([0.0, 0.0], [])])]),
        ([0.0, 0.0], []),
    ],
)
ANY_LENGTH, FEW_STEPS = (None, 3), (6, 3)
WAY = ("sequence", "cycle")


def _encoder_decoder() -> Network:
    x, z = ng.Input((None, 3), name="x"), ng.Input((6, 2), name="z", sequence=True)
    _, h, c = ng.LSTM(4, return_state=True, name="encoder")(x)
    y = ng.LSTM(4, return_sequences=True, name="decoder")(z, initial_state=[h, c])
    return Network(inputs=[x, z], outputs=ng.Dense(2)(y))


def _all_states(recipe: Callable[..., Any], states: int, **options: Any) -> Callable[[], Network]:
    """Return a network whose outputs are a layer and its final states, begun from inputs."""

    def build() -> Network:
        x = ng.Input(ANY_LENGTH, name="x")
        begin = [ng.Input((4,), name=f"begin_{k}") for k in range(states)]
        made = recipe(4, return_state=True, return_sequences=True, **options)(x, begin)
        return Network(inputs=[x, *begin], outputs=made)

    return build


def _fixed_state() -> Network:
    x = ng.Input(ANY_LENGTH)
    h, c = np.array([0.3, -0.2, 0.1, 0.5]), np.array([1.0, 0.5, -0.5, -1.0])
    return Network(inputs=x, outputs=ng.LSTM(4)(x, initial_state=[h, c]))


def _frozen_states() -> Network:
    x, z = ng.Input(ANY_LENGTH, name="x"), ng.Input((2,), name="z")
    begin = [ng.Dense(3, name=f"begin_{k}")(z) for k in range(2)]
    return Network(inputs=[x, z], outputs=ng.LSTM(3, "softplus", trainable=False)(x, begin))


def _both_states() -> Network:
    x = ng.Input(ANY_LENGTH, name="x")
    begin = [ng.Input((2,), name=f"begin_{k}") for k in range(2)]
    recipe = ng.Bidirectional(ng.GRU(2, return_state=True, return_sequences=True))
    return Network(inputs=[x, *begin], outputs=recipe(x, begin))


def _apart() -> Network:
    x = ng.Input(ANY_LENGTH)
    recipe = ng.Bidirectional(ng.SimpleRNN(2, return_sequences=True), merge_mode=None, name="two")
    return Network(inputs=x, outputs=recipe(x))


def _leaky_lstm() -> Network:
    x = ng.Input((None, 3), name="x")
    h = ng.LSTM(3, return_sequences=True)(x)
    return ng.Network(inputs=x, outputs=leaky(h, np.array([0.1, 0.2, 0.4])), name="leaky_lstm")


def _called_twice(recipe: Callable[..., Any]) -> Callable[[], Network]:
    """Return a network in which one recipe reads two sequences, the first output given twice."""

    def build() -> Network:
        x, z = ng.Input(ANY_LENGTH, name="x"), ng.Input(ANY_LENGTH, name="z")
        shared = recipe(3, recurrent_regularizer="l2(0.1)")
        first, second = shared(x), shared(z)
        return Network(inputs=[x, z], outputs=[first, ng.Add()([first, second]), first])

    return build


def _masked_states(recipe: Callable[..., Any], states: int, **options: Any) -> Any:
    """Return the same with a mask, and with layers below that learn from it."""

    def build() -> Network:
        x, mask = ng.Input(ANY_LENGTH, name="x"), ng.Input((None, 1), name="mask")
        given = [ng.Input((3,), name=f"begin_{k}") for k in range(states)]
        begin = [ng.Dense(3, name=f"first_{k}")(each) for k, each in enumerate(given)]
        made = recipe(3, return_state=True, return_sequences=True, **options)
        outputs = made(ng.Dense(2)(x), begin, mask=ng.Activation("step")(mask))
        return Network(inputs=[x, mask, *given], outputs=outputs)

    return build


def _joined_steps() -> Network:
    x, z = ng.Input(FEW_STEPS, name="x"), ng.Input(FEW_STEPS, name="z")
    steps = ng.Concatenate(axis=1)([ng.Masking()(x), ng.Dense(3)(z), ng.Masking()(z)])
    return Network(inputs=[x, z], outputs=[ng.GRU(2)(steps), ng.Dense(2)(steps)])


def _counted_means() -> Network:
    x, mask = ng.Input(FEW_STEPS, name="x"), ng.Input((6, 1), name="mask", sequence=True)
    steps, valid = ng.Masking()(x), ng.Activation("step")(mask)
    h = ng.Bidirectional(ng.GRU(2, return_sequences=True), merge_mode="mul")(steps, mask=valid)
    means = ng.GlobalAveragePooling1D(keepdims=True)(h), ng.GlobalAveragePooling1D()(steps)
    return Network(inputs=[x, mask], outputs=list(means))


def _given_mask() -> Network:
    x, mask = ng.Input(ANY_LENGTH, name="x"), ng.Input((None, 1), name="mask")
    valid = ng.Activation("step")(mask)
    return Network(inputs=[x, mask], outputs=ng.GRU(3, return_sequences=True)(x, mask=valid))


def _grown(tree: Any, recipe: Any) -> Network:
    """Return the network of one tree."""
    return ng.tree_network(Network([ng.Input((2,)), recipe, ng.Dense(2, activation="tanh")]), tree)


def add_recurrent(row: Callable[..., None], stack: Callable[..., None]) -> None:
    """Add the rows to the table."""

    def cell(name: str, *make: Callable[[], Any], shape: Any = ANY_LENGTH, **options: Any) -> None:
        tags = (*WAY, *options.pop("tags", ()))
        stack(name, shape, *make, tags=tags, **options)

    simple, lstm, gru = ng.SimpleRNN, ng.LSTM, ng.GRU
    cell("simple_rnn", lambda: simple(4), lambda: ng.Dense(2))
    cell("simple_rnn_sequences", lambda: simple(4, "sigmoid", return_sequences=True))
    cell("simple_rnn_turned", lambda: simple(3, go_backwards=True, return_sequences=True))
    cell("lstm", lambda: lstm(4), lambda: ng.Dense(2))
    cell("lstm_folded", lambda: lstm(4), lambda: ng.Dense(2), shape=FEW_STEPS)
    cell("lstm_sequences", lambda: lstm(3, return_sequences=True), lambda: ng.Dense(2))
    cell("lstm_backwards", lambda: lstm(3, go_backwards=True))
    cell("lstm_turned", lambda: lstm(3, go_backwards=True, return_sequences=True))
    cell("lstm_no_bias", lambda: lstm(3, use_bias=False))
    cell("lstm_activations", lambda: lstm(3, "softplus", "tanh", kernel_regularizer="l2(0.1)"))
    cell(
        "lstm_two",
        lambda: lstm(4, return_sequences=True, recurrent_regularizer="l2(0.1)"),
        lambda: ng.Dropout(0.2),
        lambda: lstm(3),
        lambda: ng.Dense(1),
        tags=("noise",),
        shape=FEW_STEPS,
    )
    cell("lstm_dropout", lambda: lstm(3, dropout=0.4, recurrent_dropout=0.3), tags=("noise",))
    row("lstm_states", _all_states(lstm, 2), *WAY)
    row("lstm_states_backwards", _all_states(lstm, 2, go_backwards=True), *WAY)
    row("lstm_fixed_state", _fixed_state, *WAY)
    row("lstm_frozen_states", _frozen_states, *WAY)
    row("leaky_lstm", _leaky_lstm, *WAY)
    row("encoder_decoder", _encoder_decoder, *WAY, "network", steps=6)
    cell("lstm_stateful", lambda: lstm(3, stateful=True), lambda: ng.Dense(2), tags=("stateful",))
    cell("gru", lambda: gru(4), lambda: ng.Dense(2))
    cell("gru_no_bias", lambda: gru(3, use_bias=False, go_backwards=True))
    cell("gru_before", lambda: gru(3, reset_after=False, return_sequences=True))
    cell("gru_before_dropout", lambda: gru(3, reset_after=False, recurrent_dropout=0.3),
         tags=("noise",))  # fmt: skip
    row("gru_states", _all_states(gru, 1), *WAY)
    for name, recipe in (("simple_rnn", simple), ("lstm", lstm), ("gru", gru)):
        row(f"{name}_called_twice", _called_twice(recipe), *WAY)

    both = ng.Bidirectional
    cell("bidirectional", lambda: both(lstm(3)), lambda: ng.Dense(2))
    cell("bidirectional_sequences", lambda: both(gru(2, return_sequences=True)), shape=FEW_STEPS)
    cell("bidirectional_sum", lambda: both(simple(3, return_sequences=True), "sum"))
    cell("bidirectional_ave", lambda: both(lstm(2, return_sequences=True), "ave"))
    cell("bidirectional_mul", lambda: both(gru(2), merge_mode="mul"))
    cell(
        "bidirectional_two_kinds",
        lambda: both(lstm(2), backward_layer=gru(2, go_backwards=True), name="two"),
    )
    row("bidirectional_apart", _apart, *WAY)
    row("bidirectional_states", _both_states, *WAY)

    cell("masking_lstm", lambda: ng.Masking(), lambda: lstm(3), gaps=True)
    cell("masking_general", lambda: ng.Masking(), lambda: lstm(3, "softplus"), gaps=True)
    cell(
        "masking_stack",
        lambda: ng.Masking(),
        lambda: both(gru(2, return_sequences=True)),
        lambda: ng.Dense(3, activation="tanh"),
        lambda: lstm(2, return_sequences=True, go_backwards=True),
        gaps=True,
        shape=FEW_STEPS,
    )
    for name, recipe, states, options in (
        ("simple_rnn", simple, 1, {"activation": "sigmoid"}),
        ("lstm", lstm, 2, {}),
        ("lstm_back", lstm, 2, {"go_backwards": True}),
        ("gru", gru, 1, {}),
        ("gru_before", gru, 1, {"reset_after": False, "go_backwards": True}),
    ):
        build = _masked_states(recipe, states, **options)
        row(f"masked_states_{name}", build, *WAY, gaps=True)
    row("counted_means", _counted_means, *WAY, gaps=True)
    row("joined_masks", _joined_steps, *WAY, gaps=True)
    row("given_mask", _given_mask, *WAY, gaps=True)
    cell(
        "embedding_masked",
        lambda: ng.Embedding(5, 3, mask_zero=True),
        lambda: gru(3, return_sequences=True),
        lambda: simple(2),
        shape=(6,),
        vocabulary=5,
        gaps=True,
    )
    cell("embedding_sequence", lambda: ng.Embedding(5, 3, mask_zero=True), lambda: lstm(2),
         shape=(None,), vocabulary=5, gaps=True)  # fmt: skip
    stack("masking", (6, 3), lambda: ng.Masking(0.5), lambda: ng.Dense(2))
    stack("embedding", (4,), lambda: ng.Embedding(5, 3), lambda: ng.Flatten(),
          lambda: ng.Dense(2), vocabulary=5)  # fmt: skip
    stack("embedding_image", (2, 3), lambda: ng.Embedding(4, 2), vocabulary=4)
    stack("time_distributed_dense", (4, 3), lambda: ng.TimeDistributed(ng.Dense(2)))
    stack(
        "time_distributed",
        (4, 5, 6, 1),
        lambda: ng.TimeDistributed(ng.Conv2D(2, 3, activation="tanh"), name="eye"),
        lambda: ng.TimeDistributed(ng.MaxPooling2D(2, 1)),
        lambda: ng.TimeDistributed(ng.Flatten()),
        lambda: ng.TimeDistributed(ng.Dropout(0.2)),
        lambda: ng.Dense(2),
        tags=("sequence", "noise"),
    )
    cell(
        "repeat_vector",
        lambda: lstm(3),
        lambda: ng.RepeatVector(4),
        lambda: simple(2, return_sequences=True),
        steps=4,
    )
    row("recursive", lambda: _grown(TREE, ng.Recursive(2, kernel_regularizer="l2(0.1)")))
    row(
        "recursive_nodes",
        lambda: _grown(TREE, ng.Recursive(2, 2, "sigmoid", return_sequences=True)),
    )
    row("child_sum_tree_lstm", lambda: _grown(BRANCHES, ng.ChildSumTreeLSTM(3)))
    stack("repeat_vector_dense", (3,), lambda: ng.RepeatVector(4), lambda: ng.Dense(2))

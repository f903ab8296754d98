"""The recurrent layers of PyTorch: gates in our order, stacked and both ways in time."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurograph.errors import GraphError
from neurograph.interop.views import Array, View, fill
from neurograph.layers.bidirectional import Bidirectional
from neurograph.layers.core import Dropout
from neurograph.layers.recurrent import Recurrent
from neurograph.layers.recurrent_cells import GRU, LSTM, SimpleRNN

# PyTorch's gates are input, forget, candidate, output, as ours; GRU: reset, update, candidate
ORDER = {"RNN": (0,), "LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2)}


def recurrent(module: Any, view: View) -> View:
    """Return the states of all steps of an RNN, LSTM or GRU: one layer of ours for each of its."""
    kind = type(module).__name__
    if getattr(module, "proj_size", 0):
        raise GraphError("proj_size is not known here")
    layer = view.in_order()
    ways = ("", "_reverse") if module.bidirectional else ("",)
    for level in range(module.num_layers):
        if level and module.dropout:
            layer = Dropout(module.dropout)(layer)
        recipe = _recipe(kind, module)
        layer = (Bidirectional(recipe) if module.bidirectional else recipe)(layer)
        values = [_weights(module, kind, f"l{level}{way}") for way in ways]
        parts = [layer.parts["forward"], layer.parts["backward"]] if len(ways) > 1 else [layer]
        for part, arrays in zip(parts, values, strict=True):
            fill(part, arrays)
    return View.of(layer)


def _recipe(kind: str, module: Any) -> Recurrent:
    options = {"return_sequences": True, "use_bias": module.bias}
    if kind == "LSTM":
        return LSTM(module.hidden_size, **options)
    if kind == "GRU":
        return GRU(module.hidden_size, **options)
    return SimpleRNN(module.hidden_size, module.nonlinearity, **options)


def _weights(module: Any, kind: str, suffix: str) -> list[Array]:
    def gates(name: str) -> Array:
        rows = np.asarray(getattr(module, f"{name}_{suffix}").detach().cpu().numpy())
        parts = np.split(rows, len(ORDER[kind]))
        return np.concatenate([parts[place] for place in ORDER[kind]])

    found = [gates("weight_ih").T, gates("weight_hh").T]
    if module.bias:
        inputs, states = gates("bias_ih"), gates("bias_hh")
        found.append(np.stack([inputs, states]) if kind == "GRU" else inputs + states)
    return found

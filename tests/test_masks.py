"""Steps that do not count: cells fused under masks, and losses, against Keras and the nodes."""

import numpy as np
import pytest
from cases import CASES

import neurograph as ng

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BATCH, STEPS = 3, 6
KERAS = {"rtol": 1e-6, "atol": 1e-6}  # its products are float32 even when told otherwise
MASKED = ["masking_lstm", "masking_stack", "given_mask", "embedding_masked", "embedding_sequence"]
MASKED += [name for name in CASES if name.startswith("masked_states")]


@pytest.mark.parametrize("name", MASKED)
def test_masked_cells_are_one_operation(name):
    kernels = [row.kernel for row in CASES[name].network().compile().explain().rows]
    assert any(kernel.endswith("cell") for kernel in kernels)
    assert "hold" not in str(CASES[name].network().compile().program)


def along(target, output):
    """A loss whose gradient with respect to the output is the target."""
    return float((target * output).sum()), target


CELLS = {
    "simple_rnn": ("SimpleRNN", {}, 1),
    "lstm": ("LSTM", {}, 2),
    "lstm_back": ("LSTM", {"go_backwards": True}, 2),
    "gru": ("GRU", {}, 1),
    "gru_before": ("GRU", {"reset_after": False}, 1),
}


@pytest.mark.parametrize("cell", CELLS)
def test_masked_outputs_states_and_all_gradients_are_those_of_keras(keras_float64, cell):
    """From initial states that are learned from; one sequence lacks its first steps."""
    torch = pytest.importorskip("torch")
    keras = keras_float64
    kind, options, states = CELLS[cell]
    generator = np.random.default_rng(4)
    valid = generator.integers(0, 2, (BATCH, STEPS)).astype(float)
    valid[0], valid[1, 0] = 1.0, 0.0
    x = generator.normal(size=(BATCH, STEPS, 3))
    given = [generator.normal(size=(BATCH, 2)) for _ in range(states)]

    a, m = ng.Input((None, 3), name="x"), ng.Input((None, 1), name="mask")
    begin = [ng.Input((2,), name=f"begin_{k}") for k in range(states)]
    recipe = getattr(ng, kind)(4, return_sequences=True, return_state=True, **options)
    firsts = [ng.Dense(4, name=f"first_{k}")(each) for k, each in enumerate(begin)]
    made = recipe(ng.Dense(2, name="below")(a), firsts, mask=ng.Activation("step")(m))
    net = ng.Network(inputs=[a, m, *begin], outputs=made)
    for parameter in net.parameters.values():
        parameter.value = generator.normal(0.0, 0.6, parameter.shape)

    b, v = keras.Input((STEPS, 3)), keras.Input((STEPS,), dtype="bool")
    begun = [keras.Input((2,)) for _ in range(states)]
    twin = getattr(keras.layers, kind)(4, return_sequences=True, return_state=True, **options)
    inner = [keras.layers.Dense(4, name=f"first_{k}") for k in range(states)]
    below = keras.layers.Dense(2, name="below")
    ends = twin(below(b), initial_state=[f(e) for f, e in zip(inner, begun, strict=True)], mask=v)
    other = keras.Model([b, v, *begun], ends)
    pairs = [("below", below), (net.outputs[0].layer.name.split("/")[0], twin)]
    pairs += [(f"first_{k}", layer) for k, layer in enumerate(inner)]
    for name, layer in pairs:
        own = [p.value for key, p in net.parameters.items() if key.startswith(f"{name}/")]
        layer.set_weights(own)

    model = net.compile("sgd", along, dtype="float64")
    assert any(row.kernel.endswith("cell") for row in model.explain().rows)
    found = model.predict([x, valid[..., None], *given])
    theirs = other([torch.tensor(x), torch.tensor(valid > 0), *map(torch.tensor, given)])
    shown = valid[:, ::-1] if "go_backwards" in options else valid
    assert not shown[1].all()
    seen = [shown[..., None], *[1.0] * states]  # Keras gives 0 for steps missing at the beginning
    for one, its, weight in zip(found, theirs, seen, strict=True):
        np.testing.assert_allclose(one * weight, its.detach().numpy() * weight, **KERAS)
    sent = [generator.normal(size=one.shape) * w for one, w in zip(found, seen, strict=True)]
    sum((y * torch.tensor(w)).sum() for y, w in zip(theirs, sent, strict=True)).backward()
    model.gradients([x, valid[..., None], *given], sent)
    for name, layer in pairs:
        own = [p.gradient for key, p in net.parameters.items() if key.startswith(f"{name}/")]
        for gradient, variable in zip(own, layer.weights, strict=True):
            np.testing.assert_allclose(gradient, variable.value.grad.numpy(), **KERAS)


def test_an_exported_script_knows_masks(tmp_path):
    case = CASES["masking_stack"]
    net = case.network()
    model = net.compile("sgd", "mse", dtype="float64")
    x, _ = case.data(net)
    model.export(tmp_path / "net.py")
    names = {"__file__": str(tmp_path / "net.py"), "__name__": "net"}
    exec((tmp_path / "net.py").read_text(), names)
    np.testing.assert_allclose(names["predict"](x), model.predict(x), rtol=1e-9, atol=1e-12)

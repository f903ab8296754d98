"""Steps that do not count: cells fused under masks, and losses, against Keras and the nodes."""

import numpy as np
import pytest
from cases import CASES

import neurograph as ng
from neurograph.graph.masks import masks_of_run
from neurograph.interpret import forward
from neurograph.train.metrics import TopK

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BATCH, STEPS = 3, 6
KERAS = {"rtol": 1e-6, "atol": 1e-6}  # its products are float32 even when told otherwise
MASKED = ["masking_lstm", "masking_stack", "given_mask", "embedding_masked", "embedding_sequence"]
MASKED += [name for name in CASES if name.startswith("masked_states")]


def both_ways(units):
    return ng.Bidirectional(ng.GRU(units, return_sequences=True), merge_mode="sum")


@pytest.mark.parametrize("recipe", [ng.SimpleRNN, ng.LSTM, ng.GRU, both_ways])
def test_steps_count_where_the_mask_is_not_0(recipe):
    x, mask = ng.Input((None, 2), name="x"), ng.Input((None, 1), name="mask")
    net = ng.Network(inputs=[x, mask], outputs=recipe(3)(x, mask=mask), seed=0)
    values = np.random.default_rng(0).normal(size=(2, 4, 2))
    numbers = np.array([[0.0, 0.5, 2.0, 0.0], [-1.0, 0.0, 0.0, 3.0]])[..., None]
    target = np.zeros_like(net.predict([values, numbers]))
    assert ng.parity_check(net, [values, numbers], target).ok
    counted = net.predict([values, (numbers != 0).astype(float)])
    np.testing.assert_allclose(net.predict([values, numbers], explicit=True), counted, rtol=1e-6)


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


# losses and metrics -----------------------------------------------------------------------------

METRICS = ["mae", "binary_accuracy", "top_k_categorical_accuracy", "precision", "rmse"]


def both(keras):
    """Return a network with a mask at its output, and Keras's model with metrics of its own."""
    net, twin = (
        chosen([start((STEPS, 3)), k.Masking(), k.LSTM(4, return_sequences=True),
                k.Dense(2, activation="sigmoid")])
        for chosen, start, k in (
            (ng.Network, ng.Input, ng), (keras.Sequential, keras.Input, keras.layers),
        )
    )  # fmt: skip
    twin.set_weights(net.get_weights())
    m = keras.metrics
    metrics = [
        "mae",
        "binary_accuracy",
        m.TopKCategoricalAccuracy(1, name="top_k_categorical_accuracy"),
        m.Precision(name="precision"),
        m.RootMeanSquaredError(name="rmse"),
    ]
    return net, twin, metrics


def padded(seed=0, samples=BATCH):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(samples, STEPS, 3))
    x[0, 3:] = x[2, 1:] = x[2, 0] = 0.0
    y = generator.integers(0, 2, (samples, STEPS, 2)).astype(float)
    return x, y, generator


@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy"])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_and_metrics_leave_out_what_keras_leaves_out(keras_float64, loss, weighted):
    net, twin, metrics = both(keras_float64)
    x, y, generator = padded(samples=5)
    weight = generator.random((5, STEPS)) if weighted else None
    twin.compile(keras_float64.optimizers.SGD(0.5), loss, metrics=metrics)
    model = net.compile("sgd(0.5)", loss, [*METRICS[:2], TopK(k=1), *METRICS[3:]], dtype="float64")

    def theirs(found):
        return [float(found["loss"]), *(float(found[name]) for name in METRICS)]

    options = {"batch_size": 2, "sample_weight": weight}
    expected = theirs(twin.evaluate(x, y, verbose=0, return_dict=True, **options))
    np.testing.assert_allclose(model.evaluate(x, y, **options), expected, rtol=1e-6)
    expected = theirs(twin.test_on_batch(x, y, sample_weight=weight, return_dict=True))
    np.testing.assert_allclose(model.test_on_batch(x, y, weight), expected, rtol=1e-6)
    twin.reset_metrics()
    expected = theirs(twin.train_on_batch(x, y, sample_weight=weight, return_dict=True))
    np.testing.assert_allclose(model.train_on_batch(x, y, weight), expected, rtol=1e-6)
    fitted = {"epochs": 2, "shuffle": False, "verbose": 0} | options
    held = {"validation_data": (x[:3], y[:3])}
    expected = twin.fit(x, y, **fitted, **held).history
    history = model.fit(x, y, **fitted, **held).history
    for name in ("loss", *METRICS):
        key = model.score_names[1 + METRICS.index(name)] if name != "loss" else name
        np.testing.assert_allclose(history[key], expected[name], rtol=1e-6)
        np.testing.assert_allclose(history[f"val_{key}"], expected[f"val_{name}"], rtol=1e-6)
    for one, its in zip(net.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(one, its, **KERAS)


def means_of_steps(k):
    """Return layers that average over the steps that count."""
    return [k.LSTM(4, return_sequences=True), k.GlobalAveragePooling1D(), k.Dense(2)]


def all_steps_both_ways(k):
    """Return layers that see the steps that do not count, too."""
    return [k.Bidirectional(k.GRU(4, return_sequences=True)), k.Flatten(), k.Dense(2)]


@pytest.mark.filterwarnings("ignore:Layer 'flatten.* was passed an input with a mask:UserWarning")
@pytest.mark.parametrize("layers", [means_of_steps, all_steps_both_ways])
def test_what_does_not_count_is_left_out_as_in_keras(keras_float64, layers):
    k = keras_float64
    net = ng.Network([ng.Input((STEPS, 3)), ng.Masking(), *layers(ng)], seed=0)
    twin = k.Sequential([k.Input((STEPS, 3)), k.layers.Masking(), *layers(k.layers)])
    twin.set_weights(net.get_weights())
    twin.compile(k.optimizers.SGD(0.5), "mse")
    model = net.compile("sgd(0.5)", "mse", dtype="float64")
    x, _, generator = padded(samples=5)
    x[2, 0] = 1.0  # else no step of it counts, and Keras divides by 0
    y = generator.normal(size=(5, 2))
    for _ in range(3):
        expected = float(twin.train_on_batch(x, y))
        assert model.train_on_batch(x, y) == pytest.approx(expected, rel=1e-6)
    for one, its in zip(net.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(one, its, **KERAS)


@pytest.mark.filterwarnings("ignore:Layer 'flatten.* was passed an input with a mask:UserWarning")
def test_both_ways_apart_have_zeros_where_no_step_counts_as_in_keras(keras_float64):
    def chosen(start, k, network):
        x = start((STEPS, 3))
        both = k.Bidirectional(k.LSTM(2, return_sequences=True), merge_mode=None)
        ahead, back = both(k.Masking()(x))
        return network(inputs=x, outputs=[ahead, k.Flatten()(back), k.GRU(2)(back)])

    net = chosen(ng.Input, ng, ng.Network)
    twin = chosen(keras_float64.Input, keras_float64.layers, keras_float64.Model)
    twin.set_weights(net.get_weights())
    x, _, _ = padded()
    for one, its in zip(net.compile(dtype="float64").predict(x), twin(x), strict=True):
        np.testing.assert_allclose(one, its.detach().numpy(), **KERAS)
    assert net.layer("forward_lstm").gate("hidden").mask is not None


def test_the_mean_of_no_step_is_0():
    net = ng.Network([ng.Input((STEPS, 3)), ng.Masking(), ng.GlobalAveragePooling1D()])
    x = np.zeros((2, STEPS, 3))
    x[1, 2] = 6.0
    assert net.compile().predict(x).tolist() == [[0.0] * 3, [6.0] * 3]


def test_masks_of_steps_that_are_joined_are_joined_as_in_keras(keras_float64):
    def chosen(start, k, network):
        x, z = start((STEPS, 3)), start((STEPS, 3))
        steps = k.Concatenate(axis=1)([k.Masking()(x), k.Dense(3)(z), k.Masking()(z)])
        return network(inputs=[x, z], outputs=[k.GRU(2)(steps), k.Dense(2)(steps)])

    net = chosen(ng.Input, ng, ng.Network)
    twin = chosen(keras_float64.Input, keras_float64.layers, keras_float64.Model)
    twin.set_weights(net.get_weights())
    twin.compile(loss="mse")
    (x, _, generator), (z, _, _) = padded(), padded(1)
    y = [generator.normal(size=(BATCH, 2)), generator.normal(size=(BATCH, 3 * STEPS, 2))]
    expected = twin.evaluate([x, z], y, verbose=0)
    model = net.compile("sgd", "mse", dtype="float64")
    np.testing.assert_allclose(model.evaluate([x, z], y), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["masking_stack", "embedding_masked", "given_mask"])
@pytest.mark.parametrize("loss", ["mse", "sse", "huber"])
def test_nodes_and_compiled_leave_out_the_same(name, loss):
    case = CASES[name]
    if name == "embedding_masked":  # an image of steps, and a mask that only the loss reads
        net = ng.Network([ng.Input((6,)), ng.Embedding(5, 3, mask_zero=True), ng.Dense(2)], seed=0)
    else:
        net = case.network()
    x, y = case.data(net)
    assert ng.parity_check(net, x, y, loss).ok
    assert ng.gradient_check(net, x, y, loss, samples=20).ok
    model = net.compile("sgd", loss, dtype="float64")
    forward(net, x)
    mask = masks_of_run(net)
    value = model.evaluate(x, y)
    assert model.gradients(x, y) == pytest.approx(value, rel=1e-12)
    counted = (model.predict(x) - y)[mask[0]]
    scale = {"mse": (counted**2).mean(), "sse": (counted**2).sum() / 2 / len(y)}
    assert value == pytest.approx(scale.get(loss, value), rel=1e-12)
    assert not mask[0].all()


def test_targets_of_steps_that_do_not_count_change_nothing():
    net = CASES["masking_stack"].network()
    x, y = CASES["masking_stack"].data(net)
    model = net.compile("sgd", "mse", ["mae"], dtype="float64")
    before = model.evaluate(x, y)
    forward(net, x)
    mask = masks_of_run(net)[0]
    other = np.where(mask[..., None], y, 1e3)
    assert model.evaluate(x, other) == pytest.approx(before, rel=1e-12)


def test_one_weight_a_sample_is_one_for_all_its_steps_that_count():
    net = CASES["masking_stack"].network()
    x, y = CASES["masking_stack"].data(net)
    model = net.compile("sgd(0.0)", "mse", dtype="float64")
    forward(net, x)
    mask, weight = masks_of_run(net)[0], np.array([0.5, 2.0, 1.0])
    errors = ((model.predict(x) - y) ** 2).mean(-1) * weight[:, None]
    expected = pytest.approx(errors[mask].mean(), rel=1e-12)
    assert model.evaluate(x, y, sample_weight=weight) == expected
    assert model.train_on_batch(x, y, weight) == expected
    assert model.fit(x, y, sample_weight=weight, verbose=0).history["loss"] == [expected]


def test_a_batch_without_any_step_that_counts_has_no_loss():
    net = ng.Network([ng.Input((None, 3)), ng.Masking(), ng.LSTM(2, return_sequences=True)])
    model = net.compile("sgd", "mse", dtype="float64")
    zeros = np.zeros((2, 4, 3)), np.ones((2, 4, 2))
    assert model.evaluate(*zeros) == 0.0
    assert model.train_on_batch(*zeros) == 0.0


def test_a_function_of_ones_own_sees_all_steps():
    net = ng.Network([ng.Input((None, 3)), ng.Masking(), ng.LSTM(2, return_sequences=True)])
    x, y = np.zeros((2, 4, 3)), np.ones((2, 4, 2))
    model = net.compile("sgd", along, dtype="float64")
    assert model.evaluate(x, y) == pytest.approx(model.predict(x).sum())
    assert model.gradients(x, y) == pytest.approx(model.predict(x).sum())


def test_the_tutorials_error_leaves_them_out_too():
    errors = []
    for explicit in (True, False):
        net = CASES["masking_stack"].network()
        x, y = CASES["masking_stack"].data(net)
        errors.append(net.train(y, x, 0.1, 2, explicit=explicit))
    np.testing.assert_allclose(*errors, rtol=1e-9)

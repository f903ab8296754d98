"""Recurrent layers: against PyTorch, through time, with masks, looked into gate by gate."""

import json

import numpy as np
import pytest
from cases import CASES

import neurograph as ng
from neurograph.graph.temporal import ReverseConnections
from neurograph.interpret import backward, calc_gradients, forward
from neurograph.layers.weights import ordered_parameters

BATCH, STEPS, FEATURES, UNITS = 3, 5, 2, 4
EXACT = {"rtol": 1e-9, "atol": 1e-12}
RECIPES = {"rnn": ng.SimpleRNN, "lstm": ng.LSTM, "gru": ng.GRU}
STATES = {"rnn": 1, "lstm": 2, "gru": 1}


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def drawn(net, seed=3):
    generator = np.random.default_rng(seed)
    for parameter in net.parameters.values():
        parameter.value = generator.normal(0.0, 0.6, parameter.shape)
    return net, generator


def torch_order(kind, array):
    """Return Keras's columns of gates in the order of PyTorch, which has them as rows."""
    order = {"rnn": [0], "lstm": [0, 1, 2, 3], "gru": [1, 0, 2]}[kind]
    parts = np.split(np.asarray(array), len(order), axis=-1)
    return np.concatenate([parts[k] for k in order], axis=-1).T


def torch_weights(kind, parameters):
    """Return weights or gradients in PyTorch's layout: input, recurrent, two biases."""
    kernel, recurrent, bias = parameters
    biases = bias if bias.ndim == 2 else [bias, np.zeros_like(bias)]
    return [torch_order(kind, each) for each in (kernel, recurrent, biases[0], biases[1])]


def torch_twin(torch, kind, parameters, **options):
    module = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind]
    twin = module(FEATURES, UNITS, batch_first=True, dtype=torch.float64, **options)
    arrays = [each for four in parameters for each in torch_weights(kind, four)]
    with torch.no_grad():
        for weight, array in zip(twin.parameters(), arrays, strict=True):
            weight.copy_(torch.tensor(array))
    return twin


def values_of(net, what="value"):
    return [getattr(each, what) for each in net.parameters.values()]


def compare_gradients(kind, found, twin):
    weights = list(twin.parameters())
    for place, four in enumerate(found):
        ours = torch_weights(kind, four)
        theirs = [each.grad.numpy() for each in weights[4 * place : 4 * place + 4]]
        if np.asarray(four[2]).ndim == 1:  # one bias here where PyTorch has two
            ours, theirs = ours[:3], theirs[:3]
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, **EXACT)


@pytest.mark.parametrize("kind", RECIPES)
def test_outputs_states_and_all_gradients_are_those_of_pytorch(torch, kind):
    x = ng.Input((None, FEATURES), name="x")
    begin = [ng.Input((UNITS,), name=f"begin_{k}") for k in range(STATES[kind])]
    recipe = RECIPES[kind](UNITS, return_sequences=True, return_state=True)
    net, generator = drawn(ng.Network(inputs=[x, *begin], outputs=recipe(x, begin)))
    values = [generator.normal(size=(BATCH, STEPS, FEATURES))]
    values += [generator.normal(size=(BATCH, UNITS)) for _ in begin]
    outputs = forward(net, values)
    sent = [generator.normal(size=each.shape) for each in outputs]
    backward(net, sent)
    calc_gradients(net)

    twin = torch_twin(torch, kind, [values_of(net)])
    given = [torch.tensor(each, requires_grad=True) for each in values]
    states = tuple(each[None] for each in given[1:])
    hidden, finals = twin(given[0], states if kind == "lstm" else states[0])
    theirs = [hidden, *(each[0] for each in (finals if kind == "lstm" else [finals]))]
    sum((y * torch.tensor(w)).sum() for y, w in zip(theirs, sent, strict=True)).backward()
    for one, other in zip(outputs, theirs, strict=True):
        np.testing.assert_allclose(one, other.detach().numpy(), **EXACT)
    for port, tensor in zip(net.inputs, given, strict=True):
        np.testing.assert_allclose(-port.layer.delta, tensor.grad.numpy(), **EXACT)
    compare_gradients(kind, [values_of(net, "gradient")], twin)


@pytest.mark.parametrize("kind", RECIPES)
def test_both_directions_with_lengths_that_differ_are_those_of_pytorch(torch, kind):
    lengths = [5, 3, 4]
    net = ng.Network(
        [
            ng.Input((None, FEATURES)),
            ng.Masking(),
            ng.Bidirectional(RECIPES[kind](UNITS, return_sequences=True)),
        ]
    )
    net, generator = drawn(net)
    x = generator.normal(size=(BATCH, STEPS, FEATURES))
    valid = np.arange(STEPS) < np.array(lengths)[:, None]
    x *= valid[..., None]
    (output,) = forward(net, x)
    sent = generator.normal(size=output.shape) * valid[..., None]
    backward(net, [sent])
    calc_gradients(net)

    halves = [values_of(net)[:3], values_of(net)[3:]]
    twin = torch_twin(torch, kind, halves, bidirectional=True)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(x), lengths, batch_first=True, enforce_sorted=False
    )
    theirs, _ = torch.nn.utils.rnn.pad_packed_sequence(twin(packed)[0], batch_first=True)
    (theirs * torch.tensor(sent)).sum().backward()
    theirs = theirs.detach().numpy()
    np.testing.assert_allclose(output * valid[..., None], theirs, **EXACT)
    gradients = values_of(net, "gradient")
    compare_gradients(kind, [gradients[:3], gradients[3:]], twin)


@pytest.mark.parametrize("kind", RECIPES)
def test_the_last_state_of_each_length_is_that_of_the_sequence_alone(kind):
    lengths = [5, 2, 4]
    net = ng.Network([ng.Input((None, FEATURES)), ng.Masking(), RECIPES[kind](UNITS)])
    net, generator = drawn(net)
    x = generator.normal(size=(BATCH, STEPS, FEATURES))
    x *= (np.arange(STEPS) < np.array(lengths)[:, None])[..., None]
    (together,) = forward(net, x)
    for sample, length in enumerate(lengths):
        (alone,) = forward(net, x[sample, :length])
        np.testing.assert_allclose(together[sample], alone, **EXACT)


# looking inside -------------------------------------------------------------------------------


def test_every_gate_can_be_looked_at_over_batch_and_time():
    net, generator = drawn(ng.Network([ng.Input((None, FEATURES)), ng.LSTM(UNITS), ng.Dense(1)]))
    x, y = generator.normal(size=(BATCH, STEPS, FEATURES)), generator.normal(size=(BATCH, 1))
    model = net.compile("sgd", "mse", dtype="float64")
    loss = model.inspect(x, y)
    lstm = net.layer("lstm")
    names = ["input", "forget", "candidate", "output", "keep", "write", "cell", "squash", "hidden"]
    seen = {name: (lstm.gate(name).output, lstm.gate(name).delta) for name in names}
    kernel, recurrent, bias = values_of(net)[:3]
    h, c = np.zeros((2, BATCH, UNITS))
    for step in range(STEPS):
        nets = np.split(x[:, step] @ kernel + h @ recurrent + bias, 4, axis=-1)
        i, f, o = (1 / (1 + np.exp(-nets[k])) for k in (0, 1, 3))
        c = f * c + i * np.tanh(nets[2])
        h = o * np.tanh(c)
        for name, value in zip(names, (i, f, np.tanh(nets[2]), o), strict=False):
            np.testing.assert_allclose(seen[name][0][:, step], value, **EXACT)
        np.testing.assert_allclose(seen["cell"][0][:, step], c, **EXACT)
        np.testing.assert_allclose(seen["hidden"][0][:, step], h, **EXACT)
    node = lstm.gate("forget")[1]
    assert node.output.shape == (BATCH, STEPS)
    np.testing.assert_array_equal(node.output, seen["forget"][0][..., 1])
    assert node.label == "lstm/forget[1]"
    output = forward(net, x)[0]
    assert np.isclose(((output - y) ** 2).mean(), loss)
    backward(net, [2 * (output - y) / y.size])
    for name, (value, delta) in seen.items():
        np.testing.assert_allclose(lstm.gate(name).output, value, **EXACT)
        np.testing.assert_allclose(lstm.gate(name).delta, delta, rtol=1e-9, atol=1e-14)
    with pytest.raises(ng.UnknownNameError, match="did you mean 'forget'"):
        lstm.gate("forgett")


def test_a_unit_is_one_minus_the_other():
    net, generator = drawn(ng.Network([ng.Input((None, FEATURES)), ng.GRU(UNITS)]))
    forward(net, generator.normal(size=(STEPS, FEATURES)))
    gru = net.layer("gru")
    np.testing.assert_allclose(gru.gate("rest").output, 1 - gru.gate("update").output, rtol=1e-15)
    recurrence = gru.gate("recurrence")[2]
    addresses = [(each.parameter.name, each.index) for each in recurrence.upstream]
    assert addresses == [("gru/recurrent_kernel", 12 * k + 10) for k in range(4)] + [
        ("gru/bias", 12 + 10)
    ]


def test_names_parts_and_configurations():
    recipe = ng.Bidirectional(ng.LSTM(2, return_state=True), name="both")
    x = ng.Input((4, 3))
    root, *finals = recipe(x)
    net = ng.Network(inputs=x, outputs=[root, *finals])
    assert list(net.parameters) == [
        f"both/{way}/{name}"
        for way in ("forward", "backward")
        for name in ("kernel", "recurrent_kernel", "bias")
    ]
    assert list(ordered_parameters(net)) == list(net.parameters)
    forget = net.layer("both/backward/forget")
    assert forget is net.layer("both").gate("backward").gate("forget")
    assert (forget.sequence, forget.steps, forget.shape) == (True, 4, (2,))
    assert [each.name for each in finals] == [
        "both/forward", "both/forward/final_cell", "both/backward", "both/backward/final_cell",
    ]  # fmt: skip
    config = net.layer("both/backward").config
    assert (config["recipe"], config["cell"], config["delay"]) == ("LSTM", "lstm", -1)
    assert json.loads(json.dumps(net.layer("both").config)) == net.layer("both").config
    assert net.layer("both").config["forward"]["units"] == 2
    hidden = ng.LSTM(2, return_sequences=True)(x)
    assert hidden.gate("hidden") is hidden
    apart = ng.Bidirectional(ng.GRU(2), None, name="two")(x)
    assert [each.name for each in apart] == ["two_forward", "two_backward"]


def test_a_recurrent_recipe_called_twice_shares_its_weights():
    a, b, reader = ng.Input((None, 2)), ng.Input((6, 2)), ng.LSTM(3, name="reader")
    net = ng.Network(inputs=[a, b], outputs=[reader(a), reader(b)])
    assert list(net.parameters) == ["reader/kernel", "reader/recurrent_kernel", "reader/bias"]
    assert net.layer("reader_1").gate("fold").steps == 6
    assert net.layer("reader_1/forget").incoming[0].parameter is net.parameters["reader/kernel"]


def test_weights_begin_as_keras_begins_them():
    net = ng.Network([ng.Input((None, 30)), ng.LSTM(20), ng.RepeatVector(2), ng.GRU(5)], seed=0)
    kernel, recurrent, bias, _, _, other = net.parameters.values()
    limit = np.sqrt(6 / (30 + 80))
    assert 0.98 * limit < abs(kernel.value).max() < limit
    np.testing.assert_allclose(recurrent.value @ recurrent.value.T, np.eye(20), atol=1e-12)
    assert bias.value.tolist() == [0.0] * 20 + [1.0] * 20 + [0.0] * 40
    assert other.shape == (2, 15)
    assert not other.value.any()
    plain = ng.LSTM(2, unit_forget_bias=False, bias_initializer=0.5)(ng.Input((None, 1)))
    assert plain.parameters["bias"].value.tolist() == [0.5] * 8
    partly = ng.LSTM(2, bias_initializer=0.5)(ng.Input((None, 1)))
    assert partly.parameters["bias"].value.tolist() == [0.5, 0.5, 1, 1, 0.5, 0.5, 0.5, 0.5]


# noise, masks, lengths ------------------------------------------------------------------------


def test_what_dropout_takes_away_is_missing_at_all_steps():
    recipe = ng.SimpleRNN(3, dropout=0.4, recurrent_dropout=0.3, return_sequences=True, name="h")
    net, generator = drawn(ng.Network([ng.Input((None, 2)), recipe]))
    x = generator.normal(size=(4, 5, 2))
    parts = net.layer("h").parts
    assert not parts["dropped_noise"].sequence
    noise = {
        "h/dropped_noise": generator.integers(0, 2, (4, 2)) / 0.6,
        "h/dropped_past_noise": generator.integers(0, 2, (4, 3)) / 0.7,
    }
    (found,) = forward(net, x, training=True, noise=noise)
    kernel, recurrent, bias = values_of(net)
    h = np.zeros((4, 3))
    for step in range(5):
        inputs = x[:, step] * noise["h/dropped_noise"]
        h = np.tanh(inputs @ kernel + h * noise["h/dropped_past_noise"] @ recurrent + bias)
        np.testing.assert_allclose(found[:, step], h, **EXACT)
    model = net.compile("sgd", dtype="float64", seed=1)
    model.inspect(x, training=True)
    dropped = net.layer("h/dropped").output
    kept = dropped != 0
    assert (kept == kept[:, :1]).all()
    assert 0 < kept[:, 0].sum() < kept[:, 0].size
    np.testing.assert_allclose(dropped[kept], (x / 0.6)[kept], rtol=1e-12)


def test_masking_takes_out_steps_whose_every_value_is_the_mask_value():
    net = ng.Network([ng.Input((None, 2)), ng.Masking(-1.5)])
    x = np.array([[[0.0, 1.0], [-1.5, -1.5], [-1.5, 2.0], [0.0, 0.0]]])
    expected = x.copy()
    expected[0, 1] = 0.0
    np.testing.assert_array_equal(forward(net, x)[0], expected)
    np.testing.assert_array_equal(net.layer("masking/mask").output[0, :, 0], [1, 0, 1, 1])
    np.testing.assert_array_equal(net.compile("sgd", dtype="float32").predict(x), expected)


def test_masks_go_with_the_layers_that_hand_them_on():
    x = ng.Input((7,))
    h = ng.Embedding(9, 4, mask_zero=True)(x)
    mask = h.parts["mask"]
    h = ng.Bidirectional(ng.GRU(3, return_sequences=True))(ng.Dropout(0.1)(h))
    joined = ng.Add()([ng.Dense(5)(h), ng.Dense(5)(h)])
    last = ng.LSTM(2)(ng.LayerNormalization()(joined))
    for layer in (last.gate("hidden"), last.gate("cell"), h.gate("forward").gate("hidden")):
        assert layer.mask.incoming[0].source is mask
    assert ng.LSTM(2)(ng.Input((None, 3))).gate("hidden").mask is None
    other = ng.Masking()(ng.Input((7, 5), sequence=True))
    with pytest.raises(ng.GraphError, match="merges layers with different masks; say which"):
        ng.LSTM(2)(ng.Add()([joined, other]))
    assert ng.LSTM(2)(ng.Add()([joined, ng.Input((7, 5), sequence=True)])).gate("cell").mask is None
    steps = ng.TimeDistributed(ng.Dense(5))(ng.Masking()(ng.Input((7, 5))))
    beside = ng.Add()([steps, ng.GRU(5, return_sequences=True)(steps)])  # one mask, folded twice
    assert ng.LSTM(2)(beside).gate("cell").mask is not None
    given = ng.LSTM(2)(ng.Add()([joined, other]), mask=other.parts["mask"])
    assert given.gate("cell").mask is other.parts["mask"]


def test_a_layer_that_goes_backwards_gives_its_states_in_the_order_in_which_it_made_them():
    net = CASES["lstm_turned"].network()
    x, _ = CASES["lstm_turned"].data(net)
    assert isinstance(net.layer("lstm").incoming[0], ReverseConnections)
    (turned,) = forward(net, x)
    other = ng.Network([ng.Input((None, 3)), ng.LSTM(3, return_sequences=True)])
    other.set_weights(net.get_weights())
    np.testing.assert_allclose(turned, forward(other, x[:, ::-1])[0], **EXACT)
    with pytest.raises(ng.GraphError, match="turns time round cannot be removed"):
        net.layer("lstm")[0].upstream[0].remove()


def test_two_sequences_of_different_length_are_run_node_by_node():
    net = CASES["repeat_vector"].network()
    x = np.random.default_rng(0).normal(size=(2, 9, 3))
    (output,) = forward(net, x)
    assert output.shape == (2, 4, 2)
    assert net.layer("lstm/cell").output.shape == (2, 9, 3)


def test_embedding_takes_rows_and_refuses_what_is_no_index():
    net = ng.Network([ng.Input((4,)), ng.Embedding(5, 3, name="words")], seed=0)
    x = np.array([[0, 4, 2, 2], [1, 1, 1, 0]])
    rows = net.parameters["words/embeddings"].value
    np.testing.assert_array_equal(forward(net, x)[0], rows[x])
    np.testing.assert_array_equal(net.compile("sgd", dtype="float64").predict(x), rows[x])
    assert np.abs(rows).max() < 0.05
    for run in (lambda y: forward(net, y), net.compile("sgd").predict):
        for wrong in (5, -1, 0.5):
            with pytest.raises(ng.DataError, match=rf" {wrong}\b.*whole numbers from 0 to 4, the"):
                run([[0, 1, 2, 3], [1, wrong, 0, 0]])


def test_indices_that_come_in_another_shape_are_looked_at_too():
    net = ng.Network([ng.Input((4,)), ng.Reshape((2, 2)), ng.Flatten(), ng.Embedding(5, 3)])
    with pytest.raises(
        ng.DataError, match=r"sample 1 holds 7 at .* whole numbers from 0 to 4, the"
    ):
        net.compile().predict([[0, 1, 2, 3], [1, 7, 0, 0]])


def test_a_gradient_check_leaves_indices_alone():
    net = ng.Network([ng.Input((2,)), ng.Embedding(900, 1), ng.Flatten()], seed=0)
    report = ng.gradient_check(net, [[3, 600]], [[1.0, 2.0]], inputs=True, samples="all")
    assert report.ok
    assert len(report.rows) == 900  # the weights


# what cannot be -------------------------------------------------------------------------------


def state(shape, **options):
    return ng.LSTM(3)(ng.Input((None, 2)), [ng.Input(shape, **options), np.zeros(3)])


REFUSED = [
    (lambda: ng.LSTM(3)(ng.Input((5,), name="flat")), ng.ShapeError,
     r"LSTM: 'flat' has shape \(5,\) and no axis of time"),
    (lambda: ng.GRU(3)(ng.Input((None,))), ng.ShapeError, r"has shape \(\) at each step"),
    (lambda: ng.GRU(3, name="g")(ng.Input((4, 5, 6))), ng.ShapeError,
     r"GRU 'g': 'input' has shape \(5, 6\) at each step.*ng.TimeDistributed"),
    (lambda: ng.LSTM(0), ng.OptionError, "units must be .* at least 1"),
    (lambda: ng.LSTM(3, dropout=1.0), ng.OptionError, "LSTM: dropout must be .* below 1"),
    (lambda: ng.LSTM(3, return_sequences=1), ng.OptionError, "expected True or False"),
    (lambda: ng.LSTM(3, recurrent_activation="sigmoyd"), ng.UnknownNameError, "'sigmoid'"),
    (lambda: ng.GRU(3, reset_after="yes"), ng.OptionError, "reset_after is 'yes'"),
    (lambda: ng.LSTM(3)(ng.Input((None, 2)), np.zeros(3)), ng.GraphError,
     "got 1 initial states, it has 2: hidden, cell"),
    (lambda: state((4,)), ng.ShapeError, r"state of 'hidden' is 'input', of shape \(4,\)"),
    (lambda: state((None, 3)), ng.ShapeError, "a sequence of shape"),
    (lambda: ng.GRU(3)(ng.Input((None, 2)), np.array([1.0, np.nan, 0.0])), ng.ShapeError,
     r"expected finite numbers of shape \(3,\), or a layer"),
    (lambda: ng.GRU(3)(ng.Input((None, 2)), mask=ng.Input((None, 2))), ng.ShapeError,
     "expected one node at each step"),
    (lambda: ng.Bidirectional(ng.Dense(3)), ng.GraphError, "is not a recurrent layer"),
    (lambda: ng.Bidirectional(ng.LSTM(3), "add"), ng.OptionError, "merge_mode is 'add'; choose"),
    (lambda: ng.Bidirectional(ng.LSTM(3), backward_layer=ng.LSTM(3)), ng.OptionError,
     "both layers go the same way"),
    (lambda: ng.Bidirectional(ng.LSTM(3), backward_layer=ng.GRU(4, go_backwards=True)),
     ng.OptionError, "units is 3 one way and 4 the other"),
    (lambda: ng.Bidirectional(ng.GRU(3))(ng.Input((None, 2)), np.zeros(3)), ng.GraphError,
     "got 1 initial states; give 2"),
    (lambda: ng.TimeDistributed(ng.LSTM(3))(ng.Input((4, 5, 6))), ng.GraphError,
     "has an axis of time of its own"),
    (lambda: ng.TimeDistributed("dense"), ng.OptionError, "'dense' is not a layer"),
    (lambda: ng.TimeDistributed(ng.Dense(2))(ng.Input((4,))), ng.ShapeError, "no axis of time"),
    (lambda: ng.RepeatVector(3)(ng.Input((None, 4))), ng.GraphError, "is a sequence already"),
    (lambda: ng.RepeatVector(0), ng.OptionError, "n must be .* at least 1"),
    (lambda: ng.Masking()(ng.Input((4,))), ng.ShapeError, "a mask is for sequences"),
    (lambda: ng.Embedding(4, 2, mask_zero=True)(ng.Input((3, 2))), ng.ShapeError,
     "there must be one index a step"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "error", "message"), REFUSED)
def test_what_cannot_be_is_refused_in_one_sentence(build, error, message):
    with pytest.raises(error, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_a_recurrent_layer_reads_layers_at_every_step_of_a_film():
    film, mask = ng.Input((4, 6, 6, 1)), ng.Masking()
    seen = ng.TimeDistributed(ng.Flatten())(ng.TimeDistributed(ng.Conv2D(2, 3))(film))
    assert ng.LSTM(3)(seen).gate("hidden").mask is None
    steps = ng.Input((4, 3))
    dense = ng.TimeDistributed(ng.Dense(2))(mask(steps))
    assert ng.LSTM(3)(dense).gate("hidden").mask is not None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_a_table_is_the_sum_over_the_uses_of_each_row(dtype):
    rng = np.random.default_rng(0)
    net = ng.Network([ng.Input((6,)), ng.Embedding(700, 3), ng.Flatten(), ng.Dense(1)], seed=0)
    model = net.compile("sgd", "sse", dtype=dtype)
    kernel = net.parameters["dense/kernel"].value.reshape(6, 3)
    for batch in (4, 1):
        x, y = rng.choice([0, 7, 311, 699], (batch, 6)), rng.normal(size=(batch, 1))
        error = (model.predict(x) - y) / batch
        model.gradients(x, y)
        wanted = np.zeros((700, 3))
        for sample in range(batch):
            for place in range(6):
                wanted[x[sample, place]] += error[sample] * kernel[place]
        found = net.parameters["embedding/embeddings"].gradient
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
        assert not found[1].any()

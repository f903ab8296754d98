"""Keras models as networks: the same numbers, shared layers, and errors that name a layer."""

import numpy as np
import pytest

import neurograph as ng

# Keras's own way from PyTorch to NumPy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def mixed(keras):
    return [
        keras.Input((9, 8, 3)),
        keras.layers.Conv2D(6, (3, 2), strides=2, padding="same", activation="relu"),
        keras.layers.BatchNormalization(epsilon=0.01),
        keras.layers.DepthwiseConv2D(2, depth_multiplier=2, use_bias=False),
        keras.layers.ZeroPadding2D(((1, 0), (0, 2))),
        keras.layers.MaxPooling2D(3, 2),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.2),
        keras.layers.LayerNormalization(),
        keras.layers.LeakyReLU(0.2),
        keras.layers.Dense(7, activation="gelu", kernel_regularizer="l2"),
        keras.layers.ELU(),
        keras.layers.Dense(4, use_bias=False),
        keras.layers.Softmax(),
    ]


def line(keras):
    return [
        keras.Input((12, 3)),
        keras.layers.Conv1D(4, 3, padding="causal", dilation_rate=2),
        keras.layers.AveragePooling1D(2),
        keras.layers.LSTM(5, return_sequences=True),
        keras.layers.TimeDistributed(keras.layers.Dense(3, activation="tanh")),
        keras.layers.GRU(4, go_backwards=True, reset_after=False),
        keras.layers.RepeatVector(3),
        keras.layers.SimpleRNN(2),
    ]


def both_ways(keras):
    return [
        keras.Input((None, 3)),
        keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True), merge_mode="mul"),
        keras.layers.Bidirectional(keras.layers.GRU(2)),
        keras.layers.Dense(3, activation="softmax"),
    ]


def shaken(model):
    """Return a model whose every weight and statistic has a value of its own."""
    rng = np.random.default_rng(4)
    model.set_weights([rng.uniform(0.1, 0.6, each.shape) for each in model.get_weights()])
    return model


@pytest.mark.parametrize("layers", [mixed, line, both_ways])
def test_a_sequential_model_becomes_a_network_with_its_numbers(keras, layers):
    model = shaken(keras.Sequential(layers(keras), name="story"))
    shape = [6 if each is None else each for each in model.input_shape[1:]]
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    net = ng.from_keras(model)
    assert net.name == "story"
    for ours, theirs in zip(net.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7)
    ours = net.compile(dtype="float64").predict(x)
    np.testing.assert_allclose(ours, model(x).detach().numpy(), rtol=2e-5, atol=2e-6)


def test_a_functional_model_with_shared_layers_and_two_inputs(keras):
    layers = keras.layers
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(5, activation="tanh", name="shared")
    inner = keras.Sequential([keras.Input((5,)), layers.Dense(5)], name="inner")
    left, right = shared(a), shared(b)
    total = layers.Add(name="total")([left, inner(right)]) + left
    joined = layers.Concatenate()([total, right, layers.Multiply()([left, right])])
    model = shaken(keras.Model([a, b], [layers.Dense(2, name="out")(joined), right]))
    net = ng.from_keras(model)
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(3, 4)).astype(np.float32) for _ in range(2)]
    for ours, theirs in zip(net.compile(dtype="float64").predict(x), model(x), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=2e-5, atol=2e-6)
    assert net.layer("shared").parameters is not net.layer("shared_1").parameters
    assert net.layer("shared").parameters["kernel"] is net.layer("shared_1").parameters["kernel"]
    assert [port.name for port in net.inputs] == ["a", "b"]


def test_embedding_and_regularizers_come_along(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Embedding(9, 4, name="words"),
            layers.LSTM(3, name="r", recurrent_regularizer=keras.regularizers.L1L2(0.1, 0.2)),
        ]
    )
    x = np.arange(18).reshape(3, 6) % 9
    net = ng.from_keras(shaken(model), name="text")
    ours = net.compile(dtype="float64").predict(x)
    np.testing.assert_allclose(ours, model(x).detach().numpy(), rtol=2e-5, atol=2e-6)
    kernel = net.parameters["r/recurrent_kernel"]
    assert kernel.regularizer == ng.L1L2(l1=0.1, l2=0.2)
    assert net.name == "text"


def refused(keras):
    layers = keras.layers
    picture = keras.Input((4, 4, 2))
    return {
        "layer 'up' (Conv2DTranspose) has no counterpart": [
            picture,
            layers.Conv2DTranspose(2, 3, name="up"),
        ],
        "layer 'cut' (ReLU): threshold": [picture, layers.ReLU(threshold=0.5, name="cut")],
        "layer 'up' (UpSampling2D): interpolation='bilinear'": [
            picture,
            layers.UpSampling2D(interpolation="bilinear", name="up"),
        ],
        "(PReLU): slopes above 1 are not known": [
            picture,
            layers.PReLU(keras.initializers.Constant(2.0)),
        ],
        "data_format='channels_first'": [
            picture,
            layers.MaxPooling2D(2, data_format="channels_first"),
        ],
        "kernel_constraint=": [picture, layers.Dense(2, kernel_constraint="max_norm")],
        "only its first size": [keras.Input((None, None, 2)), layers.Dense(2)],
        "unknown activation 'mish'": [picture, layers.Dense(2, activation="mish")],
    }


def test_what_has_no_counterpart_is_named(keras):
    for sentence, parts in refused(keras).items():
        with pytest.raises(ng.NeurographError) as caught:
            ng.from_keras(keras.Sequential(parts))
        assert sentence in str(caught.value)
    with pytest.raises(ng.GraphError, match="not built"):
        ng.from_keras(keras.Sequential([keras.layers.Dense(2)]))
    for wrong in (3, keras.layers.Dense(2)):
        with pytest.raises(ng.GraphError, match="expected a Keras model"):
            ng.from_keras(wrong)


def test_masks_of_functional_models_are_known_without_their_operators(keras_float64):
    layers = keras_float64.layers
    words, steps = keras_float64.Input((5,), name="words"), keras_float64.Input((5, 2), name="x")
    embedded = layers.Embedding(6, 3, mask_zero=True)(words)
    both = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(embedded)
    masked = layers.Masking()(steps)
    joined = layers.Concatenate(axis=1)([layers.Dense(2)(masked), steps, masked])
    parts = [
        layers.GRU(3)(layers.Add()([both, layers.Dense(4)(both)])),
        layers.SimpleRNN(3)(joined),
    ]
    model = keras_float64.Model([words, steps], layers.Average()(parts))
    generator = np.random.default_rng(0)
    x = [generator.integers(0, 6, (4, 5)), generator.normal(size=(4, 5, 2))]
    x[1][0, 3:] = x[1][2, 1] = 0.0
    expected = model([x[0].astype(float), x[1]]).detach().numpy()
    net = ng.from_keras(model)
    np.testing.assert_allclose(
        net.compile(dtype="float64").predict(x), expected, rtol=2e-5, atol=2e-6
    )


def test_both_ways_apart_are_read_with_their_states(keras_float64):
    layers = keras_float64.layers
    x = keras_float64.Input((5, 2))
    apart = layers.Bidirectional(
        layers.LSTM(3, return_sequences=True, return_state=True), merge_mode=None
    )
    ahead, back, *states = apart(layers.Masking()(x))
    model = keras_float64.Model(x, [ahead, layers.Dense(2)(back), *states])
    values = np.random.default_rng(0).normal(size=(4, 5, 2))
    values[0, 3:] = values[2, 1] = 0.0
    net = ng.from_keras(model)
    found = net.compile(dtype="float64").predict(values)
    for ours, theirs in zip(found, model(values), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=2e-5, atol=2e-6)
    for ours, theirs in zip(net.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_calls_without_a_counterpart_are_refused(keras):
    layers, ops = keras.layers, keras.ops
    steps, mask = keras.Input((5, 3)), keras.Input((5,), dtype="bool")
    x = keras.Input((4,), name="x")
    masked = layers.GRU(4, name="g")(steps, mask=mask)
    noisy = layers.Dropout(0.5, name="d")(x, training=True)
    wrong = {
        "layer 'g' is called with mask=": ([steps, mask], masked),
        "layer 'd' is called with training=True": (x, noisy),
        "a number divided by a layer": (x, 1.0 / x),
        "of constants only single numbers": (x, x * np.array([1.0, 2.0, 3.0, 4.0], "float32")),
        "(Cos): the operator has no counterpart": (x, ops.cos(x)),
    }
    for sentence, (inputs, outputs) in wrong.items():
        with pytest.raises(ng.GraphError) as caught:
            ng.from_keras(keras.Model(inputs, outputs))
        assert sentence in str(caught.value)


def pieces(keras):
    return [
        keras.Input((8, 9, 2)),
        keras.layers.Rescaling(0.5, offset=-0.1),
        keras.layers.SeparableConv2D(4, (3, 2), padding="same", depth_multiplier=2),
        keras.layers.PReLU(shared_axes=[1, 2]),
        keras.layers.Cropping2D(((1, 0), (0, 2))),
        keras.layers.ReLU(max_value=0.9),
        keras.layers.UpSampling2D((1, 2)),
        keras.layers.Permute((2, 1, 3)),
        keras.layers.ELU(0.5),
        keras.layers.ReLU(negative_slope=0.2),
        keras.layers.Flatten(),
        keras.layers.PReLU(),
        keras.layers.Dense(3, activation="exponential"),
    ]


def test_layers_that_are_several_here_keep_their_numbers(keras_float64):
    keras = keras_float64
    model = keras.Sequential(pieces(keras))
    rng = np.random.default_rng(4)
    model.set_weights([rng.uniform(-0.3, 0.3, each.shape) for each in model.get_weights()])
    x = rng.normal(size=(3, 8, 9, 2))
    ours = ng.from_keras(model).compile(dtype="float64").predict(x)
    np.testing.assert_allclose(ours, model(x).detach().numpy(), rtol=1e-6, atol=1e-6)


def test_slopes_are_those_of_every_step_and_steps_stay(keras_float64):
    keras, layers = keras_float64, keras_float64.layers
    x = keras.Input((None, 3))
    h = layers.LSTM(4, return_sequences=True, name="lstm")(x)
    slopes = layers.PReLU(shared_axes=[1], alpha_initializer="random_uniform")(h)
    model, values = keras.Model(x, slopes), np.random.default_rng(0).normal(size=(2, 5, 3))
    ours = ng.from_keras(model).compile(dtype="float64").predict(values)
    np.testing.assert_allclose(ours, model(values).detach().numpy(), rtol=1e-6, atol=1e-6)
    for moving in (layers.Cropping1D(1), layers.UpSampling1D(2), layers.Permute((2, 1))):
        with pytest.raises(ng.GraphError, match="'lstm' is a sequence in time, whose steps"):
            ng.from_keras(keras.Model(x, moving(h)))


def test_operators_on_tensors_and_numbers_keep_theirs(keras_float64):
    keras = keras_float64
    x = keras.Input((6,))
    h, g = (keras.layers.Dense(5, name=name)(x) for name in ("h", "g"))
    y = 1.0 - (h * 2.0 + 0.5) * g / 4.0 - keras.layers.Subtract()([h, g]) + (-g)
    model = keras.Model(x, [keras.ops.relu(y), keras.ops.sigmoid(h - g), keras.ops.relu6(9 * h)])
    values = np.random.default_rng(0).normal(size=(3, 6))
    ours = ng.from_keras(model).compile(dtype="float64").predict(values)
    for mine, other in zip(ours, model(values), strict=True):
        np.testing.assert_allclose(mine, other.detach().numpy(), rtol=1e-6, atol=1e-6)


def test_an_encoder_hands_its_states_to_a_decoder(keras_float64):
    layers, keras = keras_float64.layers, keras_float64
    source, target = keras.Input((None, 4), name="source"), keras.Input((None, 3), name="target")
    _, *states = layers.LSTM(5, return_state=True, name="encoder")(source)
    steps = layers.LSTM(5, return_sequences=True, name="decoder")(target, initial_state=states)
    model = keras.Model([source, target], layers.Dense(2, activation="softmax")(steps))
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(3, 6, 4)), rng.normal(size=(3, 5, 3))]
    net = ng.from_keras(model)
    assert net.layer("decoder").gate("hidden").initial is not None
    ours = net.compile(dtype="float64").predict(x)
    np.testing.assert_allclose(ours, model(x).detach().numpy(), rtol=1e-6, atol=1e-6)

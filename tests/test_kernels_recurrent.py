"""The recurrent kernels against plain loops, complex steps, finite differences and PyTorch."""

from itertools import product

import numpy as np
import pytest
from memory import taken

from neurograph.kernels import recurrent as rnn
from neurograph.kernels import recurrent_gru as gru
from neurograph.kernels import recurrent_gru_before as before
from neurograph.kernels import recurrent_lstm as lstm

KINDS = ["rnn-tanh", "rnn-relu", "rnn-sigmoid", "rnn-linear", "lstm", "gru", "gru-before"]
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
T, B, F, N = 6, 3, 2, 4


def gates_of(kind):
    return GATES[kind.split("-")[0]]


# -- the oracle: one statement a formula, complex arguments allowed, no code shared with the kernels


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


PLAIN = {
    "tanh": np.tanh,
    "relu": lambda x: np.where(x.real > 0, x, 0),
    "sigmoid": sigmoid,
    "linear": lambda x: x,
}


def plain_step(kind, a, given, h, c):
    U, n = given["U"], h.shape[-1]
    if kind == "lstm":
        i, f, g, o = np.split(a + h @ U, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    if kind == "gru":
        z, r, q = np.split(h @ U + given["recurrent_bias"], 3, axis=-1)
        z, r = sigmoid(a[:, :n] + z), sigmoid(a[:, n : 2 * n] + r)
        return z * h + (1 - z) * np.tanh(a[:, 2 * n :] + r * q), c
    if kind == "gru-before":
        z = sigmoid(a[:, :n] + h @ U[:, :n])
        r = sigmoid(a[:, n : 2 * n] + h @ U[:, n : 2 * n])
        return z * h + (1 - z) * np.tanh(a[:, 2 * n :] + (r * h) @ U[:, 2 * n :]), c
    return PLAIN[kind.split("-")[1]](a + h @ U), c


def plain_run(kind, given, skip=None, truncate=None):
    """Return the states of all steps and the last cell, by the textbook's formulas."""
    h, c = given["h0"], given["c0"]
    states = [h]
    for t, x in enumerate(given["x"]):
        if truncate and t and t % truncate == 0:
            h, c = h.real, c.real  # a complex step does not pass: the gradient is cut
        a = x @ given["W"] + given["bias"] + given["extra"][t]
        new_h, new_c = plain_step(kind, a, given, h, c)
        if skip is not None:
            new_h, new_c = np.where(skip[t], h, new_h), np.where(skip[t], c, new_c)
        h, c = new_h, new_c
        states.append(h)
    return np.stack(states), c


def plain_error(kind, given, seeds, skip=None, truncate=None):
    states, c = plain_run(kind, given, skip, truncate)
    return (states * seeds["h"]).sum() + (c * seeds["c"]).sum()


def complex_step_gradient(kind, given, seeds, **options):
    gradients = {}
    for name, value in given.items():
        gradients[name] = np.zeros_like(value)
        for place in np.ndindex(value.shape):
            nudged = value.astype(complex)
            nudged[place] += 1e-30j
            moved = given | {name: nudged}
            gradients[name][place] = plain_error(kind, moved, seeds, **options).imag / 1e-30
    return gradients


# -- the kernels, spoken to as batch-first people would


def make(kind, dtype=float, steps=T, batch=B, features=F, units=N):
    """Return inputs and seeds; every one of them matters (non-zero states, outside gradients)."""
    rng = np.random.default_rng(5)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    columns = gates_of(kind) * units
    given = {
        "x": draw(steps, batch, features),
        "W": draw(features, columns),
        "U": draw(units, columns) / dtype(np.sqrt(units)),
        "bias": draw(columns),
        "h0": draw(batch, units),
        "extra": draw(steps, batch, columns),
    }
    given["c0"] = draw(batch, units) if kind == "lstm" else np.zeros((batch, units), dtype)
    if kind == "gru":
        given["recurrent_bias"] = draw(columns)
    return given, {"h": draw(steps + 1, batch, units), "c": draw(batch, units)}


SHAPES = {
    "rnn": rnn.simple_rnn_shapes,
    "lstm": lstm.lstm_shapes,
    "gru": gru.gru_shapes,
    "gru-before": before.gru_before_shapes,
}
CALLS = {
    "lstm": (
        (lstm.lstm_forward, "gates parts K_t step slopes"),
        (lstm.lstm_backward, "slopes d_h d_c d_x d_net d d_x_h step"),
    ),
    "gru": (
        (gru.gru_forward, "net gates U_t bias_q state"),
        (gru.gru_backward, "gates d_h d_x d_net U_q_zr slopes d step"),
    ),
    "gru-before": (
        (before.gru_before_forward, "net gates reset_h U_zr_t U_q_t bias_q state step"),
        (before.gru_before_backward, "gates d_h d_x d_net slopes d state step"),
    ),
}
TIME_AXIS = {"x_h": 1, "d_net": 1, "reset_h": 1, "d_h": 0, "d_x": 0}


class Layer:
    """All arrays of one layer, full of NaN before they are loaded."""

    def __init__(self, kind, given, seeds, bias=True, backwards=False, skip=None, truncate=None):
        self.kind, self.bias, self.backwards = kind, bias, backwards
        self.skip = None if skip is None else np.ascontiguousarray(skip.transpose(0, 2, 1))
        self.truncate = truncate
        steps, batch, self.features = given["x"].shape
        self.units = given["h0"].shape[1]
        shapes = SHAPES[kind if kind in SHAPES else "rnn"](
            steps, batch, self.features, self.units, bias
        )
        dtype = given["x"].dtype
        self.memory = {name: np.full(shape, np.nan, dtype) for name, shape in shapes.items()}
        self.extra = np.empty((steps, gates_of(kind) * self.units, batch), dtype)
        self.a = {
            name: np.flip(array, TIME_AXIS[name]) if backwards and name in TIME_AXIS else array
            for name, array in self.memory.items()
        }
        self.load(given, seeds)

    def load(self, given, seeds):
        a, after = self.a, self.features + self.units
        a["K"][: self.features], a["K"][self.features : after] = given["W"], given["U"]
        if self.bias:
            a["K"][after] = given["bias"]
        if self.kind == "gru" and self.bias:
            a["K"][after + 1] = given["recurrent_bias"]
        a["x_h"][: self.features, :-1] = given["x"].transpose(2, 0, 1)
        a["x_h"][self.features : after, 0] = given["h0"].T
        a["d_h"][...] = seeds["h"].transpose(0, 2, 1)
        self.extra[...] = given["extra"].transpose(0, 2, 1)
        if self.kind == "lstm":
            a["gates"][4], a["d_c"][...] = given["c0"].T, seeds["c"].T

    def run(self):
        a, kind, options = self.a, self.kind, {"truncate": self.truncate}
        if kind.startswith("rnn"):
            activate, slope = rnn.ACTIVATIONS[kind.split("-")[1]]
            rnn.simple_rnn_forward(
                a["K"], a["x_h"], self.features, a["net"], a["output"], activate, a["K_t"],
                self.extra, self.skip,
            )  # fmt: skip
            rnn.simple_rnn_backward(
                a["K"], self.features, a["net"], a["output"], slope, a["d_h"], a["d_x"],
                a["d_net"], a["slopes"], a["d_x_h"], self.skip, **options,
            )  # fmt: skip
            return
        (forward, names), (backward, back_names) = CALLS[kind]
        forward(
            a["K"], a["x_h"], self.features, *[a[k] for k in names.split()],
            extra=self.extra, skip=self.skip,
        )  # fmt: skip
        first = (a["K"],) if kind == "lstm" else (a["K"], a["x_h"])
        if kind == "lstm":
            options["skip"] = self.skip
        backward(*first, self.features, *[a[k] for k in back_names.split()], **options)

    @property
    def states(self):
        """(steps + 1, batch, units)."""
        return self.a["x_h"][self.features : self.features + self.units].transpose(1, 2, 0)

    @property
    def d_net(self):
        """(steps, batch, gates * units)."""
        inputs = self.a["d_net"][self.units :] if self.kind == "gru" else self.a["d_net"]
        return inputs.transpose(1, 2, 0)

    def gradients(self):
        memory, features = self.memory, self.features
        d_K = np.full_like(memory["K"], np.nan)
        read = memory["x_h"][:, 1:] if self.backwards else memory["x_h"][:, :-1]
        if self.kind == "gru":
            gru.gru_weight_gradient(read, features, memory["d_net"], d_K)
        elif self.kind == "gru-before":
            before.gru_before_weight_gradient(
                read, features, memory["reset_h"], memory["d_net"], d_K
            )
        else:
            rnn.weight_gradient(read, memory["d_net"], d_K)
        after = features + self.units
        found = {"x": self.a["d_x"].transpose(0, 2, 1), "extra": self.d_net}
        found |= {"W": d_K[:features], "U": d_K[features:after], "h0": self.a["d_h"][0].T}
        if self.bias:
            found["bias"] = d_K[after]
        if self.kind == "gru" and self.bias:
            found["recurrent_bias"] = d_K[after + 1]
        if self.kind == "lstm":
            found["c0"] = self.a["d_c"].T
        return found


def run(kind, given, seeds, **options):
    layer = Layer(kind, given, seeds, **options)
    layer.run()
    return layer


def close(found, wanted, tolerance=1e-9):
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


SKIP = np.zeros((T, B, 1), bool)
SKIP[4:, 0] = SKIP[0, 1] = SKIP[2:4, 1] = True  # shorter; late and with a hole; sample 2 is whole


@pytest.mark.parametrize(("kind", "masked"), list(product(KINDS, [False, True])))
@pytest.mark.parametrize("truncate", [None, 1, 4, 9])
@pytest.mark.parametrize("backwards", [False, True])
def test_states_and_all_gradients_are_those_of_the_plain_loop(kind, masked, truncate, backwards):
    given, seeds = make(kind)
    skip = SKIP if masked else None
    layer = run(kind, given, seeds, skip=skip, truncate=truncate, backwards=backwards)
    states, c = plain_run(kind, given, skip)
    close(layer.states, states, 1e-13)
    if kind == "lstm":
        close(layer.a["gates"][4].T, c, 1e-13)
    wanted = complex_step_gradient(kind, given, seeds, skip=skip, truncate=truncate)
    found = layer.gradients()
    if kind != "lstm":
        del wanted["c0"]
    assert set(found) == set(wanted)
    for name, gradient in found.items():
        close(gradient, wanted[name])
    if masked:
        assert not found["extra"][np.broadcast_to(skip, found["extra"].shape)].any()
        assert not found["x"][np.broadcast_to(skip, found["x"].shape)].any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("features", [0, 1, 5])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch", [1, 4])
def test_any_number_of_inputs_with_and_without_bias(kind, features, bias, batch):
    given, seeds = make(kind, features=features, batch=batch)
    if not bias:
        given |= {name: given[name] * 0 for name in ("bias", "recurrent_bias") if name in given}
    layer = run(kind, given, seeds, bias=bias)
    close(layer.states, plain_run(kind, given)[0], 1e-13)
    wanted = complex_step_gradient(kind, given, seeds)
    for name, gradient in layer.gradients().items():
        close(gradient, wanted[name])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_central_differences(kind):
    given, seeds = make(kind)
    found = run(kind, given, seeds).gradients()
    rng = np.random.default_rng(1)
    way = {name: rng.standard_normal(given[name].shape) for name in found}
    ahead, behind = (
        plain_error(kind, given | {k: given[k] + s * way[k] for k in way}, seeds)
        for s in (1e-6, -1e-6)
    )
    close(sum((found[k] * way[k]).sum() for k in way), (ahead - behind) / 2e-6, 1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_without_extra_and_without_d_x_the_rest_is_the_same(kind):
    given, seeds = make(kind)
    given["extra"][...] = 0
    layer = run(kind, given, seeds)
    other = Layer(kind, given, seeds)
    other.extra = other.a["d_x"] = None
    other.run()
    for name in ("x_h", "d_net", "d_h"):
        close(other.a[name][..., :-1], layer.a[name][..., :-1], 1e-12)


@pytest.mark.parametrize("kind", ["lstm", "gru", "gru-before"])
def test_every_gate_has_its_own_array(kind):
    given, seeds = make(kind)
    layer = run(kind, given, seeds)
    h, a, n = layer.states[:-1], layer.a, N
    net = given["x"] @ given["W"] + given["bias"] + given["extra"]
    gates = a["gates"][:, 1:] if kind == "gru" else a["gates"]
    if kind == "gru":
        recurrent = h @ given["U"] + given["recurrent_bias"]
        close(a["gates"][:, 0].transpose(0, 2, 1), recurrent[..., 2 * n :])
        recurrent[..., 2 * n :] *= gates[:, 1].transpose(0, 2, 1)
        net += recurrent
    elif kind == "gru-before":
        net[..., : 2 * n] += h @ given["U"][:, : 2 * n]
        net[..., 2 * n :] += a["reset_h"].transpose(1, 2, 0) @ given["U"][:, 2 * n :]
    else:
        net += h @ given["U"]
        gates, net = a["gates"][None, [1, 2, 3, 0]], net[-1:]  # those of the last step remain
    activations = [sigmoid, sigmoid, np.tanh, sigmoid][: gates_of(kind)]
    for k, activation in enumerate(activations):
        close(gates[:, k].transpose(0, 2, 1), activation(net[..., k * n : (k + 1) * n]))


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "linear", "identity"])
def test_a_simple_layer_leaves_net_and_output(activation):
    kind = f"rnn-{activation}"
    given, seeds = make(kind)
    layer = run(kind, given, seeds)
    net = given["x"] @ given["W"] + given["bias"] + given["extra"]
    net += layer.states[:-1] @ given["U"]
    close(layer.a["net"].transpose(0, 2, 1), net)
    close(layer.a["output"].transpose(0, 2, 1), layer.states[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_masked_samples_have_the_numbers_of_each_sequence_alone(kind):
    given, seeds = make(kind)
    lengths = [4, 6, 1]
    skip = (np.arange(T)[:, None] >= lengths)[:, :, None]
    given["x"][np.broadcast_to(skip, given["x"].shape)] = 1e3  # padding must not matter
    layer = run(kind, given, seeds, skip=skip)
    found, sums = layer.gradients(), {"W": 0, "U": 0, "bias": 0}
    for b, length in enumerate(lengths):
        one = given | {name: given[name][:length, b : b + 1] for name in ("x", "extra")}
        one |= {name: given[name][b : b + 1] for name in ("h0", "c0")}
        seed = seeds["h"][: length + 1, b : b + 1].copy()
        seed[-1] += seeds["h"][length + 1 :, b].sum(axis=0)  # the last state is shown again
        alone = run(kind, one, {"h": seed, "c": seeds["c"][b : b + 1]})
        close(layer.states[: length + 1, b], alone.states[:, 0])
        close(layer.states[length:, b], np.broadcast_to(alone.states[-1, 0], (T + 1 - length, N)))
        if kind == "lstm":
            close(layer.a["gates"][4, :, b], alone.a["gates"][4, :, 0])
        gradients = alone.gradients()
        for name in ("x", "extra"):
            close(found[name][:length, b], gradients[name][:, 0])
        for name in {"h0", "c0"} & set(found):
            close(found[name][b], gradients[name][0])
        sums = {name: sums[name] + gradients[name] for name in sums}
    for name, total in sums.items():
        close(found[name], total)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lstm"])
@pytest.mark.parametrize("span", [1, 2, 5])
def test_gradients_do_not_depend_on_the_span(kind, span):
    given, seeds = make(kind)
    layer, other = run(kind, given, seeds), Layer(kind, given, seeds)
    other.a["slopes"] = other.a["slopes"][:1].repeat(span, axis=0)
    other.run()
    for name, gradient in layer.gradients().items():
        np.testing.assert_array_equal(other.gradients()[name], gradient)


@pytest.mark.parametrize("kind", KINDS)
def test_the_inputs_gradient_may_go_straight_into_the_layer_below(kind):
    given, seeds = make(kind)
    layer, other = run(kind, given, seeds), Layer(kind, given, seeds)
    below = np.zeros((T + 1, F, B))
    other.a["d_x"] = below[1:]
    other.run()
    np.testing.assert_array_equal(below[1:], layer.a["d_x"])


@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays_float32_and_is_near(kind):
    given, seeds = make(kind)
    exact = run(kind, given, seeds).gradients()
    given32 = {k: v.astype(np.float32) for k, v in given.items()}
    for name, gradient in run(kind, given32, seeds).gradients().items():
        assert gradient.dtype == np.float32
        close(gradient, exact[name], 1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_run_gives_the_same_bits_and_allocates_no_array(kind):
    given, seeds = make(kind, np.float32, steps=40, batch=64, features=8, units=64)
    skip = np.zeros((40, 64, 1), bool)
    skip[30:, ::3] = True
    layer = run(kind, given, seeds, skip=skip)
    kept = {k: v.copy() for k, v in layer.gradients().items()}

    def again():
        layer.load(given, seeds)
        layer.run()

    peak = taken(again)
    iterator = 3 * np.getbufsize() * 4  # what NumPy takes and gives back within one call
    assert peak < iterator + 16384, f"{peak} bytes, where d_net has {layer.a['d_net'].nbytes}"
    for name, gradient in layer.gradients().items():
        np.testing.assert_array_equal(gradient, kept[name])


@pytest.mark.parametrize("kind", KINDS)
def test_two_thousand_steps(kind):
    given, seeds = make(kind, np.float32, steps=2000, batch=2, units=3)
    given["U"] *= np.float32(0.3)
    layer = run(kind, given, seeds)
    close(layer.states, plain_run(kind, given)[0], 1e-4)
    assert all(np.isfinite(gradient).all() for gradient in layer.gradients().values())
    memory = sum(v.size for v in layer.memory.values())
    assert memory < 2000 * 2 * 3 * 25 + 2**18  # proportional to the steps, work arrays aside


def torch_layer(torch, kind):
    return {
        "lstm": lambda: torch.nn.LSTM(F, N),
        "gru": lambda: torch.nn.GRU(F, N),
        "rnn": lambda: torch.nn.RNN(F, N, nonlinearity=kind.split("-")[-1]),
    }[kind.split("-")[0]]().double()


def as_torch(kind, weight):
    """Return Keras's columns (z r q) as PyTorch's rows (r z n); the LSTM's order is the same."""
    blocks = np.split(weight, gates_of(kind), axis=-1)
    if kind == "gru":
        blocks = [blocks[1], blocks[0], blocks[2]]
    return np.concatenate(blocks, axis=-1).T.copy()


@pytest.mark.parametrize("kind", ["rnn-tanh", "rnn-relu", "lstm", "gru"])
def test_outputs_states_and_all_gradients_are_those_of_pytorch(kind):
    torch = pytest.importorskip("torch")
    given, seeds = make(kind)
    given["extra"][...], seeds["h"][0] = 0, 0
    layer = run(kind, given, seeds)
    names = {"weight_ih_l0": "W", "weight_hh_l0": "U", "bias_ih_l0": "bias"}
    if kind == "gru":
        names["bias_hh_l0"] = "recurrent_bias"
    peer = torch_layer(torch, kind)
    with torch.no_grad():
        peer.bias_hh_l0.zero_()
        for theirs, ours in names.items():
            getattr(peer, theirs).copy_(torch.tensor(as_torch(kind, given[ours])))
    x, h0, c0 = (
        torch.tensor(v, requires_grad=True)
        for v in (given["x"], given["h0"][None], given["c0"][None])
    )
    output, last = peer(x, (h0, c0) if kind == "lstm" else h0)
    error = (output * torch.tensor(seeds["h"][1:])).sum()
    if kind == "lstm":
        error = error + (last[1] * torch.tensor(seeds["c"])).sum()
        close(layer.a["gates"][4].T, last[1][0].detach().numpy())
    error.backward()
    close(layer.states[1:], output.detach().numpy())
    found = layer.gradients()
    close(found["x"], x.grad.numpy())
    close(found["h0"], h0.grad[0].numpy())
    if kind == "lstm":
        close(found["c0"], c0.grad[0].numpy())
    for theirs, ours in names.items():
        close(as_torch(kind, found[ours]), getattr(peer, theirs).grad.numpy())


def test_saturated_gates_are_finite():
    given, seeds = make("lstm", np.float32)
    given["extra"][...] = np.where(given["extra"] > 0, 1e30, -1e30)
    layer = run("lstm", given, seeds)
    assert set(np.unique(layer.a["gates"][:3])) <= {0.0, 1.0}
    assert all(np.isfinite(gradient).all() for gradient in layer.gradients().values())

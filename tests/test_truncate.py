"""Truncated back-propagation through time: by nodes, compiled, in PyTorch, by differences."""

import numpy as np
import pytest
from both_ways import differences, inspect, train_step, walk
from cases import CASES
from made_cells import one_cell
from random_graphs import random_network
from random_mixed import random_mixed

import neurograph as ng
from neurograph.interpret import backward, forward

THROUGH_TIME = [name for name, case in CASES.items() if "cycle" in case.tags]
THROUGH_TIME = [name for name in THROUGH_TIME if "noise" not in CASES[name].tags]


def kernels(model):
    return {row.kernel for row in model.explain().rows}


def all_ways(net, x, y, loss, truncate, relative=1e-10):
    """Compare nodes and compiled, with all values and with none; return the gradients."""
    expected = walk(net, x, y, loss, truncate=truncate)
    for passes in (None, ()):
        net.reset_states()
        model = net.compile("sgd", loss, dtype="float64", passes=passes, truncate=truncate)
        found = train_step(model, x, y) if passes is None else inspect(model, x, y)
        assert not differences(found, expected, relative)
    return expected.gradients


@pytest.mark.parametrize("name", THROUGH_TIME)
def test_every_case_agrees_with_its_nodes(name):
    case = CASES[name]
    net = case.network()
    x, y = case.data(net)
    all_ways(net, x, y, case.loss, 2)


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_agree_with_their_nodes(seed):
    net, x, y = (random_network if seed % 2 else random_mixed)(seed)
    if not any(stage.direction for stage in net.stages()):
        return
    all_ways(net, x, y, "sse", 2, 1e-9)


@pytest.mark.parametrize("direction", [1, -1])
def test_what_a_cycle_reads_from_steps_to_come_is_not_cut(direction):
    """In pieces of one step the state before is held; by hand."""
    x, a, b = ng.InputNode("x"), ng.Node("tanh", name="a"), ng.Node("tanh", name="b")
    into_a = ng.Connection(x, a, 0.7)
    ng.Connection(a, b, 0.8, delay=-direction)
    ng.Connection(b, b, 0.4, delay=direction)
    net = ng.Network(inputs=[x], outputs=[b])
    generator = np.random.default_rng(0)
    values, target = generator.normal(size=(2, 1, 5, 1))
    all_ways(net, values, target, "sse", 1)
    x_t, y_t = (each[0, ::direction, 0] for each in (values, target))  # as they are calculated
    a_t, state, gradient = np.append(np.tanh(0.7 * x_t), 0.0), 0.0, 0.0
    for t in range(5):
        state = np.tanh(0.8 * a_t[t + 1] + 0.4 * state)
        if t < 4:
            d_a = (state - y_t[t]) * (1 - state**2) * 0.8
            gradient += d_a * (1 - a_t[t + 1] ** 2) * x_t[t + 1]
    assert into_a.gradient == pytest.approx(gradient)


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_gradient_is_that_of_the_pieces_with_their_states_held(kind, backwards):
    """By central differences: each piece is run alone, from the states that the one before left."""
    steps, truncate, batch = 7, 3, 2
    options = {"return_sequences": True, "stateful": True, "go_backwards": backwards}
    net = ng.Network([ng.Input((None, 2)), getattr(ng, kind)(3, **options)], seed=1)
    generator = np.random.default_rng(0)
    for parameter in net.parameters.values():
        parameter.value = generator.normal(0.0, 0.7, parameter.shape)
    layer = next(layer for layer in net.layers if layer.states)
    given = [generator.normal(size=(batch, 3)) for _ in layer.states]
    x, y = generator.normal(size=(batch, steps, 2)), generator.normal(size=(batch, steps, 3))
    model = net.compile("sgd", "mse", dtype="float64", truncate=truncate)
    layer.reset_states(given)
    model.gradients(x, y)
    assert any(kernel.endswith("cell") for kernel in kernels(model))
    found = {name: parameter.gradient.copy() for name, parameter in net.parameters.items()}

    plain = net.compile("sgd", "mse", dtype="float64")
    ordered = (x[:, ::-1], y) if backwards else (x, y)  # outputs come as they are calculated
    pieces = [[each[:, s : s + truncate] for each in ordered] for s in range(0, steps, truncate)]
    if backwards:
        pieces = [[x_part[:, ::-1], y_part] for x_part, y_part in pieces]
    starts = []
    layer.reset_states(given)
    for x_part, _ in pieces:
        starts.append(layer.states)
        plain.predict(x_part)

    def error():
        total = 0.0
        for (x_part, y_part), states in zip(pieces, starts, strict=True):
            layer.reset_states(states)
            total += plain.evaluate(x_part, y_part) * x_part.shape[1] / steps
        return total

    for name, parameter in net.parameters.items():
        for index in range(0, parameter.size, 2):
            flat, slopes = parameter.value.reshape(-1), []
            before = flat[index]
            for step in (1e-5, -1e-5):
                flat[index] = before + step
                slopes.append(error())
            flat[index] = before
            slope = (slopes[0] - slopes[1]) / 2e-5
            assert found[name].reshape(-1)[index] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def two_delays():
    """Return a hand-made network with delays of 1 and 2, from within its cycle and from outside."""
    a, h, k = ng.InputNode("a"), ng.Node("tanh", name="h", initial=0.4), ng.Node("tanh", name="k")
    ng.Connection(a, h, weight=0.7)
    ng.Connection(a, k, weight=-0.4, delay=2)
    ng.Connection(h, k, weight=0.9)
    ng.Connection(h, h, weight=-0.3, delay=2)
    ng.Connection(k, h, weight=0.8, delay=1)
    y = ng.Node("identity", name="y")
    ng.Connection(k, y, weight=1.2)
    ng.Connection(h, y, weight=0.5, delay=1)
    return ng.Network(inputs=[a], outputs=[y])


@pytest.mark.parametrize("truncate", [1, 2, 3, 4, 10])
def test_any_graph_with_delays_is_what_detach_gives_in_pytorch(truncate):
    torch = pytest.importorskip("torch")
    net, steps = two_delays(), 7
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(2, steps, 1)), generator.normal(size=(2, steps, 1))
    all_ways(net, x, y, "mse", truncate)
    places = {(c.upstream_node.name, c.downstream_node.name, c.delay): c for c in net.connections}
    w = {key: torch.tensor(c.weight, dtype=torch.float64, requires_grad=True)
         for key, c in places.items()}  # fmt: skip
    a = torch.tensor(x[..., 0], requires_grad=True)
    zero, first = torch.zeros(2, dtype=torch.float64), torch.full((2,), 0.4, dtype=torch.float64)
    h, k, outputs = {-1: first, -2: first}, {-1: zero}, []

    def late(values, t, delay, initial):
        value = values[t - delay] if t - delay >= 0 else initial
        same = max(t - delay, 0) // truncate == t // truncate
        return value if same else value.detach()

    for t in range(steps):
        column = {s: a[:, s] for s in range(steps)}
        h[t] = torch.tanh(
            w["a", "h", 0] * a[:, t]
            + w["h", "h", 2] * late(h, t, 2, first)
            + w["k", "h", 1] * late(k, t, 1, zero)
        )
        k[t] = torch.tanh(w["a", "k", 2] * late(column, t, 2, zero) + w["h", "k", 0] * h[t])
        outputs.append(w["k", "y", 0] * k[t] + w["h", "y", 1] * (h[t - 1] if t else first))
    error = ((torch.stack(outputs, 1) - torch.tensor(y[..., 0])) ** 2).mean()
    error.backward()
    model = net.compile("sgd", "mse", dtype="float64", truncate=truncate)
    assert model.inspect(x, y) == pytest.approx(error.item(), rel=1e-12)
    for key, connection in places.items():
        assert connection.gradient == pytest.approx(w[key].grad.item(), rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(-net.node("a").delta, a.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_a_cell_made_by_hand_is_truncated_too():
    for kind in ("simple", "lstm", "gru", "gru_before"):
        net, _ = one_cell(kind)
        generator = np.random.default_rng(5)
        shape = (3, 6, len(net.inputs[0].indices)), (3, 6, len(net.outputs[0].indices))
        x, y = (generator.normal(size=each) for each in shape)
        cut = all_ways(net, x, y, "mse", 2)
        whole = walk(net, x, y, "mse").gradients
        assert any(not np.allclose(cut[name], whole[name]) for name in cut)
        assert f"{kind} cell" in kernels(net.compile("sgd", "mse", truncate=2))


def test_pieces_as_long_as_the_sequence_leave_the_gradient_whole():
    case = CASES["lstm_two"]
    net = case.network()
    x, y = case.data(net)
    whole = walk(net, x, y, case.loss)
    steps = x.shape[1]
    assert not differences(walk(net, x, y, case.loss, truncate=steps), whole, 0.0)
    model = net.compile("sgd", case.loss, dtype="float64", truncate=steps)
    assert not differences(train_step(model, x, y), whole, 1e-10)
    one = walk(net, x, y, case.loss, truncate=1).gradients
    assert not np.allclose(one["lstm/recurrent_kernel"], whole.gradients["lstm/recurrent_kernel"])


def test_the_option_is_kept_and_checked(tmp_path):
    net = CASES["gru"].network()
    model = net.compile("adam", "mse", truncate=4)
    model.save(tmp_path / "model.safetensors")
    assert ng.load(tmp_path / "model.safetensors").truncate == 4
    x, y = CASES["gru"].data(net)
    model.fit(x, y, verbose=0, callbacks=[ng.ModelCheckpoint(tmp_path / "c.safetensors")])
    with pytest.raises(ng.DataError, match="its truncate is 4, this model has None"):
        net.compile("adam", "mse").fit(x, y, verbose=0, resume=tmp_path / "c.safetensors")
    assert "truncate=4" in str(model.program)
    for wrong in (0, -1, 2.5, "4", True):
        with pytest.raises(ng.OptionError, match="compile: truncate"):
            net.compile(truncate=wrong)
    (output,) = forward(net, x)
    with pytest.raises(ng.OptionError, match="backward: truncate"):
        backward(net, [output], truncate=0)
    with pytest.raises(ng.OptionError, match=r"truncate=3 cuts .* has no cycle through time"):
        ng.Network([2, 1]).compile(truncate=3)

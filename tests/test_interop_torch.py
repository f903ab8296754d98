"""PyTorch modules as networks: the same numbers, channels last, and errors that name a layer."""

import numpy as np
import pytest

import neurograph as ng

torch = pytest.importorskip("torch")
nn = torch.nn


def shaken(module):
    """Return a module in float64 whose every weight and statistic has a value of its own."""
    generator = torch.Generator().manual_seed(3)
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.dtype.is_floating_point:
            noise = torch.rand(tensor.shape, generator=generator) * 0.5
            tensor.data.copy_(noise + 0.5 if (tensor >= 0.9).all() else noise - 0.2)
    return module.double().eval()


def is_timed(module):
    return any(isinstance(each, (nn.RNNBase, nn.Embedding)) for each in module.modules())


def both(module, shape, x=None):
    """Return the network, its outputs and the module's, both as PyTorch orders them."""
    module = shaken(module)
    if x is None:
        sizes = [5 if each is None else each for each in shape]
        x = np.random.default_rng(1).normal(size=(3, *sizes))
    theirs = module(torch.tensor(x))
    theirs = (theirs[0] if isinstance(theirs, tuple) else theirs).detach().numpy()
    net = ng.from_torch(module, shape)
    last = x if is_timed(module) or x.ndim < 3 else np.moveaxis(x, 1, -1)
    ours = net.compile(dtype="float64").predict(last)
    return net, np.moveaxis(ours, -1, 1) if not is_timed(module) and ours.ndim > 2 else ours, theirs


MODULES = {
    "dense": (
        lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.BatchNorm1d(5), nn.Linear(5, 2)),
        (4,),
    ),
    "convolution": (
        lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2),
        (4, 9, 8),
    ),
    "same": (lambda: nn.Conv2d(2, 3, (5, 3), padding="same", bias=False), (2, 6, 5)),
    "flattened": (
        lambda: nn.Sequential(
            *(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
            *(nn.Flatten(), nn.Dropout(0.3), nn.Sigmoid(), nn.BatchNorm1d(96), nn.Linear(96, 5)),
            nn.Softmax(dim=1),
        ),
        (3, 9, 10),
    ),
    "flat at the end": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 2), nn.AvgPool2d(2, 1), nn.Flatten()),
        (3, 5, 4),
    ),
    "flat first": (
        lambda: nn.Sequential(nn.Flatten(), nn.LayerNorm(24), nn.Linear(24, 3)),
        (2, 3, 4),
    ),
    "unflattened": (
        lambda: nn.Sequential(nn.Linear(5, 12), nn.Unflatten(1, (3, 2, 2)), nn.Conv2d(3, 2, 2)),
        (5,),
    ),
    "global": (
        lambda: nn.Sequential(nn.Conv2d(3, 6, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        (3, 6, 5),
    ),
    "adaptive": (lambda: nn.AdaptiveMaxPool2d((2, None)), (3, 6, 5)),
    "line": (
        lambda: nn.Sequential(
            *(
                nn.Conv1d(3, 6, 3, stride=2, padding=1, groups=3),
                nn.BatchNorm1d(6),
                nn.MaxPool1d(2),
            ),
            *(nn.ZeroPad1d((1, 2)), nn.Conv1d(6, 2, 2, bias=False), nn.AvgPool1d(2, 1)),
        ),
        (3, 19),
    ),
    "local response": (
        lambda: nn.Sequential(nn.Conv2d(2, 6, 2), nn.LocalResponseNorm(5, 0.5, 0.6, 0.7)),
        (2, 4, 5),
    ),
    "softmax of channels": (
        lambda: nn.Sequential(nn.ZeroPad2d((1, 0, 2, 1)), nn.Conv2d(2, 3, 2), nn.Softmax(1)),
        (2, 3, 4),
    ),
    "counted padding, incomplete windows": (
        lambda: nn.Sequential(
            nn.AvgPool2d(3, 2, 1, ceil_mode=True), nn.MaxPool2d(2, ceil_mode=True)
        ),
        (2, 8, 9),
    ),
    "padding with what is there": (
        lambda: nn.Sequential(nn.ReflectionPad2d((1, 2, 0, 1)), nn.ReplicationPad2d(1)),
        (2, 4, 5),
    ),
    "cut activations": (
        lambda: nn.Sequential(
            *(nn.Conv2d(2, 3, 2), nn.ReLU6(), nn.Hardswish(), nn.PReLU(3), nn.PReLU()),
            *(nn.ELU(0.5), nn.Hardtanh(-0.1, 0.2)),
        ),
        (2, 4, 5),
    ),
    "activations": (
        lambda: nn.Sequential(
            *(nn.LeakyReLU(0.1), nn.ELU(), nn.SELU(), nn.GELU(), nn.SiLU(), nn.Softplus()),
            *(nn.Hardsigmoid(), nn.Identity()),
        ),
        (7,),
    ),
    "embedding": (lambda: nn.Sequential(nn.Embedding(9, 4), nn.GRU(4, 3, batch_first=True)), (6,)),
}
for kind in (nn.RNN, nn.LSTM, nn.GRU):
    MODULES[f"{kind.__name__} both ways"] = (
        lambda kind=kind: kind(4, 3, num_layers=2, bidirectional=True, batch_first=True),
        (None, 4),
    )
    MODULES[kind.__name__] = (lambda kind=kind: kind(4, 3, bias=False, batch_first=True), (6, 4))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_becomes_a_network_with_its_numbers(name):
    make, shape = MODULES[name]
    x = np.arange(18).reshape(3, 6) % 9 if name == "embedding" else None
    _, ours, theirs = both(make(), shape, x)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_weights_have_the_layouts_of_keras():
    conv, linear = nn.Conv2d(2, 3, (1, 2)), nn.Linear(9, 2)
    net = ng.from_torch(nn.Sequential(conv, nn.Flatten(), linear), (2, 1, 4), name="small")
    kernel = conv.weight.detach().numpy()
    assert net.name == "small"
    assert net.parameters["conv2d/kernel"].value[0, 1, 1, 2] == kernel[2, 1, 0, 1]
    rows = linear.weight.detach().numpy().T.reshape(3, 1, 3, 2)  # channels, rows, columns, units
    ours = net.parameters["dense/kernel"].value.reshape(1, 3, 3, 2)
    np.testing.assert_array_equal(ours, np.moveaxis(rows, 0, 2))


def test_float32_predictions_are_close():
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    ours = ng.from_torch(module, 6).compile().predict(x)
    np.testing.assert_allclose(ours, module(torch.tensor(x)).detach(), rtol=1e-5, atol=1e-6)


class Block(nn.Module):
    """A residual block, as torchvision has it."""

    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.one = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(filters)
        self.two = nn.Conv2d(filters, filters, 3, padding=1)
        self.down = nn.Conv2d(inputs, filters, 1, stride) if stride > 1 else None
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        h = self.two(self.relu(self.norm(self.one(x))))
        return self.relu(h + (x if self.down is None else self.down(x)))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Block(3, 3, 1), Block(3, 4, 2))
        self.top = nn.Linear(4, 2)

    def forward(self, x):
        return self.top(self.blocks(x).mean([2, 3]))


class Functions(nn.Module):
    """Calls of functions and methods, as tutorials write them."""

    def __init__(self):
        super().__init__()
        self.conv, self.top = nn.Conv2d(2, 4, 3), nn.Linear(36, 3)

    def forward(self, x):
        functional = nn.functional
        h = functional.relu6(self.conv(x) * 2 - 0.5)
        h = functional.max_pool2d(h, 2, stride=1) / 4 + functional.avg_pool2d(h, 2, 1)
        h = torch.cat([h, -h], dim=1)[:, 1:7].permute(0, 2, 3, 1)
        h = h.reshape(x.size(0), -1, 2).transpose(1, 2).unsqueeze(2).squeeze(2)
        h = functional.dropout(h.contiguous().view(h.shape[0], -1), 0.5, self.training)
        return torch.softmax(self.top(h), dim=-1)


class Words(nn.Module):
    def __init__(self, final):
        super().__init__()
        self.words = nn.Embedding(9, 4)
        self.states = nn.LSTM(4, 3, num_layers=2, batch_first=True, bidirectional=True)
        self.top, self.final = nn.Linear(6, 2), final

    def forward(self, x):
        y, (h, _) = self.states(self.words(x))
        ends = {"last": y[:, -1], "mean": torch.mean(y, dim=1)}
        both = ends.get(self.final)
        return self.top(torch.cat([h[-2], h[-1]], dim=1) if both is None else both)


class Lines(nn.Module):
    """Words as a line with channels, a convolution over them, and the last state of a GRU."""

    def __init__(self):
        super().__init__()
        self.words, self.conv = nn.Embedding(9, 4), nn.Conv1d(4, 5, 3)
        self.states, self.top = nn.GRU(4, 3, batch_first=True), nn.Linear(8, 2)

    def forward(self, x):
        x = self.words(x)
        line = torch.relu(self.conv(x.permute(0, 2, 1)))
        line = nn.functional.max_pool1d(line, line.size(2)).squeeze(2)
        _, h = self.states(x)
        return self.top(torch.cat((line, h.squeeze(0)), 1))


OWN = {
    "residual": (Residual, (3, 6, 7)),
    "functions": (Functions, (2, 5, 6)),
    "lines": (Lines, (6,)),
    **{f"words, {each}": (lambda each=each: Words(each), (6,)) for each in ("last", "mean", "h")},
}


@pytest.mark.parametrize("name", OWN)
def test_a_forward_of_ones_own_is_followed(name):
    make, shape = OWN[name]
    x = np.arange(18).reshape(3, 6) % 9 if shape == (6,) else None
    net, ours, theirs = both(make(), shape, x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    assert len(net.connections) > 0


def own(forward, **layers):
    """Return a module with this forward."""
    made = type("Own", (nn.Module,), {"forward": forward})()
    for name, layer in layers.items():
        setattr(made, name, layer)
    return made


CALLS = {  # shape of a sample, forward
    "number first": ((3,), lambda self, x: 1 - x * 2 + (2 + x)),
    "alpha": ((3,), lambda self, x: torch.add(x, self.a(x), alpha=2)),
    "minus alpha": ((3,), lambda self, x: torch.sub(x, self.a(x), alpha=3)),
    "minus": ((3,), lambda self, x: x - self.a(x)),
    "a number of its own": ((3,), lambda self, x: x * self.k),
    "one node": ((3,), lambda self, x: self.a(x)[:, 0]),
    "last part": ((2, 3), lambda self, x: x[..., 1]),
    "new axes": ((3,), lambda self, x: x[:, None].unsqueeze(-2).squeeze(1)),
    "nothing to squeeze": ((2, 3), lambda self, x: x.squeeze(1).squeeze(-1).flatten(1)),
    "joined from the end": ((2, 3), lambda self, x: torch.cat([x, x + 1], -2).flatten(1)),
    "joined by dim": ((2, 3), lambda self, x: torch.cat((x, x + 1), dim=2).view(-1, 12)),
    "turned by dims": ((2, 3), lambda self, x: x.permute(dims=(0, 2, 1)).flatten(1)),
    "turned by names": ((2, 3), lambda self, x: x.transpose(dim0=1, dim1=-1).flatten(1)),
    "sizes": ((2, 3), lambda self, x: x.reshape(x.size()[0], x.size(1) * x.size(-1))),
    "mean of a line": ((2, 3), lambda self, x: x.mean(-1)),
    "mean that keeps": ((2, 3, 4), lambda self, x: x.mean((-1, -2), keepdim=True).flatten(1)),
    "several outputs": ((3,), lambda self, x: (x, self.a(x))),
    "first step": ((4, 3), lambda self, x: self.states(x)[0][:, 0, :]),
    "step after an ellipsis": ((4, 3), lambda self, x: self.states(x)[0][..., 1, :]),
    "states and numbers": ((4, 3), lambda self, x: self.a(self.states(x)[0] * 2 - 1)),
    "states joined": ((4, 3), lambda self, x: torch.cat([self.states(x)[0], self.deep(x)[0]], 2)),
    "upper states": ((4, 3), lambda self, x: self.deep(x)[1][1]),
    "both ways": ((4, 3), lambda self, x: self.ways(x)[1][1] - self.ways(x)[1][0]),
}


def own_calls(name):
    """Return a module, and samples for it."""
    shape, forward = CALLS[name]
    layers = {"a": nn.Linear(3, 3)}
    if shape == (4, 3):
        options = {"states": {}, "deep": {"num_layers": 2}, "ways": {"bidirectional": True}}
        layers |= {k: nn.GRU(3, 3, batch_first=True, **each) for k, each in options.items()}
    module = shaken(own(forward, **layers))
    module.k = nn.Parameter(torch.tensor(2.5), requires_grad=False)
    return module, np.random.default_rng(1).normal(size=(5, *shape))


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_those_of_pytorch(name):
    module, x = own_calls(name)
    theirs = module(torch.tensor(x))
    model = ng.from_torch(module, x.shape[1:]).compile(dtype="float64")
    ours = model.predict(x if x.ndim < 3 or is_timed(module) else np.moveaxis(x, 1, -1))
    if not isinstance(theirs, tuple):
        ours, theirs = [ours], [theirs]
    for found, expected in zip(ours, theirs, strict=True):
        assert found.shape == tuple(expected.shape)
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=0, atol=1e-12)


REFUSED = {
    "an unknown layer": (nn.Sequential(nn.Bilinear(2, 2, 2)), (2,), "layer '0' (Bilinear) has no"),
    "its place": (nn.Sequential(nn.Sequential(nn.Hardshrink())), (2,), "'0.0' (Hardshrink)"),
    "no module": (3, (2,), "got int, expected a torch.nn.Module"),
    "a choice by values": (
        own(lambda self, x: x if x.sum() > 0 else -x),
        (3,),
        "torch.fx cannot follow",
    ),
    "an unknown call": (
        own(lambda self, x: torch.fft.fft(x)),
        (3,),
        "call 'fft_fft' (fft_fft): it has no counter",
    ),
    "other shapes": (
        own(lambda self, x: x + self.a(x), a=nn.Linear(3, 2)),
        (3,),
        "'add' (add): it joins shapes",
    ),
    **{
        name: (own(forward, a=nn.GRU(3, 3, 2, batch_first=True)), (4, 3), sentence)
        for name, forward, sentence in [
            ("one over", lambda self, x: 1 / x, "only numbers other than 0 divide"),
            ("samples joined", lambda self, x: torch.cat([x, x]), "joins along the batch"),
            ("samples squeezed", lambda self, x: x[:, -1].squeeze(-2), "dim other than that of"),
            ("all squeezed", lambda self, x: x[:, -1].squeeze(), "dim other than that of"),
            ("a sample", lambda self, x: x[0], "takes some of the samples"),
            ("some steps", lambda self, x: self.a(x)[0][:, 1:], "it can take one step"),
            ("samples turned", lambda self, x: x[:, -1].transpose(0, 1), "moves the batch"),
            ("a mean of all", lambda self, x: x.mean(), "give it a dim"),
            ("a mean of samples", lambda self, x: x[:, -1].mean(0), "the mean over [0]"),
            ("a size in time", lambda self, x: x.view(self.a(x)[0].size(1)), "size of a sequence"),
            ("an axis before", lambda self, x: x[:, -1].unsqueeze(0), "before the batch"),
            ("another attribute", lambda self, x: x * x.ndim, "attribute 'ndim'"),
            ("lower states", lambda self, x: self.a(x)[1][0], "those of the last layer"),
            ("states squeezed", lambda self, x: self.a(x)[1].squeeze(0), "one layer, one way"),
            ("two tensors", lambda self, x: self.a(x, x), "other than one tensor"),
            ("a number out", lambda self, x: 3, "does not come from its input"),
        ]
    },
    "samples mixed": (own(lambda self, x: x.view(-1)), (3,), "'view' (view): shape [-1] mixes"),
    "a cell state": (
        own(lambda self, x: self.a(x)[1][1][-1], a=nn.LSTM(3, 2)),
        (4, 3),
        "final cell state",
    ),
    "reflected padding": (nn.Conv2d(1, 1, 2, padding_mode="reflect"), (1, 4, 4), "'reflect'"),
    "an option": (nn.Softplus(2.0), (3,), "beta is 2.0; only 1.0"),
    "neighbours on one side": (nn.LocalResponseNorm(4), (3, 4, 4), "size is 4, expected an odd"),
    "projected states": (nn.LSTM(3, 4, proj_size=2), (5, 3), "proj_size"),
    "another shape": (nn.Sequential(nn.Linear(7, 2)), (3,), "weights are for 7 inputs"),
    "a vector for pictures": (nn.Conv2d(3, 2, 1), (3,), "does not fit what comes to it"),
    "no statistics": (nn.BatchNorm1d(3, track_running_stats=False), (3,), "running statistics"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_named(name):
    module, shape, sentence = REFUSED[name]
    with pytest.raises(ng.NeurographError) as caught:
        ng.from_torch(module, shape)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)

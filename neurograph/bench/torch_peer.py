"""The rows of the benchmark in PyTorch, eager or compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from neurograph.bench.rows import LEVELS, WIDTH, Row, Spec, random_edges


def make(row: Row, threads: int) -> Callable[[], object]:
    """Return a function that takes one training step."""
    return _step(row, threads, compiled=False)


def make_compiled(row: Row, threads: int) -> Callable[[], object]:
    """Return a function that takes one training step of the module that torch.compile made."""
    return _step(row, threads, compiled=True)


def _step(row: Row, threads: int, compiled: bool) -> Callable[[], object]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x_array, y_array = row.data()
    net: Any = Sparse(row.edges) if row.edges else Net(row)
    x, y = torch.from_numpy(x_array), torch.from_numpy(y_array)
    if x.ndim == 4:  # channels last in memory: its faster way on processors
        x, net = x.permute(0, 3, 1, 2), net.to(memory_format=torch.channels_last)
    if row.forward_only:
        net.eval()
    run = torch.compile(net) if compiled else net
    loss = nn.MSELoss() if row.goal == "squares" else nn.CrossEntropyLoss()
    labels = y if row.goal == "squares" else y.argmax(-1).flatten()
    optimizer: Any
    if row.optimizer == "sgd":
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
    else:
        optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-4, alpha=0.9, foreach=True)

    def forward() -> object:
        with torch.inference_mode():
            return run(x)

    def step() -> object:
        optimizer.zero_grad()
        output = run(x)
        if row.goal == "classes":
            output = output.flatten(0, -2)
        loss(output, labels).backward()
        return optimizer.step()

    return forward if row.forward_only else step


class Net(nn.Module):
    """A network made from a description."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        shape = row.input_shape
        self.body = Path(row.layers, shape)
        self.head = nn.Linear(self.body.shape[-1], row.outputs)
        self.squash = row.optimizer == "sgd"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores or numbers."""
        output: torch.Tensor = self.head(self.body(x))
        return output.sigmoid() if self.squash else output


class Path(nn.Module):
    """Layers one after another; it knows the shape that comes out, channels last."""

    def __init__(self, layers: Spec, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.parts = nn.ModuleList()
        for each in layers:
            part, shape = _module(each, shape)
            self.parts.append(part)
        self.shape = shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what comes out."""
        for part in self.parts:
            x = part(x)
        return x


class Several(nn.Module):
    """Paths side by side: added, or joined."""

    def __init__(self, paths: list[Path], joined: bool) -> None:
        super().__init__()
        self.paths, self.joined = nn.ModuleList(paths), joined

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return their sum, or their channels together."""
        outputs = [path(x) for path in self.paths]
        return torch.cat(outputs, 1) if self.joined else outputs[0] + outputs[1]


class Recurrent(nn.Module):
    """A recurrent layer that gives every step or the last."""

    def __init__(self, layer: nn.Module, every_step: bool) -> None:
        super().__init__()
        self.layer, self.every_step = layer, every_step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs."""
        output: torch.Tensor = self.layer(x)[0]
        return output if self.every_step else output[:, -1]


def _module(spec: Spec, shape: tuple[int, ...]) -> tuple[nn.Module, tuple[int, ...]]:
    kind, *sizes = spec
    if kind == "dense":
        act = {"relu": nn.ReLU(), "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "": nn.Identity()}
        return nn.Sequential(nn.Linear(shape[-1], sizes[0]), act[sizes[1]]), (sizes[0],)
    if kind in ("residual", "branches"):
        paths = [Path(path, shape) for path in sizes]
        channels = paths[0].shape[2]
        if kind == "branches":
            channels = sum(path.shape[2] for path in paths)
        return Several(paths, kind == "branches"), (*paths[0].shape[:2], channels)
    if kind in ("rnn", "lstm", "gru", "bilstm"):
        made = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU, "bilstm": nn.LSTM}[kind]
        both = kind == "bilstm"
        layer = made(shape[-1], sizes[0], batch_first=True, bidirectional=both)
        every = both or sizes[1]
        units = sizes[0] * (1 + both)
        return Recurrent(layer, every), (shape[0], units) if every else (units,)
    return _image_module(kind, sizes, shape)


def _image_module(
    kind: str, sizes: list[Any], shape: tuple[int, ...]
) -> tuple[nn.Module, tuple[int, ...]]:
    if kind == "conv":
        filters, size, stride = sizes
        layer = nn.Conv2d(shape[2], filters, size, stride, padding=size // 2, bias=False)
        return layer, (-(-shape[0] // stride), -(-shape[1] // stride), filters)
    if kind == "conv+":
        filters, size, padding = sizes
        conv = nn.Conv2d(shape[2], filters, size, padding=padding)
        sides = [side + 2 * padding - size + 1 for side in shape[:2]]
        return nn.Sequential(conv, nn.ReLU()), (*sides, filters)
    if kind == "maxpool":
        size, stride = sizes
        padding = size // 2 if stride == 1 else 0
        sides = list(shape[:2]) if stride == 1 else [side // stride for side in shape[:2]]
        return nn.MaxPool2d(size, stride, padding), (*sides, shape[2])
    if kind == "norm":
        return nn.BatchNorm2d(shape[2], eps=1e-3, momentum=0.01), shape
    if kind == "relu":
        return nn.ReLU(), shape
    if kind == "meanpool":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), (shape[2],)
    return nn.Flatten(), (int(np.prod(shape)),)


class Sparse(nn.Module):
    """The random graph: a sparse product a level."""

    def __init__(self, count: int) -> None:
        super().__init__()
        edges = random_edges(count)
        self.weights, self.places = nn.ParameterList(), []
        for level in range(1, LEVELS + 1):
            part = edges.into_level(level)
            place = np.stack([edges.down[part] - level * WIDTH, edges.up[part]])
            self.places.append((torch.from_numpy(place), level * WIDTH))
            self.weights.append(nn.Parameter(torch.from_numpy(edges.weight[part].copy())))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs of the last level."""
        values = [x.T]
        for (place, before), weight in zip(self.places, self.weights, strict=True):
            shape = (WIDTH, before)
            matrix = torch.sparse_coo_tensor(
                place, weight, shape, is_coalesced=True, check_invariants=False
            )
            values.append(torch.tanh(torch.sparse.mm(matrix, torch.cat(values))))
        return values[-1].T

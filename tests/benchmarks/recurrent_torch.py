"""The peers of ``recurrent_kernels``: the same networks in PyTorch eager."""

from __future__ import annotations

import torch
from torch import nn

torch.set_num_threads(2)
BATCHES = {"rnn": (60, 64, 1), "lstm": (60, 64, 1), "gru": (60, 64, 1)}


class Stack(nn.Module):
    """Two recurrent layers of 80 and 100 units and one output."""

    def __init__(self, kind):
        super().__init__()
        layer = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind]
        self.first, self.second, self.out = layer(1, 80), layer(80, 100), nn.Linear(100, 1)

    def forward(self, x):
        """Return the last step's output."""
        return self.out(self.second(self.first(x)[0])[0][-1])


class Tagger(nn.Module):
    """One LSTM, maybe in both directions, with a class at every step."""

    def __init__(self, features, units, classes, both):
        super().__init__()
        self.lstm = nn.LSTM(features, units, bidirectional=both)
        self.out = nn.Linear(units * (1 + both), classes)

    def forward(self, x):
        """Return scores."""
        return self.out(self.lstm(x)[0]).flatten(0, 1)


def make(row):
    """Return a function that does one training step."""
    if row == "trees":
        from recurrent_torch_trees import make_trees

        return make_trees()
    torch.manual_seed(0)
    if row in BATCHES:
        steps, batch, features = BATCHES[row]
        net, x, y = Stack(row), torch.randn(steps, batch, features), torch.randn(batch, 1)
        loss = nn.MSELoss()
    else:
        steps, batch, features, units, classes, both = {
            "char": (64, 32, 64, 256, 64, False),
            "bidirectional": (50, 32, 40, 128, 10, True),
        }[row]
        net = Tagger(features, units, classes, both)
        x = torch.randn(steps, batch, features)
        if row == "char":
            x = nn.functional.one_hot(torch.randint(64, (steps, batch)), 64).float()
        y = torch.randint(classes, (steps * batch,))
        loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-4, foreach=True)

    def step():
        optimizer.zero_grad()
        loss(net(x), y).backward()
        optimizer.step()

    return step

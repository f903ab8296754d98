"""CBAPD, VGG and ResNet in CIFAR size, trained here and in PyTorch beside each other.

Both start from the same weights and see the same pictures in the same order, turned and shifted
alike; what differs is the rounding, which training then makes grow, and the noise of dropout. So
accuracies differ by chance, as from seed to seed: the last lines have the mean over seeds and its
standard error.

python tests/benchmarks/cifar_torch.py [cbapd | vgg8_cifar | resnet20_cifar | resnet18_cifar …]
                                       [--seeds 3] [--epochs 15]
"""

import argparse
import math
import statistics
import time

import numpy as np
import torch
from torch import nn

import neurograph as ng

BATCH, LAST = 64, 3  # pictures in a batch; epochs at the end whose accuracies are averaged
DECAY = 0.01
AUGMENT = ng.datasets.Augmentation(ng.datasets.Flip(), ng.datasets.Shift(0.1))


class Norm(nn.BatchNorm2d):
    """Batch normalisation with Keras's words for its options."""

    def __init__(self, filters, momentum, epsilon):
        super().__init__(filters, eps=epsilon, momentum=1 - momentum)


class ChannelsLast(nn.Module):
    """The order of values that our Flatten gives."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1)


def cbapd():
    return nn.Sequential(
        nn.Conv2d(3, 6, 5, padding=2),
        Norm(6, 0.99, 1e-3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.2),
        ChannelsLast(),
        nn.Flatten(),
        nn.Linear(1536, 128),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    )


def vgg8():
    layers, before = [], 3
    for filters in (64, 64, 0, 128, 128, 0, 256, 256, 0):
        if filters:
            layers += [nn.Conv2d(before, filters, 3, padding=1), Norm(filters, 0.9, 1e-3)]
            layers.append(nn.ReLU())
            before = filters
        else:
            layers.append(nn.MaxPool2d(2))
    head = [nn.Linear(4096, 256), nn.ReLU(), nn.Linear(256, 10)]
    return nn.Sequential(*layers, ChannelsLast(), nn.Flatten(), *head)


class Residual(nn.Module):
    """Two convolutions beside an identity or a projection."""

    def __init__(self, before, filters, stride):
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(before, filters, 3, stride, 1, bias=False),
            Norm(filters, 0.9, 1e-5),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, 1, 1, bias=False),
            Norm(filters, 0.9, 1e-5),
        )
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, filters, 1, stride, bias=False), Norm(filters, 0.9, 1e-5)
            )

    def forward(self, x):
        return torch.relu(self.path(x) + self.shortcut(x))


def resnet(filters, stages, blocks):
    layers = [nn.Conv2d(3, filters, 3, 1, 1, bias=False), Norm(filters, 0.9, 1e-5), nn.ReLU()]
    before = filters
    for stage in range(stages):
        for block in range(blocks):
            layers.append(Residual(before, filters, 2 if stage and not block else 1))
            before = filters
        filters *= 2
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10)]
    return nn.Sequential(*layers, *head)


PEERS = {
    "cbapd": cbapd,
    "vgg8_cifar": vgg8,
    "resnet20_cifar": lambda: resnet(16, 3, 3),
    "resnet18_cifar": lambda: resnet(64, 4, 2),
}


def adopt(peer, net):
    """Give the peer the weights of our network; both were written down in the same order."""
    weights = (each.value for each in net.parameters.values())
    with torch.no_grad():
        for module in peer.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(torch.from_numpy(next(weights)).permute(3, 2, 0, 1))
            elif isinstance(module, nn.Linear):
                module.weight.copy_(torch.from_numpy(next(weights)).T)
            elif isinstance(module, Norm):
                for each in (module.weight, module.bias, module.running_mean, module.running_var):
                    each.copy_(torch.from_numpy(next(weights)))
                continue
            else:
                continue
            if module.bias is not None:
                module.bias.copy_(torch.from_numpy(next(weights)))
    assert next(weights, None) is None


class Ours:
    """A step and a test of our model."""

    def __init__(self, net, rate, steps):
        schedule = ng.CosineDecay(rate, steps)
        self.model = net.compile(
            ng.AdamW(schedule, weight_decay=DECAY),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )

    def step(self, x, y):
        return self.model.train_on_batch(x, y)[0]

    def test(self, x, y):
        return self.model.evaluate(x, y, batch_size=200)[1]


class Theirs:
    """A step and a test of PyTorch's."""

    def __init__(self, peer, rate, steps):
        self.peer = peer.to(memory_format=torch.channels_last)  # its faster way on processors
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.AdamW(peer.parameters(), rate, weight_decay=DECAY)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)

    def step(self, x, y):
        self.peer.train()
        self.optimizer.zero_grad()
        loss = self.loss(self.peer(pictures(x)), torch.from_numpy(y))
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    def test(self, x, y):
        self.peer.eval()
        with torch.inference_mode():
            scores = [self.peer(pictures(part)) for part in np.split(x, range(200, len(x), 200))]
        return float((torch.cat(scores).argmax(1).numpy() == y).mean())


def pictures(x):
    return torch.from_numpy(x).permute(0, 3, 1, 2)  # channels last in memory


def run(name, seed, epochs, data):
    """Train both side by side; return what was measured of each."""
    net = ng.zoo.get(name)(seed=seed)
    peer = PEERS[name]()
    adopt(peer, net)
    x, y = data.train
    steps = epochs * -(-len(x) // BATCH)
    rate = 0.002 if "resnet" in name else 0.001
    both = {"neurograph": Ours(net, rate, steps), "torch": Theirs(peer, rate, steps)}
    generator = np.random.default_rng(seed)
    seconds, losses, tests = ({who: [] for who in both} for _ in range(3))
    for epoch in range(epochs):
        order = generator.permutation(len(x))
        for index in np.split(order, range(BATCH, len(x), BATCH)):
            batch = AUGMENT(x[index], generator)
            for who, each in both.items():
                start = time.process_time()
                losses[who].append(each.step(batch, y[index]))
                seconds[who].append(time.process_time() - start)
        for who, each in both.items():
            tests[who].append(each.test(*data.test))
        line = f"{name} seed {seed} epoch {epoch + 1}:"
        for who in both:
            loss = np.mean(losses[who][-80:])
            line += f"  {who} loss {loss:.3f} test {tests[who][-1]:.2%}"
        print(line, flush=True)
    first = abs(losses["neurograph"][0] / losses["torch"][0] - 1)
    print(f"{name} seed {seed}: the first losses differ by {first:.1e} of themselves")
    return {
        who: (statistics.mean(tests[who][-LAST:]), statistics.median(seconds[who])) for who in both
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="*", default=["cbapd", "vgg8_cifar", "resnet20_cifar"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = ng.datasets.cifar10(subset=True).scaled()
    for name in given.name:
        found = [run(name, seed, given.epochs, data) for seed in range(given.seeds)]
        for who in found[0]:
            marks = [each[who][0] for each in found]
            seconds = statistics.median(each[who][1] for each in found)
            count = len(marks)
            spread = f" ± {statistics.stdev(marks) / math.sqrt(count):.2%}" if count > 1 else ""
            print(f"{name}, {who}: {statistics.mean(marks):.2%}{spread},", end=" ")
            print(f"{seconds:.3f} s of processor a step")


if __name__ == "__main__":
    main()

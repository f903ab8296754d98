"""Kernels of convolutional networks against PyTorch: every layer shape of the speed table.

One row is a layer's outputs and both gradients (no gradient to the images themselves). Each
contender lives in a process of its own; rounds are interleaved and medians compared. The table
gives milliseconds, ours with OpenBLAS's own choice of kernels and with AVX-512, PyTorch's in the
better of its two layouts, the ratios, and how much of our processor time goes into matrix products.
The row below a network's layers adds them up, each as often as it occurs::

    python tests/benchmarks/kernels.py [NETWORK ...] [--threads 2] [--rounds 3] [--fast]

Runs beside which other processes used a core for more than a tenth of the time are not counted
(where the system says so, and for half a minute at most). With one thread the processor's time is
taken, which other processes hardly change. With --fast the methods with larger rounding errors may
be chosen.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from neurograph.kernels.convolution import (
    ConvolutionWorkspace,
    convolve,
    convolve_input_gradient,
    convolve_weight_gradient,
)
from neurograph.kernels.geometry import Geometry2D
from neurograph.kernels.normalization import BatchNormWorkspace, batch_norm, batch_norm_gradient
from neurograph.kernels.pooling import PoolingWorkspace, max_pool, max_pool_gradient
from neurograph.kernels.team import Team

Layer = tuple[int, str, tuple[int, int, int], int, int, int]
Step = Callable[[], object]
SECONDS = 0.06  # that one layer runs at a time
PATIENCE = 30.0  # seconds

# network: batch and layers; (how often, kind, (height, width, channels), kernel, filters, stride)
NETWORKS: dict[str, tuple[int, list[Layer]]] = {
    "LeNet-5": (
        128,
        [
            (1, "conv", (28, 28, 1), 5, 6, 1),
            (1, "pool", (28, 28, 6), 2, 6, 2),
            (1, "valid", (14, 14, 6), 5, 16, 1),
            (1, "pool", (10, 10, 16), 2, 16, 2),
        ],
    ),
    "VGG-like": (
        64,
        [
            (1, "conv", (32, 32, 3), 3, 64, 1),
            (1, "conv", (32, 32, 64), 3, 64, 1),
            (2, "norm", (32, 32, 64), 0, 64, 1),
            (1, "pool", (32, 32, 64), 2, 64, 2),
            (1, "conv", (16, 16, 64), 3, 128, 1),
            (1, "conv", (16, 16, 128), 3, 128, 1),
            (2, "norm", (16, 16, 128), 0, 128, 1),
            (1, "pool", (16, 16, 128), 2, 128, 2),
            (1, "conv", (8, 8, 128), 3, 256, 1),
            (1, "conv", (8, 8, 256), 3, 256, 1),
            (2, "norm", (8, 8, 256), 0, 256, 1),
            (1, "pool", (8, 8, 256), 2, 256, 2),
        ],
    ),
    "ResNet-18": (
        32,
        [
            (1, "conv", (32, 32, 3), 3, 64, 1),
            (4, "conv", (32, 32, 64), 3, 64, 1),
            (5, "norm", (32, 32, 64), 0, 64, 1),
            (1, "conv", (32, 32, 64), 3, 128, 2),
            (1, "conv", (32, 32, 64), 1, 128, 2),
            (3, "conv", (16, 16, 128), 3, 128, 1),
            (5, "norm", (16, 16, 128), 0, 128, 1),
            (1, "conv", (16, 16, 128), 3, 256, 2),
            (1, "conv", (16, 16, 128), 1, 256, 2),
            (3, "conv", (8, 8, 256), 3, 256, 1),
            (5, "norm", (8, 8, 256), 0, 256, 1),
            (1, "conv", (8, 8, 256), 3, 512, 2),
            (1, "conv", (8, 8, 256), 1, 512, 2),
            (3, "conv", (4, 4, 512), 3, 512, 1),
            (5, "norm", (4, 4, 512), 0, 512, 1),
        ],
    ),
    "Inception": (
        64,
        [
            (1, "conv", (32, 32, 64), 1, 32, 1),
            (1, "conv", (32, 32, 64), 1, 48, 1),
            (1, "conv", (32, 32, 48), 3, 64, 1),
            (1, "conv", (32, 32, 64), 1, 8, 1),
            (1, "conv", (32, 32, 8), 5, 16, 1),
            (1, "pool", (32, 32, 64), 3, 64, 1),
            (1, "conv", (32, 32, 64), 1, 16, 1),
            (1, "conv", (32, 32, 128), 1, 64, 1),
            (1, "conv", (32, 32, 128), 1, 64, 1),
            (1, "conv", (32, 32, 64), 3, 96, 1),
            (1, "conv", (32, 32, 128), 1, 16, 1),
            (1, "conv", (32, 32, 16), 5, 48, 1),
            (1, "pool", (32, 32, 128), 3, 128, 1),
            (1, "conv", (32, 32, 128), 1, 32, 1),
        ],
    ),
}


def ours(layer: Layer, batch: int, team: Any, exact: bool) -> tuple[Step, str]:
    """Return one layer's step with the kernels, and the methods it uses."""
    _, kind, shape, size, filters, stride = layer
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *shape), np.float32)
    d_x = np.empty_like(x)
    if kind == "norm":
        norm = BatchNormWorkspace(shape, batch, "float32", team)
        gamma, beta = np.ones((2, filters), np.float32)
        out, d_out = np.empty_like(x), rng.standard_normal(x.shape, np.float32)
        d_gamma, d_beta = np.zeros_like(gamma), np.zeros_like(beta)

        def step() -> None:
            batch_norm(x, gamma, beta, out, norm, relu=True)
            batch_norm_gradient(x, gamma, out, d_out, d_gamma, d_beta, d_x, norm)

        return step, "with relu"
    if kind == "pool":
        padding = "same" if stride == 1 else "valid"
        geometry = Geometry2D.pooling(shape, (size, size), (stride, stride), padding)
        pool = PoolingWorkspace(geometry, batch, "float32", team)
        out = np.empty((batch, *geometry.out_shape), np.float32)
        d_out = rng.standard_normal(out.shape, np.float32)

        def step() -> None:
            max_pool(x, out, pool)
            max_pool_gradient(x, out, d_out, d_x, pool)

        return step, ""
    geometry = convolution(layer)
    kernel = rng.standard_normal(geometry.kernel_shape, np.float32)
    workspace = ConvolutionWorkspace(geometry, batch, "float32", team, exact)
    out = np.empty((batch, *geometry.out_shape), np.float32)
    d_out, d_kernel = rng.standard_normal(out.shape, np.float32), np.empty_like(kernel)

    def step() -> None:
        convolve(x, kernel, out, workspace)
        convolve_weight_gradient(x, d_out, d_kernel, workspace)
        if shape[2] > 3:
            convolve_input_gradient(d_out, kernel, d_x, workspace)

    return step, f"{workspace.forward} {workspace.weights} {workspace.inputs}"


def convolution(layer: Layer) -> Geometry2D:
    """Return a layer's geometry, padded as PyTorch's networks do."""
    _, kind, shape, size, filters, stride = layer
    side = 0 if kind == "valid" else size // 2
    return Geometry2D.of(shape, (size, size), filters, (stride, stride), (side,) * 4)


def peers(layer: Layer, batch: int) -> list[Step]:
    """Return one layer's step in PyTorch, in both layouts."""
    import torch

    _, kind, (height, width, channels), size, filters, stride = layer
    functional = torch.nn.functional
    side = 0 if kind == "valid" or (kind == "pool" and stride > 1) else size // 2

    def make(layout: Any) -> Step:
        x = torch.randn(batch, channels, height, width).contiguous(memory_format=layout)
        x.requires_grad_(channels > 3)
        kernel = torch.randn(filters, channels, size, size).contiguous(memory_format=layout)
        gamma, beta, mean, variance = (torch.ones(filters) for _ in range(4))
        leaves = [each.requires_grad_() for each in (kernel, gamma, beta)] + [x]

        def forward() -> Any:
            if kind == "norm":
                out = functional.batch_norm(x, mean, variance, gamma, beta, training=True)
                return torch.relu(out)
            if kind == "pool":
                return functional.max_pool2d(x, size, stride, padding=side)
            return functional.conv2d(x, kernel, None, stride, side)

        d_out = torch.randn_like(forward())

        def step() -> None:
            for leaf in leaves:
                leaf.grad = None
            forward().backward(d_out)

        return step

    return [make(torch.contiguous_format), make(torch.channels_last)]


def serve(side: str, threads: int, exact: bool) -> None:
    """Run the layers asked for on standard input, and answer with milliseconds and remarks."""
    team = Team(threads)
    alone = Team(1)
    made: dict[str, Any] = {}
    if side == "torch":
        import torch

        torch.set_num_threads(threads)
    for line in sys.stdin:
        network, number = json.loads(line)
        batch, layers = NETWORKS[network]
        layer = layers[number]
        if line not in made:
            made.clear()
            if side == "torch":
                made[line] = peers(layer, batch), "", 0.0
            else:
                step, methods = ours(layer, batch, team, exact)
                made[line] = [step], methods, products(ours(layer, batch, alone, exact)[0])
        steps, methods, share = made[line]
        print(
            json.dumps([min(time_of(step, threads) for step in steps), methods, share]), flush=True
        )


def time_of(step: Step, threads: int) -> float:
    """Return the milliseconds of a step: the median of some runs that nothing else disturbed."""
    step()
    clock = time.process_time if threads == 1 else time.perf_counter
    calm: list[float] = []
    disturbed: list[float] = []
    begin = time.perf_counter()
    while len(calm) < 3 and time.perf_counter() < begin + PATIENCE:
        others, start, count = foreign_time(), clock(), 0
        while clock() < start + SECONDS:
            step()
            count += 1
        spent = clock() - start
        quiet = threads == 1 or foreign_time() - others < 0.02 + 0.08 * spent
        (calm if quiet else disturbed).append(1000 * spent / count)
        if not quiet:
            time.sleep(SECONDS)
    return median(calm) if calm else min(disturbed)


def foreign_time() -> float:
    """Return the processor time that other processes have used, in seconds, or 0 if unknown."""
    try:
        with open("/proc/stat") as file:
            ticks = [int(each) for each in file.readline().split()[1:]]
    except OSError:
        return 0.0
    busy = sum(ticks[:3]) + sum(ticks[5:8])
    return busy / os.sysconf("SC_CLK_TCK") - time.process_time()


def products(step: Step) -> float:
    """Return the share of a thread's time that matrix products take."""
    from threadpoolctl import threadpool_limits

    matmul, spent = np.matmul, [0.0]

    def timed(*arguments: Any, **options: Any) -> Any:
        start = time.thread_time()
        result = matmul(*arguments, **options)
        spent[0] += time.thread_time() - start
        return result

    with threadpool_limits(1):
        step()
        np.matmul = timed  # type: ignore[assignment]
        start = time.thread_time()
        for _ in range(3):
            step()
        total = time.thread_time() - start
        np.matmul = matmul
    return spent[0] / total


def main() -> None:
    """Time the layers of the networks asked for, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("networks", nargs="*", choices=[[], *NETWORKS], metavar="NETWORK")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.threads, not options.fast)
        return
    contenders = {
        name: start(side, environment, options)
        for name, side, environment in (
            ("ours", "ours", {}),
            ("AVX-512", "ours", {"OPENBLAS_CORETYPE": "SkylakeX"}),
            ("PyTorch", "torch", {}),
        )
    }
    print(f"{'ms':40}{'ours':>8}{'AVX-512':>9}{'PyTorch':>9}{'ratios':>14}{'products':>10}")
    for network in options.networks or NETWORKS:
        compare(network, contenders, options.rounds)
    for contender in contenders.values():
        contender.stdin.close()
        contender.wait()


def start(side: str, environment: dict[str, str], options: argparse.Namespace) -> Any:
    """Start a contender."""
    command = [sys.executable, __file__, "--serve", side, "--threads", str(options.threads)]
    command += ["--fast"] if options.fast else []
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"OPENBLAS_NUM_THREADS": "1", **os.environ, **environment},
    )


def compare(network: str, contenders: dict[str, Any], rounds: int) -> None:
    """Print the rows of a network."""
    batch, layers = NETWORKS[network]
    totals = dict.fromkeys(contenders, 0.0)
    for number, layer in enumerate(layers):
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, contender in contenders.items():
                contender.stdin.write(json.dumps([network, number]) + "\n")
                contender.stdin.flush()
                milliseconds, methods, share = json.loads(contender.stdout.readline())
                times[name].append(milliseconds)
                if name == "AVX-512":
                    remarks = methods, share
        medians = {name: median(each) for name, each in times.items()}
        for name, value in medians.items():
            totals[name] += layer[0] * value
        count, kind, shape, size, filters, stride = layer
        title = f"{count} x {kind} {'x'.join(map(str, shape))}"
        title += f" {size}x{size}-{filters}" if kind in {"conv", "valid"} else ""
        title += f" /{stride}" if stride > 1 else ""
        print(row(title, medians), f"{remarks[1]:9.0%}  {remarks[0]}", flush=True)
    print(row(f"{network} [{batch}]", totals), flush=True)


def row(title: str, times: dict[str, float]) -> str:
    """Return one row of the table."""
    first, second, peer = times.values()
    return f"{title:40}{first:8.2f}{second:9.2f}{peer:9.2f}{first / peer:8.2f}{second / peer:6.2f}"


if __name__ == "__main__":
    main()

"""Training steps built from the bare recurrent and tree kernels, beside PyTorch.

What the kernels can reach, without graph or compiler: forward, output and loss, the way back,
weight gradients, RMSprop. Each contender lives in a process of its own, rounds are interleaved::

    python tests/benchmarks/recurrent_kernels.py [ROW ...] [--rounds 8]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from statistics import median

ROWS = ["rnn", "lstm", "gru", "char", "bidirectional", "trees"]
CONTENDERS = {  # name: (side, environment)
    "ours": ("ours", {}),
    "ours AVX-512": ("ours", {"OPENBLAS_CORETYPE": "SkylakeX"}),
    "torch": ("torch", {}),
    "torch AVX-512": ("torch", {"MKL_ENABLE_INSTRUCTIONS": "AVX512"}),
}
UNITS = (80, 100)


def serve(side: str) -> None:
    """Run rows asked for on standard input, one line each, and answer with milliseconds a step."""
    from importlib import import_module

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    make = import_module(f"recurrent_{side}").make
    made = {}
    for line in sys.stdin:
        row, seconds = json.loads(line)
        if row not in made:
            made[row] = make(row)
            for _ in range(5):
                made[row]()
        step, times = made[row], []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 5:
            start = time.perf_counter()
            step()
            times.append((time.perf_counter() - start) * 1e3)
        print(json.dumps(times), flush=True)


def ratios(found: dict[str, tuple[float, float]]) -> str:
    """Return best peer over best of ours, for medians and for the fastest tenth."""
    ours = [value for name, value in found.items() if name.startswith("ours")]
    peer = [value for name, value in found.items() if name.startswith("torch")]
    if not ours or not peer:
        return ""
    return "  ".join(f"{min(p[k] for p in peer) / min(o[k] for o in ours):.2f}" for k in (0, 1))


def main() -> None:
    """Ask every contender in turn, round by round, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", default=ROWS)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.25)
    parser.add_argument("--only", nargs="*", default=list(CONTENDERS))
    parser.add_argument("--serve", choices=["ours", "torch"])
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    workers = {
        name: subprocess.Popen(
            [sys.executable, __file__, "--serve", side],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, (side, environment) in CONTENDERS.items()
        if name in options.only
    }
    print("milliseconds a step: median, and the fastest tenth (on a busy machine look there)")
    print(f"{'row':>14}" + "".join(f"{name:>18}" for name in workers), "  best torch / best ours")
    for row in options.rows:
        times: dict[str, list[float]] = {name: [] for name in workers}
        for _ in range(options.rounds):
            for name, worker in workers.items():
                worker.stdin.write(json.dumps([row, options.seconds]) + "\n")
                worker.stdin.flush()
                times[name] += json.loads(worker.stdout.readline())
                time.sleep(0.25)  # until its threads have stopped spinning
        found = {name: (median(v), sorted(v)[len(v) // 10]) for name, v in times.items()}
        cells = "".join(f"{middle:9.2f} {fast:8.2f}" for middle, fast in found.values())
        print(f"{row:>14}{cells}   {ratios(found)}", flush=True)
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()


if __name__ == "__main__":
    main()

"""One contender on one row, in a process of its own: it takes its turn when told to.

``python -m neurograph.bench.worker ROW CONTENDER THREADS``: writes one line of JSON when it is
ready, then one for every line it reads, until its input ends.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from neurograph.bench.peers import CONTENDERS
from neurograph.bench.rows import ROWS

WARM_UP, TURN, MOST_STEPS = 3, 0.2, 2000  # steps, seconds, steps


def main() -> None:
    """Warm up, then measure on demand."""
    row, contender, threads = ROWS[sys.argv[1]], CONTENDERS[sys.argv[2]], int(sys.argv[3])
    start = time.perf_counter()
    try:
        step = getattr(import_module(contender.module), contender.function)(row, threads)
        for _ in range(WARM_UP):
            step()
    except Exception as error:
        say(
            {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
        )
        return
    say({"ready": time.perf_counter() - start, "kernels": kernels()})
    for _ in sys.stdin:
        seconds, processor = turn(step)
        say({"seconds": seconds, "processor": processor, "memory": peak_memory()})


def turn(step: Callable[[], object]) -> tuple[float, float]:
    """Return the median time of a step, of as many as take about a fifth of a second.

    And the mean time that its processors worked for it, all threads together: waiting for other
    processes is not in it, though caches shared with them are.
    """
    step()
    times: list[float] = []
    begun, worked = time.perf_counter(), time.process_time()
    while len(times) < 3 or (time.perf_counter() - begun < TURN and len(times) < MOST_STEPS):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times), (time.process_time() - worked) / len(times)


def say(what: dict[str, Any]) -> None:
    """Write one line."""
    print(json.dumps(what), flush=True)


def peak_memory() -> float | None:
    """Return the largest memory of this process so far, in bytes; None where none can tell."""
    try:
        import resource
    except ImportError:
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest * (1.0 if sys.platform == "darwin" else 1024.0)


def kernels() -> list[str]:
    """Return the BLAS libraries loaded, with the kernels they chose."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    return [
        f"{pool['internal_api']} {pool.get('architecture') or ''}".strip()
        + f", {pool['num_threads']} threads"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]


if __name__ == "__main__":
    main()

"""How much memory a call takes beside what is there already."""

import tracemalloc
from collections.abc import Callable


def taken(call: Callable[[], object]) -> int:
    """Return how many bytes more than before a call held at most, after a first call."""
    tracemalloc.start()
    try:
        call()  # what stays from a first call (threads, caches) is there before
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before

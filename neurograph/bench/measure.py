"""Measuring: every contender of a row in a process of its own, turn by turn."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from neurograph.bench.peers import CONTENDERS, OURS
from neurograph.bench.rows import Row

PATIENCE = 30.0  # seconds after which a row has no further round


@dataclass(slots=True)
class Result:
    """What was measured of one contender on one row.

    Attributes
    ----------
    row, contender : str
    seconds : list of float
        The median time of a step in each round.
    processor : list of float
        The processor time of a step, all threads together, in each round.
    ready : float
        Seconds to import, build and warm up.
    memory : float or None
        The largest memory of the process in bytes.
    kernels : list of str
    error : str
        Why there is no number.
    """

    row: str
    contender: str
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    ready: float = 0.0
    memory: float | None = None
    kernels: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles over the median."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / 2 / self.median


class Worker:
    """A contender at work."""

    def __init__(self, row: Row, contender: str, threads: int) -> None:
        self.result = Result(row.name, contender)
        words = [sys.executable, "-m", "neurograph.bench.worker", row.name, contender, str(threads)]
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(threads),
        )
        found = self._read()
        self.result.error = str(found.get("error", ""))
        self.result.ready = float(str(found.get("ready", 0.0)))
        kernels = found.get("kernels")
        self.result.kernels = [str(each) for each in kernels] if isinstance(kernels, list) else []

    def turn(self) -> None:
        """Let it take its turn."""
        assert self._process.stdin is not None
        if self.result.error:
            return
        try:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
            found = self._read()
        except BrokenPipeError:
            found = {"error": "it ended by itself"}
        if "error" in found:
            self.result.error = str(found["error"])
            return
        self.result.seconds.append(float(str(found["seconds"])))
        self.result.processor.append(float(str(found["processor"])))
        memory = found.get("memory")
        self.result.memory = None if memory is None else float(str(memory))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _read(self) -> dict[str, object]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        return {"error": "it ended by itself"}


def environment(threads: int) -> dict[str, str]:
    """Return the environment of the processes: all may use so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
    return {**os.environ, **dict.fromkeys(names, str(threads)), **quiet}


def measure(row: Row, peers: Sequence[str], rounds: int, threads: int) -> list[Result]:
    """Return the results of ours and of the peers that can do a row.

    Each is a process; they take turns, so that whatever else the machine does meets all alike.
    """
    names = [OURS, *(name for name in peers if CONTENDERS[name].takes(row))]
    workers = [Worker(row, name, threads) for name in names]
    try:
        begun = time.perf_counter()
        for done in range(rounds):
            if done >= 3 and time.perf_counter() - begun > PATIENCE:
                break
            for worker in workers:
                worker.turn()
    finally:
        for worker in workers:
            worker.close()
    return [worker.result for worker in workers]

"""Progress: how a training shows on the screen while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

INTERVAL = 0.1  # seconds between two drawings of a line
WIDTH, LEAST_WIDTH = 26, 6  # of the bar, which yields to the numbers


class Progress:
    """Shows nothing: the silent form, and what the others have in common.

    Attributes
    ----------
    interval : float
        Seconds between two calls of ``show``; infinite where only whole epochs are shown.
    """

    interval = float("inf")

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def start_epoch(self, epoch: int, steps: int | None, first: int = 0) -> None:
        """Begin a line; ``first`` batches of the epoch were done earlier."""

    def show(self, batch: int, logs: Mapping[str, float]) -> None:
        """Draw the line anew, after so many batches."""

    def end_epoch(self, batches: int, seconds: float, logs: Mapping[str, float]) -> None:
        """End the line."""

    def say(self, sentence: str) -> None:
        """Print a sentence."""

    def close(self) -> None:
        """Leave the screen in order, whatever happened."""


class Lines(Progress):
    """One plain line an epoch: for files, pipes and logs."""

    def start_epoch(self, epoch: int, steps: int | None, first: int = 0) -> None:
        """Remember the epoch."""
        self._epoch = epoch

    def end_epoch(self, batches: int, seconds: float, logs: Mapping[str, float]) -> None:
        """Print the line."""
        head = f"epoch {self._epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"
        parts = [head, f"{duration(seconds):>6}", *(f"{k} {shown(v)}" for k, v in logs.items())]
        print("  ".join(parts), flush=True)

    def say(self, sentence: str) -> None:
        """Print the sentence."""
        print(sentence, flush=True)


class Bar(Progress):
    """One line an epoch that fills while it runs: batches, time left, loss and metrics."""

    interval = INTERVAL

    def __init__(self, epochs: int, console: Console) -> None:
        super().__init__(epochs)
        self._console = console
        self._live: Live | None = None
        self._best: dict[str, float] = {}

    def start_epoch(self, epoch: int, steps: int | None, first: int = 0) -> None:
        """Begin a line."""
        self._epoch, self._steps, self._first = epoch, steps, first
        self._begun = time.perf_counter()

    def show(self, batch: int, logs: Mapping[str, float]) -> None:
        """Draw the line anew."""
        from rich.live import Live

        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        spent = time.perf_counter() - self._begun
        done = batch - self._first
        timing = duration(spent)
        if self._steps is not None and done:
            timing = duration(spent / done * (self._steps - batch)) + " left"
        self._live.update(self._line(batch, timing, logs), refresh=True)

    def end_epoch(self, batches: int, seconds: float, logs: Mapping[str, float]) -> None:
        """Print the finished line."""
        self.close()
        self._steps = batches
        self._console.print(self._line(batches, duration(seconds), logs))

    def say(self, sentence: str) -> None:
        """Print the sentence."""
        self.close()
        self._console.print(sentence, style="yellow", highlight=False)

    def close(self) -> None:
        """Take the unfinished line off the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _line(self, batch: int, timing: str, logs: Mapping[str, float]) -> Text:
        from rich.text import Text

        finished = not timing.endswith("left") and batch == self._steps
        done = f"{batch}"
        if self._steps is not None:
            done = f"{batch:>{len(str(self._steps))}}/{self._steps}"
        tail = Text().append(done, "dim").append(f"  {timing:<11}", "magenta")
        for name, value in logs.items():
            tail.append(f"  {name} ", "dim").append(
                shown(value), self._style(name, value, finished)
            )
        line = Text(no_wrap=not finished, overflow="ellipsis")
        line.append(f"{self._epoch + 1:>{len(str(self.epochs))}}", "bold")
        line.append(f"/{self.epochs} ", "dim")
        width = min(WIDTH, self._console.width - len(line) - len(tail) - 1)
        if width >= LEAST_WIDTH:
            full = round(width * batch / self._steps) if self._steps else 0
            line.append("━" * full, "green" if finished else "cyan")
            line.append("━" * (width - full) + " ", "bright_black")
        return line.append_text(tail)

    def _style(self, name: str, value: float, finished: bool) -> str:
        """Mark a loss of validation or training that is the lowest so far."""
        if not finished or not name.endswith("loss"):
            return "bold"
        best = value < self._best.get(name, float("inf"))
        if best:
            self._best[name] = value
        return "bold green" if best else "bold"


def make_progress(verbose: int, epochs: int) -> Progress:
    """Return the display: 0 nothing, 1 a live line (on a terminal), 2 plain lines."""
    if verbose == 0:
        return Progress(epochs)
    if verbose == 2 or not _is_terminal(sys.stdout):
        return Lines(epochs)
    from rich.console import Console

    console = Console()
    return Bar(epochs, console) if console.is_terminal else Lines(epochs)


def _is_terminal(stream: Any) -> bool:
    return bool(getattr(stream, "isatty", lambda: False)())


def shown(value: float) -> str:
    """Return a number as a line of progress shows it.

    >>> [shown(each) for each in (0.12345, 12.3456, 1234567.0, 0.00000123)]
    ['0.1235', '12.35', '1.235e+06', '1.23e-06']
    """
    if value == 0 or 1e-3 <= abs(value) < 10:
        return f"{value:.4f}"
    if abs(value) < 1e-3:
        return f"{value:.2e}"
    return f"{value:.4g}"


def duration(seconds: float) -> str:
    """Return a length of time, short.

    >>> [duration(each) for each in (0.0123, 1.234, 83.4, 4000)]
    ['12 ms', '1.2 s', '1:23', '1:06:40']
    """
    if seconds < 0.95:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"

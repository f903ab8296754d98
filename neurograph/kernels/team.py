"""Threads that share a batch, and the scratch memory that each of them keeps."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from neurograph.errors import OptionError
from neurograph.kernels.blas import find_libraries, single_threaded

_LINE = 64  # bytes of a cache line
# NumPy takes runs shorter than about half of its buffer, 8192 elements, through that buffer
# before it adds or multiplies them. Runs of some hundred elements are done twice as fast in place.
_BUFFER = 512


class Scratch:
    """Memory of one thread that kernels use one after another.

    Kernels reserve what they need when their workspaces are made; the memory is as large as the
    largest of them, stays in cache from kernel to kernel, and holds nothing between calls.
    """

    __slots__ = ("memory",)

    def __init__(self) -> None:
        self.memory: npt.NDArray[np.uint8] = np.empty(0, np.uint8)

    def reserve(self, nbytes: int) -> None:
        """Make the memory at least this large; views of the former memory lose touch with it."""
        if nbytes > self.memory.nbytes:
            raw = np.empty(nbytes + _LINE, np.uint8)
            start = -raw.ctypes.data % _LINE
            self.memory = raw[start : start + nbytes]


def nbytes_of(dtype: npt.DTypeLike, *shapes: tuple[int, ...]) -> int:
    """Return how much scratch memory arrays of these shapes take together.

    >>> nbytes_of("float32", (3, 5), (16,))
    128
    """
    size = np.dtype(dtype).itemsize
    return sum(-(-prod(shape) * size // _LINE) * _LINE for shape in shapes)


def carve(
    memory: npt.NDArray[np.uint8], dtype: npt.DTypeLike, *shapes: tuple[int, ...]
) -> list[Any]:
    """Return arrays of these shapes that lie one after another in scratch memory.

    >>> first, second = carve(np.empty(256, np.uint8), "float32", (3, 5), (16,))
    >>> first.shape, second.shape
    ((3, 5), (16,))
    """
    arrays, start = [], 0
    for shape in shapes:
        stop = start + nbytes_of(dtype, shape)
        flat = memory[start:stop].view(dtype)
        arrays.append(flat[: prod(shape)].reshape(shape))
        start = stop
    return arrays


class Team:
    """Threads that do one task together, each on its own part of the batch.

    The caller is member 0; the others sleep between tasks. While a task runs, the products of every
    member are single-threaded, so the results do not depend on how BLAS would divide a product.

    Parameters
    ----------
    threads : int
        Number of members. One member is the caller alone.

    Raises
    ------
    OptionError
        If `threads` is not positive.
    MissingDependencyError
        If more than one thread is asked for and threadpoolctl is not installed.

    Examples
    --------
    >>> done = [0, 0]
    >>> Team(1).run(done.__setitem__, 5)
    >>> done
    [5, 0]
    """

    def __init__(self, threads: int = 1) -> None:
        if threads < 1:
            raise OptionError(f"Team(threads={threads}): at least one thread is needed")
        self.threads = threads
        self.scratch = [Scratch() for _ in range(threads)]
        self.shared = Scratch()
        if threads > 1:
            find_libraries()
        self._gather()

    @property
    def first(self) -> Team:
        """The caller without the other members, for what is not worth waking them."""
        team = Team(1)
        team.scratch, team.shared = self.scratch[:1], self.shared
        return team

    def _gather(self) -> None:
        """Start the threads of the members."""
        self._process = os.getpid()
        self._orders = _Orders(self.threads)
        for member in range(1, self.threads):
            name = f"neurograph-{member}"
            threading.Thread(
                target=_serve, args=(self._orders, member), name=name, daemon=True
            ).start()
        weakref.finalize(self, _dismiss, self._orders)

    def run(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call ``function(member, *arguments)`` for every member, and wait for all of them."""
        width = np.setbufsize(_BUFFER)
        try:
            if self.threads == 1:
                function(0, *arguments)
            else:
                with single_threaded():
                    self._run_together(function, arguments)
        finally:
            np.setbufsize(width)

    def _run_together(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        if self._process != os.getpid():  # threads do not follow into a forked process
            self._gather()
        orders = self._orders
        orders.task = (function, arguments)
        orders.errors.clear()
        for lock in orders.start:
            lock.release()
        try:
            function(0, *arguments)
        finally:
            interrupts = [_wait(lock) for lock in orders.finish]
            orders.task = None
        for error in (*orders.errors, *interrupts):
            if error is not None:
                raise error


def share(count: int, member: int, members: int) -> tuple[int, int]:
    """Return the first and the last but one of the things that a member does.

    >>> share(7, 0, 2), share(7, 1, 2)
    ((0, 3), (3, 7))
    """
    return count * member // members, count * (member + 1) // members


def block_size(batch: int, rows: int, columns: int, target: int) -> tuple[int, int]:
    """Return how many images, and rows of each, make blocks of about `target` cells.

    A block is either some rows of one image or all rows of some images.

    >>> block_size(32, 16, 16, 128), block_size(32, 4, 4, 128)
    ((1, 8), (8, 4))
    """
    if rows * columns > target:
        few = max(target // columns, 1)
        return 1, -(-rows // -(-rows // few))
    many = min(max(target // (rows * columns), 1), max(batch, 1))
    return -(-max(batch, 1) // -(-max(batch, 1) // many)), rows


class Blocks:
    """The blocks that a batch is worked through in, with their arrays and prepared calls.

    A block is made when its size is first met, and again when the scratch memory has moved.

    Parameters
    ----------
    rows : int
        Rows of cells of one image.
    size : (images, rows)
        Largest block, from `block_size`.
    make : function
        make(images, rows, memory) returns the block of that size.

    Examples
    --------
    >>> parts = Blocks(5, (2, 5), lambda images, rows, memory: f"{images}x{rows}")
    >>> list(parts.over(3, np.empty(0, np.uint8)))
    [('2x5', True, slice(0, 2, None), 0), ('1x5', True, slice(2, 3, None), 0)]
    """

    def __init__(
        self, rows: int, size: tuple[int, int], make: Callable[[int, int, Any], Any]
    ) -> None:
        self.rows, self.size, self.make = rows, size, make
        self.made: dict[tuple[int, int], Any] = {}
        self.memory: object = None

    def over(
        self, batch: int, memory: npt.NDArray[np.uint8]
    ) -> Iterator[tuple[Any, bool, slice, int]]:
        """Yield the blocks of a batch: block, whether its size is new, images, first row."""
        if self.memory is not memory:
            self.made.clear()
            self.memory = memory
        last = None
        for first in range(0, batch, self.size[0]):
            images = min(self.size[0], batch - first)
            for row in range(0, self.rows, self.size[1]):
                rows = min(self.size[1], self.rows - row)
                block = self.made.get((images, rows))
                if block is None:
                    block = self.made[images, rows] = self.make(images, rows, memory)
                yield block, block is not last, slice(first, first + images), row
                last = block


class _Orders:
    """What the members of a team read and write; the team itself is not among it."""

    def __init__(self, threads: int) -> None:
        self.task: tuple[Callable[..., object], tuple[Any, ...]] | None = None
        self.errors: list[BaseException] = []
        self.start = [_held_lock() for _ in range(threads - 1)]
        self.finish = [_held_lock() for _ in range(threads - 1)]


def _held_lock() -> threading.Lock:
    """Return a lock to wait at until another thread opens it, the cheapest signal there is."""
    lock = threading.Lock()
    lock.acquire()
    return lock


def _wait(lock: threading.Lock) -> KeyboardInterrupt | None:
    """Wait at a lock until it opens, and return an interrupt that came meanwhile."""
    interrupt = None
    while True:
        try:
            lock.acquire()
        except KeyboardInterrupt as error:  # a member still writes: wait, then raise it
            interrupt = error
        else:
            return interrupt


def _serve(orders: _Orders, member: int) -> None:
    """Do every task that is given until the team is gone."""
    np.setbufsize(_BUFFER)  # the setting belongs to a thread, and so does the next:
    np.seterr(all="ignore")  # only the caller warns of numbers, if it has not been told not to
    start, finish = orders.start[member - 1], orders.finish[member - 1]
    while True:
        start.acquire()
        if orders.task is None:
            return
        function, arguments = orders.task
        try:
            function(member, *arguments)
        except BaseException as error:
            orders.errors.append(error)
        del function, arguments
        finish.release()


def _dismiss(orders: _Orders) -> None:
    """Let the members of a team that is gone end."""
    orders.task = None
    for lock in orders.start:
        lock.release()

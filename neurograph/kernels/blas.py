"""The threads of BLAS, which keeps to one while a team divides the work.

A thread that BLAS has used for a product waits for the next one for some milliseconds without
sleeping, and takes a processor from the members of the team.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from neurograph.errors import MissingDependencyError

_lock = threading.Lock()
_libraries: list[Any] = []  # threadpoolctl's handles
_before: list[tuple[Any, int]] = []  # libraries that are held, with the threads they had
_holders = 0


def find_libraries() -> None:
    """Look for the BLAS libraries that are loaded by now.

    Raises
    ------
    MissingDependencyError
        If threadpoolctl is not installed.
    """
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError as error:
        raise MissingDependencyError(
            "more than one thread needs threadpoolctl, which keeps BLAS from starting threads of "
            "its own: pip install threadpoolctl, or use one thread"
        ) from error
    controllers = ThreadpoolController().lib_controllers
    _libraries[:] = [each for each in controllers if each.user_api == "blas"]


def has_threads() -> bool:
    """Tell whether a library that was found uses more than one thread."""
    return any(library.get_num_threads() > 1 for library in _libraries)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Keep products single-threaded meanwhile, in all threads of the process."""
    global _holders
    with _lock:
        if not _holders:
            _before[:] = [(library, library.get_num_threads()) for library in _libraries]
            for library in _libraries:
                library.set_num_threads(1)
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if not _holders:
                for library, threads in _before:
                    library.set_num_threads(threads)


def _begin_anew() -> None:
    """Forget, in a forked process, the teams of the other one."""
    global _holders, _lock
    _holders, _lock = 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)

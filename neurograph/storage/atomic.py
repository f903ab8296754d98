"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from neurograph.errors import OptionError, StorageError

if sys.platform != "win32":
    import fcntl

StrPath = str | os.PathLike[str]
LEFTOVER_SECONDS = 3600.0
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@contextlib.contextmanager
def atomic_write(path: StrPath) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when all of it is safely on the disk.

    What is written goes to a temporary file in the same folder (made if it is missing). When the
    block ends, that file is flushed, synced and renamed, and the folder is synced. After an
    exception it is removed. So whoever opens `path`, at any moment, even after the process was
    killed or the machine lost power, finds the old content or the new, never a part.

    Parameters
    ----------
    path : str or path
        If it is a symbolic link, the file it points to is replaced. The permissions of a file that
        is replaced are kept.

    Yields
    ------
    file
        Open for writing bytes.

    Raises
    ------
    StorageError
        The disk is full, the folder cannot be written to, or `path` is a folder; what stood under
        `path` is still there.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "weights.txt"
    >>> with atomic_write(path) as file:
    ...     _ = file.write(b"0.5")
    >>> path.read_bytes(), os.listdir(folder.name)
    (b'0.5', ['weights.txt'])
    >>> folder.cleanup()
    """
    target = _target(path)
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        mode = _mode(target)
        handle, temporary = _create(target)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if mode is not None:
                os.chmod(temporary, mode)
            if sys.platform != "win32":  # while it is still open, hence locked
                os.replace(temporary, target)
        if sys.platform == "win32":
            os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):  # the first error is the one to report
            if temporary is not None:
                temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            raise _explained(target, error) from error
        raise
    with contextlib.suppress(OSError):  # not every file system can sync a folder
        _sync_folder(target.parent)


def _target(path: StrPath) -> Path:
    try:
        name = os.fspath(path)
        if not isinstance(name, str) or not name or "\0" in name:
            raise TypeError
    except TypeError:
        raise OptionError(f"a file to write is given by its path, got {path!r}") from None
    return Path(os.path.realpath(name))


def _mode(target: Path) -> int | None:
    """Return the permissions of the file that is replaced, or None.

    Raises StorageError for anything that is not a plain file: a device must not be replaced.
    """
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a plain file"
        raise StorageError(f"cannot write {str(target)!r}: it is {kind}; give the name of a file")
    return stat.S_IMODE(mode)


def _create(target: Path) -> tuple[int, Path]:
    """Make the temporary file and lock it, so that no other process takes it for a leftover."""
    while True:
        temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.part")
        handle = os.open(temporary, _FLAGS, 0o666)
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, temporary
        os.close(handle)  # another process removed it before it was locked


def _remove_leftovers(target: Path) -> None:
    """Remove the temporaries that killed processes left."""
    for leftover in target.parent.glob(f".{_literal(target.name[:40])}.*.part"):
        with contextlib.suppress(OSError):  # another process may be removing it too
            handle = os.open(leftover, os.O_RDWR)
            try:
                if _is_abandoned(handle):
                    leftover.unlink()
            finally:
                os.close(handle)


def _is_abandoned(handle: int) -> bool:
    """Whether no living process writes this file: it is not locked, or else an hour old."""
    if sys.platform != "win32":
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # no locks here: go by its age
            pass
        else:
            return True
    return os.fstat(handle).st_mtime < time.time() - LEFTOVER_SECONDS


def _literal(name: str) -> str:
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(target: Path, error: OSError) -> StorageError:
    reason = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "your quota on the disk is used up",
        errno.EFBIG: "the file would be larger than this process may write",
        errno.EACCES: "you may not write to this folder",
        errno.EPERM: "you may not write to this folder",
        errno.EROFS: "the disk is read-only",
        errno.ENOTDIR: "a part of this path is a file, not a folder",
        errno.EEXIST: "a part of this path is a file, not a folder",
    }.get(error.errno or 0, (error.strerror or str(error)).lower())
    kept = "; the file that was there is whole" if os.path.exists(target) else "; no file was made"
    return StorageError(f"cannot write {str(target)!r}: {reason}{kept}")

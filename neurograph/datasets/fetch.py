"""Find a public data set's files: a folder, NEUROGRAPH_DATA, the cache, its public address."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from neurograph.datasets.checks import contents
from neurograph.datasets.idx import gunzip
from neurograph.errors import DataError, FormatError, StorageError
from neurograph.options import path_text

Result = TypeVar("Result")
LIMIT = 1 << 28  # no file of these data sets unpacks to more


@dataclass(frozen=True, slots=True)
class Resource:
    """One file of a data set.

    Attributes
    ----------
    name : str
        Its name without ``.gz``.
    sha256 : str
        The hash of its *uncompressed* content: the compressed files differ between mirrors.
    """

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """A data set's files, the folders they are usually kept in, and where they are published.

    Attributes
    ----------
    title : str
    folders : tuple of str
        Names of the folder that holds the files, under a folder of data sets.
    resources : tuple of Resource
    addresses : tuple of str
        The folder of the gzipped files, or the address of one archive; tried in turn.
    """

    title: str
    folders: tuple[str, ...]
    resources: tuple[Resource, ...]
    addresses: tuple[str, ...]


def cache_folder() -> Path:
    """Return the folder where downloaded data sets are kept.

    ``NEUROGRAPH_CACHE`` names it; otherwise it is the user's cache folder of the system.
    """
    named = os.environ.get("NEUROGRAPH_CACHE")
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("neurograph"))


def local_folders(source: Source, folder: str | os.PathLike[str] | None) -> Iterator[Path]:
    """Yield the folders where the files of a data set may lie, a given one alone or first."""
    if folder is not None:
        given = Path(path_text(f"{source.title}: the folder", folder)).expanduser()
        if not given.is_dir():
            raise DataError(f"{source.title} was looked for in {str(given)!r}, which is no folder")
        yield given
        yield from (given / name for name in source.folders)
        return
    named = os.environ.get("NEUROGRAPH_DATA")
    if named:
        yield from (Path(named).expanduser() / name for name in source.folders)
    yield cache_folder() / source.folders[0]


def find(folders: Sequence[Path], name: str) -> Path | None:
    """Return the file of that name, gzipped or not, from the first folder that has it."""
    files = (folder / each for folder in folders for each in (name, f"{name}.gz"))
    return next(filter(Path.is_file, files), None)


def content(
    source: Source, resource: Resource, folder: str | os.PathLike[str] | None
) -> bytes | None:
    """Return the checked content of a file that is on this machine, or None.

    A file of the cache that was damaged is removed, so that it is fetched again; one that lies
    anywhere else is the user's, and damage there is an error.
    """
    path = find(list(local_folders(source, folder)), resource.name)
    if path is None:
        return None
    try:
        return verified(contents(source.title, path)[0], resource, repr(str(path)))
    except FormatError as error:
        if folder is not None or path.parent != cache_folder() / source.folders[0]:
            raise FormatError(f"{error}; replace or remove that file") from error
        path.unlink()
        return None


def verified(raw: bytes, resource: Resource, where: str) -> bytes:
    """Return the uncompressed content of a file after checking its hash."""
    content = gunzip(raw, where, LIMIT)
    found = hashlib.sha256(content).hexdigest()
    if found != resource.sha256:
        raise FormatError(
            f"{where} is not the published {resource.name}: the sha256 of its content is "
            f"{found[:16]}…, not {resource.sha256[:16]}…"
        )
    return content


def download(address: str, target: Path, title: str, progress: bool) -> None:
    """Download one file with a progress bar.

    Raises
    ------
    DataError
        When the address cannot be reached or the connection ends early; ``target`` may then hold
        a part, so it should be a temporary file.
    """
    import pooch
    import requests

    with _bar(title, address, progress) as bar:
        fetch = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=30)
        try:
            fetch(address, str(target), None)
        except requests.exceptions.HTTPError as error:
            raise DataError(f"{address} could not be fetched: {error}") from error
        except requests.exceptions.Timeout as error:
            raise DataError(f"{address} did not answer within 30 seconds") from error
        except requests.exceptions.ConnectionError as error:
            raise DataError(f"{address} could not be reached") from error
        except requests.exceptions.RequestException as error:
            raise DataError(f"the download of {address} broke off: {error}") from error


@contextmanager
def temporary(folder: Path) -> Iterator[Path]:
    """Give the name of a temporary file in a folder of the cache, and remove it afterwards.

    Raises
    ------
    StorageError
        When the folder cannot be written, also later, while the file is filled and kept.
    """
    part = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".download-", suffix=".part")
        os.close(handle)
        part = Path(name)
        yield part
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"the cache {str(folder)!r} cannot be written ({error.strerror}): "
            "NEUROGRAPH_CACHE can name another folder"
        ) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


class _Bar:
    """The few methods that pooch calls on a progress bar, shown by rich."""

    def __init__(self, title: str, address: str) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self.total = 0
        self.shown = Progress(*columns, console=console, disable=not console.is_terminal)
        self.task = self.shown.add_task(title, total=None)
        if not console.is_terminal:
            print(f"downloading {title} from {address}", file=sys.stderr)

    def update(self, count: int) -> None:
        """Move on by a number of bytes."""
        self.shown.update(self.task, total=self.total or None, advance=count)

    def reset(self) -> None:
        """Go back to the beginning."""
        self.shown.update(self.task, completed=0)

    def close(self) -> None:
        """Leave the bar as it is; the end of the ``with`` statement stops it."""


@contextmanager
def _bar(title: str, address: str, progress: bool) -> Iterator[_Bar | bool]:
    if not progress:
        yield False
        return
    bar = _Bar(title, address)
    with bar.shown:
        yield bar


def from_addresses(source: Source, names: str, attempt: Callable[[str], Result]) -> Result:
    """Return what the first address gives that works; one sentence for all that fail."""
    faults = []
    for address in source.addresses:
        try:
            return attempt(address)
        except (DataError, FormatError) as error:
            faults.append(str(error))
    reasons = "; ".join(dict.fromkeys(faults))
    raise DataError(
        f"{source.title} is not here and could not be downloaded ({reasons}): "
        f"give a folder that holds {names}, or name one in NEUROGRAPH_DATA"
    )

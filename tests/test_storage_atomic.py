"""A file is there whole or not at all: full disks, unwritable folders, kills at any moment."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest

import neurograph as ng
from neurograph.errors import OptionError, StorageError
from neurograph.storage import atomic
from neurograph.storage.atomic import atomic_write

OLD = b"the old file"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(OLD)
    return path


def test_the_new_content_replaces_the_old(path):
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == OLD
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_after_an_exception_the_old_file_is_whole(path, error):
    def write():
        with atomic_write(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_bytes() == OLD
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "your quota on the disk is used up"),
        (errno.EACCES, "you may not write to this folder"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EIO, "input/output error"),
    ],
)
def test_a_disk_that_fails_leaves_the_old_file_whole(path, monkeypatch, call, number, reason):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(atomic.os, call, fail)
        with pytest.raises(StorageError) as caught, atomic_write(path) as file:
            file.write(b"new")
    assert (
        str(caught.value)
        == f"cannot write {str(path)!r}: {reason}; the file that was there is whole"
    )
    assert isinstance(caught.value, OSError)
    assert path.read_bytes() == OLD
    assert os.listdir(path.parent) == [path.name]


def test_a_file_system_that_cannot_sync_folders_is_no_error(path, monkeypatch):
    whole = os.fsync

    def sync(handle):
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        whole(handle)

    monkeypatch.setattr(atomic.os, "fsync", sync)
    with atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_a_limit_on_the_size_of_files_leaves_the_old_checkpoint_whole(tmp_path):
    path = tmp_path / "net.safetensors"
    net = ng.Network([300, 300], seed=1)
    net.save(path)
    before = path.read_bytes()
    net.parameters["layer_1/bias"].value = np.ones(300)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 100, 4096, 200_000, len(before) - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(StorageError) as caught:
                net.save(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert str(caught.value) == (
            f"cannot write {str(path)!r}: the file would be larger than this process may write; "
            f"the file that was there is whole"
        )
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == [path.name]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_leaves_the_old_file_whole(path):
    path.parent.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="you may not"), atomic_write(path) as file:
            file.write(b"new")
    finally:
        path.parent.chmod(0o700)
    assert path.read_bytes() == OLD


def test_what_is_no_place_for_a_file_is_refused(path):
    below = path / "below" / "net.safetensors"
    with pytest.raises(StorageError) as caught, atomic_write(below):
        pass
    assert str(caught.value) == (
        f"cannot write {str(below)!r}: a part of this path is a file, not a folder; no file was "
        f"made"
    )
    with pytest.raises(StorageError, match="it is a folder; give"), atomic_write(path.parent):
        pass
    for wrong in (None, "", 3, b"bytes", "a\0b"):
        with pytest.raises(OptionError, match="is given by its path, got "), atomic_write(wrong):
            pass
    assert os.listdir(path.parent) == [path.name]


def test_a_device_is_never_replaced():
    with pytest.raises(StorageError, match="it is not a plain file"), atomic_write("/dev/null"):
        pass


def test_missing_folders_are_made(tmp_path):
    with atomic_write(tmp_path / "runs" / "first" / "net.txt") as file:
        file.write(b"new")
    assert (tmp_path / "runs" / "first" / "net.txt").read_bytes() == b"new"


def test_permissions_and_links_are_kept(path):
    path.chmod(0o640)
    link = path.with_name("latest")
    link.symlink_to(path)
    with atomic_write(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_new_files_have_the_usual_permissions(tmp_path):
    with atomic_write(tmp_path / "atomic") as file:
        file.write(b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_killed_processes_left_is_removed(path):
    leftover, other = path.with_name(f".{path.name}.0123.part"), path.with_name(".other.part")
    leftover.write_bytes(b"part")
    other.write_bytes(b"part")
    with atomic_write(path) as first, atomic_write(path) as second:
        assert len(os.listdir(path.parent)) == 4
        second.write(b"second")
        first.write(b"first")
    assert path.read_bytes() == b"first"
    assert sorted(os.listdir(path.parent)) == sorted([path.name, other.name])


def test_without_locks_leftovers_are_removed_after_an_hour(path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic.fcntl, "flock", flock)
    old, new = (path.with_name(f".{path.name}.{each}.part") for each in ("old", "new"))
    for each in (old, new):
        each.write_bytes(b"part")
    os.utime(old, (0, 0))
    with atomic_write(path) as file:
        file.write(b"new")
    assert sorted(os.listdir(path.parent)) == sorted([path.name, new.name])


@pytest.mark.parametrize("name", ["ü" * 120, "[a]*?.txt", "x" * 250])
def test_any_name_the_disk_takes_is_fine(tmp_path, name):
    with atomic_write(tmp_path / name) as file:
        file.write(b"new")
    assert os.listdir(tmp_path) == [name]


def test_a_name_too_long_for_the_disk_is_an_error(tmp_path):
    long = tmp_path / ("x" * 300)
    with pytest.raises(StorageError, match="file name too long; no file"), atomic_write(long):
        pass


def test_writers_at_the_same_time_leave_one_of_their_files(path):
    def write(content):
        for _ in range(20):
            with atomic_write(path) as file:
                file.write(content)

    contents = [bytes([65 + k]) * 50_000 for k in range(4)]
    threads = [threading.Thread(target=write, args=(each,)) for each in contents]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert path.read_bytes() in contents
    assert os.listdir(path.parent) == [path.name]


KILL = """
import json, os, random, signal, sys, time
import neurograph as ng

path, seed = sys.argv[1], int(sys.argv[2])
net = ng.Network([60, 200, 40], seed=0)
draw = random.Random(seed)
found, number = [], 0
for _ in range(20):
    begun, begin = os.pipe()
    child = os.fork()
    if not child:
        while True:
            number += 1
            for parameter in net.parameters.values():
                parameter.value[...] = number
            net.save(path)
            os.write(begin, b".")
    os.read(begun, 1)
    time.sleep(draw.uniform(0.0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(begun)
    os.close(begin)
    values = {float(v) for p in ng.load(path).parameters.values() for v in p.value.flat}
    found.append(sorted(values)[:2])
    number = int(max(values))
net.save(path)
print(json.dumps(found))
"""


def test_a_process_killed_at_any_moment_leaves_a_whole_file(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    result = subprocess.run(
        [sys.executable, "-c", KILL, str(path), "7"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert all(len(values) == 1 for values in found)
    numbers = [values[0] for values in found]
    assert all(before < after for before, after in pairwise(numbers))
    assert os.listdir(tmp_path) == [path.name]

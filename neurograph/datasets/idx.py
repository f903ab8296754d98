"""The IDX format of the MNIST files: a type, a shape, and the numbers."""

from __future__ import annotations

import gzip
import math
import os
import zlib

import numpy as np

from neurograph.datasets.checks import Array, contents
from neurograph.errors import FormatError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> Array:
    """Read an IDX file, gzipped or not.

    Parameters
    ----------
    path : the file, such as ``train-images-idx3-ubyte.gz``

    Returns
    -------
    array of the file's shape and type (uint8, int8, int16, int32, float32 or float64), in the
    machine's byte order; writable

    Raises
    ------
    FormatError
        When the file is no IDX file, is cut short, or goes on after its last number.
    """
    raw, name = contents("read_idx()", path)
    return parse_idx(gunzip(raw, name), name)


def gunzip(raw: bytes, source: str, limit: int = 1 << 32) -> bytes:
    """Return what a gzip file holds, or the bytes themselves where they are no gzip file."""
    if raw[:2] != b"\x1f\x8b":
        return raw
    unpack = zlib.decompressobj(wbits=31)
    try:
        content = unpack.decompress(raw, limit)
        if unpack.eof and unpack.unused_data:
            return gzip.decompress(raw)
    except (zlib.error, OSError, EOFError) as error:
        raise FormatError(f"{source} is a damaged gzip file: {error}") from error
    if len(content) >= limit and not unpack.eof:
        raise FormatError(f"{source} unpacks to more than {limit:,} bytes, which is not believable")
    if not unpack.eof:
        raise FormatError(f"{source} is a gzip file that is cut short: copy or download it again")
    return content


def parse_idx(raw: bytes, source: str = "the data") -> Array:
    """Read the bytes of an uncompressed IDX file.

    The format: two zero bytes, a byte for the type, a byte for the number of axes, four bytes for
    the length of each axis, then the numbers, row by row; all of it big-endian
    (Y. LeCun, The MNIST database of handwritten digits).

    Examples
    --------
    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    array([7, 8, 9], dtype=uint8)
    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7]))
    Traceback (most recent call last):
    neurograph.errors.FormatError: the data is cut short: 1 of 3 bytes are there after its header
    """
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _TYPES:
        raise FormatError(
            f"{source} is no IDX file: it starts with {raw[:4].hex(' ') or 'nothing'}, "
            "not with 00 00, a type and a number of axes"
        )
    kind, axes = np.dtype(_TYPES[raw[2]]), raw[3]
    start = 4 + 4 * axes
    if len(raw) < start:
        raise FormatError(f"{source} is cut short: its header of {start} bytes is not complete")
    shape = tuple(np.frombuffer(raw, ">u4", axes, 4).tolist())
    size = math.prod(shape) * kind.itemsize
    if len(raw) - start != size:
        fault = "is cut short" if len(raw) - start < size else "goes on after its last number"
        raise FormatError(
            f"{source} {fault}: {len(raw) - start:,} of {size:,} bytes are there after its header"
        )
    try:
        values = np.frombuffer(raw, kind, offset=start).reshape(shape)
    except ValueError as error:
        raise FormatError(f"{source} has the shape {shape}, which no array can have") from error
    return values.astype(kind.newbyteorder("="))

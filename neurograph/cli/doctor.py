"""``neurograph doctor``: what this installation can do, and how to make it faster."""

from __future__ import annotations

import argparse
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

OPTIONAL = {
    "threadpoolctl": "convolutions divided over threads: pip install 'neurograph[fast]'",
    "matplotlib": "curves and maps: pip install 'neurograph[plot]'",
    "pillow": "reading pictures: pip install 'neurograph[plot]'",
    "graphviz-pure": "pictures without a Graphviz on the system: pip install 'neurograph[viz]'",
    "onnx": "ONNX files: pip install 'neurograph[onnx]'",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""


def run(arguments: argparse.Namespace) -> int:
    """Print what is installed, which BLAS kernels run, and what to try."""
    print(f"neurograph {version('neurograph')}, Python {platform.python_version()}")
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors")
    for package in ("numpy", "scipy", "networkx", "graphviz", "safetensors", "rich", "pooch"):
        print(f"  {package} {_version(package)}")
    for package, why in OPTIONAL.items():
        found = _version(package)
        print(f"  {package} {found}" if found else f"  {package} is not installed: {why}")
    _describe_blas()
    _describe_graphviz()
    return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _describe_blas() -> None:
    import numpy as np

    n = 1024
    a, b = np.ones((n, n), np.float32), np.ones((n, n), np.float32)
    out = np.empty_like(a)
    np.dot(a, b, out=out)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        np.dot(a, b, out=out)
        times.append(time.perf_counter() - start)
    speed = 2 * n**3 / sorted(times)[2] / 1e9
    print(f"products of float32 matrices: {speed:.0f} thousand million operations a second")
    if _version("threadpoolctl"):
        from threadpoolctl import threadpool_info

        for pool in threadpool_info():
            kernels = pool.get("architecture", "unknown")
            print(f"  {pool['internal_api']} with {kernels} kernels, {pool['num_threads']} threads")
    flags = Path("/proc/cpuinfo")
    wide = flags.exists() and " avx512f" in flags.read_text()
    chosen = os.environ.get("OPENBLAS_CORETYPE")
    if wide and chosen == "SkylakeX":
        print(
            "  with AVX-512, since OPENBLAS_CORETYPE=SkylakeX; this command line sets it, in your "
            "own scripts set it before NumPy is imported"
        )
    elif wide:
        now = f"OPENBLAS_CORETYPE is {chosen}" if chosen else "OpenBLAS does not use it by itself"
        print(
            f"  this processor has AVX-512, but {now}: products can be up to twice as fast with "
            f"OPENBLAS_CORETYPE=SkylakeX in the environment before Python starts"
        )


def _describe_graphviz() -> None:
    import shutil

    path = shutil.which("dot")
    if path:
        print(f"Graphviz: {path}")
    elif _version("graphviz-pure"):
        print("Graphviz: the graphviz-pure package")
    else:
        print("Graphviz: none; pictures are written as .dot only")

"""``neurograph bench``: training steps, here and in other libraries; a table and JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from neurograph.bench.measure import Result, measure
from neurograph.bench.peers import CONTENDERS, OURS, USUAL
from neurograph.bench.rows import ROWS
from neurograph.errors import MissingDependencyError, unknown
from neurograph.options import whole
from neurograph.storage.atomic import atomic_write

BUILDING = "building"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    known = ", ".join([*ROWS, BUILDING])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"all, or some of: {known}")
    peers = ", ".join(name for name in CONTENDERS if name != OURS)
    parser.add_argument("--peers", metavar="NAME,…", help=f"installed ones, or some of: {peers}")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="turns of each (7)")
    parser.add_argument("--threads", type=int, metavar="N", help="for each (all processors)")
    parser.add_argument("--json", metavar="FILE", help="write all numbers")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; seconds are never judged."""
    whole("--rounds", arguments.rounds, least=1)
    threads = arguments.threads if arguments.threads is not None else os.cpu_count() or 1
    whole("--threads", threads, least=1)
    names = arguments.rows or [*ROWS, BUILDING]
    for name in names:
        if name not in ROWS and name != BUILDING:
            raise unknown("row", name, [*ROWS, BUILDING])
    peers = chosen_peers(arguments.peers)
    print(
        f"{platform.machine()}, threads of each: {threads}; milliseconds a step, median of the "
        f"rounds ({arguments.rounds}),\n± half the distance of the quartiles; ratio: theirs over "
        f"ours (above 1 ours is faster); busy: least\nprocessor time of a step, all threads "
        f"together, which other programs disturb the least\n"
    )
    results: list[Result] = []
    for name in names:
        if name != BUILDING:
            found = measure(ROWS[name], peers, arguments.rounds, threads)
            show(found)
            results += found
    if not peers:
        print("none of the libraries to compare with is installed: torch, jax, keras, scikit-learn")
    show_means(results)
    show_kernels(results)
    growth = show_building() if BUILDING in names else []
    if arguments.json:
        content = {
            "threads": threads,
            "rounds": arguments.rounds,
            "results": [asdict(each) for each in results],
            "building": growth,
        }
        with atomic_write(arguments.json) as file:
            file.write((json.dumps(content, indent=1) + "\n").encode())
    return 0


def chosen_peers(words: str | None) -> list[str]:
    """Return the peers asked for, or those that are installed."""
    if words is None:
        return [name for name in USUAL if CONTENDERS[name].installed]
    names = [word.strip() for word in words.split(",") if word.strip()]
    for name in names:
        if name not in CONTENDERS or name == OURS:
            raise unknown("peer", name, [each for each in CONTENDERS if each != OURS])
        if not CONTENDERS[name].installed:
            package = CONTENDERS[name].package
            raise MissingDependencyError(f"bench: the peer {name} needs the package {package}")
    return names


def show(results: Sequence[Result]) -> None:
    """Print the lines of a row."""
    row, ours = ROWS[results[0].row], results[0]
    what = "forward" if row.forward_only else "training"
    print(f"{row.name}: {row.title}, batch {row.batch}, {what}")
    for each in results:
        if each.error:
            print(f"  {each.contender:13}  {each.error}")
            continue
        ratio = "" if each is ours or ours.error else f"{each.median / ours.median:6.2f}"
        memory = "" if each.memory is None else f"{each.memory / 1e6:6.0f} MB"
        print(
            f"  {each.contender:13} {1e3 * each.median:10.4f} ms ±{each.spread:4.0%}  {ratio:>6}"
            f"  busy {1e3 * min(each.processor):8.3f} ms  {memory}  ready in {each.ready:.1f} s"
        )
    print(flush=True)


def show_means(results: Sequence[Result]) -> None:
    """Print the geometric means of the ratios."""
    ours = {each.row: each.median for each in results if each.contender == OURS and each.seconds}
    ratios: dict[str, list[float]] = {}
    best: dict[str, float] = {}
    for each in results:
        if each.contender != OURS and each.seconds and each.row in ours:
            ratio = each.median / ours[each.row]
            ratios.setdefault(each.contender, []).append(ratio)
            best[each.row] = min(ratio, best.get(each.row, math.inf))
    rows = [(f"{name}, {len(values)} rows", values) for name, values in ratios.items()]
    if best:
        rows.append((f"the fastest of each row, {len(best)} rows", list(best.values())))
        print("geometric mean of the ratios")
    for name, values in rows:
        print(f"  {name}: {math.exp(sum(map(math.log, values)) / len(values)):.2f}")


def show_kernels(results: Sequence[Result]) -> None:
    """Print which BLAS kernels ran."""
    found = {each.contender: each.kernels for each in results if each.kernels}
    if found:
        print("\nBLAS kernels")
    for name, kernels in found.items():
        print(f"  {name}: {'; '.join(kernels)}")


def show_building() -> list[dict[str, Any]]:
    """Print what building by hand costs, and whether it grows in proportion."""
    from neurograph.bench.ours import building

    rows: list[dict[str, Any]] = [dict(each) for each in building()]
    print("\nbuilding by hand: seconds to make the connections, the network, and its first step")
    for row in rows:
        total = row["made"] + row["network"] + row["compiled"]
        print(
            f"  {row['connections']:>10,.0f} connections  {row['made']:7.3f}  {row['network']:7.3f}"
            f"  {row['compiled']:7.3f}   {1e6 * total / row['connections']:.2f} µs each in all"
        )
    return rows

"""``neurograph datasets``: the data sets, and where they come from."""

from __future__ import annotations

import argparse

from neurograph import datasets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("name", nargs="?", help="load this one and describe it")
    parser.add_argument("--folder", help="where its files lie")


def run(arguments: argparse.Namespace) -> int:
    """List the data sets, or describe one."""
    if arguments.name is None:
        known = datasets.available()
        width = max(map(len, known))
        for name, line in known.items():
            print(f"{name.ljust(width)}  {line}")
        print(f"\ndownloads are kept in {datasets.cache_folder()}")
        return 0
    options = {} if arguments.folder is None else {"folder": arguments.folder}
    data = datasets.load(arguments.name, **options)
    print(data.description)
    print(f"training {data.x_train.shape} {data.x_train.dtype}, test {data.x_test.shape}")
    if data.class_names:
        print(f"classes: {', '.join(map(str, data.class_names))}")
    print(f"licence: {data.licence}")
    return 0

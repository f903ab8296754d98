"""The command line: ``neurograph COMMAND …``, the same as ``python -m neurograph COMMAND …``.

Every command is a file with ``add_arguments(parser)`` and ``run(arguments) -> exit status``,
imported when it is called. Exit status 0: done; 1: a check failed; 2: bad usage or input, one line
on stderr.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

COMMANDS = {
    "demo": "the whole story on digits that ship inside: train, check, look, draw, save",
    "train": "train a network on a data set, into a folder of its own",
    "evaluate": "loss and accuracy of a saved model on a data set",
    "predict": "what a saved model says to a picture, a row of numbers or a file",
    "summary": "the table of layers of a network",
    "explain": "what a network is compiled to, and why",
    "inspect": "one node: its strongest inputs and outputs with weights, gradients, deltas",
    "check": "check the gradients of a network, and its compiled form node by node",
    "render": "draw a network",
    "export": "write a network as a stand-alone script or in another format",
    "datasets": "the data sets, and where they come from",
    "bench": "measure against PyTorch, JAX, Keras and scikit-learn",
    "doctor": "what this installation can do, and how to make it faster",
}


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit status 2."""
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help says more\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    prefer_wide_kernels()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a question mark is better than a traceback
            stream.reconfigure(errors="replace")
    parser = make_parser(argv)
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        print("neurograph: say what to do, neurograph demo for a beginning", file=sys.stderr)
        return 2
    from neurograph.errors import NeurographError

    try:
        module = import_module(f"neurograph.cli.{arguments.command}")
        return int(module.run(arguments))
    except BrokenPipeError:  # the reader, head for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (NeurographError, OSError) as error:
        if arguments.debug:
            traceback.print_exc()
            return 2
        said = str(error).removeprefix(f"{arguments.command}: ")  # it is said below
        if isinstance(error, OSError) and error.filename and error.strerror:
            said = f"{error.filename}: {error.strerror.lower()}"  # without Python's "[Errno 2]"
        print(f"neurograph {arguments.command}: {said}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def make_parser(argv: Sequence[str] | None) -> Parser:
    """Return the parser; only the command that is called adds its arguments."""
    from neurograph import __version__

    words = sys.argv[1:] if argv is None else list(argv)
    called = next((word for word in words if word in COMMANDS), None)
    parser = Parser(
        prog="neurograph", description="See inside neural networks, and train them at full speed."
    )
    parser.add_argument("--version", action="version", version=f"neurograph {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, line in COMMANDS.items():
        command = commands.add_parser(name, help=line, description=line[0].upper() + line[1:] + ".")
        command.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        if name == called:
            import_module(f"neurograph.cli.{name}").add_arguments(command)
    return parser


def prefer_wide_kernels() -> None:
    """Let OpenBLAS use AVX-512 where the processor has it; it does not by itself on AMD's.

    Only before NumPy is loaded, and only where the user has not chosen.
    """
    flags = Path("/proc/cpuinfo")
    if "numpy" in sys.modules or "OPENBLAS_CORETYPE" in os.environ or not flags.exists():
        return
    with flags.open() as lines:
        if any(line.startswith("flags") and " avx512f" in line for line in lines):
            os.environ["OPENBLAS_CORETYPE"] = "SkylakeX"

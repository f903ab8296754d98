"""The view of the program: compiled operations and what flows between them, coloured by cost."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import graphviz

from neurograph.compiler.build import Options as BuildOptions
from neurograph.compiler.build import build
from neurograph.compiler.operations import OPERATIONS
from neurograph.compiler.program import Dim, Loop, Program, Statement, Step
from neurograph.render.flow import Flow
from neurograph.render.key import title_of
from neurograph.render.options import Options
from neurograph.render.picture import Picture, words
from neurograph.render.style import BELOW, FAINT, INK, clip, luminance, markup, mix
from neurograph.storage.atomic import StrPath
from neurograph.storage.weights import named_parameters
from neurograph.words import count

if TYPE_CHECKING:
    from neurograph.graph.network import Network

MOST = 240  # statements that are drawn with their backward pass
MANY = 120  # statements that get a hasty search for few crossings, or it takes seconds
COLD, HOT = "#fdfdfd", "#c85200"
WIDTH = 190.0


def program_picture(network: Network, options: Options) -> Picture:
    """Return the picture of a training step of a network, compiled with the loss mse.

    The network itself is not compiled by this: its weights stay where they are.
    """
    from neurograph.train.losses import get_loss

    parameters = list(named_parameters(network).values())
    places = accumulate((parameter.size for parameter in parameters), initial=0)
    offsets = {id(parameter): place for parameter, place in zip(parameters, places, strict=False)}
    losses = tuple(get_loss("mse") for _ in network.outputs)
    built = build(network, BuildOptions(training=True, losses=losses), offsets)
    return draw_program(built.program, title_of(network, options))


def render_program(program: Program, path: StrPath | None = None, title: str = "") -> Picture:
    """Draw a program, such as ``model.program``.

    Parameters
    ----------
    program : Program
    path : path, optional
        Ends in .svg, .png, .pdf or .dot.
    title : str

    Examples
    --------
    >>> from neurograph import Network
    >>> model = Network([3, 4, 2], seed=0).compile()
    >>> "product" in render_program(model.program).source
    True
    """
    picture = draw_program(program, title)
    if path is not None:
        picture.write(path)
    return picture


def draw_program(program: Program, title: str) -> Picture:
    """Return the picture of a program."""
    total = sum(_length(each) for each in (*program.forward, *program.backward))
    parts = [("forward", program.forward)]
    hidden = 0
    if total <= MOST:
        parts.append(("backward", program.backward))
    else:
        hidden = sum(_length(each) for each in program.backward)
    note = "the darker, the more multiplications and additions for one sample and step"
    if hidden:
        note += f"; {count(hidden, 'operation')} of the backward pass not drawn"
    label = (
        f'<<font point-size="10"> <br/>{markup(title)}</font>{BELOW}'
        f'<font point-size="9" color="{FAINT}">{markup(note)}</font>>'
    )
    picture = Picture("program", "dot", ranksep="0.25", nodesep="0.2", labelloc="b", label=label)
    if total - hidden > MANY:
        picture.graph_attr["mclimit"] = "0.1"
    _Chart(program, picture).paint(parts)
    return picture


def _length(step: Step) -> int:
    return len(step.body) if isinstance(step, Loop) else 1


def _size(dims: tuple[Dim, ...]) -> int:
    """Return how many numbers an array has for one sample and one step."""
    found = 1
    for dim in dims:
        found *= dim if isinstance(dim, int) else 1
    return found


class _Chart:
    """Statements as boxes, joined by the arrays that one writes and another reads."""

    def __init__(self, program: Program, picture: Picture) -> None:
        self.program, self.picture = program, picture
        self.number = 0
        self.flow = Flow(program)
        self.costs = {
            id(statement): self.cost(statement)
            for step in (*program.forward, *program.backward)
            for statement in (step.body if isinstance(step, Loop) else (step,))
        }
        self.most = max(self.costs.values(), default=1) or 1

    def cost(self, statement: Statement) -> int:
        """Return the operations of a statement for one sample and step."""
        row = OPERATIONS.get(statement.op)
        return 0 if row is None else int(row.flops(self.program, statement, _size))

    def paint(self, parts: list[tuple[str, tuple[Step, ...]]]) -> None:
        """Draw the inputs, then the statements of each part in a frame of its own."""
        for name, array in self.program.arrays.items():
            if array.role in ("input", "target") and array.view is None:
                self.oval(name, array.type_text())
        for number, (title, steps) in enumerate(parts):
            frame = _frame(f"cluster{number}", title)
            for place, step in enumerate(steps):
                if isinstance(step, Loop):
                    way = (
                        "every step of time" if step.direction > 0 else "every step, from the last"
                    )
                    inner = _frame(f"cluster{number}.{place}", f"for {way}")
                    for statement in step.body:
                        self.statement(inner, statement)
                    frame.subgraph(inner)
                else:
                    self.statement(frame, step)
            self.picture.subgraph(frame)

    def oval(self, name: str, kind: str) -> None:
        """Draw an array that is given from outside."""
        self.picture.node(
            f"a{name}",
            label=f'<<font point-size="9">{markup(name)}</font>{BELOW}'
            f'<font point-size="8" color="{FAINT}">{markup(kind)}</font>>',
            shape="ellipse",
            color=FAINT,
            margin="0.05,0.02",
            **{"class": "given"},
        )
        self.flow.given(name, f"a{name}")

    def statement(self, frame: Any, statement: Statement) -> None:
        """Draw a statement, and arrows from those that wrote what it reads."""
        name = f"s{self.number}"
        self.number += 1
        cost = self.costs[id(statement)]
        fill = mix(COLD, HOT, (cost / self.most) ** 0.6)
        ink = "#ffffff" if luminance(fill) < 0.5 else INK
        soft = ink if luminance(fill) < 0.72 else FAINT
        out = self.program.arrays[statement.out.name]
        manner = statement.get("function", statement.get("aggregation", ""))
        heading = f"{statement.op} {manner}".strip()
        weights = [
            ref.name
            for ref in statement.inputs
            if self.program.arrays[ref.name].role in ("parameter", "table")
        ]
        sign = "+= " if statement.accumulate else ""
        lines = [f"{sign}{statement.out}: {out.type_text()}", *(f"with {each}" for each in weights)]
        small = BELOW + "<br/>".join(
            f'<font point-size="8" color="{soft}">{markup(clip(line, WIDTH, 8.0))}</font>'
            for line in lines
        )
        frame.node(
            name,
            label=f'<<font point-size="10" color="{ink}"><b>{markup(clip(heading, WIDTH, 10.0))}'
            f"</b></font>{small}>",
            shape="box",
            style="filled,rounded",
            fillcolor=fill,
            color=FAINT,
            margin="0.08,0.04",
            tooltip=words(f"{statement}; {count(cost, 'operation')}"),
            **{"class": "statement"},
        )
        for writer in self.flow.sources(statement):
            self.picture.edge(writer, name, arrowsize="0.6", color=INK, **{"class": "flow"})
        self.flow.written(statement, name)


def _frame(name: str, title: str) -> Any:
    frame = graphviz.Digraph(name=name)
    frame.attr(
        label=f'<<b><font point-size="11">{markup(title)}</font></b>>',
        labelloc="t",
        labeljust="l",
        style="rounded,dashed",
        color=FAINT,
        fontcolor=INK,
        margin="10",
    )
    return frame

"""Writing: how the arithmetic of a trace looks, as plain text and in LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from neurograph.graph.connection import Connection
from neurograph.graph.node import Node

Line = list[str]  # things that are equal
_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{each: f"\\{each}" for each in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def number(value: float) -> str:
    """Return a number with six digits.

    >>> number(1 / 3), number(-0.0)
    ('0.333333', '0')
    """
    return f"{value + 0.0:.6g}"


def _needs_brackets(term: str) -> bool:
    return " " in term and not _is_bracketed(term)


def _is_bracketed(term: str) -> bool:
    """Whether the bracket that opens a term is closed at its end, and not before.

    >>> _is_bracketed("(1 + 2)"), _is_bracketed("(-1) * (-2)")
    (True, False)
    """
    depth = 0
    for place, letter in enumerate(term):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return place == len(term) - 1 > 0
    return False


def chain(line: Line) -> str:
    """Return the things that are equal with the signs between them, none twice in a row.

    >>> chain(["y", "0", "0"])
    'y = 0'
    """
    return " = ".join(each for each, _ in groupby(line))


class Writing:
    """Plain text."""

    times_sign = " * "

    def symbol(self, name: str) -> str:
        """Return a name."""
        return name

    def plain(self, value: float) -> str:
        """Return a number that stands alone."""
        return number(value)

    def value(self, value: float) -> str:
        """Return a number among others, a negative one in brackets."""
        text = self.plain(value)
        return f"({text})" if text.startswith("-") else text

    def at(self, step: int | None) -> str:
        """Return the mark of a step of time."""
        return "" if step is None else f"[{step}]"

    def output(self, node: Node, step: int | None) -> str:
        """Return the name of an output."""
        return f"{node.label}{self.at(step)}"

    def delta(self, node: Node, step: int | None) -> str:
        """Return the name of a delta."""
        return f"delta({node.label}){self.at(step)}"

    def gradient(self, connection: Connection) -> str:
        """Return the name of a gradient."""
        late = f" [delay {connection.delay}]" if connection.delay else ""
        arrow = f"{connection.upstream_node.label}->{connection.downstream_node.label}"
        return f"dE/d({arrow}{late})"

    def times(self, *factors: str) -> str:
        """Return a product of terms."""
        return self.times_sign.join(self.bracket(each) for each in factors)

    def bracket(self, term: str) -> str:
        """Return a term in brackets if it is a sum or product."""
        return f"({term})" if _needs_brackets(term) else term

    def product(self, left: float, right: float) -> str:
        """Return a product of two numbers."""
        return f"{self.value(left)}{self.times_sign}{self.value(right)}"

    def negative_product(self, left: float, right: float) -> str:
        """Return minus a product."""
        return f"-{self.value(left)}{self.times_sign}{self.value(right)}"

    def difference(self, left: float, right: float) -> str:
        """Return a difference of two numbers."""
        return f"{self.value(left)} - {self.value(right)}"

    def square(self, label: float, output: float) -> str:
        """Return the square of an error."""
        return f"({self.difference(label, output)})^2"

    def half(self, squares: Sequence[str]) -> str:
        """Return half the sum of squares."""
        return f"{self.bracket(' + '.join(squares)) if len(squares) > 1 else squares[0]} / 2"

    def share(self, part: float, whole: float) -> str:
        """Return a part, and the whole of which it is that of one connection among several."""
        return f"{self.plain(part)}, of {self.plain(whole)} for the shared weight"

    def combined(self, aggregation: str, terms: Sequence[str]) -> str:
        """Return what an aggregation makes of terms."""
        if aggregation == "max":
            return f"max({', '.join(terms)})"
        if aggregation == "product":
            return self.times_sign.join(f"({each})" for each in terms)
        total = " + ".join(terms)
        return f"({total}) / {len(terms)}" if aggregation == "mean" else total

    def applied(self, name: str, inner: str, whole: bool = False, slope: bool = False) -> str:
        """Return a function of something; ``whole``: it looks at the whole layer."""
        if whole:
            return f"{name}{chr(39) if slope else ''} over the layer of ({inner})"
        return f"{name}{chr(39) if slope else ''}({inner})"

    def document(self, passes: Sequence[tuple[str, list[Line]]]) -> str:
        """Return the text of all passes."""
        return "\n\n".join(
            "\n".join([title, *(f"  {chain(line)}" for line in lines)]) for title, lines in passes
        )


class Latex(Writing):
    r"""LaTeX with ``amsmath``: an ``align*`` for each pass."""

    times_sign = r" \cdot "

    def _text(self, name: str) -> str:
        return rf"\text{{{''.join(_SPECIAL.get(each, each) for each in name)}}}"

    def at(self, step: int | None) -> str:
        """Return the mark of a step of time."""
        return "" if step is None else f"^{{({step})}}"

    def output(self, node: Node, step: int | None) -> str:
        """Return the name of an output."""
        return f"o_{{{self._text(node.label)}}}{self.at(step)}"

    def delta(self, node: Node, step: int | None) -> str:
        """Return the name of a delta."""
        return rf"\delta_{{{self._text(node.label)}}}{self.at(step)}"

    def gradient(self, connection: Connection) -> str:
        """Return the name of a gradient."""
        up, down = connection.upstream_node.label, connection.downstream_node.label
        late = rf",\,{connection.delay}" if connection.delay else ""
        below = rf"\partial w_{{{self._text(up)} \to {self._text(down)}{late}}}"
        return rf"\frac{{\partial E}}{{{below}}}"

    def plain(self, value: float) -> str:
        """Return a number that stands alone."""
        return _power(number(value))

    def half(self, squares: Sequence[str]) -> str:
        """Return half the sum of squares."""
        return rf"\frac{{1}}{{2}} \left( {' + '.join(squares)} \right)"

    def share(self, part: float, whole: float) -> str:
        """Return a part, and the whole of which it is that of one connection among several."""
        told = r"\text{, of }" + self.plain(whole) + r"\text{ for the shared weight}"
        return self.plain(part) + told

    def combined(self, aggregation: str, terms: Sequence[str]) -> str:
        """Return what an aggregation makes of terms."""
        if aggregation == "max":
            return rf"\max({', '.join(terms)})"
        if aggregation == "mean":
            return rf"\frac{{{' + '.join(terms)}}}{{{len(terms)}}}"
        return super().combined(aggregation, terms)

    def applied(self, name: str, inner: str, whole: bool = False, slope: bool = False) -> str:
        """Return a function of something; ``whole``: it looks at the whole layer."""
        called = self._text(name) + ("'" if slope else "")
        return rf"{called}(\ldots, {inner}, \ldots)" if whole else f"{called}({inner})"

    def document(self, passes: Sequence[tuple[str, list[Line]]]) -> str:
        """Return the text of all passes."""
        return "\n".join(self._aligned(lines) for _, lines in passes if lines)

    def _aligned(self, lines: list[Line]) -> str:
        rows = [f"  {first} &= {chain(rest)}" for first, *rest in lines]
        body = " \\\\\n".join(rows)
        return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"


def _power(text: str) -> str:
    r"""Return a number such as 1e-05 with a power of ten; anything else as it is.

    >>> print(_power("2.5e-05"), _power("0.5"))
    2.5 \cdot 10^{-5} 0.5
    """
    mantissa, mark, exponent = text.partition("e")
    if not mark or not exponent.lstrip("+-").isdigit():
        return text
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"


FORMATS: dict[str, type[Writing]] = {"text": Writing, "latex": Latex}

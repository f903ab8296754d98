"""How pictures look: colours that survive colour blindness and print, numbers, widths of text."""

from __future__ import annotations

import math
import re
import unicodedata

FONT = "Helvetica"
INK = "#222222"
FAINT = "#6b6b6b"
NEUTRAL = "#cdcdcd"

Hues = tuple[str, str, str]  # negative, zero, positive
WEIGHT_HUES: Hues = ("#e07b00", NEUTRAL, "#0a4b96")  # orange is the lighter of the two in grey
VALUE_HUES: Hues = ("#fbc685", "#ffffff", "#6aa3e2")
DELTA_HUES: Hues = ("#bfe3b0", "#ffffff", "#b08bd8")
GRADIENT_HUES: Hues = ("#4f9e57", NEUTRAL, "#5b2482")

GROUPS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a88b00", "#56b4e9", "#7a3e9d", "#444444")
"""Colours of groups: after Okabe & Ito (2008), for every kind of colour vision."""

KIND_FILLS = {
    "input": "#f2f2f2",
    "dense": "#dbe9f6",
    "convolution": "#cfe8d5",
    "pooling": "#fbe3cd",
    "recurrent": "#e5dcf1",
    "normalisation": "#f7f1cf",
    "join": "#f6d9de",
    "other": "#ffffff",
}

BELOW = '<br/><font point-size="2"> </font><br/>'
"""Between a heading and small print below it, so that a y or _ does not touch that."""

_MARKUP = {each: f"&#{ord(each)};" for each in "<>&\"'"} | {"\\": "<font>&#92;</font>"}
_NARROW = frozenset("iljtf.,:;|!'()[]{}/\\ -")
_WIDE = frozenset("mwMW%@—…")


def mix(first: str, second: str, share: float) -> str:
    """Return the colour ``share`` of the way from one to another.

    >>> mix("#000000", "#ff8000", 0.5)
    '#804000'
    """
    pairs = [(int(first[k : k + 2], 16), int(second[k : k + 2], 16)) for k in (1, 3, 5)]
    return "#" + "".join(f"{math.floor(a + (b - a) * share + 0.5):02x}" for a, b in pairs)


def signed_colour(value: float, largest: float, hues: Hues) -> str:
    """Return the colour of a value on a scale from ``-largest`` to ``largest``.

    >>> signed_colour(0.0, 2.0, VALUE_HUES), signed_colour(2.0, 2.0, VALUE_HUES)
    ('#ffffff', '#6aa3e2')
    """
    if not math.isfinite(value) or largest <= 0.0:
        return hues[1]
    share = min(abs(value) / largest, 1.0)
    return mix(hues[1], hues[2] if value > 0 else hues[0], share**0.8)


def luminance(colour: str) -> float:
    """Return how light a colour is, 0..1 (Rec. 709 on the stored values)."""
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def short(value: float, digits: int = 3) -> str:
    """Return a number in a few digits, with a true minus sign.

    >>> short(-0.123456), short(1234567.0), short(-0.0000321), short(0.0)
    ('−0.123', '1.23e6', '−3.21e−5', '0')
    """
    text = re.sub(r"e([+-])0*", lambda match: "e" + match[1].strip("+"), f"{value:.{digits}g}")
    return text.replace("-", "−") if value else "0"


def letter_width(letter: str) -> float:
    """Return the width of a letter of the sans-serif font in units of its size, about."""
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    if unicodedata.combining(letter):
        return 0.0
    if letter in _NARROW:
        return 0.3
    return 0.87 if letter in _WIDE else 0.67 if letter.isupper() else 0.56


def text_width(text: str, size: float) -> float:
    """Return the width of a line of text, in points."""
    return 1.08 * size * sum(letter_width(letter) for letter in text)


def clip(text: str, width: float, size: float) -> str:
    """Return the text, its end replaced by an ellipsis if it is wider than ``width`` points.

    >>> clip("a_very_long_name", 40.0, 10.0)
    'a_ve…'
    """
    if text_width(text, size) <= width:
        return text
    kept, used = [], 1.08 * size
    for letter in text:
        used += 1.08 * size * letter_width(letter)
        if used > width:
            break
        kept.append(letter)
    return "".join(kept) + "…"


def clip_path(name: str, width: float, size: float) -> str:
    """Return the name of a part, clipped before its last "/", which tells it from the others.

    >>> clip_path("child_sum_tree_lstm/candidate", 130.0, 10.0)
    'child_sum_t…/candidate'
    """
    head, slash, own = name.rpartition("/")
    room = width - text_width(slash + own, size)
    if not head or text_width(name, size) <= width or room < 2 * size:
        return clip(name, width, size)
    return clip(head, room, size) + slash + own


def printable(text: str) -> str:
    r"""Return the text with control characters, which no XML may hold, made visible.

    >>> printable("a\nb\x00")
    'a␊b␀'
    """
    return "".join(
        chr(0x2400 + ord(each)) if ord(each) < 32 else "�" if _unprintable(each) else each
        for each in text
    )


def _unprintable(letter: str) -> bool:
    return letter in "\ufffe\uffff\x7f" or 0xD800 <= ord(letter) <= 0xDFFF


def markup(text: str) -> str:
    r"""Return the text for an HTML-like label: nothing in it is taken for a tag or an escape.

    A backslash stands in a tag of its own, so that no letter after it makes an escape of it.

    >>> print(markup('a<b> & "c" \\N'))
    a&#60;b&#62; &#38; &#34;c&#34; <font>&#92;</font>N
    """
    return "".join(_MARKUP.get(each, each) for each in printable(text))

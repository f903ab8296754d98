"""Classes and characters as numbers, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from neurograph.datasets.checks import Array, as_floats, as_labels, as_numbers, check_generator
from neurograph.errors import DataError, FormatError, OptionError, ShapeError
from neurograph.options import number, whole


def to_categorical(
    labels: ArrayLike, classes: int | None = None, dtype: DTypeLike = "float32"
) -> Array:
    """Return class numbers as one-hot rows.

    Parameters
    ----------
    labels : array of whole numbers, any shape
    classes : int, optional
        Number of classes; one more than the highest label when left out.
    dtype : dtype of the result

    Returns
    -------
    array, shape of ``labels`` and one more axis of length ``classes``

    Raises
    ------
    DataError
        When a label is no whole number or lies outside ``0..classes-1``.

    Examples
    --------
    >>> to_categorical([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]], dtype=float32)
    """
    count = None if classes is None else whole("classes", classes, least=1)
    numbers = as_labels("labels", labels, count)
    if count is None:
        count = int(numbers.max()) + 1
        if count > 1_000_000:
            raise DataError(
                f"to_categorical() found the label {count - 1}: a million classes and more are "
                "surely not meant; pass classes= if they are"
            )
    rows = np.zeros((*numbers.shape, count), dtype)
    np.put_along_axis(rows, numbers[..., np.newaxis], 1, axis=-1)
    return rows


def sample_classes(
    probabilities: ArrayLike,
    temperature: float = 1.0,
    generator: np.random.Generator | None = None,
) -> NDArray[np.int64]:
    """Draw a class for each row of probabilities, what a softmax puts out for example.

    Parameters
    ----------
    probabilities : (…, classes)
        At least 0; each row is divided by its sum.
    temperature : float
        The probabilities are taken to the power of 1 / temperature: below 1 the likely classes get
        likelier still, above 1 all become more alike. 0 takes the likeliest.
    generator : numpy.random.Generator, optional
        Where the randomness comes from; a fresh one when left out.

    Returns
    -------
    class numbers (…)

    Raises
    ------
    DataError
        A row has negative numbers, or no positive one.

    Examples
    --------
    >>> rows = np.tile([0.1, 0.9, 0.0], (1000, 1))
    >>> np.bincount(sample_classes(rows, generator=np.random.default_rng(0)), minlength=3)
    array([120, 880,   0])
    >>> sample_classes([[0.1, 0.9, 0.0]] * 3, temperature=0)
    array([1, 1, 1])
    """
    shares = as_floats("probabilities", probabilities)
    heat = number("temperature", temperature, least=0)
    if shares.ndim < 1 or (shares < 0).any() or not (shares > 0).any(axis=-1).all():
        raise DataError(
            f"sample_classes() got probabilities of shape {shares.shape} that are no rows of "
            "numbers of at least 0 with a positive one in each"
        )
    if heat == 0:
        return np.asarray(shares.argmax(axis=-1), np.int64)
    generator = np.random.default_rng() if generator is None else generator
    check_generator("sample_classes()", generator)
    with np.errstate(divide="ignore", over="ignore"):
        scores = np.log(shares.astype(np.float64))
        scores = (scores - scores.max(axis=-1, keepdims=True)) / heat
    # the largest of scores with Gumbel noise falls on a class with its probability
    return np.asarray((scores + generator.gumbel(size=scores.shape)).argmax(axis=-1), np.int64)


class CharacterEncoding:
    """Text as numbers: each character of an alphabet has an index.

    Parameters
    ----------
    alphabet : str
        The characters in the order of their indices, each once.
    padding : str, optional
        One character that gets index 0 and fills texts up to a common length. Index 0 is what
        ``Embedding(mask_zero=True)`` ignores. Decoding leaves it out.

    Examples
    --------
    >>> letters = CharacterEncoding("abcde")
    >>> letters.encode("bad"), letters.decode([1, 0, 3])
    (array([1, 0, 3]), 'bad')
    >>> letters.one_hot("ab")
    array([[1., 0., 0., 0., 0.],
           [0., 1., 0., 0., 0.]], dtype=float32)
    >>> names = CharacterEncoding.of(["ann", "bo"], padding=".")
    >>> names
    CharacterEncoding('abno', padding='.')
    >>> names.encode(["ann", "bo"])
    array([[1, 3, 3],
           [2, 4, 0]])
    >>> names.decode([[1, 3, 3], [2, 4, 0]])
    ['ann', 'bo']
    """

    def __init__(self, alphabet: str, padding: str | None = None) -> None:
        if not isinstance(alphabet, str) or not alphabet:
            raise OptionError(
                f"the alphabet is {alphabet!r}: give a text of at least one character"
            )
        if padding is not None and (not isinstance(padding, str) or len(padding) != 1):
            raise OptionError(f"the padding is {padding!r}: give one character")
        self.alphabet = alphabet
        self.padding = padding
        self.characters = (padding or "") + alphabet
        self._index = {character: index for index, character in enumerate(self.characters)}
        if len(self._index) != len(self.characters):
            twice = next(c for i, c in enumerate(self.characters) if self._index[c] != i)
            raise OptionError(f"the character {twice!r} is in the alphabet twice")

    @classmethod
    def of(cls, texts: str | Iterable[str], padding: str | None = None) -> CharacterEncoding:
        """Return the encoding of all characters that the texts use, sorted."""
        seen = set(_texts(texts)[0] if isinstance(texts, str) else "".join(_texts(texts)))
        if not seen - {padding}:
            raise DataError("CharacterEncoding.of() got no characters: the texts are empty")
        return cls("".join(sorted(seen - {padding or ""})), padding)

    def __len__(self) -> int:
        return len(self.characters)

    def __repr__(self) -> str:
        pad = f", padding={self.padding!r}" if self.padding is not None else ""
        return f"CharacterEncoding({self.alphabet!r}{pad})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CharacterEncoding) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.alphabet, self.padding))

    def encode(self, text: str | Iterable[str], length: int | None = None) -> NDArray[np.int64]:
        """Return the indices of a text, or of several texts as one array.

        Parameters
        ----------
        text : str or iterable of str
        length : int, optional
            Fill shorter texts up to this many characters; the longest text's when left out.

        Returns
        -------
        (characters,) for one text, (texts, characters) for several

        Raises
        ------
        DataError
            When a character is not in the alphabet, or a text is longer than ``length``.
        ShapeError
            When texts differ in length and the encoding has no padding.
        """
        texts = _texts(text)
        size = max(map(len, texts)) if length is None else whole("length", length, least=1)
        rows = np.zeros((len(texts), size), np.int64)
        for row, each in enumerate(texts):
            if len(each) > size:
                raise DataError(f"the text {_short(each)} has {len(each)} characters, over {size}")
            if len(each) < size and self.padding is None:
                raise ShapeError(
                    f"the text {_short(each)} has {len(each)} characters where {size} are needed: "
                    "an encoding made with padding= fills texts up"
                )
            try:
                rows[row, : len(each)] = [self._index[character] for character in each]
            except KeyError as error:
                raise DataError(
                    f"the character {error.args[0]!r} of the text {_short(each)} is not in the "
                    f"alphabet {_short(self.characters)}"
                ) from None
        return rows[0] if isinstance(text, str) else rows

    def one_hot(
        self, text: str | Iterable[str], length: int | None = None, dtype: DTypeLike = "float32"
    ) -> Array:
        """Return what ``encode`` gives as one-hot rows: (…, characters, len(self))."""
        return to_categorical(self.encode(text, length), len(self), dtype)

    def decode(self, values: ArrayLike) -> str | list[str]:
        """Return the text of indices, or of one-hot rows or probabilities (the likeliest).

        Parameters
        ----------
        values : whole numbers (characters,) or (texts, characters), or floats with one more axis
            of length ``len(self)``
        """
        array = np.asarray(values)
        if array.dtype.kind == "f" and array.ndim in (2, 3) and array.shape[-1] == len(self):
            array = as_numbers("values", array).argmax(axis=-1)
        if array.ndim not in (1, 2):
            raise ShapeError(
                f"decode() got an array of shape {array.shape}: it takes indices (characters,) or "
                f"(texts, characters), or probabilities with {len(self)} numbers a character"
            )
        if array.size == 0:
            return "" if array.ndim == 1 else ["" for _ in array]
        numbers = np.atleast_2d(as_labels("values", array, len(self)))
        shown = ["" if self.padding is not None else self.alphabet[0], *self.characters[1:]]
        texts = ["".join([shown[number] for number in row]) for row in numbers.tolist()]
        return texts[0] if array.ndim == 1 else texts

    def to_dict(self) -> dict[str, Any]:
        """Return what makes this encoding, for JSON."""
        return {"alphabet": self.alphabet, "padding": self.padding}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> CharacterEncoding:
        """Return the encoding that ``to_dict`` described."""
        if not isinstance(state, Mapping) or set(state) != {"alphabet", "padding"}:
            raise FormatError("a CharacterEncoding is described by 'alphabet' and 'padding'")
        return cls(state["alphabet"], state["padding"])


def _texts(text: str | Iterable[str]) -> Sequence[str]:
    if isinstance(text, str):
        return [text]
    try:
        texts = list(text)
    except TypeError:
        raise DataError(f"a text or several were expected, not {text!r}") from None
    if not texts:
        raise DataError("an empty list was given where texts are expected")
    for each in texts:
        if not isinstance(each, str):
            raise DataError(f"{each!r} was given where a text is expected")
    return texts


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "…")

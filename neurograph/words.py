"""Words for numbers, in pictures, tables and sentences."""


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun.

    >>> count(1, "connection"), count(26506, "connection")
    ('1 connection', '26,506 connections')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"

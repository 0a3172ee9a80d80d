"""Numbers in messages: those that differ are printed so that they differ."""

import math

_FEWEST_DIGITS = 4
#: A float64 has no more digits than these.
_MOST_DIGITS = 17
_LONGEST_WHOLE = 1e15


def distinct(*numbers: float) -> tuple[str, ...]:
    """Format numbers with as few digits as keep different ones apart, and four at least.

    Whole numbers are written without an exponent up to 1e15.

    Example:
        >>> distinct(1.5, 1.50015)
        ('1.5', '1.5002')
        >>> distinct(1.00001526, 1)
        ('1.00002', '1')
    """
    values = [float(number) + 0.0 for number in numbers]  # no -0
    different = len({value for value in values if not math.isnan(value)})
    texts: tuple[str, ...] = ()
    for digits in range(_FEWEST_DIGITS, _MOST_DIGITS + 1):
        texts = tuple(_text(value, digits) for value in values)
        if len(set(texts) - {"nan"}) == different:
            break
    return texts


def _text(value: float, digits: int) -> str:
    if abs(value) < _LONGEST_WHOLE:
        if value.is_integer():
            return f"{value:.0f}"
        digits = max(digits, len(f"{abs(value):.0f}"))
    return f"{value:.{digits}g}"

"""Words and numbers as the tables of a study write them."""

NONE = "–"
SINUS = {
    "ct": "The renal sinus was taken from the CT: fat within the kidney's outline.",
    "geometry": "The renal sinus was taken from the kidney's shape alone.",
}


def digits(value: float) -> str:
    """Two decimals below one, one above."""
    return f"{value:.2f}" if 0 < value < 1 else f"{value:.1f}"


def whole(value: float) -> str:
    """A whole number with a real minus, and never minus nothing."""
    return minus(f"{round(value)}")


def with_unit(value: float | None, unit: str) -> str:
    """A number and its unit, or the sign for nothing to tell."""
    return NONE if value is None else minus(f"{value:.1f} {unit}".strip())


def minus(text: str) -> str:
    """A minus where a hyphen stands."""
    return text.replace("-", "−")

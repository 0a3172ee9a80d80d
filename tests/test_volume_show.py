"""Numbers in messages."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renalseg.volume.show import distinct

NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53)


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        ((1.5, 1.5), ("1.5", "1.5")),
        ((1.5, 1.50015), ("1.5", "1.5002")),
        ((1.00001526, 1), ("1.00002", "1")),
        ((1.2999999523162842,), ("1.3",)),
        ((70_000, 12345.678), ("70000", "12346")),
        ((-0.0, 0), ("0", "0")),
        ((math.nan, math.nan, math.inf), ("nan", "nan", "inf")),
    ],
)
def test_digits(numbers, texts):
    assert distinct(*numbers) == texts


@given(st.lists(NUMBERS, min_size=1, max_size=4))
def test_numbers_differ_as_their_texts_do(numbers):
    texts = distinct(*numbers)
    for a, text_a in zip(numbers, texts, strict=True):
        for b, text_b in zip(numbers, texts, strict=True):
            assert (float(a) == float(b)) == (text_a == text_b)


@given(NUMBERS)
def test_a_text_is_near_its_number(number):
    assert float(distinct(number)[0]) == pytest.approx(number, rel=6e-4)

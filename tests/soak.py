"""What `make test` samples and `make soak` runs whole: corpora of broken files, rounds of kills.

The sample is another one in every run. Its seed is printed at the top; to see a run's sample
again, set ``RENALSEG_SEED`` to it.
"""

import os
import random
from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")

IS_WHOLE = "RENALSEG_SOAK" in os.environ
# all workers of a run must collect the same tests, and inherit the environment of the first process
SEED = os.environ.setdefault("RENALSEG_SEED", str(random.SystemRandom().randrange(10**6)))


def sampled(items: Iterable[Item], count: int) -> list[Item]:
    """As many of the items, in their order; in a soak all of them."""
    everything = list(items)
    if IS_WHOLE or count >= len(everything):
        return everything
    chosen = random.Random(SEED).sample(range(len(everything)), count)
    return [everything[number] for number in sorted(chosen)]


def rounds(whole: int, short: int) -> int:
    """How often something is repeated in a soak, and in a test run."""
    return whole if IS_WHOLE else short

"""Whose turn it is: users in a round, each one's studies in the order in which they came."""

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Waiting:
    """A study that waits.

    Attributes:
        id: The study.
        user: Whose it is.
        ticket: Lower ones came earlier.
    """

    id: str
    user: str
    ticket: int


def in_turn(waiting: Iterable[Waiting], served: Mapping[str, int]) -> list[Waiting]:
    """The order in which studies are worked on.

    Who was served longest ago comes next; of those who never were, the one who waits longest.

    Args:
        waiting: The studies.
        served: When each user was last served: a number that grows.
    """
    queues: dict[str, deque[Waiting]] = {}
    for one in sorted(waiting, key=lambda one: one.ticket):
        queues.setdefault(one.user, deque()).append(one)
    round_ = [(served.get(user, 0), queue[0].ticket, user) for user, queue in queues.items()]
    heapq.heapify(round_)
    now = max(served.values(), default=0)
    order = []
    while round_:
        _, _, user = heapq.heappop(round_)
        order.append(queues[user].popleft())
        now += 1
        if queues[user]:
            heapq.heappush(round_, (now, queues[user][0].ticket, user))
    return order

"""Steps that need one another, run as soon as what they need is done."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any

#: How often progress is looked at, in seconds.
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Step:
    """One piece of work.

    Attributes:
        title: Its name; others need it by this name.
        function: What is called in a worker.
        arguments: With these.
        needs: Titles of the steps that must be done before.
    """

    title: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    needs: frozenset[str] = field(default_factory=frozenset)


def run_steps(
    steps: Sequence[Step],
    pool: Executor,
    on_done: Callable[[str], None],
    on_poll: Callable[[], None],
) -> None:
    """Run steps on a pool, in their order as far as their needs allow.

    A need that is not among the steps counts as done. The first error ends the run.

    Args:
        steps: What to do.
        pool: Where.
        on_done: Told the title of every finished step.
        on_poll: Called about once a second.
    """
    waiting = list(steps)
    open_titles = {step.title for step in steps}
    running: dict[Future[Any], str] = {}
    while waiting or running:
        for step in [step for step in waiting if not step.needs & open_titles]:
            waiting.remove(step)
            running[pool.submit(step.function, *step.arguments)] = step.title
        done, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in [future for future in running if future in done]:  # in order, unlike a set
            title = running.pop(future)
            future.result()
            open_titles.remove(title)
            on_done(title)
        on_poll()

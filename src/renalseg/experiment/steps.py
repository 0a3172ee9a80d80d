"""Steps that need one another, run as soon as what they need is done."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

from renalseg.errors import ExperimentError

#: How often progress is looked at, in seconds.
POLL_SECONDS = 1.0
#: How often a step is tried again whose worker was lost.
RETRIES = 2


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
    on_failure: Callable[[str, BaseException], None],
) -> None:
    """Run steps on a pool, in their order as far as their needs allow.

    A need that is not among the steps counts as done. A step that fails takes with it those that
    need it; the others go on. One whose worker was lost is tried again.

    Args:
        steps: What to do.
        pool: Where.
        on_done: Told the title of every finished step.
        on_poll: Called about once a second.
        on_failure: Told the title of every step that failed or could not begin, and why.
    """
    waiting = list(steps)
    undone = {step.title for step in steps}
    failed: set[str] = set()
    running: dict[Future[Any], Step] = {}
    losses: Counter[str] = Counter()

    def fail(step: Step, error: BaseException) -> None:
        failed.add(step.title)
        on_failure(step.title, error)

    def recover() -> None:
        waiting[:0] = running.values()  # whichever worker was killed, all are lost with it
        running.clear()
        pool.restart()  # type: ignore[attr-defined]

    while waiting or running:
        for step in list(waiting):
            if lost := sorted(step.needs & failed):
                waiting.remove(step)
                fail(step, ExperimentError(f"not begun, as this failed: {lost[0]}"))
            elif not step.needs & undone:
                try:
                    running[pool.submit(step.function, *step.arguments)] = step
                except BrokenProcessPool:
                    recover()
                    break
                waiting.remove(step)
        done, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        broken = False
        for future in [future for future in running if future in done]:  # in order, unlike a set
            step, error = running.pop(future), future.exception()
            if error is None:
                undone.remove(step.title)
                on_done(step.title)
            elif isinstance(error, BrokenProcessPool) and losses[step.title] < RETRIES:
                losses[step.title] += 1
                waiting.insert(0, step)
                broken = True
            else:
                fail(step, error)
        if broken:
            recover()
        on_poll()

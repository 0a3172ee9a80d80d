"""What changes while people look: from any thread to the event streams of browsers.

A stream is told which studies have changed, not what of them; it reads the newest state when it
is ready to send. So a slow browser never makes the server remember more than its studies' names.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a running study is.

    Attributes:
        fraction: 0 to 1.
        step: What is being done, for people.
    """

    fraction: float = 0.0
    step: str = ""


class Stream:
    """One browser that listens."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.closed = False
        self._changed: dict[str, None] = {}
        self._woken = asyncio.Event()

    def tell(self, identifier: str) -> None:
        """A study has changed; called in the event loop."""
        self._changed[identifier] = None
        self._woken.set()

    def close(self) -> None:
        """There will be nothing more."""
        self.closed = True
        self._woken.set()

    async def changed(self) -> list[str]:
        """Wait until studies have changed; gives them, in the order of their first change."""
        await self._woken.wait()
        self._woken.clear()
        found, self._changed = list(self._changed), {}
        return found


class Hub:
    """Everybody who listens, and the progress of what runs."""

    def __init__(self) -> None:
        self._streams: set[Stream] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._progress: dict[str, Progress] = {}

    def open(self) -> None:
        """Begin in the running event loop."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """End all streams; called in the event loop."""
        for stream in self._streams:
            stream.close()

    @contextmanager
    def stream(self, user: str) -> Iterator[Stream]:
        """Listen to a user's studies."""
        stream = Stream(user)
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)

    def streams_of(self, user: str) -> int:
        """How many browsers of a user listen."""
        return sum(stream.user == user for stream in self._streams)

    def changed(self, user: str, identifier: str) -> None:
        """A user's study has changed; called from any thread."""
        if self._loop is None or self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._tell, user, identifier)

    def _tell(self, user: str, identifier: str) -> None:
        for stream in self._streams:
            if stream.user == user:
                stream.tell(identifier)

    def progress(self, identifier: str) -> Progress:
        """How far a running study is."""
        return self._progress.get(identifier, Progress())

    def set_progress(self, user: str, identifier: str, progress: Progress | None) -> None:
        """A running study got further, or runs no more; called from any thread."""
        if progress is None:
            self._progress.pop(identifier, None)
        else:
            self._progress[identifier] = progress
        self.changed(user, identifier)

"""The node: takes studies, has them segmented, sends the results back.

Four threads beside those of the connections: one lets complete studies wait for work and clears
up, one asks about those that broke off, one has them segmented, one after the other, one sends
results. Each looks at the queue's folders and nothing else, so that it does not matter who put a
study there, or when.
"""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

from renalseg.pacs.config import NodeConfig
from renalseg.pacs.faults import log_fault, reason_of
from renalseg.pacs.folders import IMAGES, MADE, RESULTS
from renalseg.pacs.inquiry import Inquiry
from renalseg.pacs.instance import sync_folder
from renalseg.pacs.queue import Queue, Stage
from renalseg.pacs.receive import Reception, serving
from renalseg.pacs.sender import Sender

log = logging.getLogger(__name__)

#: Given the folder of a study's CT images and an empty one, writes results into that and gives the
#: files that go back.
Process = Callable[[Path, Path], Sequence[Path]]
_PAUSE_S = 0.1
_PAUSE_AFTER_ERROR_S = 5.0


class Node:
    """A running node; use it with ``with``.

    Attributes:
        config: Its configuration.
        queue: Its studies.
        process: Segments one study.
    """

    def __init__(self, config: NodeConfig, process: Process) -> None:
        self.config, self.process = config, process
        self.queue = Queue(config.queue)
        self._reception = Reception(self.queue, config)
        self._sender = Sender(self.queue, config)
        self._inquiry = Inquiry(self.queue, config)
        self._stop = Event()
        self._threads: list[Thread] = []
        self._end = ExitStack()
        self._working: str | None = None

    def __enter__(self) -> Self:
        """Start.

        Raises:
            PacsError: If the queue or the port is another's.
        """
        with ExitStack() as begun:
            self.queue.open()
            begun.callback(self.queue.close)
            begun.enter_context(
                serving(self.config, self._reception.instance, self._reception.closed)
            )
            self._end = begun.pop_all()
        for turn in (self._keep, self._ask, self._work, self._send):
            # a daemon: a segmentation that takes minutes must not keep the node from ending
            thread = Thread(target=self._repeat, args=(turn,), daemon=True, name=turn.__name__)
            thread.start()
            self._threads.append(thread)
        config = self.config
        log.info("%s listens at %s:%d", config.ae_title, config.host, config.port)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; what is being done is begun again next time."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=1)
        working = self._working
        if working is not None:
            with suppress(OSError):  # it has come to its end just now
                self.queue.attempts(working, -1)  # it did not take the node down
        self._end.close()
        log.info("%s has stopped", self.config.ae_title)

    def wait(self) -> None:
        """Wait until somebody stops the node."""
        self._stop.wait()

    def stop(self) -> None:
        """Have ``wait`` return; may be called from a signal handler."""
        self._stop.set()

    def _repeat(self, turn: Callable[[], bool]) -> None:
        """Take turns until the node stops; nothing ends a thread while the node runs."""
        while not self._stop.is_set():
            try:
                pause = 0 if turn() else _PAUSE_S
            except Exception as error:
                if isinstance(error, OSError):
                    log.error("%s; trying again", error.strerror)  # noqa: TRY400
                else:
                    log_fault(log, turn.__name__.strip("_"), error)
                pause = _PAUSE_AFTER_ERROR_S
            self._stop.wait(pause)

    def _keep(self) -> bool:
        """Let complete studies wait for work, set broken ones aside, remove old ones."""
        open_keys = self._reception.settle()
        for key in self.queue.promote(self.config.quiet_s, open_keys):
            log.info("study %s: complete", key)
        for key in self.queue.fail_interrupted(self.config.interrupted_s, open_keys):
            log.error("study %s: failed, never sent whole", key)
        self.queue.expire(self.config.keep_days * 86400)
        return False

    def _ask(self) -> bool:
        """Ask whether studies are whole whose connection broke off."""
        self._inquiry.turn(self._reception.settle())
        return False

    def _work(self) -> bool:
        """Segment a study."""
        if self.queue.free_bytes() < self.config.reserve_gb * 1e9:
            return False
        key = self.queue.take()
        if key is None:
            return False
        if self.queue.attempts(key, +1) > self.config.attempts:
            self._fail(key, f"the node ended {self.config.attempts} times while it worked on it")
            return True
        log.info("study %s: begun", key)
        self._working = key
        try:
            self._segment(self.queue.folder(Stage.WORKING, key))
        except Exception as error:  # one study must not end the node
            self._fail(key, reason_of(log, f"study {key}", error))
        else:
            if not self._stop.is_set():  # the queue may be another's already
                self.queue.move(key, Stage.WORKING, Stage.SENDING)
                log.info("study %s: segmented", key)
        finally:
            self._working = None
        return True

    def _segment(self, folder: Path) -> None:
        made, results = folder / MADE, folder / RESULTS
        for left in (made, results):
            shutil.rmtree(left, ignore_errors=True)
            left.mkdir()
        for path in self.process(folder / IMAGES, made):
            with path.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(path, results / path.name)
        sync_folder(results)
        shutil.rmtree(made, ignore_errors=True)

    def _fail(self, key: str, reason: str) -> None:
        """Set a study aside. Its reason may name what its images hold: it is not logged."""
        self.queue.fail(key, Stage.WORKING, reason)
        log.error("study %s: failed; the reason stands in its folder", key)

    def _send(self) -> bool:
        """Send results that are due."""
        return self._sender.turn()

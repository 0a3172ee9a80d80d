"""The thread that segments: one study after the other, with one model in memory."""

import logging
import time
from collections.abc import Callable
from threading import Event, Lock, Thread

from renalseg.errors import CancelledError, ModelError, RenalsegError
from renalseg.faults import is_memory, remedy
from renalseg.inference.profiles import ProfileName
from renalseg.web.folder import DataFolder
from renalseg.web.hub import Hub, Progress
from renalseg.web.job import Engine, Job
from renalseg.web.logs import log_place
from renalseg.web.metrics import Metrics
from renalseg.web.queue import Queue
from renalseg.web.settings import Settings
from renalseg.web.store import Store
from renalseg.web.study import Facts, State, Study
from renalseg.web.words import said

log = logging.getLogger(__name__)

#: The page is told of the progress so often.
_TOLD_S = 0.4
#: What is loaded before anybody has asked: the page's own choice.
FIRST_PROFILE: ProfileName = "balanced"

#: Loading takes all cores for seconds; the browser that was just opened shall not wait for it.
_PAGE_FIRST_S = 2.0
_AGAIN_S = 1.0

Load = Callable[[ProfileName], Engine]


class Worker:
    """Takes studies from the queue until it is stopped."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        queue: Queue,
        hub: Hub,
        metrics: Metrics,
        load: Load,
        on_deleted: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._queue = queue
        self._hub = hub
        self._metrics = metrics
        self._load = load
        self._on_deleted = on_deleted
        self._data = DataFolder(settings.data)
        self._engine: tuple[ProfileName, Engine] | None = None
        self._running: tuple[str, Event] | None = None
        self._lock = Lock()
        self._stopping = Event()
        self._woken = Event()
        self._thread = Thread(target=self._run, name="renalseg-worker", daemon=True)
        #: Why the model cannot be loaded; None while it can.
        self.problem: str | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def cancel(self, identifier: str) -> None:
        """Stop work on a study, if it is the one that is worked on."""
        with self._lock:
            if self._running and self._running[0] == identifier:
                self._running[1].set()

    def is_running(self, identifier: str) -> bool:
        """Whether a study is being worked on, though nobody may wait for it any more."""
        with self._lock:
            return self._running is not None and self._running[0] == identifier

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop; what is being worked on waits again."""
        self._stopping.set()
        self._woken.set()
        with self._lock:
            if self._running:
                self._running[1].set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        self._preload()
        while not self._stopping.is_set():
            try:
                self._next()
            except Exception as error:  # such as a full disk: it may be better soon
                log_place(log, "worker", error)
                self._stopping.wait(_AGAIN_S)
                self._recover()

    def _next(self) -> None:
        """Work on the next study, or wait until there may be one."""
        self._woken.clear()
        taken = self._take()
        if taken is None:
            self._woken.wait()
            return
        study, cancel = taken
        try:
            self._work(study, cancel)
        finally:
            with self._lock:
                self._running = None
            self._hub.set_progress(study.user, study.id, None)
        if self._store.study(study.id) is None:
            self._on_deleted(study.id)

    def _recover(self) -> None:
        """Nothing runs now, whatever the database could not be told."""
        try:
            self._queue.recover()
        except Exception as error:  # it is tried again after the next failure
            log_place(log, "worker", error)

    def _preload(self) -> None:
        """Load the model while the first scan is still being sent; the page comes first."""
        self._woken.wait(_PAGE_FIRST_S)
        if self._stopping.is_set():
            return
        try:
            self._engine_of(FIRST_PROFILE)
        except ModelError as error:  # said to each study, and by /health
            log_place(log, "the model cannot be loaded", error.__cause__ or error)

    def _take(self) -> tuple[Study, Event] | None:
        with self._lock:
            identifier = self._queue.take()
            study = self._store.study(identifier) if identifier else None
            if study is None:
                return None
            cancel = Event()
            self._running = study.id, cancel
        self.tell_queue()
        self._hub.changed(study.user, study.id)
        return study, cancel

    def tell_queue(self) -> None:
        """The order has changed: tell those who wait."""
        for waiting in self._queue.order():
            self._hub.changed(waiting.user, waiting.id)

    def _engine_of(self, profile: ProfileName) -> Engine:
        if self._engine is None or self._engine[0] != profile:
            self._engine = None  # before the next: one model in memory
            try:
                self._engine = profile, self._load(profile)
            except Exception as error:
                reason = remedy(error)
                if reason is None:
                    reason = (
                        f"fault {log_place(log, 'the model', error)}; the server's log says where"
                    )
                root = self._settings.model.parent
                self.problem = said(f"the model cannot be loaded: {reason}", root, "the model")
                raise ModelError(self.problem) from error
            self.problem = None
        return self._engine[1]

    def _work(self, study: Study, cancel: Event) -> None:
        began = time.perf_counter()
        job = Job(
            study=study,
            folder=self._data.of(study.id),
            limits=self._settings.limits,
            memory_gb=self._settings.memory_gb,
            cancel=cancel,
            on_step=self._teller(study),
            on_facts=lambda facts: self._store.set_facts(study.id, facts),
        )
        try:
            facts = job.run(lambda: self._engine_of(study.profile))
        except CancelledError:
            if self._stopping.is_set():
                self._queue.put_back(study.id)
            outcome = State.CANCELLED
        except Exception as error:  # told to the user in words
            self._queue.fail(study.id, self._problem(study, error))
            outcome = State.FAILED
        else:
            outcome = self._finish(study, facts)
        seconds = time.perf_counter() - began
        self._metrics.job(outcome, study.profile, seconds)
        log.info("study %s: %s after %.1f s", study.id[:8], outcome, seconds)

    def _finish(self, study: Study, facts: Facts) -> State:
        return State.DONE if self._queue.finish(study.id, facts) else State.CANCELLED

    def _teller(self, study: Study) -> Callable[[float, str], None]:
        told_s, told_step = 0.0, ""

        def tell(fraction: float, step: str) -> None:
            nonlocal told_s, told_step
            now = time.monotonic()
            if step != told_step or now - told_s >= _TOLD_S:
                told_s, told_step = now, step
                self._hub.set_progress(study.user, study.id, Progress(round(fraction, 3), step))

        return tell

    def _problem(self, study: Study, error: Exception) -> str:
        """An error as its user may read it; what nobody foresaw goes to the log, without values."""
        if isinstance(error, RenalsegError):
            return said(str(error), self._settings.data, study.file_name or "the scan")
        if is_memory(error):
            return "not enough memory on the server for this scan; try the profile fast"
        number = log_place(log, f"study {study.id[:8]}", error)
        if isinstance(error, OSError):
            return f"the server could not write its files ({error.strerror}); tell who runs it"
        return f"something went wrong on the server (fault {number}); its log says where"

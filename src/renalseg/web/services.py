"""The parts of a running server, and what needs several of them."""

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from filelock import FileLock, Timeout

from renalseg.web.database import DATABASE, Database
from renalseg.web.desk import Desk
from renalseg.web.folder import DataFolder
from renalseg.web.hub import Hub
from renalseg.web.logins import Logins
from renalseg.web.logs import log_place
from renalseg.web.metrics import Metrics
from renalseg.web.queue import Queue
from renalseg.web.refusal import RefusedError
from renalseg.web.settings import DAY_S, ServeError, Settings
from renalseg.web.store import Store
from renalseg.web.study import State, Study
from renalseg.web.uploads import Uploads
from renalseg.web.views import Options
from renalseg.web.worker import Load, Worker

log = logging.getLogger(__name__)

#: Old studies are looked for so often.
_SWEEP_S = 600.0
#: Files of a study come within a day.
_UPLOAD_S = DAY_S


class Services:
    """A running server.

    Attributes:
        settings: How it is set up.
        data: Its files.
        store: Its studies.
        queue: Those that wait.
        logins: Who is logged in.
        hub: Who listens.
        uploads: What is being sent.
        desk: Who is being served.
        worker: What is being segmented.
        metrics: What was counted.
    """

    def __init__(self, settings: Settings, load: Load) -> None:
        """Open the data folder, which no other server may have open.

        Raises:
            ServeError: Another server has.
            RenalsegError: The database cannot be read.
        """
        self.settings = settings
        self.data = DataFolder(settings.data)
        self.data.make()
        self._owner = FileLock(settings.data / "lock", thread_local=False)
        try:
            self._owner.acquire(timeout=0)
        except Timeout:
            raise ServeError(
                f"{settings.data}: another renalseg serve uses this folder; stop it, or give "
                "another one with --data"
            ) from None
        self._database = Database(settings.data / DATABASE)
        self.store = Store(self._database)
        self.queue = Queue(self._database)
        self.logins = Logins(self._database)
        self.hub = Hub()
        self.metrics = Metrics(self.store.counts)
        self.uploads = Uploads(self.data, settings.limits, self.metrics.received)
        self.desk = Desk(settings, self.store)
        self.worker = Worker(
            settings, self.store, self.queue, self.hub, self.metrics, load, self.desk.remove
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Go on where the last server stopped, and work until the block ends."""
        self.hub.open()
        self._tidy()
        self.queue.recover()
        self.worker.start()
        if self.queue.order():
            self.worker.wake()
        sweeper = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeper
            self.hub.close()
            await asyncio.to_thread(self.worker.stop)
            self.desk.close()
            self._database.close()
            self._owner.release()

    @property
    def model_name(self) -> str:
        """What the ensemble's folder is called."""
        return self.settings.model.resolve().name

    def create(self, user: str, name: str, options: Options) -> Study:
        """A new study that waits for its files.

        Raises:
            RefusedError: The user has too many.
        """
        most = self.settings.limits.studies
        study = self.store.create(
            user,
            name,
            options.profile,
            uncertainty=options.uncertainty,
            kept_s=self.settings.kept_s,
            most=most,
        )
        if study is None:
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS, f"you have {most} studies; delete some of them"
            )
        self.data.of(study.id).make()
        self.hub.changed(user, study.id)
        return study

    def start(self, study: Study) -> bool:
        """Let a study wait for its turn; False where that cannot be in its state."""
        states = (State.UPLOADING, State.FAILED, State.CANCELLED)
        if not self.queue.add(study.id, states):
            return False
        self.uploads.forget(study.id)
        self.worker.tell_queue()
        self.worker.wake()
        return True

    def cancel(self, study: Study) -> bool:
        """Stop a study that waits or runs; False where it does neither."""
        if not self.queue.cancel(study.id):
            return False
        self.worker.cancel(study.id)
        self.hub.changed(study.user, study.id)
        self.worker.tell_queue()
        return True

    def remove(self, study: Study) -> None:
        """Hide a study at once, and remove its files as soon as nobody has them open."""
        self.store.hide(study.id)
        self.uploads.forget(study.id)
        self.worker.cancel(study.id)
        if not self.worker.is_running(study.id):
            self.desk.remove(study.id)  # else the worker says when
        self.hub.changed(study.user, study.id)
        self.worker.tell_queue()

    def _tidy(self) -> None:
        """Finish removals that a crash has cut short; remove parts of files and stray folders."""
        for identifier in self.store.hidden():
            self.desk.remove(identifier)
        known = self.store.known()
        for identifier in self.data.present():
            folder = self.data.of(identifier)
            if identifier not in known:
                folder.remove()
                continue
            for left in (*folder.path.glob(".*"), *folder.path.glob("*/.*")):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)

    async def _sweep(self) -> None:
        """Remove studies whose time is over."""
        while True:
            try:
                for study in await asyncio.to_thread(self.store.expired, time.time(), _UPLOAD_S):
                    await asyncio.to_thread(self.remove, study)
                    log.info("study %s: removed, its time is over", study.id[:8])
            except Exception as error:  # the next sweep may do better
                log_place(log, "sweep", error)
            await asyncio.sleep(_SWEEP_S)

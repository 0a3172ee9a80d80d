"""The thread at which people are served: it measures corrections and writes reports, one by one.

So at most two scans stand in memory at once, the worker's and this one, however many ask. Files of
a study are removed here too, and never while they are read.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from renalseg.clinical.records import Measurements
from renalseg.errors import RenalsegError
from renalseg.files import write_text
from renalseg.volume import read_grid, read_labels
from renalseg.web.folder import DataFolder, StudyFolder
from renalseg.web.refusal import RefusedError
from renalseg.web.results import Download, write_result
from renalseg.web.scan import read_kept_image
from renalseg.web.settings import Settings
from renalseg.web.store import Store
from renalseg.web.study import Study, Version
from renalseg.web.words import said

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class Desk:
    """Slow work that somebody waits for."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._data = DataFolder(settings.data)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="renalseg-desk")

    def close(self) -> None:
        """Finish what is being done, and leave the rest."""
        self._thread.shutdown(cancel_futures=True)

    async def _at(self, study: Study, work: Callable[[StudyFolder], Answer]) -> Answer:
        """Do something with a study's files; its errors are said in the user's words.

        Raises:
            RefusedError: The study is gone, or it cannot be done.
        """

        def careful() -> Answer:
            if self._store.study(study.id) is None:
                raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such study")
            try:
                return work(self._data.of(study.id))
            except RefusedError:
                raise
            except RenalsegError as error:
                text = said(str(error), self._settings.data, study.file_name or "the scan")
                raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, text) from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, careful)

    async def measurements(self, study: Study, number: int) -> str:
        """What is measured of a version, as JSON."""
        return await self._at(study, lambda folder: self._measured(folder, number))

    async def result(self, study: Study, version: Version, wanted: Download) -> Path:
        """A version in a format, as a file."""

        def write(folder: StudyFolder) -> Path:
            measured = Measurements.model_validate_json(self._measured(folder, version.number))
            limits = self._settings.limits
            return write_result(wanted, study, version, folder, limits, measured)

        return await self._at(study, write)

    async def correct(self, study: Study, user: str, made_from: int, sent: Path) -> Version:
        """Make a label map that was sent the newest version, and measure it.

        Args:
            study: The study.
            user: Who made it.
            made_from: The version that it corrects.
            sent: The file that was sent; it goes whatever comes of it.

        Raises:
            RefusedError: It is no label map on the image's grid, or the study is gone.
        """

        def take(folder: StudyFolder) -> Version:
            try:
                if not read_grid(sent).same_grid(read_grid(folder.image)):
                    raise RefusedError(
                        HTTPStatus.UNPROCESSABLE_ENTITY,
                        "the mask does not lie on the scan's grid; correct the mask of this study",
                    )
                labels = read_labels(sent)
            finally:
                sent.unlink(missing_ok=True)
            now = self._store.study(study.id)
            number = 1 + max((v.number for v in now.versions), default=0) if now else 0
            labels.save(folder.mask(number))
            folder.measurements(number).unlink(missing_ok=True)
            self._measured(folder, number)
            version = self._store.add_version(study.id, user, made_from, number)
            if version is None:
                raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such study")
            return version

        return await self._at(study, take)

    def _measured(self, folder: StudyFolder, number: int) -> str:
        """Measurements of a version; made where they do not stand."""
        path = folder.measurements(number)
        if not path.is_file():
            from renalseg.clinical import measure

            labels, ct = read_labels(folder.mask(number)), read_kept_image(folder)
            found = measure(labels, ct, diameter=self._settings.diameter)
            write_text(found.model_dump_json(), path)
        return path.read_text(encoding="utf-8")

    def remove(self, identifier: str) -> None:
        """Remove the files of a study that nobody sees any more; returns at once."""
        self._thread.submit(self._remove, identifier)

    def _remove(self, identifier: str) -> None:
        folder = self._data.of(identifier)
        folder.remove()
        if os.path.lexists(folder.path):
            log.error("study %s: its files cannot be removed", identifier[:8])
            return
        self._store.forget(identifier)

"""Asking an archive whether a study is whole.

A node that is killed just after it took the last instance does not see the connection close, and
the archive, which had an answer to each instance, does not send again. So the node asks what there
is, where it can, and goes on if it has all of it.
"""

import logging
from time import monotonic

from renalseg.errors import PacsError
from renalseg.pacs.config import NodeConfig
from renalseg.pacs.faults import UnreachableError, log_fault
from renalseg.pacs.folders import IMAGES
from renalseg.pacs.instance import identify, image_name
from renalseg.pacs.pull import list_instances
from renalseg.pacs.queue import Queue, Stage
from renalseg.volume.dicom.syntaxes import CT_CLASSES

log = logging.getLogger(__name__)


class Inquiry:
    """Asks about studies whose connection broke off.

    Attributes:
        queue: Where they are.
        config: Whom to ask.
    """

    def __init__(self, queue: Queue, config: NodeConfig) -> None:
        self.queue, self.config = queue, config
        self._due: dict[str, tuple[float, float]] = {}

    def turn(self, open_keys: set[str]) -> None:
        """Ask about each study that is due once.

        Args:
            open_keys: Studies that a connection brings just now.
        """
        broken = self.queue.broken(self.config.quiet_s, open_keys)
        self._due = {key: due for key, due in self._due.items() if key in broken}
        for key in broken:
            due, pause_s = self._due.get(key, (0.0, self.config.retry_s[0]))
            if monotonic() < due:
                continue
            try:
                if self._is_whole(key):
                    self.queue.closed(key)
                    log.info("study %s: the archive has no more of it", key)
            except UnreachableError:
                pass
            except PacsError:  # it cannot be asked, now or later
                pause_s = float("inf")
            except OSError as error:  # of our own disk
                log.warning("study %s: %s", key, error.strerror)
            except Exception as error:  # one study must not keep the others
                log_fault(log, f"study {key}", error)
                pause_s = float("inf")
            self._due[key] = (monotonic() + pause_s, min(2 * pause_s, self.config.retry_s[1]))

    def _is_whole(self, key: str) -> bool:
        """Whether the archive has no CT image that we have not."""
        peer = self.config.peer(self.queue.peer(Stage.INCOMING, key))
        folder = self.queue.folder(Stage.INCOMING, key) / IMAGES
        here = {path.name for path in folder.glob("*.dcm")}
        if not here:
            return False
        study_uid = identify(folder / min(here)).study_uid
        there = list_instances(peer, study_uid, self.config)
        wanted = {image_name(uid) for uid, kind in there.items() if kind in ("", *CT_CLASSES)}
        return bool(wanted) and wanted <= here

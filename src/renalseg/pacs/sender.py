"""Results on their way back: sent until they have arrived, however long the archive is away."""

import logging
from dataclasses import dataclass
from time import monotonic

from renalseg.pacs.config import SENDER, NodeConfig
from renalseg.pacs.faults import RefusedError, UnreachableError, reason_of
from renalseg.pacs.push import push
from renalseg.pacs.queue import Queue, Stage

log = logging.getLogger(__name__)

#: A peer that answers and refuses so often is not asked again.
_MOST_REFUSALS = 5


@dataclass
class _Trials:
    """How a study's sending went since the node started.

    Attributes:
        pause_s: How long to wait after the next failure.
        due: When to try again, on the monotonic clock.
        refusals: How often a peer refused.
    """

    pause_s: float
    due: float = 0
    refusals: int = 0


class Sender:
    """Sends results of studies, each to all its destinations.

    Attributes:
        queue: Where the results are.
        config: Where they go.
    """

    def __init__(self, queue: Queue, config: NodeConfig) -> None:
        self.queue, self.config = queue, config
        self._trials: dict[str, _Trials] = {}

    def turn(self) -> bool:
        """Try each study that is due once; gives whether one has left."""
        sent = False
        keys = self.queue.keys(Stage.SENDING)
        self._trials = {key: trial for key, trial in self._trials.items() if key in keys}
        for key in keys:
            trial = self._trials.setdefault(key, _Trials(self.config.retry_s[0]))
            if monotonic() >= trial.due and self._try(key, trial):
                del self._trials[key]
                sent = True
        return sent

    def _try(self, key: str, trial: _Trials) -> bool:
        try:
            self._send(key)
        except UnreachableError:
            log.warning("study %s: not sent, next time in %g s", key, trial.pause_s)
        except RefusedError as error:
            trial.refusals += 1
            if trial.refusals >= _MOST_REFUSALS:
                self._fail(key, str(error))
                return True
            log.warning("study %s: refused, next time in %g s", key, trial.pause_s)
        except OSError as error:  # of our own disk
            log.warning("study %s: %s, next time in %g s", key, error.strerror, trial.pause_s)
        except Exception as error:  # one study must not keep the others
            self._fail(key, reason_of(log, f"study {key}", error))
            return True
        else:
            self.queue.finish(key)
            log.info("study %s: done", key)
            return True
        trial.due = monotonic() + trial.pause_s
        trial.pause_s = min(2 * trial.pause_s, self.config.retry_s[1])
        return False

    def _send(self, key: str) -> None:
        """Send to every destination that has not got the results yet."""
        files = self.queue.results(key)
        for wanted in self.config.results_to if files else ():
            name = self.queue.peer(Stage.SENDING, key) if wanted == SENDER else wanted
            if not self.queue.is_sent(key, name):
                peer = self.config.peer(name)
                via = self.config.results_via if self.config.results_via in peer.speaks else None
                push(peer, files, self.config, via=via)
                self.queue.note_sent(key, name)

    def _fail(self, key: str, reason: str) -> None:
        self.queue.fail(key, Stage.SENDING, f"results not sent: {reason}")
        log.error("study %s: failed, its results were not taken", key)

"""What goes wrong: the ways in which an archive does not do what it was asked for, and our own."""

import logging

from renalseg.errors import PacsError
from renalseg.faults import describe, new_number, remedy, where


class UnreachableError(PacsError):
    """It does not answer: it may later."""


class RefusedError(PacsError):
    """It answers, and will not."""


def reason_of(log: logging.Logger, what: str, error: Exception) -> str:
    """Why work on a study failed, for its folder; a fault of ours is logged under a number.

    Args:
        log: The module's logger.
        what: What failed, without anything that an image holds.
        error: Why.
    """
    reason = remedy(error, no_memory="not enough memory; set --memory, or add some")
    if reason is not None:
        return reason
    return f"fault {log_fault(log, what, error)} of renalseg: {describe(error)}"


def log_fault(log: logging.Logger, what: str, error: Exception) -> str:
    """Log a fault's type and place, not its text, which may name a patient; gives its number."""
    number = new_number()
    log.error("fault %s: %s: %s at %s", number, what, type(error).__name__, where(error))
    return number

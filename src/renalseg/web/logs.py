"""What went wrong, for the log: where, and never the error's text, which may name a patient."""

import logging

from renalseg.faults import new_number, where


def log_place(log: logging.Logger, what: str, error: BaseException) -> str:
    """Log an error's type and place, under a number that its user is told.

    Args:
        log: The module's logger.
        what: What was being done.
        error: What went wrong.

    Returns:
        The number.
    """
    number = new_number()
    log.error("fault %s: %s: %s at %s", number, what, type(error).__name__, where(error))
    return number

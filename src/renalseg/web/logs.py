"""What went wrong, for the log: where, and never the error's text, which may name a patient."""

import logging
from traceback import extract_tb


def log_place(log: logging.Logger, what: str, error: BaseException) -> None:
    """Log an error's type and place.

    Args:
        log: The module's logger.
        what: What was being done.
        error: What went wrong.
    """
    frames = extract_tb(error.__traceback__)[-3:]
    places = " < ".join(f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in reversed(frames))
    log.error("%s: %s at %s", what, type(error).__name__, places)

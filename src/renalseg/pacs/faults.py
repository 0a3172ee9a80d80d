"""The two ways in which an archive does not do what it was asked for."""

from renalseg.errors import PacsError


class UnreachableError(PacsError):
    """It does not answer: it may later."""


class RefusedError(PacsError):
    """It answers, and will not."""

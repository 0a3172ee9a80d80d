"""The errors and warnings of renalseg for its user: each is one line that says what to do."""


class RenalsegError(Exception):
    """Something the user can mend; the command line prints it as one line and exits with 1."""


class RenalsegWarning(UserWarning):
    """Something a person should look at; the command line prints it as one line."""


class VolumeError(RenalsegError):
    """A file is not the CT or label map that it should be."""


class OutputError(RenalsegError):
    """A result cannot be written to its place, or would replace what is not renalseg's own."""


class CohortError(RenalsegError):
    """A cohort folder or one of its cases lacks something, or contradicts itself."""


class ModelError(RenalsegError):
    """A model or ensemble folder is missing, incomplete or unsafe to load."""


class DownloadError(RenalsegError):
    """A file cannot be fetched, or is not the one that was expected.

    Attributes:
        is_missing: Whether the server says that there is no such file.
    """

    is_missing = False


class ExperimentError(RenalsegError):
    """A recipe or experiment asks for something that cannot be done."""


class EvaluationError(RenalsegError):
    """A prediction and its reference cannot be compared."""


class WorkerError(RenalsegError):
    """A worker process was lost."""


class CancelledError(RenalsegError):
    """The user stopped the work."""


class PacsError(RenalsegError):
    """An archive cannot be reached, refuses, or does not hold what was asked for."""

"""A request that is refused: the status and one line that says what to do."""

from http import HTTPStatus

from renalseg.errors import RenalsegError


class RefusedError(RenalsegError):
    """An answer that says no.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status

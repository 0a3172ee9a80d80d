"""What renalseg says of an image that it reads but finds odd."""

from renalseg.errors import RenalsegWarning


class UnusualImageWarning(RenalsegWarning):
    """An image may be what its user means, but does not look like most CT of the abdomen."""
